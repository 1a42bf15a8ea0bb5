/* SPDX-License-Identifier: Apache-2.0 */
/* What the balancer says for itself, how a connection goes on or ends after an answer, and the
 * account that is given of each request. */
#include "proxy_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "net/http1_write.h"

enum {
    REPLY_BYTES = 512,
    LINGER_BYTES = 64 * 1024,
};

/* ---- The account ---- */

void proxy_peer_address(const struct proxy *proxy, struct address *address)
{
    ip_to_address(&proxy->peer, proxy->peer_port, address);
}

/* "METHOD SP TARGET SP HTTP/1.1" at the front of our own head. */
static void split_request_line(struct str head, struct record *record)
{
    struct str line = str_first(head, str_find(head, '\r'));
    if (str_split(&line, ' ', &record->method)) {
        record->target = str_first(line, str_find(line, ' '));
    }
}

/* A field of a canonical head. */
static struct str head_field(struct str head, struct str name)
{
    struct str line;
    while (str_split(&head, '\n', &line)) {
        if (line.len > name.len + 2 && line.data[name.len] == ':' &&
            str_equal_nocase(str_first(line, name.len), name)) {
            return str_trim(str_skip(line, name.len + 1));
        }
    }
    return str_make("", 0);
}

static void describe_request(const struct proxy *proxy, struct record *record)
{
    const struct exchange *exchange = proxy->exchange;
    struct str head = buffer_view(&exchange->head);
    if (head.len > 0) {
        split_request_line(head, record);
        if (proxy->worker->rules->logs_access) {
            record->host = head_field(head, STR("host"));
            record->user_agent = head_field(head, STR("user-agent"));
            record->referer = head_field(head, STR("referer"));
        }
    } else if (exchange->head_bytes > 0) {
        record->method = exchange->request.method;
        record->target = exchange->request.target;
        record->host = exchange->request.host;
    }
    record->minor = exchange->request.head.minor;
}

static usec_t between(usec_t from, usec_t to)
{
    return from == 0 || to < from ? 0 : to - from;
}

static void describe_phases(const struct proxy *proxy, struct record *record)
{
    const struct exchange *exchange = proxy->exchange;
    usec_t now = worker_now(proxy->worker);
    record->receive = between(exchange->began, exchange->received == 0 ? now : exchange->received);
    record->queue = exchange->queue_time;
    record->connect = exchange->connect_time;
    record->wait = exchange->asked == 0 || exchange->answered == 0
                       ? 0
                       : between(exchange->asked, exchange->answered);
    record->total = between(exchange->began, now);
}

void proxy_record(struct proxy *proxy, enum reason reason, size_t offset)
{
    struct worker *worker = proxy->worker;
    const struct exchange *exchange = proxy->exchange;
    struct address peer;
    char peer_text[ADDRESS_TEXT_SIZE];
    if (proxy->is_recorded) {
        return;
    }
    proxy->is_recorded = true;
    proxy_peer_address(proxy, &peer);
    struct record record = {
        .request_id = exchange->request_id,
        .wall = worker_wall(worker),
        .peer = &peer,
        .client = exchange->client_name,
        .connection = proxy->id,
        .is_tls = proxy->is_tls,
        .is_reused = proxy->requests > 1,
        .status = exchange->is_answered ? exchange->response.status : exchange->own_status,
        .reason = reason,
        .offset = (uint32_t)offset,
        .member = exchange->member,
        .retries = exchange->retries,
        .bytes_in = exchange->bytes_in,
        .bytes_out = exchange->bytes_out,
    };
    if (record.client.len == 0) {
        record.client = str_from(address_format_host(&peer, peer_text));
    }
    describe_request(proxy, &record);
    describe_phases(proxy, &record);
    counters_record(worker->counters, &record);
    recent_add(worker->recent, &record);
    if (reason != REASON_NONE && reason_is_error(reason)) {
        recent_add_error(worker->recent, &record, buffer_view(&exchange->input));
    }
    accesslog_write(worker->log, &record);
}

/* ---- The end of an answer ---- */

static void linger(struct proxy *proxy)
{
    proxy_enter(proxy, PROXY_LINGER);
    if (transport_shutdown(&proxy->transport) == IO_FAIL) {
        proxy_close(proxy, REASON_CLOSE_WANTED);
    } else {
        proxy_linger(proxy);
    }
}

/* Closing a socket that holds unread bytes resets the connection, and the client may lose the
 * answer. So we say that no more will come, read what is under way, and close then. */
void proxy_linger(struct proxy *proxy)
{
    char discarded[4096];
    size_t count;
    struct exchange *exchange = proxy->exchange;
    while (exchange->lingered < LINGER_BYTES) {
        switch (transport_read(&proxy->transport, discarded, sizeof discarded, &count)) {
        case IO_OK:
            exchange->lingered += count;
            break;
        case IO_AGAIN:
            (void)proxy_watch_more(proxy);
            return;
        default:
            proxy_close(proxy, REASON_CLOSE_WANTED);
            return;
        }
    }
    proxy_close(proxy, REASON_CLOSE_WANTED);
}

/* Whether bytes of the client may be unread in the socket. */
static bool may_be_unread(const struct proxy *proxy)
{
    const struct exchange *exchange = proxy->exchange;
    return exchange->reason != REASON_NONE || exchange->is_early || exchange_raw(exchange).len > 0;
}

static void end_connection(struct proxy *proxy)
{
    if (may_be_unread(proxy) && !proxy->is_half_closed) {
        linger(proxy);
        return;
    }
    if (proxy->is_tls && transport_shutdown(&proxy->transport) == IO_FAIL) {
        log_debug("no goodbye", LOG_UINT("proxy", proxy->id));
    }
    proxy_close(proxy, REASON_CLOSE_WANTED);
}

void proxy_rest(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (proxy_is(proxy, PROXY_IDLE) && exchange != NULL && buffer_size(&exchange->input) == 0) {
        proxy->exchange = NULL;
        exchange_give(&proxy->worker->exchanges, exchange);
    }
}

void proxy_finish(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct worker *worker = proxy->worker;
    proxy_record(proxy, exchange->reason, exchange->offset);
    pipe_give(&worker->pipes, &exchange->pipe);
    bool is_over = exchange->closes || worker->is_stopping ||
                   (proxy->is_half_closed && exchange_raw(exchange).len == 0);
    if (is_over) {
        end_connection(proxy);
        return;
    }
    proxy_enter(proxy, PROXY_IDLE);
    exchange_next(exchange, worker->rules);
    proxy_drive(proxy);
    if (proxy->is_driving) {
        return; /* the driver looks after what comes next */
    }
    if (proxy_is(proxy, PROXY_IDLE) || proxy_is(proxy, PROXY_READ_HEAD)) {
        proxy_rest(proxy);
        if (transport_has_pending(&proxy->transport)) {
            proxy_read_head(proxy);
        } else {
            (void)proxy_watch(proxy, WATCH_READ);
        }
    }
}

void proxy_flush(struct proxy *proxy)
{
    switch (proxy_write_out(proxy)) {
    case IO_OK:
        proxy_finish(proxy);
        return;
    case IO_AGAIN:
        proxy_extend(proxy);
        (void)proxy_watch(proxy, transport_wants(&proxy->transport));
        return;
    default:
        proxy_close(proxy, REASON_CLIENT_ABORTED);
    }
}

/* ---- Our own answers ---- */

struct reply {
    unsigned status;
    struct str reason;      /* for X-Portico-Reason; empty: none */
    struct str text;        /* the body */
    unsigned retry_seconds; /* 0: no Retry-After */
};

static int write_reply(struct exchange *exchange, const struct reply *reply)
{
    char seconds[16];
    struct http1_extra extras[3];
    size_t count = 0;
    struct http1_response response = {.status = (uint16_t)reply->status,
                                      .phrase = http1_phrase(reply->status)};
    if (reply->reason.len > 0) {
        extras[count++] = (struct http1_extra){STR("X-Portico-Reason"), reply->reason};
        extras[count++] = (struct http1_extra){STR("Content-Type"), STR("text/plain")};
    }
    if (reply->retry_seconds > 0) {
        snprintf(seconds, sizeof seconds, "%u", reply->retry_seconds);
        extras[count++] = (struct http1_extra){STR("Retry-After"), str_from(seconds)};
    }
    const struct http1_rewrite rewrite = {
        .extras = extras,
        .extra_count = count,
        .framing = HTTP1_BODY_LENGTH,
        .body_bytes = reply->text.len,
        .connection = exchange->closes ? HTTP1_CONNECTION_CLOSE : HTTP1_CONNECTION_DEFAULT,
    };
    int code = buffer_reserve(&exchange->out, REPLY_BYTES + reply->text.len);
    if (code < 0) {
        return code;
    }
    ssize_t len = http1_write_response(buffer_tail(&exchange->out), buffer_room(&exchange->out),
                                       &response, &rewrite);
    if (len < 0) {
        return (int)len;
    }
    buffer_commit(&exchange->out, (size_t)len);
    exchange->own_status = reply->status;
    return exchange->request.method_id == HTTP1_HEAD ? 0
                                                     : buffer_append(&exchange->out, reply->text);
}

static unsigned retry_after(struct worker *worker, unsigned status)
{
    uint64_t base = (uint64_t)(worker->rules->retry_after / USEC_PER_SEC);
    if (status != 503 && status != 429) {
        return 0;
    }
    return (unsigned)(base + worker_random(worker, base + 1));
}

void proxy_refuse(struct proxy *proxy, enum reason reason, size_t offset)
{
    struct exchange *exchange = proxy->exchange;
    struct worker *worker = proxy->worker;
    unsigned status = reason_status(reason);
    char text[256];
    if (exchange == NULL) {
        proxy_close(proxy, reason); /* nothing when that was done */
        return;
    }
    proxy_leave_member(proxy, OUTCOME_NEUTRAL, false);
    if (status == 0 || exchange->is_answered) {
        proxy_close(proxy, reason);
        return;
    }
    snprintf(text, sizeof text, "%u %s: %s\n", status, reason_code(reason),
             reason_sentence(reason));
    const struct reply reply = {.status = status,
                                .reason = str_from(reason_code(reason)),
                                .text = str_from(text),
                                .retry_seconds = retry_after(worker, status)};
    exchange->closes = true;
    exchange->reason = reason;
    exchange->offset = offset;
    if (write_reply(exchange, &reply) < 0) {
        proxy_close(proxy, reason);
    } else if (status == 503 && worker->rules->refusal_delay > 0) {
        proxy_enter(proxy, PROXY_DELAY);
    } else {
        proxy_enter(proxy, PROXY_FLUSH);
        proxy_flush(proxy);
    }
}

void proxy_reply_options(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    const struct reply reply = {.status = 200, .text = str_make("", 0)};
    if (write_reply(exchange, &reply) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
        return;
    }
    proxy_enter(proxy, PROXY_FLUSH);
    proxy_flush(proxy);
}
