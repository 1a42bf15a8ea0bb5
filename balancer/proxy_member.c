/* SPDX-License-Identifier: Apache-2.0 */
/* The member's side of a proxy, up to the answer: choosing one, sending, trying another one. */
#include "proxy_internal.h"

#include <errno.h>

enum {
    PIECES_PER_TURN = 16, /* of one streamed body; then others have their turn */
    PARTS_MAX = 4,
};

/* ---- Waiting for a member ---- */

/* Without any member, only those wait that come soon after the last one left: it may just be
 * restarting. Later ones are told at once, which costs next to nothing. */
static bool may_wait(struct worker *worker)
{
    usec_t now = worker_now(worker);
    if (worker->without_member == 0) {
        worker->without_member = now;
    }
    return now - worker->without_member < worker->rules->queue;
}

static void wait_for_member(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    struct exchange *exchange = proxy->exchange;
    if (atomic_fetch_add(&worker->shared->queued, 1) >= worker->rules->queue_size) {
        atomic_fetch_sub(&worker->shared->queued, 1);
        proxy_refuse(proxy, REASON_QUEUE_FULL, 0);
        return;
    }
    if (exchange->queued == 0) {
        exchange->queued = worker_now(worker);
    }
    proxy_enter(proxy, PROXY_QUEUE);
    /* Somebody may have left just before we were counted as waiting: nobody would tell us. */
    worker_room_made(worker);
}

/* No member may be used, or each was tried. */
static void without_member(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    bool was_tried = exchange->tried.count > 0;
    if (was_tried && exchange->was_delivered) {
        proxy_refuse(proxy, exchange->last_failure, 0);
    } else if (range_usable(proxy->worker->range) > 0 && was_tried) {
        proxy_refuse(proxy, exchange->last_failure, 0);
    } else if (may_wait(proxy->worker)) {
        exchange->tried.count = 0; /* nobody got it; whoever comes back may have it */
        wait_for_member(proxy);
    } else {
        proxy_refuse(proxy, REASON_NO_MEMBER, 0);
    }
}

bool proxy_is_admitted(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    const struct rules *rules = worker->rules;
    if (range_has_room(worker->range, rules->member_in_flight)) {
        return true;
    }
    bool is_full = atomic_load(&worker->shared->queued) >= rules->queue_size;
    if (!is_full && range_usable(worker->range) > 0) {
        return true;
    }
    proxy_refuse(proxy, is_full ? REASON_QUEUE_FULL : REASON_NO_MEMBER, 0);
    return false;
}

/* ---- Failing ---- */

static enum outcome outcome_of_connect(int code)
{
    return code == -ECONNREFUSED ? OUTCOME_REFUSED : OUTCOME_UNREACHED;
}

static void member_left(struct proxy *proxy, struct member *member, enum outcome outcome)
{
    struct worker *worker = proxy->worker;
    member_leave(member, outcome, worker->rules->eject_failures, worker_now(worker));
    counter_add(worker->counters, COUNTER_IN_FLIGHT, -1);
    if (atomic_load(&worker->shared->queued) > 0) {
        worker_room_made(worker);
    }
}

void proxy_leave_member(struct proxy *proxy, enum outcome outcome, bool is_reusable)
{
    struct exchange *exchange = proxy->exchange;
    struct upstream *upstream = exchange->upstream;
    if (upstream == NULL) {
        return;
    }
    usec_t announced = exchange->response.keep_alive_timeout < 0
                           ? -1
                           : exchange->response.keep_alive_timeout * USEC_PER_SEC;
    exchange->upstream = NULL;
    member_left(proxy, upstream->member, outcome);
    upstream_give(upstream, is_reusable, announced);
}

static bool may_try_again(const struct proxy *proxy)
{
    const struct exchange *exchange = proxy->exchange;
    usec_t spent = worker_now(proxy->worker) - exchange->received;
    return !exchange->is_answered && !exchange->is_head_sent &&
           (!exchange->was_delivered || exchange->may_repeat) &&
           spent < proxy->worker->rules->response;
}

static void try_again(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    counters_retried(proxy->worker->counters, &exchange->member->counters);
    exchange->sent = 0;
    exchange->write_failed = false;
    exchange->asked = exchange->answered = 0;
    exchange->retries++;
    exchange->interim = 0;
    buffer_clear(&exchange->answer);
    counter_count(proxy->worker->counters, COUNTER_RETRIES);
    proxy_choose(proxy);
}

void proxy_member_failed(struct proxy *proxy, enum outcome outcome, enum reason reason)
{
    struct exchange *exchange = proxy->exchange;
    const struct upstream *upstream = exchange->upstream;
    /* A kept connection that ends before it says a word had most likely ended before: the member is
     * not to blame, and may be asked again, over a new one. */
    bool was_stale = upstream != NULL && upstream->is_reused && outcome == OUTCOME_BROKEN &&
                     exchange->answered == 0;
    if (was_stale && !exchange->wants_fresh && exchange->tried.count > 0) {
        exchange->tried.count--;
        exchange->wants_fresh = true;
    }
    exchange->last_failure = reason;
    proxy_leave_member(proxy, was_stale ? OUTCOME_NEUTRAL : outcome, false);
    if (may_try_again(proxy)) {
        try_again(proxy);
    } else {
        proxy_refuse(proxy, reason, 0);
    }
}

/* Nobody has it now: it may wait for who comes next, as if no member had been met. */
bool proxy_was_turned_away(struct proxy *proxy)
{
    if (!may_try_again(proxy)) {
        return false;
    }
    proxy->exchange->was_delivered = false;
    proxy_member_failed(proxy, OUTCOME_REFUSED, REASON_NO_MEMBER);
    return true;
}

/* ---- Choosing ---- */

static void use_member(struct proxy *proxy, struct member *member)
{
    struct worker *worker = proxy->worker;
    struct exchange *exchange = proxy->exchange;
    member_unref(exchange->member);
    exchange->member = member_ref(member);
    counter_add(worker->counters, COUNTER_IN_FLIGHT, 1);
    http1_response_init(&exchange->response, exchange->fields);
    int code = exchange->wants_fresh ? upstream_open(worker, member, proxy, &exchange->upstream)
                                     : upstream_take(worker, member, proxy, &exchange->upstream);
    if (code == 0) {
        proxy_enter(proxy, PROXY_SEND_REQUEST);
        proxy_pump(proxy);
        return;
    }
    bool is_our_fault = code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS ||
                        code == -EADDRNOTAVAIL;
    member_left(proxy, member, is_our_fault ? OUTCOME_NEUTRAL : outcome_of_connect(code));
    exchange->last_failure = is_our_fault ? REASON_NO_MEMORY : REASON_CONNECT_FAILED;
    if (is_our_fault) {
        proxy_refuse(proxy, REASON_NO_MEMORY, 0);
    } else {
        try_again(proxy);
    }
}

void proxy_choose(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    struct member *member = NULL;
    bool has_waited = proxy_is(proxy, PROXY_QUEUE); /* it is the first of them */
    if (!has_waited && !turn_list_is_empty(&worker->queue) && worker->without_member == 0) {
        wait_for_member(proxy); /* nobody overtakes those who wait */
        return;
    }
    int code = range_choose(worker->range, worker->rules->member_in_flight, &proxy->exchange->tried,
                            &member);
    if (code == 0) {
        worker->without_member = 0;
        use_member(proxy, member);
    } else if (code == -EAGAIN) {
        wait_for_member(proxy);
    } else if (has_waited) {
        proxy_refuse(proxy, proxy->exchange->last_failure, 0);
    } else {
        without_member(proxy);
    }
}

bool proxy_try_member(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    struct exchange *exchange = proxy->exchange;
    unsigned limit = worker->rules->member_in_flight;
    struct member *member = NULL;
    int code = range_choose(worker->range, limit, &exchange->tried, &member);
    if (code == -EHOSTDOWN && exchange->tried.count > 0) {
        /* The one it waited for is gone. It must not keep those behind it from the others. */
        if (exchange->was_delivered) {
            proxy_refuse(proxy, exchange->last_failure, 0);
            return true;
        }
        exchange->tried.count = 0;
        code = range_choose(worker->range, limit, &exchange->tried, &member);
    }
    if (code < 0) {
        return false;
    }
    worker->without_member = 0;
    use_member(proxy, member);
    return true;
}

/* ---- Sending ---- */

void proxy_frame_piece(struct exchange *exchange)
{
    exchange->prefix_len = 0;
    exchange->suffix = str_make(NULL, 0);
    if (exchange->way == BODY_WHOLE || exchange->request.head.framing != HTTP1_BODY_CHUNKED) {
        return;
    }
    if (exchange->body_bytes > 0) {
        exchange->prefix_len =
            (uint8_t)http1_write_chunk_head(exchange->prefix, exchange->body_bytes);
        exchange->suffix = exchange->body_done ? STR("\r\n0\r\n\r\n") : STR("\r\n");
    } else if (exchange->body_done) {
        exchange->suffix = HTTP1_LAST_CHUNK;
    }
}

/* The parts of the piece in order, without their first `skip` bytes. How many there are. */
static size_t piece_parts(const struct exchange *exchange, size_t skip, struct iovec out[PARTS_MAX])
{
    struct str parts[PARTS_MAX] = {
        exchange->is_head_sent ? str_make(NULL, 0) : buffer_view(&exchange->head),
        str_make(exchange->prefix, exchange->prefix_len),
        exchange_body(exchange),
        exchange->suffix,
    };
    size_t count = 0;
    for (size_t i = 0; i < PARTS_MAX; i++) {
        size_t skipped = skip < parts[i].len ? skip : parts[i].len;
        skip -= skipped;
        if (parts[i].len > skipped) {
            /* An iovec serves reading, too, so it cannot be const. */
            out[count].iov_base = (void *)(uintptr_t)(parts[i].data + skipped);
            out[count++].iov_len = parts[i].len - skipped;
        }
    }
    return count;
}

size_t proxy_piece_bytes(const struct exchange *exchange)
{
    return (exchange->is_head_sent ? 0 : buffer_size(&exchange->head)) + exchange->prefix_len +
           exchange->body_bytes + exchange->suffix.len;
}

static void watch_member(struct proxy *proxy, unsigned interest)
{
    if (upstream_watch(proxy->exchange->upstream, interest) < 0) {
        proxy_leave_member(proxy, OUTCOME_NEUTRAL, false);
        proxy_refuse(proxy, REASON_NO_MEMORY, 0);
    }
}

static void mark_connected(struct proxy *proxy)
{
    struct upstream *upstream = proxy->exchange->upstream;
    if (!upstream->is_connected) {
        usec_t took = worker_now(proxy->worker) - upstream->started;
        upstream->is_connected = true;
        proxy->exchange->connect_time += took;
        counters_connected(proxy->worker->counters, &upstream->member->counters, took);
    }
}

/* The member takes nothing more now; or the connection is still being made. */
static void wait_to_send(struct proxy *proxy)
{
    if (!proxy->exchange->upstream->is_connected) {
        if (!proxy_is(proxy, PROXY_CONNECT)) {
            proxy_enter(proxy, PROXY_CONNECT);
        }
        watch_member(proxy, WATCH_WRITE);
        return;
    }
    watch_member(proxy, WATCH_READ | WATCH_WRITE);
    if (proxy_is(proxy, PROXY_SEND_REQUEST)) {
        proxy_extend(proxy);
    }
}

/* An answer may lie there all the same: a member that refuses a large body says why and closes. */
static void sending_failed(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (!exchange->upstream->is_connected) {
        proxy_member_failed(proxy, outcome_of_connect(-exchange->upstream->transport.code),
                            REASON_CONNECT_FAILED);
    } else {
        exchange->write_failed = true;
        proxy_read_answer(proxy, WATCH_READ);
    }
}

/* True when all of the piece is on its way. */
static bool send_piece(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    struct iovec parts[PARTS_MAX];
    for (;;) {
        size_t moved;
        size_t count = piece_parts(exchange, exchange->sent, parts);
        if (count == 0) {
            return true;
        }
        switch (transport_writev(&exchange->upstream->transport, parts, count, &moved)) {
        case IO_OK:
            mark_connected(proxy);
            exchange->sent += moved;
            exchange->was_delivered = true;
            break;
        case IO_AGAIN:
            wait_to_send(proxy);
            return false;
        default:
            sending_failed(proxy);
            return false;
        }
    }
}

static bool is_all_sent(const struct exchange *exchange)
{
    return exchange->way == BODY_WHOLE || exchange->body_done;
}

void proxy_pump(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        if (!send_piece(proxy)) {
            return;
        }
        if (is_all_sent(exchange)) {
            exchange->asked = worker_now(proxy->worker);
            proxy_enter(proxy, PROXY_AWAIT_ANSWER);
            watch_member(proxy, WATCH_READ);
            return;
        }
        watch_member(proxy, WATCH_READ);
        if (!proxy_is(proxy, PROXY_SEND_REQUEST) || !proxy_next_piece(proxy)) {
            return;
        }
    }
    /* The loop comes back for the rest, since the client's bytes are still there. */
    watch_member(proxy, WATCH_READ | WATCH_WRITE);
}

void proxy_connected(struct proxy *proxy, unsigned ready)
{
    (void)ready;
    int code = upstream_finish_connect(proxy->exchange->upstream);
    if (code < 0) {
        proxy_member_failed(proxy, outcome_of_connect(code), REASON_CONNECT_FAILED);
        return;
    }
    mark_connected(proxy);
    proxy_enter(proxy, PROXY_SEND_REQUEST);
    proxy_pump(proxy);
}

/* The member takes more, or it answers before it has heard all. */
void proxy_sending(struct proxy *proxy, unsigned ready)
{
    if ((ready & WATCH_READ) != 0) {
        proxy_read_answer(proxy, ready);
    }
    if ((ready & WATCH_WRITE) != 0 && proxy_is(proxy, PROXY_SEND_REQUEST) &&
        !proxy->exchange->write_failed) {
        proxy_pump(proxy);
    }
}
