/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static struct histogram histogram, other, third;

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

Test(histogram, an_empty_one_says_zero)
{
    cr_assert_eq(histogram_count(&histogram), 0);
    cr_assert_eq(histogram_quantile(&histogram, 0.99), 0);
    cr_assert_eq(histogram_min(&histogram), 0);
    cr_assert_eq(histogram_max(&histogram), 0);
    cr_assert_eq(histogram_mean(&histogram), 0);
}

Test(histogram, every_value_is_within_one_percent_from_one_microsecond_to_a_hundred_seconds)
{
    for (double value = 1; value <= 1e8; value *= 1.0007) {
        usec_t exact = (usec_t)value;
        histogram_clear(&histogram);
        histogram_record(&histogram, exact);
        histogram_record(&histogram, 1);         /* so that min and max do not help */
        histogram_record(&histogram, 100000000); /* of three, the middle one is asked for */
        usec_t told = histogram_quantile(&histogram, 0.5);
        cr_assert_lt(fabs((double)(told - exact)), 0.004 * (double)exact + 0.5, "%ld told as %ld",
                     (long)exact, (long)told);
    }
}

static int compare_longs(const void *a, const void *b)
{
    return (*(const long *)a > *(const long *)b) - (*(const long *)a < *(const long *)b);
}

Test(histogram, quantiles_agree_with_the_sorted_values)
{
    enum { COUNT = 10001 };
    static const double quantiles[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999};
    static long values[COUNT];
    uint64_t state = 7;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (long)exp((double)(draw(&state) % 100000) / 100000 * 16);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare_longs);
    usec_t told[6];
    histogram_quantiles(&histogram, quantiles, 6, told);
    for (size_t i = 0; i < 6; i++) {
        long exact = values[(size_t)ceil(quantiles[i] * COUNT) - 1];
        cr_assert_lt(fabs((double)(told[i] - exact)), 0.01 * (double)exact + 0.5, "q%g: %ld, %ld",
                     quantiles[i], exact, (long)told[i]);
    }
    cr_assert_eq(histogram_min(&histogram), values[0]);
    cr_assert_eq(histogram_quantile(&histogram, 1), values[COUNT - 1]);
}

Test(histogram, a_quantile_of_a_round_count_is_not_one_too_high)
{
    for (int i = 1; i <= 1000; i++) {
        histogram_record(&histogram, i <= 999 ? 10 : 200);
    }
    cr_assert_eq(histogram_quantile(&histogram, 0.999), 10);
    cr_assert_eq(histogram_quantile(&histogram, 0.9991), 200);
}

Test(histogram, what_is_too_long_counts_in_the_last_bucket_and_keeps_its_maximum)
{
    histogram_record(&histogram, 5);
    histogram_record(&histogram, 3600 * USEC_PER_SEC);
    cr_assert_eq(histogram_count(&histogram), 2);
    cr_assert_eq(histogram_max(&histogram), 3600 * USEC_PER_SEC);
    cr_assert_eq(histogram_bucket_of(3600 * USEC_PER_SEC), histogram_bucket_of(HISTOGRAM_MAX));
}

Test(histogram, negative_durations_count_as_zero)
{
    histogram_record(&histogram, -5);
    cr_assert_eq(histogram_count(&histogram), 1);
    cr_assert_eq(histogram_min(&histogram), 0);
    cr_assert_eq(histogram_max(&histogram), 0);
}

Test(histogram, buckets_follow_each_other_without_gaps)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        struct histogram_bucket bucket = histogram_bucket(&histogram, i);
        if (bucket.from <= HISTOGRAM_MAX) {
            cr_assert_eq(histogram_bucket_of(bucket.from), i);
            cr_assert(bucket.to > HISTOGRAM_MAX || histogram_bucket_of(bucket.to - 1) == i);
        }
        cr_assert(i == 0 || histogram_bucket(&histogram, i - 1).to == bucket.from);
    }
}

Test(histogram, merging_is_as_recording_all_into_one)
{
    uint64_t state = 3;
    for (int i = 0; i < 5000; i++) {
        usec_t value = (usec_t)(draw(&state) % 1000000);
        histogram_record(i % 2 == 0 ? &histogram : &other, value);
        histogram_record(&third, value);
    }
    histogram_merge(&histogram, &other);
    cr_assert_eq(memcmp(&histogram, &third, sizeof third), 0);
}

Test(histogram, a_difference_is_what_came_between)
{
    histogram_record(&histogram, 100);
    histogram_record(&histogram, 90000);
    histogram_merge(&other, &histogram);
    histogram_record(&histogram, 2000);
    histogram_record(&histogram, 3000);
    histogram_difference(&histogram, &other, &third);
    cr_assert_eq(histogram_count(&third), 2);
    cr_assert_float_eq((double)histogram_min(&third), 2000, 16);
    cr_assert_float_eq((double)histogram_max(&third), 3000, 32);
    cr_assert_float_eq(histogram_mean(&third), 2500, 1);
}

Test(histogram, counts_up_to_a_limit)
{
    for (int i = 1; i <= 100; i++) {
        histogram_record(&histogram, i);
    }
    cr_assert_eq(histogram_count_to(&histogram, 40), 40);
}

static void *record_many(void *unused)
{
    for (int i = 0; i < 200000; i++) {
        histogram_record(&histogram, i % 5000);
    }
    return unused;
}

Test(histogram, may_be_merged_while_its_thread_records)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, record_many, NULL), 0);
    uint64_t last = 0;
    for (int i = 0; i < 50; i++) {
        histogram_clear(&other);
        histogram_merge(&other, &histogram);
        uint64_t count = histogram_count(&other);
        cr_assert_geq(count, last);
        last = count;
    }
    pthread_join(thread, NULL);
    cr_assert_eq(histogram_count(&histogram), 200000);
}
