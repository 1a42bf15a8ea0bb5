/* SPDX-License-Identifier: Apache-2.0 */
/* A small strict HTTP server on our own parser and writer: GET and HEAD of a few paths. */
#include "admin_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin_server.h"
#include "balancer.h"
#include "base/check.h"
#include "history.h"
#include "net/http1_write.h"
#include "net/socket.h"
#include "status_page.h"

enum { HEAD_MAX = 8 * 1024, FIELDS_MAX = 64, HEAD_OUT_MAX = 1024 };

/* Whoever asks for the status page within a second is shown the same; and while one is being made,
 * the last one, unless that is old. */
#define PAGE_TIME USEC_PER_SEC
#define PAGE_TIME_MAX (10 * USEC_PER_SEC)

struct admin_http {
    struct admin_server *server;
    struct history *history;
    struct buffer page;
    usec_t page_at, asked_at;
    size_t metrics_bytes; /* of the last answer, and some more */
    char page_policy[STATUS_PAGE_POLICY_SIZE];
};

/* ---- Answers ---- */

static const struct str text_type = STR("text/plain; charset=utf-8");
static const struct str json_type = STR("application/json");
static const struct str html_type = STR("text/html; charset=utf-8");
static const struct str metrics_type = STR("text/plain; version=0.0.4; charset=utf-8");

/* The body follows unless the request was a HEAD. */
static void put_answer(struct admin_stream *stream, unsigned status, struct str type,
                       const char *reason, struct str body)
{
    const struct admin_http *http = stream->context;
    bool is_page = type.data == html_type.data;
    char head[HEAD_OUT_MAX];
    struct http1_response response = {.status = (uint16_t)status, .phrase = http1_phrase(status)};
    const struct http1_extra extras[] = {
        {STR("Content-Type"), type},
        {STR("Cache-Control"), STR("no-store")},
        {STR("X-Content-Type-Options"), STR("nosniff")},
        {STR("Content-Security-Policy"),
         is_page ? str_from(http->page_policy) : STR("default-src 'none'")},
        {STR("Referrer-Policy"), STR("no-referrer")},
        {STR("X-Portico-Reason"), str_from(reason)},
        {STR("Allow"), STR("GET, HEAD")},
    };
    size_t used = reason == NULL ? 5 : status == 405 ? 7 : 6;
    const struct http1_rewrite rewrite = {
        .extras = extras,
        .extra_count = used,
        .framing = HTTP1_BODY_LENGTH,
        .body_bytes = body.len,
        .connection = stream->keep_alive ? HTTP1_CONNECTION_DEFAULT : HTTP1_CONNECTION_CLOSE,
    };
    ssize_t len = http1_write_response(head, sizeof head, &response, &rewrite);
    CHECK(len > 0);
    stream->is_closing = !stream->keep_alive;
    int unused = buffer_reserve(&stream->out, (size_t)len + body.len);
    (void)unused; /* appending tells */
    admin_stream_put(stream, str_make(head, (size_t)len));
    if (!stream->is_head && !stream->is_closed && body.len > 0) {
        admin_stream_put(stream, body);
    }
}

static void refuse(struct admin_stream *stream, unsigned status, const char *reason,
                   const char *sentence)
{
    char text[256];
    snprintf(text, sizeof text, "%s: %s\n", reason, sentence);
    put_answer(stream, status, text_type, reason, str_from(text));
}

/* For the next second; without memory for it the next one asks again. */
static void keep_page(struct admin_http *http, struct str page, usec_t now)
{
    buffer_clear(&http->page);
    if (buffer_append(&http->page, page) == 0) {
        http->page_at = now;
    }
}

static bool is_fresh(const struct admin_http *http, usec_t now)
{
    usec_t limit = now - http->asked_at < PAGE_TIME ? PAGE_TIME_MAX : PAGE_TIME;
    return buffer_size(&http->page) > 0 && now - http->page_at < limit;
}

static void answer_page(struct admin_stream *stream)
{
    struct admin_http *http = stream->context;
    usec_t now = loop_now(balancer_loop(stream->balancer));
    if (is_fresh(http, now)) {
        put_answer(stream, 200, html_type, NULL, buffer_view(&http->page));
        return;
    }
    http->asked_at = now;
    stream->is_page = true;
    admin_stream_call_page(stream, http->history);
}

static void answered_page(struct admin_stream *stream, const struct admin_answer *answer)
{
    stream->is_page = false;
    if (answer->is_error) {
        refuse(stream, 500, "no_memory", "there is no memory for the page");
        return;
    }
    keep_page(stream->context, buffer_view(&answer->out),
              loop_now(balancer_loop(stream->balancer)));
    put_answer(stream, 200, html_type, NULL, buffer_view(&answer->out));
}

static void answered(struct admin_stream *stream, const struct admin_answer *answer)
{
    if (stream->is_page) {
        answered_page(stream, answer);
        return;
    }
    put_answer(stream, answer->is_error ? 500 : 200, json_type, NULL, buffer_view(&answer->out));
}

/* Megabytes, when members are many; room for as much as the last time, so that it does not grow and
 * move while it is written. */
static void answer_metrics(struct admin_stream *stream)
{
    struct admin_http *http = stream->context;
    struct buffer text;
    buffer_init(&text, ADMIN_ANSWER_MAX);
    balancer_show_members(stream->balancer);
    int unused = buffer_reserve(&text, http->metrics_bytes);
    (void)unused; /* it asks again where it must */
    if (metrics_write(counters_metrics(balancer_counters(stream->balancer)), &text) == 0) {
        http->metrics_bytes = buffer_size(&text) + 4096;
        put_answer(stream, 200, metrics_type, NULL, buffer_view(&text));
    } else {
        refuse(stream, 500, "no_memory", "the metrics do not fit");
    }
    buffer_done(&text);
}

static void answer_health(struct admin_stream *stream)
{
    if (balancer_is_stopping(stream->balancer)) {
        refuse(stream, 503, "stopping", "the balancer is being stopped");
    } else if (range_usable(balancer_range(stream->balancer)) == 0) {
        refuse(stream, 503, "no_member", "no member can be used");
    } else {
        put_answer(stream, 200, text_type, NULL, STR("ok\n"));
    }
}

/* ---- Requests ---- */

static void answer_path(struct admin_stream *stream, struct str path)
{
    if (str_equal(path, STR("/"))) {
        answer_page(stream);
    } else if (str_equal(path, STR("/status.json"))) {
        admin_stream_call(stream, STR("json show status"));
    } else if (str_equal(path, STR("/metrics"))) {
        answer_metrics(stream);
    } else if (str_equal(path, STR("/healthz"))) {
        answer_health(stream);
    } else {
        refuse(stream, 404, "not_found", "there is no such page");
    }
}

static void answer_request(struct admin_stream *stream, const struct http1_request *request)
{
    stream->is_head = request->method_id == HTTP1_HEAD;
    /* What comes behind a body that we do not read is no request. */
    stream->keep_alive =
        request->head.keep_alive && request->head.minor == 1 &&
        (request->head.framing == HTTP1_BODY_NONE ||
         (request->head.framing == HTTP1_BODY_LENGTH && request->head.body_bytes == 0));
    if (request->method_id != HTTP1_GET && request->method_id != HTTP1_HEAD) {
        stream->keep_alive = false;
        refuse(stream, 405, "method_refused", "only GET and HEAD are served here");
        return;
    }
    answer_path(stream, str_first(request->target, str_find(request->target, '?')));
}

static enum admin_take take_request(struct admin_stream *stream)
{
    static const struct http1_limits limits = {
        .head_bytes = HEAD_MAX, .target_bytes = 2048, .name_bytes = 256, .fields = FIELDS_MAX};
    struct http1_field fields[FIELDS_MAX];
    struct http1_request request;
    struct http1_refusal refusal;
    /* A head that drips in is read anew each time: it is small, and so is the number of those. */
    http1_request_init(&request, fields);
    ssize_t len = http1_request_parse(&request, &limits, buffer_view(&stream->in), &refusal);
    if (len == 0) {
        return ADMIN_MORE;
    }
    if (len < 0) {
        stream->is_head = stream->keep_alive = false;
        refuse(stream, http1_reason_status(refusal.reason), http1_reason_code(refusal.reason),
               http1_reason_sentence(refusal.reason));
        return ADMIN_TAKEN;
    }
    answer_request(stream, &request);
    if (!stream->is_closed) {
        buffer_consume(&stream->in, (size_t)len);
    }
    return ADMIN_TAKEN;
}

#define BUSY                                                                      \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n" \
    "Connection: close\r\n\r\n"

static const struct admin_protocol protocol = {
    .name = "admin listener",
    .in_max = HEAD_MAX + 1024,
    .streams_max = ADMIN_HTTP_CONNECTIONS,
    .idle_time = 30 * USEC_PER_SEC,
    .step_time = 10 * USEC_PER_SEC,
    .busy = {BUSY, sizeof BUSY - 1},
    .take = take_request,
    .answered = answered,
};

/* ---- Life ---- */

struct admin_http *admin_http_new(struct balancer *balancer, const struct address *address,
                                  struct error *error)
{
    const struct listen_options options = {.no_delay = true};
    struct admin_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        error_set(error, -ENOMEM, "no memory for the admin listener");
        return NULL;
    }
    buffer_init(&http->page, ADMIN_ANSWER_MAX);
    status_page_policy(http->page_policy);
    http->history = history_new(balancer);
    if (http->history == NULL) {
        error_set(error, -ENOMEM, "no memory for the admin listener");
        admin_http_free(http);
        return NULL;
    }
    int fd = socket_listen(address, &options, error);
    http->server = fd < 0 ? NULL : admin_server_new(balancer, fd, &protocol, http, error);
    if (http->server == NULL) {
        admin_http_free(http);
        return NULL;
    }
    return http;
}

void admin_http_free(struct admin_http *http)
{
    if (http != NULL) {
        admin_server_free(http->server);
        history_free(http->history);
        buffer_done(&http->page);
        free(http);
    }
}

int admin_http_address(const struct admin_http *http, struct address *address)
{
    return socket_local_address(admin_server_fd(http->server), address);
}
