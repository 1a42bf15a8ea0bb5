/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, errors, statements. */
#include "store/sqlite_link.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

static const char *const sql_texts[] = {
#define STATEMENT(NAME, SQL) [SQLITE_##NAME##_STATEMENT] = SQL,
#include "store/sqlite_statements.def"
#undef STATEMENT
};

static const char setup[] = "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            /* What a long reader made the log grow to is given back. */
                            "PRAGMA journal_size_limit = 67108864;"
                            "PRAGMA cache_size = -8192;"
                            "PRAGMA temp_store = MEMORY;"
                            "PRAGMA trusted_schema = OFF;";

static int code_of_io_error(sqlite3 *db)
{
    int system = db == NULL ? 0 : sqlite3_system_errno(db);
    switch (system) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return -ENOSPC;
    case EROFS:
    case EACCES:
        return -system;
    case EPERM:
        return -EACCES;
    default:
        return -EIO;
    }
}

static int code_of(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: /* a statement that does not fit the tables */
        return -EUCLEAN;
    case SQLITE_READONLY:
        return code == SQLITE_READONLY_DBMOVED ? -ENOENT : -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return db != NULL && sqlite3_system_errno(db) == ENOENT ? -ENOENT : code_of_io_error(db);
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
        return -EINVAL;
    default:
        return code_of_io_error(db);
    }
}

int sqlite_error(sqlite3 *db, int code, struct error *error, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return error_set(error, code_of(db, code), "%s: %s (SQLite %d)", what,
                     db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db), code);
}

/* Writers queue up before they ask the database, so only a stranger (an operator's tool, a
 * recovery) keeps them waiting here. */
void sqlite_link_set_timeout(struct sqlite_link *link, usec_t timeout)
{
    usec_t ms = timeout / USEC_PER_MSEC;
    sqlite3_busy_timeout(link->db, ms < 1 ? 1 : ms > INT_MAX ? INT_MAX : (int)ms);
}

static int configure(struct sqlite_link *link, struct error *error)
{
    int off;
    sqlite_link_set_timeout(link, STORE_BUSY_TIMEOUT);
    sqlite3_db_config(link->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &off);
    int code = sqlite3_exec(link->db, setup, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_error(link->db, code, error, "cannot use the database");
}

int sqlite_link_open(const char *path, struct sqlite_link **out, struct error *error)
{
    struct sqlite_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return error_set(error, -ENOMEM, "no memory for a database connection");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &link->db, flags, NULL);
    int r = code == SQLITE_OK ? configure(link, error)
                              : sqlite_error(link->db, code, error, "cannot open %s", path);
    if (r < 0) {
        sqlite_link_free(link);
        return r;
    }
    *out = link;
    return 0;
}

void sqlite_link_free(struct sqlite_link *link)
{
    if (link == NULL) {
        return;
    }
    for (size_t i = 0; i < SQLITE_STATEMENTS; i++) {
        sqlite3_finalize(link->statements[i]);
    }
    sqlite3_close(link->db);
    free(link);
}

int sqlite_link_relax(struct sqlite_link *link, bool relaxed)
{
    if (link->is_relaxed == relaxed) {
        return 0;
    }
    /* In WAL mode NORMAL leaves out the fsync() of each commit, and nothing else; the next FULL
     * commit brings earlier ones to the disk as well. */
    int code = sqlite3_exec(link->db,
                            relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL",
                            NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        return sqlite_error(link->db, code, link->error, "cannot choose durability");
    }
    link->is_relaxed = relaxed;
    return 0;
}

struct query query_begin(struct sqlite_link *link, enum sqlite_statement statement)
{
    struct query query = {.link = link, .code = SQLITE_OK};
    if (link->statements[statement] == NULL) {
        query.code =
            sqlite3_prepare_v3(link->db, sql_texts[statement], -1, SQLITE_PREPARE_PERSISTENT,
                               &link->statements[statement], NULL);
    }
    query.statement = link->statements[statement];
    return query;
}

static void bound(struct query *query, int code)
{
    query->code = code;
}

void query_bind_int(struct query *query, int64_t value)
{
    if (query->code == SQLITE_OK) {
        bound(query, sqlite3_bind_int64(query->statement, ++query->bound, value));
    }
}

void query_bind_null(struct query *query)
{
    if (query->code == SQLITE_OK) {
        bound(query, sqlite3_bind_null(query->statement, ++query->bound));
    }
}

/* An empty view may have no data, which SQLite would take for NULL. The bytes stay until
 * query_end(), so they are not copied. */
void query_bind_text(struct query *query, struct str text)
{
    if (query->code == SQLITE_OK) {
        bound(query,
              sqlite3_bind_text64(query->statement, ++query->bound, text.len == 0 ? "" : text.data,
                                  text.len, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void query_bind_blob(struct query *query, struct str bytes)
{
    if (query->code == SQLITE_OK) {
        bound(query,
              sqlite3_bind_blob64(query->statement, ++query->bound,
                                  bytes.len == 0 ? "" : bytes.data, bytes.len, SQLITE_STATIC));
    }
}

/* Copied: ids are often on the stack of who binds them. */
void query_bind_agent(struct query *query, struct store_agent_id agent)
{
    if (query->code == SQLITE_OK) {
        bound(query, sqlite3_bind_blob(query->statement, ++query->bound, agent.bytes,
                                       sizeof agent.bytes, SQLITE_TRANSIENT));
    }
}

int query_step(struct query *query)
{
    if (query->code == SQLITE_OK) {
        query->code = sqlite3_step(query->statement);
    }
    if (query->code == SQLITE_ROW) {
        query->code = SQLITE_OK;
        return 1;
    }
    if (query->code == SQLITE_DONE) {
        return 0;
    }
    return sqlite_error(query->link->db, query->code, query->link->error, "the store failed");
}

void query_end(struct query *query)
{
    if (query->statement != NULL) {
        sqlite3_reset(query->statement);
        sqlite3_clear_bindings(query->statement);
    }
}

int64_t query_int(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

struct str query_bytes(const struct query *query, int column)
{
    const void *data = sqlite3_column_blob(query->statement, column);
    return str_make(data, (size_t)sqlite3_column_bytes(query->statement, column));
}

struct store_agent_id query_agent(const struct query *query, int column)
{
    struct store_agent_id agent = {{0}};
    struct str bytes = query_bytes(query, column);
    if (bytes.len == sizeof agent.bytes) {
        memcpy(agent.bytes, bytes.data, sizeof agent.bytes);
    }
    return agent;
}

int query_run(struct query *query)
{
    int r = query_step(query);
    query_end(query);
    return r;
}

int query_number(struct query *query, int64_t *number)
{
    int r = query_step(query);
    if (r > 0) {
        *number = query_int(query, 0);
        r = 0;
    }
    query_end(query);
    return r;
}

int sqlite_run(struct sqlite_link *link, enum sqlite_statement statement)
{
    struct query query = query_begin(link, statement);
    return query_run(&query);
}
