/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a proxy: from bytes to a request that is understood, and its body. */
#include "proxy_internal.h"

#include <errno.h>
#include <string.h>

#include "forward.h"
#include "net/http1_write.h"

enum {
    READ_BYTES = 2 * 1024, /* room that a read is given at least */
    STREAM_BYTES = 48 * 1024,
};

/* ---- Reading ---- */

enum reading {
    READING_MORE,  /* bytes were read */
    READING_LATER, /* there are none now; the descriptor is watched */
    READING_ENDED, /* the client will send nothing more */
    READING_GONE,  /* the proxy was closed */
};

/* One read into the input, which has room for `room` bytes more at least. */
static enum reading read_some(struct proxy *proxy, size_t room)
{
    struct exchange *exchange = proxy->exchange;
    size_t count;
    if (exchange_reserve_input(exchange, room) < 0) {
        proxy_refuse(proxy, REASON_NO_MEMORY, 0);
        return READING_GONE;
    }
    switch (transport_read(&proxy->transport, buffer_tail(&exchange->input),
                           buffer_room(&exchange->input), &count)) {
    case IO_OK:
        buffer_commit(&exchange->input, count);
        exchange->bytes_in += count;
        return READING_MORE;
    case IO_AGAIN:
        return proxy_watch_more(proxy) ? READING_LATER : READING_GONE;
    case IO_EOF:
        proxy->is_half_closed = true;
        return READING_ENDED;
    case IO_FAIL:
        break;
    }
    proxy_close(proxy, proxy_is(proxy, PROXY_IDLE) ? REASON_CLIENT_CLOSED : REASON_CLIENT_ABORTED);
    return READING_GONE;
}

/* What was read did not suffice. A read that filled its room, and bytes inside TLS, mean that there
 * may be more at once; otherwise the loop will tell, without a read that finds nothing. */
static bool may_have_more(struct proxy *proxy)
{
    return buffer_room(&proxy->exchange->input) == 0 || transport_has_pending(&proxy->transport);
}

/* ---- The head ---- */

void proxy_read_head(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    if (proxy->exchange == NULL) {
        proxy->exchange = exchange_take(&worker->exchanges, worker->rules);
        if (proxy->exchange == NULL) {
            proxy_close(proxy, REASON_NO_MEMORY);
            return;
        }
    }
    bool more;
    do {
        switch (read_some(proxy, READ_BYTES)) {
        case READING_MORE:
            break;
        case READING_ENDED:
            proxy_close(proxy,
                        proxy_is(proxy, PROXY_IDLE) ? REASON_CLIENT_CLOSED : REASON_CLIENT_ABORTED);
            return;
        case READING_LATER:
            proxy_rest(proxy);
            return;
        case READING_GONE:
            return;
        }
        more = may_have_more(proxy);
        proxy_drive(proxy);
    } while (more && (proxy_is(proxy, PROXY_IDLE) || proxy_is(proxy, PROXY_READ_HEAD)));
    if (proxy_is(proxy, PROXY_IDLE) || proxy_is(proxy, PROXY_READ_HEAD)) {
        proxy_rest(proxy);
        (void)proxy_watch(proxy, WATCH_READ);
    }
}

/* How long the body is. False: too long, and refused. */
static bool measure_body(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    const struct http1_head *head = &exchange->request.head;
    const struct rules *rules = proxy->worker->rules;
    exchange->body_done = head->framing == HTTP1_BODY_NONE;
    if (head->framing == HTTP1_BODY_LENGTH) {
        if (head->body_bytes > rules->max_body_bytes) {
            proxy_refuse(proxy, REASON_BODY_TOO_LARGE, 0);
            return false;
        }
        exchange->body_left = head->body_bytes;
        exchange->body_done = head->body_bytes == 0;
    } else if (head->framing == HTTP1_BODY_CHUNKED) {
        http1_chunked_init(&exchange->chunked_in);
    }
    return true;
}

/* RFC 9110 10.1.1: we ask for the body ourselves; the member never sees the expectation. */
static void ask_for_body(struct proxy *proxy)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct exchange *exchange = proxy->exchange;
    size_t count = 0;
    if (!exchange->request.expect_continue || exchange->wrote_continue || exchange->body_done) {
        return;
    }
    exchange->wrote_continue = true;
    if (transport_write(&proxy->transport, interim, sizeof interim - 1, &count) != IO_OK) {
        count = 0; /* a broken connection shows at the next read */
    }
    exchange->bytes_out += count;
    if (count < sizeof interim - 1) {
        /* Never seen on a connection that has just sent a request. It goes out with the answer. */
        int code =
            buffer_append(&exchange->out, str_make(interim + count, sizeof interim - 1 - count));
        (void)code;
    }
}

/* The head for the member, written once: retries send the same bytes. */
static bool write_head(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct worker *worker = proxy->worker;
    struct http1_extra extras[FORWARD_EXTRAS];
    const struct forward_context context = {
        .rules = worker->rules,
        .peer = proxy->peer,
        .is_tls = proxy->is_tls,
        .via = worker->shared->via,
        .request_id = worker_request_id(worker),
    };
    bool is_chunked =
        exchange->way == BODY_STREAM && exchange->request.head.framing == HTTP1_BODY_CHUNKED;
    struct http1_rewrite rewrite = {
        .drop = HTTP1_FORWARDED_BY,
        .default_host = worker->rules->default_host,
        .extras = extras,
        .extra_count = forward_fields(&context, exchange, extras),
        .framing = is_chunked ? HTTP1_BODY_CHUNKED : HTTP1_BODY_LENGTH,
        .body_bytes = exchange->body_bytes + exchange->body_left,
    };
    if (exchange->request.head.framing == HTTP1_BODY_NONE) {
        rewrite.framing = exchange->request.method_id == HTTP1_POST ||
                                  exchange->request.method_id == HTTP1_PUT ||
                                  exchange->request.method_id == HTTP1_PATCH
                              ? HTTP1_BODY_LENGTH
                              : HTTP1_BODY_NONE;
    }
    size_t room = exchange->head_bytes + exchange->request.head.field_count * 2 + 1024;
    if (room > exchange->head.max) {
        room = exchange->head.max;
    }
    if (buffer_reserve(&exchange->head, room) < 0) {
        proxy_refuse(proxy, REASON_NO_MEMORY, 0);
        return false;
    }
    ssize_t written = http1_write_request(
        buffer_tail(&exchange->head), buffer_room(&exchange->head), &exchange->request, &rewrite);
    if (written < 0) {
        proxy_refuse(proxy, written == -ENOBUFS ? REASON_HEAD_TOO_LARGE : REASON_HOST_MISSING, 0);
        return false;
    }
    buffer_commit(&exchange->head, (size_t)written);
    /* From now on the fields' memory is the answer's: they must not move with our input. */
    exchange->request.head.field_count = 0;
    return true;
}

/* Everything that must be known before a member is asked is there. */
static void send_to_member(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    exchange->received = worker_now(proxy->worker);
    exchange->may_repeat = rules_may_repeat(proxy->worker->rules, exchange->request.method_id,
                                            exchange->request.target);
    if (write_head(proxy)) {
        proxy_frame_piece(exchange);
        proxy_choose(proxy);
    }
}

/* OPTIONS for us: "*", and what must not travel further (RFC 9110 7.6.2, 9.3.7). */
static bool is_for_us(const struct http1_request *request)
{
    return request->method_id == HTTP1_OPTIONS &&
           (str_equal(request->target, STR("*")) || request->max_forwards == 0);
}

static void begin_request(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    proxy->requests++;
    proxy->is_recorded = false;
    exchange->closes = !exchange->request.head.keep_alive || proxy->worker->is_stopping;
    if (forward_is_loop(&exchange->request.head, proxy->worker->shared->via)) {
        proxy_refuse(proxy, REASON_LOOP, 0);
    } else if (measure_body(proxy)) {
        if (exchange->body_done && is_for_us(&exchange->request)) {
            proxy_reply_options(proxy);
        } else {
            proxy_continue_body(proxy);
        }
    }
}

void proxy_continue_head(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    struct str input = buffer_view(&exchange->input);
    if (exchange->began == 0) {
        exchange->began = worker_now(proxy->worker);
        proxy->is_recorded = false;
    }
    ssize_t len = http1_request_parse(&exchange->request, &exchange->limits, input, &refusal);
    if (len < 0) {
        if (proxy_is(proxy, PROXY_IDLE)) {
            proxy_enter(proxy, PROXY_READ_HEAD);
        }
        proxy_refuse(proxy, reason_from_http1(refusal.reason), refusal.offset);
    } else if (len == 0) {
        if (proxy_is(proxy, PROXY_IDLE)) {
            proxy_enter(proxy, PROXY_READ_HEAD);
        }
    } else {
        exchange->head_bytes = exchange->raw_at = (size_t)len;
        begin_request(proxy);
    }
}

/* ---- The body ---- */

static int take_counted(struct exchange *exchange)
{
    size_t len = exchange_raw(exchange).len;
    if (len > exchange->body_left) {
        len = (size_t)exchange->body_left;
    }
    exchange->raw_at += len;
    exchange->body_bytes += len;
    exchange->body_taken += len;
    exchange->body_left -= len;
    exchange->body_done = exchange->body_left == 0;
    return exchange->body_done;
}

/* The data moves down over its framing, so that it lies in one piece. */
static int take_chunked(struct exchange *exchange, uint64_t most, struct http1_refusal *refusal)
{
    struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    limits.body_bytes = most;
    char *body = exchange->input.data + exchange->input.start + exchange->head_bytes;
    for (;;) {
        struct str data = {NULL, 0};
        ssize_t used = http1_chunked_decode(&exchange->chunked_in, &limits, exchange_raw(exchange),
                                            &data, refusal);
        if (used < 0) {
            refusal->offset += exchange->raw_at;
            return (int)used;
        }
        if (used == 0) {
            break;
        }
        if (data.len > 0) {
            memmove(body + exchange->body_bytes, data.data, data.len);
        }
        exchange->body_bytes += data.len;
        exchange->body_taken += data.len;
        exchange->raw_at += (size_t)used;
    }
    exchange->body_done = http1_chunked_is_done(&exchange->chunked_in);
    if (exchange_raw(exchange).len == 0) {
        exchange->raw_at = exchange->head_bytes + exchange->body_bytes;
        buffer_truncate(&exchange->input, exchange->raw_at);
    }
    return exchange->body_done;
}

static int take_body(struct proxy *proxy, struct http1_refusal *refusal)
{
    struct exchange *exchange = proxy->exchange;
    if (exchange->body_done) {
        return 1;
    }
    return exchange->request.head.framing == HTTP1_BODY_CHUNKED
               ? take_chunked(exchange, proxy->worker->rules->max_body_bytes, refusal)
               : take_counted(exchange);
}

static bool is_counted(const struct exchange *exchange)
{
    return exchange->request.head.framing == HTTP1_BODY_LENGTH;
}

/* A large body is streamed once as much of it is there as a small one may have: until then it costs
 * no member anything, however slowly it comes. */
static bool outgrows_buffer(const struct exchange *exchange)
{
    return is_counted(exchange)
               ? exchange->body_bytes >= exchange->buffer_bytes &&
                     exchange->body_bytes + exchange->body_left > exchange->buffer_bytes
               : exchange->body_bytes > exchange->buffer_bytes;
}

void proxy_continue_body(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    int done = take_body(proxy, &refusal);
    if (done < 0) {
        proxy_refuse(proxy, reason_from_http1(refusal.reason), refusal.offset);
        return;
    }
    if (done == 0 && outgrows_buffer(exchange)) {
        exchange->way = BODY_STREAM;
    }
    if (done == 1 || exchange->way == BODY_STREAM) {
        send_to_member(proxy);
        return;
    }
    if (exchange->request.expect_continue && !exchange->wrote_continue &&
        !proxy_is_admitted(proxy)) {
        return;
    }
    ask_for_body(proxy);
    if (!proxy_is(proxy, PROXY_READ_BODY)) {
        proxy_enter(proxy, PROXY_READ_BODY);
        proxy_read_body(proxy);
    } else {
        proxy_extend(proxy);
    }
}

/* Room for the next read of a body. */
static size_t body_room(const struct exchange *exchange)
{
    bool is_small = is_counted(exchange) &&
                    exchange->body_bytes + exchange->body_left <= exchange->buffer_bytes;
    if (is_small) {
        return (size_t)exchange->body_left;
    }
    return exchange->body_bytes > READ_BYTES ? STREAM_BYTES / 4 : READ_BYTES;
}

void proxy_read_body(struct proxy *proxy)
{
    bool more;
    do {
        switch (read_some(proxy, body_room(proxy->exchange))) {
        case READING_MORE:
            break;
        case READING_ENDED:
            proxy_close(proxy, REASON_CLIENT_ABORTED);
            return;
        case READING_LATER:
        case READING_GONE:
            return;
        }
        more = may_have_more(proxy);
        proxy_continue_body(proxy);
    } while (more && proxy_is(proxy, PROXY_READ_BODY));
    if (proxy_is(proxy, PROXY_READ_BODY)) {
        (void)proxy_watch(proxy, WATCH_READ);
    }
}

/* ---- While a member has the request ---- */

/* The client sends ahead, ends its side, or is gone. What it sends ahead is kept for later, up to a
 * bound; then it has to wait. */
void proxy_client_meanwhile(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (exchange_reserve_input(exchange, 1) < 0) {
        (void)proxy_watch(proxy, 0);
        return;
    }
    if (read_some(proxy, 1) == READING_ENDED) {
        (void)proxy_watch(proxy, 0);
    }
}

/* ---- Streaming a large body ---- */

/* What was sent makes room; bytes behind it move down. */
static void drop_piece(struct exchange *exchange)
{
    struct str raw = exchange_raw(exchange);
    char *body = exchange->input.data + exchange->input.start + exchange->head_bytes;
    if (raw.len > 0) {
        memmove(body, raw.data, raw.len);
    }
    exchange->raw_at = exchange->head_bytes;
    buffer_truncate(&exchange->input, exchange->raw_at + raw.len);
    exchange->body_bytes = exchange->sent = 0;
    exchange->prefix_len = 0; /* or there would seem to be something left to send */
    exchange->suffix = str_make(NULL, 0);
    exchange->is_head_sent = true;
}

/* Whether there is something to send now. */
static bool take_piece(struct proxy *proxy, bool *is_refused)
{
    struct exchange *exchange = proxy->exchange;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    int done = take_body(proxy, &refusal);
    if (done < 0) {
        *is_refused = true;
        proxy_refuse(proxy, reason_from_http1(refusal.reason), refusal.offset);
        return false;
    }
    return done == 1 || exchange->body_bytes > 0;
}

/* What a read is given; small limits leave less. */
static size_t stream_room(const struct exchange *exchange)
{
    size_t room = exchange->input.max - buffer_size(&exchange->input);
    return room < STREAM_BYTES ? room : STREAM_BYTES;
}

bool proxy_next_piece(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    bool is_refused = false;
    drop_piece(exchange);
    ask_for_body(proxy);
    bool is_there = exchange_raw(exchange).len > 0 && take_piece(proxy, &is_refused);
    while (!is_there && !is_refused) {
        switch (read_some(proxy, stream_room(exchange))) {
        case READING_MORE:
            break;
        case READING_ENDED:
            proxy_close(proxy, REASON_CLIENT_ABORTED);
            return false;
        case READING_LATER:
        case READING_GONE:
            return false;
        }
        bool more = may_have_more(proxy);
        is_there = take_piece(proxy, &is_refused);
        if (!is_there && !is_refused && !more) {
            (void)proxy_watch(proxy, WATCH_READ);
            return false;
        }
    }
    if (is_refused) {
        return false;
    }
    proxy_frame_piece(exchange);
    proxy_extend(proxy);
    return true;
}

void proxy_stream_body(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (exchange->body_done || exchange->sent < proxy_piece_bytes(exchange)) {
        proxy_client_meanwhile(proxy);
    } else {
        proxy_pump(proxy);
    }
}
