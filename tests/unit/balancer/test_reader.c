/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include <criterion/criterion.h>

#define SECOND USEC_PER_SEC

static const struct reader_rules rules = {.pause = 30 * SECOND, .min_rate = 500};

Test(reader, who_takes_enough_goes_on)
{
    struct reader reader = {0};
    reader_begin(&reader, 70000, 100 * SECOND);
    for (usec_t i = 1; i <= 60; i++) {
        cr_assert_eq(reader_judge(&reader, &rules, 70000 + 501 * (uint64_t)i, (100 + i) * SECOND),
                     READER_GOES_ON, "after %d s", (int)i);
    }
}

Test(reader, who_takes_nothing_has_paused)
{
    struct reader reader = {0};
    reader_begin(&reader, 70000, 100 * SECOND);
    cr_expect_eq(reader_judge(&reader, &rules, 900000, 125 * SECOND), READER_GOES_ON);
    cr_expect_eq(reader_judge(&reader, &rules, 900000, 154 * SECOND), READER_GOES_ON);
    cr_expect_eq(reader_judge(&reader, &rules, 900000, 155 * SECOND), READER_PAUSED);
}

Test(reader, who_takes_too_little_is_too_slow_after_the_grace)
{
    struct reader reader = {0};
    reader_begin(&reader, 0, SECOND);
    cr_expect_eq(reader_judge(&reader, &rules, 10, 10 * SECOND), READER_GOES_ON);
    cr_expect_eq(reader_judge(&reader, &rules, 4999, 11 * SECOND), READER_TOO_SLOW);
    const struct reader_rules any = {.pause = 30 * SECOND};
    cr_expect_eq(reader_judge(&reader, &any, 4999, 11 * SECOND), READER_GOES_ON);
}

Test(reader, time_in_which_nothing_waited_does_not_count)
{
    struct reader reader = {0};
    reader_begin(&reader, 0, SECOND);
    reader_end(&reader, 9 * SECOND);
    cr_expect_not(reader_is_waited_for(&reader));
    /* An hour in which the member had nothing for it. */
    reader_begin(&reader, 12345, 3600 * SECOND);
    cr_expect_eq(reader_judge(&reader, &rules, 4499, 3600 * SECOND + SECOND), READER_GOES_ON);
    cr_expect_eq(reader_judge(&reader, &rules, 4499, 3600 * SECOND + 3 * SECOND), READER_TOO_SLOW);
}

Test(reader, is_looked_at_before_it_can_have_paused_for_too_long)
{
    struct reader reader = {0};
    const struct reader_rules short_pause = {.pause = 700 * USEC_PER_MSEC};
    reader_begin(&reader, 0, 100 * SECOND);
    cr_expect_eq(reader_deadline(&reader, &short_pause, 100 * SECOND),
                 100 * SECOND + 700 * USEC_PER_MSEC);
    usec_t look = reader_deadline(&reader, &rules, 100 * SECOND);
    cr_expect(look > 100 * SECOND && look < 110 * SECOND);
    reader_moved(&reader, 128 * SECOND);
    cr_expect_gt(reader_deadline(&reader, &rules, 129 * SECOND), 129 * SECOND);
}
