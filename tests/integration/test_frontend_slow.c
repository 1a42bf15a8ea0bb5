/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that take their time, and many that do nothing: the others are served meanwhile. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/instance.h"
#include "support/scrape.h"
#include "support/support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IDLE = 1500, SLOW = 60 };
#else
enum { IDLE = 10000, SLOW = 300 };
#endif

#define STOP_PATIENCE (20 * USEC_PER_SEC)
/* With Frontend.head_timeout=1s; a loaded machine adds to that. */
#define SENT_AWAY_WITHIN (10 * USEC_PER_SEC)

static struct {
    struct rsa_key *server;
    struct instance_keys keys;
    struct instance instance;
    struct fake_agent agent;
    struct http_client clients[IDLE];
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
    scrape_enable(&scene.instance);
    instance_set(&scene.instance, "Frontend.head_timeout=1s");
    fake_agent_init(&scene.agent, scene.server);
}

static void begin(void)
{
    instance_start(&scene.instance);
    fake_agent_ask(&scene.agent);
    cr_assert_eq(fake_agent_poll_once(&scene.agent, scene.instance.port), 200);
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

static void poll_well(void)
{
    cr_expect_eq(fake_agent_poll_once(&scene.agent, scene.instance.port), 200);
}

static double refusals(const char *reason)
{
    char series[128];
    snprintf(series, sizeof series, "portico_frontend_refusals_total{reason=\"%s\"}", reason);
    return scrape_value(&scene.instance, series);
}

static bool has_something(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

/* ---- slow senders ---- */

static void connect_all(unsigned count, struct str first)
{
    for (unsigned i = 0; i < count; i++) {
        http_connect(&scene.clients[i], scene.instance.port);
        http_send(&scene.clients[i], first);
    }
}

/* Each is sent one of `drops` in turn until it hears something; good polls go on. How many ended
 * with 408 and that reason. */
static unsigned drip(unsigned count, struct str drops, const char *reason)
{
    static bool is_over[SLOW];
    usec_t deadline = now() + SENT_AWAY_WITHIN;
    unsigned over = 0;
    unsigned refused = 0;
    memset(is_over, 0, sizeof is_over);
    for (unsigned turn = 0; over < count && now() < deadline; turn++) {
        for (unsigned i = 0; i < count; i++) {
            struct http_answer answer;
            if (is_over[i]) {
                continue;
            }
            if (!has_something(scene.clients[i].fd)) {
                http_send(&scene.clients[i], str_first(str_skip(drops, turn % drops.len), 1));
                continue;
            }
            is_over[i] = true;
            over++;
            if (http_read(&scene.clients[i], false, &answer)) {
                refused += answer.status == 408 && answer.closes &&
                           strcmp(http_field(&answer, "X-Portico-Reason"), reason) == 0;
                http_answer_done(&answer);
            }
            cr_expect(http_is_closed(&scene.clients[i]));
        }
        poll_well();
        sleep_for(100000);
    }
    cr_expect_eq(over, count, "%u of %u are still there", count - over, count);
    return refused;
}

static void close_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        http_close(&scene.clients[i]);
    }
}

Test(frontend_slow, a_dripping_head_is_sent_away, .init = prepare, .fini = clean_up)
{
    begin();
    connect_all(SLOW, STR("POST / HTTP/1.1\r\nHost: a\r\nX-Long: "));
    usec_t started = now();
    unsigned refused = drip(SLOW, STR("a"), "head_timeout");
    cr_expect_geq(now() - started, USEC_PER_SEC, "they have a second");
    cr_expect_eq(refused, SLOW);
    cr_expect_eq((unsigned)refusals("head_timeout"), SLOW);
    close_all(SLOW);
    end();
}

/* Also one on a connection that served well before, and one that begins with nothing at all. */
Test(frontend_slow, a_dripping_head_is_noticed_on_a_kept_connection, .init = prepare,
     .fini = clean_up)
{
    struct http_answer answer;
    begin();
    connect_all(2, STR(""));
    cr_assert(http_request(&scene.clients[0], "GET", "/healthz", NULL, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    cr_expect_eq(drip(2,
                      STR("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaa"
                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                      "head_timeout"),
                 2);
    close_all(2);
    end();
}

Test(frontend_slow, a_dripping_body_is_sent_away, .init = prepare, .fini = clean_up)
{
    begin();
    connect_all(SLOW, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc"));
    cr_expect_eq(drip(SLOW, STR("a"), "body_too_slow"), SLOW);
    cr_expect_eq((unsigned)refusals("body_too_slow"), SLOW);
    cr_expect_eq(scrape_value(&scene.instance, "frontend_active_count{source=\"http\"}"), 0);
    close_all(SLOW);
    end();
}

/* Four times as fast as it has to be, so that the machine may pause, and for longer than a head may
 * take. */
Test(frontend_slow, a_body_that_comes_fast_enough_is_read_to_its_end, .init = prepare,
     .fini = clean_up)
{
    enum { PIECES = 50, PIECE = 200 };
    static char piece[PIECE];
    struct http_answer answer;
    instance_set(&scene.instance, "Frontend.head_timeout=2s");
    begin();
    connect_all(1, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n"));
    for (unsigned i = 0; i < PIECES; i++) {
        cr_assert(http_send(&scene.clients[0], str_make(piece, PIECE)), "piece %u", i);
        sleep_for(100000);
    }
    cr_assert(http_read(&scene.clients[0], false, &answer));
    cr_expect_eq(answer.status, 400, "what it says is another matter");
    http_answer_done(&answer);
    close_all(1);
    end();
}

/* ---- slow readers ---- */

static void queue_much(unsigned count)
{
    enum { ARGS = 1 << 20 };
    static char args[ARGS];
    uint64_t random = 99;
    struct store *store = instance_store(&scene.instance);
    struct store_request request = {.action = STR("GetPlatformInfo"), .args_type = STR("DataBlob")};
    struct store_request_name name;
    CHECK(store_agent_id_parse(str_from(fake_agent_id(&scene.agent)), &request.agent) == 0);
    for (size_t i = 0; i < sizeof args; i++) {
        args[i] = (char)next_random(&random);
    }
    request.args = str_make(args, sizeof args);
    for (unsigned i = 0; i < count; i++) {
        CHECK(store_queue_request(store, &request, &name, NULL) == 0);
    }
    store_free(store);
    sleep_for(700000); /* until the instance knows */
}

static void connect_with_small_buffer(struct http_client *client)
{
    const int size = 2048;
    http_connect(client, scene.instance.port);
    CHECK(setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
}

Test(frontend_slow, who_does_not_take_an_answer_is_sent_away, .init = prepare, .fini = clean_up)
{
    struct http_client client;
    char head[128];
    begin();
    queue_much(12);
    connect_with_small_buffer(&client);
    struct str packet = fake_agent_packet(&scene.agent);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             packet.len);
    http_send(&client, str_from(head));
    http_send(&client, packet);
    usec_t deadline = now() + SENT_AWAY_WITHIN;
    while (refusals("reader_too_slow") < 1 && now() < deadline) {
        poll_well();
        sleep_for(100000);
    }
    cr_expect_eq((unsigned)refusals("reader_too_slow"), 1);
    while (scrape_value(&scene.instance, "frontend_active_count{source=\"http\"}") > 0 &&
           now() < deadline) {
        sleep_for(20000);
    }
    cr_expect_lt(now(), deadline, "what it did not take is freed");
    http_close(&client);
    free((void *)(uintptr_t)packet.data);
    end();
}

/* ---- many ---- */

static bool may_have_files(rlim_t count)
{
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur < count) {
        files.rlim_cur = files.rlim_max;
        if (files.rlim_max < count || setrlimit(RLIMIT_NOFILE, &files) != 0) {
            return false;
        }
    }
    return true;
}

static void expect_all_answered(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        http_send(&scene.clients[i], STR("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for (unsigned i = 0; i < count; i++) {
        struct http_answer answer;
        cr_assert(http_read(&scene.clients[i], false, &answer), "connection %u", i);
        cr_expect_eq(answer.status, 200);
        http_answer_done(&answer);
        buffer_done(&scene.clients[i].in);
        buffer_init(&scene.clients[i].in, 1 << 20);
    }
}

Test(frontend_slow, ten_thousand_idle_connections_are_nobodys_trouble, .init = prepare,
     .fini = clean_up)
{
    usec_t worst = 0;
    if (!may_have_files(IDLE + 200)) {
        SKIP_TEST("not enough files");
    }
    instance_set(&scene.instance, "Frontend.connection_limit=12000");
    begin();
    uint64_t before = process_memory_kib(&scene.instance.process, "VmRSS");
    connect_all(IDLE, STR(""));
    expect_all_answered(IDLE);
    uint64_t used = process_memory_kib(&scene.instance.process, "VmRSS") - before;
    for (int i = 0; i < 50; i++) {
        usec_t started = now();
        poll_well();
        worst = now() - started > worst ? now() - started : worst;
        sleep_for(20000);
    }
    expect_all_answered(IDLE);
    cr_expect_eq(
        (unsigned)scrape_value(&scene.instance, "portico_frontend_idle_connections_closed_total"),
        0);
    printf("%d idle connections: %.1f KiB each, worst of 50 polls meanwhile %lld us\n", IDLE,
           (double)used / IDLE, (long long)worst);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    cr_expect_lt(used / IDLE, 14, "%llu KiB", (unsigned long long)used);
    cr_expect_lt(worst, USEC_PER_SEC / 2);
#endif
    close_all(IDLE);
    end();
}

/* Whoever was idle for longest goes when connections get scarce; who is being served stays. */
Test(frontend_slow, hoarders_make_room_for_newcomers, .init = prepare, .fini = clean_up)
{
    enum { LIMIT = 64, ROUNDS = 2 };
    struct http_client busy;
    instance_set(&scene.instance, "Frontend.connection_limit=64");
    instance_set(&scene.instance, "Frontend.min_rate=0");
    begin();
    http_connect(&busy, scene.instance.port);
    http_send(&busy, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
    for (int round = 0; round < ROUNDS; round++) {
        connect_all(LIMIT, STR(""));
        usec_t started = now();
        poll_well();
        cr_expect_lt(now() - started, SENT_AWAY_WITHIN);
        close_all(LIMIT);
    }
    cr_expect_gt(scrape_value(&scene.instance, "portico_frontend_idle_connections_closed_total"),
                 ROUNDS - 1);
    struct http_answer answer;
    http_send(&busy, STR("b"));
    cr_assert(http_read(&busy, false, &answer));
    cr_expect_eq(answer.status, 400);
    http_answer_done(&answer);
    http_close(&busy);
    end();
}

/* Fewer connections than were asked for, but never none for the store. */
Test(frontend_slow, few_descriptors_mean_few_connections, .init = prepare, .fini = clean_up)
{
    enum { FILES = 300, CLIENTS = 220 }; /* 172 of which find room */
    const struct rlimit few = {.rlim_cur = FILES, .rlim_max = FILES};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    begin();
    connect_all(CLIENTS, STR(""));
    for (int i = 0; i < 5; i++) {
        fake_agent_say(&scene.agent, "aff4:/flows/F:ClientAlert", "DataBlob", STR("x"));
        poll_well();
    }
    char *said = instance_log(&scene.instance);
    cr_expect_not_null(strstr(said, "raise the limit of open files"), "%s", said);
    free(said);
    close_all(CLIENTS);
    end();
}
