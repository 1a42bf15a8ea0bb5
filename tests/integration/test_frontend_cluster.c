/* SPDX-License-Identifier: Apache-2.0 */
/* Several instances on one store and one session cache. What RSA they do is read from their
 * metrics. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/operator.h"
#include "support/scrape.h"
#include "support/support.h"

enum { INSTANCES_MAX = 4, ROUNDS = 3, REQUESTS = 12 };

#define STOP_PATIENCE (20 * USEC_PER_SEC)
/* Changes of other processes are seen after half a second; a loaded machine adds to that. */
#define NEWS_DELAY (700 * USEC_PER_MSEC)

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instances[INSTANCES_MAX];
    unsigned count;
    struct fake_agent agent;
} cluster;

static void prepare(unsigned count)
{
    cluster.count = count;
    CHECK(rsa_generate(1024, NULL, &cluster.server) == 0);
    instance_keys_make(cluster.server, &cluster.keys);
    instance_init(&cluster.instances[0], &cluster.keys);
    scrape_enable(&cluster.instances[0]);
    for (unsigned i = 1; i < count; i++) {
        instance_join(&cluster.instances[i], &cluster.instances[0]);
    }
    fake_agent_init(&cluster.agent, cluster.server);
}

static void start_all(void)
{
    for (unsigned i = 0; i < cluster.count; i++) {
        instance_start(&cluster.instances[i]);
    }
}

static void begin(unsigned count)
{
    prepare(count);
    start_all();
}

static void end(void)
{
    for (unsigned i = 0; i < cluster.count; i++) {
        if (cluster.instances[i].process.pid > 0) {
            cr_expect_eq(instance_stop(&cluster.instances[i], STOP_PATIENCE), 0);
        }
    }
    for (unsigned i = cluster.count; i-- > 0;) {
        instance_done(&cluster.instances[i]);
    }
    fake_agent_done(&cluster.agent);
    instance_keys_free(&cluster.keys);
    rsa_key_free(cluster.server);
}

static unsigned poll_at(unsigned i)
{
    return fake_agent_poll_once(&cluster.agent, cluster.instances[i].port);
}

static void enrol_at(unsigned i)
{
    fake_agent_ask(&cluster.agent);
    cr_assert_eq(poll_at(i), 200, "%s", cluster.agent.reason);
}

static uint64_t rsa_of(unsigned i)
{
    return scrape_rsa(&cluster.instances[i]);
}

/* Round and round; what they did besides starting. */
static uint64_t poll_all_and_count_rsa(void)
{
    uint64_t before = 0, after = 0;
    for (unsigned i = 0; i < cluster.count; i++) {
        before += rsa_of(i);
    }
    for (unsigned n = 0; n < ROUNDS * cluster.count; n++) {
        cr_assert_eq(poll_at(n % cluster.count), 200, "%s", cluster.agent.reason);
    }
    for (unsigned i = 0; i < cluster.count; i++) {
        after += rsa_of(i);
    }
    return after - before;
}

static void restart_all(bool softly)
{
    for (unsigned i = 0; i < cluster.count; i++) {
        if (softly) {
            cr_assert_eq(instance_stop(&cluster.instances[i], STOP_PATIENCE), 0);
        } else {
            instance_kill(&cluster.instances[i]);
        }
        instance_start(&cluster.instances[i]);
        cr_assert_eq(poll_at((i + 1) % cluster.count), 200);
    }
}

static void expect_rsa_is_paid_once(void)
{
    uint64_t paid = rsa_of(0);
    enrol_at(0);
    cr_expect_gt(rsa_of(0), paid, "the count counts");
    cr_expect_eq(poll_all_and_count_rsa(), 0);
    const struct session answers = cluster.agent.client.session;
    restart_all(true);
    cr_expect_eq(poll_all_and_count_rsa(), 0, "after a rolling restart");
    restart_all(false);
    cr_expect_eq(poll_all_and_count_rsa(), 0, "after all were killed, one by one");
    cr_expect_arr_eq(answers.digest, cluster.agent.client.session.digest, sizeof answers.digest,
                     "one cipher of the server's for this agent");
}

Test(frontend_cluster, what_one_of_two_verified_costs_no_rsa_again)
{
    begin(2);
    expect_rsa_is_paid_once();
    end();
}

Test(frontend_cluster, what_one_of_four_verified_costs_no_rsa_again)
{
    begin(4);
    expect_rsa_is_paid_once();
    end();
}

/* One decryption and one verification; the server's own cipher stays. */
Test(frontend_cluster, an_agents_new_cipher_costs_rsa_at_one_instance)
{
    begin(4);
    enrol_at(3);
    uint64_t before = rsa_of(2);
    fake_agent_renew(&cluster.agent);
    cr_assert_eq(poll_at(2), 200);
    cr_expect_eq(rsa_of(2) - before, 2);
    cr_expect_eq(poll_all_and_count_rsa(), 0);
    end();
}

static void forget(void)
{
    json_decref(OPERATOR(&cluster.instances[0], "agents", "forget", fake_agent_id(&cluster.agent)));
    sleep_for(NEWS_DELAY);
}

static void expect_refused_everywhere(void)
{
    for (unsigned i = 0; i < cluster.count; i++) {
        cr_expect_eq(poll_at(i), 406, "instance %u", i);
        cr_expect_str_eq(cluster.agent.reason, "source_unknown");
    }
}

/* Also by those that it polled while it was known, whose caches have it. */
Test(frontend_cluster, a_forgotten_agent_is_refused_until_it_enrols_again)
{
    begin(4);
    enrol_at(0);
    cr_expect_eq(poll_all_and_count_rsa(), 0);
    const struct session answers = cluster.agent.client.session;
    forget();
    expect_refused_everywhere();
    fake_agent_renew(&cluster.agent);
    expect_refused_everywhere();
    uint64_t before = rsa_of(1);
    enrol_at(1);
    cr_expect_gt(rsa_of(1), before);
    cr_expect_eq(poll_all_and_count_rsa(), 0);
    cr_expect_arr_neq(answers.digest, cluster.agent.client.session.digest, sizeof answers.digest,
                      "the server's cipher of the time before");
    end();
}

Test(frontend_cluster, another_agent_pays_for_itself)
{
    struct fake_agent other;
    begin(2);
    enrol_at(0);
    fake_agent_init(&other, cluster.server);
    cr_expect_eq(fake_agent_poll_once(&other, cluster.instances[1].port), 406);
    uint64_t before = rsa_of(1);
    fake_agent_ask(&other);
    cr_assert_eq(fake_agent_poll_once(&other, cluster.instances[1].port), 200);
    cr_expect_geq(rsa_of(1) - before, 4, "decrypt, verify, sign, encrypt");
    before = rsa_of(0);
    cr_assert_eq(fake_agent_poll_once(&other, cluster.instances[0].port), 200);
    cr_expect_eq(rsa_of(0), before);
    fake_agent_done(&other);
    end();
}

/* ---- requests ---- */

static atomic_uint deliveries[REQUESTS + 1]; /* by number of the request */
static atomic_uint delivered;

/* Answer what the last poll brought; say the whole twice, there and to the next instance. */
static void answer_all(struct fake_agent *agent, unsigned place)
{
    struct str list = agent->bundle.list;
    struct message message;
    bool has_some = false;
    while (message_next(&list, &message) > 0) {
        CHECK(message.request_id >= 1 && message.request_id <= REQUESTS);
        atomic_fetch_add(&deliveries[message.request_id], 1);
        atomic_fetch_add(&delivered, 1);
        fake_agent_respond(agent, "F:1", message.request_id, 1, STR("done"));
        fake_agent_end(agent, "F:1", message.request_id, 2);
        has_some = true;
    }
    if (!has_some) {
        return;
    }
    struct str packet = fake_agent_packet(agent);
    for (unsigned i = 0; i < 2; i++) {
        struct http_client client;
        http_connect(&client, cluster.instances[(place + i) % cluster.count].port);
        CHECK(fake_agent_send(agent, &client, "/control?api=3", packet) == 200);
        http_close(&client);
        list = agent->bundle.list;
        /* The answer may bring the rest. */
        while (message_next(&list, &message) > 0) {
            atomic_fetch_add(&deliveries[message.request_id], 1);
            atomic_fetch_add(&delivered, 1);
        }
    }
    free((void *)(uintptr_t)packet.data);
}

struct poller {
    struct fake_agent agent;
    pthread_t thread;
    unsigned place;
};

static void *keep_polling(void *context)
{
    struct poller *poller = context;
    usec_t deadline = clock_monotonic(&clock_system) + 20 * USEC_PER_SEC;
    struct http_client client;
    http_connect(&client, cluster.instances[poller->place].port);
    while (atomic_load(&delivered) < REQUESTS && clock_monotonic(&clock_system) < deadline) {
        CHECK(fake_agent_poll(&poller->agent, &client) == 200);
        answer_all(&poller->agent, poller->place);
    }
    http_close(&client);
    return NULL;
}

static void expect_all_delivered_once(void)
{
    for (unsigned n = 1; n <= REQUESTS; n++) {
        cr_expect_eq(atomic_load(&deliveries[n]), 1, "request %u: %u times", n,
                     atomic_load(&deliveries[n]));
    }
    json_t *requests = OPERATOR(&cluster.instances[0], "requests", fake_agent_id(&cluster.agent));
    cr_expect_eq(json_array_size(requests), REQUESTS);
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const json_t *request = json_array_get(requests, i);
        cr_expect_eq(json_integer_value(json_object_get(request, "deliveries")), 1);
    }
    json_decref(requests);
}

Test(frontend_cluster, requests_are_delivered_once_whoever_asks)
{
    static struct poller pollers[INSTANCES_MAX];
    begin(4);
    enrol_at(0);
    for (unsigned i = 0; i < cluster.count; i++) {
        pollers[i].place = i;
        fake_agent_twin(&pollers[i].agent, &cluster.agent);
        CHECK(pthread_create(&pollers[i].thread, NULL, keep_polling, &pollers[i]) == 0);
    }
    for (unsigned n = 0; n < REQUESTS; n++) {
        json_decref(OPERATOR(&cluster.instances[0], "send", fake_agent_id(&cluster.agent),
                             "GetPlatformInfo", "--flow", "F:1"));
    }
    for (unsigned i = 0; i < cluster.count; i++) {
        pthread_join(pollers[i].thread, NULL);
        fake_agent_done(&pollers[i].agent);
    }
    expect_all_delivered_once();
    json_t *responses = OPERATOR(&cluster.instances[0], "responses", fake_agent_id(&cluster.agent));
    size_t answered = json_array_size(responses);
    cr_expect_leq(answered, 2 * REQUESTS);
    cr_expect_eq(answered % 2, 0, "a response and a status each");
    cr_expect_gt(answered, 0);
    json_decref(responses);
    end();
}

/* ---- ports ---- */

/* The first of `count` neighbours that nobody has. */
static unsigned find_neighbours(unsigned count)
{
    uint64_t random = (uint64_t)getpid() * 2654435761U | 1;
    for (;;) {
        unsigned first = 12000 + (unsigned)(next_random(&random) % 7000);
        unsigned free_ones = 0;
        while (free_ones < count) {
            const struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons((uint16_t)(first + free_ones)),
                .sin_addr.s_addr = htonl(INADDR_ANY),
            };
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            CHECK(fd >= 0);
            int r = bind(fd, (const struct sockaddr *)&address, sizeof address);
            close(fd);
            if (r != 0) {
                break;
            }
            free_ones++;
        }
        if (free_ones == count) {
            return first;
        }
    }
}

static void expect_the_fifth_is_told(unsigned first)
{
    struct instance fifth;
    char name[64];
    instance_join(&fifth, &cluster.instances[0]);
    instance_launch(&fifth, NULL);
    cr_expect_eq(instance_wait(&fifth, STOP_PATIENCE), 1);
    char *said = instance_log(&fifth);
    for (unsigned i = 0; i < cluster.count; i++) {
        snprintf(name, sizeof name, "port %u: process %d (portico-front", cluster.instances[i].port,
                 (int)cluster.instances[i].process.pid);
        cr_expect_not_null(strstr(said, name), "%s is not in: %s", name, said);
        cr_expect_lt(cluster.instances[i].port - first, cluster.count);
    }
    free(said);
    instance_done(&fifth);
}

Test(frontend_cluster, four_started_at_once_share_a_range_of_four)
{
    enum { STARTS = 4 };
    char text[64];
    prepare(4);
    unsigned first = find_neighbours(cluster.count);
    for (unsigned i = 0; i < cluster.count; i++) {
        snprintf(text, sizeof text, "Frontend.bind_port=%u", first);
        instance_set(&cluster.instances[i], text);
        snprintf(text, sizeof text, "Frontend.port_max=%u", first + cluster.count - 1);
        instance_set(&cluster.instances[i], text);
    }
    for (int round = 0; round < STARTS; round++) {
        unsigned taken = 0;
        for (unsigned i = 0; i < cluster.count; i++) {
            instance_launch(&cluster.instances[i], NULL);
        }
        for (unsigned i = 0; i < cluster.count; i++) {
            cr_assert(instance_await(&cluster.instances[i]), "round %d, instance %u", round, i);
            taken |= 1U << (cluster.instances[i].port - first);
        }
        cr_expect_eq(taken, (1U << cluster.count) - 1, "round %d", round);
        if (round == 0) {
            expect_the_fifth_is_told(first);
        }
        for (unsigned i = 0; i < cluster.count; i++) {
            if (round % 2 == 0) {
                cr_expect_eq(instance_stop(&cluster.instances[i], STOP_PATIENCE), 0);
            } else {
                instance_kill(&cluster.instances[i]);
            }
        }
    }
    end();
}
