/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/process_metrics.h"
#include "support/support.h"

static struct metrics *metrics;
static struct metrics_shard *shard;

static void begin(void)
{
    metrics = metrics_new(1000);
    shard = metrics_shard_new(metrics);
    cr_assert_not_null(shard);
}

static void finish(void)
{
    metrics_free(metrics);
}

TestSuite(metrics, .init = begin, .fini = finish);

static const char *written(void)
{
    static char text[65536];
    struct buffer out;
    buffer_init(&out, sizeof text - 1);
    cr_assert_eq(metrics_write(metrics, &out), 0);
    memcpy(text, buffer_view(&out).data == NULL ? "" : buffer_view(&out).data, buffer_size(&out));
    text[buffer_size(&out)] = '\0';
    buffer_done(&out);
    return text;
}

static struct metric single(enum metric_kind kind, const char *name)
{
    struct metric metric;
    cr_assert_eq(metrics_single(metrics, kind, name, "Help.", &metric), 0);
    return metric;
}

Test(metrics, an_empty_registry_writes_nothing)
{
    cr_assert_str_eq(written(), "");
    cr_assert_geq(metrics_define(metrics, METRIC_COUNTER, "polls_total", "Polls.", "reason"), 0);
    cr_assert_str_eq(written(), "", "nor does a family without series");
}

Test(metrics, counters_and_gauges_are_written_exactly)
{
    struct metric polls = single(METRIC_COUNTER, "polls_total");
    struct metric open = single(METRIC_GAUGE, "connections");
    metrics_count(shard, polls);
    metrics_add(shard, polls, 41);
    metrics_add(shard, open, 3);
    metrics_subtract(shard, open, 5);
    cr_assert_str_eq(written(), "# HELP polls_total Help.\n"
                                "# TYPE polls_total counter\n"
                                "polls_total 42\n"
                                "# HELP connections Help.\n"
                                "# TYPE connections gauge\n"
                                "connections -2\n");
    cr_assert_eq(metrics_value(metrics, polls), 42);
    cr_assert_eq(metrics_value(metrics, open), -2);
    metrics_set(shard, open, 7);
    cr_assert_eq(metrics_value(metrics, open), 7);
}

Test(metrics, a_counter_may_grow_to_64_bits)
{
    struct metric bytes = single(METRIC_COUNTER, "bytes_total");
    metrics_add(shard, bytes, UINT64_MAX);
    cr_assert_not_null(strstr(written(), "bytes_total 18446744073709551615\n"));
}

Test(metrics, histograms_are_written_exactly)
{
    struct metric took = single(METRIC_HISTOGRAM, "poll_seconds");
    metrics_observe(shard, took, -5);
    metrics_observe(shard, took, 10);
    metrics_observe(shard, took, 11);
    metrics_observe(shard, took, 1000000);
    metrics_observe(shard, took, 60000001);
    cr_assert_str_eq(written(), "# HELP poll_seconds Help.\n"
                                "# TYPE poll_seconds histogram\n"
                                "poll_seconds_bucket{le=\"1e-05\"} 2\n"
                                "poll_seconds_bucket{le=\"2.5e-05\"} 3\n"
                                "poll_seconds_bucket{le=\"5e-05\"} 3\n"
                                "poll_seconds_bucket{le=\"0.0001\"} 3\n"
                                "poll_seconds_bucket{le=\"0.00025\"} 3\n"
                                "poll_seconds_bucket{le=\"0.0005\"} 3\n"
                                "poll_seconds_bucket{le=\"0.001\"} 3\n"
                                "poll_seconds_bucket{le=\"0.0025\"} 3\n"
                                "poll_seconds_bucket{le=\"0.005\"} 3\n"
                                "poll_seconds_bucket{le=\"0.01\"} 3\n"
                                "poll_seconds_bucket{le=\"0.025\"} 3\n"
                                "poll_seconds_bucket{le=\"0.05\"} 3\n"
                                "poll_seconds_bucket{le=\"0.1\"} 3\n"
                                "poll_seconds_bucket{le=\"0.25\"} 3\n"
                                "poll_seconds_bucket{le=\"0.5\"} 3\n"
                                "poll_seconds_bucket{le=\"1\"} 4\n"
                                "poll_seconds_bucket{le=\"2.5\"} 4\n"
                                "poll_seconds_bucket{le=\"5\"} 4\n"
                                "poll_seconds_bucket{le=\"10\"} 4\n"
                                "poll_seconds_bucket{le=\"30\"} 4\n"
                                "poll_seconds_bucket{le=\"60\"} 4\n"
                                "poll_seconds_bucket{le=\"+Inf\"} 5\n"
                                "poll_seconds_sum 61.000022\n"
                                "poll_seconds_count 5\n");
    cr_assert_eq(metrics_observed(metrics, took), 5);
}

static struct metric labelled(int family, struct str a, struct str b)
{
    struct metric metric;
    cr_assert_eq(metrics_series(metrics, family, (struct str[]){a, b}, &metric), 0);
    return metric;
}

Test(metrics, series_are_written_with_their_labels)
{
    int family = metrics_define(metrics, METRIC_COUNTER, "refused_total", "R.", "reason,member");
    metrics_count(shard, labelled(family, STR("bare_lf"), STR("8080")));
    metrics_add(shard, labelled(family, STR(""), STR("8081")), 2);
    cr_assert_str_eq(written(), "# HELP refused_total R.\n"
                                "# TYPE refused_total counter\n"
                                "refused_total{reason=\"bare_lf\",member=\"8080\"} 1\n"
                                "refused_total{reason=\"\",member=\"8081\"} 2\n");
    family = metrics_define(metrics, METRIC_HISTOGRAM, "wait_seconds", "W.", "a,b");
    metrics_observe(shard, labelled(family, STR("x"), STR("y")), 1);
    cr_assert_not_null(strstr(written(), "wait_seconds_bucket{a=\"x\",b=\"y\",le=\"60\"} 1\n"
                                         "wait_seconds_bucket{a=\"x\",b=\"y\",le=\"+Inf\"} 1\n"
                                         "wait_seconds_sum{a=\"x\",b=\"y\"} 0.000001\n"
                                         "wait_seconds_count{a=\"x\",b=\"y\"} 1\n"));
}

Test(metrics, label_values_cannot_break_the_page)
{
    int family = metrics_define(metrics, METRIC_COUNTER, "x_total", "a\\b\n\"c\"", "a,b");
    (void)labelled(family, STR("quote\" back\\ line\nend} 5"), STR("\xc3\xa4 \xff \xed\xa0\x80"));
    cr_assert_str_eq(written(),
                     "# HELP x_total a\\\\b\\n\"c\"\n# TYPE x_total counter\n"
                     "x_total{a=\"quote\\\" back\\\\ line\\nend} 5\","
                     "b=\"\xc3\xa4 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"} 0\n");
}

Test(metrics, a_nul_in_a_label_value_neither_cuts_nor_merges_series)
{
    int family = metrics_define(metrics, METRIC_COUNTER, "x_total", "X.", "a,b");
    struct metric one = labelled(family, STR("p\0q"), STR("1"));
    struct metric two = labelled(family, STR("p\0r"), STR("1"));
    cr_assert_neq(one.slot, two.slot);
    cr_assert_not_null(strstr(written(), "x_total{a=\"p\xef\xbf\xbdq\",b=\"1\"} 0\n"));
}

Test(metrics, equal_label_values_give_the_same_series)
{
    int family = metrics_define(metrics, METRIC_COUNTER, "x_total", "X.", "a,b");
    struct metric first = labelled(family, STR("1"), STR("2"));
    struct metric other = labelled(family, STR("2"), STR("1"));
    struct metric again = labelled(family, STR("1"), STR("2"));
    cr_assert_eq(first.slot, again.slot);
    cr_assert_neq(first.slot, other.slot);
    cr_assert_eq(metrics_define(metrics, METRIC_COUNTER, "x_total", "X.", "a,b"), family);
}

Test(metrics, label_values_that_would_collide_unescaped_do_not)
{
    int family = metrics_define(metrics, METRIC_COUNTER, "x_total", "X.", "a,b");
    struct metric one = labelled(family, STR("x\",b=\"y"), STR("z"));
    struct metric two = labelled(family, STR("x"), STR("y\",b=\"z"));
    cr_assert_neq(one.slot, two.slot);
}

Test(metrics, slots_run_out_without_harm)
{
    struct metrics *small = metrics_new(METRIC_HISTOGRAM_SLOTS + 1);
    struct metric metric = {4711};
    struct metric last;
    int family = metrics_define(small, METRIC_HISTOGRAM, "a_seconds", "A.", "n");
    cr_assert_eq(metrics_series(small, family, &STR("1"), &metric), 0);
    metric.slot = 4711;
    cr_assert_eq(metrics_series(small, family, &STR("2"), &metric), -ENOSPC);
    cr_assert_eq(metric.slot, 4711, "untouched on failure");
    cr_assert_eq(metrics_single(small, METRIC_GAUGE, "b", "B.", &last), 0);
    cr_assert_eq(metrics_single(small, METRIC_GAUGE, "c", "C.", &metric), -ENOSPC);
    cr_assert_eq(metrics_single(small, METRIC_GAUGE, "b", "B.", &metric), 0, "still found");
    cr_assert_eq(metric.slot, last.slot);
    struct metrics_shard *its = metrics_shard_new(small);
    metrics_set(its, last, 5);
    cr_assert_eq(metrics_value(small, last), 5);
    metrics_free(small);
}

Test(metrics, families_run_out_without_harm)
{
    static char names[300][32];
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "gauge_%d", i);
        int family = metrics_define(metrics, METRIC_GAUGE, names[i], "G.", "");
        cr_assert_eq(family, i < 256 ? i : -ENOSPC);
    }
    cr_assert_eq(metrics_gauge_function(metrics, "late", "L.", NULL, NULL), -ENOSPC);
    cr_assert_eq(metrics_define(metrics, METRIC_GAUGE, names[7], "G.", ""), 7);
}

Test(metrics, labels_of_absurd_length_are_refused)
{
    static char text[5000];
    struct metric metric = {4711};
    memset(text, 'x', sizeof text);
    int family = metrics_define(metrics, METRIC_COUNTER, "x_total", "X.", "a");
    struct str value = str_make(text, sizeof text);
    cr_assert_eq(metrics_series(metrics, family, &value, &metric), -ENOBUFS);
    cr_assert_eq(metric.slot, 4711);
}

static double give(void *context)
{
    return *(double *)context;
}

Test(metrics, a_gauge_function_is_asked_at_each_reading)
{
    double value = 1.5;
    cr_assert_eq(metrics_gauge_function(metrics, "load", "L.", give, &value), 0);
    cr_assert_eq(metrics_gauge_function(metrics, "load", "L.", give, &value), 0);
    cr_assert_str_eq(written(), "# HELP load L.\n# TYPE load gauge\nload 1.5\n");
    value = -3;
    cr_assert_not_null(strstr(written(), "\nload -3\n"));
    value = (double)INFINITY;
    cr_assert_not_null(strstr(written(), "\nload inf\n"));
    value = (double)NAN;
    cr_assert_not_null(strstr(written(), "\nload NaN\n"));
    value = -(double)NAN;
    cr_assert_not_null(strstr(written(), "\nload NaN\n"), "a NaN has no sign");
}

Test(metrics, a_page_that_does_not_fit_is_an_error)
{
    struct buffer out;
    for (size_t max = 0; max < 60; max++) {
        buffer_init(&out, max);
        (void)single(METRIC_COUNTER, "polls_total");
        cr_assert_eq(metrics_write(metrics, &out), -ENOBUFS, "max %zu", max);
        buffer_done(&out);
    }
}

Test(metrics, quantiles_are_read_from_buckets)
{
    struct metric took = single(METRIC_HISTOGRAM, "poll_seconds");
    uint64_t counts[METRIC_BUCKET_COUNT];
    metrics_buckets(metrics, took, counts);
    cr_expect_eq(metrics_quantile(counts, 0.5), 0, "nothing was observed");
    for (int i = 0; i < 100; i++) {
        metrics_observe(shard, took, i < 90 ? 700 : 4000);
    }
    metrics_buckets(metrics, took, counts);
    cr_expect_eq(metrics_quantile(counts, 0.45), 750, "half way from 500 to 1000 us");
    cr_expect_eq(metrics_quantile(counts, 0.9), 1000);
    cr_expect_eq(metrics_quantile(counts, 0.95), 3750);
    cr_expect_eq(metrics_quantile(counts, 1), 5000);
    metrics_observe(shard, took, USEC_PER_HOUR);
    metrics_buckets(metrics, took, counts);
    cr_expect_eq(metrics_quantile(counts, 1), 60 * USEC_PER_SEC, "no more is known");
}

Test(metrics, shards_add_up_and_outlive_their_threads)
{
    struct metric polls = single(METRIC_COUNTER, "polls_total");
    struct metric took = single(METRIC_HISTOGRAM, "poll_seconds");
    struct metrics_shard *second = metrics_shard_new(metrics);
    metrics_add(shard, polls, 1);
    metrics_add(second, polls, 2);
    metrics_observe(shard, took, 1);
    metrics_observe(second, took, 1);
    cr_assert_eq(metrics_value(metrics, polls), 3);
    cr_assert_eq(metrics_observed(metrics, took), 2);
}

Test(metrics, a_series_defined_later_counts_in_older_shards)
{
    struct metric late = single(METRIC_COUNTER, "late_total");
    metrics_count(shard, late);
    cr_assert_eq(metrics_value(metrics, late), 1);
}

enum { THREADS = 3, ROUNDS = 20000 };
static struct metric shared_counter;
static struct metric shared_histogram;
static atomic_bool stop;

static void *count_many(void *unused)
{
    struct metrics_shard *own = metrics_shard_new(metrics);
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        metrics_count(own, shared_counter);
        metrics_observe(own, shared_histogram, i);
        if (i % 1000 == 0) {
            struct metric metric;
            char value[16];
            snprintf(value, sizeof value, "%d", i / 1000);
            int family = metrics_define(metrics, METRIC_COUNTER, "many_total", "M.", "n");
            struct str view = str_from(value);
            cr_assert_eq(metrics_series(metrics, family, &view, &metric), 0);
            metrics_count(own, metric);
        }
    }
    return NULL;
}

static void *read_many(void *unused)
{
    int64_t last = 0;
    (void)unused;
    while (!atomic_load(&stop)) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        cr_assert_eq(metrics_write(metrics, &out), 0);
        buffer_done(&out);
        int64_t now = metrics_value(metrics, shared_counter);
        cr_assert_geq(now, last);
        last = now;
    }
    return NULL;
}

Test(metrics, threads_count_without_loss_while_somebody_reads)
{
    pthread_t threads[THREADS];
    pthread_t reader;
    shared_counter = single(METRIC_COUNTER, "shared_total");
    shared_histogram = single(METRIC_HISTOGRAM, "shared_seconds");
    pthread_create(&reader, NULL, read_many, NULL);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, count_many, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&stop, true);
    pthread_join(reader, NULL);
    cr_assert_eq(metrics_value(metrics, shared_counter), THREADS * ROUNDS);
    cr_assert_eq(metrics_observed(metrics, shared_histogram), THREADS * ROUNDS);
    cr_assert_not_null(strstr(written(), "many_total{n=\"7\"} 3\n"));
}

Test(metrics, sizes_are_counted_in_powers_of_two)
{
    struct metric bundles = single(METRIC_SIZES, "bundles");
    metrics_observe_size(shard, bundles, 0);
    metrics_observe_size(shard, bundles, 1);
    metrics_observe_size(shard, bundles, 2);
    metrics_observe_size(shard, bundles, 3);
    metrics_observe_size(shard, bundles, UINT64_MAX / 2);
    cr_assert_eq(metrics_observed(metrics, bundles), 5);
    const char *page = written();
    cr_expect_not_null(strstr(page, "# TYPE bundles histogram\n"));
    cr_expect_not_null(strstr(page, "\nbundles_bucket{le=\"1\"} 2\n"));
    cr_expect_not_null(strstr(page, "\nbundles_bucket{le=\"2\"} 3\n"));
    cr_expect_not_null(strstr(page, "\nbundles_bucket{le=\"4\"} 4\n"));
    cr_expect_not_null(strstr(page, "\nbundles_bucket{le=\"1048576\"} 4\n"));
    cr_expect_not_null(strstr(page, "\nbundles_bucket{le=\"+Inf\"} 5\n"));
    cr_expect_not_null(strstr(page, "\nbundles_sum 9223372036854775813\n"));
    cr_expect_not_null(strstr(page, "\nbundles_count 5\n"));
}

Test(metrics, a_counter_may_be_somebody_elses)
{
    double operations = 12;
    cr_assert_eq(metrics_counter_function(metrics, "operations_total", "O.", give, &operations), 0);
    cr_assert_str_eq(written(), "# HELP operations_total O.\n"
                                "# TYPE operations_total counter\n"
                                "operations_total 12\n");
}

Test(metrics, the_process_tells_of_itself)
{
    cr_assert_eq(process_metrics_define(metrics, "1.2.3"), 0);
    const char *page = written();
    static const char *const names[] = {"portico_build_info{version=\"1.2.3\"} 1\n",
                                        "\nprocess_resident_memory_bytes ",
                                        "\nprocess_virtual_memory_bytes ",
                                        "\nprocess_start_time_seconds ",
                                        "\nprocess_open_fds ",
                                        "\nprocess_max_fds ",
                                        "\nprocess_cpu_seconds_total "};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        cr_expect_not_null(strstr(page, names[i]), "%s", names[i]);
    }
    cr_expect_null(strstr(page, "NaN"), "%s", page);
}

/* Runs `promtool check metrics` with the page as its input. Its exit status, 127: no promtool. */
static int run_promtool(const char *page)
{
    const char *program = getenv("PORTICO_PROMTOOL");
    int input = memfd_create("page", MFD_CLOEXEC);
    int status;
    cr_assert_eq(write(input, page, strlen(page)), (ssize_t)strlen(page));
    cr_assert_eq(lseek(input, 0, SEEK_SET), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(input, STDIN_FILENO);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execlp(program == NULL || *program == '\0' ? "promtool" : program, "promtool", "check",
               "metrics", NULL);
        _exit(127);
    }
    close(input);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(metrics, promtool_accepts_the_page)
{
    double load = -(double)NAN;
    struct metric polls = single(METRIC_COUNTER, "portico_polls_total");
    struct metric open = single(METRIC_GAUGE, "portico_connections");
    int took = metrics_define(metrics, METRIC_HISTOGRAM, "portico_poll_seconds", "T.", "a,b");
    int refused = metrics_define(metrics, METRIC_COUNTER, "portico_refused_total",
                                 "Back\\slash, \"quotes\" and\na line.", "reason,member");
    cr_assert_eq(metrics_gauge_function(metrics, "portico_load_ratio", "L.", give, &load), 0);
    metrics_add(shard, polls, UINT64_MAX);
    metrics_subtract(shard, open, 1);
    metrics_observe(shard, labelled(took, STR("x"), STR("")), 61 * USEC_PER_SEC);
    metrics_observe(shard, labelled(took, STR("y"), STR("")), 11);
    metrics_count(shard, labelled(refused, STR("a \"b\" \\ c\nd"), STR("\xff\0\xc3\xa4")));
    int status = run_promtool(written());
    if (status == 127) {
        SKIP_TEST("promtool is not installed (Debian: prometheus)");
    }
    cr_assert_eq(status, 0, "promtool refuses this:\n%s", written());
}

#define REFUSED(claim, kind, name, labels)                        \
    Test(metrics, claim, .signal = SIGABRT)                       \
    {                                                             \
        (void)!metrics_define(metrics, kind, name, "H.", labels); \
    }

REFUSED(a_counter_must_end_in_total, METRIC_COUNTER, "polls", "")
REFUSED(a_gauge_must_not_end_in_total, METRIC_GAUGE, "polls_total", "")
REFUSED(a_histogram_must_end_in_seconds, METRIC_HISTOGRAM, "poll_usec", "")
REFUSED(a_name_must_not_be_empty, METRIC_GAUGE, "", "")
REFUSED(a_name_must_not_begin_with_a_digit, METRIC_GAUGE, "4xx", "")
REFUSED(a_name_has_no_capitals, METRIC_GAUGE, "Open", "")
REFUSED(a_name_has_no_dashes, METRIC_GAUGE, "open-connections", "")
REFUSED(a_label_name_has_no_spaces, METRIC_GAUGE, "open", "a, b")
REFUSED(label_names_must_not_be_empty, METRIC_GAUGE, "open", "a,,b")
REFUSED(more_than_four_labels_are_refused, METRIC_GAUGE, "open", "a,b,c,d,e")
REFUSED(a_histograms_le_is_not_for_others, METRIC_HISTOGRAM, "a_seconds", "le")

Test(metrics, one_name_with_two_kinds_aborts, .signal = SIGABRT)
{
    (void)single(METRIC_GAUGE, "open_seconds");
    (void)single(METRIC_HISTOGRAM, "open_seconds");
}

Test(metrics, one_name_with_two_sets_of_labels_aborts, .signal = SIGABRT)
{
    (void)!metrics_define(metrics, METRIC_GAUGE, "open", "O.", "a");
    (void)!metrics_define(metrics, METRIC_GAUGE, "open", "O.", "b");
}

Test(metrics, one_gauge_function_with_two_contexts_aborts, .signal = SIGABRT)
{
    double one = 1;
    double two = 2;
    (void)!metrics_gauge_function(metrics, "load", "L.", give, &one);
    (void)!metrics_gauge_function(metrics, "load", "L.", give, &two);
}

Test(metrics, a_family_that_was_never_defined_aborts, .signal = SIGABRT)
{
    struct metric metric;
    (void)!metrics_series(metrics, 0, NULL, &metric);
}
