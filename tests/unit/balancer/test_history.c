/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "fake_balancer.h"
#include "history.h"
#include "records.h"

static struct balancer *balancer;
static struct clock_fake timepiece;
static struct history *history;

static void set_up(void)
{
    clock_fake_init(&timepiece, USEC_PER_SEC, 0);
    balancer = fake_balancer_new(&timepiece.clock);
    history = history_new(balancer);
    cr_assert_not_null(history);
}

static void tear_down(void)
{
    history_free(history);
    fake_balancer_free(balancer);
}

TestSuite(history, .init = set_up, .fini = tear_down, .timeout = 60);

static void pass(int samples)
{
    for (int i = 0; i < samples; i++) {
        clock_fake_advance(&timepiece, HISTORY_PERIOD);
        cr_assert_eq(loop_turn(balancer->loop, 0), 0);
    }
}

/* Requests to the first member, each with a wait of 700 us. */
static void count(unsigned requests, unsigned status, enum reason reason)
{
    for (unsigned i = 0; i < requests; i++) {
        struct record record = {.request_id = "",
                                .status = status,
                                .reason = reason,
                                .member = &balancer->members[0],
                                .wait = 700,
                                .total = 800};
        counters_record(balancer->shard, &record);
    }
}

static struct history_member look_at(size_t member)
{
    struct history_member recent;
    size_t from = 0;
    history_member(history, &balancer->members[member], &from, &recent);
    return recent;
}

Test(history, begins_with_one_sample)
{
    cr_expect_eq(history_at(history, 0)->at, USEC_PER_SEC);
    cr_expect_null(history_at(history, 1));
}

Test(history, samples_are_counters_as_they_stood)
{
    count(3, 200, REASON_NONE);
    count(2, 502, REASON_CONNECT_FAILED);
    count(1, 503, REASON_STOPPING);
    pass(1);
    count(10, 200, REASON_NONE);
    pass(1);
    const struct history_sample *now = history_at(history, 0);
    const struct history_sample *before = history_at(history, 1);
    cr_expect_eq(before->requests, 6);
    cr_expect_eq(before->errors, 3);
    cr_expect_eq(before->refused, 2, "an ordinary end is none");
    cr_expect_eq(now->requests, 16);
    cr_expect_eq(now->at - before->at, HISTORY_PERIOD);
    cr_expect_eq(history_at(history, 2)->requests, 0);
}

Test(history, forgets_what_is_older_than_five_minutes)
{
    pass(HISTORY_SAMPLES + 20);
    cr_expect_not_null(history_at(history, HISTORY_SAMPLES - 1));
    cr_expect_null(history_at(history, HISTORY_SAMPLES));
    cr_expect_eq(history_at(history, 0)->at - history_at(history, HISTORY_SAMPLES - 1)->at,
                 (HISTORY_SAMPLES - 1) * HISTORY_PERIOD);
}

Test(history, members_are_looked_back_on_for_a_minute_at_most)
{
    count(7, 200, REASON_NONE);
    cr_expect_eq(look_at(0).requests, 7);
    cr_expect_eq(look_at(1).requests, 0);
    cr_expect_eq(metrics_quantile(look_at(0).waits, 1), 1000, "the bound of its bucket");
    pass(14);
    cr_expect_eq(look_at(0).requests, 7, "half a minute later");
    pass(31);
    cr_expect_eq(look_at(0).requests, 0, "a minute and a half later");
    count(2, 200, REASON_NONE);
    cr_expect_eq(look_at(0).requests, 2);
}

Test(history, members_that_came_or_moved_are_found)
{
    count(5, 200, REASON_NONE);
    pass(46);
    struct member first = balancer->members[0];
    balancer->members[0].id = 77; /* another one, which took over the counters */
    cr_expect_eq(look_at(0).requests, 5, "nothing is known of before");
    balancer->members[2].id = first.id;
    balancer->members[2].counters = first.counters;
    cr_expect_eq(look_at(2).requests, 0);
}
