/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into a database without being a part of it. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "store/sqlite_link.h"
#include "store/sqlite_schema.h"
#include "store/store_inspect.h"

enum {
    STEPS_BETWEEN_LOOKS = 10000, /* of SQLite's machine, some milliseconds */
    PATIENCE_MS = 2000,          /* for somebody who recovers the database */
};

struct inspector {
    const struct store_inspect_settings *settings;
    sqlite3 *db;
    usec_t deadline;
    struct store_inspection found;
};

/* "file:" and the path with what a URI gives a meaning (RFC 3986 2.1) escaped. NULL: no memory. */
static char *make_uri(const char *path, const char *query)
{
    size_t len = strlen(path);
    char *uri = malloc(3 * len + strlen(query) + sizeof "file:");
    if (uri == NULL) {
        return NULL;
    }
    char *at = uri + sprintf(uri, "file:");
    for (size_t i = 0; i < len; i++) {
        bool is_plain = strchr("?#%", path[i]) == NULL;
        at += sprintf(at, is_plain ? "%c" : "%%%02X", (unsigned char)path[i]);
    }
    memcpy(at, query, strlen(query) + 1);
    return uri;
}

static int open_database(struct inspector *inspector, struct error *error)
{
    const char *file = inspector->settings->file;
    /* Beside a copy, which may lie on a medium that nobody writes, there is no log to be read. */
    char *uri = make_uri(file, inspector->settings->is_copy ? "?immutable=1" : "");
    if (uri == NULL) {
        return error_set(error, -ENOMEM, "no memory for a database connection");
    }
    int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
    int code = sqlite3_open_v2(uri, &inspector->db, flags, NULL);
    free(uri);
    if (code != SQLITE_OK) {
        return sqlite_error(inspector->db, code, error, "cannot open %s", file);
    }
    sqlite3_busy_timeout(inspector->db, PATIENCE_MS);
    return 0;
}

/* The number in the first row. 1: there is a row, 0: none. */
static int ask(struct inspector *inspector, const char *sql, int64_t parameter, int64_t *number,
               struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(inspector->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 0) {
        code = sqlite3_bind_int64(statement, 1, parameter);
    }
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
    }
    int r = code == SQLITE_ROW    ? 1
            : code == SQLITE_DONE ? 0
                                  : sqlite_error(inspector->db, code, error, "cannot read %s",
                                                 inspector->settings->file);
    sqlite3_finalize(statement);
    return r;
}

static int count(struct inspector *inspector, const char *sql, uint64_t *number,
                 struct error *error)
{
    int64_t rows = 0;
    int r = ask(inspector, sql, 0, &rows, error);
    *number = (uint64_t)rows;
    return r < 0 ? r : 0;
}

static int count_all(struct inspector *inspector, struct error *error)
{
    struct store_statistics *counts = &inspector->found.counts;
    const struct {
        const char *sql;
        uint64_t *number;
    } questions[] = {
        {"SELECT count(*) FROM agents", &counts->agents[0]},
        {"SELECT count(*) FROM agents WHERE state = 1", &counts->agents[STORE_ENROLLED]},
        {"SELECT count(*) FROM agents WHERE state = 2", &counts->agents[STORE_PENDING]},
        {"SELECT count(*) FROM agents WHERE state = 3", &counts->agents[STORE_FORGOTTEN]},
        {"SELECT count(*) FROM requests WHERE state = 1", &counts->requests_queued},
        {"SELECT count(*) FROM requests", &counts->requests},
        {"SELECT count(*) FROM responses", &counts->responses},
        {"SELECT count(*) FROM messages", &counts->messages},
        {"SELECT count(*) FROM work", &counts->work},
        {"SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &counts->bytes},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(questions) && r == 0; i++) {
        r = count(inspector, questions[i].sql, questions[i].number, error);
    }
    return r;
}

/* The median, for any single clock may be wrong by years. */
static int compare_clocks(struct inspector *inspector, struct error *error)
{
#define FRESH " FROM sightings WHERE clock > 0 AND last_seen >= ?1"
    int64_t agents = 0;
    int64_t ahead = 0;
    usec_t since = inspector->settings->seen_since;
    int r = ask(inspector, "SELECT count(*)" FRESH, since, &agents, error);
    if (r > 0 && agents > 0) {
        r = ask(inspector,
                "SELECT clock - last_seen" FRESH
                " ORDER BY 1 LIMIT 1 OFFSET (SELECT count(*) / 2" FRESH ")",
                since, &ahead, error);
    }
#undef FRESH
    inspector->found.compared = (uint64_t)agents;
    inspector->found.ahead = ahead;
    return r < 0 ? r : 0;
}

static int is_too_late(void *context)
{
    const struct inspector *inspector = context;
    return clock_monotonic(&clock_system) > inspector->deadline;
}

static int examine(struct inspector *inspector, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = inspector->settings->examination == STORE_EXAMINE_QUICKLY
                          ? "PRAGMA quick_check(1)"
                          : "PRAGMA integrity_check(1)";
    inspector->deadline = usec_add(clock_monotonic(&clock_system), inspector->settings->patience);
    sqlite3_progress_handler(inspector->db, STEPS_BETWEEN_LOOKS, is_too_late, inspector);
    int code = sqlite3_prepare_v2(inspector->db, sql, -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    int r = 0;
    if (code == SQLITE_ROW) {
        const char *words = (const char *)sqlite3_column_text(statement, 0);
        inspector->found.is_examined = words != NULL && strcmp(words, "ok") == 0;
        if (!inspector->found.is_examined) {
            r = error_set(error, -EUCLEAN, "%s is damaged: %s", inspector->settings->file,
                          words == NULL ? "no memory to tell how" : words);
        }
    } else if (code != SQLITE_INTERRUPT) {
        r = sqlite_error(inspector->db, code, error, "cannot examine %s",
                         inspector->settings->file);
    }
    sqlite3_finalize(statement);
    return r;
}

int store_inspect(const struct store_inspect_settings *settings,
                  struct store_inspection *inspection, struct error *error)
{
    struct inspector inspector = {.settings = settings};
    int r = open_database(&inspector, error);
    r = r < 0 ? r : sqlite_schema_read(inspector.db, &inspector.found.schema, error);
    r = r < 0 ? r : count_all(&inspector, error);
    r = r < 0 ? r : compare_clocks(&inspector, error);
    r = r < 0 ? r : examine(&inspector, error);
    sqlite3_close(inspector.db);
    if (r == 0) {
        *inspection = inspector.found;
    }
    return r;
}

/* Each connection in WAL mode has a lock for reading on this byte of the file with the log's index
 * (UNIX_SHM_DMS in SQLite's os_unix.c), which goes with the last of them. */
enum { CONNECTED_BYTE = 128 };

int store_is_in_use(const char *file)
{
    char path[PATH_MAX];
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CONNECTED_BYTE, .l_len = 1};
    snprintf(path, sizeof path, "%.4000s-shm", file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    }
    int r = fcntl(fd, F_GETLK, &lock) < 0 ? -errno : lock.l_type != F_UNLCK;
    close(fd);
    return r;
}
