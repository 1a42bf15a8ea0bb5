/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP/1.1 costs without any I/O: parse a poll's head with its framing decided, write it
 * canonically, the same for the answer, decode a chunked body. */
#include <stdio.h>

#include "base/check.h"
#include "bench/measure.h"
#include "net/http1_chunked.h"
#include "net/http1_write.h"

/* What an agent sends, behind one more proxy: 9 fields, about 350 bytes. */
static const char poll_head[] = "POST /control?api=3 HTTP/1.1\r\n"
                                "Host: frontend.fleet.example.com:8000\r\n"
                                "Accept-Encoding: gzip, deflate\r\n"
                                "User-Agent: GRR python-requests/2.25.1 (linux; x86_64) agent\r\n"
                                "Accept: */*\r\n"
                                "Connection: keep-alive\r\n"
                                "Content-Type: binary/octet-stream\r\n"
                                "Cache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n"
                                "X-Forwarded-For: 203.0.113.77\r\n"
                                "Content-Length: 1024\r\n\r\n";

static const char answer_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Date: Sat, 21 Nov 2026 21:00:00 GMT\r\n"
                                  "Content-Type: binary/octet-stream\r\n"
                                  "Connection: Keep-Alive\r\n"
                                  "Keep-Alive: timeout=30\r\n"
                                  "Content-Length: 600\r\n\r\n";

static const struct http1_limits limits = {
    .head_bytes = 16 * 1024, .target_bytes = 8 * 1024, .name_bytes = 256, .fields = 100};
static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
static struct http1_request request;
static struct http1_response response;
static char out[4096];

static void parse_request(void *context, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        struct http1_refusal refusal;
        http1_request_init(&request, fields);
        ssize_t n = http1_request_parse(&request, &limits,
                                        str_make(poll_head, sizeof poll_head - 1), &refusal);
        CHECK(n == sizeof poll_head - 1);
    }
}

static void write_request(void *context, uint64_t count)
{
    const struct http1_extra extras[] = {{STR("X-Forwarded-For"), STR("203.0.113.77")},
                                         {STR("X-Forwarded-Proto"), STR("https")}};
    struct http1_rewrite rewrite = {.drop = HTTP1_FORWARDED_BY,
                                    .extras = extras,
                                    .extra_count = 2,
                                    .framing = HTTP1_BODY_LENGTH,
                                    .body_bytes = 1024};
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        ssize_t n = http1_write_request(out, sizeof out, &request, &rewrite);
        CHECK(n > 0);
        MEASURE_USE(out);
    }
}

static void parse_response(void *context, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        struct http1_refusal refusal;
        http1_response_init(&response, fields);
        ssize_t n = http1_response_parse(&response, &limits, HTTP1_POST,
                                         str_make(answer_head, sizeof answer_head - 1), &refusal);
        CHECK(n == sizeof answer_head - 1);
    }
}

static void write_response(void *context, uint64_t count)
{
    struct http1_rewrite rewrite = {.framing = HTTP1_BODY_LENGTH, .body_bytes = 600};
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        ssize_t n = http1_write_response(out, sizeof out, &response, &rewrite);
        CHECK(n > 0);
        MEASURE_USE(out);
    }
}

/* Everything a relay does to heads for one poll. */
static void relay(void *context, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        parse_request(context, 1);
        write_request(context, 1);
        parse_response(context, 1);
        write_response(context, 1);
    }
}

/* A head that comes in three parts: what resuming costs. */
static void parse_in_parts(void *context, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        struct http1_refusal refusal;
        http1_request_init(&request, fields);
        CHECK(http1_request_parse(&request, &limits, str_make(poll_head, 100), &refusal) == 0);
        CHECK(http1_request_parse(&request, &limits, str_make(poll_head, 230), &refusal) == 0);
        CHECK(http1_request_parse(&request, &limits, str_make(poll_head, sizeof poll_head - 1),
                                  &refusal) > 0);
    }
}

/* "400 CR LF", 1 KiB, CR LF. */
enum { CHUNK_BYTES = 5 + 1024 + 2 };

static void decode_chunks(void *context, uint64_t count)
{
    const struct http1_chunked_limits chunked_limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    struct str chunk = str_make(context, CHUNK_BYTES);
    struct http1_chunked chunked;
    http1_chunked_init(&chunked);
    for (uint64_t i = 0; i < count; i++) {
        struct str rest = chunk;
        struct str data;
        struct http1_refusal refusal;
        while (rest.len > 0) {
            ssize_t n = http1_chunked_decode(&chunked, &chunked_limits, rest, &data, &refusal);
            CHECK(n > 0);
            rest = str_skip(rest, (size_t)n);
        }
    }
}

int main(int argc, char **argv)
{
    static char chunk[CHUNK_BYTES] = "400\r\n";
    struct measure_options options =
        measure_options(argc, argv, "CPU time of HTTP/1.1 heads and bodies, no I/O.");
    chunk[sizeof chunk - 2] = '\r';
    chunk[sizeof chunk - 1] = '\n';
    printf("poll head: %zu bytes, answer head: %zu bytes; CPU for one, median of %d rounds\n",
           sizeof poll_head - 1, sizeof answer_head - 1, MEASURE_ROUNDS);
    measure(&options, "parse request head, framing decided", parse_request, NULL, 1000000);
    measure(&options, "the same, come in three parts", parse_in_parts, NULL, 1000000);
    parse_request(NULL, 1);
    measure(&options, "write request head", write_request, NULL, 1000000);
    measure(&options, "parse response head, framing decided", parse_response, NULL, 1000000);
    measure(&options, "write response head", write_response, NULL, 1000000);
    measure(&options, "all four", relay, NULL, 300000);
    measure(&options, "decode one chunk of 1 KiB", decode_chunks, chunk, 1000000);
    return 0;
}
