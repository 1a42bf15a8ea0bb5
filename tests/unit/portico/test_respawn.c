/* SPDX-License-Identifier: Apache-2.0 */
#include "respawn.h"

#include <criterion/criterion.h>

static struct respawn respawn;

Test(respawn, delays_double)
{
    usec_t now = 1000;
    for (int i = 0; i < RESPAWN_ENDS_MAX - 1; i++) {
        cr_expect_eq(respawn_after_end(&respawn, 0, now), RESPAWN_DELAY << i);
        now += USEC_PER_SEC;
    }
}

Test(respawn, the_fifth_end_within_the_window_is_the_last)
{
    usec_t now = 1000;
    for (int i = 0; i < RESPAWN_ENDS_MAX - 1; i++) {
        cr_expect_geq(respawn_after_end(&respawn, 0, now), 0);
        now += RESPAWN_WINDOW / RESPAWN_ENDS_MAX;
    }
    cr_expect_lt(respawn_after_end(&respawn, 0, now), 0);
}

Test(respawn, ends_that_are_far_apart_are_forgiven)
{
    usec_t now = 1000;
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(respawn_after_end(&respawn, 0, now), RESPAWN_DELAY);
        now += RESPAWN_WINDOW;
    }
}

Test(respawn, just_outside_the_window_is_not_too_often)
{
    usec_t now = 1000;
    for (int i = 0; i < 100; i++) {
        cr_expect_geq(respawn_after_end(&respawn, 0, now), 0, "end %d", i);
        now += RESPAWN_WINDOW / (RESPAWN_ENDS_MAX - 1);
    }
}

Test(respawn, who_was_well_begins_anew)
{
    usec_t now = 1000;
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(respawn_after_end(&respawn, RESPAWN_WELL, now), RESPAWN_DELAY, "end %d", i);
        now += RESPAWN_WELL;
    }
}

Test(respawn, who_served_for_a_moment_only_was_not_well)
{
    usec_t now = 1000;
    for (int i = 0; i < RESPAWN_ENDS_MAX - 1; i++) {
        cr_expect_geq(respawn_after_end(&respawn, RESPAWN_WELL - 1, now), 0);
        now += RESPAWN_WELL;
    }
    cr_expect_lt(respawn_after_end(&respawn, RESPAWN_WELL - 1, now), 0);
}
