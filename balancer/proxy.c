/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a proxy: states, deadlines, events. */
#include "proxy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "net/socket.h"
#include "net/tls.h"

enum { PROXY_MAGIC = 0x70726f78 };

#define LINGER_TIME (2 * USEC_PER_SEC)
/* A body is given this long before its rate counts: short ones have no rate to speak of. */
#define RATE_GRACE (10 * USEC_PER_SEC)

static void set_deadline(struct proxy *proxy, usec_t now);

/* ---- What happens when a state has lasted for too long ---- */

static void handshake_expired(struct proxy *proxy)
{
    proxy_close(proxy, REASON_TLS_TIMEOUT);
}

static void origin_expired(struct proxy *proxy)
{
    proxy_close(proxy, REASON_PROXY_HEADER);
}

static void idle_expired(struct proxy *proxy)
{
    proxy_close(proxy, proxy->requests == 0 ? REASON_NO_REQUEST : REASON_IDLE_TIMEOUT);
}

static void head_expired(struct proxy *proxy)
{
    proxy_refuse(proxy, REASON_HEAD_TIMEOUT, 0);
}

static enum reason slow_body_reason(const struct proxy *proxy)
{
    usec_t pause = worker_now(proxy->worker) - proxy->entered;
    return pause >= proxy->worker->rules->body ? REASON_BODY_TIMEOUT : REASON_BODY_TOO_SLOW;
}

static void body_expired(struct proxy *proxy)
{
    proxy_refuse(proxy, slow_body_reason(proxy), 0);
}

static void queue_expired(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    proxy_refuse(proxy, worker->without_member != 0 ? REASON_NO_MEMBER : REASON_QUEUE_TIMEOUT, 0);
}

static void connect_expired(struct proxy *proxy)
{
    proxy_member_failed(proxy, OUTCOME_UNREACHED, REASON_CONNECT_FAILED);
}

/* Either the member does not take the request, or the client does not send its body. */
static void send_expired(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if ((exchange->upstream->watch.interest & WATCH_WRITE) != 0) {
        proxy_member_failed(proxy, OUTCOME_SILENT, REASON_MEMBER_TIMEOUT);
    } else {
        proxy_leave_member(proxy, OUTCOME_NEUTRAL, false);
        proxy_refuse(proxy, slow_body_reason(proxy), 0);
    }
}

static void answer_expired(struct proxy *proxy)
{
    proxy_leave_member(proxy, OUTCOME_SILENT, false);
    proxy_refuse(proxy, REASON_MEMBER_TIMEOUT, 0);
}

static bool waits_for_reader(const struct proxy *proxy)
{
    const struct exchange *exchange = proxy->exchange;
    return (proxy_is(proxy, PROXY_RELAY_ANSWER) || proxy_is(proxy, PROXY_FLUSH)) &&
           (buffer_size(&exchange->out) > 0 || pipe_is_filled(&exchange->pipe));
}

static struct reader_rules reader_rules(const struct proxy *proxy)
{
    const struct rules *rules = proxy->worker->rules;
    return (struct reader_rules){.pause = rules->write, .min_rate = rules->body_min_rate};
}

/* What the client's side has acknowledged. (Of TLS, what is on its way is a little more.) */
static uint64_t taken_by_reader(const struct proxy *proxy)
{
    uint64_t unsent = socket_unsent(proxy->transport.fd);
    uint64_t written = proxy->exchange->bytes_out;
    return written > unsent ? written - unsent : 0;
}

static void judge_reader(struct proxy *proxy)
{
    usec_t now = worker_now(proxy->worker);
    const struct reader_rules rules = reader_rules(proxy);
    switch (reader_judge(&proxy->exchange->reader, &rules, taken_by_reader(proxy), now)) {
    case READER_GOES_ON:
        set_deadline(proxy, now);
        break;
    case READER_PAUSED:
        proxy_close(proxy, REASON_WRITE_TIMEOUT);
        break;
    case READER_TOO_SLOW:
        proxy_close(proxy, REASON_READER_TOO_SLOW);
        break;
    }
}

static void relay_expired(struct proxy *proxy)
{
    if (waits_for_reader(proxy)) {
        judge_reader(proxy);
    } else {
        proxy_close(proxy, REASON_ANSWER_STALLED);
    }
}

static void flush_expired(struct proxy *proxy)
{
    if (waits_for_reader(proxy)) {
        judge_reader(proxy);
    } else {
        proxy_close(proxy, REASON_WRITE_TIMEOUT);
    }
}

static void delay_expired(struct proxy *proxy)
{
    proxy_enter(proxy, PROXY_FLUSH);
    proxy_flush(proxy);
}

static void linger_expired(struct proxy *proxy)
{
    proxy_close(proxy, REASON_CLOSE_WANTED);
}

/* ---- The table ---- */

struct state {
    const char *name;
    uint32_t from; /* bits of the states it may be entered from */
    void (*client)(struct proxy *proxy);
    void (*member)(struct proxy *proxy, unsigned ready);
    void (*expired)(struct proxy *proxy);
};

#define FROM(id) (1u << PROXY_##id)
static const struct state states[] = {
#define STATE(id, name, from, client, member, expired) {name, from, client, member, expired},
#include "proxy_states.def"
#undef STATE
};
#undef FROM
static_assert(ARRAY_LEN(states) == PROXY_STATE_COUNT && PROXY_STATE_COUNT <= 32, "one row each");

/* When to look whether the body comes too slowly: after the longest pause, and when the average
 * rate would fall below the minimum if nothing more came. */
static usec_t body_deadline(const struct proxy *proxy, usec_t now)
{
    const struct rules *rules = proxy->worker->rules;
    const struct exchange *exchange = proxy->exchange;
    usec_t deadline = usec_add(now, rules->body);
    if (rules->body_min_rate > 0) {
        usec_t covered = (usec_t)(exchange->body_taken / rules->body_min_rate) * USEC_PER_SEC;
        usec_t least = covered > RATE_GRACE ? covered : RATE_GRACE;
        usec_t slow = usec_add(exchange->began, least);
        deadline = slow < deadline ? slow : deadline;
    }
    return deadline;
}

static usec_t send_deadline(const struct proxy *proxy, usec_t now)
{
    const struct exchange *exchange = proxy->exchange;
    if (exchange->upstream != NULL && (exchange->upstream->watch.interest & WATCH_WRITE) != 0) {
        return usec_add(now, proxy->worker->rules->response);
    }
    return exchange->body_done ? usec_add(now, proxy->worker->rules->response)
                               : body_deadline(proxy, now);
}

static usec_t answer_deadline(const struct proxy *proxy, usec_t now)
{
    const struct rules *rules = proxy->worker->rules;
    if (waits_for_reader(proxy)) {
        const struct reader_rules of_reader = reader_rules(proxy);
        return reader_deadline(&proxy->exchange->reader, &of_reader, now);
    }
    return usec_add(now, proxy_is(proxy, PROXY_FLUSH) ? rules->write : rules->response);
}

static usec_t proxy_deadline(const struct proxy *proxy, usec_t now)
{
    const struct rules *rules = proxy->worker->rules;
    const struct exchange *exchange = proxy->exchange;
    switch ((enum proxy_state)proxy->state) {
    case PROXY_HANDSHAKE:
        return usec_add(proxy->accepted, rules->tls);
    case PROXY_ORIGIN:
        return usec_add(proxy->accepted, rules->first_byte);
    case PROXY_IDLE:
        return usec_add(now, proxy->requests == 0 ? rules->first_byte : rules->idle);
    case PROXY_READ_HEAD:
        return usec_add(exchange->began, rules->head);
    case PROXY_READ_BODY:
        return body_deadline(proxy, now);
    case PROXY_QUEUE:
        return usec_add(exchange->queued, rules->queue);
    case PROXY_CONNECT:
        return usec_add(now, rules->connect);
    case PROXY_SEND_REQUEST:
        return send_deadline(proxy, now);
    case PROXY_AWAIT_ANSWER:
        return usec_add(now, rules->response);
    case PROXY_RELAY_ANSWER:
    case PROXY_FLUSH:
        return answer_deadline(proxy, now);
    case PROXY_DELAY:
        return usec_add(now,
                        (usec_t)worker_random(proxy->worker, (uint64_t)rules->refusal_delay + 1));
    case PROXY_LINGER:
        return usec_add(now, LINGER_TIME);
    case PROXY_NEW:
    case PROXY_CLOSED:
    case PROXY_STATE_COUNT:
        break;
    }
    return USEC_NEVER;
}

/* ---- Going from state to state ---- */

/* Whether something waits for the client, since when, and that it took something just now. */
static void note_reader(struct proxy *proxy, usec_t now)
{
    struct exchange *exchange = proxy->exchange;
    if (exchange == NULL) {
        return;
    }
    struct reader *reader = &exchange->reader;
    bool waits = waits_for_reader(proxy);
    if (waits && !reader_is_waited_for(reader)) {
        reader_begin(reader, reader_is_new(reader) ? taken_by_reader(proxy) : 0, now);
    } else if (!waits && reader_is_waited_for(reader)) {
        reader_end(reader, now);
    }
}

/* The timer stays where it is when it fires before the deadline anyway: it then only looks. Most
 * states end long before, so a request arms it about once. */
static void set_deadline(struct proxy *proxy, usec_t now)
{
    note_reader(proxy, now);
    proxy->deadline = proxy_deadline(proxy, now);
    if (!timer_is_armed(&proxy->timer) || proxy->timer.deadline > proxy->deadline) {
        loop_arm(proxy->worker->loop, &proxy->timer, proxy->deadline);
    }
}

static void join_lists(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    if (proxy_is(proxy, PROXY_IDLE)) {
        turn_list_push_back(&worker->idle, proxy);
        counter_add(worker->counters, COUNTER_IDLE, 1);
    } else if (proxy_is(proxy, PROXY_QUEUE)) {
        turn_list_push_back(&worker->queue, proxy);
        counter_add(worker->counters, COUNTER_QUEUED, 1);
    }
}

static void leave_lists(struct proxy *proxy)
{
    struct worker *worker = proxy->worker;
    if (proxy_is(proxy, PROXY_IDLE)) {
        turn_list_remove(&worker->idle, proxy);
        counter_add(worker->counters, COUNTER_IDLE, -1);
    } else if (proxy_is(proxy, PROXY_QUEUE)) {
        CHECK(proxy->exchange != NULL);
        turn_list_remove(&worker->queue, proxy);
        counter_add(worker->counters, COUNTER_QUEUED, -1);
        atomic_fetch_sub(&worker->shared->queued, 1);
        CHECK(proxy->exchange != NULL);
        proxy->exchange->queue_time += worker_now(worker) - proxy->entered;
    }
}

void proxy_enter(struct proxy *proxy, enum proxy_state state)
{
    usec_t now = worker_now(proxy->worker);
    CHECK((states[state].from >> proxy->state & 1) != 0);
    leave_lists(proxy);
    proxy->state = (uint8_t)state;
    proxy->entered = now;
    join_lists(proxy);
    set_deadline(proxy, now);
    log_debug("proxy", LOG_UINT("proxy", proxy->id), LOG_TEXT("state", states[state].name));
}

void proxy_extend(struct proxy *proxy)
{
    proxy->entered = worker_now(proxy->worker);
    if (proxy->exchange != NULL) {
        reader_moved(&proxy->exchange->reader, proxy->entered);
    }
    set_deadline(proxy, proxy->entered);
}

static void free_garbage(struct garbage *garbage)
{
    struct proxy *proxy = CONTAINER_OF(garbage, struct proxy, garbage);
    proxy->magic = 0;
    slab_free(&proxy->worker->proxy_memory, proxy);
}

static void drop_exchange(struct proxy *proxy)
{
    struct exchange *exchange = proxy->exchange;
    if (exchange != NULL) {
        proxy->exchange = NULL;
        pipe_give(&proxy->worker->pipes, &exchange->pipe);
        exchange_give(&proxy->worker->exchanges, exchange);
    }
}

static bool has_request(const struct proxy *proxy)
{
    return proxy->exchange != NULL &&
           (proxy->exchange->head_bytes > 0 || buffer_size(&proxy->exchange->input) > 0);
}

/* Nothing but the connection's end tells the client where this answer ends. */
static bool ends_with_connection(const struct exchange *exchange)
{
    enum http1_framing framing = exchange->response.head.framing;
    return exchange->is_answered && !exchange->answers_chunked &&
           (framing == HTTP1_BODY_CHUNKED || framing == HTTP1_BODY_UNTIL_CLOSE);
}

/* Whether the connection ends by a reset: a client whose answer was cut must not take an orderly
 * end for the answer's (those of TLS miss the goodbye), and one that does not read would keep
 * megabytes in the kernel. */
static bool ends_by_reset(const struct proxy *proxy, enum reason reason)
{
    if (reason == REASON_WRITE_TIMEOUT || reason == REASON_READER_TOO_SLOW) {
        return true;
    }
    return proxy->exchange != NULL && reason != REASON_CLOSE_WANTED && !proxy->is_tls &&
           ends_with_connection(proxy->exchange);
}

static void reset_at_close(const struct proxy *proxy)
{
    const struct linger at_once = {.l_onoff = 1};
    if (setsockopt(proxy->transport.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) {
        log_debug("no reset", LOG_UINT("proxy", proxy->id));
    }
}

void proxy_close(struct proxy *proxy, enum reason reason)
{
    struct worker *worker = proxy->worker;
    if (proxy_is(proxy, PROXY_CLOSED)) {
        return;
    }
    if (proxy->exchange != NULL && proxy->exchange->upstream != NULL) {
        proxy_leave_member(
            proxy, reason == REASON_ANSWER_STALLED ? OUTCOME_SILENT : OUTCOME_NEUTRAL, false);
    }
    if (has_request(proxy) && !proxy->is_recorded) {
        proxy_record(proxy, reason, 0);
    }
    if (ends_by_reset(proxy, reason)) {
        reset_at_close(proxy);
    }
    log_debug("proxy ends", LOG_UINT("proxy", proxy->id), LOG_TEXT("reason", reason_code(reason)));
    proxy_enter(proxy, PROXY_CLOSED);
    drop_exchange(proxy);
    loop_disarm(worker->loop, &proxy->timer);
    watch_forget(worker->loop, &proxy->watch);
    transport_close(&proxy->transport);
    proxy_list_remove(&worker->proxies, proxy);
    counter_add(worker->counters, COUNTER_CONNECTIONS, -1);
    shared_connection_gone(worker->shared, proxy->counted);
    proxy->garbage = (struct garbage){.free = NULL};
    loop_free_later(worker->loop, &proxy->garbage, free_garbage);
    worker_proxy_gone(worker);
}

void proxy_abort(struct proxy *proxy, enum reason reason)
{
    proxy_close(proxy, reason);
}

void proxy_finish_up(struct proxy *proxy)
{
    if (!proxy_is(proxy, PROXY_IDLE)) {
        return; /* the worker is stopping, so the answer in hand is the last */
    }
    /* A request may be on its way already; it is answered, not lost. */
    proxy_read_head(proxy);
    if (proxy_is(proxy, PROXY_IDLE)) {
        proxy_close(proxy, REASON_STOPPING);
    }
}

/* ---- Events ---- */

static void client_ready(struct watch *watch, unsigned ready)
{
    struct proxy *proxy =
        MAGIC_CAST(struct proxy, PROXY_MAGIC, CONTAINER_OF(watch, struct proxy, watch));
    (void)ready;
    states[proxy->state].client(proxy);
}

void proxy_member_ready(struct proxy *proxy, unsigned ready)
{
    states[proxy->state].member(proxy, ready);
}

static void look_at_deadline(struct timer *timer, usec_t now)
{
    struct proxy *proxy =
        MAGIC_CAST(struct proxy, PROXY_MAGIC, CONTAINER_OF(timer, struct proxy, timer));
    if (now < proxy->deadline) {
        loop_arm(proxy->worker->loop, timer, proxy->deadline);
    } else {
        states[proxy->state].expired(proxy);
    }
}

bool proxy_watch(struct proxy *proxy, unsigned interest)
{
    if (proxy->watch.interest == interest) {
        return true;
    }
    if (watch_set(proxy->worker->loop, &proxy->watch, interest) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
        return false;
    }
    return true;
}

bool proxy_watch_more(struct proxy *proxy)
{
    unsigned wants = proxy->transport.wants == 0 ? WATCH_READ : proxy->transport.wants;
    return proxy_watch(proxy, wants);
}

void proxy_drive(struct proxy *proxy)
{
    if (proxy->is_driving) {
        return;
    }
    proxy->is_driving = true;
    if (proxy_is(proxy, PROXY_READ_HEAD)) {
        proxy_continue_head(proxy);
    }
    while (proxy_is(proxy, PROXY_IDLE) && proxy->exchange != NULL &&
           buffer_size(&proxy->exchange->input) > 0) {
        proxy_continue_head(proxy);
    }
    proxy->is_driving = false;
}

/* ---- The beginning ---- */

void proxy_handshake(struct proxy *proxy)
{
    struct counter_shard *counters = proxy->worker->counters;
    switch (transport_handshake(&proxy->transport)) {
    case IO_OK:
        counter_count(counters, COUNTER_TLS_HANDSHAKES);
        if (tls_is_resumed(&proxy->transport)) {
            counter_count(counters, COUNTER_TLS_RESUMED);
        }
        proxy_enter(proxy, PROXY_IDLE);
        proxy_read_head(proxy);
        return;
    case IO_AGAIN:
        proxy_watch(proxy, transport_wants(&proxy->transport));
        return;
    default:
        log_debug("TLS handshake failed", LOG_UINT("proxy", proxy->id),
                  LOG_TEXT("why", transport_reason(&proxy->transport)));
        counter_count(counters, COUNTER_TLS_FAILURES);
        proxy_close(proxy, REASON_TLS_FAILED);
    }
}

static struct proxy *proxy_new(struct worker *worker, int fd, const struct address *peer)
{
    struct proxy *proxy = slab_calloc(&worker->proxy_memory);
    if (proxy == NULL) {
        return NULL;
    }
    proxy->magic = PROXY_MAGIC;
    proxy->worker = worker;
    proxy->id = ((uint64_t)worker->number << 48) | ++worker->connections_made;
    proxy->accepted = worker_now(worker);
    proxy->has_peer_ip = address_to_ip(peer, &proxy->peer);
    proxy->peer_port = address_port(peer);
    watch_init(&proxy->watch, fd, client_ready);
    timer_init(&proxy->timer, look_at_deadline);
    return proxy;
}

/* TLS, or HTTP at once. */
void proxy_begin(struct proxy *proxy)
{
    if (!proxy->is_tls) {
        proxy_enter(proxy, PROXY_IDLE);
        proxy_read_head(proxy);
    } else if (tls_accept(&proxy->transport, proxy->worker->tls, proxy->transport.fd) < 0) {
        proxy_close(proxy, REASON_NO_MEMORY);
    } else {
        proxy_enter(proxy, PROXY_HANDSHAKE);
        proxy_handshake(proxy);
    }
}

void proxy_start(struct worker *worker, int fd, const struct address *peer, bool is_tls,
                 struct counted_address counted)
{
    struct proxy *proxy = proxy_new(worker, fd, peer);
    if (proxy == NULL) {
        close(fd);
        shared_connection_gone(worker->shared, counted);
        return;
    }
    proxy->is_tls = is_tls;
    proxy->counted = counted;
    transport_init_plain(&proxy->transport, fd);
    proxy_list_push_back(&worker->proxies, proxy);
    counter_add(worker->counters, COUNTER_CONNECTIONS, 1);
    if (worker->rules->proxy_protocol && proxy->has_peer_ip &&
        rules_trust(worker->rules, &proxy->peer)) {
        proxy_enter(proxy, PROXY_ORIGIN);
        proxy_read_origin(proxy);
    } else {
        proxy_begin(proxy);
    }
}

/* ---- For the administration ---- */

void proxy_summarise(const struct proxy *proxy, struct proxy_summary *summary, struct address *peer)
{
    usec_t now = worker_now(proxy->worker);
    const struct exchange *exchange = proxy->exchange;
    proxy_peer_address(proxy, peer);
    *summary = (struct proxy_summary){
        .id = proxy->id,
        .state = states[proxy->state].name,
        .peer = peer,
        .is_tls = proxy->is_tls,
        .age = now - proxy->accepted,
        .in_state = now - proxy->entered,
        .requests = proxy->requests,
    };
    if (exchange != NULL && exchange->member != NULL) {
        summary->member = exchange->member->name;
    }
    if (exchange != NULL) {
        struct str head = buffer_view(&exchange->head);
        summary->request = str_first(head, str_find(head, '\r'));
    }
}
