/* SPDX-License-Identifier: Apache-2.0 */
/* The store's troubles while agents poll: they are told 503 and when to come back, the log says
 * what is to be done, nothing that was answered 200 is missing afterwards, and nobody has to
 * restart anything. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/support.h"

enum { NUMBERS_MAX = 4096, PATH_SIZE = 600, PAGE = 500, FILLER = 64 * 1024 };

#define STOP_PATIENCE (20 * USEC_PER_SEC)
#define RECOVERY (3 * USEC_PER_SEC)
/* What a store that is locked may keep a poll waiting, and some. */
#define TROUBLE (15 * USEC_PER_SEC)

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instance;
    struct fake_agent agent;
    char store[PATH_SIZE - 100];
    char database[PATH_SIZE];
    unsigned next;
    bool acknowledged[NUMBERS_MAX];
    char retry_after[64]; /* of the last answer */
    char reason[64];
} scene;

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

static void prepare(void)
{
    CHECK(rsa_generate(1024, NULL, &scene.server) == 0);
    instance_keys_make(scene.server, &scene.keys);
    instance_init(&scene.instance, &scene.keys);
    fake_agent_init(&scene.agent, scene.server);
    snprintf(scene.store, sizeof scene.store, "%s/store", scene.instance.directory);
    snprintf(scene.database, sizeof scene.database, "%s/portico.db", scene.store);
}

static unsigned send_packet(struct str packet)
{
    struct http_answer answer;
    unsigned status = http_once(scene.instance.port, "POST", "/control", &packet, &answer);
    if (status != 0) {
        snprintf(scene.retry_after, sizeof scene.retry_after, "%s",
                 http_field(&answer, "Retry-After"));
        snprintf(scene.reason, sizeof scene.reason, "%s", http_field(&answer, "X-Portico-Reason"));
        http_answer_done(&answer);
    }
    free((void *)(uintptr_t)packet.data);
    return status;
}

/* A message with the next number, and some weight; remembered when it was acknowledged. */
static unsigned say(void)
{
    static char filler[FILLER];
    CHECK(scene.next < NUMBERS_MAX);
    unsigned number = scene.next++;
    memset(filler, (int)('a' + number % 26), sizeof filler);
    snprintf(filler, sizeof filler, "%08u", number);
    fake_agent_say(&scene.agent, "aff4:/flows/F:ClientAlert", "DataBlob",
                   str_make(filler, sizeof filler));
    unsigned status = send_packet(fake_agent_packet(&scene.agent));
    scene.acknowledged[number] = status == 200;
    return status;
}

static void begin(void)
{
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
    cr_assert_eq(send_packet(fake_agent_packet(&scene.agent)), 200);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(say(), 200);
    }
}

static unsigned health(void)
{
    return http_once(scene.instance.port, "GET", "/healthz", NULL, NULL);
}

static void expect_health(unsigned wanted, usec_t patience)
{
    usec_t deadline = now() + patience;
    unsigned status;
    while ((status = health()) != wanted && now() < deadline) {
        sleep_for(20000);
    }
    cr_expect_eq(status, wanted);
}

/* Polls with messages fail, in the way that they should. */
static void expect_trouble(void)
{
    usec_t deadline = now() + TROUBLE;
    unsigned status;
    while ((status = say()) == 200 && now() < deadline) {
        sleep_for(10000);
    }
    cr_expect_eq(status, 503);
    cr_expect_str_eq(scene.reason, "store_failed");
    cr_expect_geq(strtol(scene.retry_after, NULL, 10), 1, "Retry-After: %s", scene.retry_after);
    expect_health(503, RECOVERY);
}

static void expect_recovery(void)
{
    usec_t deadline = now() + RECOVERY;
    unsigned status;
    while ((status = say()) != 200 && now() < deadline) {
        cr_expect_eq(status, 503);
        sleep_for(20000);
    }
    cr_expect_eq(status, 200);
    expect_health(200, RECOVERY);
}

static void expect_log(const char *hint)
{
    char *said = instance_log(&scene.instance);
    cr_expect_not_null(strstr(said, "the store failed"), "%s", said);
    cr_expect_not_null(strstr(said, hint), "%s is not in: %s", hint, said);
    free(said);
}

static void find_stored(bool *stored)
{
    struct store *store = instance_store(&scene.instance);
    struct store_message_query query = {.limit = PAGE};
    struct arena arena;
    struct store_message *messages;
    arena_init(&arena, 65536, 256 << 20);
    do {
        messages = NULL;
        CHECK(store_list_messages(store, &query, &arena, &messages, NULL) == 0);
        for (const struct store_message *message = messages; message; message = message->next) {
            uint64_t number;
            CHECK(message->args.len == FILLER);
            CHECK(str_to_uint64(str_first(message->args, 8), &number) == 0);
            CHECK(number < NUMBERS_MAX);
            cr_expect(!stored[number], "number %u is there twice", (unsigned)number);
            stored[number] = true;
            query.after = message->id;
        }
        arena_reset(&arena);
    } while (messages != NULL);
    arena_done(&arena);
    store_free(store);
}

/* What was acknowledged from number `since` on, or before `before`, is there. */
static void expect_nothing_lost(unsigned before, unsigned since)
{
    static bool stored[NUMBERS_MAX];
    unsigned acknowledged = 0;
    find_stored(stored);
    for (unsigned n = 0; n < scene.next; n++) {
        if (scene.acknowledged[n] && (n < before || n >= since)) {
            acknowledged++;
            cr_expect(stored[n], "number %u was answered 200 and is not there", n);
        }
    }
    cr_expect_gt(acknowledged, 5);
}

static void end(void)
{
    cr_expect_eq(instance_stop(&scene.instance, STOP_PATIENCE), 0);
}

static void clean_up(void)
{
    instance_done(&scene.instance);
    fake_agent_done(&scene.agent);
    instance_keys_free(&scene.keys);
    rsa_key_free(scene.server);
}

/* ---- file systems ---- */

/* In a mount namespace of this test's own, which takes it along when the test ends. */
static bool mount_store(const char *options)
{
    return mkdir(scene.store, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("portico-test", scene.store, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

static void unmount_store(void)
{
    cr_expect_eq(umount2(scene.store, MNT_DETACH), 0);
}

static void fill_disk(const char *ballast)
{
    static char block[65536];
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    while (write(fd, block, sizeof block) > 0) {
    }
    close(fd);
}

Test(frontend_faults, a_full_disk_is_told_until_there_is_space, .init = prepare, .fini = clean_up)
{
    char ballast[PATH_SIZE + 16];
    if (!mount_store("size=8m")) {
        SKIP_TEST("mounting a small file system needs root");
    }
    begin();
    snprintf(ballast, sizeof ballast, "%s/ballast", scene.store);
    for (int round = 0; round < 2; round++) {
        fill_disk(ballast);
        expect_trouble();
        expect_log("make room");
        cr_assert_eq(unlink(ballast), 0);
        expect_recovery();
    }
    end();
    expect_nothing_lost(NUMBERS_MAX, 0);
    unmount_store();
}

/* ---- other processes ---- */

static sqlite3 *open_database(void)
{
    sqlite3 *db;
    CHECK(sqlite3_open_v2(scene.database, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    return db;
}

Test(frontend_faults, a_stranger_who_locks_the_database_is_told, .init = prepare, .fini = clean_up)
{
    begin();
    sqlite3 *stranger = open_database();
    cr_assert_eq(sqlite3_exec(stranger, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    usec_t started = now();
    expect_trouble();
    cr_expect_lt(now() - started, TROUBLE);
    /* Whoever asks for health meanwhile gets an answer, not a place in the queue. */
    fake_agent_say(&scene.agent, "aff4:/flows/F:ClientAlert", "DataBlob", STR("held up"));
    struct str packet = fake_agent_packet(&scene.agent);
    struct http_client waiting;
    char head[128];
    http_connect(&waiting, scene.instance.port);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             packet.len);
    http_send(&waiting, str_from(head));
    http_send(&waiting, packet);
    started = now();
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(health(), 503);
        sleep_for(20000);
    }
    cr_expect_lt(now() - started, 2 * USEC_PER_SEC);
    expect_log("fuser");
    cr_assert_eq(sqlite3_exec(stranger, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(stranger);
    expect_recovery();
    http_close(&waiting);
    free((void *)(uintptr_t)packet.data);
    end();
}

/* ---- files ---- */

static void backup(const char *to)
{
    struct store *store = instance_store(&scene.instance);
    CHECK(store_backup(store, to, NULL, NULL) == 0);
    store_free(store);
}

static void overwrite(const char *path, off_t from)
{
    static char rubbish[4096];
    struct stat status;
    uint64_t random = 4711;
    if (stat(path, &status) != 0) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    for (off_t at = from; at < status.st_size; at += (off_t)sizeof rubbish) {
        for (size_t i = 0; i < sizeof rubbish; i++) {
            rubbish[i] = (char)next_random(&random);
        }
        CHECK(pwrite(fd, rubbish, sizeof rubbish, at) == sizeof rubbish);
    }
    close(fd);
}

static void put_back(const char *good)
{
    char path[PATH_SIZE + 8];
    snprintf(path, sizeof path, "%s-wal", scene.database);
    unlink(path);
    snprintf(path, sizeof path, "%s-shm", scene.database);
    unlink(path);
    cr_assert_eq(rename(good, scene.database), 0);
}

/* All its pages, and its log: a disk that lies, or an operator's dd. */
Test(frontend_faults, a_damaged_database_is_told_until_a_backup_is_there, .init = prepare,
     .fini = clean_up)
{
    char good[PATH_SIZE + 8], wal[PATH_SIZE + 8];
    snprintf(good, sizeof good, "%s-good", scene.database);
    snprintf(wal, sizeof wal, "%s-wal", scene.database);
    begin();
    backup(good);
    unsigned kept = scene.next;
    overwrite(wal, 0);
    overwrite(scene.database, 0);
    expect_trouble();
    expect_log("put a backup in its place");
    unsigned since = scene.next;
    put_back(good);
    expect_recovery();
    end();
    expect_nothing_lost(kept, since);
}

static void expect_removal_is_noticed(void)
{
    expect_trouble();
    expect_log("put Datastore.location back");
}

Test(frontend_faults, a_directory_that_is_gone_is_told_until_it_is_back, .init = prepare,
     .fini = clean_up)
{
    char away[PATH_SIZE];
    snprintf(away, sizeof away, "%s/away", scene.instance.directory);
    begin();
    cr_assert_eq(rename(scene.store, away), 0);
    expect_removal_is_noticed();
    struct stat status;
    cr_expect_neq(stat(scene.store, &status), 0, "an empty store would have all agents enrol anew");
    cr_assert_eq(rename(away, scene.store), 0);
    expect_recovery();
    /* Something else in its place. */
    cr_assert_eq(rename(scene.store, away), 0);
    free(write_file(scene.instance.directory, "store", STR("no directory")));
    expect_removal_is_noticed();
    cr_assert_eq(unlink(scene.store), 0);
    cr_assert_eq(rename(away, scene.store), 0);
    expect_recovery();
    end();
    expect_nothing_lost(NUMBERS_MAX, 0);
}

/* Files deleted while they are open can still be written, and nobody will ever read them. */
Test(frontend_faults, nothing_is_acknowledged_into_a_deleted_file, .init = prepare,
     .fini = clean_up)
{
    char good[PATH_SIZE + 8];
    snprintf(good, sizeof good, "%s-good", scene.database);
    begin();
    backup(good);
    unsigned kept = scene.next;
    cr_assert_eq(unlink(scene.database), 0);
    cr_expect_eq(say(), 503);
    expect_removal_is_noticed();
    put_back(good);
    expect_recovery();
    end();
    expect_nothing_lost(kept, kept);
}
