/* SPDX-License-Identifier: Apache-2.0 */
/* The agents in memory, over the store that lives in memory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agent_cache.h"
#include "base/buffer.h"
#include "base/error.h"
#include "store/store_memory.h"
#include "wire/rsa.h"

enum { KEYS = 12, MAX = 4 };

static struct store *store;
static struct agent_cache *cache;
static struct rsa_key *keys[KEYS];
static struct buffer pems[KEYS];
static struct error error;

static struct store_agent_id id_of(size_t i)
{
    struct store_agent_id id;
    cr_assert_eq(store_agent_id_parse(client_id_str(rsa_key_client_id(keys[i])), &id), 0);
    return id;
}

/* A key that is made on first use. */
static void enrol(size_t i, enum store_agent_state state)
{
    if (keys[i] == NULL) {
        cr_assert_eq(rsa_generate(RSA_BITS_MIN, NULL, &keys[i]), 0);
        buffer_init(&pems[i], 65536);
        cr_assert_eq(rsa_public_to_pem(keys[i], &pems[i]), 0);
    }
    struct store_enrolment enrolment = {
        .agent = id_of(i), .key = buffer_view(&pems[i]), .state = state};
    cr_assert(store_enrol_agent(store, &enrolment, NULL, &error) >= 0, "%s", error.message);
}

static void set_up(void)
{
    cr_assert_eq(store_memory_open(&clock_system, 64 << 20, &store), 0);
    cache = agent_cache_new(store, MAX);
    cr_assert_not_null(cache);
    store_watch_agents(store, agent_cache_changed, cache);
}

static void tear_down(void)
{
    agent_cache_free(cache);
    store_free(store);
    for (size_t i = 0; i < KEYS; i++) {
        rsa_key_free(keys[i]);
        buffer_done(&pems[i]);
    }
}

TestSuite(agent_cache, .init = set_up, .fini = tear_down);

static struct agent *load(size_t i)
{
    struct agent *agent = NULL;
    cr_assert_eq(agent_cache_load(cache, id_of(i), &agent, &error), 0, "%s", error.message);
    return agent;
}

static bool is_cached(size_t i)
{
    struct agent *agent = agent_cache_get(cache, id_of(i));
    agent_unref(agent);
    return agent != NULL;
}

static size_t count(void)
{
    struct agent_cache_statistics statistics;
    agent_cache_read_statistics(cache, &statistics);
    return statistics.count;
}

Test(agent_cache, gives_what_was_loaded)
{
    enrol(0, STORE_ENROLLED);
    cr_assert(!is_cached(0));
    struct agent *loaded = load(0);
    struct agent *got = agent_cache_get(cache, id_of(0));
    cr_assert_eq(got, loaded);
    cr_assert(agent_is_enrolled(got));
    cr_assert_arr_eq(got->fingerprint, rsa_key_fingerprint(keys[0]), RSA_FINGERPRINT_BYTES);
    struct rsa_key *key = NULL;
    cr_assert_eq(agent_make_key(got, NULL, &key), 0);
    cr_assert_arr_eq(rsa_key_fingerprint(key), rsa_key_fingerprint(keys[0]), RSA_FINGERPRINT_BYTES);
    cr_assert_str_eq(rsa_key_client_id(key)->text, rsa_key_client_id(keys[0])->text);
    rsa_key_free(key);
    agent_unref(loaded);
    agent_unref(got);
}

Test(agent_cache, does_not_remember_who_is_unknown)
{
    struct store_agent_id id = {{1, 2, 3}};
    struct agent *agent;
    cr_assert_eq(agent_cache_load(cache, id, &agent, &error), -ENODATA);
    cr_assert_null(agent_cache_get(cache, id));
    cr_assert_eq(count(), 0);
}

Test(agent_cache, refuses_a_key_that_is_not_the_agents)
{
    enrol(0, STORE_ENROLLED);
    struct agent *agent;
    struct store_enrolment wrong = {
        .agent = {{9}}, .key = buffer_view(&pems[0]), .state = STORE_ENROLLED};
    cr_assert_eq(store_enrol_agent(store, &wrong, NULL, &error), 1);
    cr_assert_eq(agent_cache_load(cache, wrong.agent, &agent, &error), -EKEYREJECTED);
    wrong.agent.bytes[0] = 8;
    wrong.key = STR("no key");
    cr_assert_eq(store_enrol_agent(store, &wrong, NULL, &error), 1);
    cr_assert_eq(agent_cache_load(cache, wrong.agent, &agent, &error), -EKEYREJECTED);
}

Test(agent_cache, sees_that_an_agent_was_approved_and_forgotten)
{
    enrol(0, STORE_PENDING);
    struct agent *pending = load(0);
    cr_assert(!agent_is_enrolled(pending));
    cr_assert_eq(store_set_state(store, id_of(0), STORE_ENROLLED, &error), 1);
    cr_assert(!is_cached(0));
    struct agent *enrolled = load(0);
    cr_assert(agent_is_enrolled(enrolled));
    cr_assert_neq(enrolled->version, pending->version);
    cr_assert_eq(store_set_state(store, id_of(0), STORE_FORGOTTEN, &error), 1);
    cr_assert(!is_cached(0));
    struct agent *forgotten = load(0);
    cr_assert_eq(forgotten->state, STORE_FORGOTTEN);
    cr_assert_not(agent_has_key(forgotten));
    /* Who holds an agent holds it as it was. */
    cr_assert_eq(pending->state, STORE_PENDING);
    cr_assert(agent_is_enrolled(enrolled));
    agent_unref(pending);
    agent_unref(enrolled);
    agent_unref(forgotten);
    cr_assert_eq(count(), 1);
}

Test(agent_cache, moves_clocks_only_forward_and_keeps_them)
{
    enrol(0, STORE_PENDING);
    struct agent *agent = load(0);
    cr_assert_eq(agent_clock(agent), 0);
    cr_assert(agent_advance_clock(agent, 100));
    cr_assert(!agent_advance_clock(agent, 100));
    cr_assert(!agent_advance_clock(agent, 99));
    cr_assert_eq(agent_clock(agent), 100);
    agent_unref(agent);
    cr_assert_eq(store_set_state(store, id_of(0), STORE_ENROLLED, &error), 1);
    agent = load(0);
    cr_assert_eq(agent_clock(agent), 100, "the store does not know of it yet");
    agent_unref(agent);
    /* Forgetting is a new beginning, once it was seen. */
    cr_assert_eq(store_set_state(store, id_of(0), STORE_FORGOTTEN, &error), 1);
    agent_unref(load(0));
    enrol(0, STORE_ENROLLED);
    agent = load(0);
    cr_assert_eq(agent_clock(agent), 0);
    agent_unref(agent);
}

Test(agent_cache, is_bounded_and_keeps_who_polls)
{
    for (size_t i = 0; i < KEYS; i++) {
        enrol(i, STORE_ENROLLED);
        agent_unref(load(i));
        cr_assert(is_cached(0), "%zu", i);
        cr_assert(count() <= MAX);
    }
    cr_assert(is_cached(KEYS - 1));
    struct agent_cache_statistics statistics;
    agent_cache_read_statistics(cache, &statistics);
    cr_assert_eq(statistics.count, MAX);
    cr_assert_eq(statistics.evicted, KEYS - MAX);
    cr_assert_eq(statistics.loaded, KEYS);
}

Test(agent_cache, lets_its_agents_outlive_it)
{
    enrol(0, STORE_ENROLLED);
    struct agent *agent = load(0);
    agent_cache_free(cache);
    cache = NULL;
    cr_assert(agent_is_enrolled(agent));
    agent_unref(agent);
}

static atomic_bool is_over;

static void *poll(void *context)
{
    uintptr_t seed = (uintptr_t)context;
    for (size_t i = seed; !is_over; i = i * 7 + 3) {
        struct store_agent_id id = id_of(i % KEYS);
        struct agent *agent = agent_cache_get(cache, id);
        if (agent == NULL && agent_cache_load(cache, id, &agent, NULL) < 0) {
            abort();
        }
        if (memcmp(agent->id.bytes, id.bytes, sizeof id.bytes) != 0) {
            abort();
        }
        (void)agent_advance_clock(agent, (usec_t)i & 0xffff);
        agent_unref(agent);
    }
    return NULL;
}

Test(agent_cache, is_shared_by_threads_and_never_stays_behind_the_store)
{
    pthread_t threads[4];
    for (size_t i = 0; i < KEYS; i++) {
        enrol(i, STORE_PENDING);
    }
    for (uintptr_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, poll, (void *)(i + 1)), 0);
    }
    /* The watcher has been called when store_set_state() returns: from then on nobody may get the
     * agent as it was. */
    for (size_t i = 0; i < KEYS; i++) {
        cr_assert_eq(store_set_state(store, id_of(i), STORE_ENROLLED, NULL), 1);
        for (unsigned round = 0; round < 200; round++) {
            struct agent *agent = agent_cache_get(cache, id_of(i));
            cr_assert(agent == NULL || agent_is_enrolled(agent));
            agent_unref(agent);
        }
    }
    is_over = true;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert(count() <= MAX);
}
