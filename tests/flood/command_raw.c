/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood raw: plain requests to any server, as fast as so many connections allow or at a
 * fixed rate. Each thread has its loop, its connections and its part of the rate. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "client.h"
#include "commands.h"
#include "crew.h"
#include "engine.h"
#include "net/loop.h"
#include "net/tls_context.h"
#include "progress.h"
#include "schedule.h"
#include "slo.h"
#include "tally.h"
#include "target.h"

enum { THREADS_MAX = 256, ANSWER_MAX = 256 << 20, BODY_MAX = 256 << 20, HEAD_MAX = 2048 };

struct raw;

/* One connection's worth of requests. */
struct user {
    struct exchange exchange;
    struct user *next; /* idle, with a rate */
    struct raw_worker *worker;
    usec_t planned, sent;
};

struct raw_worker {
    struct raw *raw;
    struct loop *loop;
    struct client *client;
    pthread_t thread;
    unsigned number;
    struct user *users, *idle;
    size_t user_count, busy;
    struct arrivals arrivals;
    struct timer arrival, end, grace;
    usec_t freed; /* when the last user became free */
    bool is_ending;
    struct tally tally;
};

struct raw {
    const struct arguments *arguments;
    struct target target;
    struct tls_context *tls;
    struct results *results;
    struct slo slo;
    char head[HEAD_MAX];
    char *body; /* owned */
    uint64_t body_bytes, connections, threads, seed;
    double rate;
    usec_t duration, timeout, start;
    struct raw_worker *workers;
};

static usec_t real_now(void)
{
    return clock_monotonic(&clock_system);
}

static void send_one(struct user *user, usec_t planned)
{
    struct raw_worker *worker = user->worker;
    user->planned = planned;
    user->sent = real_now();
    worker->busy++;
    TALLY_ADD(worker->tally.totals.planned, 1);
    TALLY_ADD(worker->tally.totals.started, 1);
    exchange_start(worker->client, &user->exchange);
}

static void count_traffic(struct raw_worker *worker)
{
    const struct client_counters *counters = client_counters(worker->client);
    TALLY_SET(worker->tally.totals.connections, counters->connections);
    TALLY_SET(worker->tally.totals.tls_resumed, counters->resumed);
    TALLY_SET(worker->tally.totals.bytes_sent, counters->bytes_sent);
    TALLY_SET(worker->tally.totals.bytes_received, counters->bytes_received);
    TALLY_SET(worker->tally.in_flight, worker->busy);
}

static void on_arrival(struct timer *timer, usec_t now);

static void on_answer(struct exchange *exchange, enum fault fault)
{
    struct user *user = CONTAINER_OF(exchange, struct user, exchange);
    struct raw_worker *worker = user->worker;
    struct tally *tally = &worker->tally;
    worker->busy--;
    if (fault == FAULT_NONE && exchange->status != 200) {
        fault = fault_of_status(exchange->status);
    }
    if (fault != FAULT_NONE) {
        TALLY_ADD(tally->faults[fault], 1);
    } else {
        TALLY_ADD(tally->totals.ok, 1);
        histogram_record(&tally->latency, exchange->answered - user->planned);
        histogram_record(&tally->service, exchange->answered - user->sent);
    }
    count_traffic(worker);
    if (worker->is_ending) {
        if (worker->busy == 0) {
            loop_stop(worker->loop);
        }
    } else if (worker->raw->rate > 0) {
        bool was_short = worker->idle == NULL;
        user->next = worker->idle;
        worker->idle = user;
        worker->freed = real_now();
        if (was_short) {
            loop_arm(worker->loop, &worker->arrival, loop_now(worker->loop));
        }
    } else {
        /* Closed loop: the next request is due when the answer is there. */
        send_one(user, exchange->answered);
    }
}

static void on_arrival(struct timer *timer, usec_t now)
{
    struct raw_worker *worker = CONTAINER_OF(timer, struct raw_worker, arrival);
    usec_t start = worker->raw->start;
    usec_t at;
    while ((at = arrivals_peek(&worker->arrivals)) != USEC_NEVER && start + at <= now) {
        struct user *user = worker->idle;
        if (user == NULL) {
            return; /* the next one that becomes free goes on */
        }
        worker->idle = user->next;
        usec_t since = worker->freed > start + at ? worker->freed : start + at;
        histogram_record(&worker->tally.lateness, real_now() - since);
        send_one(user, start + at);
        arrivals_advance(&worker->arrivals);
    }
    loop_arm(worker->loop, timer, at == USEC_NEVER ? USEC_NEVER : start + at);
}

static void on_grace(struct timer *timer, usec_t now)
{
    struct raw_worker *worker = CONTAINER_OF(timer, struct raw_worker, grace);
    (void)now;
    for (size_t i = 0; i < worker->user_count; i++) {
        if (worker->users[i].exchange.client != NULL) {
            exchange_cancel(worker->client, &worker->users[i].exchange);
            TALLY_ADD(worker->tally.totals.unfinished, 1);
            TALLY_ADD(worker->tally.faults[FAULT_UNFINISHED], 1);
        }
    }
    loop_stop(worker->loop);
}

/* What was due and has found no free connection: it was held by the schedule, and failed. */
static void count_rest(struct raw_worker *worker, usec_t now)
{
    usec_t at;
    on_arrival(&worker->arrival, now);
    while ((at = arrivals_peek(&worker->arrivals)) != USEC_NEVER &&
           worker->raw->start + at <= now) {
        arrivals_advance(&worker->arrivals);
        TALLY_ADD(worker->tally.totals.planned, 1);
        TALLY_ADD(worker->tally.totals.not_started, 1);
        TALLY_ADD(worker->tally.faults[FAULT_NOT_STARTED], 1);
    }
}

static void on_end(struct timer *timer, usec_t now)
{
    struct raw_worker *worker = CONTAINER_OF(timer, struct raw_worker, end);
    if (worker->raw->rate > 0) {
        count_rest(worker, now);
    }
    worker->is_ending = true;
    loop_disarm(worker->loop, &worker->arrival);
    loop_arm(worker->loop, &worker->grace, now + USEC_PER_SEC);
    if (worker->busy == 0) {
        loop_stop(worker->loop);
    }
}

static void *run_thread(void *argument)
{
    struct raw_worker *worker = argument;
    if (worker->raw->rate > 0) {
        crew_go_first();
    }
    if (loop_run(worker->loop) < 0) {
        TALLY_ADD(worker->tally.faults[FAULT_GENERATOR], 1);
    }
    return NULL;
}

/* With a rate the first request comes with its time, else each user begins at once. */
static void begin(struct raw_worker *worker)
{
    struct raw *raw = worker->raw;
    const struct exchange request = {
        .head = str_from(raw->head),
        .body = str_make(raw->body, raw->body_bytes),
        .method = raw->body_bytes > 0 ? HTTP1_POST : HTTP1_GET,
        .timeout = raw->timeout,
        .is_alone = arguments_have(raw->arguments, "close"),
        .done = on_answer,
    };
    timer_init(&worker->end, on_end);
    timer_init(&worker->grace, on_grace);
    timer_init(&worker->arrival, on_arrival);
    loop_arm(worker->loop, &worker->end, raw->start + raw->duration);
    for (size_t i = 0; i < worker->user_count; i++) {
        struct user *user = &worker->users[i];
        *user = (struct user){.exchange = request, .worker = worker, .next = worker->idle};
        worker->idle = user;
    }
    if (raw->rate > 0) {
        double part = raw->rate / (double)raw->threads;
        worker->arrivals = (struct arrivals){.seed = schedule_mix(raw->seed, worker->number),
                                             .from = part,
                                             .to = part,
                                             .duration = raw->duration};
        loop_arm(worker->loop, &worker->arrival, raw->start);
    } else {
        while (worker->idle != NULL) {
            struct user *user = worker->idle;
            worker->idle = user->next;
            send_one(user, raw->start);
        }
    }
}

static int make_worker(struct raw *raw, unsigned number, struct error *error)
{
    CHECK(raw->workers != NULL);
    struct raw_worker *worker = &raw->workers[number];
    worker->raw = raw;
    worker->number = number;
    worker->user_count =
        raw->connections / raw->threads + (number < raw->connections % raw->threads);
    worker->loop = loop_new(&clock_system, error);
    worker->users = calloc(worker->user_count, sizeof *worker->users);
    if (worker->loop == NULL || worker->users == NULL ||
        (raw->rate > 0 && loop_be_punctual(worker->loop, LOOP_TICK) < 0)) {
        return error_set(error, -ENOMEM, "no memory");
    }
    const struct client_options options = {
        .loop = worker->loop,
        .target = &raw->target,
        .tls = raw->tls,
        .connections_max = worker->user_count,
        .answer_max = ANSWER_MAX,
        .number = number,
        .resumes = !arguments_have(raw->arguments, "no-resumption"),
    };
    worker->client = client_new(&options);
    return worker->client == NULL ? error_set(error, -ENOMEM, "no memory") : 0;
}

static void free_workers(struct raw *raw)
{
    for (size_t i = 0; raw->workers != NULL && i < raw->threads; i++) {
        struct raw_worker *worker = &raw->workers[i];
        client_free(worker->client);
        loop_free(worker->loop);
        free(worker->users);
    }
    free(raw->workers);
}

static void sum_up(const struct raw *raw, struct tally *sum)
{
    memset(sum, 0, sizeof *sum);
    for (size_t i = 0; i < raw->threads; i++) {
        tally_merge(sum, &raw->workers[i].tally);
    }
}

static int take_second(struct raw *raw, struct tally *before, struct tally *now,
                       struct histogram *part)
{
    static const double quantiles[] = {0.5, 0.99};
    usec_t values[ARRAY_LEN(quantiles)];
    sum_up(raw, now);
    histogram_difference(&now->latency, &before->latency, part);
    histogram_quantiles(part, quantiles, ARRAY_LEN(quantiles), values);
    const struct second second = {
        .ok = TALLY_GET(now->totals.ok) - TALLY_GET(before->totals.ok),
        .failed = tally_failed(now) - tally_failed(before),
        .p50 = values[0],
        .p99 = values[1],
        .max = histogram_max(part),
        .in_flight = TALLY_GET(now->in_flight),
    };
    memcpy(before, now, sizeof *before);
    return results_add_second(raw->results, &second);
}

static int watch(struct raw *raw)
{
    struct tally *before = calloc(1, sizeof *before);
    struct tally *now = calloc(1, sizeof *now);
    struct histogram *part = calloc(1, sizeof *part);
    int code = before == NULL || now == NULL || part == NULL ? -ENOMEM : 0;
    usec_t end = raw->start + raw->duration;
    for (usec_t next = raw->start; code == 0 && next < end;) {
        next = next + USEC_PER_SEC < end ? next + USEC_PER_SEC : end;
        const struct timespec at = {.tv_sec = (time_t)(next / USEC_PER_SEC),
                                    .tv_nsec = (long)(next % USEC_PER_SEC * 1000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
        }
        code = take_second(raw, before, now, part);
    }
    free(before);
    free(now);
    free(part);
    return code;
}

static usec_t micros(struct timeval value)
{
    return (usec_t)value.tv_sec * USEC_PER_SEC + value.tv_usec;
}

static int run_threads(struct raw *raw, struct error *error)
{
    struct rusage before;
    struct rusage after;
    size_t started = 0;
    int code = 0;
    getrusage(RUSAGE_SELF, &before);
    raw->results->run.started = clock_wall(&clock_system);
    raw->start = real_now() + 10 * USEC_PER_MSEC;
    for (; code == 0 && started < raw->threads; started += code == 0) {
        begin(&raw->workers[started]);
        code = -pthread_create(&raw->workers[started].thread, NULL, run_thread,
                               &raw->workers[started]);
    }
    code = code < 0 ? error_set_errno(error, code, "cannot start a thread") : watch(raw);
    for (size_t i = 0; i < started; i++) {
        pthread_join(raw->workers[i].thread, NULL);
    }
    getrusage(RUSAGE_SELF, &after);
    raw->results->run.duration = raw->duration;
    raw->results->run.cpu_user = micros(after.ru_utime) - micros(before.ru_utime);
    raw->results->run.cpu_system = micros(after.ru_stime) - micros(before.ru_stime);
    raw->results->run.rss_bytes = (uint64_t)after.ru_maxrss * 1024;
    return code;
}

static int run_and_sum_up(struct raw *raw, struct tally *sum, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && i < raw->threads; i++) {
        code = make_worker(raw, i, error);
    }
    code = code < 0 ? code : run_threads(raw, error);
    if (code == 0) {
        sum_up(raw, sum);
        tally_tell(sum, raw->results);
    }
    return code;
}

static int run(struct raw *raw, struct error *error)
{
    int code = 0;
    raw->workers = calloc(raw->threads, sizeof *raw->workers);
    struct tally *sum = calloc(1, sizeof *sum);
    if (raw->workers == NULL || sum == NULL) {
        code = error_set(error, -ENOMEM, "no memory");
    }
    if (code == 0) {
        code = run_and_sum_up(raw, sum, error);
    }
    free(sum);
    free_workers(raw);
    return code;
}

/* ---- Options ---- */

static int take_options(struct raw *raw)
{
    const struct arguments *arguments = raw->arguments;
    struct error error = {.line = 0};
    const char *slo = arguments_text(arguments, "slo");
    int status = arguments_number(arguments, "threads", 1, THREADS_MAX, &raw->threads);
    status = status != 0
                 ? status
                 : arguments_number(arguments, "connections", 1, 1 << 20, &raw->connections);
    status = status != 0 ? status : arguments_number(arguments, "seed", 0, UINT64_MAX, &raw->seed);
    status = status != 0 ? status : arguments_real(arguments, "rate", &raw->rate);
    status = status != 0 ? status : arguments_duration(arguments, "duration", &raw->duration);
    status = status != 0 ? status : arguments_duration(arguments, "timeout", &raw->timeout);
    status = status != 0 ? status : arguments_size(arguments, "body-bytes", &raw->body_bytes);
    if (status == 0 && raw->body_bytes > BODY_MAX) {
        return arguments_misuse(arguments, "--body-bytes is at most %d", BODY_MAX);
    }
    if (status == 0 && slo != NULL &&
        slo_parse(str_from(slo), fault_names(), &raw->slo, &error) < 0) {
        return arguments_misuse(arguments, "--slo, column %u: %s", error.column, error.message);
    }
    raw->threads = raw->threads < raw->connections ? raw->threads : raw->connections;
    return status;
}

static int make_request(struct raw *raw)
{
    raw->body = calloc(1, raw->body_bytes + 1);
    if (raw->body == NULL) {
        return arguments_fail(raw->arguments, "no memory");
    }
    memset(raw->body, 'x', raw->body_bytes);
    bool closes = arguments_have(raw->arguments, "close");
    int len = snprintf(raw->head, sizeof raw->head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s",
                       raw->body_bytes > 0 ? "POST" : "GET", raw->target.path,
                       raw->target.authority, closes ? "Connection: close\r\n" : "");
    snprintf(raw->head + len, sizeof raw->head - (size_t)len,
             raw->body_bytes > 0 ? "Content-Length: %llu\r\n\r\n" : "\r\n",
             (unsigned long long)raw->body_bytes);
    return 0;
}

static void describe(struct raw *raw)
{
    struct run_description *about = &raw->results->run;
    run_describe_machine(about);
    RUN_TEXT(about->mode, "raw");
    RUN_TEXT(about->url, arguments_text(raw->arguments, "url"));
    arguments_join(raw->arguments, about->command_line, sizeof about->command_line);
    RUN_TEXT(about->connections, arguments_have(raw->arguments, "close") ? "new" : "keep-alive");
    if (arguments_have(raw->arguments, "slo")) {
        RUN_TEXT(about->slo, arguments_text(raw->arguments, "slo"));
    }
    about->tls = raw->target.is_tls;
    about->threads = (unsigned)raw->threads;
    about->agents = raw->connections;
    about->seed = raw->seed;
    about->rate_wanted = raw->rate;
}

static int run_and_conclude(struct raw *raw)
{
    struct error error = {.line = 0};
    raw->results = results_new();
    if (raw->results == NULL) {
        return arguments_fail(raw->arguments, "no memory");
    }
    describe(raw);
    if (run(raw, &error) < 0) {
        return arguments_fail(raw->arguments, "%s", error.message);
    }
    engine_judge(raw->results);
    return conclude(raw->arguments, raw->results);
}

int command_raw(const struct arguments *arguments)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct raw raw = {
        .arguments = arguments,
        .threads = cpus > 0 ? (uint64_t)cpus : 1,
        .connections = 50,
        .seed = 1,
        .duration = 10 * USEC_PER_SEC,
        .timeout = 30 * USEC_PER_SEC,
    };
    int status = take_options(&raw);
    status = status != 0 ? status : take_target(arguments, &raw.target, &raw.tls);
    status = status != 0 ? status : make_request(&raw);
    status = status != 0 ? status : run_and_conclude(&raw);
    results_free(raw.results);
    free(raw.body);
    tls_context_unref(raw.tls);
    return status;
}
