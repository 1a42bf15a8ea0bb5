/* SPDX-License-Identifier: Apache-2.0 */
/* The way back: a member's answer is read, understood, written anew and passed on as the client
 * takes it. */
#include "proxy_internal.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "net/http1_write.h"

enum {
    READS_PER_TURN = 8, /* of one answer; then others have their turn */
    READ_BYTES = 16 * 1024,
    READ_BYTES_MAX = 64 * 1024,
    INTERIM_MAX = 8, /* 1xx answers to one request */
    PARTS_MAX = 4,
};

/* ---- To the client ---- */

enum io proxy_write_out(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    while (buffer_size(&exchange->out) > 0) {
        struct str out = buffer_view(&exchange->out);
        size_t count;
        enum io io = transport_write(&proxy->transport, out.data, out.len, &count);
        if (io != IO_OK) {
            return io;
        }
        buffer_consume(&exchange->out, count);
        exchange->bytes_out += count;
    }
    return IO_OK;
}

/* Keep what the client did not take. 0, or a negative errno. */
static int keep_rest(struct exchange *exchange, const struct str *parts, size_t taken)
{
    for (size_t i = 0; i < PARTS_MAX; i++) {
        size_t skipped = taken < parts[i].len ? taken : parts[i].len;
        taken -= skipped;
        if (i == 0) {
            buffer_consume(&exchange->out, skipped);
            continue;
        }
        int code = buffer_append(&exchange->out, str_skip(parts[i], skipped));
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

/* Write what waits, and behind it `data` with its framing. What is not taken waits. False: the
 * client is lost, and the proxy was closed. `is_end`: closing follows. */
static bool write_parts(struct proxy *proxy, struct str prefix, struct str data, struct str suffix,
                        bool is_end)
{
    struct exchange *exchange = proxy->exchange;
    const struct str parts[PARTS_MAX] = {buffer_view(&exchange->out), prefix, data, suffix};
    struct iovec vector[PARTS_MAX];
    size_t count = 0;
    size_t taken = 0;
    for (size_t i = 0; i < PARTS_MAX; i++) {
        if (parts[i].len > 0) {
            vector[count++] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
        }
    }
    if (count == 0) {
        return true;
    }
    proxy->transport.ends = is_end;
    enum io io = transport_writev(&proxy->transport, vector, count, &taken);
    proxy->transport.ends = false; /* what was not taken is written, and so sent, later */
    if (io == IO_FAIL || io == IO_EOF) {
        proxy_close(proxy, REASON_CLIENT_ABORTED);
        return false;
    }
    exchange->bytes_out += taken;
    if (keep_rest(exchange, parts, taken) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
        return false;
    }
    return true;
}

/* ---- The head ---- */

/* Members are few, and theirs is a bug that somebody should mend. */
static void tell_malformed(const struct proxy *proxy, const struct http1_refusal *refusal)
{
    static struct log_limit limit = LOG_LIMIT(10, 10 * USEC_PER_SEC);
    log_limited(&limit, LOG_LEVEL_WARNING, "a member's answer was refused",
                LOG_TEXT("member", proxy->exchange->member->name),
                LOG_TEXT("reason", http1_reason_code(refusal->reason)),
                LOG_UINT("offset", refusal->offset), LOG_UINT("proxy", proxy->id));
}

static void fail_malformed(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    exchange->last_failure = REASON_MEMBER_MALFORMED;
    proxy_leave_member(proxy, OUTCOME_BROKEN, false);
    proxy_refuse(proxy, REASON_MEMBER_MALFORMED, 0);
}

/* The head for the client goes to `out`. It cannot be longer than what was read by more than a
 * space for each field and our own few. */
static int write_head(struct proxy *proxy, size_t head_len, const struct http1_rewrite *rewrite)
{
    struct exchange *exchange = proxy->exchange;
    size_t room = head_len + exchange->response.head.field_count + 256;
    int code = buffer_reserve(&exchange->out, room);
    if (code < 0) {
        return code;
    }
    ssize_t written = http1_write_response(buffer_tail(&exchange->out), buffer_room(&exchange->out),
                                           &exchange->response, rewrite);
    if (written < 0) {
        return (int)written;
    }
    buffer_commit(&exchange->out, (size_t)written);
    return 0;
}

/* RFC 9110 15.2: all but 100, which we answer ourselves, are passed to clients that know of them.
 */
static bool take_interim(struct proxy *proxy, size_t head_len)
{
    struct exchange *exchange = proxy->exchange;
    const struct http1_rewrite rewrite = {.framing = HTTP1_BODY_NONE};
    if (++exchange->interim > INTERIM_MAX) {
        fail_malformed(proxy);
        return false;
    }
    if (exchange->response.status != 100 && exchange->request.head.minor == 1 &&
        write_head(proxy, head_len, &rewrite) < 0) {
        fail_malformed(proxy);
        return false;
    }
    buffer_consume(&exchange->answer, head_len);
    http1_response_init(&exchange->response, exchange->fields);
    enum io io = proxy_write_out(proxy); /* what is not taken goes out with the answer */
    if (io == IO_FAIL || io == IO_EOF) {
        proxy_close(proxy, REASON_CLIENT_ABORTED);
        return false;
    }
    return true;
}

/* How the body goes to the client (RFC 9112 6.3, 7). */
static enum http1_framing decide_framing(struct exchange *exchange)
{
    switch (exchange->response.head.framing) {
    case HTTP1_BODY_NONE:
    case HTTP1_BODY_LENGTH:
        break;
    case HTTP1_BODY_CHUNKED:
    case HTTP1_BODY_UNTIL_CLOSE:
        exchange->answers_chunked = exchange->request.head.minor == 1;
        exchange->closes = exchange->closes || !exchange->answers_chunked;
        return exchange->answers_chunked ? HTTP1_BODY_CHUNKED : HTTP1_BODY_UNTIL_CLOSE;
    }
    return exchange->response.head.framing;
}

static bool begin_answer(struct proxy *proxy, size_t head_len)
{
    struct exchange *exchange = proxy->exchange;
    const struct http1_head *head = &exchange->response.head;
    /* An answer to a request that was not read to its end: nobody knows where the next one would
     * begin, unless the rest were read first. */
    bool is_early = !exchange->body_done || !proxy_is(proxy, PROXY_AWAIT_ANSWER);
    exchange->closes = exchange->closes || is_early || proxy->worker->is_stopping;
    exchange->is_early = is_early;
    struct http1_rewrite rewrite = {.framing = decide_framing(exchange),
                                    .body_bytes = head->body_bytes};
    if (exchange->closes) {
        rewrite.connection = HTTP1_CONNECTION_CLOSE;
    } else if (exchange->request.head.minor == 0) {
        rewrite.connection = HTTP1_CONNECTION_KEEP_ALIVE;
    }
    if (write_head(proxy, head_len, &rewrite) < 0) {
        fail_malformed(proxy);
        return false;
    }
    buffer_consume(&exchange->answer, head_len);
    exchange->is_answered = true;
    exchange->answer_left = head->framing == HTTP1_BODY_LENGTH ? head->body_bytes : 0;
    if (head->framing == HTTP1_BODY_CHUNKED) {
        http1_chunked_init(&exchange->chunked_out);
    }
    proxy_enter(proxy, PROXY_RELAY_ANSWER);
    /* An early one may come while we wait to send: that a member takes more is no news any more. */
    if (upstream_watch(exchange->upstream, WATCH_READ) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
        return false;
    }
    return true;
}

/* An instance of ours that is being stopped has done nothing with the request, and says so. */
static bool was_turned_away(const struct proxy *proxy)
{
    const struct exchange *exchange = proxy->exchange;
    const struct http1_head *head = &exchange->response.head;
    if (exchange->response.status != 503 || !exchange->may_repeat) {
        return false;
    }
    for (size_t i = 0; i < head->field_count; i++) {
        if (str_equal_nocase(head->fields[i].name, STR("X-Portico-Reason"))) {
            return str_equal(head->fields[i].value, STR("stopping"));
        }
    }
    return false;
}

/* Heads, until the final one was passed on. False: it is not there yet, or the proxy went
 * elsewhere. */
static bool take_heads(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    while (!exchange->is_answered) {
        struct http1_refusal refusal;
        ssize_t len = http1_response_parse(&exchange->response, &exchange->answer_limits,
                                           exchange->request.method_id,
                                           buffer_view(&exchange->answer), &refusal);
        if (len < 0) {
            tell_malformed(proxy, &refusal);
            fail_malformed(proxy);
            return false;
        }
        if (len == 0) {
            return false;
        }
        if (was_turned_away(proxy) && proxy_was_turned_away(proxy)) {
            return false;
        }
        bool is_interim = exchange->response.status < 200;
        if (!(is_interim ? take_interim(proxy, (size_t)len) : begin_answer(proxy, (size_t)len))) {
            return false;
        }
    }
    return true;
}

/* ---- The body ---- */

struct piece {
    struct str data;
    bool is_last;  /* the answer ends with it */
    bool has_more; /* bytes behind the end, which belong to nothing */
};

/* Data moves to the front of the buffer over its framing, so that any number of small chunks goes
 * out as one. */
static int take_chunked(struct exchange *exchange, struct piece *piece)
{
    const struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    struct str input = buffer_view(&exchange->answer);
    char *front = exchange->answer.data + exchange->answer.start;
    size_t taken = 0;
    for (;;) {
        struct str data = {NULL, 0};
        struct http1_refusal refusal;
        ssize_t used =
            http1_chunked_decode(&exchange->chunked_out, &limits, input, &data, &refusal);
        if (used < 0) {
            return (int)used;
        }
        if (used == 0) {
            break;
        }
        if (data.len > 0) {
            memmove(front + taken, data.data, data.len);
            taken += data.len;
        }
        input = str_skip(input, (size_t)used);
    }
    piece->data = str_make(front, taken);
    piece->is_last = http1_chunked_is_done(&exchange->chunked_out);
    piece->has_more = input.len > 0;
    return 0;
}

static int take_piece(struct exchange *exchange, struct piece *piece)
{
    struct str input = buffer_view(&exchange->answer);
    switch (exchange->response.head.framing) {
    case HTTP1_BODY_NONE:
        *piece = (struct piece){.is_last = true, .has_more = input.len > 0};
        return 0;
    case HTTP1_BODY_LENGTH:
        piece->data = input.len > exchange->answer_left
                          ? str_first(input, (size_t)exchange->answer_left)
                          : input;
        exchange->answer_left -= piece->data.len;
        piece->is_last = exchange->answer_left == 0;
        piece->has_more = input.len > piece->data.len;
        return 0;
    case HTTP1_BODY_CHUNKED:
        return take_chunked(exchange, piece);
    case HTTP1_BODY_UNTIL_CLOSE:
        *piece = (struct piece){.data = input};
        return 0;
    }
    return -EINVAL;
}

static bool write_piece(struct proxy *proxy, const struct piece *piece)
{
    struct exchange *exchange = proxy->exchange;
    char prefix[HTTP1_CHUNK_HEAD_MAX];
    struct str before = {NULL, 0};
    struct str behind = {NULL, 0};
    if (exchange->answers_chunked) {
        if (piece->data.len > 0) {
            before = str_make(prefix, http1_write_chunk_head(prefix, piece->data.len));
            behind = piece->is_last ? STR("\r\n0\r\n\r\n") : STR("\r\n");
        } else if (piece->is_last) {
            behind = HTTP1_LAST_CHUNK;
        }
    }
    exchange->answer_relayed += piece->data.len;
    return write_parts(proxy, before, piece->data, behind, piece->is_last && exchange->closes);
}

static enum outcome outcome_of(const struct exchange *exchange)
{
    return exchange->response.status >= 500 ? OUTCOME_ERROR : OUTCOME_ANSWERED;
}

/* All of the answer has come: the member is free, whatever the client takes its time for. */
static void end_answer(struct proxy *proxy, bool is_reusable)
{
    struct exchange *exchange = proxy->exchange;
    proxy_leave_member(proxy, outcome_of(exchange),
                       is_reusable && !exchange->is_early && exchange->response.head.keep_alive);
    if (buffer_size(&exchange->out) == 0) {
        proxy_finish(proxy);
        return;
    }
    proxy_enter(proxy, PROXY_FLUSH);
    (void)proxy_watch(proxy, WATCH_WRITE);
}

/* The member stopped before its answer was whole: the client must see that, so it gets neither the
 * last chunk nor a closing in good order. */
static void cut_answer(struct proxy *proxy, enum outcome outcome)
{
    proxy_leave_member(proxy, outcome, false);
    proxy_close(proxy, REASON_ANSWER_CUT);
}

/* The final head has not come; interim ones have, perhaps, and the client need not wait for them.
 */
static bool is_waiting_for_head(const struct proxy *proxy)
{
    return (proxy_is(proxy, PROXY_AWAIT_ANSWER) || proxy_is(proxy, PROXY_SEND_REQUEST)) &&
           !proxy->exchange->is_answered;
}

/* Pass on what was read. True: there may be more to come. */
static bool relay(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct piece piece = {.is_last = false};
    if (!take_heads(proxy)) {
        return is_waiting_for_head(proxy);
    }
    if (take_piece(exchange, &piece) < 0) {
        cut_answer(proxy, OUTCOME_BROKEN);
        return false;
    }
    if (!write_piece(proxy, &piece)) {
        return false;
    }
    buffer_clear(&exchange->answer);
    if (piece.is_last) {
        end_answer(proxy, !piece.has_more);
        return false;
    }
    proxy_extend(proxy);
    return true;
}

/* ---- Large bodies ---- */

static bool is_worth_splicing(const struct proxy *proxy)
{
    const struct exchange *exchange = proxy->exchange;
    return exchange->is_answered && !proxy->is_tls &&
           exchange->response.head.framing == HTTP1_BODY_LENGTH &&
           buffer_size(&exchange->answer) == 0 &&
           (exchange->answer_left >= SPLICE_WORTHWHILE || exchange->pipe.write_end != 0);
}

/* What the pipe holds, to the client. IO_OK: it is empty. */
static enum io drain_pipe(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    while (pipe_is_filled(&exchange->pipe)) {
        size_t count;
        enum io io =
            pipe_drain(&exchange->pipe, proxy->transport.fd, exchange->answer_left > 0, &count);
        if (io != IO_OK) {
            return io;
        }
        exchange->bytes_out += count;
    }
    return IO_OK;
}

/* ---- Reading ---- */

/* Wait until the client takes more. */
static void hold(struct proxy *proxy)
{
    if (upstream_watch(proxy->exchange->upstream, 0) < 0) {
        CHECK(false); /* narrowing does not fail */
    }
    proxy_extend(proxy);
    (void)proxy_watch(proxy, proxy->is_tls ? transport_wants(&proxy->transport) : WATCH_WRITE);
}

/* Interim answers that the client did not take hold nothing up: they are few. */
static bool is_held(const struct exchange *exchange)
{
    return exchange->is_answered &&
           (buffer_size(&exchange->out) > 0 || pipe_is_filled(&exchange->pipe));
}

static void end_of_member(struct proxy *proxy, enum outcome outcome)
{
    struct exchange *exchange = proxy->exchange;
    if (!exchange->is_answered) {
        proxy_member_failed(proxy, outcome, REASON_MEMBER_BROKEN);
    } else if (exchange->response.head.framing == HTTP1_BODY_UNTIL_CLOSE &&
               outcome == OUTCOME_ANSWERED) {
        const struct piece last = {.is_last = true};
        if (write_piece(proxy, &last)) {
            end_answer(proxy, false);
        }
    } else {
        cut_answer(proxy, OUTCOME_BROKEN);
    }
}

/* One read by copying. True: go on. */
static bool copy_some(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    size_t room = exchange->answer.capacity >= READ_BYTES && exchange->answer_relayed > READ_BYTES
                      ? READ_BYTES_MAX
                      : READ_BYTES;
    size_t count;
    if (buffer_reserve(&exchange->answer, room) < 0 && buffer_reserve(&exchange->answer, 1) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
        return false;
    }
    size_t asked = buffer_room(&exchange->answer);
    switch (transport_read(&exchange->upstream->transport, buffer_tail(&exchange->answer), asked,
                           &count)) {
    case IO_OK:
        break;
    case IO_AGAIN:
        return false;
    case IO_EOF:
        end_of_member(proxy, exchange->is_answered ? OUTCOME_ANSWERED : OUTCOME_BROKEN);
        return false;
    case IO_FAIL:
        end_of_member(proxy, OUTCOME_BROKEN);
        return false;
    }
    buffer_commit(&exchange->answer, count);
    if (exchange->answered == 0) {
        exchange->answered = worker_now(proxy->worker);
    }
    return relay(proxy) && count == asked;
}

/* One read through the pipe. True: go on. */
static bool splice_some(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    size_t count;
    if (exchange->pipe.write_end == 0 && pipe_take(&proxy->worker->pipes, &exchange->pipe) < 0) {
        return copy_some(proxy);
    }
    switch (pipe_fill(&exchange->pipe, exchange->upstream->transport.fd, exchange->answer_left,
                      &count)) {
    case IO_OK:
        break;
    case IO_AGAIN:
        return false;
    case IO_EOF:
    case IO_FAIL:
        cut_answer(proxy, OUTCOME_BROKEN);
        return false;
    }
    exchange->answer_left -= count;
    exchange->answer_relayed += count;
    if (drain_pipe(proxy) == IO_FAIL) {
        proxy_close(proxy, REASON_CLIENT_ABORTED);
        return false;
    }
    proxy_extend(proxy);
    if (exchange->answer_left == 0 && !pipe_is_filled(&exchange->pipe)) {
        end_answer(proxy, true);
        return false;
    }
    return exchange->answer_left > 0 || pipe_is_filled(&exchange->pipe);
}

void proxy_read_answer(struct proxy *proxy, unsigned ready)
{
    struct exchange *exchange = proxy->exchange;
    (void)ready;
    for (int i = 0; i < READS_PER_TURN; i++) {
        if (is_held(exchange)) {
            hold(proxy);
            return;
        }
        if (!(is_worth_splicing(proxy) ? splice_some(proxy) : copy_some(proxy))) {
            break;
        }
    }
    if (proxy_is(proxy, PROXY_RELAY_ANSWER) && is_held(exchange)) {
        hold(proxy);
    }
}

/* ---- The client takes more ---- */

void proxy_relay_client(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (!is_held(exchange)) {
        proxy_client_meanwhile(proxy);
        return;
    }
    enum io io = proxy_write_out(proxy);
    if (io == IO_OK) {
        io = drain_pipe(proxy);
    }
    if (io == IO_FAIL || io == IO_EOF) {
        proxy_close(proxy, REASON_CLIENT_ABORTED);
        return;
    }
    proxy_extend(proxy);
    if (io == IO_AGAIN || !proxy_watch(proxy, WATCH_READ)) {
        return;
    }
    if (exchange->response.head.framing == HTTP1_BODY_LENGTH && exchange->answer_left == 0) {
        end_answer(proxy, true);
    } else if (upstream_watch(exchange->upstream, WATCH_READ) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
    } else {
        proxy_read_answer(proxy, WATCH_READ);
    }
}
