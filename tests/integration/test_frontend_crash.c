/* SPDX-License-Identifier: Apache-2.0 */
/* Two instances on one store and one session cache are killed at random moments while agents post,
 * one or both at once.
 * An agent sends the same bytes again until it is told 200, as real ones do. Afterwards everything
 * that was answered 200 is in the store, once. CRASH_SECONDS=600 in the environment makes it long.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/support.h"

enum {
    INSTANCES = 2,
    AGENTS = 4,
    NUMBERS_MAX = 1 << 20, /* packets of one agent */
    PAGE = 1000,
    LONGEST_LIFE = 120 * 1000, /* us between two kills, at most */
};

#define SECONDS_DEFAULT 12
#define STOP_PATIENCE (20 * USEC_PER_SEC)

struct poster {
    struct fake_agent agent;
    pthread_t thread;
    uint64_t random;
    uint8_t *acknowledged; /* by number */
    uint8_t *stored;       /* how often, both messages of a packet */
    size_t count;          /* numbers that were sent, acknowledged or not */
    size_t repeats;
};

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instances[INSTANCES];
    atomic_uint ports[INSTANCES];
    atomic_bool is_over;
    struct poster posters[AGENTS];
} scene;

/* One attempt; the connection is kept while it works. */
static unsigned attempt(struct poster *poster, struct http_client *client, bool *is_open,
                        struct str packet)
{
    if (!*is_open) {
        unsigned port = atomic_load(&scene.ports[next_random(&poster->random) % INSTANCES]);
        if (port == 0 || http_try_connect(client, (uint16_t)port) < 0) {
            sleep_for(1000);
            return 0;
        }
        *is_open = true;
    }
    unsigned status = fake_agent_send(&poster->agent, client, "/control?api=3", packet);
    if (status == 0 || next_random(&poster->random) % 16 == 0) {
        http_close(client);
        *is_open = false;
    }
    return status;
}

static void *post(void *context)
{
    struct poster *poster = context;
    struct http_client client;
    bool is_open = false;
    char text[32];
    fake_agent_ask(&poster->agent);
    for (size_t n = 0; n < NUMBERS_MAX && !atomic_load(&scene.is_over); n++) {
        snprintf(text, sizeof text, "%zu", n);
        fake_agent_say(&poster->agent, "aff4:/flows/F:ClientAlert", "DataBlob", str_from(text));
        fake_agent_respond(&poster->agent, "F0", n + 1, 1, str_from(text));
        struct str packet = fake_agent_packet(&poster->agent);
        unsigned status;
        poster->count = n + 1;
        while ((status = attempt(poster, &client, &is_open, packet)) != 200 &&
               !atomic_load(&scene.is_over)) {
            CHECK(status == 0 || status == 503);
            poster->repeats++;
        }
        poster->acknowledged[n] = status == 200;
        free_str(packet);
    }
    if (is_open) {
        http_close(&client);
    }
    return NULL;
}

static void start_instance(unsigned i)
{
    instance_start(&scene.instances[i]);
    atomic_store(&scene.ports[i], scene.instances[i].port);
}

static void begin(uint64_t seed)
{
    CHECK(rsa_generate(1024, NULL, &scene.server) == 0);
    instance_keys_make(scene.server, &scene.keys);
    instance_init(&scene.instances[0], &scene.keys);
    for (unsigned i = 1; i < INSTANCES; i++) {
        instance_join(&scene.instances[i], &scene.instances[0]);
    }
    for (unsigned i = 0; i < INSTANCES; i++) {
        start_instance(i);
    }
    for (unsigned i = 0; i < AGENTS; i++) {
        struct poster *poster = &scene.posters[i];
        fake_agent_init(&poster->agent, scene.server);
        poster->random = seed + i + 1;
        poster->acknowledged = calloc(NUMBERS_MAX, 1);
        poster->stored = calloc(NUMBERS_MAX, 1);
        CHECK(poster->acknowledged != NULL && poster->stored != NULL);
        CHECK(pthread_create(&poster->thread, NULL, post, poster) == 0);
    }
}

/* One of them, or each: then whoever comes first finds what nobody was left to finish. */
static unsigned kill_some(unsigned victim)
{
    unsigned kills = 0;
    for (unsigned i = 0; i < INSTANCES; i++) {
        if (victim == i || victim >= INSTANCES) {
            instance_kill(&scene.instances[i]);
            kills++;
        }
    }
    for (unsigned i = 0; i < INSTANCES; i++) {
        if (scene.instances[i].process.pid == 0) {
            start_instance(i);
        }
    }
    return kills;
}

static unsigned kill_for(usec_t time, uint64_t *random)
{
    usec_t deadline = clock_monotonic(&clock_system) + time;
    unsigned kills = 0;
    while (clock_monotonic(&clock_system) < deadline) {
        sleep_for((usec_t)(next_random(random) % LONGEST_LIFE));
        kills += kill_some((unsigned)(next_random(random) % (INSTANCES + 1)));
    }
    return kills;
}

static size_t number_of(struct str args)
{
    uint64_t number = NUMBERS_MAX;
    CHECK(str_to_uint64(args, &number) == 0 && number < NUMBERS_MAX);
    return (size_t)number;
}

static void count_messages(struct store *store, struct poster *poster, struct store_agent_id id)
{
    struct store_message_query query = {.agent = &id, .limit = PAGE};
    struct arena arena;
    struct store_message *messages;
    arena_init(&arena, 65536, 64 << 20);
    do {
        messages = NULL;
        CHECK(store_list_messages(store, &query, &arena, &messages, NULL) == 0);
        for (const struct store_message *message = messages; message; message = message->next) {
            poster->stored[number_of(message->args)]++;
            query.after = message->id;
        }
        arena_reset(&arena);
    } while (messages != NULL);
    arena_done(&arena);
}

/* That responses are there once is the store's key; that none is missing is what we look for. */
static void count_responses(struct store *store, struct poster *poster, struct store_agent_id id)
{
    struct store_response_query query = {.agent = id, .limit = PAGE};
    char flow[STORE_NAME_MAX + 1] = "";
    struct arena arena;
    struct store_response *responses;
    arena_init(&arena, 65536, 64 << 20);
    do {
        responses = NULL;
        query.after_flow = str_from(flow);
        CHECK(store_list_responses(store, &query, &arena, &responses, NULL) == 0);
        for (const struct store_response *response = responses; response;
             response = response->next) {
            poster->stored[number_of(response->args)] += 16;
            snprintf(flow, sizeof flow, "%.*s", STR_ARG(response->flow));
            query.after_request = response->request;
            query.after_response = response->response;
        }
        arena_reset(&arena);
    } while (responses != NULL);
    arena_done(&arena);
}

/* All of a packet is stored or nothing: 17 is both its messages, once. */
static size_t expect_kept(struct poster *poster)
{
    size_t acknowledged = 0;
    size_t missing = 0, doubled = 0, torn = 0;
    for (size_t n = 0; n < poster->count; n++) {
        unsigned stored = poster->stored[n];
        acknowledged += poster->acknowledged[n];
        missing += poster->acknowledged[n] && stored == 0;
        doubled += stored % 16 > 1 || stored / 16 > 1;
        torn += stored != 0 && stored % 16 != stored / 16;
    }
    cr_expect_eq(missing, 0, "%zu of %zu acknowledged packets are lost", missing, acknowledged);
    cr_expect_eq(doubled, 0, "%zu packets are stored more than once", doubled);
    cr_expect_eq(torn, 0, "%zu packets are stored in part", torn);
    return acknowledged;
}

Test(frontend_crash, what_was_answered_200_is_stored_once)
{
    const char *wish = getenv("CRASH_SECONDS");
    uint64_t seed = (uint64_t)clock_wall(&clock_system) | 1;
    usec_t time = (wish == NULL ? SECONDS_DEFAULT : strtol(wish, NULL, 10)) * USEC_PER_SEC;
    size_t acknowledged = 0, repeats = 0;
    uint64_t random = seed;
    begin(seed);
    unsigned kills = kill_for(time, &random);
    atomic_store(&scene.is_over, true);
    for (unsigned i = 0; i < AGENTS; i++) {
        pthread_join(scene.posters[i].thread, NULL);
    }
    for (unsigned i = 0; i < INSTANCES; i++) {
        cr_expect_eq(instance_stop(&scene.instances[i], STOP_PATIENCE), 0);
    }
    struct store *store = instance_store(&scene.instances[0]);
    cr_expect_eq(store_check(store, NULL), 0);
    for (unsigned i = 0; i < AGENTS; i++) {
        struct poster *poster = &scene.posters[i];
        struct store_agent_id id;
        CHECK(store_agent_id_parse(str_from(fake_agent_id(&poster->agent)), &id) == 0);
        count_messages(store, poster, id);
        count_responses(store, poster, id);
        acknowledged += expect_kept(poster);
        repeats += poster->repeats;
        fake_agent_done(&poster->agent);
        free(poster->acknowledged);
        free(poster->stored);
    }
    printf("seed %llu: %u kills, %zu packets acknowledged, %zu attempts repeated\n",
           (unsigned long long)seed, kills, acknowledged, repeats);
    cr_expect_gt(kills, 3);
    cr_expect_gt(acknowledged, 20);
    store_free(store);
    for (unsigned i = INSTANCES; i-- > 0;) {
        instance_done(&scene.instances[i]);
    }
    instance_keys_free(&scene.keys);
    rsa_key_free(scene.server);
}
