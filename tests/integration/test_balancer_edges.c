/* SPDX-License-Identifier: Apache-2.0 */
/* Coincidences: what happens on one side of a conversation while the other side is in an odd state.
 * Each was a mistake once, or looked like one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/odd_member.h"
#include "support/support.h"

struct scene {
    struct backends *backends;
    struct odd_member *odd; /* NULL: the backends serve */
    struct balancer_process balancer;
};

static void prepare(struct scene *scene, odd_member_function *serve)
{
    *scene = (struct scene){.backends = backends_new(1, serve != NULL)};
    if (serve != NULL) {
        scene->odd = odd_member_new(backends_first_port(scene->backends), serve);
    }
    balancer_init(&scene->balancer, scene->backends);
    balancer_set(&scene->balancer, "Balancer.threads=1");
}

static void begin(struct scene *scene, odd_member_function *serve)
{
    prepare(scene, serve);
    balancer_start_with(&scene->balancer, 1);
}

static void end(struct scene *scene)
{
    cr_assert(process_is_alive(&scene->balancer.process));
    balancer_done(&scene->balancer);
    odd_member_free(scene->odd);
    backends_free(scene->backends);
}

static usec_t cpu_during(const struct scene *scene, usec_t time)
{
    usec_t before = process_cpu(&scene->balancer.process);
    sleep_for(time);
    return process_cpu(&scene->balancer.process) - before;
}

/* ---- The client's side ---- */

/* An answer of our own to a request whose last read fills the buffer to its end. */
Test(balancer_edges, own_answers_may_come_when_the_buffer_is_just_full)
{
    enum { BUFFER = 4096, AROUND = 3, FIRST = 10 };
    struct scene scene;
    char request[BUFFER + AROUND + 1];
    begin(&scene, NULL);
    for (int len = BUFFER - AROUND; len <= BUFFER + AROUND; len++) {
        struct http_client client;
        struct http_answer answer;
        int n = snprintf(request, sizeof request, "OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Long: ");
        memset(request + n, 'x', sizeof request - (size_t)n);
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no text */
        memcpy(request + len - 4, "\r\n\r\n", 4);
        http_connect(&client, scene.balancer.port);
        cr_assert(http_send(&client, str_make(request, FIRST)));
        sleep_for(20 * USEC_PER_MSEC);
        cr_assert(http_send(&client, str_make(request + FIRST, (size_t)len - FIRST)));
        cr_assert(http_read(&client, false, &answer), "no answer to %d bytes", len);
        cr_assert_eq(answer.status, 200);
        http_answer_done(&answer);
        cr_assert(http_request(&client, "GET", "/x", NULL, &answer), "nothing behind %d bytes",
                  len);
        http_answer_done(&answer);
        http_close(&client);
    }
    end(&scene);
}

/* The connection that lacks a descriptor for its member counts as idle itself. */
Test(balancer_edges, a_request_does_not_make_room_for_itself)
{
    enum { LIMIT = 64, HOLDERS = 100 };
    struct scene scene;
    struct http_client holders[HOLDERS];
    const struct rlimit few = {.rlim_cur = LIMIT, .rlim_max = LIMIT};
    prepare(&scene, NULL);
    balancer_set(&scene.balancer, "Balancer.head_timeout=30s");
    balancer_start_with(&scene.balancer, 1);
    cr_assert_eq(prlimit(scene.balancer.process.pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (unsigned i = 0; i < HOLDERS; i++) {
        http_connect(&holders[i], scene.balancer.port);
        http_send(&holders[i], STR("GET / HTTP/1.1\r\nHo"));
    }
    sleep_for(300 * USEC_PER_MSEC);
    unsigned refused = 0;
    for (unsigned i = 0; i < 20; i++) {
        http_close(&holders[i]); /* one descriptor, for the client */
        sleep_for(20 * USEC_PER_MSEC);
        unsigned status = http_once(scene.balancer.port, "GET", "/x", NULL, NULL);
        cr_assert(process_is_alive(&scene.balancer.process));
        cr_assert(status == 200 || status == 503 || status == 0, "%u", status);
        refused += status == 503;
    }
    for (unsigned i = 20; i < HOLDERS; i++) {
        http_close(&holders[i]);
    }
    cr_assert_gt(refused, 0, "there was always a descriptor");
    sleep_for(300 * USEC_PER_MSEC);
    cr_assert_eq(http_once(scene.balancer.port, "GET", "/x", NULL, NULL), 200);
    end(&scene);
}

Test(balancer_edges, a_small_buffer_streams_too)
{
    struct scene scene;
    struct http_answer answer;
    static char bytes[200 * 1024];
    const struct str body = str_make(bytes, sizeof bytes);
    memset(bytes, 'b', sizeof bytes);
    prepare(&scene, NULL);
    balancer_set(&scene.balancer, "Balancer.buffer=4KiB");
    balancer_set(&scene.balancer, "Balancer.max_head=1KiB");
    balancer_start_with(&scene.balancer, 1);
    cr_assert_eq(http_once(scene.balancer.port, "POST", "/x", &body, &answer), 200);
    http_answer_done(&answer);
    cr_assert_eq(recorder_at(backends_recorder(scene.backends), 0)->body_bytes, sizeof bytes);
    end(&scene);
}

/* ---- The member's side ---- */

/* Its head in two parts. */
static void answer_in_parts(int fd, struct str head)
{
    (void)head;
    odd_member_say(fd, STR("HTTP/1.1 200 OK\r\nX-One: the first\r\nX-Two: the second\r\n"));
    sleep_for(300 * USEC_PER_MSEC);
    odd_member_say(fd, STR("X-Three: the third\r\nContent-Length: 2\r\n\r\nok"));
}

/* What the client sends ahead makes its buffer move while the answer's head is half read. */
Test(balancer_edges, what_is_sent_ahead_does_not_touch_the_answer)
{
    struct scene scene;
    struct http_client client;
    struct http_answer answer;
    static char ahead[12 * 1024];
    begin(&scene, answer_in_parts);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_request(&client, "GET", "/first", NULL, &answer));
    http_answer_done(&answer);
    cr_assert(http_send(&client, STR("GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
                                     "D: 4\r\n\r\n")));
    sleep_for(150 * USEC_PER_MSEC);
    memset(ahead, 'x', sizeof ahead);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no text */
    memcpy(ahead, "GET /y HTTP/1.1\r\nHost: a\r\nX-Long: ", 34);
    cr_assert(http_send(&client, str_make(ahead, sizeof ahead)));
    cr_assert(http_read(&client, false, &answer));
    cr_assert_eq(answer.status, 200, "%s", answer.head);
    cr_assert_str_eq(http_field(&answer, "X-One"), "the first");
    cr_assert_str_eq(http_field(&answer, "X-Two"), "the second");
    cr_assert_str_eq(http_field(&answer, "X-Three"), "the third");
    http_answer_done(&answer);
    http_close(&client);
    end(&scene);
}

/* Answers while it takes nothing, then takes all and goes on answering slowly. */
static void answer_early_and_read_on(int fd, struct str head)
{
    char sink[65536];
    const struct timeval patience = {.tv_usec = 200000};
    if (str_find(head, '9') == head.len) { /* no large body */
        odd_member_say(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        return;
    }
    sleep_for(500 * USEC_PER_MSEC);
    odd_member_say(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1"));
    sleep_for(100 * USEC_PER_MSEC);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (recv(fd, sink, sizeof sink, 0) > 0) {
    }
    sleep_for(1500 * USEC_PER_MSEC);
    odd_member_say(fd, STR("23"));
}

Test(balancer_edges, an_early_answer_from_a_member_that_reads_on_does_not_spin)
{
    struct scene scene;
    struct http_client client;
    struct http_answer answer;
    static char block[65536];
    begin(&scene, answer_early_and_read_on);
    http_connect(&client, scene.balancer.port);
    cr_assert(
        http_send(&client, STR("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 59999999\r\n\r\n")));
    while (send(client.fd, block, sizeof block, MSG_DONTWAIT) > 0 || errno != EAGAIN) {
    }
    sleep_for(300 * USEC_PER_MSEC);
    while (send(client.fd, block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    sleep_for(700 * USEC_PER_MSEC);
    usec_t spent = cpu_during(&scene, 600 * USEC_PER_MSEC);
    cr_assert_lt(spent, 100 * USEC_PER_MSEC, "%lld us", (long long)spent);
    cr_assert(http_read(&client, false, &answer));
    cr_assert(str_equal(answer.body, STR("123")));
    http_answer_done(&answer);
    http_close(&client);
    end(&scene);
}

/* A request that waited for room meets a member that has just closed its port; the member comes
 * back while the request may still wait. */
Test(balancer_edges, who_waits_may_have_a_member_again_that_refused_it)
{
    struct scene scene;
    struct http_client first;
    struct http_client second;
    struct http_answer answer;
    prepare(&scene, NULL);
    balancer_set(&scene.balancer, "Balancer.member_in_flight=1");
    balancer_set(&scene.balancer, "Balancer.queue_timeout=8s");
    balancer_start_with(&scene.balancer, 1);
    backends_behave(scene.backends, BACKEND_UNTIL_CLOSE);
    backend_delay(backends_at(scene.backends, 0), 600 * USEC_PER_MSEC);
    http_connect(&first, scene.balancer.port);
    http_connect(&second, scene.balancer.port);
    cr_assert(http_send(&first, STR("GET /1 HTTP/1.1\r\nHost: a\r\nX-Tag: 1\r\n\r\n")));
    sleep_for(150 * USEC_PER_MSEC);
    cr_assert(http_send(&second, STR("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                                     "X-Tag: 2\r\n\r\nx")));
    sleep_for(100 * USEC_PER_MSEC);
    backend_refuse(backends_at(scene.backends, 0));
    cr_assert(http_read(&first, false, &answer));
    cr_assert_eq(answer.status, 200);
    http_answer_done(&answer);
    sleep_for(300 * USEC_PER_MSEC);
    backend_live(backends_at(scene.backends, 0));
    cr_assert(http_read(&second, false, &answer), "no answer");
    cr_assert_eq(answer.status, 200, "%s", answer.head);
    http_answer_done(&answer);
    http_close(&first);
    http_close(&second);
    end(&scene);
}

/* An answer without any framing that a client could check must not seem whole when it is not. */
Test(balancer_edges, an_old_client_sees_that_an_answer_was_cut)
{
    static const char cut[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    struct scene scene;
    struct http_client client;
    char in[4096];
    ssize_t n;
    begin(&scene, NULL);
    backend_script(backends_at(scene.backends, 0), str_make(cut, sizeof cut - 1), 0, 0, true);
    backends_behave(scene.backends, BACKEND_SCRIPT);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_send(&client, STR("GET / HTTP/1.0\r\nHost: a\r\n\r\n")));
    while ((n = recv(client.fd, in, sizeof in, 0)) > 0) {
    }
    cr_assert(n < 0 && errno == ECONNRESET, "it ends as if that were all");
    http_close(&client);
    end(&scene);
}
