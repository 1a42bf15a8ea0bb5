/* SPDX-License-Identifier: Apache-2.0 */
/* What a warm poll pays for its caches: a session and a sealing found in the shared file, an agent
 * found in memory; and what an agent in memory takes. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent_cache.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/error.h"
#include "bench/measure.h"
#include "session_cache.h"
#include "store/store_memory.h"
#include "support/support.h"
#include "wire/rsa.h"

enum { NUMBERS = 1 << 15, AGENTS = 16 };

struct scene {
    struct session_cache *cache;
    struct agent_cache *agents;
    struct store *store;
    struct store_agent_id ids[AGENTS];
    struct session session;
    struct sealing sealing;
    uint8_t keys[NUMBERS][32];
    uint64_t misses;
};

static struct scene scene;

static void find_one_session(void *context, uint64_t count)
{
    struct scene *in = context;
    struct session session;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(session_cache_find(in->cache, in->keys[0], &session));
        MEASURE_USE(session.key[0]);
    }
}

/* In no order that a processor foresees: memory has to be waited for. */
static void find_sessions(void *context, uint64_t count)
{
    struct scene *in = context;
    struct session session;
    for (uint64_t i = 0; i < count; i++) {
        in->misses += !session_cache_find(in->cache, in->keys[i * 40503 % NUMBERS], &session);
        MEASURE_USE(session.key[0]);
    }
}

static void miss_sessions(void *context, uint64_t count)
{
    struct scene *in = context;
    struct session session;
    uint8_t key[32] = {0};
    for (uint64_t i = 0; i < count; i++) {
        memcpy(key, &i, sizeof i);
        CHECK(!session_cache_find(in->cache, key, &session));
    }
}

static void find_one_sealing(void *context, uint64_t count)
{
    struct scene *in = context;
    struct sealing sealing;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(sealing_cache_find(in->cache, in->keys[0], 1, &sealing));
        MEASURE_USE(sealing.key[0]);
    }
}

static void find_sealings(void *context, uint64_t count)
{
    struct scene *in = context;
    struct sealing sealing;
    for (uint64_t i = 0; i < count; i++) {
        in->misses += !sealing_cache_find(in->cache, in->keys[i * 40503 % NUMBERS], 1, &sealing);
        MEASURE_USE(sealing.key[0]);
    }
}

static void put_sessions(void *context, uint64_t count)
{
    struct scene *in = context;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(in->session.digest, in->keys[i * 40503 % NUMBERS], 32);
        CHECK(session_cache_put(in->cache, &in->session));
    }
}

static void put_sealings(void *context, uint64_t count)
{
    struct scene *in = context;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(in->sealing.peer, in->keys[i * 40503 % NUMBERS], 32);
        CHECK(sealing_cache_put(in->cache, &in->sealing));
    }
}

static void get_agents(void *context, uint64_t count)
{
    struct scene *in = context;
    for (uint64_t i = 0; i < count; i++) {
        struct agent *agent = agent_cache_get(in->agents, in->ids[i % AGENTS]);
        CHECK(agent != NULL);
        agent_unref(agent);
    }
}

static void load_agents(void *context, uint64_t count)
{
    struct scene *in = context;
    for (uint64_t i = 0; i < count; i++) {
        struct agent *agent;
        CHECK(agent_cache_load(in->agents, in->ids[i % AGENTS], &agent, NULL) == 0);
        agent_unref(agent);
    }
}

static void enrol(size_t i)
{
    struct rsa_key *key;
    struct buffer pem;
    buffer_init(&pem, 65536);
    CHECK(rsa_generate(2048, NULL, &key) == 0 && rsa_public_to_pem(key, &pem) == 0);
    CHECK(store_agent_id_parse(client_id_str(rsa_key_client_id(key)), &scene.ids[i]) == 0);
    const struct store_enrolment enrolment = {
        .agent = scene.ids[i], .key = buffer_view(&pem), .state = STORE_ENROLLED};
    CHECK(store_enrol_agent(scene.store, &enrolment, NULL, NULL) == 1);
    rsa_key_free(key);
    buffer_done(&pem);
}

static void make_keys(void *context, uint64_t count)
{
    struct scene *in = context;
    for (uint64_t i = 0; i < count; i++) {
        struct agent *agent = agent_cache_get(in->agents, in->ids[i % AGENTS]);
        struct rsa_key *key;
        CHECK(agent != NULL && agent_make_key(agent, NULL, &key) == 0);
        rsa_key_free(key);
        agent_unref(agent);
    }
}

/* What the heap gave for each of them. */
static void weigh_agents(void)
{
    struct agent *agent;
    CHECK(agent_cache_load(scene.agents, scene.ids[0], &agent, NULL) == 0);
    agent_unref(agent);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 1; i < AGENTS; i++) {
        CHECK(agent_cache_load(scene.agents, scene.ids[i], &agent, NULL) == 0);
        agent_unref(agent);
    }
    printf("bytes for one agent: %zu, and 16 to 24 for its places\n",
           (mallinfo2().uordblks - before) / (AGENTS - 1));
}

static void set_up(const char *path)
{
    static const uint8_t identity[RSA_FINGERPRINT_BYTES];
    struct session_cache_statistics statistics;
    uint64_t state = 9;
    struct error error = {0};
    CHECK(session_cache_open(path, 64 << 20, identity, &scene.cache, &error) == 0);
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t word = 0; word < 4; word++) {
            uint64_t random = next_random(&state);
            memcpy(scene.keys[i] + word * 8, &random, 8);
        }
    }
    scene.sealing.cipher_len = 256;
    scene.sealing.metadata_len = 288;
    put_sessions(&scene, NUMBERS);
    put_sealings(&scene, NUMBERS);
    session_cache_read_statistics(scene.cache, &statistics);
    printf("%zu bytes: %zu sessions, %zu sealings\n", statistics.bytes, statistics.sessions.slots,
           statistics.sealings.slots);
    CHECK(store_memory_open(&clock_system, 16 << 20, &scene.store) == 0);
    CHECK((scene.agents = agent_cache_new(scene.store, 100000)) != NULL);
    for (size_t i = 0; i < AGENTS; i++) {
        enrol(i);
    }
}

int main(int argc, char **argv)
{
    struct measure_options options = measure_options(
        argc, argv, "The caches behind a warm poll: nanoseconds, and bytes for one agent.");
    char *directory = make_temporary_directory();
    char *path;
    CHECK(asprintf(&path, "%s/sessions", directory) > 0);
    set_up(path);
    weigh_agents();
    measure(&options, "find the same session", find_one_session, &scene, 2000000);
    measure(&options, "find sessions, 32768 of them", find_sessions, &scene, 2000000);
    measure(&options, "find no session", miss_sessions, &scene, 2000000);
    measure(&options, "find the same sealing", find_one_sealing, &scene, 1000000);
    measure(&options, "find sealings, 32768 of them", find_sealings, &scene, 1000000);
    measure(&options, "put a session", put_sessions, &scene, 1000000);
    measure(&options, "put a sealing", put_sealings, &scene, 500000);
    measure(&options, "get a cached agent", get_agents, &scene, 2000000);
    measure(&options, "load an agent, RSA-2048, from memory", load_agents, &scene, 2000);
    measure(&options, "make its key", make_keys, &scene, 2000);
    printf("%llu finds missed\n", (unsigned long long)scene.misses);
    agent_cache_free(scene.agents);
    store_free(scene.store);
    session_cache_close(scene.cache);
    remove_temporary_directory(directory);
    free(path);
    return 0;
}
