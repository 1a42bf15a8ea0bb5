/* SPDX-License-Identifier: Apache-2.0 */
/* What passes through: bodies of any size in bounded memory, every way to frame them, the kinds of
 * clients there are, TLS, and what members are told about the client. BALANCER_BODY_BYTES in the
 * environment makes the large bodies larger (1073741824, say). */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/support.h"

enum { BLOCK = 65536, LARGE_DEFAULT = 64 << 20, PIPELINED = 10000 };

/* Sanitizers keep freed memory for a while; what they do not allow is growth with the body. */
#define GROWTH_MAX_KIB (12 * 1024)

struct scene {
    struct backends *backends;
    struct balancer_process balancer;
    struct http_client client;
};

static void begin(struct scene *scene, unsigned members, const char *parameter)
{
    *scene = (struct scene){.backends = backends_new(members, false)};
    balancer_init(&scene->balancer, scene->backends);
    balancer_set(&scene->balancer, "Balancer.max_body=0");
    if (parameter != NULL) {
        balancer_set(&scene->balancer, "%s", parameter);
    }
    balancer_start_with(&scene->balancer, members);
    http_connect(&scene->client, scene->balancer.port);
}

static void end(struct scene *scene)
{
    char *complaints = recorder_complaints(backends_recorder(scene->backends));
    cr_assert_str_eq(complaints, "");
    free(complaints);
    cr_assert(process_is_alive(&scene->balancer.process));
    http_close(&scene->client);
    balancer_done(&scene->balancer);
    backends_free(scene->backends);
}

static const struct recorded *seen(struct scene *scene, unsigned index)
{
    return recorder_at(backends_recorder(scene->backends), index);
}

static unsigned exchange(struct scene *scene, const char *request, struct http_answer *answer)
{
    cr_assert(http_send(&scene->client, str_from(request)));
    cr_assert(http_read(&scene->client, strncmp(request, "HEAD ", 5) == 0, answer),
              "no answer to %s", request);
    return answer->status;
}

/* ---- Large bodies ---- */

static uint64_t large(void)
{
    const char *text = getenv("BALANCER_BODY_BYTES");
    return text != NULL ? strtoull(text, NULL, 10) : LARGE_DEFAULT;
}

static void assert_no_growth(struct scene *scene, uint64_t before)
{
    uint64_t after = process_memory_kib(&scene->balancer.process, "VmHWM");
    fprintf(stderr, "%llu bytes: %llu KiB at most, were %llu\n", (unsigned long long)large(),
            (unsigned long long)after, (unsigned long long)before);
    cr_assert_lt(after, before + GROWTH_MAX_KIB);
}

static uint64_t warm_up(struct scene *scene)
{
    struct http_answer answer;
    cr_assert_eq(exchange(scene, "GET /warm HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 200);
    http_answer_done(&answer);
    recorder_clear(backends_recorder(scene->backends));
    return process_memory_kib(&scene->balancer.process, "VmHWM");
}

static void upload(struct scene *scene, bool is_chunked)
{
    static char block[BLOCK];
    char head[256];
    char size[32];
    struct http_answer answer;
    uint64_t total = large() / BLOCK * BLOCK;
    uint64_t random = 7;
    uint64_t hash = 0;
    uint64_t before = warm_up(scene);
    snprintf(head, sizeof head, "POST /large HTTP/1.1\r\nHost: a\r\n%s%llu\r\n\r\n",
             is_chunked ? "Transfer-Encoding: chunked\r\nX-Size: " : "Content-Length: ",
             (unsigned long long)total);
    cr_assert(http_send(&scene->client, str_from(head)));
    snprintf(size, sizeof size, "%x\r\n", BLOCK);
    for (uint64_t sent = 0; sent < total; sent += BLOCK) {
        uint64_t *words = (uint64_t *)(void *)block;
        words[random % (BLOCK / 8)] = next_random(&random);
        hash = bytes_hash(hash, str_make(block, BLOCK));
        cr_assert(!is_chunked || http_send(&scene->client, str_from(size)));
        cr_assert(http_send(&scene->client, str_make(block, BLOCK)));
        cr_assert(!is_chunked || http_send(&scene->client, STR("\r\n")));
    }
    cr_assert(!is_chunked || http_send(&scene->client, STR("0\r\n\r\n")));
    cr_assert(http_read(&scene->client, false, &answer));
    cr_assert_eq(answer.status, 200, "%s", answer.head);
    http_answer_done(&answer);
    cr_assert_eq(seen(scene, 0)->body_bytes, total);
    cr_assert_eq(seen(scene, 0)->body_hash, hash, "other bytes than were sent");
    assert_no_growth(scene, before);
}

Test(balancer_bodies, a_large_upload_takes_little_memory, .timeout = 300)
{
    struct scene scene;
    begin(&scene, 1, NULL);
    upload(&scene, false);
    end(&scene);
}

Test(balancer_bodies, a_large_chunked_upload_takes_little_memory, .timeout = 300)
{
    struct scene scene;
    begin(&scene, 1, NULL);
    upload(&scene, true);
    end(&scene);
}

/* Reads what comes and drops it; bytes behind the head until the end, or `expected` are there. */
static uint64_t download(struct http_client *client, uint64_t expected)
{
    static char block[BLOCK];
    char head[4096];
    size_t head_len = 0;
    while (head_len < 4 || memcmp(head + head_len - 4, "\r\n\r\n", 4) != 0) {
        cr_assert_lt(head_len, sizeof head);
        cr_assert_eq(recv(client->fd, head + head_len, 1, 0), 1);
        head_len++;
    }
    uint64_t sum = 0;
    ssize_t n;
    while (sum < expected && (n = recv(client->fd, block, sizeof block, 0)) > 0) {
        sum += (uint64_t)n;
    }
    return sum;
}

static void download_in(enum backend_behaviour behaviour)
{
    struct scene scene;
    begin(&scene, 1, NULL);
    uint64_t before = warm_up(&scene);
    backend_size(backends_at(scene.backends, 0), large());
    backends_behave(scene.backends, behaviour);
    cr_assert(http_send(&scene.client, STR("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")));
    cr_assert_geq(download(&scene.client, large()), large());
    assert_no_growth(&scene, before);
    end(&scene);
}

Test(balancer_bodies, a_large_download_takes_little_memory, .timeout = 300)
{
    download_in(BACKEND_NORMAL);
}

Test(balancer_bodies, a_large_chunked_download_takes_little_memory, .timeout = 300)
{
    download_in(BACKEND_CHUNKED);
}

/* The member fills what there is of buffers, and then has to wait. */
Test(balancer_bodies, a_client_that_does_not_read_holds_little_memory)
{
    struct scene scene;
    begin(&scene, 1, NULL);
    uint64_t before = warm_up(&scene);
    backend_size(backends_at(scene.backends, 0), 1ULL << 30);
    cr_assert(http_send(&scene.client, STR("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")));
    sleep_for(500 * USEC_PER_MSEC);
    assert_no_growth(&scene, before);
    end(&scene);
}

Test(balancer_bodies, sizes_around_the_buffer_arrive_as_they_were_sent)
{
    static const size_t sizes[] = {0,     1,     1023,  4095,  4096,   16383,
                                   16384, 65535, 65536, 65537, 131072, 300001};
    struct scene scene;
    begin(&scene, 1, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct http_answer answer;
        char *bytes = malloc(sizes[i] + 1);
        uint64_t random = i + 1;
        for (size_t n = 0; n < sizes[i]; n++) {
            bytes[n] = (char)next_random(&random);
        }
        struct str body = str_make(bytes, sizes[i]);
        backend_size(backends_at(scene.backends, 0), sizes[i]);
        cr_assert(http_request(&scene.client, "POST", "/size", &body, &answer), "%zu", sizes[i]);
        cr_assert_eq(answer.status, 200);
        cr_assert_geq(answer.body.len, sizes[i]);
        http_answer_done(&answer);
        cr_assert_eq(seen(&scene, (unsigned)i)->body_hash,
                     sizes[i] == 0 ? seen(&scene, (unsigned)i)->body_hash : bytes_hash(0, body),
                     "%zu bytes arrive as others", sizes[i]);
        cr_assert_eq(seen(&scene, (unsigned)i)->body_bytes, sizes[i]);
        free(bytes);
    }
    end(&scene);
}

Test(balancer_bodies, a_body_above_the_limit_is_refused)
{
    struct scene scene;
    struct http_answer answer;
    begin(&scene, 1, "Balancer.max_body=1MiB");
    cr_assert_eq(
        exchange(&scene, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", &answer),
        413);
    cr_assert_str_eq(http_field(&answer, "X-Portico-Reason"), "body_too_large");
    http_answer_done(&answer);
    cr_assert_eq(recorder_count(backends_recorder(scene.backends)), 0);
    end(&scene);
}

/* ---- Expect ---- */

Test(balancer_bodies, expect_is_answered_by_the_balancer)
{
    struct scene scene;
    struct http_answer answer;
    char line[32] = "";
    begin(&scene, 1, NULL);
    cr_assert(http_send(&scene.client, STR("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                                           "Expect: 100-continue\r\n\r\n")));
    cr_assert_eq(recv(scene.client.fd, line, 25, MSG_WAITALL), 25);
    cr_assert_str_eq(line, "HTTP/1.1 100 Continue\r\n\r\n");
    cr_assert(http_send(&scene.client, STR("abc")));
    cr_assert(http_read(&scene.client, false, &answer));
    cr_assert_eq(answer.status, 200);
    http_answer_done(&answer);
    cr_assert_eq(seen(&scene, 0)->body_bytes, 3);
    end(&scene);
}

/* Case E13 */
Test(balancer_bodies, expect_is_not_encouraged_when_there_is_no_member)
{
    struct scene scene;
    begin(&scene, 1, NULL);
    backend_die(backends_at(scene.backends, 0));
    cr_assert(balancer_await_members(&scene.balancer, 0, 10 * USEC_PER_SEC));
    cr_assert(http_send(&scene.client, STR("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                                           "Expect: 100-continue\r\n\r\n")));
    struct str all = http_rest(&scene.client);
    cr_assert_not_null(all.data);
    cr_assert_eq(strncmp(all.data, "HTTP/1.1 503 ", 13), 0, "%s", all.data);
    cr_assert_not_null(strstr(all.data, "Retry-After: "), "%s", all.data);
    free((void *)(uintptr_t)all.data);
    end(&scene);
}

/* ---- Kinds of requests and clients ---- */

Test(balancer_bodies, answers_without_a_body_have_none)
{
    struct scene scene;
    struct http_answer answer;
    begin(&scene, 1, NULL);
    cr_assert_eq(exchange(&scene, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 200);
    cr_assert_gt(atoi(http_field(&answer, "Content-Length")), 0, "%s", answer.head);
    http_answer_done(&answer);
    backends_behave(scene.backends, BACKEND_SCRIPT);
    backend_script(backends_at(scene.backends, 0), STR("HTTP/1.1 204 No Content\r\n\r\n"), 0, 0,
                   false);
    cr_assert_eq(exchange(&scene, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 204);
    cr_assert_str_eq(http_field(&answer, "Content-Length"), "");
    http_answer_done(&answer);
    backend_script(backends_at(scene.backends, 0),
                   STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"x\"\r\n\r\n"), 0,
                   0, false);
    cr_assert_eq(exchange(&scene, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 304);
    cr_assert_str_eq(http_field(&answer, "ETag"), "\"x\"");
    http_answer_done(&answer);
    backends_behave(scene.backends, BACKEND_NORMAL);
    cr_assert_eq(exchange(&scene, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 200);
    http_answer_done(&answer);
    end(&scene);
}

Test(balancer_bodies, a_half_closed_client_gets_its_answer)
{
    struct scene scene;
    struct http_answer answer;
    begin(&scene, 1, NULL);
    backend_delay(backends_at(scene.backends, 0), 100 * USEC_PER_MSEC);
    cr_assert(http_send(&scene.client, STR("GET /x HTTP/1.1\r\nHost: a\r\nX-Tag: half\r\n\r\n")));
    http_finish(&scene.client);
    cr_assert(http_read(&scene.client, false, &answer));
    cr_assert_str_eq(http_field(&answer, "X-Tag"), "half");
    http_answer_done(&answer);
    cr_assert(http_is_closed(&scene.client));
    end(&scene);
}

struct pipeline {
    int fd;
    char *bytes;
    size_t len;
};

static void *send_pipeline(void *context)
{
    struct pipeline *pipeline = context;
    struct http_client client = {.fd = pipeline->fd};
    bool is_sent = http_send(&client, str_make(pipeline->bytes, pipeline->len));
    return is_sent ? pipeline : NULL;
}

/* RULES G06 */
Test(balancer_bodies, ten_thousand_pipelined_requests_are_answered_in_order, .timeout = 120)
{
    struct scene scene;
    pthread_t thread;
    void *is_sent;
    struct http_answer answer;
    struct pipeline pipeline = {.bytes = NULL};
    begin(&scene, 2, NULL);
    recorder_keep(backends_recorder(scene.backends), false);
    uint64_t before = warm_up(&scene);
    FILE *file = open_memstream(&pipeline.bytes, &pipeline.len);
    for (unsigned i = 0; i < PIPELINED; i++) {
        fprintf(file, "GET /p HTTP/1.1\r\nHost: a\r\nX-Tag: %u\r\n\r\n", i);
    }
    fclose(file);
    pipeline.fd = scene.client.fd;
    cr_assert_eq(pthread_create(&thread, NULL, send_pipeline, &pipeline), 0);
    for (unsigned i = 0; i < PIPELINED; i++) {
        cr_assert(http_read(&scene.client, false, &answer), "answer %u", i);
        cr_assert_eq((unsigned)atoi(http_field(&answer, "X-Tag")), i);
        http_answer_done(&answer);
    }
    pthread_join(thread, &is_sent);
    cr_assert_not_null(is_sent);
    free(pipeline.bytes);
    assert_no_growth(&scene, before);
    end(&scene);
}

/* Case E20 */
Test(balancer_bodies, refuses_its_own_requests)
{
    struct scene scene;
    struct http_answer answer;
    char via[256];
    char request[512];
    begin(&scene, 1, NULL);
    cr_assert_eq(exchange(&scene, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &answer), 200);
    http_answer_done(&answer);
    cr_assert(recorded_field(seen(&scene, 0), "Via", via), "no guard against loops: %s",
              seen(&scene, 0)->head);
    snprintf(request, sizeof request, "GET /x HTTP/1.1\r\nHost: a\r\nVia: %s\r\n\r\n", via);
    cr_assert_eq(exchange(&scene, request, &answer), 508);
    http_answer_done(&answer);
    end(&scene);
}

/* ---- What members are told ---- */

static void assert_field(struct scene *scene, unsigned index, const char *name, const char *wanted)
{
    char value[256] = "";
    recorded_field(seen(scene, index), name, value);
    cr_assert_str_eq(value, wanted, "%s", seen(scene, index)->head);
    cr_assert_leq(recorded_fields(seen(scene, index), name), 1);
}

static const char forwarded_request[] =
    "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n"
    "X-Forwarded-Proto: https\r\nX-Request-Id: from-outside\r\n\r\n";

Test(balancer_bodies, strangers_are_not_believed)
{
    struct scene scene;
    struct http_answer answer;
    char id[256];
    begin(&scene, 1, NULL);
    cr_assert_eq(exchange(&scene, forwarded_request, &answer), 200);
    http_answer_done(&answer);
    assert_field(&scene, 0, "X-Forwarded-For", "127.0.0.1");
    assert_field(&scene, 0, "X-Forwarded-Proto", "http");
    cr_assert(recorded_field(seen(&scene, 0), "X-Request-Id", id));
    cr_assert_str_neq(id, "from-outside");
    cr_assert_str_neq(id, "");
    end(&scene);
}

/* Case E06 */
Test(balancer_bodies, trusted_proxies_are_believed)
{
    struct scene scene;
    struct http_answer answer;
    begin(&scene, 1, "Balancer.trusted_proxies=127.0.0.0/8");
    cr_assert_eq(exchange(&scene, forwarded_request, &answer), 200);
    http_answer_done(&answer);
    assert_field(&scene, 0, "X-Forwarded-For", "203.0.113.7, 127.0.0.1");
    assert_field(&scene, 0, "X-Forwarded-Proto", "https");
    assert_field(&scene, 0, "X-Request-Id", "from-outside");
    end(&scene);
}

/* RULES P01, P02, P03, P07 */
static void send_proxied(struct scene *scene, struct str header, bool is_served, const char *from)
{
    struct http_client client;
    struct http_answer answer;
    recorder_clear(backends_recorder(scene->backends));
    http_connect(&client, scene->balancer.port);
    http_send(&client, header);
    http_send(&client, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    bool is_answered = http_read(&client, false, &answer);
    cr_assert_eq(is_answered && answer.status == 200, is_served, "%.*s", STR_ARG(header));
    if (is_answered) {
        http_answer_done(&answer);
    }
    if (from != NULL) {
        assert_field(scene, 0, "X-Forwarded-For", from);
    }
    http_close(&client);
}

Test(balancer_bodies, proxy_protocol_comes_from_trusted_peers_only)
{
    static const char v2[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\0\x01\0\x02";
    static const char v2_local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    struct scene scene;
    begin(&scene, 1, "Balancer.proxy_protocol=true");
    send_proxied(&scene, STR("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"), false, NULL);
    end(&scene);
    *(&scene) = (struct scene){.backends = backends_new(1, false)};
    balancer_init(&scene.balancer, scene.backends);
    balancer_set(&scene.balancer, "Balancer.proxy_protocol=true");
    balancer_set(&scene.balancer, "Balancer.trusted_proxies=127.0.0.0/8");
    balancer_start_with(&scene.balancer, 1);
    http_connect(&scene.client, scene.balancer.port);
    send_proxied(&scene, STR("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"), true, "203.0.113.7");
    send_proxied(&scene, str_make(v2, sizeof v2 - 1), true, "203.0.113.7");
    send_proxied(&scene, str_make(v2_local, sizeof v2_local - 1), true, "127.0.0.1");
    send_proxied(&scene, STR(""), false, NULL);
    send_proxied(&scene, STR("PROXY TCP4 999.1.1.1 127.0.0.1 1 2\r\n"), false, NULL);
    send_proxied(&scene,
                 STR("PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\nPROXY TCP4 203.0.113.8 127.0.0.1 1 "
                     "2\r\n"),
                 false, NULL);
    end(&scene);
}
