/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance counts: from any thread, and what a scraper sees of it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "stats.h"

enum { THREADS = 4, TIMES = 1000 };

static struct stats *stats;
static struct buffer page;

static void set_up(void)
{
    stats = stats_new();
    cr_assert_not_null(stats);
    buffer_init(&page, 4 << 20);
}

static void tear_down(void)
{
    stats_free(stats);
    buffer_done(&page);
}

TestSuite(stats, .init = set_up, .fini = tear_down);

/* The whole page, NUL-terminated. */
static const char *scrape(void)
{
    buffer_clear(&page);
    cr_assert_eq(metrics_write(stats_metrics(stats), &page), 0);
    cr_assert_eq(buffer_append(&page, str_make("", 1)), 0);
    return buffer_view(&page).data;
}

static void *count_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < TIMES; i++) {
        stats_add(stats, STAT_ENROLLED, 2);
    }
    return NULL;
}

Test(stats, what_threads_counted_adds_up_when_they_are_gone)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, count_often, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_expect_eq(stats_value(stats, STAT_ENROLLED), 2 * THREADS * TIMES);
}

static void *end_one(void *unused)
{
    (void)unused;
    stats_subtract(stats, STAT_ACTIVE, 1);
    return NULL;
}

Test(stats, a_poll_may_end_on_another_thread_than_it_began)
{
    pthread_t thread;
    stats_add(stats, STAT_ACTIVE, 2);
    cr_assert_eq(pthread_create(&thread, NULL, end_one, NULL), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(stats_value(stats, STAT_ACTIVE), 1);
}

Test(stats, every_reason_is_a_series_of_its_own)
{
    stats_refusal(stats, REASON_NONE);
    stats_refusal(stats, REASON_BUSY_STORE);
    stats_refusal(stats, REASON_BUSY_STORE);
    stats_refusal(stats, reason_of_wire(WIRE_REASON_HMAC_MISMATCH));
    const char *text = scrape();
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        char line[128];
        int count = i == REASON_BUSY_STORE                                ? 2
                    : i == (int)reason_of_wire(WIRE_REASON_HMAC_MISMATCH) ? 1
                                                                          : 0;
        if (i == REASON_WIRE) {
            continue;
        }
        snprintf(line, sizeof line, "portico_frontend_refusals_total{reason=\"%s\"} %d\n",
                 reason_code((enum reason)i), count);
        cr_expect_not_null(strstr(text, line), "%s", line);
    }
}

Test(stats, names_that_were_kept_are_there_from_the_start)
{
    static const char *const names[] = {"frontend_in_bytes_total", "frontend_out_bytes_total",
                                        "grr_client_unknown_total", "grr_messages_sent_total",
                                        "frontend_http_requests_total"};
    stats_request(stats, ROUTE_CONTROL);
    const char *text = scrape();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        cr_expect_not_null(strstr(text, names[i]), "%s", names[i]);
    }
}
