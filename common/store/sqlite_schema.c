/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations, applied in order, never changed once released. The database remembers how many it has
 * had (user_version), and that it is ours (application_id). */
#include "store/sqlite_schema.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "store/sqlite_link.h"

/* "Port" */
#define APPLICATION_ID 0x506f7274

static const char *const migrations[] = {
    /* 1. Sightings stand apart: they change all the time, and beside keys and certificates two
     * would fill a page. States of requests: 1 queued, 2 expired, 3 finished; the partial index is
     * the queue. `args` is kept apart from `raw` only when it is no part of it. Messages are
     * indexed by time first: agents' clocks go together, so new ones meet on a few pages, whoever
     * sent them. AUTOINCREMENT: a
     * number that was given out is never given out again, even when its row is gone. */
    "CREATE TABLE agents (id BLOB PRIMARY KEY NOT NULL, state INTEGER NOT NULL,"
    " version INTEGER NOT NULL, first_seen INTEGER NOT NULL, key BLOB NOT NULL,"
    " certificate BLOB NOT NULL);"
    "CREATE UNIQUE INDEX agents_version ON agents (version);"
    "CREATE TABLE sightings (agent BLOB PRIMARY KEY NOT NULL, last_seen INTEGER NOT NULL,"
    " clock INTEGER NOT NULL, address TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE requests (id INTEGER PRIMARY KEY AUTOINCREMENT, agent BLOB NOT NULL,"
    " flow TEXT NOT NULL, request INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 1,"
    " deliveries INTEGER NOT NULL DEFAULT 0, leased_until INTEGER NOT NULL DEFAULT 0,"
    " expected INTEGER NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, action TEXT NOT NULL, args_type TEXT NOT NULL,"
    " cpu_limit INTEGER NOT NULL, network_limit INTEGER NOT NULL,"
    " runtime_limit INTEGER NOT NULL, args BLOB NOT NULL);"
    "CREATE UNIQUE INDEX requests_name ON requests (agent, flow, request);"
    "CREATE INDEX requests_queue ON requests (agent, flow, request) WHERE state = 1;"
    "CREATE TABLE responses (id INTEGER PRIMARY KEY, agent BLOB NOT NULL, flow TEXT NOT NULL,"
    " request INTEGER NOT NULL, response INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " received INTEGER NOT NULL, args_type TEXT NOT NULL, args_offset INTEGER,"
    " args_length INTEGER, args BLOB, raw BLOB NOT NULL);"
    "CREATE UNIQUE INDEX responses_name ON responses (agent, flow, request, response);"
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, agent BLOB NOT NULL,"
    " packet_timestamp INTEGER, place INTEGER NOT NULL, handler TEXT NOT NULL,"
    " received INTEGER NOT NULL, args_type TEXT NOT NULL, args_offset INTEGER,"
    " args_length INTEGER, args BLOB, raw BLOB NOT NULL);"
    "CREATE UNIQUE INDEX messages_name ON messages (packet_timestamp, agent, place);"
    "CREATE TABLE work (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
    " agent BLOB NOT NULL, flow TEXT NOT NULL, request INTEGER NOT NULL, handler TEXT NOT NULL,"
    " message INTEGER NOT NULL, created INTEGER NOT NULL,"
    " leased_until INTEGER NOT NULL DEFAULT 0, takes INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE probe (at INTEGER NOT NULL);"
    "INSERT INTO probe VALUES (0);",
};

static int read_number(sqlite3 *db, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        *number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int apply(sqlite3 *db, size_t version)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %zu;",
             APPLICATION_ID, version + 1);
    int code = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);
    return code == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : code;
}

/* A file with tables that carries no mark of ours is somebody else's. */
static int check_owner(sqlite3 *db, int64_t version, struct error *error)
{
    int64_t id = 0;
    int64_t tables = 0;
    int code = read_number(db, "PRAGMA application_id", &id);
    code =
        code != SQLITE_OK ? code : read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK) {
        return sqlite_error(db, code, error, "cannot read the database");
    }
    if (id != APPLICATION_ID && (tables > 0 || version > 0)) {
        return error_set(error, -EUCLEAN, "the database belongs to another program");
    }
    if (version > (int64_t)ARRAY_LEN(migrations)) {
        return error_set(
            error, -ENOTSUP,
            "the database has schema %lld, made by a newer version; this one knows %zu",
            (long long)version, ARRAY_LEN(migrations));
    }
    return 0;
}

int sqlite_schema_read(sqlite3 *db, int64_t *version, struct error *error)
{
    int64_t found = 0;
    int code = read_number(db, "PRAGMA user_version", &found);
    int r = code == SQLITE_OK ? check_owner(db, found, error)
                              : sqlite_error(db, code, error, "cannot read the database");
    if (r == 0 && found == 0) {
        r = error_set(error, -EUCLEAN, "the database has no tables");
    }
    if (r == 0) {
        *version = found;
    }
    return r;
}

int sqlite_schema_migrate(sqlite3 *db, struct error *error)
{
    int64_t version = 0;
    int code = read_number(db, "PRAGMA user_version", &version);
    if (code != SQLITE_OK) {
        return sqlite_error(db, code, error, "cannot read the database");
    }
    int r = check_owner(db, version, error);
    if (r < 0 || version == (int64_t)ARRAY_LEN(migrations)) {
        return r;
    }
    code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t i = (size_t)version; code == SQLITE_OK && i < ARRAY_LEN(migrations); i++) {
        code = apply(db, i);
    }
    code = code == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : code;
    if (code != SQLITE_OK) {
        r = sqlite_error(db, code, error, "cannot create the tables");
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return r;
}
