/* SPDX-License-Identifier: Apache-2.0 */
/* What anybody can do to the frontend's port. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/check.h"
#include "front.h"
#include "store/store.h"
#include "support/fake_agent.h"
#include "support/http_client.h"
#include "support/parties.h"
#include "support/support.h"
#include "support/vectors.h"

/* ---- Paths ---- */

Test(frontend_http, serves_its_certificate, .init = front_start, .fini = front_end)
{
    static const char *const paths[] = {"/server.pem", "/server.pem?x=1", "/server.pemfoo",
                                        "/prefix/of/agents/server.pem"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct http_answer answer;
        cr_expect_eq(http_once(front.instance.port, "GET", paths[i], NULL, &answer), 200, "%s",
                     paths[i]);
        cr_expect(str_equal(answer.body, front.keys.server_certificate), "%s", paths[i]);
        cr_expect_str_eq(http_field(&answer, "Content-Type"), "application/octet-stream");
        cr_expect(!answer.closes);
        http_answer_done(&answer);
    }
    front_expect_stop(&front.instance);
}

Test(frontend_http, head_is_get_without_a_body, .init = front_start, .fini = front_end)
{
    struct http_client client;
    struct http_answer answer;
    http_connect(&client, front.instance.port);
    cr_assert(http_request(&client, "HEAD", "/server.pem", NULL, &answer));
    cr_expect_eq(answer.status, 200);
    cr_expect_eq(strtoull(http_field(&answer, "Content-Length"), NULL, 10),
                 front.keys.server_certificate.len);
    http_answer_done(&answer);
    /* Nothing was left on the connection. */
    cr_assert(http_request(&client, "GET", "/healthz", NULL, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    http_close(&client);
}

Test(frontend_http, everything_else_is_not_found, .init = front_start, .fini = front_end)
{
    static const char *const gets[] = {"/",        "/control?api=3",   "/static/x",
                                       "/metrics", "/healthz/further", "/server.pen"};
    const struct str body = STR("x");
    const struct str empty = STR("");
    for (size_t i = 0; i < ARRAY_LEN(gets); i++) {
        cr_expect_eq(front_get(gets[i]), 404, "%s", gets[i]);
    }
    uint16_t port = front.instance.port;
    cr_expect_eq(http_once(port, "PUT", "/control", &empty, NULL), 404);
    cr_expect_eq(http_once(port, "DELETE", "/control", NULL, NULL), 404);
    cr_expect_eq(http_once(port, "POST", "/upload", &body, NULL), 404);
    cr_expect_eq(http_once(port, "POST", "/server.pem", &body, NULL), 404);
    cr_expect_eq(http_once(port, "POST", "/healthz", &body, NULL), 404);
}

/* http.json, as section 13 maps it: closing without a word is 404, 501 is 404, or HEAD's 200; the
 * rest is the same but for HTTP/1.0 and its fields. */
static void expect_recorded(const json_t *recorded)
{
    const json_t *expect = json_object_get(recorded, "expect");
    unsigned status = (unsigned)json_integer_value(json_object_get(expect, "status"));
    struct str method = vectors_text(recorded, "method");
    struct str path = vectors_text(recorded, "path");
    struct str body = vectors_hex(recorded, "body_hex");
    bool is_post = str_equal(method, STR("POST"));
    bool is_certificate = str_ends_with(path, STR("/server.pem"));
    struct http_answer answer;
    unsigned wanted = status;
    if (status == 0 || status == 501) {
        wanted = is_certificate ? 200 : 404;
    } else if (status == 500) {
        wanted = 400;
    }
    cr_expect_eq(
        http_once(front.instance.port, method.data, path.data, is_post ? &body : NULL, &answer),
        wanted, "%s %s", method.data, path.data);
    if (status == 200) {
        cr_expect(str_equal(answer.body, vectors_text(expect, "body")));
        cr_expect_str_eq(http_field(&answer, "Content-Type"), "application/octet-stream");
    }
    http_answer_done(&answer);
    free_str(body);
}

Test(frontend_http, answers_as_recorded_where_it_should)
{
    json_t *recorded = vectors_load("http.json");
    json_t *keys = vectors_load("keys.json");
    size_t i;
    json_t *entry;
    if (recorded == NULL || keys == NULL) {
        SKIP_TEST("../shared/vectors is absent");
    }
    const struct instance_keys pems = {
        .ca_key = vectors_text(keys, "ca_key_pem"),
        .ca_certificate = vectors_text(keys, "ca_cert_pem"),
        .server_key = vectors_text(keys, "server_key_pem"),
        .server_certificate = vectors_text(keys, "server_cert_pem"),
    };
    struct instance instance;
    instance_init(&instance, &pems);
    instance_start(&instance);
    front.instance.port = instance.port;
    json_array_foreach(json_object_get(recorded, "cases"), i, entry)
    {
        expect_recorded(entry);
    }
    cr_expect_gt(i, 8);
    front_expect_stop(&instance);
    instance_done(&instance);
    json_decref(recorded);
    json_decref(keys);
}

/* ---- Framing ---- */

/* One answer, then the connection's end, whatever was pipelined behind. */
static void expect_refusal(const char *name, struct str bytes, unsigned status, unsigned other)
{
    struct http_client client;
    struct http_answer answer;
    http_connect(&client, front.instance.port);
    http_send(&client, bytes);
    bool is_answered = http_read(&client, false, &answer);
    cr_expect(is_answered, "%s: no answer", name);
    if (is_answered) {
        cr_expect(answer.status == status || answer.status == other, "%s: %u", name, answer.status);
        cr_expect(answer.closes, "%s: the connection is kept", name);
        http_answer_done(&answer);
    }
    http_finish(&client);
    struct str rest = http_rest(&client);
    cr_expect_not_null(rest.data, "%s: the connection stays open", name);
    /* libmicrohttpd 0.9.75 sends the head of its own refusals twice, so more than one body may
     * come; but no other answer. */
    cr_expect(rest.len == 0 || memmem(rest.data, rest.len, "HTTP/1.", 7) == NULL,
              "%s: more than one answer", name);
    free_str(rest);
    http_close(&client);
}

Test(frontend_http, refuses_what_smuggles_requests, .init = front_prepare, .fini = front_end)
{
    instance_set(&front.instance, "Frontend.max_body=40MiB"); /* the cases' limit */
    instance_start(&front.instance);
    FILE *file = fopen("tests/data/http1_cases.jsonl", "re");
    char *line = NULL;
    size_t room = 0, cases = 0;
    cr_assert_not_null(file);
    while (getline(&line, &room, file) > 0) {
        json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL);
        struct str bytes = vectors_hex(entry, "raw_hex");
        if (str_equal(vectors_text(entry, "side"), STR("frontend")) && bytes.len > 0) {
            const char *required = vectors_text(entry, "required").data;
            unsigned status = (unsigned)strtoul(required, NULL, 10);
            expect_refusal(vectors_text(entry, "id").data, bytes, status, 400);
            cases++;
        }
        free_str(bytes);
        json_decref(entry);
    }
    free(line);
    fclose(file);
    cr_expect_geq(cases, 7);
    cr_expect_eq(front_get("/healthz"), 200);
    front_expect_stop(&front.instance);
}

#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"

Test(frontend_http, refuses_heads_that_others_read_otherwise, .init = front_start,
     .fini = front_end)
{
    static const struct {
        const char *name;
        struct str bytes;
        unsigned status; /* 0: 400 */
    } cases[] = {
        {"space before colon",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 42\r\n\r\n" SMUGGLED)},
        {"identity coding",
         STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n" SMUGGLED)},
        {"lone coding",
         STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
        {"signed length",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc" SMUGGLED)},
        {"list of lengths",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc" SMUGGLED)},
        {"hexadecimal length",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc" SMUGGLED)},
        {"folded length",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n 2\r\n\r\n" SMUGGLED)},
        {"length of 2^64",
         STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"), 413},
        {"empty length", STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n" SMUGGLED)},
        {"name is no token", STR("GET /healthz HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n" SMUGGLED)},
        {"no Host", STR("GET /healthz HTTP/1.1\r\nX: y\r\n\r\n" SMUGGLED)},
        {"body of a GET",
         STR("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\n" SMUGGLED)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_refusal(cases[i].name, cases[i].bytes, 400,
                       cases[i].status == 0 ? 404 : cases[i].status);
    }
    front_expect_stop(&front.instance);
}

Test(frontend_http, names_what_it_refuses, .init = front_start, .fini = front_end)
{
    static const struct {
        struct str bytes;
        unsigned status;
        const char *reason;
    } cases[] = {
        {STR("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 411, "length_required"},
        {STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108865\r\n\r\n"), 413,
         "body_too_large"},
        {STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 400, "not_encrypted"},
        {STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), 400, "bad_envelope"},
        {STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404, "not_found"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_client client;
        struct http_answer answer;
        http_connect(&client, front.instance.port);
        http_send(&client, cases[i].bytes);
        cr_assert(http_read(&client, false, &answer));
        cr_expect_eq(answer.status, cases[i].status, "%s: %u", cases[i].reason, answer.status);
        cr_expect_str_eq(http_field(&answer, "X-Portico-Reason"), cases[i].reason);
        http_answer_done(&answer);
        http_close(&client);
    }
    front_expect_stop(&front.instance);
}

Test(frontend_http, time_is_linear_in_fields_and_arguments, .init = front_start, .fini = front_end)
{
    struct buffer fields, arguments;
    struct http_client client;
    buffer_init(&fields, 1 << 20);
    buffer_init(&arguments, 1 << 20);
    CHECK(buffer_append(&fields, STR("GET /healthz HTTP/1.1\r\nHost: a\r\n")) == 0);
    CHECK(buffer_append(&arguments, STR("GET /healthz?")) == 0);
    for (unsigned i = 0; i < 5000; i++) {
        CHECK(buffer_printf(&fields, "X-%08x: 1\r\n", i * 2654435761U) == 0);
        CHECK(buffer_printf(&arguments, "a%08x=1&", i * 2654435761U) == 0);
    }
    CHECK(buffer_append(&fields, STR("\r\n")) == 0);
    CHECK(buffer_append(&arguments, STR("x HTTP/1.1\r\nHost: a\r\n\r\n")) == 0);
    usec_t began = clock_monotonic(&clock_system);
    for (int i = 0; i < 100; i++) {
        struct http_answer answer;
        http_connect(&client, front.instance.port);
        http_send(&client, buffer_view(i % 2 == 0 ? &fields : &arguments));
        if (http_read(&client, false, &answer)) {
            cr_expect_geq(answer.status, 400);
            http_answer_done(&answer);
        }
        http_close(&client);
    }
    cr_expect_lt(clock_monotonic(&clock_system) - began, 10 * USEC_PER_SEC);
    cr_expect_eq(front_get("/healthz"), 200);
    buffer_done(&fields);
    buffer_done(&arguments);
}

Test(frontend_http, a_body_cut_short_leaves_nothing, .init = front_start, .fini = front_end)
{
    for (int i = 0; i < 50; i++) {
        struct http_client client;
        http_connect(&client, front.instance.port);
        http_send(&client,
                  STR("POST /control HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"));
        if (i % 2 == 0) {
            http_finish(&client);
        }
        http_close(&client);
    }
    cr_expect_eq(front_get("/healthz"), 200);
    front_expect_stop(&front.instance); /* nothing waits for the rest */
}

Test(frontend_http, garbage_is_not_the_others_trouble, .init = front_start, .fini = front_end)
{
    uint64_t state = 4711;
    char noise[4096];
    for (int i = 0; i < 200; i++) {
        struct http_client client;
        for (size_t j = 0; j < sizeof noise; j++) {
            noise[j] = (char)next_random(&state);
        }
        http_connect(&client, front.instance.port);
        if (i % 4 == 0) {
            http_send(&client, STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
        } else if (i % 4 == 1) {
            http_send(&client,
                      STR("POST /control HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n"));
        }
        http_send(&client, str_make(noise, sizeof noise));
        http_finish(&client);
        http_close(&client);
    }
    cr_expect_eq(front_get("/healthz"), 200);
    front_expect_stop(&front.instance);
}

/* ---- Size ---- */

Test(frontend_http, a_body_over_the_limit_is_not_read, .init = front_start, .fini = front_end)
{
    static char zeros[1 << 20];
    uint64_t before = process_memory_kib(&front.instance.process, "VmHWM");
    usec_t began = clock_monotonic(&clock_system);
    for (int round = 0; round < 4; round++) {
        struct http_client client;
        struct http_answer answer;
        http_connect(&client, front.instance.port);
        http_send(&client,
                  STR("POST /control HTTP/1.1\r\nHost: a\r\nContent-Length: 68157440\r\n\r\n"));
        for (int i = 0; i < 65 && http_send(&client, str_make(zeros, sizeof zeros)); i++) {
        }
        /* The answer may be lost to a reset while we were still sending: that is quick, too. */
        if (http_read(&client, false, &answer)) {
            cr_expect_eq(answer.status, 413);
            cr_expect(answer.closes);
            http_answer_done(&answer);
        }
        http_close(&client);
    }
    cr_expect_lt(clock_monotonic(&clock_system) - began, 10 * USEC_PER_SEC);
    cr_expect_lt(process_memory_kib(&front.instance.process, "VmHWM") - before,
                 front_allowed_kib(8 * 1024));
    /* Whoever waits for the verdict before sending gets it. */
    expect_refusal("413 first",
                   STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 68157440\r\n\r\n"), 413, 413);
    front_expect_stop(&front.instance);
}

/* A list of one message that is all zeros, `bytes` long once inflated. */
static struct str make_bomb(size_t bytes)
{
    size_t bound = compressBound(bytes) / 100 + (1 << 20);
    unsigned char *out = malloc(bound);
    static unsigned char zeros[1 << 20];
    z_stream stream = {.next_out = out, .avail_out = (unsigned)bound};
    CHECK(out != NULL && deflateInit(&stream, 9) == Z_OK);
    for (size_t done = 0; done < bytes; done += sizeof zeros) {
        stream.next_in = zeros;
        stream.avail_in = sizeof zeros;
        CHECK(deflate(&stream, done + sizeof zeros >= bytes ? Z_FINISH : Z_NO_FLUSH) >= 0);
    }
    struct str bomb = str_make((char *)out, stream.total_out);
    deflateEnd(&stream);
    return bomb;
}

static void enrol_party(const struct rsa_key *key)
{
    struct store *store = instance_store(&front.instance);
    struct buffer pem;
    struct store_enrolment enrolment = {.state = STORE_ENROLLED};
    buffer_init(&pem, 64 * 1024);
    CHECK(rsa_public_to_pem(key, &pem) == 0);
    CHECK(store_agent_id_parse(str_from(rsa_key_client_id(key)->text), &enrolment.agent) == 0);
    enrolment.key = buffer_view(&pem);
    CHECK(store_enrol_agent(store, &enrolment, NULL, NULL) == 1);
    buffer_done(&pem);
    store_free(store);
}

Test(frontend_http, a_bomb_in_a_signed_packet_is_refused_in_little_memory, .fini = front_end)
{
    static struct parties parties;
    static const size_t sizes[] = {32 << 20, 1000 << 20};
    parties_init(&parties);
    front.server = parties.server;
    instance_keys_make(parties.server, &front.keys);
    instance_init(&front.instance, &front.keys);
    enrol_party(parties.agent);
    instance_start(&front.instance);
    uint64_t before = process_memory_kib(&front.instance.process, "VmHWM");
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct craft craft;
        struct buffer packed;
        struct http_answer answer;
        struct str bomb = make_bomb(sizes[i]);
        const struct packed_list list = {.message_list = bomb,
                                         .compression = ZCOMPRESSION,
                                         .has_timestamp = true,
                                         .timestamp = (uint64_t)PARTIES_NOW};
        buffer_init(&packed, 64 << 20);
        CHECK(packed_list_encode(&list, &packed) == 0);
        craft_init(&craft, &parties);
        craft.packed = buffer_view(&packed);
        struct str body = craft_build(&craft, &parties);
        cr_expect_eq(http_once(front.instance.port, "POST", "/control", &body, &answer), 413);
        cr_expect(
            str_starts_with(str_from(http_field(&answer, "X-Portico-Reason")), STR("inflated_")));
        http_answer_done(&answer);
        free_str(body);
        free_str(bomb);
        buffer_done(&packed);
    }
    cr_expect_lt(process_memory_kib(&front.instance.process, "VmHWM") - before,
                 front_allowed_kib(64 * 1024));
    front_expect_stop(&front.instance);
    front.server = NULL; /* the parties' */
    parties_done(&parties);
}
