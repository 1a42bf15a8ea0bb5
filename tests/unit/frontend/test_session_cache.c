/* SPDX-License-Identifier: Apache-2.0 */
/* The cache as one process sees it: what is kept, what is evicted, threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "entries.h"
#include "session_cache.h"
#include "support/support.h"

enum { BYTES = 1 << 20 };

static char *directory;
static char *path;
static struct session_cache *cache;
static struct error error;
static const uint8_t identity[RSA_FINGERPRINT_BYTES] = {1, 2, 3};

static struct session_cache *open_cache(void)
{
    struct session_cache *opened = NULL;
    int r = session_cache_open(path, BYTES, identity, &opened, &error);
    cr_assert_eq(r, 0, "%s", error.message);
    return opened;
}

static void set_up(void)
{
    directory = make_temporary_directory();
    cr_assert(asprintf(&path, "%s/sessions", directory) > 0);
    cache = open_cache();
}

static void tear_down(void)
{
    session_cache_close(cache);
    remove_temporary_directory(directory);
    free(path);
}

TestSuite(session_cache, .init = set_up, .fini = tear_down);

static bool finds_session(struct session_cache *where, uint64_t number, uint64_t variant)
{
    struct session wanted = entry_session(number, variant);
    struct session found;
    return session_cache_find(where, wanted.digest, &found) &&
           memcmp(&wanted, &found, sizeof found) == 0;
}

static bool finds_sealing(struct session_cache *where, const struct sealing *wanted)
{
    struct sealing found;
    return sealing_cache_find(where, wanted->peer, ENTRY_NOW, &found) &&
           entry_sealing_equal(wanted, &found);
}

static bool put_session(uint64_t number, uint64_t variant)
{
    struct session session = entry_session(number, variant);
    return session_cache_put(cache, &session);
}

Test(session_cache, begins_empty)
{
    struct session session = entry_session(1, 1), untouched = session;
    struct sealing sealing;
    struct session_cache_statistics statistics;
    cr_assert(!session_cache_find(cache, session.digest, &session));
    cr_assert_arr_eq(&session, &untouched, sizeof session);
    cr_assert(!sealing_cache_find(cache, session.digest, ENTRY_NOW, &sealing));
    session_cache_read_statistics(cache, &statistics);
    cr_assert(statistics.is_fresh);
    cr_assert_eq(statistics.sessions.used + statistics.sealings.used + statistics.locked, 0);
    cr_assert(statistics.sessions.slots > 400 && statistics.sealings.slots > 400);
    cr_assert(statistics.bytes <= BYTES);
}

Test(session_cache, keeps_a_session_and_replaces_it)
{
    struct session_cache_statistics statistics;
    cr_assert(put_session(1, 1));
    cr_assert(put_session(2, 1));
    cr_assert(finds_session(cache, 1, 1));
    cr_assert(put_session(1, 2));
    cr_assert(finds_session(cache, 1, 2));
    cr_assert(finds_session(cache, 2, 1));
    session_cache_read_statistics(cache, &statistics);
    cr_assert_eq(statistics.sessions.used, 2);
}

Test(session_cache, drops_a_session)
{
    struct session session = entry_session(1, 1);
    struct session_cache_statistics statistics;
    cr_assert(put_session(1, 1));
    session_cache_drop(cache, session.digest);
    session_cache_drop(cache, session.digest);
    cr_assert(!session_cache_find(cache, session.digest, &session));
    session_cache_read_statistics(cache, &statistics);
    cr_assert_eq(statistics.sessions.used, 0);
    cr_assert(put_session(1, 2));
    cr_assert(finds_session(cache, 1, 2));
}

Test(session_cache, keeps_sealings_of_any_size)
{
    static const size_t sizes[][2] = {{0, 0},     {128, 16},   {256, 288},   {256, 416},
                                      {256, 417}, {512, 1152}, {1024, 1152}, {1, 1}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct sealing sealing = entry_sealing_sized(i + 1, 1, sizes[i][0], sizes[i][1]);
        cr_assert(sealing_cache_put(cache, &sealing));
        cr_assert(finds_sealing(cache, &sealing), "%zu %zu", sizes[i][0], sizes[i][1]);
        struct sealing newer = entry_sealing_sized(i + 1, 2, sizes[i][0], sizes[i][1]);
        cr_assert(sealing_cache_put(cache, &newer));
        cr_assert(finds_sealing(cache, &newer));
        sealing_cache_drop(cache, newer.peer);
        cr_assert(!finds_sealing(cache, &newer));
    }
}

Test(session_cache, does_not_find_sealings_of_another_day)
{
    struct sealing sealing = entry_sealing(1, 0), found;
    cr_assert(sealing_cache_put(cache, &sealing));
    usec_t last = ENTRY_NOW + SEALING_LIFETIME - 1;
    cr_assert(sealing_cache_find(cache, sealing.peer, ENTRY_NOW, &found));
    cr_assert(sealing_cache_find(cache, sealing.peer, last, &found));
    cr_assert(!sealing_cache_find(cache, sealing.peer, last + 1, &found));
    cr_assert(!sealing_cache_find(cache, sealing.peer, ENTRY_NOW - 1, &found));
}

Test(session_cache, refuses_impossible_sealings)
{
    struct sealing sealing = entry_sealing(1, 0);
    sealing.cipher_len = RSA_BYTES_MAX + 1;
    cr_assert(!sealing_cache_put(cache, &sealing));
}

Test(session_cache, may_be_absent)
{
    struct session session = entry_session(1, 1);
    struct sealing sealing = entry_sealing(1, 1);
    struct session_cache_statistics statistics;
    cr_assert(!session_cache_put(NULL, &session));
    cr_assert(!session_cache_find(NULL, session.digest, &session));
    cr_assert(!sealing_cache_put(NULL, &sealing));
    cr_assert(!sealing_cache_find(NULL, sealing.peer, ENTRY_NOW, &sealing));
    session_cache_drop(NULL, session.digest);
    sealing_cache_drop(NULL, sealing.peer);
    session_cache_read_statistics(NULL, &statistics);
    cr_assert_eq(statistics.bytes, 0);
    session_cache_close(NULL);
}

Test(session_cache, stays_within_its_bounds_and_keeps_the_newest)
{
    struct session_cache_statistics statistics;
    session_cache_read_statistics(cache, &statistics);
    uint64_t last = 4 * statistics.sessions.slots;
    for (uint64_t i = 0; i < last; i++) {
        cr_assert(put_session(i, 1));
        cr_assert(finds_session(cache, i, 1));
    }
    session_cache_read_statistics(cache, &statistics);
    cr_assert_eq(statistics.sessions.used, statistics.sessions.slots);
    cr_assert_eq(statistics.locked, 0);
    size_t young = 0, old = 0;
    for (uint64_t i = 0; i < statistics.sessions.slots / 4; i++) {
        young += finds_session(cache, last - 1 - i, 1);
        old += finds_session(cache, i, 1);
    }
    cr_assert(young > 4 * old, "%zu young, %zu old", young, old);
}

Test(session_cache, keeps_what_is_used)
{
    struct session_cache_statistics statistics;
    session_cache_read_statistics(cache, &statistics);
    /* Unused ones stream through a set that one session is used in. */
    cr_assert(put_session(7, 1));
    for (uint64_t i = 1000; i < 1000 + 4 * statistics.sessions.slots; i++) {
        cr_assert(put_session(i, 1));
        cr_assert(finds_session(cache, 7, 1), "lost after %llu", (unsigned long long)i - 1000);
    }
}

Test(session_cache, is_shared_by_who_opens_it_and_outlives_them)
{
    struct session_cache *other = open_cache();
    struct session_cache_statistics statistics;
    struct sealing sealing = entry_sealing(5, 1);
    session_cache_read_statistics(other, &statistics);
    cr_assert(!statistics.is_fresh);
    cr_assert(put_session(1, 1));
    cr_assert(sealing_cache_put(other, &sealing));
    cr_assert(finds_session(other, 1, 1));
    cr_assert(finds_sealing(cache, &sealing));
    session_cache_close(other);
    session_cache_close(cache);
    cache = open_cache();
    cr_assert(finds_session(cache, 1, 1));
    cr_assert(finds_sealing(cache, &sealing));
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 3000, NUMBERS = 40 };

static atomic_uint torn, hits;

static void use_once(uint64_t number, uint64_t variant)
{
    struct session session = entry_session(number, variant);
    struct sealing sealing = entry_sealing(number, variant % 1000);
    struct session found;
    struct sealing found_sealing;
    if (variant % 4 == 0) {
        (void)session_cache_put(cache, &session);
        (void)sealing_cache_put(cache, &sealing);
    } else if (variant % 97 == 1) {
        session_cache_drop(cache, session.digest);
        sealing_cache_drop(cache, sealing.peer);
    }
    if (session_cache_find(cache, session.digest, &found)) {
        hits++;
        torn += !entry_session_is_whole(&found) || memcmp(found.digest, session.digest, 32) != 0;
    }
    if (sealing_cache_find(cache, sealing.peer, ENTRY_NOW, &found_sealing)) {
        hits++;
        torn += !entry_sealing_is_whole(&found_sealing) ||
                memcmp(found_sealing.peer, sealing.peer, 32) != 0;
    }
}

static void *hammer(void *context)
{
    uint64_t state = (uint64_t)(uintptr_t)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t random = next_random(&state);
        use_once(random % NUMBERS, (random >> 32) % 100000);
    }
    return NULL;
}

Test(session_cache, never_shows_threads_half_a_slot)
{
    pthread_t threads[THREADS];
    struct session_cache_statistics statistics;
    for (uintptr_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(torn, 0);
    cr_assert(hits > ROUNDS);
    session_cache_read_statistics(cache, &statistics);
    cr_assert_eq(statistics.locked, 0);
}
