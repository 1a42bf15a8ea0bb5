/* SPDX-License-Identifier: Apache-2.0 */
/* The clock rule at its edges. */
#include <criterion/criterion.h>

#include "wire/replay.h"

#define NOW ((usec_t)1790000000 * USEC_PER_SEC)

static void expect(uint64_t t, usec_t clock, bool fresh, bool stores, usec_t after)
{
    struct replay_verdict verdict = replay_judge(true, t, clock, NOW);
    cr_expect_eq(verdict.is_fresh, fresh);
    cr_expect_eq(verdict.stores_clock, stores);
    cr_expect_eq(verdict.clock, after);
}

Test(replay, newer_is_stored_older_within_the_hour_is_taken)
{
    expect(NOW, 0, true, true, NOW);
    expect(NOW, NOW - 5, true, true, NOW);
    expect(NOW, NOW, true, true, NOW);
    expect(NOW - 1, NOW, true, false, NOW);
    expect(NOW - REPLAY_WINDOW, NOW, true, false, NOW);
    expect(NOW - REPLAY_WINDOW - 1, NOW, false, false, NOW);
    expect(0, NOW, false, false, NOW);
}

Test(replay, a_clock_ahead_locks_nobody_out)
{
    usec_t ceiling = NOW + REPLAY_WINDOW;
    expect((uint64_t)(NOW + 400 * USEC_PER_DAY), NOW, true, true, ceiling);
    expect(UINT64_MAX, NOW, true, true, ceiling);
    /* Corrected, the agent is let in at once, even where an older program stored the future. */
    expect(NOW, ceiling, true, false, ceiling);
    expect(NOW, NOW + 400 * USEC_PER_DAY, true, false, NOW + 400 * USEC_PER_DAY);
}

Test(replay, no_timestamp_is_zero_and_stores_nothing)
{
    struct replay_verdict verdict = replay_judge(false, 0, 0, NOW);
    cr_expect(verdict.is_fresh && !verdict.stores_clock && verdict.clock == 0);
    verdict = replay_judge(false, 0, NOW, NOW);
    cr_expect(!verdict.is_fresh && !verdict.stores_clock && verdict.clock == NOW);
}
