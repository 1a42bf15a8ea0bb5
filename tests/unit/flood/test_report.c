/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"
#include "support/support.h"

static struct results *results, *back;
static struct error error;
static char *text;
static size_t size;

static void setup(void)
{
    results = sample_results(30, 200, 1, 5);
}

static void teardown(void)
{
    results_free(results);
    results_free(back);
    free(text);
}

TestSuite(report, .init = setup, .fini = teardown);

static void write_json(void)
{
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(report_write_json(results, out), 0);
    fclose(out);
}

static void add_phases(void)
{
    results->phase_count = 2;
    results->phases[0] = (struct phase_result){.name = "<warm-up>", .duration = 5000000, .ok = 70};
    results->phases[1] = (struct phase_result){.name = "steady",
                                               .is_measured = true,
                                               .begin = 5000000,
                                               .duration = results->run.duration,
                                               .ok = 4000,
                                               .failed = 7,
                                               .p50 = 900,
                                               .p99 = 3000,
                                               .max = 40000,
                                               .late_p99 = 120,
                                               .cpu = 13000000};
}

static void write_html(void)
{
    FILE *out = open_memstream(&text, &size);
    report_write_html(results, out);
    fclose(out);
}

Test(report, json_comes_back_as_it_was)
{
    results->run.seed = UINT64_MAX;
    add_phases();
    write_json();
    cr_assert_eq(report_parse_json(str_make(text, size), "a.json", &back, &error), 0, "%s",
                 error.message);
    cr_assert_eq(memcmp(&back->run, &results->run, sizeof back->run), 0);
    cr_assert_eq(memcmp(&back->totals, &results->totals, sizeof back->totals), 0);
    cr_assert_eq(memcmp(&back->latency, &results->latency, sizeof back->latency), 0);
    cr_assert_eq(memcmp(&back->lateness, &results->lateness, sizeof back->lateness), 0);
    cr_assert_eq(back->event_count, results->event_count);
    cr_assert_eq(memcmp(back->events, results->events, sizeof back->events), 0);
    cr_assert_eq(back->second_count, results->second_count);
    cr_assert_eq(
        memcmp(back->seconds, results->seconds, results->second_count * sizeof *results->seconds),
        0);
    cr_assert_eq(back->phase_count, results->phase_count);
    cr_assert_eq(memcmp(back->phases, results->phases, sizeof back->phases), 0);
    cr_assert_eq(results_failures(back, STR("wrong-nonce")), 2);
    cr_assert(back->is_valid && back->ledger_is_checked);
}

Test(report, what_a_search_found_comes_back)
{
    results->finding = (struct finding){.outcome = "found",
                                        .rate = 400,
                                        .above = 420.5,
                                        .limit = "p99 < 50 ms was 61 ms",
                                        .count = 2};
    results->finding.trials[0] =
        (struct finding_trial){.rate = 400, .verdict = "met", .p99 = 48000, .failed = 0};
    results->finding.trials[1] = (struct finding_trial){.rate = 420.5,
                                                        .verdict = "missed",
                                                        .why = "p99 < 50 ms was 61 ms",
                                                        .p99 = 61000,
                                                        .failed = 3};
    write_json();
    cr_assert_eq(report_parse_json(str_make(text, size), "a.json", &back, &error), 0, "%s",
                 error.message);
    cr_expect_eq(memcmp(&back->finding, &results->finding, sizeof back->finding), 0);
}

static void expect_no_finding(const char *value)
{
    char *whole = NULL;
    write_json();
    char *seconds = strstr(text, " \"seconds\":");
    cr_assert_not_null(seconds);
    int len =
        asprintf(&whole, "%.*s \"capacity\": %s,\n%s", (int)(seconds - text), text, value, seconds);
    error = (struct error){.line = 0};
    cr_expect_eq(report_parse_json(str_make(whole, (size_t)len), "a.json", &back, &error), -EINVAL,
                 "%s", value);
    free(whole);
    free(text);
    text = NULL;
}

Test(report, a_finding_that_is_none_is_refused)
{
    expect_no_finding("3");
    expect_no_finding("{}");
    expect_no_finding("{\"outcome\": \"found\", \"rate\": 1}");
    expect_no_finding("{\"outcome\": \"found\", \"rate\": \"1\", \"trials\": []}");
    expect_no_finding("{\"outcome\": \"found\", \"trials\": [7]}");
    expect_no_finding("{\"outcome\": \"found\", \"trials\": [{\"failed\": -1}]}");
    expect_no_finding("{\"outcome\": \"found\", \"trials\": [{},{},{},{},{},{},{},{},{},{},{},{},"
                      "{},{},{},{},{},{},{},{},{},{},{},{},{}]}");
}

Test(report, json_says_its_schema_and_what_people_look_for)
{
    write_json();
    json_t *root = json_loadb(text, size, 0, NULL);
    cr_assert_not_null(root);
    cr_assert_eq(json_integer_value(json_object_get(root, "schema")), 1);
    cr_assert_float_eq(json_number_value(json_object_get(root, "rate")), results_rate(results),
                       1e-6);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(root, "latency_us"), "p99")),
                 histogram_quantile(&results->latency, 0.99));
    const json_t *clause = json_array_get(json_object_get(root, "slo"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(clause, "verdict")), "met");
    json_decref(root);
}

Test(report, bytes_that_are_no_text_do_not_break_json)
{
    RUN_TEXT(results->run.command_line, "portico-flood \xff\xfe \"quoted\"\n");
    write_json();
    cr_assert_eq(report_parse_json(str_make(text, size), "a.json", &back, &error), 0);
    cr_assert_str_eq(back->run.command_line, "portico-flood ?? \"quoted\"\n");
}

Test(report, what_is_no_report_is_refused_with_a_reason)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "no JSON"},
        {"{\n \"schema\": }", "no JSON"},
        {"[]", "has no schema"},
        {"{\"schema\": 2}", "has schema 2"},
        {"{\"schema\": 1}", "\"run\""},
        {"{\"schema\": 1, \"run\": {\"agents\": -1}}", "\"agents\""},
        {"{\"schema\": 1, \"run\": {\"url\": 3}}", "\"url\""},
        {"{\"schema\": 1, \"run\": {}, \"totals\": {\"ok\": \"x\"}}", "\"ok\""},
        {"{\"schema\": 1, \"run\": {}, \"totals\": {}, \"failures\": [{}]}", "\"failures\""},
        {"{\"schema\": 1, \"run\": {}, \"totals\": {}, \"failures\": [], \"latency_us\": {"
         "\"min\": 0, \"max\": 0, \"sum\": 0, \"buckets\": [[257, 1]]}}",
         "\"latency_us\""},
        {"{\"schema\": 1, \"run\": {}, \"totals\": {}, \"failures\": [], \"latency_us\": {"
         "\"min\": 9, \"max\": 5, \"sum\": 9, \"buckets\": []}}",
         "\"latency_us\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        error = (struct error){.line = 0};
        cr_assert_eq(report_parse_json(str_from(cases[i].text), "a.json", &back, &error), -EINVAL);
        cr_assert_null(back);
        cr_assert(strstr(error.message, cases[i].words) != NULL, "%s: %s", cases[i].text,
                  error.message);
        cr_assert_str_eq(error.file, "a.json");
    }
}

Test(report, a_file_is_replaced_as_a_whole)
{
    char directory[] = "/tmp/portico-report-XXXXXX";
    char path[64];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a.json", directory);
    cr_assert_eq(report_save_json(results, path, &error), 0, "%s", error.message);
    cr_assert_eq(report_save_json(results, path, &error), 0);
    cr_assert_eq(report_read_json(path, &back, &error), 0, "%s", error.message);
    cr_assert_eq(back->totals.ok, results->totals.ok);
    unlink(path);
    cr_assert_eq(rmdir(directory), 0, "something else was left behind");
    cr_assert_eq(report_save_html(results, path, &error), -ENOENT);
    cr_assert_eq(report_save_html(results, "/dev/null", &error), 0);
    struct stat status;
    cr_assert(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    cr_assert_eq(report_save_json(results, "/dev/full", &error), -ENOSPC);
}

Test(report, the_page_needs_nothing_from_elsewhere)
{
    static const char *const forbidden[] = {"<script", "<link", "<img", "@import", "url(", "src="};
    write_html();
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        cr_assert_null(strstr(text, forbidden[i]), "%s", forbidden[i]);
    }
    cr_assert_not_null(strstr(text, "prefers-color-scheme:dark"));
    cr_assert_not_null(strstr(text, "name=\"viewport\""));
}

Test(report, every_chart_has_words_for_those_who_do_not_see_it)
{
    size_t charts = 0;
    write_html();
    for (const char *at = text; (at = strstr(at, "<svg ")) != NULL; at++) {
        const char *end = strstr(at, "</svg>");
        const char *title = strstr(at, "<title id=");
        const char *description = strstr(at, "<desc id=");
        cr_assert(title != NULL && title < end && description != NULL && description < end);
        charts++;
    }
    cr_assert_eq(charts, 6);
}

Test(report, what_others_wrote_stays_text)
{
    RUN_TEXT(results->run.url, "http://x/<script>alert(\"1\")</script>");
    RUN_TEXT(results->run.host, "a\"><b>\xff");
    results_add_failures(results, "<i>", "'quoted' & <b>", 1);
    write_html();
    cr_assert_null(strstr(text, "<script>"));
    cr_assert_null(strstr(text, "<b>"));
    cr_assert_null(strstr(text, "<i>"));
    cr_assert_not_null(strstr(text, "&#60;script&#62;"));
}

Test(report, the_page_of_an_empty_run_has_no_broken_numbers)
{
    results_free(results);
    results = results_new();
    write_html();
    cr_assert_null(strstr(text, "nan"));
    cr_assert_null(strstr(text, "inf"));
    cr_assert_null(strstr(text, "<svg"));
}

Test(report, extreme_runs_have_no_broken_numbers)
{
    struct second second = {.ok = 1, .p50 = HISTOGRAM_MAX, .p99 = HISTOGRAM_MAX};
    results_free(results);
    results = results_new();
    results->run.duration = 1;
    results->totals.ok = 1;
    histogram_record(&results->latency, 0);
    cr_assert_eq(results_add_second(results, &second), 0);
    second = (struct second){0};
    cr_assert_eq(results_add_second(results, &second), 0);
    write_html();
    cr_assert_null(strstr(text, "nan"));
    cr_assert_null(strstr(text, "inf "));
    cr_assert_not_null(strstr(text, "<svg"));
}

Test(report, phases_are_told_on_the_page_and_in_the_summary)
{
    add_phases();
    write_html();
    cr_expect_not_null(
        strstr(text, "&#60;warm-up&#62; <span class=\"soft\">(not measured)</span>"));
    free(text);
    FILE *out = open_memstream(&text, &size);
    report_write_text(results, out);
    fclose(out);
    cr_expect_not_null(strstr(text, "(not measured)\nsteady"));
}

Test(report, an_invalid_run_says_so_first)
{
    results_invalidate(results, "late by 3 ms");
    write_html();
    const char *badge = strstr(text, "invalid run");
    cr_assert(badge != NULL && badge < strstr(text, "<svg"));
    cr_assert_null(strstr(text, "SLO met"));
    cr_assert_not_null(strstr(text, "late by 3 ms"));
}

Test(report, the_summary_names_failures_and_verdicts)
{
    FILE *out = open_memstream(&text, &size);
    report_write_text(results, out);
    fclose(out);
    cr_assert_not_null(strstr(text, "timeout: no answer in time"));
    cr_assert_not_null(strstr(text, "met      lost = 0"));
    cr_assert_not_null(strstr(text, "latency "));
    cr_assert_null(strstr(text, "INVALID"));
}
