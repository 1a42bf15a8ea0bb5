/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite engine's life: opening, transactions, failures and coming back from them. One writing
 * connection, used by whose turn it is; a few reading ones, lent out. */
#include "store/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/sqlite_lock.h"
#include "store/sqlite_schema.h"

enum {
    READERS_MAX = 8,
    BACKUP_PAGES = 1024, /* of 4 KiB, between two looks at who watches */
};

/* How long a failure to open is believed before the next attempt. */
static const usec_t reopen_period = 100 * USEC_PER_MSEC;

struct sqlite {
    struct store store; /* stays first */
    char *directory;
    char *path;
    char *lock_path;
    struct sqlite_lock lock;

    /* For whose turn it is in `lock`. */
    struct sqlite_link *writer; /* NULL: not open */
    bool was_open;              /* then nothing is created any more */
    dev_t device;               /* which file the connections have open */
    ino_t inode;
    int open_result; /* of the last attempt, for reopen_period */
    usec_t open_failed;
    struct error open_error;

    /* Connections of another generation are closed instead of used. */
    _Atomic uint64_t generation;
    atomic_bool write_failed; /* the last one */

    pthread_mutex_t readers_lock; /* for the two below */
    pthread_cond_t reader_idle;
    struct sqlite_link *idle;
    unsigned readers; /* idle and lent out */
};

/* ---- opening ---- */

static int create_directory(const struct sqlite *sqlite, struct error *error)
{
    if (mkdir(sqlite->directory, 0700) < 0 && errno != EEXIST) {
        return error_set_errno(error, -errno, "cannot create %s", sqlite->directory);
    }
    return 0;
}

/* Made here, not by SQLite, for its mode. Never opened when it exists: closing it would drop the
 * locks that SQLite holds on it elsewhere in this process (fcntl(2), POSIX locks). */
static int create_file(const struct sqlite *sqlite, struct error *error)
{
    int fd = open(sqlite->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == EEXIST ? 0
                               : error_set_errno(error, -errno, "cannot create %s", sqlite->path);
    }
    close(fd);
    return 0;
}

static int find_file(const struct sqlite *sqlite, struct stat *status, struct error *error)
{
    if (stat(sqlite->path, status) < 0) {
        return error_set_errno(error, -errno, "cannot find %s", sqlite->path);
    }
    return 0;
}

/* The caller holds the lock on the lock file. */
static int open_database(struct sqlite *sqlite, struct error *error)
{
    struct sqlite_link *link = NULL;
    struct stat status;
    int r = sqlite->was_open ? 0 : create_file(sqlite, error);
    r = r < 0 ? r : find_file(sqlite, &status, error);
    r = r < 0 ? r : sqlite_link_open(sqlite->path, &link, error);
    r = r < 0 ? r : sqlite_schema_migrate(link->db, error);
    if (r < 0) {
        sqlite_link_free(link);
        return r;
    }
    link->generation = sqlite->generation;
    sqlite->writer = link;
    sqlite->device = status.st_dev;
    sqlite->inode = status.st_ino;
    sqlite->was_open = true;
    return 0;
}

static usec_t busy_deadline(const struct sqlite *sqlite)
{
    return usec_add(clock_monotonic(&clock_system), sqlite->store.busy_timeout);
}

/* The right to write, before all other processes, and what is left of the time for strangers who
 * lock the database without asking for it. */
static int acquire(struct sqlite *sqlite, usec_t deadline, struct error *error)
{
    int r = sqlite_lock_acquire(&sqlite->lock, deadline, sqlite->store.busy_timeout, error);
    if (r == 0 && sqlite->writer != NULL) {
        sqlite_link_set_timeout(sqlite->writer, deadline - clock_monotonic(&clock_system));
    }
    return r;
}

static int open_all(struct sqlite *sqlite, usec_t deadline, struct error *error)
{
    struct stat status;
    int r = sqlite->was_open ? find_file(sqlite, &status, error) : create_directory(sqlite, error);
    r = r < 0 ? r : sqlite_lock_open(&sqlite->lock, sqlite->lock_path, error);
    r = r < 0 ? r : acquire(sqlite, deadline, error);
    if (r == 0) {
        r = open_database(sqlite, error);
        sqlite_lock_release(&sqlite->lock);
    }
    return r;
}

static bool failed_recently(const struct sqlite *sqlite)
{
    return sqlite->open_result < 0 &&
           clock_monotonic(&clock_system) - sqlite->open_failed < reopen_period;
}

/* By whose turn it is. 0 when sqlite->writer can be used. */
static int ensure_open(struct sqlite *sqlite, usec_t deadline, struct error *error)
{
    if (sqlite->writer != NULL && sqlite->writer->generation == sqlite->generation) {
        return 0;
    }
    sqlite_link_free(sqlite->writer);
    sqlite->writer = NULL;
    if (!failed_recently(sqlite)) {
        sqlite->open_error = (struct error){.line = 0};
        sqlite->open_result = open_all(sqlite, deadline, &sqlite->open_error);
        sqlite->open_failed = clock_monotonic(&clock_system);
    }
    if (sqlite->open_result < 0 && error != NULL) {
        *error = sqlite->open_error;
    }
    return sqlite->open_result;
}

/* The connections may belong to a file that nobody will find any more: what is written there is
 * lost. */
static int check_file(struct sqlite *sqlite, struct error *error)
{
    struct stat status;
    int r = find_file(sqlite, &status, error);
    if (r == 0 && (status.st_dev != sqlite->device || status.st_ino != sqlite->inode)) {
        r = error_set(error, -ENOENT, "%s is another file than it was", sqlite->path);
    }
    return r;
}

/* ---- failing ---- */

/* After these nothing that is open can be relied on. */
static bool wants_reopening(int code)
{
    switch (code) {
    case -EIO:
    case -EUCLEAN:
    case -EROFS:
    case -EACCES:
    case -ENOENT:
    case -ENOTDIR:
        return true;
    default:
        return false;
    }
}

/* Errors that tell of the store, not of the arguments. */
static bool is_medium_error(int code)
{
    return wants_reopening(code) || code == -ENOSPC || code == -EBUSY || code == -ENOTSUP;
}

static int note(struct sqlite *sqlite, uint64_t generation, int result)
{
    if (wants_reopening(result)) {
        /* Once, however many notice it. */
        atomic_compare_exchange_strong(&sqlite->generation, &generation, generation + 1);
    }
    return result;
}

/* ---- writing ---- */

static int finish(struct sqlite_link *link, int result)
{
    if (result >= 0) {
        int r = sqlite_run(link, RUN(COMMIT));
        result = r < 0 ? r : result;
    }
    /* Some failures have rolled back already. */
    if (result < 0 && sqlite3_get_autocommit(link->db) == 0) {
        struct error *error = link->error;
        link->error = NULL; /* the first words count */
        result = sqlite_run(link, RUN(ROLLBACK)) < 0 ? -EIO : result;
        link->error = error;
    }
    return result;
}

static int transact(struct sqlite *sqlite, enum store_durability durability, sqlite_work *work,
                    void *context, struct error *error)
{
    struct sqlite_link *link = sqlite->writer;
    link->error = error;
    int r = sqlite_link_relax(link, durability == STORE_RELAXED);
    r = r < 0 ? r : sqlite_run(link, RUN(BEGIN));
    if (r == 0) {
        r = finish(link, work(&sqlite->store, link, context));
    }
    if (r >= 0) {
        int there = check_file(sqlite, error);
        r = there < 0 ? there : r;
    }
    link->error = NULL;
    return r;
}

/* Open, and the file that is open is the one at its place. */
static int make_ready(struct sqlite *sqlite, usec_t deadline, struct error *error)
{
    int r = ensure_open(sqlite, deadline, error);
    if (r == 0 && check_file(sqlite, NULL) < 0) {
        sqlite->generation++;
        r = ensure_open(sqlite, deadline, error);
    }
    return r;
}

int sqlite_write(struct store *store, enum store_durability durability, sqlite_work *work,
                 void *context, struct error *error)
{
    struct sqlite *sqlite = (struct sqlite *)store;
    usec_t deadline = busy_deadline(sqlite);
    int r = sqlite_lock_enter(&sqlite->lock, deadline, error);
    if (r < 0) {
        sqlite->write_failed = true;
        return r;
    }
    r = make_ready(sqlite, deadline, error);
    uint64_t generation = sqlite->generation;
    r = r < 0 ? r : acquire(sqlite, deadline, error);
    if (r == 0) {
        r = transact(sqlite, durability, work, context, error);
        sqlite_lock_release(&sqlite->lock);
    }
    sqlite->write_failed = is_medium_error(r);
    note(sqlite, generation, r);
    sqlite_lock_leave(&sqlite->lock);
    return r;
}

/* ---- reading ---- */

/* An idle connection, or the right to open one (NULL). */
static struct sqlite_link *take_idle(struct sqlite *sqlite)
{
    pthread_mutex_lock(&sqlite->readers_lock);
    while (sqlite->idle == NULL && sqlite->readers == READERS_MAX) {
        pthread_cond_wait(&sqlite->reader_idle, &sqlite->readers_lock);
    }
    struct sqlite_link *link = sqlite->idle;
    if (link == NULL) {
        sqlite->readers++;
    } else {
        sqlite->idle = link->next;
    }
    pthread_mutex_unlock(&sqlite->readers_lock);
    return link;
}

/* NULL: it could not be opened, somebody else may try. */
static void give_idle(struct sqlite *sqlite, struct sqlite_link *link)
{
    pthread_mutex_lock(&sqlite->readers_lock);
    if (link == NULL) {
        sqlite->readers--;
    } else {
        link->next = sqlite->idle;
        sqlite->idle = link;
    }
    pthread_cond_signal(&sqlite->reader_idle);
    pthread_mutex_unlock(&sqlite->readers_lock);
}

/* The writing connection comes first: it finds the file, and makes the tables. */
static int open_reader(struct sqlite *sqlite, struct sqlite_link **link, struct error *error)
{
    usec_t deadline = busy_deadline(sqlite);
    int r = sqlite_lock_enter(&sqlite->lock, deadline, error);
    if (r < 0) {
        return r;
    }
    r = ensure_open(sqlite, deadline, error);
    uint64_t generation = sqlite->generation;
    sqlite_lock_leave(&sqlite->lock);
    r = r < 0 ? r : sqlite_link_open(sqlite->path, link, error);
    if (r == 0) {
        (*link)->generation = generation;
    }
    return r;
}

int sqlite_read(struct store *store, sqlite_work *work, void *context, struct error *error)
{
    struct sqlite *sqlite = (struct sqlite *)store;
    struct sqlite_link *link = take_idle(sqlite);
    uint64_t generation = sqlite->generation;
    int r = 0;
    if (link != NULL && link->generation != generation) {
        sqlite_link_free(link);
        link = NULL;
    }
    if (link == NULL) {
        r = open_reader(sqlite, &link, error);
    }
    if (r == 0) {
        generation = link->generation;
        link->error = error;
        r = work(store, link, context);
        link->error = NULL;
    }
    note(sqlite, generation, r);
    give_idle(sqlite, link);
    return r;
}

int sqlite_fill_page(struct query *query, bool (*copy)(struct query *, void *context),
                     void *context)
{
    bool is_first = true;
    int r;
    while ((r = query_step(query)) > 0) {
        if (!copy(query, context)) {
            r = is_first ? error_set(query->link->error, -ENOMEM, "no room for one row") : 0;
            break;
        }
        is_first = false;
    }
    query_end(query);
    return r;
}

/* ---- the store itself ---- */

static int count(struct sqlite_link *link, enum sqlite_statement statement, uint64_t *total)
{
    struct query query = query_begin(link, statement);
    int64_t number = 0;
    int r = query_number(&query, &number);
    *total = (uint64_t)number;
    return r;
}

static int count_agents(struct sqlite_link *link, struct store_statistics *statistics)
{
    int r = 0;
    for (int state = STORE_ENROLLED; r == 0 && state <= STORE_FORGOTTEN; state++) {
        struct query query = query_begin(link, RUN(COUNT_AGENTS));
        int64_t number = 0;
        query_bind_int(&query, state);
        r = query_number(&query, &number);
        statistics->agents[state] = (uint64_t)number;
        statistics->agents[0] += (uint64_t)number;
    }
    return r;
}

static int count_all(struct store *store, struct sqlite_link *link, void *context)
{
    struct store_statistics *statistics = context;
    (void)store;
    int r = count_agents(link, statistics);
    r = r < 0 ? r : count(link, RUN(COUNT_QUEUED), &statistics->requests_queued);
    r = r < 0 ? r : count(link, RUN(COUNT_REQUESTS), &statistics->requests);
    r = r < 0 ? r : count(link, RUN(COUNT_RESPONSES), &statistics->responses);
    r = r < 0 ? r : count(link, RUN(COUNT_MESSAGES), &statistics->messages);
    r = r < 0 ? r : count(link, RUN(COUNT_WORK), &statistics->work);
    return r < 0 ? r : count(link, RUN(COUNT_BYTES), &statistics->bytes);
}

static int read_statistics(struct store *store, struct store_statistics *out, struct error *error)
{
    struct sqlite *sqlite = (struct sqlite *)store;
    struct store_statistics statistics = {.requests = 0};
    char wal[4096];
    struct stat status;
    int r = sqlite_read(store, count_all, &statistics, error);
    if (r < 0) {
        return r;
    }
    snprintf(wal, sizeof wal, "%s-wal", sqlite->path);
    statistics.bytes += stat(wal, &status) == 0 ? (uint64_t)status.st_size : 0;
    *out = statistics;
    return 0;
}

static int probe_read(struct store *store, struct sqlite_link *link, void *context)
{
    struct query query = query_begin(link, RUN(PROBE_READ));
    (void)store;
    return query_number(&query, context);
}

static int probe_write(struct store *store, struct sqlite_link *link, void *context)
{
    struct query query = query_begin(link, RUN(PROBE_WRITE));
    (void)context;
    query_bind_int(&query, sqlite_now(store));
    return query_run(&query);
}

static int check(struct store *store, struct error *error)
{
    struct sqlite *sqlite = (struct sqlite *)store;
    int64_t rows = 0;
    usec_t deadline = busy_deadline(sqlite);
    int r = sqlite_lock_enter(&sqlite->lock, deadline, error);
    if (r < 0) {
        return r;
    }
    r = make_ready(sqlite, deadline, error);
    sqlite_lock_leave(&sqlite->lock);
    r = r < 0 ? r : sqlite_read(store, probe_read, &rows, error);
    if (r == 0 && rows != 1) {
        r = error_set(error, -EUCLEAN, "the database has lost its probe");
    }
    if (r == 0 && sqlite->write_failed) {
        r = sqlite_write(store, STORE_DURABLE, probe_write, NULL, error);
    }
    return r;
}

struct backup {
    const char *path;
    const struct store_progress *progress; /* NULL: nobody watches */
};

static bool goes_on(const struct backup *backup, sqlite3_backup *copy)
{
    int total = sqlite3_backup_pagecount(copy);
    int left = sqlite3_backup_remaining(copy);
    return backup->progress == NULL ||
           backup->progress->step(backup->progress->context, (uint64_t)(total - left),
                                  (uint64_t)total);
}

/* The caller reads, so that all steps see one state: a copy in steps would else begin anew with
 * each commit of another process. Readers do not keep writers waiting. */
static int copy_pages(const struct backup *backup, sqlite3 *target, sqlite3 *source,
                      struct error *error)
{
    sqlite3_backup *copy = sqlite3_backup_init(target, "main", source, "main");
    bool is_wanted = true;
    int code = SQLITE_OK;
    if (copy == NULL) {
        return sqlite_error(target, sqlite3_errcode(target), error, "cannot begin a copy");
    }
    while (code == SQLITE_OK && is_wanted) {
        code = sqlite3_backup_step(copy, BACKUP_PAGES);
        is_wanted = goes_on(backup, copy);
    }
    int last = sqlite3_backup_finish(copy);
    if (code == SQLITE_OK) {
        return error_set(error, -ECANCELED, "the copy was given up");
    }
    return code == SQLITE_DONE && last == SQLITE_OK
               ? 0
               : sqlite_error(target, code == SQLITE_DONE ? last : code, error, "cannot copy");
}

static int copy_to(const struct backup *backup, struct sqlite_link *link)
{
    sqlite3 *target = NULL;
    int code =
        sqlite3_open_v2(backup->path, &target,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* Nobody wants half of it, so it needs no journal that would undo it. */
    code = code == SQLITE_OK ? sqlite3_exec(target, "PRAGMA journal_mode = OFF", NULL, NULL, NULL)
                             : code;
    int r = code == SQLITE_OK
                ? copy_pages(backup, target, link->db, link->error)
                : sqlite_error(target, code, link->error, "cannot open %s", backup->path);
    sqlite3_close(target);
    return r;
}

static int copy_database(struct store *store, struct sqlite_link *link, void *context)
{
    int64_t rows = 0;
    (void)store;
    int r = sqlite_run(link, RUN(BEGIN_READ));
    if (r < 0) {
        return r;
    }
    struct query query = query_begin(link, RUN(PROBE_READ)); /* from here on the state is fixed */
    r = query_number(&query, &rows);
    r = r < 0 ? r : copy_to(context, link);
    struct error *error = link->error;
    link->error = NULL; /* the first words count */
    int end = sqlite_run(link, RUN(ROLLBACK));
    link->error = error;
    return r < 0 ? r : end;
}

/* Written by SQLite, so flushed once more: the journal is off, and with it some of its care. */
static int flush_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? error_set_errno(error, -errno, "cannot flush %s", path) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int backup(struct store *store, const char *path, const struct store_progress *progress,
                  struct error *error)
{
    struct backup target = {path, progress};
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(error, -errno, "cannot create %s", path);
    }
    close(fd);
    int r = sqlite_read(store, copy_database, &target, error);
    r = r < 0 ? r : flush_file(path, error);
    if (r < 0) {
        unlink(path);
    }
    return r;
}

static void free_sqlite(struct store *store)
{
    struct sqlite *sqlite = (struct sqlite *)store;
    while (sqlite->idle != NULL) {
        struct sqlite_link *link = sqlite->idle;
        sqlite->idle = link->next;
        sqlite_link_free(link);
    }
    sqlite_link_free(sqlite->writer);
    sqlite_lock_done(&sqlite->lock);
    pthread_mutex_destroy(&sqlite->readers_lock);
    pthread_cond_destroy(&sqlite->reader_idle);
    store_done(store);
    free(sqlite->directory);
    free(sqlite->path);
    free(sqlite->lock_path);
    free(sqlite);
}

static const struct store_methods sqlite_methods = {
    .name = "SQLite",
    .read_agent = sqlite_read_agent,
    .enrol_agent = sqlite_enrol_agent,
    .set_state = sqlite_set_state,
    .list_agents = sqlite_list_agents,
    .queue_request = sqlite_queue_request,
    .list_requests = sqlite_list_requests,
    .commit = sqlite_commit,
    .has_queued = sqlite_has_queued,
    .list_responses = sqlite_list_responses,
    .list_messages = sqlite_list_messages,
    .take_work = sqlite_take_work,
    .acknowledge_work = sqlite_acknowledge_work,
    .give_back_work = sqlite_give_back_work,
    .read_changes = sqlite_read_changes,
    .read_statistics = read_statistics,
    .check = check,
    .backup = backup,
    .free = free_sqlite,
};

static struct sqlite *make(const char *directory, const struct clock *clock)
{
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    if (sqlite == NULL) {
        return NULL;
    }
    sqlite_lock_init(&sqlite->lock);
    pthread_mutex_init(&sqlite->readers_lock, NULL);
    pthread_cond_init(&sqlite->reader_idle, NULL);
    int r = store_init(&sqlite->store, &sqlite_methods, clock);
    sqlite->directory = strdup(directory);
    if (r < 0 || sqlite->directory == NULL ||
        asprintf(&sqlite->path, "%s/portico.db", directory) < 0 ||
        asprintf(&sqlite->lock_path, "%s/portico.lock", directory) < 0) {
        free_sqlite(&sqlite->store);
        return NULL;
    }
    return sqlite;
}

/* Counting memory costs a lock that all connections share for each allocation, and nobody asks. Too
 * late, or a library without the option, is no reason to fail. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int store_sqlite_open_with(const struct store_sqlite_settings *settings, struct store **store,
                           struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    struct sqlite *sqlite = make(settings->directory, settings->clock);
    if (sqlite == NULL) {
        return error_set(error, -ENOMEM, "no memory for a store");
    }
    sqlite->was_open = settings->must_exist;
    if (settings->busy_timeout > 0) {
        sqlite->store.busy_timeout = settings->busy_timeout;
    }
    usec_t deadline = busy_deadline(sqlite);
    int r = sqlite_lock_enter(&sqlite->lock, deadline, error);
    CHECK(r == 0); /* nobody else knows of it */
    r = ensure_open(sqlite, deadline, error);
    sqlite_lock_leave(&sqlite->lock);
    if (r < 0) {
        free_sqlite(&sqlite->store);
        return error_wrap(error, r, "cannot open the store in %s", settings->directory);
    }
    *store = &sqlite->store;
    return 0;
}

int store_sqlite_open(const char *directory, const struct clock *clock, struct store **store,
                      struct error *error)
{
    const struct store_sqlite_settings settings = {.directory = directory, .clock = clock};
    return store_sqlite_open_with(&settings, store, error);
}

int store_sqlite_open_existing(const char *directory, const struct clock *clock,
                               struct store **store, struct error *error)
{
    const struct store_sqlite_settings settings = {
        .directory = directory, .clock = clock, .must_exist = true};
    return store_sqlite_open_with(&settings, store, error);
}
