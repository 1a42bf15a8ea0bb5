/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"

Test(clock, units_are_microseconds)
{
    cr_assert_eq(USEC_PER_SEC, 1000 * USEC_PER_MSEC);
    cr_assert_eq(USEC_PER_DAY, 86400 * USEC_PER_SEC);
}

Test(clock, system_monotonic_never_goes_back)
{
    usec_t last = clock_monotonic(&clock_system);
    cr_assert_gt(last, 0);
    for (int i = 0; i < 10000; i++) {
        usec_t now = clock_monotonic(&clock_system);
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, system_wall_is_the_time_of_day)
{
    usec_t before = (usec_t)time(NULL) * USEC_PER_SEC;
    usec_t now = clock_wall(&clock_system);
    usec_t after = ((usec_t)time(NULL) + 2) * USEC_PER_SEC;
    cr_assert(before <= now && now <= after);
}

Test(clock, fake_stands_still_until_told)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 100, 1000000);
    cr_assert_eq(clock_monotonic(&fake.clock), 100);
    cr_assert_eq(clock_monotonic(&fake.clock), 100);
    cr_assert_eq(clock_wall(&fake.clock), 1000100);
    clock_fake_advance(&fake, 0);
    clock_fake_advance(&fake, 5);
    cr_assert_eq(clock_monotonic(&fake.clock), 105);
    cr_assert_eq(clock_wall(&fake.clock), 1000105);
}

Test(clock, fake_wall_time_may_jump_alone)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 100, 1000000);
    fake.epoch = -50;
    cr_assert_eq(clock_wall(&fake.clock), 50);
    cr_assert_eq(clock_monotonic(&fake.clock), 100);
}

Test(clock, fake_refuses_to_go_back, .signal = SIGABRT)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 100, 0);
    clock_fake_advance(&fake, -1);
}

Test(clock, a_deadline_beyond_the_end_of_time_never_comes)
{
    cr_assert_eq(usec_add(1, 2), 3);
    cr_assert_eq(usec_add(USEC_NEVER, 0), USEC_NEVER);
    cr_assert_eq(usec_add(USEC_NEVER, 1), USEC_NEVER);
    cr_assert_eq(usec_add(1, USEC_NEVER), USEC_NEVER);
    cr_assert_eq(usec_add(USEC_NEVER - 1, 1), USEC_NEVER);
    cr_assert_eq(usec_add(USEC_NEVER, USEC_NEVER), USEC_NEVER);
}
