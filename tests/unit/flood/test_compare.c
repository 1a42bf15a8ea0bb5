/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "sample.h"

static struct results *a, *b;
static struct comparison comparison, again;

static void teardown(void)
{
    results_free(a);
    results_free(b);
}

TestSuite(compare, .fini = teardown);

static const struct difference *row(const char *name)
{
    for (size_t i = 0; i < comparison.count; i++) {
        if (strcmp(comparison.rows[i].name, name) == 0) {
            return &comparison.rows[i];
        }
    }
    cr_assert_fail("no row %s", name);
    return NULL;
}

static void compare(double rate, double slowness)
{
    a = sample_results(60, 400, 1, 1);
    b = sample_results(60, rate, slowness, 2);
    compare_results(a, b, &comparison);
}

Test(compare, two_runs_of_the_same_differ_by_no_more_than_noise)
{
    compare(400, 1);
    cr_assert_eq(row("rate")->verdict, DIFFERENCE_NOISE);
    cr_assert_eq(row("latency p50")->verdict, DIFFERENCE_NOISE);
    cr_assert_eq(row("latency p99")->verdict, DIFFERENCE_NOISE);
    cr_assert_eq(row("errors")->verdict, DIFFERENCE_NOISE);
}

Test(compare, a_higher_rate_is_better_and_a_longer_latency_worse)
{
    compare(480, 2);
    cr_assert_eq(row("rate")->verdict, DIFFERENCE_BETTER);
    cr_assert_float_eq(row("rate")->relative, 0.2, 0.02);
    cr_assert(row("rate")->low > 0.1 && row("rate")->high < 0.3);
    cr_assert_eq(row("latency p50")->verdict, DIFFERENCE_WORSE);
    cr_assert_float_eq(row("latency p50")->relative, 1, 0.1);
}

Test(compare, a_lower_latency_is_better)
{
    compare(400, 0.4);
    cr_assert_eq(row("latency p50")->verdict, DIFFERENCE_BETTER);
}

Test(compare, the_same_files_always_give_the_same)
{
    compare(410, 1.1);
    compare_results(a, b, &again);
    cr_assert_eq(row("rate")->low, again.rows[0].low);
    cr_assert_eq(row("rate")->high, again.rows[0].high);
}

Test(compare, seconds_that_were_not_measured_do_not_count)
{
    a = sample_results(60, 400, 1, 1);
    b = sample_results(60, 400, 1, 2);
    for (size_t i = 0; i < 20; i++) {
        b->seconds[i].p50 = b->seconds[i].p99 = USEC_PER_SEC;
    }
    compare_results(a, b, &comparison);
    cr_expect_gt(row("latency p50")->high - row("latency p50")->low, 1);
    b->phase_count = 2;
    b->phases[0] = (struct phase_result){.duration = 20 * USEC_PER_SEC};
    b->phases[1] = (struct phase_result){
        .begin = 20 * USEC_PER_SEC, .duration = 40 * USEC_PER_SEC, .is_measured = true};
    compare_results(a, b, &comparison);
    cr_expect_lt(row("latency p50")->high - row("latency p50")->low, 0.5);
}

Test(compare, short_runs_have_no_interval)
{
    a = sample_results(8, 100, 1, 1);
    b = sample_results(8, 200, 1, 2);
    compare_results(a, b, &comparison);
    cr_assert_eq(row("rate")->verdict, DIFFERENCE_UNKNOWN);
    cr_assert(isnan(row("rate")->low));
    cr_assert_float_eq(row("rate")->relative, 1, 0.1);
}

Test(compare, empty_results_are_no_trouble)
{
    a = results_new();
    b = results_new();
    compare_results(a, b, &comparison);
    cr_assert_eq(row("rate")->verdict, DIFFERENCE_UNKNOWN);
}

Test(compare, what_makes_runs_hard_to_compare_is_said)
{
    char *text = NULL;
    size_t size;
    compare(480, 1);
    RUN_TEXT(b->run.host, "elsewhere");
    results_invalidate(b, "late");
    FILE *out = open_memstream(&text, &size);
    comparison_print(&comparison, a, b, out);
    fclose(out);
    cr_assert(strstr(text, "caution: the host differs: example, elsewhere\n") != NULL, "%s", text);
    cr_assert(strstr(text, "caution: B is no valid run: late\n") != NULL);
    cr_assert(strstr(text, "moving-block bootstrap") != NULL);
    cr_assert(strstr(text, " better\n") != NULL);
    free(text);
}
