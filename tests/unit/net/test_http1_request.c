/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http1.h"
#include "support/support.h"

static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
static struct http1_request request;
static struct http1_refusal refusal;

static ssize_t parse_within(struct http1_limits limits, struct str text)
{
    struct guarded copy = guarded_copy(text);
    http1_request_init(&request, fields);
    refusal = (struct http1_refusal){HTTP1_NO_REASON, 0};
    /* The copy is left alive: tests look at the views. Each test is a process of its own. */
    return http1_request_parse(&request, &limits, str_make(copy.data, copy.len), &refusal);
}

static ssize_t parse(const char *text)
{
    return parse_within(HTTP1_LIMITS_DEFAULT, str_from(text));
}

static void assert_read(const char *text)
{
    ssize_t n = parse(text);
    cr_assert_eq(n, (ssize_t)strlen(text), "%s at %zu: %s", http1_reason_code(refusal.reason),
                 refusal.offset, text);
}

static void assert_refused(const char *text, enum http1_reason reason)
{
    ssize_t n = parse(text);
    cr_assert_eq(n, -EBADMSG, "accepted: %s", text);
    cr_assert_eq(refusal.reason, reason, "%s, not %s: %s", http1_reason_code(refusal.reason),
                 http1_reason_code(reason), text);
}

static bool is(struct str view, const char *text)
{
    return str_equal(view, str_from(text));
}

#define POLL                                 \
    "POST /control?api=3 HTTP/1.1\r\n"       \
    "Host: front.example:8080\r\n"           \
    "User-Agent: python-requests/2.25.1\r\n" \
    "Accept: */*\r\n"                        \
    "Connection: keep-alive\r\n"             \
    "Content-Type: binary/octet-stream\r\n"  \
    "Content-Length: 5\r\n\r\n"

Test(http1_request, gives_views_of_what_it_read)
{
    assert_read(POLL);
    cr_assert(is(request.method, "POST"));
    cr_assert_eq(request.method_id, HTTP1_POST);
    cr_assert(is(request.target, "/control?api=3"));
    cr_assert(is(request.host, "front.example:8080"));
    cr_assert_eq(request.head.minor, 1);
    cr_assert(request.head.keep_alive);
    cr_assert_eq(request.head.framing, HTTP1_BODY_LENGTH);
    cr_assert_eq(request.head.body_bytes, 5);
    cr_assert_eq(request.head.field_count, 6);
    cr_assert(is(request.head.fields[1].name, "User-Agent"));
    cr_assert(is(request.head.fields[1].value, "python-requests/2.25.1"));
    cr_assert(is(http1_find(&request.head, HTTP1_CONTENT_TYPE)->value, "binary/octet-stream"));
    cr_assert_null(http1_find(&request.head, HTTP1_EXPECT));
    cr_assert_null(http1_find(&request.head, HTTP1_OTHER));
    cr_assert_eq(request.max_forwards, -1);
    cr_assert_not(request.expect_continue);
}

Test(http1_request, stops_at_the_end_of_the_head)
{
    cr_assert_eq(parse(POLL "\0\1\2\r\n"), sizeof(POLL) - 1);
}

Test(http1_request, asks_for_more_at_every_byte_before_the_end)
{
    for (size_t n = 0; n < sizeof(POLL) - 1; n++) {
        cr_assert_eq(parse_within(HTTP1_LIMITS_DEFAULT, str_make(POLL, n)), 0, "at %zu", n);
    }
}

/* The caller's buffer moves while bytes drip in: nothing may point into the old one. */
Test(http1_request, follows_a_buffer_that_moves)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    ssize_t result = 0;
    char *text = NULL;
    http1_request_init(&request, fields);
    for (size_t n = 1; n <= sizeof(POLL) - 1; n++) {
        char *moved = malloc(n);
        memcpy(moved, POLL, n);
        free(text);
        text = moved;
        result = http1_request_parse(&request, &limits, str_make(text, n), &refusal);
        cr_assert_eq(result, n < sizeof(POLL) - 1 ? 0 : (ssize_t)n);
    }
    cr_assert(is(request.method, "POST"));
    cr_assert(is(request.head.fields[0].name, "Host"));
    cr_assert(is(request.head.fields[5].value, "5"));
    free(text);
}

Test(http1_request, leaves_the_refusal_alone_when_nothing_is_refused)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_refusal before = {HTTP1_REASON_USERINFO, 77};
    http1_request_init(&request, fields);
    cr_assert_gt(http1_request_parse(&request, &limits, STR(POLL), &before), 0);
    cr_assert_eq(before.reason, HTTP1_REASON_USERINFO);
    cr_assert_eq(before.offset, 77);
}

Test(http1_request, trims_white_space_around_values_only)
{
    assert_read("GET / HTTP/1.1\r\nHost: a\r\nX:\t  a \t b\t \r\nEmpty:\r\nBlank:   \r\n\r\n");
    cr_assert(is(request.head.fields[1].value, "a \t b"));
    cr_assert_eq(request.head.fields[2].value.len, 0);
    cr_assert_eq(request.head.fields[3].value.len, 0);
}

Test(http1_request, skips_one_empty_line_and_no_second)
{
    assert_read("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(is(request.method, "GET"));
    assert_refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_EMPTY_LINES);
    assert_refused("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_BARE_CR);
}

Test(http1_request, knows_methods_by_their_exact_case)
{
    assert_read("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_eq(request.method_id, HTTP1_DELETE);
    assert_read("post /x HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_eq(request.method_id, HTTP1_METHOD_OTHER);
    assert_read("PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_eq(request.method_id, HTTP1_METHOD_OTHER);
    assert_refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_METHOD_REFUSED);
    assert_refused(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_METHOD);
    assert_refused("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_METHOD);
}

Test(http1_request, refuses_a_tls_hello_at_its_first_byte)
{
    assert_refused("\x16\x03\x01\x02", HTTP1_REASON_METHOD);
    cr_assert_eq(refusal.offset, 0);
}

Test(http1_request, wants_single_spaces_in_the_request_line)
{
    assert_refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_TARGET);
    assert_refused("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_TARGET);
    assert_refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("GET /\n", HTTP1_REASON_BARE_LF);
    assert_refused("\r\nGET /x\r\n", HTTP1_REASON_VERSION);
}

Test(http1_request, serves_no_version_but_1_0_and_1_1)
{
    assert_refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/0.9\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/3.0\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/1.10\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("GET / HTTP/1\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
    assert_refused("GET / ICY/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_VERSION);
}

Test(http1_request, splits_absolute_targets)
{
    assert_read("GET HTTP://A.example:80/x?y=1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    cr_assert(is(request.target, "/x?y=1"));
    cr_assert(is(request.host, "A.example:80"));
    assert_read("GET https://a?q HTTP/1.1\r\nHost: a:443\r\n\r\n");
    cr_assert(is(request.target, "?q"));
    assert_read("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(is(request.target, "*"));
    assert_read("GET http://a HTTP/1.0\r\n\r\n");
    cr_assert(is(request.host, "a"));
    cr_assert_eq(request.target.len, 0);
    assert_refused("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HTTP1_REASON_HOST_MISMATCH);
    assert_refused("GET http://a:8080/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_HOST_MISMATCH);
    assert_refused("GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_HOST_MISMATCH);
    assert_refused("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_HOST);
    assert_refused("GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_TARGET_FORM);
    assert_refused("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_TARGET_FORM);
    assert_refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_REASON_TARGET_FORM);
    assert_refused("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", HTTP1_REASON_USERINFO);
}

Test(http1_request, knows_a_host_when_it_sees_one)
{
    static const char *const good[] = {
        "a",       "a:1",   "a.b-c_d~e", "127.0.0.1:65535",    "[::1]",
        "[::1]:8", "a%20b", "a:",        "[::ffff:1.2.3.4]:80"};
    static const char *const bad_ones[] = {":80",   "a:65536", "a:b",    "a b",   "a/b", "a?b",
                                           "u@a",   "[::1",    "[]",     "[g]",   "a%2", "a%zz",
                                           "a:80:", "a,b:x",   "[::1]x", "\"a\"", "a#b", "[::1]80"};
    char text[128];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
        assert_read(text);
        cr_assert(is(request.host, good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_ones); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad_ones[i]);
        assert_refused(text, HTTP1_REASON_HOST);
    }
}

Test(http1_request, keeps_connections_as_rfc_9112_9_3_says)
{
    assert_read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(request.head.keep_alive);
    assert_read("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n");
    cr_assert_not(request.head.keep_alive);
    assert_read("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    cr_assert_not(request.head.keep_alive);
    assert_read("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n");
    cr_assert(request.head.keep_alive);
    assert_read("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n");
    cr_assert_not(request.head.keep_alive);
}

Test(http1_request, marks_what_belongs_to_the_connection)
{
    assert_read(
        "GET / HTTP/1.1\r\nX-Secret: 1\r\nHost: a\r\nConnection: ,x-SECRET , keep-alive,\r\n"
        "TE: trailers\r\nX_Under: 1\r\nX-Forwarded-For: b\r\nOther: 1\r\n\r\n");
    cr_assert_eq(request.head.fields[0].flags, HTTP1_HOP);
    cr_assert(request.head.fields[2].flags & HTTP1_HOP);
    cr_assert(request.head.fields[3].flags & HTTP1_HOP);
    cr_assert_eq(request.head.fields[4].flags, HTTP1_UNDERSCORE);
    cr_assert(request.head.fields[5].flags & HTTP1_FORWARDED_BY);
    cr_assert_eq(request.head.fields[6].flags, 0);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
                   HTTP1_REASON_CONNECTION);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n",
                   HTTP1_REASON_CONNECTION);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n", HTTP1_REASON_CONNECTION);
}

Test(http1_request, bounds_the_options_of_connection)
{
    assert_read("GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\n\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h\r\n"
                   "Connection: i,j,k,l,m,n,o,p,q\r\n\r\n",
                   HTTP1_REASON_CONNECTION);
}

Test(http1_request, refuses_underscore_aliases_of_what_it_acts_on)
{
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n", HTTP1_REASON_ALIAS);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\n\r\n", HTTP1_REASON_ALIAS);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nkeep_ALIVE: 1\r\n\r\n", HTTP1_REASON_ALIAS);
    assert_read("GET / HTTP/1.1\r\nHost: a\r\nContent_Type: text/plain\r\n\r\n");
}

Test(http1_request, frames_bodies_in_one_way_only)
{
    assert_read("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunked \r\n\r\n");
    cr_assert_eq(request.head.framing, HTTP1_BODY_CHUNKED);
    assert_read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
    cr_assert_eq(request.head.body_bytes, INT64_MAX);
    assert_read("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_eq(request.head.framing, HTTP1_BODY_NONE);
    assert_read("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    cr_assert_eq(request.head.body_bytes, 0);
    assert_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", HTTP1_REASON_LENGTH);
    assert_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", HTTP1_REASON_LENGTH);
    assert_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n",
                   HTTP1_REASON_LENGTH);
    assert_refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                   HTTP1_REASON_CODING_ON_1_0);
    assert_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
                   HTTP1_REASON_CODING);
    assert_refused(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\nContent-Length: 1\r\n\r\n",
        HTTP1_REASON_LENGTH_AND_CODING);
    assert_refused("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                   HTTP1_REASON_BODY_UNEXPECTED);
}

Test(http1_request, lets_its_owner_choose_about_bodies)
{
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.allow_get_body = true;
    limits.require_length = true;
    cr_assert_gt(
        parse_within(limits, STR("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")), 0);
    cr_assert_eq(request.head.body_bytes, 3);
    cr_assert_lt(parse_within(limits, STR("POST / HTTP/1.1\r\nHost: a\r\n\r\n")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_LENGTH_REQUIRED);
    cr_assert_eq(http1_reason_status(refusal.reason), 411);
    cr_assert_gt(parse_within(limits, STR("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")), 0);
}

Test(http1_request, tells_who_waits_for_100)
{
    assert_read("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    cr_assert(request.expect_continue);
    assert_read("PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    cr_assert_not(request.expect_continue);
    assert_read("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    cr_assert_not(request.expect_continue);
}

Test(http1_request, reads_max_forwards)
{
    assert_read("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
    cr_assert_eq(request.max_forwards, 7);
    assert_read("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 99999999999\r\n\r\n");
    cr_assert_eq(request.max_forwards, INT32_MAX);
    assert_refused("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n",
                   HTTP1_REASON_MAX_FORWARDS);
    assert_refused("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n",
                   HTTP1_REASON_MAX_FORWARDS);
}

/* A head of exactly `size` bytes. */
static char *head_of_size(size_t size)
{
    char *text = malloc(size + 1);
    int n = snprintf(text, size + 1, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + n, 'x', size - (size_t)n);
    memcpy(text + size - 4, "\r\n\r\n", 5);
    return text;
}

Test(http1_request, bounds_the_head)
{
    char *text = head_of_size(16 * 1024);
    assert_read(text);
    free(text);
    text = head_of_size(16 * 1024 + 1);
    assert_refused(text, HTTP1_REASON_HEAD_TOO_LARGE);
    free(text);
    /* No line ever ends: refused at the limit, not before, and not never. */
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.head_bytes = 64;
    text = head_of_size(200);
    cr_assert_eq(parse_within(limits, str_make(text, 63)), 0);
    cr_assert_eq(parse_within(limits, str_make(text, 64)), -EBADMSG);
    cr_assert_eq(refusal.offset, 64);
    free(text);
}

Test(http1_request, bounds_the_target_and_the_names)
{
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.target_bytes = 5;
    limits.name_bytes = 4;
    limits.fields = 2;
    cr_assert_gt(parse_within(limits, STR("GET /2345 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n")), 0);
    cr_assert_lt(parse_within(limits, STR("GET /23456")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_TARGET_TOO_LONG);
    cr_assert_lt(parse_within(limits, STR("GET / HTTP/1.1\r\nHostx")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_NAME_TOO_LONG);
    cr_assert_lt(parse_within(limits, STR("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY")), 0);
    cr_assert_eq(refusal.reason, HTTP1_REASON_TOO_MANY_FIELDS);
}

/* Each line is looked at once as its bytes drip in, so a head is linear in its size even for the
 * slowest sender. Counted in calls to the parser with nothing new to see: all must be cheap. */
Test(http1_request, reads_a_dripping_head_to_the_end)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    char *text = head_of_size(16 * 1024);
    http1_request_init(&request, fields);
    for (size_t n = 1; n < 16 * 1024; n++) {
        cr_assert_eq(http1_request_parse(&request, &limits, str_make(text, n), &refusal), 0);
    }
    cr_assert_eq(http1_request_parse(&request, &limits, str_make(text, 16 * 1024), &refusal),
                 16 * 1024);
    free(text);
}

Test(http1_request, finds_every_known_field_in_any_case)
{
    static const struct {
        const char *name;
        enum http1_field_id id;
    } known[] = {
#define HTTP1_FIELD(id, name, flags) {name, HTTP1_##id},
#include "net/http1_fields.def"
#undef HTTP1_FIELD
    };
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        char upper[64];
        cr_assert_geq(strlen(known[i].name), len, "%s is out of order", known[i].name);
        len = strlen(known[i].name);
        for (size_t j = 0; j <= len; j++) {
            char c = known[i].name[j];
            upper[j] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        cr_assert_eq(http1_field_id(str_from(known[i].name)), known[i].id);
        cr_assert_eq(http1_field_id(str_from(upper)), known[i].id, "%s", upper);
    }
    cr_assert_eq(http1_field_id(STR("hosts")), HTTP1_OTHER);
    cr_assert_eq(http1_field_id(STR("x")), HTTP1_OTHER);
    cr_assert_eq(http1_field_id(STR("user-agent")), HTTP1_OTHER);
    cr_assert_eq(http1_field_id(STR("a-name-that-is-longer-than-all")), HTTP1_OTHER);
}

Test(http1_request, has_a_code_a_status_and_a_sentence_for_each_reason)
{
    for (int i = 1; i < HTTP1_REASON_COUNT; i++) {
        unsigned status = http1_reason_status((enum http1_reason)i);
        cr_assert(status >= 400 && status <= 505);
        cr_assert_gt(strlen(http1_reason_code((enum http1_reason)i)), 3);
        cr_assert_gt(strlen(http1_reason_sentence((enum http1_reason)i)), 10);
        for (int j = 1; j < i; j++) {
            cr_assert_str_neq(http1_reason_code((enum http1_reason)i),
                              http1_reason_code((enum http1_reason)j));
        }
    }
}
