/* SPDX-License-Identifier: Apache-2.0 */
/* See engine.h. */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "client.h"
#include "crew.h"
#include "net/loop.h"
#include "page.h"
#include "phases.h"
#include "progress.h"
#include "reaction.h"
#include "target.h"

enum { PAGE_MAX = 64 * 1024, HEAD_MAX = 2048 };
#define JOIN_STEP (100 * USEC_PER_MSEC)

/* ---- The server's certificate ---- */

struct meeting {
    struct exchange exchange;
    struct loop *loop;
    struct fleet *fleet;
    struct error *error;
    int code;
};

static void on_page(struct exchange *exchange, enum fault fault)
{
    struct meeting *meeting = CONTAINER_OF(exchange, struct meeting, exchange);
    loop_stop(meeting->loop);
    if (fault != FAULT_NONE) {
        meeting->code = error_set(meeting->error, -EIO, "no /server.pem: %s", fault_words(fault));
    } else if (exchange->status != 200) {
        meeting->code =
            error_set(meeting->error, -EIO, "no /server.pem: status %u", exchange->status);
    } else {
        meeting->code =
            page_meet(meeting->fleet, exchange->answer, clock_wall(&clock_system), meeting->error);
    }
}

static int meet(struct meeting *meeting, const struct client_options *options, usec_t timeout)
{
    char head[HEAD_MAX];
    struct str base = str_from(options->target->path);
    struct client *client = client_new(options);
    if (client == NULL) {
        return error_set(meeting->error, -ENOMEM, "no memory");
    }
    if (str_ends_with(base, STR("/"))) {
        base.len--;
    }
    snprintf(head, sizeof head,
             "GET %.*s/server.pem HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", STR_ARG(base),
             options->target->authority);
    meeting->exchange = (struct exchange){.head = str_from(head),
                                          .method = HTTP1_GET,
                                          .timeout = timeout,
                                          .is_alone = true,
                                          .done = on_page};
    exchange_start(client, &meeting->exchange);
    int code = loop_run(options->loop);
    exchange_cancel(client, &meeting->exchange);
    client_free(client);
    return code < 0 ? error_set_errno(meeting->error, code, "cannot wait") : meeting->code;
}

int engine_meet_server(const struct target *target, struct tls_context *tls, usec_t timeout,
                       struct fleet *fleet, struct error *error)
{
    struct loop *loop = loop_new(&clock_system, error);
    if (loop == NULL) {
        return -ENOMEM;
    }
    struct meeting meeting = {.loop = loop, .fleet = fleet, .error = error, .code = -EIO};
    const struct client_options options = {
        .loop = loop, .target = target, .tls = tls, .connections_max = 1, .answer_max = PAGE_MAX};
    /* One turn, so that the loop knows what time it is. */
    int code = loop_turn(loop, 0);
    code =
        code < 0 ? error_set_errno(error, code, "cannot wait") : meet(&meeting, &options, timeout);
    loop_free(loop);
    return code;
}

/* ---- Watching ---- */

struct watcher {
    const struct run_plan *plan;
    const struct engine_watch *watch;
    struct worker **workers;
    struct results *results;
    struct tally *now, *before;
    struct histogram *second;
    usec_t start;
    const struct scenario_phase *phase;
    struct reactions *reactions;
    struct phases *phases;
    struct tally *turn; /* when one phase ends and the next begins */
};

/* Signals that asked for the end of the run. */
static atomic_uint interruptions;
static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler counts");

bool engine_was_interrupted(void)
{
    return interruptions != 0;
}

static void on_signal(int number)
{
    (void)number;
    interruptions++;
}

static void sum_up(const struct watcher *watcher, struct tally *sum)
{
    memset(sum, 0, sizeof *sum);
    for (unsigned i = 0; i < watcher->plan->threads; i++) {
        tally_merge(sum, worker_tally(watcher->workers[i]));
    }
}

/* The phase at `elapsed` has come: what is to be done at its event. */
static void note_phase(struct watcher *watcher, usec_t elapsed)
{
    usec_t begin;
    const struct scenario_phase *phase =
        scenario_phase_at(watcher->plan->scenario, elapsed, &begin);
    if (phase == watcher->phase) {
        return;
    }
    watcher->phase = phase;
    sum_up(watcher, watcher->turn);
    phases_enter(watcher->phases, phase, elapsed, watcher->turn);
    if (phase != NULL && phase->event != EVENT_NONE) {
        reactions_begin(watcher->reactions, phase->event, elapsed);
    }
}

/* When the phase at `elapsed` ends. */
static usec_t phase_end(const struct watcher *watcher, usec_t elapsed)
{
    usec_t begin = 0;
    const struct scenario_phase *phase =
        scenario_phase_at(watcher->plan->scenario, elapsed, &begin);
    return phase == NULL ? USEC_NEVER : usec_add(begin, phase->duration);
}

/* Phases that it did not come to, as it was interrupted. */
static void note_rest(struct watcher *watcher)
{
    const struct scenario *scenario = watcher->plan->scenario;
    size_t next = watcher->phase == NULL ? 0 : (size_t)(watcher->phase - scenario->phases) + 1;
    usec_t begin = 0;
    for (size_t i = 0; i < next; i++) {
        begin += scenario->phases[i].duration;
    }
    for (size_t i = next; i < scenario->phase_count; i++) {
        if (scenario->phases[i].event != EVENT_NONE) {
            reactions_miss(watcher->reactions, scenario->phases[i].event, begin);
        }
        begin += scenario->phases[i].duration;
    }
}

static double wanted_rate(const struct watcher *watcher, usec_t elapsed)
{
    double sum = 0;
    usec_t begin;
    const struct scenario_phase *phase =
        scenario_phase_at(watcher->plan->scenario, elapsed, &begin);
    for (size_t i = 0; phase != NULL && !phase->is_outage && i < phase->group_count; i++) {
        const struct scenario_group *group = &phase->groups[i];
        struct curve curve = group_curve(watcher->plan, group);
        if (group_timing(watcher->plan, group) == TIMING_RATE) {
            sum += curve_at(&curve, elapsed - begin, phase->duration, watcher->plan->rate);
        }
    }
    return sum;
}

static void show(struct watcher *watcher, usec_t elapsed, const struct second *second,
                 usec_t late_p99)
{
    struct failure failures[FAULT_COUNT];
    size_t count = 0;
    for (int i = FAULT_NONE + 1; i < FAULT_COUNT; i++) {
        uint64_t n = TALLY_GET(watcher->now->faults[i]);
        if (n > 0) {
            RUN_TEXT(failures[count].name, fault_name((enum fault)i));
            RUN_TEXT(failures[count].words, fault_words((enum fault)i));
            failures[count++].count = n;
        }
    }
    const struct progress_sample sample = {
        .elapsed = elapsed,
        .duration = watcher->plan->scenario->duration,
        .phase = watcher->phase == NULL ? NULL : watcher->phase->name,
        .rate = (double)second->ok,
        .rate_wanted = wanted_rate(watcher, elapsed),
        .p50 = second->p50,
        .p99 = second->p99,
        .max = second->max,
        .late_p99 = late_p99,
        .ok = TALLY_GET(watcher->now->totals.ok),
        .in_flight = second->in_flight,
        .agents = watcher->plan->agents,
        .enrolled = second->enrolled,
        .failures = failures,
        .failure_count = count,
        .failed = tally_failed(watcher->now),
    };
    if (watcher->watch->progress != NULL) {
        progress_update(watcher->watch->progress, &sample);
    }
}

/* One second is over. */
static int take_second(struct watcher *watcher, usec_t elapsed)
{
    static const double quantiles[] = {0.5, 0.99};
    usec_t values[ARRAY_LEN(quantiles)];
    struct tally *now = watcher->now;
    struct tally *before = watcher->before;
    sum_up(watcher, now);
    histogram_difference(&now->latency, &before->latency, watcher->second);
    histogram_quantiles(watcher->second, quantiles, ARRAY_LEN(quantiles), values);
    const struct second second = {
        .ok = TALLY_GET(now->totals.ok) - TALLY_GET(before->totals.ok),
        .failed = tally_failed(now) - tally_failed(before),
        .p50 = values[0],
        .p99 = values[1],
        .max = histogram_max(watcher->second),
        .in_flight = TALLY_GET(now->in_flight),
        .enrolled = TALLY_GET(now->totals.enrolled),
        .enrolments = TALLY_GET(now->totals.enrolled) - TALLY_GET(before->totals.enrolled),
    };
    histogram_difference(&now->lateness, &before->lateness, watcher->second);
    show(watcher, elapsed, &second, histogram_quantile(watcher->second, 0.99));
    watcher->now = before;
    watcher->before = now;
    return results_add_second(watcher->results, &second);
}

static void sleep_until(usec_t deadline)
{
    const struct timespec at = {.tv_sec = (time_t)(deadline / USEC_PER_SEC),
                                .tv_nsec = (long)(deadline % USEC_PER_SEC * 1000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void wait_until(usec_t deadline)
{
    while (!engine_was_interrupted() && clock_monotonic(&clock_system) < deadline) {
        sleep_until(deadline);
    }
}

/* The phases that begin before `end`, each at its time. */
static void pass_phases(struct watcher *watcher, usec_t *at, usec_t end)
{
    while (*at < end && !engine_was_interrupted()) {
        note_phase(watcher, *at - watcher->start);
        usec_t next = usec_add(watcher->start, phase_end(watcher, *at - watcher->start));
        *at = next < end ? next : end;
        wait_until(*at);
    }
}

/* Until the scenario is over, or a signal came. */
static int watch_run(struct watcher *watcher)
{
    usec_t end = watcher->start + watcher->plan->scenario->duration;
    usec_t at = watcher->start;
    int code = 0;
    sleep_until(watcher->start);
    while (code == 0 && at < end && !engine_was_interrupted()) {
        usec_t next = at + USEC_PER_SEC < end ? at + USEC_PER_SEC : end;
        pass_phases(watcher, &at, next);
        code = take_second(watcher, next - watcher->start);
        reactions_watch(watcher->reactions);
    }
    note_rest(watcher);
    return code;
}

/* ---- Runs ---- */

static usec_t seconds_of(struct timeval value)
{
    return (usec_t)value.tv_sec * USEC_PER_SEC + value.tv_usec;
}

static void describe_cost(struct results *results, const struct rusage *before)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    results->run.cpu_user = seconds_of(now.ru_utime) - seconds_of(before->ru_utime);
    results->run.cpu_system = seconds_of(now.ru_stime) - seconds_of(before->ru_stime);
    results->run.rss_bytes = (uint64_t)now.ru_maxrss * 1024;
}

static void set_signals(struct sigaction *former)
{
    const struct sigaction action = {.sa_handler = on_signal};
    interruptions = 0;
    sigaction(SIGINT, &action, &former[0]);
    sigaction(SIGTERM, &action, &former[1]);
}

static void restore_signals(const struct sigaction *former)
{
    sigaction(SIGINT, &former[0], NULL);
    sigaction(SIGTERM, &former[1], NULL);
}

/* A signal that comes when the plan is over already means that nobody wants to wait. */
static void join_workers(const struct watcher *watcher, unsigned count)
{
    unsigned former = interruptions;
    bool is_hurried = false;
    for (unsigned i = 0; i < count;) {
        i += worker_join(watcher->workers[i], JOIN_STEP);
        if (interruptions != former && !is_hurried) {
            is_hurried = true;
            for (unsigned k = i; k < count; k++) {
                worker_hurry(watcher->workers[k]);
            }
        }
    }
}

static int run_workers(struct watcher *watcher, struct error *error)
{
    const struct run_plan *plan = watcher->plan;
    struct rusage before;
    unsigned started = 0;
    int code = 0;
    /* Long enough to arm every agent's first poll. */
    watcher->start = clock_monotonic(&clock_system) + 100 * USEC_PER_MSEC + (usec_t)plan->agents;
    watcher->results->run.started = clock_wall(&clock_system);
    getrusage(RUSAGE_SELF, &before);
    while (code == 0 && started < plan->threads) {
        code = worker_start(watcher->workers[started], watcher->start, error);
        started += code == 0;
    }
    if (code == 0 && watch_run(watcher) < 0) {
        code = error_set(error, -ENOMEM, "no memory for the results");
    }
    watcher->results->run.duration = clock_monotonic(&clock_system) - watcher->start;
    for (unsigned i = 0; i < started; i++) {
        worker_stop(watcher->workers[i]);
    }
    join_workers(watcher, started);
    describe_cost(watcher->results, &before);
    return code;
}

static int make_workers(struct watcher *watcher, struct error *error)
{
    CHECK(watcher->workers != NULL);
    for (unsigned i = 0; i < watcher->plan->threads; i++) {
        int code = worker_new(watcher->plan, i, &watcher->workers[i], error);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int run_with_crew(struct watcher *watcher, struct error *error)
{
    struct sigaction former[2];
    int code = make_workers(watcher, error);
    if (code == 0) {
        set_signals(former);
        code = run_workers(watcher, error);
        /* A signal would leave the commands behind. */
        reactions_end(watcher->reactions, REACTION_PATIENCE);
        watcher->reactions = NULL;
        restore_signals(former);
    }
    if (code == 0) {
        sum_up(watcher, watcher->now);
        phases_enter(watcher->phases, NULL, watcher->results->run.duration, watcher->now);
        tally_tell(watcher->now, watcher->results);
        phases_leave_out(watcher->phases);
    }
    return code;
}

int engine_run(struct run_plan *plan, const struct engine_watch *watch, struct results *results,
               struct error *error)
{
    struct watcher watcher = {.plan = plan, .watch = watch, .results = results};
    watcher.reactions =
        reactions_new(watch->reactions, watch->reaction_count, watch->progress, results);
    watcher.workers = calloc(plan->threads, sizeof(struct worker *));
    watcher.now = calloc(1, sizeof *watcher.now);
    watcher.before = calloc(1, sizeof *watcher.before);
    watcher.second = calloc(1, sizeof *watcher.second);
    watcher.turn = calloc(1, sizeof *watcher.turn);
    watcher.phases = phases_new(results);
    int code = watcher.workers == NULL || watcher.now == NULL || watcher.before == NULL ||
                       watcher.second == NULL || watcher.turn == NULL || watcher.phases == NULL ||
                       watcher.reactions == NULL
                   ? error_set(error, -ENOMEM, "no memory")
                   : crew_start(plan->threads, &plan->crew, error);
    if (code == 0) {
        code = run_with_crew(&watcher, error);
        crew_stop(plan->crew);
        plan->crew = NULL;
    }
    reactions_end(watcher.reactions, 0); /* it did not begin */
    for (unsigned i = 0; watcher.workers != NULL && i < plan->threads; i++) {
        worker_free(watcher.workers[i]);
    }
    free(watcher.workers);
    free(watcher.now);
    free(watcher.before);
    free(watcher.second);
    free(watcher.turn);
    phases_free(watcher.phases);
    return code;
}

void engine_judge(struct results *results)
{
    usec_t late = histogram_quantile(&results->lateness, 0.99);
    usec_t latency = histogram_quantile(&results->latency, 0.99);
    uint64_t starved =
        results_failures(results, STR("no-ports")) + results_failures(results, STR("generator"));
    if (starved > 0) {
        results_invalidate(results,
                           "the generator failed %llu times for want of ports, descriptors, "
                           "memory or disk",
                           (unsigned long long)starved);
    }
    if (late > ENGINE_LATENESS_MAX && (double)late > ENGINE_LATENESS_PART * (double)latency) {
        results_invalidate(results,
                           "the generator was late: 1 %% of its requests by %.1f ms or more, while "
                           "1 %% of the answers took %.1f ms or more",
                           (double)late / 1000, (double)latency / 1000);
    }
}
