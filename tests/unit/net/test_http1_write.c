/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/http1_write.h"
#include "support/support.h"

static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
static struct http1_request request;
static struct http1_response response;
static char out[32 * 1024];

static void read_request(struct str text)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    http1_request_init(&request, fields);
    ssize_t n = http1_request_parse(&request, &limits, text, &refusal);
    cr_assert_gt(n, 0, "%s at %zu", http1_reason_code(refusal.reason), refusal.offset);
}

static void read_response(enum http1_method method, struct str text)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    http1_response_init(&response, fields);
    ssize_t n = http1_response_parse(&response, &limits, method, text, &refusal);
    cr_assert_gt(n, 0, "%s at %zu", http1_reason_code(refusal.reason), refusal.offset);
}

static void assert_written(ssize_t n, const char *expected)
{
    cr_assert_eq(n, (ssize_t)strlen(expected), "%zd bytes, not %zu: %.*s", n, strlen(expected),
                 n < 0 ? 0 : (int)n, out);
    cr_assert(memcmp(out, expected, (size_t)n) == 0, "%.*s", (int)n, out);
}

Test(http1_write, writes_requests_in_one_form)
{
    const struct http1_extra extras[] = {{STR("X-Forwarded-For"), STR("192.0.2.7")}};
    read_request(STR("POST http://a/control?api=3 HTTP/1.1\r\nACCEPT:*/*\r\nhOST:  a\r\n"
                     "Connection: keep-alive, Foo\r\nFoo: 1\r\nKeep-Alive: timeout=9\r\n"
                     "X-Forwarded-For: evil\r\nX_Y: 1\r\nTE: trailers\r\nProxy: evil\r\n"
                     "Content-Length: 010\r\nExpect: 100-continue\r\nX: caf\xe9\t!\r\n\r\n"));
    struct http1_rewrite rewrite = {.drop = HTTP1_FORWARDED_BY,
                                    .extras = extras,
                                    .extra_count = 1,
                                    .framing = request.head.framing,
                                    .body_bytes = request.head.body_bytes};
    assert_written(http1_write_request(out, sizeof out, &request, &rewrite),
                   "POST /control?api=3 HTTP/1.1\r\nHost: a\r\nACCEPT: */*\r\nX: caf\xe9\t!\r\n"
                   "X-Forwarded-For: 192.0.2.7\r\nContent-Length: 10\r\n\r\n");
}

Test(http1_write, keeps_who_the_client_was_when_asked)
{
    read_request(STR("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"));
    assert_written(http1_write_request(out, sizeof out, &request, &(struct http1_rewrite){0}),
                   "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
}

Test(http1_write, completes_what_old_and_absolute_requests_lack)
{
    struct http1_rewrite rewrite = {.default_host = STR("fleet")};
    read_request(STR("GET / HTTP/1.0\r\n\r\n"));
    assert_written(http1_write_request(out, sizeof out, &request, &rewrite),
                   "GET / HTTP/1.1\r\nHost: fleet\r\n\r\n");
    rewrite.default_host = (struct str){NULL, 0};
    cr_assert_eq(http1_write_request(out, sizeof out, &request, &rewrite), -EINVAL);
    read_request(STR("GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n"));
    assert_written(http1_write_request(out, sizeof out, &request, &rewrite),
                   "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n");
    read_request(STR("OPTIONS http://b HTTP/1.1\r\nHost: b\r\nMax-Forwards: 3\r\n\r\n"));
    assert_written(http1_write_request(out, sizeof out, &request, &rewrite),
                   "OPTIONS * HTTP/1.1\r\nHost: b\r\nMax-Forwards: 2\r\n\r\n");
}

Test(http1_write, refuses_extras_that_would_split_a_head)
{
    static const struct http1_extra bad[] = {
        {{"X", 1}, {"a\r\nY: b", 7}}, {{"X", 1}, {"a\nb", 3}}, {{"X", 1}, {"a\0b", 3}},
        {{"X:", 2}, {"a", 1}},        {{"X Y", 3}, {"a", 1}},  {{"", 0}, {"a", 1}},
    };
    read_request(STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http1_rewrite rewrite = {.extras = &bad[i], .extra_count = 1};
        cr_assert_eq(http1_write_request(out, sizeof out, &request, &rewrite), -EINVAL);
    }
}

Test(http1_write, never_writes_past_the_end)
{
    struct http1_rewrite rewrite = {.framing = HTTP1_BODY_LENGTH, .body_bytes = 123};
    read_request(STR("POST /x HTTP/1.1\r\nHost: a\r\nA: b\r\nContent-Length: 123\r\n\r\n"));
    ssize_t needed = http1_write_request(out, sizeof out, &request, &rewrite);
    for (size_t size = 0; size <= (size_t)needed; size++) {
        struct guarded room = guarded_copy(str_make(out, size));
        ssize_t n = http1_write_request(room.data, size, &request, &rewrite);
        cr_assert_eq(n, size == (size_t)needed ? needed : -ENOBUFS);
        guarded_free(&room);
    }
}

Test(http1_write, writes_responses_in_one_form)
{
    read_response(HTTP1_GET, STR("HTTP/1.0 200 Fine\r\nServer: x\r\nKeep-Alive: timeout=5\r\n"
                                 "Connection: X-Secret\r\nX-Secret: 1\r\nSet-Cookie: a\r\n"
                                 "Set-Cookie: b\r\n\r\n"));
    struct http1_rewrite rewrite = {.framing = HTTP1_BODY_CHUNKED};
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 200 Fine\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
    rewrite.framing = HTTP1_BODY_UNTIL_CLOSE;
    rewrite.connection = HTTP1_CONNECTION_CLOSE;
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 200 Fine\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                   "Connection: close\r\n\r\n");
}

Test(http1_write, tells_heads_and_304s_the_length_that_a_body_would_have)
{
    struct http1_rewrite rewrite = {.framing = HTTP1_BODY_NONE};
    read_response(HTTP1_HEAD, STR("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"));
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    read_response(HTTP1_GET, STR("HTTP/1.1 304 OK\r\nContent-Length: 7\r\n\r\n"));
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 304 OK\r\nContent-Length: 7\r\n\r\n");
    read_response(HTTP1_GET, STR("HTTP/1.1 103 OK\r\nContent-Length: 7\r\n\r\n"));
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 103 OK\r\n\r\n");
    read_response(HTTP1_HEAD, STR("HTTP/1.1 204 OK\r\nContent-Length: 7\r\n\r\n"));
    assert_written(http1_write_response(out, sizeof out, &response, &rewrite),
                   "HTTP/1.1 204 OK\r\n\r\n");
}

Test(http1_write, writes_answers_of_our_own)
{
    struct http1_response own = {.status = 503, .phrase = http1_phrase(503)};
    const struct http1_extra extras[] = {{STR("Retry-After"), STR("7")},
                                         {STR("X-Portico-Reason"), STR("overload")}};
    struct http1_rewrite rewrite = {.extras = extras,
                                    .extra_count = 2,
                                    .framing = HTTP1_BODY_LENGTH,
                                    .connection = HTTP1_CONNECTION_CLOSE};
    assert_written(http1_write_response(out, sizeof out, &own, &rewrite),
                   "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"
                   "X-Portico-Reason: overload\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    cr_assert(str_equal(http1_phrase(299), STR("Unknown")));
}

Test(http1_write, writes_chunk_heads)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } heads[] = {{1, "1\r\n"},         {15, "f\r\n"},        {16, "10\r\n"},
                 {0xabcd, "abcd\r\n"}, {65536, "10000\r\n"}, {INT64_MAX, "7fffffffffffffff\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char text[HTTP1_CHUNK_HEAD_MAX];
        size_t n = http1_write_chunk_head(text, heads[i].bytes);
        cr_assert(str_equal(str_make(text, n), str_from(heads[i].text)));
    }
}

/* ---- whatever the writer writes, the parser reads back equal ---- */

static uint64_t seed = 0x243f6a8885a308d3ULL;

static unsigned below(unsigned n)
{
    return (unsigned)(next_random(&seed) % n);
}

static size_t put_random(char *to, size_t max, const char *alphabet)
{
    size_t len = below((unsigned)max);
    for (size_t i = 0; i < len; i++) {
        to[i] = alphabet[below((unsigned)strlen(alphabet))];
    }
    return len;
}

#define TOKEN_BYTES "abcXYZ019!#$%&'*+-.^`|~"
#define VALUE_BYTES "abc XYZ\t,;=\"()<>@\\/[]{}\xe9\x80\xff"
#define TARGET_BYTES "abc/?%41&=;:@!$'()*+,-._~|{}^`[]"

/* A random valid head in the way that nobody writes it: white space, cases, order. */
static size_t random_head(char *to, const char *start_line)
{
    size_t at = (size_t)sprintf(to, "%s\r\n", start_line);
    unsigned count = below(12);
    for (unsigned i = 0; i < count; i++) {
        at += (size_t)sprintf(to + at, "X");
        at += put_random(to + at, 12, TOKEN_BYTES);
        at += (size_t)sprintf(to + at, ":%s", below(2) ? " \t " : "");
        at += put_random(to + at, 40, VALUE_BYTES);
        at += (size_t)sprintf(to + at, "%s\r\n", below(2) ? " \t" : "");
    }
    return at;
}

/* All that passes of `a` is in `b`, in the same order. */
static void assert_same_fields(const struct http1_head *a, const struct http1_head *b)
{
    uint32_t j = 0;
    for (uint32_t i = 0; i < a->field_count; i++) {
        if ((a->fields[i].flags & (HTTP1_HOP | HTTP1_OURS | HTTP1_UNDERSCORE)) != 0) {
            continue;
        }
        while (j < b->field_count && (b->fields[j].flags & HTTP1_OURS) != 0) {
            j++;
        }
        cr_assert_lt(j, b->field_count);
        cr_assert(str_equal(a->fields[i].name, b->fields[j].name));
        cr_assert(str_equal(a->fields[i].value, b->fields[j].value));
        j++;
    }
}

Test(http1_write, writes_requests_that_read_back_equal)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"};
    static const char *const framings[] = {"", "Content-Length: 0\r\n", "Content-Length: 007\r\n",
                                           "transfer-encoding: Chunked\r\n"};
    for (int round = 0; round < 20000; round++) {
        char line[256];
        static char text[4096];
        static struct http1_field again_fields[HTTP1_FIELDS_DEFAULT];
        struct http1_request again;
        struct http1_refusal refusal;
        const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
        unsigned method = below(ARRAY_LEN(methods));
        size_t at = (size_t)sprintf(line, "%s %s", methods[method],
                                    below(2) ? "/" : "http://h.example:80/");
        at += put_random(line + at, 60, TARGET_BYTES);
        sprintf(line + at, " HTTP/1.1");
        at = random_head(text, line);
        at += (size_t)sprintf(text + at, "Host: h.example:80\r\n%s\r\n",
                              method == 0 ? "" : framings[below(4)]);
        read_request(str_make(text, at));
        struct http1_rewrite rewrite = {.framing = request.head.framing,
                                        .body_bytes = request.head.body_bytes};
        ssize_t n = http1_write_request(out, sizeof out, &request, &rewrite);
        cr_assert_gt(n, 0);
        http1_request_init(&again, again_fields);
        cr_assert_eq(http1_request_parse(&again, &limits, str_make(out, (size_t)n), &refusal), n);
        cr_assert(str_equal(again.method, request.method));
        cr_assert(str_equal(again.target, request.target));
        cr_assert(str_equal(again.host, request.host));
        cr_assert_eq(again.head.framing, request.head.framing);
        cr_assert_eq(again.head.body_bytes, request.head.body_bytes);
        cr_assert_eq(again.head.keep_alive, request.head.keep_alive);
        assert_same_fields(&request.head, &again.head);
        assert_same_fields(&again.head, &request.head);
    }
}

Test(http1_write, writes_responses_that_read_back_equal)
{
    for (int round = 0; round < 20000; round++) {
        char line[256];
        static char text[4096];
        static struct http1_field again_fields[HTTP1_FIELDS_DEFAULT];
        struct http1_response again;
        struct http1_refusal refusal;
        const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
        unsigned status = 100 + below(500);
        status += status == 101;
        size_t at = (size_t)sprintf(line, "HTTP/1.1 %u ", status);
        at += put_random(line + at, 30, VALUE_BYTES);
        line[at] = '\0';
        at = random_head(text, line);
        at += (size_t)sprintf(text + at, "%s\r\n", below(2) ? "Content-Length: 12\r\n" : "");
        read_response(HTTP1_GET, str_make(text, at));
        struct http1_rewrite rewrite = {.framing = response.head.framing,
                                        .body_bytes = response.head.body_bytes};
        ssize_t n = http1_write_response(out, sizeof out, &response, &rewrite);
        cr_assert_gt(n, 0);
        http1_response_init(&again, again_fields);
        cr_assert_eq(
            http1_response_parse(&again, &limits, HTTP1_GET, str_make(out, (size_t)n), &refusal),
            n);
        cr_assert_eq(again.status, response.status);
        cr_assert(str_equal(again.phrase, response.phrase));
        cr_assert_eq(again.head.framing, response.head.framing);
        assert_same_fields(&response.head, &again.head);
        assert_same_fields(&again.head, &response.head);
    }
}
