/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on time, volume and resources, scaled down: short deadlines, few clients. RULES.md of the
 * raw cases names them G01 to G18; BALANCER_TIMING_CLIENTS=1000 in the environment makes them many.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 2, CLIENTS_DEFAULT = 100, CLIENTS_MAX = 8000 };

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
    struct http_client *clients;
    unsigned count;
};

static void prepare(struct scene *scene, unsigned members)
{
    const char *clients = getenv("BALANCER_TIMING_CLIENTS");
    *scene = (struct scene){.backends = backends_new(members, false)};
    scene->count = clients != NULL ? (unsigned)atoi(clients) : CLIENTS_DEFAULT;
    cr_assert(scene->count > 0 && scene->count <= CLIENTS_MAX);
    scene->clients = calloc(scene->count, sizeof *scene->clients);
    recorder_keep(backends_recorder(scene->backends), false);
    balancer_init(&scene->balancer, scene->backends);
}

static void connect_all(struct scene *scene, const char *first)
{
    for (unsigned i = 0; i < scene->count; i++) {
        http_connect(&scene->clients[i], scene->balancer.port);
        if (first != NULL) {
            http_send(&scene->clients[i], str_from(first));
        }
    }
}

static void close_all(struct scene *scene)
{
    for (unsigned i = 0; i < scene->count; i++) {
        if (scene->clients[i].fd > 0) {
            http_close(&scene->clients[i]);
        }
    }
}

static void end(struct scene *scene)
{
    close_all(scene);
    cr_assert(process_is_alive(&scene->balancer.process));
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
    free(scene->clients);
}

static void assert_told(struct http_client *client, const char *status, const char *reason)
{
    struct str all = http_rest(client);
    cr_assert_not_null(all.data, "it is not closed");
    cr_assert_eq(strncmp(all.data, status, strlen(status)), 0, "not %s: %s", status, all.data);
    cr_assert_not_null(strstr(all.data, reason), "not %s: %s", reason, all.data);
    cr_assert_not_null(strstr(all.data, "Connection: close"), "%s", all.data);
    free((void *)(uintptr_t)all.data);
}

/* While `scene` suffers, others are served. */
static struct load *good_clients(const struct scene *scene)
{
    const struct load_plan plan = {.port = scene->balancer.port,
                                   .threads = 2,
                                   .method = "POST",
                                   .path = "/control?api=3",
                                   .body_bytes = 500,
                                   .pause = 2000};
    return load_start(&plan);
}

static void assert_unharmed(struct load *load)
{
    struct load_result result = load_stop(load);
    load_tell("others meanwhile", &result);
    cr_assert_gt(result.sent, 0);
    cr_assert_eq(result.answered, result.sent);
}

static void drip(struct scene *scene, const char *bytes, usec_t pause, usec_t duration)
{
    usec_t until = clock_monotonic(&clock_system) + duration;
    for (size_t n = 0; clock_monotonic(&clock_system) < until; n++) {
        for (unsigned i = 0; i < scene->count; i++) {
            http_send(&scene->clients[i], str_make(bytes + n % strlen(bytes), 1));
        }
        sleep_for(pause);
    }
}

Test(balancer_timing, g01_a_head_that_drips_is_ended_at_its_deadline)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    balancer_set(&scene.balancer, "Balancer.head_timeout=700ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *others = good_clients(&scene);
    usec_t start = clock_monotonic(&clock_system);
    connect_all(&scene, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    drip(&scene, "a", 100 * USEC_PER_MSEC, USEC_PER_SEC);
    for (unsigned i = 0; i < scene.count; i++) {
        assert_told(&scene.clients[i], "HTTP/1.1 408 ", "head_timeout");
    }
    cr_assert_lt(clock_monotonic(&clock_system) - start, 6 * USEC_PER_SEC);
    assert_unharmed(others);
    end(&scene);
}

static void drip_body(const char *head)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    balancer_set(&scene.balancer, "Balancer.body_timeout=800ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    connect_all(&scene, head);
    unsigned before = recorder_count(backends_recorder(scene.backends));
    sleep_for(200 * USEC_PER_MSEC);
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_in_flight", NULL), 0);
    for (unsigned i = 0; i < scene.count; i++) {
        assert_told(&scene.clients[i], "HTTP/1.1 408 ", "body_timeout");
    }
    cr_assert_eq(recorder_count(backends_recorder(scene.backends)), before);
    end(&scene);
}

Test(balancer_timing, g02_a_body_that_drips_is_ended_and_no_member_hears_of_it)
{
    drip_body("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
}

Test(balancer_timing, g02_nor_of_a_large_one)
{
    drip_body("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
}

/* The grace of ten seconds makes this a long test. */
Test(balancer_timing, g02_a_body_below_the_minimum_rate_is_ended, .timeout = 60)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    scene.count = 4;
    balancer_set(&scene.balancer, "Balancer.body_min_rate=500");
    balancer_start_with(&scene.balancer, MEMBERS);
    connect_all(&scene, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    drip(&scene, "a", 50 * USEC_PER_MSEC, 12 * USEC_PER_SEC);
    for (unsigned i = 0; i < scene.count; i++) {
        assert_told(&scene.clients[i], "HTTP/1.1 408 ", "body_too_slow");
    }
    end(&scene);
}

Test(balancer_timing, g03_a_client_that_does_not_read_is_let_go)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    scene.count = 10;
    balancer_set(&scene.balancer, "Balancer.write_timeout=700ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_size(backends_at(scene.backends, i), 64 << 20);
    }
    connect_all(&scene, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep_for(300 * USEC_PER_MSEC);
    for (unsigned i = 0; i < 200; i++) {
        if (balancer_metric(&scene.balancer, "portico_balancer_connections", NULL) == 0) {
            break;
        }
        sleep_for(50 * USEC_PER_MSEC);
    }
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_connections", NULL), 0);
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_in_flight", NULL), 0);
    end(&scene);
}

/* Take some bytes, if there are any. False: the connection ended. */
static bool sip(struct http_client *client, size_t bytes)
{
    char taken[32768];
    ssize_t count = recv(client->fd, taken, bytes, MSG_DONTWAIT);
    return count > 0 || (count < 0 && errno == EAGAIN);
}

/* Ten times the minimum goes on, much less than it does not. The grace of ten seconds and what is
 * buffered make this a long test. */
Test(balancer_timing, g03_a_client_that_reads_below_the_minimum_rate_is_let_go, .timeout = 90)
{
    enum { SLOW, PATIENT };
    static const char reasons[] = "portico_balancer_rejected_total";
    const int room = 4096;
    struct scene scene;
    bool goes_on = true;
    prepare(&scene, MEMBERS);
    scene.count = 2;
    balancer_set(&scene.balancer, "Balancer.body_min_rate=32KiB");
    balancer_start_with(&scene.balancer, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_size(backends_at(scene.backends, i), 64 << 20);
    }
    connect_all(&scene, NULL);
    cr_assert_eq(setsockopt(scene.clients[SLOW].fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    for (unsigned i = 0; i < scene.count; i++) {
        http_send(&scene.clients[i], STR("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    usec_t until = clock_monotonic(&clock_system) + 60 * USEC_PER_SEC;
    while (goes_on && clock_monotonic(&clock_system) < until) {
        goes_on = sip(&scene.clients[SLOW], 150);
        cr_assert(sip(&scene.clients[PATIENT], 32768), "the faster one was let go");
        sleep_for(100 * USEC_PER_MSEC);
    }
    cr_assert_not(goes_on);
    cr_assert_eq(balancer_metric(&scene.balancer, reasons, "reason=\"reader_too_slow\""), 1);
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_in_flight", NULL), 1);
    end(&scene);
}

Test(balancer_timing, g04_idle_connections_make_room_for_new_ones)
{
    struct scene scene;
    struct http_answer answer;
    prepare(&scene, MEMBERS);
    balancer_set(&scene.balancer, "Balancer.max_connections=%u", scene.count / 2);
    balancer_start_with(&scene.balancer, MEMBERS);
    for (unsigned i = 0; i < scene.count; i++) {
        http_connect(&scene.clients[i], scene.balancer.port);
        cr_assert(http_request(&scene.clients[i], "GET", "/x", NULL, &answer), "client %u", i);
        cr_assert_eq(answer.status, 200, "client %u: %s", i, answer.head);
        http_answer_done(&answer);
    }
    cr_assert_leq(2 * balancer_metric(&scene.balancer, "portico_balancer_connections", NULL),
                  scene.count);
    end(&scene);
}

Test(balancer_timing, g05_silent_connections_are_let_go_at_the_first_byte_deadline)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    balancer_set(&scene.balancer, "Balancer.first_byte_timeout=500ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    struct load *others = good_clients(&scene);
    connect_all(&scene, NULL);
    for (unsigned i = 0; i < scene.count; i++) {
        struct str all = http_rest(&scene.clients[i]);
        cr_assert_not_null(all.data, "client %u is kept", i);
        free((void *)(uintptr_t)all.data);
    }
    assert_unharmed(others);
    end(&scene);
}

Test(balancer_timing, g05_one_address_has_no_more_connections_than_its_share)
{
    struct scene scene;
    struct http_answer answer;
    prepare(&scene, MEMBERS);
    scene.count = 20;
    balancer_set(&scene.balancer, "Balancer.max_connections_per_address=10");
    balancer_start_with(&scene.balancer, MEMBERS);
    unsigned served = 0;
    for (unsigned i = 0; i < scene.count; i++) {
        http_connect(&scene.clients[i], scene.balancer.port);
        if (http_request(&scene.clients[i], "GET", "/x", NULL, &answer)) {
            served += answer.status == 200;
            cr_assert(answer.status == 200 || answer.status == 429, "%s", answer.head);
            http_answer_done(&answer);
        }
    }
    cr_assert_eq(served, 10);
    end(&scene);
}

Test(balancer_timing, idle_connections_are_closed_in_time)
{
    struct scene scene;
    struct http_answer answer;
    prepare(&scene, MEMBERS);
    scene.count = 10;
    balancer_set(&scene.balancer, "Balancer.idle_timeout=400ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    for (unsigned i = 0; i < scene.count; i++) {
        http_connect(&scene.clients[i], scene.balancer.port);
        cr_assert(http_request(&scene.clients[i], "GET", "/x", NULL, &answer));
        http_answer_done(&answer);
    }
    for (unsigned i = 0; i < scene.count; i++) {
        cr_assert(http_is_closed(&scene.clients[i]), "client %u is kept", i);
    }
    end(&scene);
}

/* A hundred fields whose names share a hash in simple tables cost no more than others. */
Test(balancer_timing, g07_many_fields_cost_little)
{
    struct scene scene;
    struct http_answer answer;
    char *request;
    size_t len;
    prepare(&scene, MEMBERS);
    balancer_start_with(&scene.balancer, MEMBERS);
    FILE *file = open_memstream(&request, &len);
    fprintf(file, "GET /x HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 0; i < 98; i++) {
        for (unsigned bit = 0; bit < 7; bit++) { /* "Ez" and "FY" collide in times-33 */
            fputs((i >> bit & 1) != 0 ? "Ez" : "FY", file);
        }
        fprintf(file, ": %0100u\r\n", i);
    }
    fputs("\r\n", file);
    fclose(file);
    http_connect(&scene.clients[0], scene.balancer.port);
    usec_t before = process_cpu(&scene.balancer.process);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert(http_send(&scene.clients[0], str_make(request, len)));
        cr_assert(http_read(&scene.clients[0], false, &answer));
        cr_assert_eq(answer.status, 200);
        http_answer_done(&answer);
    }
    usec_t each = (process_cpu(&scene.balancer.process) - before) / 500;
    fprintf(stderr, "100 fields: %lld us of CPU for each request\n", (long long)each);
    cr_assert_lt(each, 10 * USEC_PER_MSEC);
    free(request);
    end(&scene);
}

Test(balancer_timing, g08_chunks_of_one_byte_are_limited)
{
    struct scene scene;
    char *body;
    size_t len;
    prepare(&scene, MEMBERS);
    balancer_start_with(&scene.balancer, MEMBERS);
    FILE *file = open_memstream(&body, &len);
    for (unsigned i = 0; i < 200000; i++) {
        fputs("0000000000000001;ext=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\na\r\n", file);
    }
    fputs("0\r\n\r\n", file);
    fclose(file);
    http_connect(&scene.clients[0], scene.balancer.port);
    http_send(&scene.clients[0],
              STR("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    bool is_all_sent = http_send(&scene.clients[0], str_make(body, len));
    (void)is_all_sent;
    struct http_answer answer;
    /* It may be reset before it reads, when it sends on for too long. */
    if (http_read(&scene.clients[0], false, &answer)) {
        cr_assert(answer.status == 400 || answer.status == 413, "%s", answer.head);
        http_answer_done(&answer);
    }
    cr_assert_eq(balancer_rejections(&scene.balancer, "chunk_overhead"), 1);
    free(body);
    end(&scene);
}

Test(balancer_timing, g09_resets_leave_nothing_behind)
{
    struct scene scene;
    const struct linger abrupt = {.l_onoff = 1, .l_linger = 0};
    prepare(&scene, MEMBERS);
    balancer_start_with(&scene.balancer, MEMBERS);
    unsigned descriptors = process_descriptors(&scene.balancer.process);
    for (unsigned round = 0; round < 10; round++) {
        connect_all(&scene, round % 3 == 0   ? NULL
                            : round % 3 == 1 ? "GET / HT"
                                             : "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for (unsigned i = 0; i < scene.count; i++) {
            setsockopt(scene.clients[i].fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
        }
        close_all(&scene);
    }
    for (unsigned i = 0; i < 200; i++) {
        if (balancer_metric(&scene.balancer, "portico_balancer_connections", NULL) == 0) {
            break;
        }
        sleep_for(20 * USEC_PER_MSEC);
    }
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_connections", NULL), 0);
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_in_flight", NULL), 0);
    cr_assert_eq(balancer_metric(&scene.balancer, "portico_balancer_requests_queued", NULL), 0);
    cr_assert_lt(process_descriptors(&scene.balancer.process),
                 descriptors + 4 * 64 + 10); /* pools */
    end(&scene);
}

Test(balancer_timing, g10_members_that_hang_cost_a_504_and_the_queue_is_bounded)
{
    struct scene scene;
    unsigned statuses[600] = {0};
    prepare(&scene, MEMBERS);
    scene.count = 60;
    balancer_set(&scene.balancer, "Balancer.response_timeout=600ms");
    balancer_set(&scene.balancer, "Balancer.queue_timeout=200ms");
    balancer_set(&scene.balancer, "Balancer.member_in_flight=10");
    balancer_set(&scene.balancer, "Balancer.queue_size=20");
    balancer_set(&scene.balancer, "Balancer.eject_failures=1000");
    balancer_start_with(&scene.balancer, MEMBERS);
    backends_behave(scene.backends, BACKEND_HANG);
    connect_all(&scene, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    for (unsigned i = 0; i < scene.count; i++) {
        struct http_answer answer;
        cr_assert(http_read(&scene.clients[i], false, &answer), "client %u gets nothing", i);
        statuses[answer.status]++;
        if (answer.status == 503) {
            cr_assert_gt(atoi(http_field(&answer, "Retry-After")), 0, "%s", answer.head);
        }
        http_answer_done(&answer);
    }
    fprintf(stderr, "hanging members: %u x 504, %u x 503\n", statuses[504], statuses[503]);
    cr_assert_eq(statuses[504], 20);
    cr_assert_eq(statuses[503], 40);
    cr_assert_eq(balancer_rejections(&scene.balancer, "queue_full"), 20);
    cr_assert_eq(balancer_rejections(&scene.balancer, "queue_timeout"), 20);
    end(&scene);
}

Test(balancer_timing, g12_without_members_answers_are_quick_and_all_is_well_afterwards)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    balancer_start_with(&scene.balancer, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_die(backends_at(scene.backends, i));
    }
    cr_assert(balancer_await_members(&scene.balancer, 0, 10 * USEC_PER_SEC));
    struct load_plan plan = {
        .port = scene.balancer.port, .threads = 4, .method = "GET", .path = "/x", .limit = 500};
    struct load_result refused = load_finish(load_start(&plan));
    load_tell("no members", &refused);
    cr_assert_eq(refused.statuses[503], refused.sent);
    for (unsigned i = 0; i < MEMBERS; i++) {
        backend_live(backends_at(scene.backends, i));
    }
    cr_assert(balancer_await_members(&scene.balancer, MEMBERS, 10 * USEC_PER_SEC));
    struct load_result served = load_finish(load_start(&plan));
    cr_assert_eq(served.answered, served.sent);
    end(&scene);
}

Test(balancer_timing, g13_without_descriptors_it_waits_and_does_not_spin)
{
    struct scene scene;
    struct rlimit old;
    struct http_answer answer;
    prepare(&scene, MEMBERS);
    balancer_set(&scene.balancer, "Balancer.first_byte_timeout=20s");
    getrlimit(RLIMIT_NOFILE, &old);
    struct rlimit few = {.rlim_cur = 64, .rlim_max = old.rlim_max};
    balancer_start_with(&scene.balancer, MEMBERS);
    few.rlim_max = 64; /* so that it cannot raise it again */
    cr_assert_eq(prlimit(scene.balancer.process.pid, RLIMIT_NOFILE, &few, NULL), 0);
    connect_all(&scene, "GET / HTTP/1.1\r\nHo");
    sleep_for(200 * USEC_PER_MSEC);
    usec_t before = process_cpu(&scene.balancer.process);
    sleep_for(USEC_PER_SEC);
    usec_t spent = process_cpu(&scene.balancer.process) - before;
    fprintf(stderr, "without descriptors: %lld ms of CPU in a second\n",
            (long long)(spent / USEC_PER_MSEC));
    cr_assert_lt(spent, 300 * USEC_PER_MSEC);
    close_all(&scene);
    for (unsigned i = 0; i < scene.count; i++) {
        scene.clients[i].fd = 0;
    }
    sleep_for(500 * USEC_PER_MSEC);
    cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, &answer), 200);
    http_answer_done(&answer);
    end(&scene);
}

Test(balancer_timing, a_slow_member_is_not_a_silent_one)
{
    struct scene scene;
    prepare(&scene, MEMBERS);
    scene.count = 1;
    balancer_set(&scene.balancer, "Balancer.response_timeout=300ms");
    balancer_start_with(&scene.balancer, MEMBERS);
    backend_behave(backends_at(scene.backends, 0), BACKEND_DRIP);
    backend_pause(backends_at(scene.backends, 0), 2000);
    unsigned dripped = 0;
    for (unsigned i = 0; i < 4; i++) { /* slow is not silent: it is served */
        struct http_answer answer;
        cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, &answer), 200);
        dripped += atoi(http_field(&answer, "X-Backend")) == 0;
        http_answer_done(&answer);
    }
    cr_assert_eq(dripped, 2);
    end(&scene);
}
