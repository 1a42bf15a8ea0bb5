/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "rules_of.h"

static void parse(struct exchange *exchange, const char *text)
{
    struct http1_refusal refusal;
    cr_assert_eq(buffer_append(&exchange->input, str_from(text)), 0);
    ssize_t len = http1_request_parse(&exchange->request, &exchange->limits,
                                      buffer_view(&exchange->input), &refusal);
    cr_assert_gt(len, 0);
    exchange->head_bytes = exchange->raw_at = (size_t)len;
}

Test(exchange, keeps_its_views_when_its_input_moves)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *exchange = exchange_take(&pool, rules);
    parse(exchange, "POST /a?b HTTP/1.1\r\nHost: h\r\nX: value\r\nContent-Length: 60000\r\n\r\n");
    cr_assert_eq(exchange_reserve_input(exchange, 60000), 0);
    memset(buffer_tail(&exchange->input), 'b', 60000);
    cr_assert(str_equal(exchange->request.method, STR("POST")));
    cr_assert(str_equal(exchange->request.target, STR("/a?b")));
    cr_assert(str_equal(exchange->request.host, STR("h")));
    cr_assert(str_equal(exchange->request.head.fields[1].name, STR("X")));
    cr_assert(str_equal(exchange->request.head.fields[1].value, STR("value")));
    exchange_give(&pool, exchange);
    exchange_pool_done(&pool);
    rules_unref(rules);
}

Test(exchange, bounds_what_a_client_may_send)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *exchange = exchange_take(&pool, rules);
    cr_assert_eq(exchange_reserve_input(exchange, 80 * 1024), 0);
    cr_assert_lt(exchange_reserve_input(exchange, 200 * 1024), 0);
    exchange_give(&pool, exchange);
    exchange_pool_done(&pool);
    rules_unref(rules);
}

Test(exchange, hands_what_was_read_ahead_to_the_next_request)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *exchange = exchange_take(&pool, rules);
    parse(exchange, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\n");
    exchange->retries = 3;
    exchange->closes = exchange->is_answered = true;
    exchange_next(exchange, rules);
    cr_assert(str_equal(buffer_view(&exchange->input), STR("GET /2 HTTP/1.1\r\n")));
    cr_assert_eq(exchange->head_bytes, 0);
    cr_assert_eq(exchange->retries, 0);
    cr_assert(!exchange->closes && !exchange->is_answered);
    exchange_give(&pool, exchange);
    exchange_pool_done(&pool);
    rules_unref(rules);
}

Test(exchange, is_used_again_and_found_empty)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *first = exchange_take(&pool, rules);
    parse(first, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    cr_assert_eq(buffer_append(&first->out, STR("x")), 0);
    first->tried.count = 2;
    exchange_give(&pool, first);
    struct exchange *second = exchange_take(&pool, rules);
    cr_assert_eq(second, first);
    cr_assert_eq(buffer_size(&second->input) + buffer_size(&second->out), 0);
    cr_assert_eq(second->tried.count, 0);
    cr_assert_eq(second->request.head.field_count, 0);
    exchange_give(&pool, second);
    exchange_pool_done(&pool);
    rules_unref(rules);
}

Test(exchange, frees_spare_ones_that_nobody_needed)
{
    enum { BURST = 20, USUAL = 3 };
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *taken[BURST];
    for (size_t i = 0; i < BURST; i++) {
        taken[i] = exchange_take(&pool, rules);
    }
    for (size_t i = 0; i < BURST; i++) {
        exchange_give(&pool, taken[i]);
    }
    exchange_pool_trim(&pool); /* the burst was needed until now */
    cr_assert_eq(pool.count, BURST);
    for (size_t i = 0; i < USUAL; i++) {
        taken[i] = exchange_take(&pool, rules);
    }
    for (size_t i = 0; i < USUAL; i++) {
        exchange_give(&pool, taken[i]);
    }
    exchange_pool_trim(&pool);
    cr_assert_eq(pool.count, USUAL);
    exchange_pool_done(&pool);
    cr_assert_eq(pool.count, 0);
    rules_unref(rules);
}

Test(exchange, does_not_keep_large_buffers)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *rules = RULES_OF("Balancer.threads=1");
    struct exchange *exchange = exchange_take(&pool, rules);
    cr_assert_eq(exchange_reserve_input(exchange, 64 * 1024), 0);
    exchange_give(&pool, exchange);
    cr_assert_eq(exchange->input.capacity, 0);
    exchange_pool_done(&pool);
    rules_unref(rules);
}

Test(exchange, follows_new_limits_of_fields)
{
    struct exchange_pool pool = {.count = 0};
    struct rules *few = RULES_OF("Balancer.max_fields=3");
    struct rules *many = RULES_OF("Balancer.max_fields=300");
    exchange_give(&pool, exchange_take(&pool, few));
    struct exchange *exchange = exchange_take(&pool, many);
    char text[8192] = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 200; i++) {
        strcat(text, "X: y\r\n");
    }
    strcat(text, "\r\n");
    parse(exchange, text);
    cr_assert_eq(exchange->request.head.field_count, 201);
    exchange_give(&pool, exchange);
    exchange_pool_done(&pool);
    rules_unref(few);
    rules_unref(many);
}
