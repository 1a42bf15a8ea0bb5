/* SPDX-License-Identifier: Apache-2.0 */
/* What agents live through with an instance, and what an operator can do to its process. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/arena.h"
#include "base/check.h"
#include "front.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/http_client.h"
#include "support/support.h"

/* ---- Polls ---- */

Test(frontend_life, an_agent_enrols_and_polls_on_one_connection, .init = front_start,
     .fini = front_end)
{
    static struct fake_agent agent;
    struct http_client client;
    fake_agent_init(&agent, front.server);
    http_connect(&client, front.instance.port);
    cr_expect_eq(fake_agent_poll(&agent, &client), 406);
    cr_expect_str_eq(agent.reason, "source_unknown");
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll(&agent, &client), 200);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(fake_agent_poll(&agent, &client), 200);
        cr_expect_eq(agent.bundle.count, 0);
    }
    http_close(&client);
    fake_agent_done(&agent);
    front_expect_stop(&front.instance);
}

Test(frontend_life, an_agent_may_carry_a_prefix, .init = front_start, .fini = front_end)
{
    static const char *const paths[] = {"/", "/control", "/a/b/control?api=3", "/x?y=z"};
    static struct fake_agent agent;
    struct http_client client;
    fake_agent_init(&agent, front.server);
    http_connect(&client, front.instance.port);
    fake_agent_ask(&agent);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct str packet = fake_agent_packet(&agent);
        cr_expect_eq(fake_agent_send(&agent, &client, paths[i], packet), 200, "%s", paths[i]);
        free_str(packet);
    }
    http_close(&client);
    fake_agent_done(&agent);
}

Test(frontend_life, a_request_goes_out_and_its_answer_is_kept, .init = front_start,
     .fini = front_end)
{
    static struct fake_agent agent;
    struct store *store = instance_store(&front.instance);
    struct store_request request = {.flow = STR("F1"), .request = 7, .action = STR("Echo")};
    struct store_request_name name;
    struct arena arena;
    struct store_request *stored = NULL;
    struct message message;
    fake_agent_init(&agent, front.server);
    fake_agent_ask(&agent);
    cr_assert_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    CHECK(store_agent_id_parse(str_from(fake_agent_id(&agent)), &request.agent) == 0);
    cr_assert_eq(store_queue_request(store, &request, &name, NULL), 0);
    /* Deliverable at the latest half a second later. */
    usec_t deadline = clock_monotonic(&clock_system) + USEC_PER_SEC;
    do {
        cr_assert_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    } while (agent.bundle.count == 0 && clock_monotonic(&clock_system) < deadline);
    cr_assert_eq(agent.bundle.count, 1);
    struct str list = agent.bundle.list;
    cr_assert_eq(message_next(&list, &message), 1);
    cr_expect(str_equal(message.name, STR("Echo")));
    cr_expect_eq(message.request_id, 7);
    fake_agent_end(&agent, "F1", 7, 2);
    fake_agent_respond(&agent, "F1", 7, 1, STR("payload"));
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    arena_init(&arena, 4096, 1 << 20);
    const struct store_request_query query = {.agent = request.agent, .limit = 10};
    cr_assert_eq(store_list_requests(store, &query, &arena, &stored, NULL), 0);
    cr_expect_eq(stored->state, STORE_FINISHED);
    cr_expect_eq(stored->received, 2);
    arena_done(&arena);
    store_free(store);
    fake_agent_done(&agent);
    front_expect_stop(&front.instance);
}

Test(frontend_life, a_closed_door_stays_closed, .init = front_prepare, .fini = front_end)
{
    static struct fake_agent agent;
    instance_set(&front.instance, "Frontend.enrolment=closed");
    instance_start(&front.instance);
    fake_agent_init(&agent, front.server);
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 406);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 406);
    fake_agent_done(&agent);
}

Test(frontend_life, an_operator_approves, .init = front_prepare, .fini = front_end)
{
    static struct fake_agent agent;
    struct store_agent_id id;
    instance_set(&front.instance, "Frontend.enrolment=approve");
    instance_start(&front.instance);
    struct store *store = instance_store(&front.instance);
    fake_agent_init(&agent, front.server);
    CHECK(store_agent_id_parse(str_from(fake_agent_id(&agent)), &id) == 0);
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 406);
    cr_assert_eq(store_set_state(store, id, STORE_ENROLLED, NULL), 1);
    usec_t deadline = clock_monotonic(&clock_system) + USEC_PER_SEC;
    unsigned status;
    do {
        status = fake_agent_poll_once(&agent, front.instance.port);
    } while (status == 406 && clock_monotonic(&clock_system) < deadline);
    cr_expect_eq(status, 200);
    /* And changes his mind. */
    cr_assert_eq(store_set_state(store, id, STORE_FORGOTTEN, NULL), 1);
    deadline = clock_monotonic(&clock_system) + USEC_PER_SEC;
    do {
        status = fake_agent_poll_once(&agent, front.instance.port);
    } while (status == 200 && clock_monotonic(&clock_system) < deadline);
    cr_expect_eq(status, 406);
    store_free(store);
    fake_agent_done(&agent);
}

/* ---- The store's health ---- */

/* Without a restart; how often a store that failed is tried again is the store's business. */
static void expect_health_soon(unsigned wanted)
{
    usec_t deadline = clock_monotonic(&clock_system) + 3 * USEC_PER_SEC;
    unsigned status;
    while ((status = front_get("/healthz")) != wanted &&
           clock_monotonic(&clock_system) < deadline) {
        sleep_for(10000);
    }
    cr_expect_eq(status, wanted);
}

Test(frontend_life, health_follows_the_store_both_ways, .init = front_start, .fini = front_end)
{
    static struct fake_agent agent;
    char store[512], away[512];
    snprintf(store, sizeof store, "%s/store", front.instance.directory);
    snprintf(away, sizeof away, "%s/away", front.instance.directory);
    fake_agent_init(&agent, front.server);
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    cr_expect_eq(front_get("/healthz"), 200);
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(rename(store, away), 0);
        expect_health_soon(503);
        fake_agent_say(&agent, "aff4:/flows/F:Foreman", "DataBlob", STR("x"));
        cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 503);
        cr_expect_str_eq(agent.reason, "store_failed");
        cr_assert_eq(rename(away, store), 0);
        expect_health_soon(200);
        fake_agent_say(&agent, "aff4:/flows/F:Foreman", "DataBlob", STR("x"));
        cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    }
    fake_agent_done(&agent);
    front_expect_stop(&front.instance);
}

/* ---- The process ---- */

Test(frontend_life, two_started_at_once_take_two_ports, .init = front_prepare, .fini = front_end)
{
    static struct fake_agent agent;
    struct instance other;
    instance_join(&other, &front.instance);
    instance_launch(&front.instance, NULL);
    instance_launch(&other, NULL);
    cr_expect(instance_await(&front.instance));
    cr_expect(instance_await(&other));
    cr_expect_neq(front.instance.port, other.port);
    fake_agent_init(&agent, front.server);
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    for (int i = 0; i < 10; i++) {
        const struct instance *one = i % 2 == 0 ? &other : &front.instance;
        fake_agent_say(&agent, "aff4:/flows/F:Foreman", "DataBlob", STR("x"));
        cr_expect_eq(fake_agent_poll_once(&agent, one->port), 200);
    }
    fake_agent_done(&agent);
    front_expect_stop(&other);
    instance_done(&other);
    front_expect_stop(&front.instance);
}

Test(frontend_life, says_who_holds_the_only_port, .init = front_start, .fini = front_end)
{
    struct instance other;
    char port[8], holder[64], file[512];
    char *said;
    snprintf(port, sizeof port, "%u", front.instance.port);
    snprintf(holder, sizeof holder, "port %s: process %d (portico-fronten", port,
             (int)front.instance.process.pid);
    snprintf(file, sizeof file, "%s/portico.yaml", front.instance.directory);
    instance_join(&other, &front.instance);
    cr_expect_eq(
        instance_run(&other, (const char *const[]){"-c", file, "--port", port, NULL}, &said), 1);
    cr_expect_not_null(strstr(said, "is taken"), "%s", said);
    cr_expect_not_null(strstr(said, holder), "%s", said);
    free(said);
    instance_done(&other);
    front_expect_stop(&front.instance);
}

Test(frontend_life, exit_status_tells_usage_from_configuration, .init = front_prepare,
     .fini = front_end)
{
    char file[512];
    char *said;
    snprintf(file, sizeof file, "%s/portico.yaml", front.instance.directory);
    static const struct {
        const char *arguments[6];
        int status;
    } cases[] = {
        {{"-c", "/nonexistent/portico.yaml"}, 1},
        {{"-p", "Frontend.bind_port=banana"}, 1},
        {{"-p", "Frontend.bind_address=192.0.2.1"}, 1},
        {{"-p", "Frontend.bind_port=20000"}, 1}, /* no keys */
        {{"--bogus"}, 2},
        {{"--port", "99999"}, 2},
        {{"--port", "x"}, 2},
        {{"--port"}, 2},
        {{"surplus"}, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_expect_eq(instance_run(&front.instance, cases[i].arguments, &said), cases[i].status,
                     "case %zu", i);
        cr_expect_neq(said[0], '\0', "case %zu", i);
        free(said);
    }
    const char *const wrong[] = {"-c", file, "-p", "PrivateKeys.server_key=nonsense", NULL};
    cr_expect_eq(instance_run(&front.instance, wrong, &said), 1);
    free(said);
}

Test(frontend_life, ends_on_sigterm_whoever_is_connected, .init = front_start, .fini = front_end)
{
    enum { IDLE = 20 };
    static struct http_client idle[IDLE];
    struct http_client slow;
    for (int i = 0; i < IDLE; i++) {
        struct http_answer answer;
        http_connect(&idle[i], front.instance.port);
        cr_assert(http_request(&idle[i], "GET", "/healthz", NULL, &answer));
        http_answer_done(&answer);
    }
    http_connect(&slow, front.instance.port);
    http_send(&slow, STR("GET /heal"));
    front_expect_stop(&front.instance);
    for (int i = 0; i < IDLE; i++) {
        cr_expect(http_is_closed(&idle[i]));
        http_close(&idle[i]);
    }
    http_close(&slow);
    char *said = instance_log(&front.instance);
    cr_expect_null(strstr(said, "error"), "%s", said);
    free(said);
}

Test(frontend_life, a_slow_sender_does_not_hold_the_end_for_longer_than_agreed,
     .init = front_prepare, .fini = front_end)
{
    struct http_client slow;
    instance_set(&front.instance, "Frontend.stop_timeout=1s");
    instance_start(&front.instance);
    http_connect(&slow, front.instance.port);
    http_send(&slow, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"));
    cr_expect_eq(front_get("/healthz"), 200); /* so it was seen */
    cr_expect_eq(instance_stop(&front.instance, STOP_PATIENCE), 0);
    http_close(&slow);
}

Test(frontend_life, a_thousand_idle_connections_cost_little, .init = front_start, .fini = front_end)
{
    enum { IDLE = 1000 };
    static struct http_client idle[IDLE];
    static struct fake_agent agent;
    const struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    if (before.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files) != 0) {
        SKIP_TEST("not enough files");
    }
    fake_agent_init(&agent, front.server);
    fake_agent_ask(&agent);
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    uint64_t base = process_memory_kib(&front.instance.process, "VmRSS");
    for (int i = 0; i < IDLE; i++) {
        http_connect(&idle[i], front.instance.port);
    }
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    for (int i = 0; i < IDLE; i++) {
        http_send(&idle[i], STR("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for (int i = 0; i < IDLE; i++) {
        struct http_answer answer;
        cr_assert(http_read(&idle[i], false, &answer), "connection %d", i);
        cr_expect_eq(answer.status, 200);
        http_answer_done(&answer);
    }
    cr_expect_eq(fake_agent_poll_once(&agent, front.instance.port), 200);
    uint64_t used = process_memory_kib(&front.instance.process, "VmRSS") - base;
    cr_expect_lt(used, front_allowed_kib(16 * IDLE), "%llu KiB", (unsigned long long)used);
    for (int i = 0; i < IDLE; i++) {
        http_close(&idle[i]);
    }
    fake_agent_done(&agent);
    front_expect_stop(&front.instance);
}
