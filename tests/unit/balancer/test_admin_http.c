/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin_http.h"
#include "base/buffer.h"
#include "base/log.h"
#include "fake_balancer.h"
#include "net/socket.h"
#include "status_page.h"

static struct balancer *balancer;
static struct clock_fake timepiece; /* the loop's; it stands still */
static struct admin_http *http;
static struct address address;

static void set_up(void)
{
    struct error error;
    static const struct log_settings settings = {
        .fd = STDERR_FILENO, .level = LOG_LEVEL_ERROR, .format = LOG_FORMAT_KEY_VALUE};
    log_configure(&settings);
    clock_fake_init(&timepiece, USEC_PER_SEC, 0);
    balancer = fake_balancer_new(&timepiece.clock);
    cr_assert_eq(address_parse(STR("127.0.0.1"), 0, &address, &error), 0);
    http = admin_http_new(balancer, &address, &error);
    cr_assert_not_null(http, "%s", error.message);
    cr_assert_eq(admin_http_address(http, &address), 0);
}

static bool nothing_is_asked(void *context)
{
    (void)context;
    return balancer->asking == 0;
}

static void tear_down(void)
{
    admin_http_free(http);
    cr_expect(fake_balancer_turn(balancer, nothing_is_asked, NULL));
    fake_balancer_free(balancer);
}

TestSuite(admin_http, .init = set_up, .fini = tear_down, .timeout = 60);

static void turn(void)
{
    cr_assert_eq(loop_turn(balancer->loop, USEC_PER_MSEC), 0);
}

static int begin(void)
{
    struct error error;
    int fd = socket_connect(&address, NULL, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    return fd;
}

/* Send, then read until the server closes. */
static char *converse(struct str bytes, bool ends)
{
    struct buffer out;
    size_t count;
    usec_t end = clock_monotonic(&clock_system) + 10 * USEC_PER_SEC;
    enum io io = IO_AGAIN;
    int fd = begin();
    buffer_init(&out, 16 << 20);
    while (bytes.len > 0) {
        io = socket_write(fd, bytes.data, bytes.len, &count);
        cr_assert_neq(io, IO_FAIL);
        bytes = io == IO_OK ? str_skip(bytes, count) : bytes;
        turn();
    }
    if (ends) {
        shutdown(fd, SHUT_WR);
    }
    for (io = IO_AGAIN; io != IO_EOF && clock_monotonic(&clock_system) < end;) {
        cr_assert_eq(buffer_reserve(&out, 65536), 0);
        io = socket_read(fd, buffer_tail(&out), buffer_room(&out), &count);
        cr_assert_neq(io, IO_FAIL, "%s", strerror(errno));
        if (io == IO_OK) {
            buffer_commit(&out, count);
        } else {
            turn();
        }
    }
    cr_expect_eq(io, IO_EOF, "the server did not close");
    close(fd);
    char *text = str_dup(buffer_view(&out));
    buffer_done(&out);
    return text;
}

static char *get(const char *request)
{
    char text[512];
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", request);
    return converse(str_from(text), false);
}

static void expect(const char *request, const char *status, const char *part)
{
    char *text = get(request);
    cr_expect_eq(strncmp(text, status, strlen(status)), 0, "%s: %s", request, text);
    cr_expect_not_null(strstr(text, part), "%s: no %s in %s", request, part, text);
    cr_expect_not_null(strstr(text, "Connection: close\r\n"), "%s", text);
    free(text);
}

Test(admin_http, pages_are_there)
{
    expect("GET /", "HTTP/1.1 200 OK\r\n", "href=\"/metrics\"");
    expect("GET /metrics", "HTTP/1.1 200 OK\r\n", "text/plain; version=0.0.4");
    expect("GET /metrics?x=y", "HTTP/1.1 200 OK\r\n",
           "portico_balancer_rejected_total{reason=\"bare_lf\"} 0\n");
    expect("GET /healthz", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect("GET /status.json", "HTTP/1.1 200 OK\r\n", "application/json");
    expect("GET /nowhere", "HTTP/1.1 404 Not Found\r\n", "X-Portico-Reason: not_found\r\n");
}

Test(admin_http, the_page_comes_with_a_policy_of_its_own)
{
    char policy[STATUS_PAGE_POLICY_SIZE];
    char field[STATUS_PAGE_POLICY_SIZE + 64];
    status_page_policy(policy);
    snprintf(field, sizeof field, "\r\nContent-Security-Policy: %s\r\n", policy);
    expect("GET /", "HTTP/1.1 200 OK\r\n", field);
    expect("GET /", "HTTP/1.1 200 OK\r\n", "\r\nContent-Type: text/html; charset=utf-8\r\n");
    expect("GET /status.json", "HTTP/1.1 200 OK\r\n",
           "\r\nContent-Security-Policy: default-src 'none'\r\n");
}

Test(admin_http, the_page_is_written_once_a_second_at_most)
{
    expect("GET /", "HTTP/1.1 200 OK\r\n", "1 of 2 members usable");
    size_t asked = balancer->questions;
    balancer->is_stopping = true;
    expect("GET /", "HTTP/1.1 200 OK\r\n", "1 of 2 members usable");
    cr_expect_eq(balancer->questions, asked);
    clock_fake_advance(&timepiece, USEC_PER_SEC);
    expect("GET /", "HTTP/1.1 200 OK\r\n", "Stopping: ");
    cr_expect_gt(balancer->questions, asked);
}

Test(admin_http, who_asks_while_a_page_is_made_gets_the_last_one)
{
    static const struct str request = STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    int streams[3];
    size_t count;
    expect("GET /", "HTTP/1.1 200 OK\r\n", "1 of 2 members usable");
    size_t asked = balancer->questions;
    clock_fake_advance(&timepiece, 2 * USEC_PER_SEC);
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        streams[i] = begin();
        cr_assert_eq(socket_write(streams[i], request.data, request.len, &count), IO_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        char head[16];
        usec_t end = clock_monotonic(&clock_system) + 10 * USEC_PER_SEC;
        enum io io = IO_AGAIN;
        while (io == IO_AGAIN && clock_monotonic(&clock_system) < end) {
            turn();
            io = socket_read(streams[i], head, sizeof head, &count);
        }
        cr_expect_eq(io, IO_OK);
        close(streams[i]);
    }
    cr_expect_eq(balancer->questions, 2 * asked);
}

Test(admin_http, gauges_of_members_are_fresh)
{
    expect("GET /metrics", "HTTP/1.1 200 OK\r\n", "\nportico_balancer_members_usable 8\n");
    expect("GET /metrics", "HTTP/1.1 200 OK\r\n", "\nportico_balancer_members{state=\"up\"} 7\n");
}

Test(admin_http, status_is_json)
{
    char *text = get("GET /status.json");
    json_t *json = json_loads(strstr(text, "\r\n\r\n") + 4, 0, NULL);
    cr_assert_not_null(json, "%s", text);
    cr_expect_eq(json_array_size(json_object_get(json, "member_list")), FAKE_MEMBERS);
    cr_expect_str_eq(json_string_value(json_object_get(json, "version")), PORTICO_VERSION);
    json_decref(json);
    free(text);
}

Test(admin_http, health_is_that_of_members_and_life_cycle)
{
    atomic_store(&balancer->members[0].health,
                 health_pack((struct health){.presence = PRESENCE_ABSENT}));
    expect("GET /healthz", "HTTP/1.1 503 Service Unavailable\r\n", "X-Portico-Reason: no_member");
    atomic_store(&balancer->members[0].health,
                 health_pack((struct health){.presence = PRESENCE_UP}));
    balancer->is_stopping = true;
    expect("GET /healthz", "HTTP/1.1 503 Service Unavailable\r\n", "X-Portico-Reason: stopping");
}

Test(admin_http, head_is_answered_without_a_body)
{
    char *full = get("GET /");
    char *text = get("HEAD /");
    char *body = strstr(text, "\r\n\r\n") + 4;
    cr_expect_str_eq(body, "");
    cr_expect_eq(strncmp(full, text, strlen(text)), 0, "%s", text);
    free(full);
    free(text);
}

Test(admin_http, nothing_can_be_changed)
{
    expect("POST /", "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n");
    expect("DELETE /metrics", "HTTP/1.1 405 Method Not Allowed\r\n", "method_refused");
    expect("TRACE /", "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n");
}

static void expect_refused(struct str bytes, const char *reason)
{
    char *text = converse(bytes, false);
    cr_expect_not_null(strstr(text, reason), "%s", text);
    cr_expect_eq(strncmp(text, "HTTP/1.1 4", 10), 0, "%s", text);
    free(text);
}

Test(admin_http, malformed_requests_are_refused_with_their_reason)
{
    expect_refused(STR("GET / HTTP/1.1\nHost: x\n\n"), "bare_lf");
    expect_refused(STR("GET / HTTP/1.1\r\n\r\n"), "host_missing");
    expect_refused(STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"), "bad_method");
    expect_refused(STR("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
                   "body_unexpected");
}

Test(admin_http, an_endless_head_is_refused_and_the_answer_arrives)
{
    static char bytes[60000];
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, "GET / HTTP/1.1\r\nHost: x\r\nX: ", 28);
    expect_refused(str_make(bytes, sizeof bytes), "head_too_large");
}

Test(admin_http, a_body_that_nobody_reads_does_not_become_a_request)
{
    char *text = converse(STR("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n"
                              "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
                          false);
    cr_expect_null(strstr(text + 5, "HTTP/1.1 2"), "%s", text);
    free(text);
}

Test(admin_http, pipelined_requests_are_answered_in_order)
{
    char *text = converse(STR("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n"
                              "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"),
                          true);
    const char *health = strstr(text, "ok\n");
    const char *status = strstr(text, "application/json");
    const char *head = strstr(text, "text/html");
    const char *nowhere = strstr(text, "not_found");
    cr_assert(health && status && head && nowhere, "%s", text);
    cr_expect(health < status && status < head && head < nowhere);
    cr_expect_null(strstr(text, "Connection: close"));
    free(text);
}

Test(admin_http, a_large_page_goes_to_a_slow_reader_whole)
{
    for (int i = 0; i < COUNTERS_MEMBERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "10.0.0.1:%d", i + 1);
        counters_member(balancer->counters, name);
    }
    char *text = get("GET /metrics");
    const char *length = strstr(text, "Content-Length: ");
    cr_assert_not_null(length);
    cr_expect_eq(strlen(strstr(text, "\r\n\r\n") + 4), strtoul(length + 16, NULL, 10));
    cr_expect_gt(strlen(text), 4 << 20);
    free(text);
}

Test(admin_http, there_is_room_for_so_many)
{
    int fds[ADMIN_HTTP_CONNECTIONS];
    for (size_t i = 0; i < ADMIN_HTTP_CONNECTIONS; i++) {
        fds[i] = begin();
        turn();
    }
    for (int i = 0; i < 5; i++) {
        turn();
    }
    char *text = converse(STR(""), false);
    cr_expect_eq(strncmp(text, "HTTP/1.1 503", 12), 0, "%s", text);
    free(text);
    for (size_t i = 0; i < ADMIN_HTTP_CONNECTIONS; i++) {
        close(fds[i]);
    }
}

static bool is_open(int fd)
{
    char byte;
    size_t count;
    return socket_read(fd, &byte, 1, &count) == IO_AGAIN;
}

static void pass(usec_t by)
{
    for (int i = 0; i < 3; i++) {
        turn();
    }
    clock_fake_advance(&timepiece, by);
    for (int i = 0; i < 3; i++) {
        turn();
    }
}

Test(admin_http, a_head_that_drips_in_has_one_deadline)
{
    size_t count;
    int fd = begin();
    turn();
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(socket_write(fd, "GET ", 1, &count), IO_OK);
        pass(3 * USEC_PER_SEC);
        cr_expect_eq(is_open(fd), i < 3, "%d", i);
    }
    close(fd);
}

Test(admin_http, who_asks_nothing_is_closed_in_the_end)
{
    int fd = begin();
    pass(29 * USEC_PER_SEC);
    cr_expect(is_open(fd));
    pass(2 * USEC_PER_SEC);
    cr_expect_not(is_open(fd));
    close(fd);
}
