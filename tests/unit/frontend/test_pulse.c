/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <criterion/criterion.h>

#define PATIENCE (10 * USEC_PER_SEC)

Test(pulse, an_idle_one_is_alive)
{
    struct pulse pulse = {0};
    for (usec_t now = 1; now < USEC_PER_HOUR; now += USEC_PER_MINUTE) {
        cr_expect(pulse_beats(&pulse, 7, false, now, PATIENCE));
    }
}

Test(pulse, who_finishes_things_is_alive_however_much_there_is)
{
    struct pulse pulse = {0};
    for (uint64_t i = 1; i < 100; i++) {
        cr_expect(pulse_beats(&pulse, i, true, (usec_t)i * PATIENCE, PATIENCE));
    }
}

Test(pulse, who_is_at_one_thing_for_too_long_is_not)
{
    struct pulse pulse = {0};
    cr_expect(pulse_beats(&pulse, 1, true, PATIENCE, PATIENCE));
    cr_expect(pulse_beats(&pulse, 1, true, 2 * PATIENCE, PATIENCE));
    cr_expect_not(pulse_beats(&pulse, 1, true, 2 * PATIENCE + 1, PATIENCE));
    cr_expect_not(pulse_beats(&pulse, 1, true, 9 * PATIENCE, PATIENCE));
    /* It was slow, not dead. */
    cr_expect(pulse_beats(&pulse, 2, true, 10 * PATIENCE, PATIENCE));
}

Test(pulse, time_without_work_does_not_count)
{
    struct pulse pulse = {0};
    cr_expect(pulse_beats(&pulse, 1, true, 1, PATIENCE));
    cr_expect(pulse_beats(&pulse, 1, false, 100 * PATIENCE, PATIENCE));
    cr_expect(pulse_beats(&pulse, 1, true, 101 * PATIENCE, PATIENCE));
}
