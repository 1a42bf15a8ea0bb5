/* SPDX-License-Identifier: Apache-2.0 */
/* The plan is the seed's, and holds what was asked for. */
#include <criterion/criterion.h>

#include "schedule.h"

static uint64_t hash_of(struct arrivals arrivals)
{
    uint64_t hash = 0;
    usec_t at;
    while ((at = arrivals_peek(&arrivals)) != USEC_NEVER) {
        hash = schedule_mix(hash, (uint64_t)at);
        arrivals_advance(&arrivals);
    }
    return hash;
}

static size_t count_of(struct arrivals arrivals)
{
    while (arrivals_peek(&arrivals) != USEC_NEVER) {
        arrivals_advance(&arrivals);
    }
    return arrivals.number;
}

Test(schedule, the_same_seed_makes_the_same_plan)
{
    struct arrivals arrivals = {.seed = 5, .from = 1000, .to = 1000, .duration = 3 * USEC_PER_SEC};
    uint64_t first = hash_of(arrivals);
    cr_expect_eq(hash_of(arrivals), first);
    arrivals.seed = 6;
    cr_expect_neq(hash_of(arrivals), first);
}

Test(schedule, a_constant_rate_has_exactly_its_number)
{
    const struct arrivals arrivals = {
        .seed = 1, .from = 250, .to = 250, .duration = 4 * USEC_PER_SEC};
    cr_expect_eq(count_of(arrivals), 1000);
}

Test(schedule, a_ramp_has_the_number_of_its_mean)
{
    const struct arrivals up = {.seed = 1, .from = 0, .to = 200, .duration = 10 * USEC_PER_SEC};
    const struct arrivals down = {.seed = 1, .from = 200, .to = 0, .duration = 10 * USEC_PER_SEC};
    cr_expect(count_of(up) >= 999 && count_of(up) <= 1000, "%zu", count_of(up));
    cr_expect(count_of(down) >= 999 && count_of(down) <= 1000, "%zu", count_of(down));
}

Test(schedule, a_ramp_is_where_its_integral_says)
{
    struct arrivals up = {.seed = 9, .from = 0, .to = 2000, .duration = 10 * USEC_PER_SEC};
    size_t early = 0;
    while (arrivals_peek(&up) < 5 * USEC_PER_SEC) {
        early++;
        arrivals_advance(&up);
    }
    cr_expect(early >= 2499 && early <= 2501, "a quarter comes in the first half, not %zu", early);
}

Test(schedule, arrivals_are_in_order_and_in_their_slots)
{
    struct arrivals arrivals = {.seed = 2, .from = 100, .to = 100, .duration = 5 * USEC_PER_SEC};
    usec_t before = 0;
    for (usec_t i = 0; i < 500; i++) {
        usec_t at = arrivals_peek(&arrivals);
        cr_assert(at >= before && at >= i * 10000 - 1 && at <= (i + 1) * 10000);
        before = at;
        arrivals_advance(&arrivals);
    }
}

Test(schedule, draws_are_spread_evenly)
{
    int low = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        double draw = schedule_draw(11, i);
        cr_assert(draw >= 0 && draw < 1);
        low += draw < 0.25;
    }
    cr_expect(low > 2300 && low < 2700, "%d of 10000 in the first quarter", low);
}

Test(schedule, no_rate_has_no_arrivals)
{
    const struct arrivals arrivals = {.seed = 2, .duration = USEC_PER_SEC};
    cr_expect_eq(arrivals_peek(&arrivals), USEC_NEVER);
}
