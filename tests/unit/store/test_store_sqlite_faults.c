/* SPDX-License-Identifier: Apache-2.0 */
/* What the SQLite engine does when the file, the disk or somebody else is not as it should be. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"
#include "store/store_inspect.h"
#include "store/store_sqlite.h"
#include "support/support.h"

static char *parent;
static char directory[4096];
static char path[4200];
static struct contract contract;

static int try_open(void)
{
    contract.store = NULL;
    return store_sqlite_open(directory, &clock_system, &contract.store, &contract.error);
}

static void open_store(void)
{
    cr_assert_eq(try_open(), 0, "%s", contract.error.message);
}

static void set_up(void)
{
    parent = make_temporary_directory();
    snprintf(directory, sizeof directory, "%s/store", parent);
    snprintf(path, sizeof path, "%s/portico.db", directory);
    arena_init(&contract.arena, 65536, 64 << 20);
}

static void tear_down(void)
{
    store_free(contract.store);
    arena_done(&contract.arena);
    remove_temporary_directory(parent);
}

TestSuite(store_sqlite_faults, .init = set_up, .fini = tear_down);

static int store_message(uint64_t timestamp)
{
    struct store_message message = test_message(timestamp, 0);
    return store_messages(&contract, 1, &message, 1);
}

/* Attempts to open again are made ten times a second. */
static int store_message_patiently(uint64_t timestamp)
{
    int r = store_message(timestamp);
    for (int i = 0; i < 100 && r < 0; i++) {
        usleep(20000);
        r = store_message(timestamp);
    }
    return r;
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

Test(store_sqlite_faults, files_belong_to_their_owner_alone)
{
    struct stat status;
    mode_t old = umask(0);
    open_store();
    umask(old);
    cr_assert_eq(stat(directory, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    enrol(&contract, 1);
    char other[4300];
    static const char *const suffixes[] = {"-wal", "-shm"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(other, sizeof other, "%s%s", path, suffixes[i]);
        cr_assert_eq(stat(other, &status), 0);
        cr_assert_eq(status.st_mode & 0777, 0600);
    }
}

Test(store_sqlite_faults, what_was_stored_is_there_after_opening_again)
{
    open_store();
    enrol(&contract, 1);
    cr_assert_eq(store_message(1), 0);
    store_free(contract.store);
    open_store();
    cr_assert_eq(count_messages(&contract, 1), 1);
}

Test(store_sqlite_faults, a_missing_parent_is_an_error)
{
    snprintf(directory, sizeof directory, "%s/a/b", parent);
    cr_assert_eq(try_open(), -ENOENT);
    cr_assert(strstr(contract.error.message, "/a/b") != NULL);
}

Test(store_sqlite_faults, a_newer_schema_is_refused)
{
    open_store();
    store_free(contract.store);
    run_sql("PRAGMA user_version = 1000");
    cr_assert_eq(try_open(), -ENOTSUP);
    cr_assert(strstr(contract.error.message, "newer") != NULL);
}

Test(store_sqlite_faults, another_programs_database_is_refused)
{
    cr_assert_eq(mkdir(directory, 0700), 0);
    run_sql("CREATE TABLE theirs (x)");
    cr_assert_eq(try_open(), -EUCLEAN);
}

static void overwrite(off_t from, size_t bytes)
{
    char rubbish[65536];
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof rubbish; i++) {
        rubbish[i] = (char)next_random(&random);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, rubbish, bytes, from), (ssize_t)bytes);
    close(fd);
}

Test(store_sqlite_faults, rubbish_is_refused)
{
    open_store();
    store_free(contract.store);
    overwrite(0, 8192);
    cr_assert_eq(try_open(), -EUCLEAN);
}

Test(store_sqlite_faults, damage_is_reported)
{
    open_store();
    enrol(&contract, 1);
    for (uint64_t i = 1; i <= 500; i++) {
        cr_assert_eq(store_message(i), 0);
    }
    store_free(contract.store);
    overwrite(4096, 60000);
    int r = try_open();
    r = r < 0 ? r : store_message(1000);
    cr_assert_eq(r, -EUCLEAN, "%d %s", r, contract.error.message);
    cr_assert_gt(strlen(contract.error.message), 0);
}

Test(store_sqlite_faults, a_removed_directory_is_noticed_and_its_return_too)
{
    char aside[4300];
    open_store();
    enrol(&contract, 1);
    cr_assert_eq(store_message(1), 0);
    snprintf(aside, sizeof aside, "%s.aside", directory);
    cr_assert_eq(rename(directory, aside), 0);
    cr_assert_eq(store_message(2), -ENOENT);
    cr_assert_eq(store_check(contract.store, &contract.error), -ENOENT);
    cr_assert_eq(access(directory, F_OK), -1); /* not made anew */
    cr_assert_eq(rename(aside, directory), 0);
    cr_assert_eq(store_message_patiently(2), 0, "%s", contract.error.message);
    cr_assert_eq(store_check(contract.store, &contract.error), 0, "%s", contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), 2);
}

Test(store_sqlite_faults, a_stranger_who_locks_for_long_is_reported_busy)
{
    sqlite3 *stranger = NULL;
    open_store();
    enrol(&contract, 1);
    cr_assert_eq(sqlite3_open(path, &stranger), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(store_message(1), -EBUSY);
    cr_assert_eq(count_messages(&contract, 1), 0); /* readers are not kept waiting */
    cr_assert_eq(sqlite3_exec(stranger, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(stranger);
    cr_assert_eq(store_message(1), 0);
}

/* Fill the store until it fails; how many bundles were acknowledged. */
/* The database itself refuses one of three bundles, when the first is written already. */
Test(store_sqlite_faults, a_bundle_that_the_database_refuses_leaves_the_others)
{
    open_store();
    enrol(&contract, 1);
    enrol(&contract, 2);
    enrol(&contract, 3);
    run_sql("CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.place = 7"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END");
    struct store_message good[] = {test_message(1, 0), test_message(1, 1)};
    struct store_message bad[] = {test_message(2, 0), test_message(2, 7)};
    struct store_bundle bundles[] = {
        {.agent = test_agent(1), .messages = good, .message_count = 2},
        {.agent = test_agent(2), .messages = bad, .message_count = 2},
        {.agent = test_agent(4), .messages = good, .message_count = 2}, /* unknown */
        {.agent = test_agent(3), .messages = good, .message_count = 2},
    };
    struct store_commit commits[ARRAY_LEN(bundles)] = {{.result = 0}};
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        commits[i].bundle = &bundles[i];
    }
    cr_assert_eq(store_commit(contract.store, commits, ARRAY_LEN(bundles), STORE_DURABLE, NULL), 0);
    const int expected[] = {0, -EINVAL, -ENODATA, 0};
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        cr_expect_eq(commits[i].result, expected[i], "%zu: %d", i, commits[i].result);
        cr_expect_eq(commits[i].fresh, expected[i] == 0 ? 2 : 0);
    }
    for (uint64_t agent = 1; agent <= 3; agent++) {
        cr_expect_eq(count_messages(&contract, agent), agent == 2 ? 0 : 2);
    }
}

static uint64_t fill(int *result)
{
    static char large[20000];
    uint64_t stored = 0;
    for (uint64_t i = 1; i < 2000; i++) {
        struct store_message message = test_message(i, 0);
        message.raw = message.args = str_make(large, sizeof large);
        *result = store_messages(&contract, 1, &message, 1);
        if (*result < 0) {
            break;
        }
        stored++;
    }
    return stored;
}

/* A limit or a quota: SQLite tells a full disk apart from other failures, but not these. */
Test(store_sqlite_faults, a_file_that_may_not_grow_is_an_error_until_it_may)
{
    int r = 0;
    struct rlimit old;
    open_store();
    enrol(&contract, 1);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit limit = {1 << 20, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t stored = fill(&r);
    cr_assert(r == -ENOSPC || r == -EIO, "%d %s", r, contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), stored);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_eq(store_message_patiently(5000), 0, "%s", contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), stored + 1);
    cr_assert_eq(store_check(contract.store, &contract.error), 0);
}

Test(store_sqlite_faults, a_full_disk_is_an_error_until_there_is_space)
{
    int r = 0;
    char ballast[4200];
    static char block[1 << 20];
    if (mount("portico-test", parent, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m") < 0) {
        SKIP_TEST("mounting a small file system needs root");
    }
    snprintf(ballast, sizeof ballast, "%s/ballast", parent);
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, block, sizeof block), sizeof block);
    close(fd);
    open_store();
    enrol(&contract, 1);
    uint64_t stored = fill(&r);
    cr_assert_eq(r, -ENOSPC, "%d %s", r, contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), stored);
    cr_assert_gt(stored, 10);
    cr_assert_eq(unlink(ballast), 0);
    cr_assert_eq(store_check(contract.store, &contract.error), 0, "%s", contract.error.message);
    cr_assert_eq(store_message_patiently(5000), 0, "%s", contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), stored + 1);
    store_free(contract.store);
    open_store();
    cr_assert_eq(count_messages(&contract, 1), stored + 1);
    store_free(contract.store);
    contract.store = NULL;
    cr_assert_eq(umount2(parent, MNT_DETACH), 0);
}

Test(store_sqlite_faults, a_read_only_file_system_is_an_error_until_it_is_writable)
{
    if (mount("portico-test", parent, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m") < 0) {
        SKIP_TEST("mounting needs root");
    }
    open_store();
    enrol(&contract, 1);
    store_free(contract.store);
    cr_assert_eq(mount(NULL, parent, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    int r = try_open();
    cr_assert(r == -EROFS || r == -EACCES, "%d %s", r, contract.error.message);
    cr_assert_eq(mount(NULL, parent, NULL, MS_REMOUNT, NULL), 0);
    open_store();
    cr_assert_eq(store_message(1), 0);
    store_free(contract.store);
    contract.store = NULL;
    cr_assert_eq(umount2(parent, MNT_DETACH), 0);
}

Test(store_sqlite_faults, a_directory_that_may_not_be_written_is_refused)
{
    if (geteuid() == 0) {
        SKIP_TEST("root may write everywhere");
    }
    cr_assert_eq(mkdir(directory, 0500), 0);
    cr_assert_eq(try_open(), -EACCES);
}

Test(store_sqlite_faults, a_backup_is_a_store)
{
    char copy[4300];
    open_store();
    enrol(&contract, 1);
    cr_assert_eq(store_message(1), 0);
    snprintf(copy, sizeof copy, "%s/copy", parent);
    cr_assert_eq(mkdir(copy, 0700), 0);
    snprintf(copy, sizeof copy, "%s/copy/portico.db", parent);
    cr_assert_eq(store_backup(contract.store, copy, NULL, &contract.error), 0, "%s",
                 contract.error.message);
    cr_assert_eq(store_backup(contract.store, copy, NULL, &contract.error), -EEXIST);
    cr_assert_eq(store_message(2), 0);
    store_free(contract.store);
    snprintf(directory, sizeof directory, "%s/copy", parent);
    open_store();
    cr_assert_eq(count_messages(&contract, 1), 1);
}

struct watched {
    unsigned steps;
    bool goes_on;
    uint64_t done, total;
};

static bool watch_step(void *context, uint64_t done, uint64_t total)
{
    struct watched *watched = context;
    watched->steps++;
    watched->done = done;
    watched->total = total;
    return watched->goes_on;
}

/* 8 MiB, which is more than one step. */
static void fill_store(void)
{
    static char bytes[1 << 20];
    for (uint64_t i = 1; i <= 8; i++) {
        const struct store_message message = {
            .handler = STR("StatsHandler"),
            .packet_timestamp = i,
            .args_type = STR("DataBlob"),
            .raw = str_make(bytes, sizeof bytes),
        };
        struct store_bundle bundle = {
            .agent = test_agent(1), .messages = &message, .message_count = 1};
        struct store_commit commit = {.bundle = &bundle};
        cr_assert_eq(store_commit(contract.store, &commit, 1, STORE_DURABLE, NULL), 0);
        cr_assert_eq(commit.result, 0);
    }
}

Test(store_sqlite_faults, a_backup_in_steps_has_one_state)
{
    char copy[4300];
    struct watched watched = {.goes_on = true};
    const struct store_progress progress = {watch_step, &watched};
    struct store_inspection found;
    open_store();
    enrol(&contract, 1);
    fill_store();
    snprintf(copy, sizeof copy, "%s/copy.db", parent);
    cr_assert_eq(store_backup(contract.store, copy, &progress, &contract.error), 0, "%s",
                 contract.error.message);
    cr_expect_gt(watched.steps, 1);
    cr_expect_eq(watched.done, watched.total);
    const struct store_inspect_settings settings = {.file = copy,
                                                    .is_copy = true,
                                                    .examination = STORE_EXAMINE_THOROUGHLY,
                                                    .patience = USEC_NEVER};
    cr_assert_eq(store_inspect(&settings, &found, &contract.error), 0, "%s",
                 contract.error.message);
    cr_expect(found.is_examined);
    cr_expect_eq(found.counts.messages, 8);
    cr_expect_eq(found.counts.agents[0], 1);
}

Test(store_sqlite_faults, a_backup_that_is_given_up_leaves_no_file)
{
    char copy[4300];
    struct watched watched = {.goes_on = false};
    const struct store_progress progress = {watch_step, &watched};
    open_store();
    enrol(&contract, 1);
    fill_store();
    snprintf(copy, sizeof copy, "%s/copy.db", parent);
    cr_assert_eq(store_backup(contract.store, copy, &progress, &contract.error), -ECANCELED);
    cr_expect_eq(watched.steps, 1);
    cr_expect_neq(access(copy, F_OK), 0);
    cr_expect_eq(store_message(9), 0);
}

Test(store_sqlite_faults, an_examination_that_takes_too_long_is_left)
{
    struct store_inspection found;
    open_store();
    enrol(&contract, 1);
    fill_store();
    const struct store_inspect_settings settings = {
        .file = path, .examination = STORE_EXAMINE_THOROUGHLY, .patience = 0};
    cr_assert_eq(store_inspect(&settings, &found, &contract.error), 0, "%s",
                 contract.error.message);
    cr_expect_eq(found.counts.messages, 8);
}

Test(store_sqlite_faults, a_store_tells_whether_it_is_in_use)
{
    open_store();
    enrol(&contract, 1);
    /* Locks of the process that asks are not told. */
    pid_t child = fork();
    if (child == 0) {
        _exit(store_is_in_use(path) == 1 ? 0 : 1);
    }
    int status = 1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    store_free(contract.store);
    cr_expect_eq(store_is_in_use(path), 0);
    open_store();
}
