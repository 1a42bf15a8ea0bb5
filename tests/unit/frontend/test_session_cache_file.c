/* SPDX-License-Identifier: Apache-2.0 */
/* The file: what is accepted, what is replaced, what is left alone; damage; a full file system. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "entries.h"
#include "session_cache.h"
#include "support/support.h"

enum { BYTES = 256 * 1024, HEAD = 4096 };

static char *directory;
static char *path;
static struct error error;
static const uint8_t identity[RSA_FINGERPRINT_BYTES] = {1, 2, 3};

static void set_up(void)
{
    directory = make_temporary_directory();
    cr_assert(asprintf(&path, "%s/sessions", directory) > 0);
}

static void tear_down(void)
{
    remove_temporary_directory(directory);
    free(path);
}

TestSuite(session_cache_file, .init = set_up, .fini = tear_down);

static struct session_cache *open_with(size_t bytes, const uint8_t *who)
{
    struct session_cache *cache = NULL;
    int r = session_cache_open(path, bytes, who, &cache, &error);
    cr_assert_eq(r, 0, "%s", error.message);
    return cache;
}

static bool finds(struct session_cache *cache, uint64_t number)
{
    struct session wanted = entry_session(number, 1), found;
    return session_cache_find(cache, wanted.digest, &found) &&
           memcmp(&wanted, &found, sizeof found) == 0;
}

static void put(struct session_cache *cache, uint64_t number)
{
    struct session session = entry_session(number, 1);
    cr_assert(session_cache_put(cache, &session));
}

/* A file that holds session 1. */
static void make_good_file(void)
{
    struct session_cache *cache = open_with(BYTES, identity);
    put(cache, 1);
    session_cache_close(cache);
}

static bool is_fresh_and_works(size_t bytes, const uint8_t *who)
{
    struct session_cache *cache = open_with(bytes, who);
    struct session_cache_statistics statistics;
    session_cache_read_statistics(cache, &statistics);
    bool was_found = finds(cache, 1);
    put(cache, 2);
    bool works = finds(cache, 2);
    session_cache_close(cache);
    return statistics.is_fresh && !was_found && works;
}

static int try_open(void)
{
    struct session_cache *cache = NULL;
    int r = session_cache_open(path, BYTES, identity, &cache, &error);
    session_cache_close(cache);
    return r;
}

static void overwrite(off_t offset, const void *bytes, size_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && pwrite(fd, bytes, size, offset) == (ssize_t)size);
    close(fd);
}

Test(session_cache_file, is_private_whatever_the_umask)
{
    struct stat info;
    mode_t before = umask(0);
    make_good_file();
    umask(before);
    cr_assert(stat(path, &info) == 0 && (info.st_mode & 07777) == 0600);
    cr_assert(info.st_blocks * 512 >= info.st_size, "all of it is there");
    cr_assert_eq(unlink(path), 0);
    before = umask(0777);
    make_good_file();
    umask(before);
    cr_assert(stat(path, &info) == 0 && (info.st_mode & 07777) == 0600);
}

Test(session_cache_file, is_replaced_when_the_server_has_another_key)
{
    static const uint8_t other[RSA_FINGERPRINT_BYTES] = {1, 2, 4};
    make_good_file();
    cr_assert(is_fresh_and_works(BYTES, other));
}

Test(session_cache_file, is_replaced_when_another_size_is_wanted)
{
    make_good_file();
    cr_assert(is_fresh_and_works(2 * BYTES, identity));
}

Test(session_cache_file, is_replaced_when_it_is_short_or_long_or_empty)
{
    static const off_t sizes[] = {0, 1, HEAD, BYTES / 2, 2 * BYTES};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        make_good_file();
        cr_assert_eq(truncate(path, sizes[i]), 0);
        cr_assert(is_fresh_and_works(BYTES, identity), "%lld", (long long)sizes[i]);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(session_cache_file, is_replaced_when_any_byte_of_its_head_is_wrong)
{
    for (off_t i = 0; i < 88; i++) {
        char *bytes, flipped;
        size_t len;
        make_good_file();
        bytes = read_file(path, &len);
        flipped = (char)(bytes[i] ^ 4);
        free(bytes);
        overwrite(i, &flipped, 1);
        cr_assert(is_fresh_and_works(BYTES, identity), "byte %lld", (long long)i);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(session_cache_file, is_replaced_when_others_could_read_or_change_it)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0666, 0700, 04600};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        make_good_file();
        cr_assert_eq(chmod(path, modes[i]), 0);
        cr_assert(is_fresh_and_works(BYTES, identity), "%o", (unsigned)modes[i]);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(session_cache_file, is_replaced_when_it_has_another_name_too)
{
    char *other;
    cr_assert(asprintf(&other, "%s/other", directory) > 0);
    make_good_file();
    cr_assert_eq(link(path, other), 0);
    cr_assert(is_fresh_and_works(BYTES, identity));
    free(other);
}

Test(session_cache_file, is_left_alone_when_it_is_somebody_elses)
{
    if (geteuid() != 0) {
        SKIP_TEST("needs root");
    }
    make_good_file();
    cr_assert_eq(chown(path, 65534, 65534), 0);
    cr_assert_eq(try_open(), -EPERM);
    cr_assert_eq(chown(path, 0, 0), 0);
    cr_assert_eq(try_open(), 0);
}

Test(session_cache_file, is_left_alone_when_it_is_no_plain_file)
{
    cr_assert_eq(symlink("/etc/hostname", path), 0);
    cr_assert_eq(try_open(), -EINVAL);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(try_open(), -EINVAL);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(try_open(), -EINVAL);
}

Test(session_cache_file, needs_a_directory_and_enough_bytes)
{
    struct session_cache *cache;
    cr_assert_eq(session_cache_open("/nonexistent/x", BYTES, identity, &cache, &error), -ENOENT);
    cr_assert_eq(session_cache_open(directory, 1000, identity, &cache, &error), -EINVAL);
    cr_assert_eq(session_cache_open("", BYTES, identity, &cache, &error), -EINVAL);
    cr_assert_eq(session_cache_open("/tmp/", BYTES, identity, &cache, &error), -EINVAL);
    session_cache_close(open_with(SESSION_CACHE_BYTES_MIN, identity));
}

Test(session_cache_file, survives_who_died_while_making_it)
{
    char *name = write_file(directory, "sessions.new", STR("half a file"));
    make_good_file();
    cr_assert(access(name, F_OK) < 0);
    free(name);
}

Test(session_cache_file, users_of_a_replaced_file_go_on)
{
    static const uint8_t other[RSA_FINGERPRINT_BYTES] = {9};
    struct session_cache *old = open_with(BYTES, identity);
    put(old, 1);
    struct session_cache *new = open_with(BYTES, other);
    cr_assert(!finds(new, 1));
    put(old, 3);
    cr_assert(finds(old, 1) && finds(old, 3) && !finds(new, 3));
    session_cache_close(old);
    session_cache_close(new);
}

/* ---- damage ---- */

static void look_everywhere(struct session_cache *cache, uint64_t numbers)
{
    struct session session;
    struct sealing sealing;
    for (uint64_t i = 0; i < numbers; i++) {
        uint8_t key[32];
        entry_key(i, key);
        if (session_cache_find(cache, key, &session)) {
            cr_assert(entry_session_is_whole(&session));
            cr_assert_arr_eq(session.digest, key, 32);
        }
        if (sealing_cache_find(cache, key, ENTRY_NOW, &sealing)) {
            cr_assert(entry_sealing_is_whole(&sealing));
            cr_assert_arr_eq(sealing.peer, key, 32);
        }
    }
}

static void fill(struct session_cache *cache, uint64_t numbers)
{
    for (uint64_t i = 0; i < numbers; i++) {
        struct session session = entry_session(i, 1);
        struct sealing sealing = entry_sealing(i, 1);
        (void)session_cache_put(cache, &session);
        (void)sealing_cache_put(cache, &sealing);
    }
}

static unsigned count_found(struct session_cache *cache, uint64_t numbers)
{
    unsigned found = 0;
    for (uint64_t i = 0; i < numbers; i++) {
        found += finds(cache, i);
    }
    return found;
}

/* Damages `bytes` a few at a time under a cache that is in use. */
static void damage_and_look(unsigned rounds, unsigned bytes)
{
    uint64_t state = 42;
    struct session_cache *cache = open_with(BYTES, identity);
    for (unsigned round = 0; round < rounds; round++) {
        fill(cache, 100);
        for (unsigned i = 0; i < bytes; i++) {
            uint64_t random = next_random(&state);
            overwrite((off_t)(HEAD + random % (BYTES - HEAD - 20000)), &random, sizeof random);
        }
        look_everywhere(cache, 100);
    }
    session_cache_close(cache);
}

Test(session_cache_file, finds_nothing_wrong_in_damaged_slots)
{
    damage_and_look(30, 1);
    damage_and_look(30, 100);
    damage_and_look(10, 3000);
}

Test(session_cache_file, finds_nothing_in_random_bytes_and_recovers)
{
    struct session_cache *cache = open_with(BYTES, identity);
    uint64_t noise[512], state = 7;
    struct session_cache_statistics statistics;
    fill(cache, 50);
    session_cache_read_statistics(cache, &statistics);
    for (off_t at = HEAD; at + (off_t)sizeof noise <= (off_t)statistics.bytes;
         at += (off_t)sizeof noise) {
        for (size_t i = 0; i < ARRAY_LEN(noise); i++) {
            noise[i] = next_random(&state);
        }
        overwrite(at, noise, sizeof noise);
    }
    look_everywhere(cache, 200);
    cr_assert_eq(count_found(cache, 200), 0);
    fill(cache, 60);
    fill(cache, 60);
    cr_assert(count_found(cache, 60) > 50);
    session_cache_close(cache);
}

/* A slot that stands somewhere else is not a slot. */
Test(session_cache_file, does_not_find_slots_that_were_moved)
{
    enum { SET = 1728, SLOT = 208 };
    struct session_cache *cache = open_with(BYTES, identity);
    size_t len;
    fill(cache, 100);
    char *bytes = read_file(path, &len);
    for (off_t set = 0; set < 20; set++) {
        /* The tags stay, each slot moves on by one. */
        off_t at = HEAD + set * SET + 64;
        overwrite(at + SLOT, bytes + at, 7 * SLOT);
        overwrite(at, bytes + at + 7 * SLOT, SLOT);
    }
    free(bytes);
    look_everywhere(cache, 100);
    session_cache_close(cache);
}

/* ---- a full file system ---- */

/* In a mount namespace of its own, so that nothing is left behind. */
static int use_full_tmpfs(void)
{
    struct session_cache *cache = NULL;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=128k") < 0) {
        return 77;
    }
    if (session_cache_open(path, BYTES, identity, &cache, &error) != -ENOSPC ||
        access(path, F_OK) == 0) {
        return 1;
    }
    char *left;
    if (asprintf(&left, "%s.new", path) < 0 || access(left, F_OK) == 0) {
        return 2;
    }
    /* One that fits, made sparse: filled, or refused, but never a SIGBUS. */
    if (session_cache_open(path, SESSION_CACHE_BYTES_MIN, identity, &cache, &error) != 0) {
        return 3;
    }
    struct session_cache_statistics statistics;
    session_cache_read_statistics(cache, &statistics);
    session_cache_close(cache);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HEAD,
                  (off_t)statistics.bytes - HEAD) < 0) {
        return 4;
    }
    close(fd);
    char *hog = NULL;
    if (asprintf(&hog, "%s/hog", directory) < 0 ||
        (fd = open(hog, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0) {
        return 5;
    }
    while (write(fd, hog, 1) == 1 && lseek(fd, 4095, SEEK_CUR) > 0) {
    }
    close(fd);
    return session_cache_open(path, SESSION_CACHE_BYTES_MIN, identity, &cache, &error) == -ENOSPC
               ? 0
               : 6;
}

Test(session_cache_file, says_so_when_the_file_system_is_full)
{
    int status;
    if (geteuid() != 0) {
        SKIP_TEST("needs root");
    }
    pid_t child = fork();
    if (child == 0) {
        _exit(use_full_tmpfs());
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        SKIP_TEST("cannot mount");
    }
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
}

/* ---- several at once ---- */

static void wait_for_all(const pid_t *children, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
    }
}

/* Each keeps one session in the file; all of them have to be in the file that stays. */
Test(session_cache_file, is_one_file_when_several_start_at_once)
{
    enum { CHILDREN = 8, ROUNDS = 20 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t children[CHILDREN];
        int gate[2];
        cr_assert_eq(pipe(gate), 0);
        if (round % 2 == 1) {
            free(write_file(directory, "sessions", STR("something to replace")));
            cr_assert_eq(chmod(path, 0600), 0);
        }
        for (size_t i = 0; i < CHILDREN; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                char byte;
                close(gate[1]);
                (void)!read(gate[0], &byte, 1);
                put(open_with(BYTES, identity), i);
                _exit(0);
            }
        }
        close(gate[0]);
        close(gate[1]);
        wait_for_all(children, CHILDREN);
        struct session_cache *cache = open_with(BYTES, identity);
        cr_assert_eq(count_found(cache, CHILDREN), CHILDREN);
        session_cache_close(cache);
        cr_assert_eq(unlink(path), 0);
    }
}
