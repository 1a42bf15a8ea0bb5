/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/http1.h"
#include "support/support.h"

static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
static struct http1_response response;
static struct http1_refusal refusal;

static ssize_t parse(enum http1_method method, const char *text)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct guarded copy = guarded_copy(str_from(text));
    http1_response_init(&response, fields);
    return http1_response_parse(&response, &limits, method, str_make(copy.data, copy.len),
                                &refusal);
}

static void assert_read(enum http1_method method, const char *text)
{
    ssize_t n = parse(method, text);
    cr_assert_eq(n, (ssize_t)strlen(text), "%s at %zu: %s", http1_reason_code(refusal.reason),
                 refusal.offset, text);
}

static void assert_refused(const char *text, enum http1_reason reason)
{
    cr_assert_eq(parse(HTTP1_GET, text), -EBADMSG, "accepted: %s", text);
    cr_assert_eq(refusal.reason, reason, "%s, not %s: %s", http1_reason_code(refusal.reason),
                 http1_reason_code(reason), text);
}

Test(http1_response, gives_status_and_phrase)
{
    assert_read(HTTP1_GET, "HTTP/1.1 404 Not \xe9 Found\r\nContent-Length: 3\r\n\r\n");
    cr_assert_eq(response.status, 404);
    cr_assert(str_equal(response.phrase, STR("Not \xe9 Found")));
    cr_assert_eq(response.head.body_bytes, 3);
    cr_assert(response.head.keep_alive);
    assert_read(HTTP1_GET, "HTTP/1.1 200 \r\n\r\n");
    cr_assert_eq(response.phrase.len, 0);
    assert_read(HTTP1_GET, "HTTP/1.1 200\r\n\r\n");
    cr_assert_eq(response.phrase.len, 0);
}

Test(http1_response, refuses_malformed_status_lines)
{
    assert_refused("HTTP/1.1  200 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 20 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 2000 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 099 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 600 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 200OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 200 a\x01\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("ICY 200 OK OK OK\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("HTTP/1.2 200 OK\r\n\r\n", HTTP1_REASON_VERSION_UNSUPPORTED);
    assert_refused("\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP1_REASON_STATUS);
    assert_refused("HTTP/1.1 200 OK\n", HTTP1_REASON_BARE_LF);
}

Test(http1_response, knows_who_has_no_body)
{
    static const char *const none[] = {"100", "103", "204", "304"};
    char text[128];
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        snprintf(text, sizeof text, "HTTP/1.1 %s X\r\nContent-Length: 3\r\n\r\n", none[i]);
        assert_read(HTTP1_GET, text);
        cr_assert_eq(response.head.framing, HTTP1_BODY_NONE, "%s", none[i]);
        cr_assert(response.head.keep_alive);
    }
    assert_read(HTTP1_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    cr_assert_eq(response.head.framing, HTTP1_BODY_NONE);
}

Test(http1_response, frames_bodies_as_rfc_9112_6_3_says)
{
    assert_read(HTTP1_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    cr_assert_eq(response.head.framing, HTTP1_BODY_CHUNKED);
    assert_read(HTTP1_GET, "HTTP/1.1 200 OK\r\n\r\n");
    cr_assert_eq(response.head.framing, HTTP1_BODY_UNTIL_CLOSE);
    cr_assert_not(response.head.keep_alive);
    assert_read(HTTP1_GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n");
    cr_assert_not(response.head.keep_alive);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                   HTTP1_REASON_LENGTH_DUPLICATE);
    assert_refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                   HTTP1_REASON_CODING_UNSUPPORTED);
    assert_refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                   HTTP1_REASON_CODING_ON_1_0);
    assert_refused("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", HTTP1_REASON_SWITCHING);
}

Test(http1_response, reads_how_long_the_peer_keeps_idle_connections)
{
    assert_read(HTTP1_GET, "HTTP/1.1 204 X\r\nKeep-Alive: max=7, Timeout=15\r\n\r\n");
    cr_assert_eq(response.keep_alive_timeout, 15);
    assert_read(HTTP1_GET, "HTTP/1.1 204 X\r\nKeep-Alive: timeout=soon\r\n\r\n");
    cr_assert_eq(response.keep_alive_timeout, -1);
    assert_read(HTTP1_GET, "HTTP/1.1 204 X\r\nKeep-Alive: timeout=99999999999\r\n\r\n");
    cr_assert_eq(response.keep_alive_timeout, INT32_MAX);
    assert_read(HTTP1_GET, "HTTP/1.1 204 X\r\n\r\n");
    cr_assert_eq(response.keep_alive_timeout, -1);
}
