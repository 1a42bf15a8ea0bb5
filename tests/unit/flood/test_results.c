/* SPDX-License-Identifier: Apache-2.0 */
#include "results.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct results *results;

static void setup(void)
{
    results = results_new();
}

static void teardown(void)
{
    results_free(results);
}

TestSuite(results, .init = setup, .fini = teardown);

Test(results, failures_of_one_kind_add_up)
{
    results_add_failures(results, "timeout", "no answer", 2);
    results_add_failures(results, "reset", "", 1);
    results_add_failures(results, "timeout", "no answer", 3);
    cr_assert_eq(results->failure_count, 2);
    cr_assert_eq(results_failures(results, STR("timeout")), 5);
    cr_assert_eq(results_failures(results, STR("unheard")), 0);
    cr_assert_eq(results_failed(results), 6);
}

Test(results, too_many_kinds_of_failure_share_the_last_one)
{
    for (int i = 0; i < 200; i++) {
        char name[24];
        snprintf(name, sizeof name, "kind-%d", i);
        results_add_failures(results, name, "", 1);
    }
    cr_assert_eq(results->failure_count, RESULTS_FAILURES_MAX);
    cr_assert_eq(results_failed(results), 200);
    cr_assert_eq(results_failures(results, STR("other")), 200 - RESULTS_FAILURES_MAX + 1);
}

Test(results, seconds_are_bounded)
{
    struct second second = {.ok = 1};
    for (int i = 0; i < RESULTS_SECONDS_MAX + 10; i++) {
        cr_assert_eq(results_add_second(results, &second), 0);
    }
    cr_assert_eq(results->second_count, RESULTS_SECONDS_MAX);
}

Test(results, the_first_reason_for_invalidity_stays)
{
    cr_assert(results->is_valid);
    results_invalidate(results, "late by %d ms", 3);
    results_invalidate(results, "something else");
    cr_assert(!results->is_valid);
    cr_assert_str_eq(results->invalid_reason, "late by 3 ms");
}

Test(results, every_total_is_found_by_its_name)
{
    for (size_t i = 0; i < total_count(); i++) {
        const struct total *total = total_at(i);
        cr_assert_eq(total_find(str_from(total->name)), total);
        total_set(&results->totals, total, i + 1);
    }
    cr_assert_eq(results->totals.planned, 1);
    cr_assert_eq(results->totals.tls_resumed, total_count());
    cr_assert_null(total_find(STR("nothing")));
}

Test(results, texts_are_cut_between_characters)
{
    char text[6];
    RUN_TEXT(text, "abcd\xc3\xa4");
    cr_assert_str_eq(text, "abcd");
    RUN_TEXT(text, "abc\xc3\xa4");
    cr_assert_str_eq(text, "abc\xc3\xa4");
    RUN_TEXT(text, NULL);
    cr_assert_str_eq(text, "");
}

Test(results, the_machine_is_described)
{
    run_describe_machine(&results->run);
    cr_assert(strstr(results->run.kernel, "Linux") != NULL);
    cr_assert_geq(results->run.cpus, 1);
    cr_assert_neq(results->run.host[0], '\0');
}
