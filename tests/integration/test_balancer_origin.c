/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol through the real binary: RULES.md of the raw cases, P01 to P08, and headers
 * that come in pieces or not at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/support.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ADDRESSES "\xcb\0\x71\x07\x7f\0\0\x01\0\x01\0\x02" /* 203.0.113.7:1, 127.0.0.1:2 */
#define REQUEST "GET /x HTTP/1.1\r\nHost: a\r\nX-Tag: 1\r\n\r\n"
#define BYTES(literal) str_make(literal, sizeof(literal) - 1)

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
};

static void begin(struct scene *scene)
{
    *scene = (struct scene){.backends = backends_new(1, false)};
    balancer_init(&scene->balancer, scene->backends);
    balancer_set(&scene->balancer, "Balancer.proxy_protocol=true");
    balancer_set(&scene->balancer, "Balancer.trusted_proxies=127.0.0.0/8");
    balancer_set(&scene->balancer, "Balancer.first_byte_timeout=4s");
    balancer_start_with(&scene->balancer, 1);
}

static void end(struct scene *scene)
{
    cr_assert(process_is_alive(&scene->balancer.process));
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

/* Whether a request behind `header` is answered; whom the member takes for the client. */
static void send_behind(struct scene *scene, struct str header, size_t piece, const char *from)
{
    struct http_client client;
    struct http_answer answer;
    char peer[256];
    recorder_clear(backends_recorder(scene->backends));
    http_connect(&client, scene->balancer.port);
    for (size_t at = 0; at < header.len; at += piece) {
        http_send(&client, str_first(str_skip(header, at), piece));
        if (piece < header.len) {
            sleep_for(2000);
        }
    }
    http_send(&client, BYTES(REQUEST));
    bool is_answered = http_read(&client, false, &answer);
    cr_assert_eq(is_answered, from != NULL, "behind %zu bytes", header.len);
    if (is_answered) {
        cr_assert_eq(answer.status, 200);
        http_answer_done(&answer);
        cr_assert(recorded_field(recorder_at(backends_recorder(scene->backends), 0),
                                 "X-Forwarded-For", peer));
        cr_assert_str_eq(peer, from);
    } else {
        cr_assert_eq(recorder_count(backends_recorder(scene->backends)), 0);
    }
    http_close(&client);
}

static void accept_behind(struct scene *scene, struct str header, const char *from)
{
    send_behind(scene, header, header.len, from);
    send_behind(scene, header, 1, from);
}

static void refuse_behind(struct scene *scene, struct str header)
{
    send_behind(scene, header, header.len, NULL);
    send_behind(scene, header, 1, NULL);
}

Test(balancer_origin, headers_are_taken_whole_and_byte_by_byte)
{
    struct scene scene;
    begin(&scene);
    accept_behind(&scene, STR("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"), "203.0.113.7");
    accept_behind(&scene, STR("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"), "2001:db8::7");
    accept_behind(&scene, STR("PROXY UNKNOWN\r\n"), "127.0.0.1");
    accept_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x0c" ADDRESSES), "203.0.113.7");
    accept_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x11" ADDRESSES "\x03\0\x02hi"),
                  "203.0.113.7");
    accept_behind(&scene, BYTES(SIGNATURE "\x20\0\0\0"), "127.0.0.1");
    end(&scene);
}

Test(balancer_origin, p04_a_line_without_an_end_is_closed_at_once)
{
    struct scene scene;
    struct http_client client;
    char line[108];
    begin(&scene);
    memset(line, '1', sizeof line);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no text */
    memcpy(line, "PROXY TCP4 ", 11);
    http_connect(&client, scene.balancer.port);
    usec_t start = clock_monotonic(&clock_system);
    cr_assert(http_send(&client, str_make(line, sizeof line)));
    struct str all = http_rest(&client);
    cr_assert_eq(all.len, 0);
    cr_assert_lt(clock_monotonic(&clock_system) - start, 2 * USEC_PER_SEC);
    free_str(all);
    http_close(&client);
    end(&scene);
}

Test(balancer_origin, p05_lines_that_are_wrong_are_refused)
{
    static const char *const wrong[] = {
        "PROXY TCP4 999.1.1.1 127.0.0.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 1 2 3\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 1\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 65536 2\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 1 99999\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 01 2\r\n",
        "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        "PROXY TCP6 203.0.113.7 127.0.0.1 1 2\r\n",
        "PROXY  TCP4 203.0.113.7 127.0.0.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\n",
        "proxy TCP4 203.0.113.7 127.0.0.1 1 2\r\n",
    };
    struct scene scene;
    begin(&scene);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        send_behind(&scene, str_from(wrong[i]), strlen(wrong[i]), NULL);
    }
    refuse_behind(&scene, str_from(wrong[0]));
    end(&scene);
}

Test(balancer_origin, p06_lengths_that_do_not_fit_are_refused)
{
    struct scene scene;
    begin(&scene);
    /* Shorter than the addresses. */
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x0b" ADDRESSES));
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x21\0\x0c" ADDRESSES));
    /* A value beyond the end; half the head of one. */
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x11" ADDRESSES "\x03\0\x03hi"));
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x11" ADDRESSES "\x03\xff\xffhi"));
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x11\0\x0e" ADDRESSES "\x03\0"));
    /* Longer than any header may be: the request would be part of it. */
    refuse_behind(&scene, BYTES(SIGNATURE "\x21\x11\xff\xff" ADDRESSES));
    /* Versions and commands that do not exist. */
    refuse_behind(&scene, BYTES(SIGNATURE "\x11\x11\0\x0c" ADDRESSES));
    refuse_behind(&scene, BYTES(SIGNATURE "\x22\x11\0\x0c" ADDRESSES));
    end(&scene);
}

Test(balancer_origin, half_a_header_and_the_end_is_let_go_at_once)
{
    struct scene scene;
    struct http_client client;
    begin(&scene);
    http_connect(&client, scene.balancer.port);
    cr_assert(http_send(&client, STR("PROXY TCP4 203.0.113.7")));
    sleep_for(50 * USEC_PER_MSEC);
    http_finish(&client);
    usec_t before = process_cpu(&scene.balancer.process);
    usec_t start = clock_monotonic(&clock_system);
    struct str all = http_rest(&client);
    cr_assert_eq(all.len, 0);
    cr_assert_lt(clock_monotonic(&clock_system) - start, 2 * USEC_PER_SEC, "it waits for more");
    cr_assert_lt(process_cpu(&scene.balancer.process) - before, 500 * USEC_PER_MSEC, "it spins");
    free_str(all);
    http_close(&client);
    end(&scene);
}
