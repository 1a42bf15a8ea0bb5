/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes on one file, and processes that are killed while they write. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "entries.h"
#include "session_cache.h"
#include "support/support.h"

enum {
    BYTES = 64 * 1024, /* few slots: many collisions */
    NUMBERS = 60,
    CHILDREN = 4,
    KILLS = 400,
};

static char *directory;
static char *path;
static struct session_cache *cache;
static struct error error;
static const uint8_t identity[RSA_FINGERPRINT_BYTES] = {1, 2, 3};

static void set_up(void)
{
    directory = make_temporary_directory();
    cr_assert(asprintf(&path, "%s/sessions", directory) > 0);
    cr_assert_eq(session_cache_open(path, BYTES, identity, &cache, &error), 0);
}

static void tear_down(void)
{
    session_cache_close(cache);
    remove_temporary_directory(directory);
    free(path);
}

TestSuite(session_cache_processes, .init = set_up, .fini = tear_down);

static void put_both(uint64_t number, uint64_t variant)
{
    /* Now and then one of the large ones, whose table has a single set. */
    size_t metadata = variant % 8 == 0 ? SEALING_METADATA_BYTES : ENTRY_METADATA_BYTES;
    uint64_t who = variant % 8 == 0 ? number + NUMBERS : number;
    struct session session = entry_session(number, variant);
    struct sealing sealing = entry_sealing_sized(who, variant, ENTRY_CIPHER_BYTES, metadata);
    (void)session_cache_put(cache, &session);
    (void)sealing_cache_put(cache, &sealing);
}

/* How many of the two are found; -1: one of them is wrong. */
static int look_for(uint64_t number)
{
    uint8_t key[32];
    struct session session;
    struct sealing sealing;
    int found = 0;
    entry_key(number, key);
    if (session_cache_find(cache, key, &session)) {
        found++;
        if (!entry_session_is_whole(&session) || memcmp(session.digest, key, sizeof key) != 0) {
            return -1;
        }
    }
    if (sealing_cache_find(cache, key, ENTRY_NOW, &sealing)) {
        found++;
        if (!entry_sealing_is_whole(&sealing) || memcmp(sealing.peer, key, sizeof key) != 0) {
            return -1;
        }
    }
    return found;
}

/* As another instance would: with a mapping of its own. */
static void reopen(void)
{
    session_cache_close(cache);
    if (session_cache_open(path, BYTES, identity, &cache, &error) < 0) {
        _exit(3);
    }
}

static void hammer(uint64_t seed, unsigned rounds)
{
    uint64_t state = seed;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t random = next_random(&state);
        put_both(random % NUMBERS, (random >> 32) % 1000);
        if (look_for((random >> 16) % (2 * NUMBERS)) < 0) {
            _exit(1);
        }
    }
}

Test(session_cache_processes, share_it_and_never_see_half_a_slot)
{
    pid_t children[CHILDREN];
    for (uint64_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            reopen();
            hammer(i + 1, 3000);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
    }
    int found = 0;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        found += look_for(i);
    }
    cr_assert(found > NUMBERS / 2);
}

/* Does nothing but write, so that a kill hits a write. */
static void write_for_ever(uint64_t seed)
{
    static struct session sessions[64];
    static struct sealing sealings[64];
    for (uint64_t i = 0; i < 64; i++) {
        sessions[i] = entry_session((seed + i) % NUMBERS, seed * 64 + i);
        sealings[i] = entry_sealing((seed + i) % NUMBERS, seed * 64 + i);
    }
    for (unsigned i = 0;; i++) {
        (void)session_cache_put(cache, &sessions[i % 64]);
        (void)sealing_cache_put(cache, &sealings[i % 64]);
    }
}

static void look_at_all(void)
{
    for (uint64_t i = 0; i < NUMBERS; i++) {
        cr_assert(look_for(i) >= 0, "%llu", (unsigned long long)i);
    }
}

static size_t count_locked(void)
{
    struct session_cache_statistics statistics;
    session_cache_read_statistics(cache, &statistics);
    return statistics.locked;
}

Test(session_cache_processes, may_be_killed_at_any_instruction, .timeout = 110)
{
    uint64_t state = 11;
    size_t most_locked = 0;
    for (unsigned i = 0; i < KILLS; i++) {
        pid_t children[2];
        for (unsigned child = 0; child < 2; child++) {
            children[child] = fork();
            if (children[child] == 0) {
                write_for_ever(2 * i + child + 1);
            }
        }
        usleep(500 + next_random(&state) % 3000);
        look_at_all();
        for (unsigned child = 0; child < 2; child++) {
            kill(children[child], SIGKILL);
            cr_assert_eq(waitpid(children[child], NULL, 0), children[child]);
        }
        look_at_all();
        size_t locked = count_locked();
        most_locked = locked > most_locked ? locked : most_locked;
    }
    cr_assert(most_locked > 0, "no kill hit a write: this showed nothing");
    /* Every lock of the dead lapses, and every slot is written again. */
    usleep(250000);
    for (uint64_t i = 0; i < 200 * NUMBERS; i++) {
        struct session session = entry_session(i, 1);
        struct sealing sealing = entry_sealing(i, 1);
        cr_assert(session_cache_put(cache, &session));
        cr_assert(sealing_cache_put(cache, &sealing));
        cr_assert_eq(look_for(i), 2);
    }
    cr_assert_eq(count_locked(), 0);
}

/* Stopped in the middle, overtaken, resumed: neither its slot nor anybody else's is ever wrong. */
Test(session_cache_processes, may_be_stopped_and_resumed_in_the_middle_of_a_write, .timeout = 110)
{
    pid_t child = fork();
    if (child == 0) {
        write_for_ever(5);
    }
    unsigned hits = 0;
    for (unsigned i = 0; i < 100; i++) {
        usleep(300);
        kill(child, SIGSTOP);
        cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
        if (count_locked() > 0 && hits < 12) {
            hits++;
            usleep(210000); /* its lock lapses */
            for (uint64_t number = 0; number < NUMBERS; number++) {
                put_both(number, 1);
            }
        }
        look_at_all();
        kill(child, SIGCONT);
        look_at_all();
    }
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert(hits > 0, "no stop hit a write: this showed nothing");
}
