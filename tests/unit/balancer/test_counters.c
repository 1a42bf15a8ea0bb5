/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "counters.h"
#include "records.h"

static struct counters *counters;
static struct counter_shard *shard;

static void set_up(void)
{
    counters = counters_new();
    cr_assert_not_null(counters);
    shard = counters_shard(counters);
    cr_assert_not_null(shard);
}

static void tear_down(void)
{
    counters_free(counters);
}

TestSuite(counters, .init = set_up, .fini = tear_down);

static char *page(void)
{
    struct buffer out;
    buffer_init(&out, (size_t)64 << 20);
    cr_assert_eq(metrics_write(counters_metrics(counters), &out), 0);
    char *text = str_dup(buffer_view(&out));
    buffer_done(&out);
    return text;
}

static void expect_lines(const char *const *lines)
{
    char *text = page();
    for (; *lines != NULL; lines++) {
        cr_expect_not_null(strstr(text, *lines), "%s is not in\n%s", *lines, text);
    }
    free(text);
}
#define EXPECT_LINES(...) expect_lines((const char *const[]){__VA_ARGS__, NULL})

static struct member member_named(const char *name)
{
    struct member member = {.id = 1};
    member.counters = counters_member(counters, name);
    return member;
}

Test(counters, every_reason_and_status_is_there_from_the_start)
{
    char *text = page();
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        char line[128];
        snprintf(line, sizeof line, "\nportico_balancer_rejected_total{reason=\"%s\"} 0\n",
                 reason_code(i));
        cr_expect_not_null(strstr(text, line), "%s", line);
    }
    cr_expect_null(strstr(text, "reason=\"\""));
    free(text);
    EXPECT_LINES("portico_balancer_requests_total{status=\"5xx\"} 0\n",
                 "portico_balancer_requests_total{status=\"none\"} 0\n",
                 "portico_balancer_request_phase_seconds_count{phase=\"queue\"} 0\n",
                 "\nportico_balancer_connections 0\n");
}

Test(counters, a_request_is_counted_everywhere)
{
    struct member member = member_named("localhost:8080");
    struct record record = make_record(&member, NULL);
    counters_record(shard, &record);
    record.status = 502;
    record.reason = REASON_MEMBER_BROKEN;
    counters_record(shard, &record);
    EXPECT_LINES("requests_total{status=\"2xx\"} 1\n", "requests_total{status=\"5xx\"} 1\n",
                 "rejected_total{reason=\"member_broken\"} 1\n",
                 "phase_seconds_sum{phase=\"receive\"} 0.000020\n",
                 "phase_seconds_sum{phase=\"queue\"} 0.000040\n",
                 "phase_seconds_sum{phase=\"connect\"} 0.000060\n",
                 "phase_seconds_sum{phase=\"wait\"} 0.008000\n",
                 "phase_seconds_sum{phase=\"total\"} 0.010000\n",
                 "member_requests_total{member=\"localhost:8080\"} 2\n",
                 "member_failures_total{member=\"localhost:8080\"} 1\n",
                 "member_bytes_in_total{member=\"localhost:8080\"} 2468\n",
                 "member_bytes_out_total{member=\"localhost:8080\"} 1134\n",
                 "member_wait_seconds_sum{member=\"localhost:8080\"} 0.008000\n");
}

Test(counters, phases_that_were_not_reached_do_not_count)
{
    struct member member = member_named("a:1");
    struct record record = make_record(&member, NULL);
    record.connect = record.queue = 0;
    counters_record(shard, &record);
    record.member = NULL;
    record.wait = 0;
    counters_record(shard, &record);
    EXPECT_LINES(
        "phase_seconds_count{phase=\"receive\"} 2\n", "phase_seconds_count{phase=\"queue\"} 1\n",
        "phase_seconds_count{phase=\"connect\"} 0\n", "phase_seconds_count{phase=\"wait\"} 1\n",
        "phase_seconds_count{phase=\"total\"} 2\n", "member_requests_total{member=\"a:1\"} 1\n");
}

Test(counters, odd_statuses_count_as_none)
{
    struct record record = make_record(NULL, NULL);
    record.status = 0;
    counters_record(shard, &record);
    record.status = 999;
    counters_record(shard, &record);
    EXPECT_LINES("requests_total{status=\"none\"} 2\n");
}

Test(counters, gauges_rise_and_fall_over_shards)
{
    struct counter_shard *other = counters_shard(counters);
    counter_add(shard, COUNTER_CONNECTIONS, 5);
    counter_add(other, COUNTER_CONNECTIONS, -3);
    counter_count(other, COUNTER_ACCEPTED);
    cr_expect_eq(counters_value(counters, COUNTER_CONNECTIONS), 2);
    cr_expect_eq(counters_value(counters, COUNTER_ACCEPTED), 1);
}

Test(counters, attempts_before_the_last_are_counted_at_their_member)
{
    struct member member = member_named("a:1");
    counters_retried(shard, &member.counters);
    counters_connected(shard, &member.counters, 1500);
    EXPECT_LINES("member_failures_total{member=\"a:1\"} 1\n",
                 "member_retries_total{member=\"a:1\"} 1\n",
                 "member_connects_total{member=\"a:1\"} 1\n",
                 "member_connect_seconds_sum{member=\"a:1\"} 0.001500\n");
}

Test(counters, a_member_that_comes_back_goes_on_counting)
{
    struct member_counters first = counters_member(counters, "a:1");
    struct member_counters again = counters_member(counters, "a:1");
    struct member_counters other = counters_member(counters, "a:2");
    cr_expect_eq(first.requests.slot, again.requests.slot);
    cr_expect_eq(first.wait.slot, again.wait.slot);
    cr_expect_neq(first.requests.slot, other.requests.slot);
}

Test(counters, members_beyond_the_maximum_share_one_place)
{
    char name[32];
    struct member_counters last = {.requests = {0}};
    for (int i = 0; i < COUNTERS_MEMBERS_MAX; i++) {
        snprintf(name, sizeof name, "10.0.0.1:%d", i);
        last = counters_member(counters, name);
    }
    struct member_counters other = counters_member(counters, "other");
    struct member_counters beyond = counters_member(counters, "10.0.0.2:1");
    cr_expect_neq(last.requests.slot, other.requests.slot);
    cr_expect_neq(last.wait.slot, other.wait.slot);
    cr_expect_eq(beyond.requests.slot, other.requests.slot);
    cr_expect_eq(beyond.wait.slot, other.wait.slot);
}

static void *count_many(void *argument)
{
    struct counter_shard *own = argument;
    struct member member = member_named("a:1");
    struct record record = make_record(&member, NULL);
    for (int i = 0; i < 10000; i++) {
        counters_record(own, &record);
    }
    return NULL;
}

Test(counters, threads_lose_nothing)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, count_many, counters_shard(counters));
    }
    free(page());
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_LINES("requests_total{status=\"2xx\"} 30000\n",
                 "member_requests_total{member=\"a:1\"} 30000\n");
}
