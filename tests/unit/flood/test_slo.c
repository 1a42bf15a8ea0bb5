/* SPDX-License-Identifier: Apache-2.0 */
#include "slo.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

static struct results *results;
static struct slo slo;
static struct error error;
static struct slo_outcome outcomes[SLO_CLAUSES_MAX];

static void setup(void)
{
    results = results_new();
    for (int i = 1; i <= 1000; i++) {
        histogram_record(&results->latency, i * 10);
    }
    results->totals.ok = 1000;
    results->run.duration = 2 * USEC_PER_SEC;
    results_add_failures(results, "timeout", "", 3);
}

static void teardown(void)
{
    results_free(results);
}

TestSuite(slo, .init = setup, .fini = teardown);

static enum slo_verdict verdict_of(const char *text)
{
    cr_assert_eq(slo_parse(str_from(text), NULL, &slo, &error), 0, "%s: %s", text, error.message);
    return slo_evaluate(&slo, results, outcomes);
}

Test(slo, clauses_are_held_against_results)
{
    static const struct {
        const char *text;
        enum slo_verdict verdict;
    } cases[] = {
        {"p50<6ms", SLO_MET},
        {"p50<4ms", SLO_MISSED},
        {"p99.9<=10ms", SLO_MET},
        {"max=10ms", SLO_MET},
        {"max<10ms", SLO_MISSED},
        {"min>=10us", SLO_MET},
        {"mean<5.1ms", SLO_MET},
        {"rate>=500", SLO_MET},
        {"rate>0.5k", SLO_MISSED},
        {"errors=3", SLO_MET},
        {"errors==0", SLO_MISSED},
        {"errors!=0", SLO_MET},
        {"errors.timeout<=3", SLO_MET},
        {"errors.reset=0", SLO_MET},
        {"error_rate<0.3%", SLO_MET},
        {"error_rate<0.2%", SLO_MISSED},
        {"ok>=1k", SLO_MET},
        {"lost=0", SLO_UNKNOWN},
        {"late_p99<1ms", SLO_UNKNOWN},
        {" p50 < 6ms , rate >= 500 ", SLO_MET},
        {"p50<6ms,rate>=501", SLO_MISSED},
        {"lost=0,rate>=501", SLO_MISSED},
        {"rate>=501,lost=0", SLO_MISSED},
        {"rate>=1,lost=0", SLO_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_eq(verdict_of(cases[i].text), cases[i].verdict, "%s", cases[i].text);
    }
}

Test(slo, the_ledger_counts_once_it_was_checked)
{
    results->ledger_is_checked = true;
    cr_assert_eq(verdict_of("lost=0,duplicated=0"), SLO_MET);
    results->totals.messages_lost = 1;
    cr_assert_eq(verdict_of("lost=0"), SLO_MISSED);
}

Test(slo, an_invalid_run_is_not_judged)
{
    results_invalidate(results, "late");
    cr_assert_eq(verdict_of("errors=0"), SLO_UNKNOWN);
}

Test(slo, mistakes_are_told_with_their_place_and_a_suggestion)
{
    static const struct {
        const char *text;
        unsigned column;
        const char *words;
    } cases[] = {
        {"p99<50ms,erors=0", 10, "did you mean errors?"},
        {"p99<50", 5, "needs a unit"},
        {"p99<50min", 5, "needs a unit"},
        {"p99<", 4, "wants a number"},
        {"p99", 1, "wants a comparison"},
        {"p99!50ms", 4, "wants a comparison"},
        {"rate>=fast", 7, "wants a number"},
        {"rate>=10ms", 7, "is no number"},
        {"rate>=-1", 7, "wants a number"},
        {"<5", 1, "a metric is missing"},
        {"p99<50ms,", 10, "a metric is missing"},
        {"p0<1ms", 1, "there is no metric"},
        {"p101<1ms", 1, "there is no metric"},
        {"qqqqqqq<1", 1, "there are p50"},
        {"", 0, "is empty"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        error = (struct error){.line = 0};
        cr_assert_eq(slo_parse(str_from(cases[i].text), NULL, &slo, &error), -EINVAL, "%s",
                     cases[i].text);
        cr_assert_eq(error.column, cases[i].column, "%s: column %u", cases[i].text, error.column);
        cr_assert(strstr(error.message, cases[i].words) != NULL, "%s: %s", cases[i].text,
                  error.message);
    }
}

Test(slo, reasons_are_checked_where_they_are_known)
{
    static const char *const reasons[] = {"timeout", "wrong-nonce", NULL};
    cr_assert_eq(slo_parse(STR("errors.timeout=0"), reasons, &slo, &error), 0);
    cr_assert_eq(slo_parse(STR("errors.wrong-nonse=0"), reasons, &slo, &error), -EINVAL);
    cr_assert(strstr(error.message, "did you mean wrong-nonce?") != NULL, "%s", error.message);
    cr_assert_eq(error.column, 8);
}

Test(slo, failure_leaves_the_result_alone)
{
    cr_assert_eq(slo_parse(STR("errors=0"), NULL, &slo, &error), 0);
    cr_assert_eq(slo_parse(STR("p99<50ms,nonsense=0"), NULL, &slo, &error), -EINVAL);
    cr_assert_eq(slo.count, 1);
    cr_assert_str_eq(slo.clauses[0].name, "errors");
}

Test(slo, too_many_clauses_are_refused)
{
    char text[512] = "errors=0";
    for (int i = 0; i < SLO_CLAUSES_MAX; i++) {
        strcat(text, ",errors=0");
    }
    cr_assert_eq(slo_parse(str_from(text), NULL, &slo, &error), -EINVAL);
}

Test(slo, each_clause_gets_a_line_with_its_verdict)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    verdict_of("p50<12.5ms,errors=0,lost=0");
    slo_print(&slo, outcomes, out);
    fclose(out);
    cr_assert(strstr(text, "met      p50 < 12.5ms") == text, "%s", text);
    cr_assert(strstr(text, "\nmissed   errors = 0 ") != NULL, "%s", text);
    cr_assert(strstr(text, "\nunknown  lost = 0 ") != NULL, "%s", text);
    free(text);
}
