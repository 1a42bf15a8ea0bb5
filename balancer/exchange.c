/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges: made, emptied, kept. */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>

enum {
    SPARE_MAX = 64,
    INPUT_AT_FIRST = 4 * 1024, /* a head and a usual poll */
    KEPT_BYTES = 16 * 1024,    /* buffers that grew beyond this are not kept */
    ANSWER_BYTES = 64 * 1024,
    HEAD_EXTRA = 2 * 1024, /* what we add to a head at most */
    /* How far a client may send ahead of what we look at. */
    AHEAD_BYTES = 16 * 1024,
};

/* Only what a new request must find empty; buffers and fields keep their memory. */
static void clear(struct exchange *exchange)
{
    exchange->head_bytes = exchange->body_bytes = exchange->raw_at = exchange->sent = 0;
    buffer_clear(&exchange->head);
    buffer_clear(&exchange->answer);
    buffer_clear(&exchange->out);
    http1_request_init(&exchange->request, exchange->fields);
    exchange->body_left = exchange->body_taken = 0;
    exchange->answer_left = exchange->answer_relayed = 0;
    exchange->way = BODY_WHOLE;
    exchange->body_done = exchange->answers_chunked = exchange->may_repeat = false;
    exchange->was_delivered = exchange->is_answered = exchange->closes = false;
    exchange->wrote_continue = exchange->is_early = false;
    exchange->reason = REASON_NONE;
    exchange->offset = exchange->lingered = 0;
    exchange->own_status = 0;
    exchange->wants_fresh = exchange->write_failed = exchange->is_head_sent = false;
    exchange->interim = exchange->retries = exchange->prefix_len = 0;
    exchange->suffix = str_make(NULL, 0);
    exchange->last_failure = REASON_NONE;
    exchange->upstream = NULL;
    exchange->tried.count = 0;
    exchange->began = exchange->received = exchange->queued = exchange->asked = 0;
    exchange->answered = exchange->queue_time = exchange->connect_time = 0;
    exchange->bytes_in = exchange->bytes_out = 0;
    exchange->reader = (struct reader){.since = 0};
    member_unref(exchange->member);
    exchange->member = NULL;
    exchange->request_id[0] = exchange->client[0] = '\0';
    exchange->client_name = str_make(NULL, 0);
}

static void apply_rules(struct exchange *exchange, const struct rules *rules)
{
    exchange->limits = rules->request_limits;
    exchange->answer_limits = rules->response_limits;
    exchange->buffer_bytes = rules->buffer_bytes;
    exchange->input.max = rules->request_limits.head_bytes + rules->buffer_bytes + AHEAD_BYTES;
    exchange->head.max = rules->request_limits.head_bytes + HEAD_EXTRA;
    exchange->answer.max = rules->response_limits.head_bytes + ANSWER_BYTES;
    exchange->out.max = exchange->answer.max + HEAD_EXTRA;
}

static void exchange_free(struct exchange *exchange)
{
    member_unref(exchange->member);
    buffer_done(&exchange->input);
    buffer_done(&exchange->head);
    buffer_done(&exchange->answer);
    buffer_done(&exchange->out);
    free(exchange->fields);
    free(exchange);
}

static struct exchange *exchange_new(const struct rules *rules)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        return NULL;
    }
    apply_rules(exchange, rules);
    exchange->fields = calloc(exchange->limits.fields, sizeof *exchange->fields);
    if (exchange->fields == NULL || buffer_reserve(&exchange->input, INPUT_AT_FIRST) < 0) {
        exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

/* Spare ones have the number of fields of the rules they were made for. */
static bool fits(const struct exchange *exchange, const struct rules *rules)
{
    return exchange->limits.fields == rules->request_limits.fields;
}

struct exchange *exchange_take(struct exchange_pool *pool, const struct rules *rules)
{
    struct exchange *exchange = pool->spare;
    if (exchange != NULL) {
        pool->spare = exchange->next;
        pool->count--;
        pool->unused = pool->count < pool->unused ? pool->count : pool->unused;
        if (!fits(exchange, rules)) {
            exchange_free(exchange);
            exchange = NULL;
        } else {
            apply_rules(exchange, rules);
        }
    }
    if (exchange == NULL) {
        exchange = exchange_new(rules);
    }
    if (exchange != NULL) {
        buffer_clear(&exchange->input);
        http1_request_init(&exchange->request, exchange->fields);
    }
    return exchange;
}

static void trim(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES) {
        size_t max = buffer->max;
        buffer_done(buffer);
        buffer_init(buffer, max);
    }
}

void exchange_give(struct exchange_pool *pool, struct exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    if (pool->count >= SPARE_MAX) {
        exchange_free(exchange);
        return;
    }
    clear(exchange);
    trim(&exchange->input);
    trim(&exchange->head);
    trim(&exchange->answer);
    trim(&exchange->out);
    exchange->next = pool->spare;
    pool->spare = exchange;
    pool->count++;
}

static void drop_spare(struct exchange_pool *pool)
{
    struct exchange *exchange = pool->spare;
    pool->spare = exchange->next;
    pool->count--;
    exchange_free(exchange);
}

void exchange_pool_trim(struct exchange_pool *pool)
{
    for (; pool->unused > 0; pool->unused--) {
        drop_spare(pool);
    }
    pool->unused = pool->count;
}

void exchange_pool_done(struct exchange_pool *pool)
{
    while (pool->spare != NULL) {
        drop_spare(pool);
    }
}

void exchange_next(struct exchange *exchange, const struct rules *rules)
{
    buffer_consume(&exchange->input, exchange->raw_at);
    clear(exchange);
    if (fits(exchange, rules)) {
        apply_rules(exchange, rules);
    }
}

int exchange_reserve_input(struct exchange *exchange, size_t n)
{
    if (buffer_room(&exchange->input) >= n) {
        return 0;
    }
    int code = buffer_reserve(&exchange->input, n);
    if (code == 0 && exchange->head_bytes > 0) {
        http1_request_move(&exchange->request, exchange->head_bytes,
                           buffer_view(&exchange->input).data);
    }
    return code;
}
