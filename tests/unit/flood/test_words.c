/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <criterion/criterion.h>

static char text[WORDS_SIZE];

Test(words, durations_have_three_digits)
{
    static const struct {
        double us;
        const char *words;
    } cases[] = {{0, "0us"},         {7, "7us"},         {999.4, "999us"},  {999.6, "1.00ms"},
                 {1234, "1.23ms"},   {99960, "100ms"},   {12345, "12.3ms"}, {999600, "1.00s"},
                 {2500000, "2.50s"}, {100000000, "100s"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        words_duration(cases[i].us, text, sizeof text);
        cr_assert_str_eq(text, cases[i].words);
    }
}

Test(words, counts_have_their_thousands_apart)
{
    words_count(0, text, sizeof text);
    cr_assert_str_eq(text, "0");
    words_count(1234567, text, sizeof text);
    cr_assert_str_eq(text, "1,234,567");
    words_count(UINT64_MAX, text, sizeof text);
    cr_assert_str_eq(text, "18,446,744,073,709,551,615");
}

Test(words, bytes_and_spans_and_numbers_are_readable)
{
    words_bytes(1536, text, sizeof text);
    cr_assert_str_eq(text, "1.50 KiB");
    words_span(90 * USEC_PER_SEC, text, sizeof text);
    cr_assert_str_eq(text, "1m 30s");
    words_span(USEC_PER_SEC / 2, text, sizeof text);
    cr_assert_str_eq(text, "0.5s");
    words_number(12345.6, text, sizeof text);
    cr_assert_str_eq(text, "12,346");
    words_number(0.125, text, sizeof text);
    cr_assert_str_eq(text, "0.125");
    words_time(1700000000 * USEC_PER_SEC, text, sizeof text);
    cr_assert_str_eq(text, "2023-11-14 22:13:20 UTC");
}
