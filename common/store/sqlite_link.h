/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the database file, with the statements it has prepared, and a small way to run
 * them. Used by one thread at a time. */
#ifndef PORTICO_STORE_SQLITE_LINK_H
#define PORTICO_STORE_SQLITE_LINK_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/str.h"
#include "store/store.h"

enum sqlite_statement {
#define STATEMENT(NAME, SQL) SQLITE_##NAME##_STATEMENT,
#include "store/sqlite_statements.def"
#undef STATEMENT
    SQLITE_STATEMENTS
};
#define RUN(NAME) SQLITE_##NAME##_STATEMENT

struct sqlite_link {
    sqlite3 *db; /* owned */
    sqlite3_stmt *statements[SQLITE_STATEMENTS];
    struct error *error;      /* where words go; set for the time of one operation, may be NULL */
    uint64_t generation;      /* of the file it belongs to; see store_sqlite.c */
    bool is_relaxed;          /* commits do not wait for the disk */
    struct sqlite_link *next; /* on the list of idle readers */
};

/* SQLite's result as one of the store's errors, with words. The database may be NULL. */
PRINTF_LIKE(4, 5)
int sqlite_error(sqlite3 *db, int code, struct error *error, const char *format, ...);

/* Open an existing file. The first one to open it must hold the writers' lock and migrate. 0 or an
 * error of the store. Free with sqlite_link_free(). */
MUST_CHECK int sqlite_link_open(const char *path, struct sqlite_link **link, struct error *error);
void sqlite_link_free(struct sqlite_link *link);

/* How long a statement waits for a lock of somebody else's. A fresh link waits for
 * STORE_BUSY_TIMEOUT. */
void sqlite_link_set_timeout(struct sqlite_link *link, usec_t timeout);

/* Whether commits wait until the disk has them. Outside of transactions. 0 or an error. */
MUST_CHECK int sqlite_link_relax(struct sqlite_link *link, bool relaxed);

/* One run of a statement: begin, bind from left to right, step, end. After a failure the rest does
 * nothing, and `step` reports it. */
struct query {
    struct sqlite_link *link;
    sqlite3_stmt *statement;
    int bound;
    int code; /* SQLite's */
};

struct query query_begin(struct sqlite_link *link, enum sqlite_statement statement);
void query_bind_int(struct query *query, int64_t value);
void query_bind_null(struct query *query);
void query_bind_text(struct query *query, struct str text);
void query_bind_blob(struct query *query, struct str bytes);
void query_bind_agent(struct query *query, struct store_agent_id agent);

/* 1: a row, 0: no more, negative: an error of the store, its words are in link->error. */
MUST_CHECK int query_step(struct query *query);
void query_end(struct query *query);

/* Views, until the next step. */
int64_t query_int(const struct query *query, int column);
struct str query_bytes(const struct query *query, int column);
struct store_agent_id query_agent(const struct query *query, int column);

/* Begin and end for statements without rows: what the last step said. */
MUST_CHECK int query_run(struct query *query);
/* Likewise, for one row with one number, which there is. */
MUST_CHECK int query_number(struct query *query, int64_t *number);

/* A statement without parameters and rows. */
MUST_CHECK int sqlite_run(struct sqlite_link *link, enum sqlite_statement statement);

#endif
