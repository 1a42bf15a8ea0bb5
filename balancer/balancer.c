/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread: makes everything, runs it, stops it. */
#include "balancer_internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "admin_http.h"
#include "admin_socket.h"
#include "base/check.h"
#include "base/log.h"
#include "listeners.h"
#include "resolver.h"

enum { WORKERS_MAX = 1024 };

#define HOUSEKEEPING (2 * USEC_PER_SEC)
/* What ending may take beside requests in flight. */
#define STOP_MARGIN (5 * USEC_PER_SEC)
/* How long to look for members before serving without. */
#define FIRST_PROBES (500 * USEC_PER_MSEC)

/* ---- The end ---- */

static void notice_ended(struct balancer *balancer, unsigned i)
{
    worker_join(balancer->workers[i]);
    balancer->is_ended[i] = true;
    balancer->ended_count++;
    balancer_free_questions(balancer, i);
}

static void run_ended(struct task *task)
{
    struct balancer *balancer = CONTAINER_OF(task, struct balancer, ended_task);
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i] && atomic_load(&balancer->workers[i]->has_ended)) {
            notice_ended(balancer, i);
        }
    }
    if (balancer->ended_count == balancer->worker_count) {
        loop_stop(balancer->loop);
    }
}

static void abort_workers(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i]) {
            worker_post_abort(balancer->workers[i]);
        }
    }
}

static void drained_too_long(struct timer *timer, usec_t now)
{
    (void)now;
    log_warning("stopping although answers are under way");
    abort_workers(CONTAINER_OF(timer, struct balancer, drain));
}

void balancer_stop(struct balancer *balancer)
{
    if (balancer->is_stopping) {
        abort_workers(balancer);
        return;
    }
    balancer->is_stopping = true;
    log_info("stopping");
    usec_t drain = balancer->now.rules->drain;
    sd_notifyf(0, "STOPPING=1\nSTATUS=finishing answers\nEXTEND_TIMEOUT_USEC=%lld",
               (long long)usec_add(drain, STOP_MARGIN));
    loop_arm(balancer->loop, &balancer->drain, usec_add(loop_now(balancer->loop), drain));
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        worker_post_stop(balancer->workers[i]);
    }
}

/* ---- Signals ---- */

static void reopen_log(struct balancer *balancer)
{
    struct error error = {.line = 0};
    if (accesslog_reopen(balancer->shared.accesslog, &error) < 0) {
        log_error_value(LOG_LEVEL_ERROR, "the access log was not reopened", &error);
    }
}

static void signalled(struct watch *watch, unsigned ready)
{
    struct balancer *balancer = CONTAINER_OF(watch, struct balancer, signals);
    struct signalfd_siginfo info;
    struct error error = {.line = 0};
    (void)ready;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            int code = balancer_reload(balancer, &error);
            (void)code; /* it was logged */
        } else if (info.ssi_signo == SIGUSR1) {
            reopen_log(balancer);
        } else {
            balancer_stop(balancer);
        }
    }
}

static int watch_signals(struct balancer *balancer, struct error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    watch_init(&balancer->signals, signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), signalled);
    int code = balancer->signals.fd < 0 ? -errno
                                        : watch_set(balancer->loop, &balancer->signals, WATCH_READ);
    return code < 0 ? error_set_errno(error, code, "cannot listen to signals") : 0;
}

/* ---- Making it ---- */

/* After a burst workers keep more than they need, and the heap is full of holes that nobody may
 * need for hours. */
static void trim_memory(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i]) {
            worker_post_trim(balancer->workers[i]);
        }
    }
    enum { WORTHWHILE = 1024 * 1024 };
    struct mallinfo2 memory = mallinfo2();
    if (memory.fordblks > WORTHWHILE && memory.fordblks > memory.uordblks / 4) {
        malloc_trim(0);
    }
}

/* A worker never waits, so one that has not come to its tasks for that long never will. */
static bool is_alive(const struct balancer *balancer, usec_t now)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i] &&
            worker_silence(balancer->workers[i], now) > balancer->watchdog / 2) {
            return false;
        }
    }
    return true;
}

/* A sign of life only while all workers live: systemd ends who gives none and starts another. */
static void feed_watchdog(struct balancer *balancer, usec_t now)
{
    if (balancer->watchdog == 0) {
        return;
    }
    bool alive = is_alive(balancer, now);
    if (alive) {
        sd_notify(0, "WATCHDOG=1");
    } else if (balancer->was_alive) {
        log_error("a worker is stuck");
    }
    balancer->was_alive = alive;
}

static usec_t housekeeping_period(const struct balancer *balancer)
{
    usec_t third = balancer->watchdog / 3;
    return third > 0 && third < HOUSEKEEPING ? third : HOUSEKEEPING;
}

static void keep_house(struct timer *timer, usec_t now)
{
    struct balancer *balancer = CONTAINER_OF(timer, struct balancer, housekeeping);
    log_limits_flush();
    feed_watchdog(balancer, now);
    trim_memory(balancer);
    sd_notifyf(0, "STATUS=%u connections, %zu of %zu members usable",
               atomic_load(&balancer->shared.connections), range_usable(balancer->now.range),
               range_count(balancer->now.range));
    loop_arm(balancer->loop, timer, usec_add(now, housekeeping_period(balancer)));
}

static int make_shared(struct balancer *balancer, struct error *error)
{
    struct shared *shared = &balancer->shared;
    uint32_t name;
    if (getrandom(&shared->id_seed, sizeof shared->id_seed, 0) != sizeof shared->id_seed ||
        getrandom(&name, sizeof name, 0) != sizeof name) {
        return error_set_errno(error, -errno, "the system has no random numbers");
    }
    snprintf(shared->via, sizeof shared->via, "1.1 portico-%08x", name);
    shared->addresses = address_counts_new();
    shared->counters = counters_new();
    shared->control = balancer->loop;
    shared->ended = &balancer->ended_task;
    shared->accesslog = accesslog_new(error);
    if (shared->accesslog == NULL) {
        return -ENOMEM;
    }
    balancer->tickets = tls_tickets_new(&clock_system, TLS_TICKETS_PERIOD);
    if (shared->counters != NULL) {
        balancer->counters = counters_shard(shared->counters);
    }
    if (shared->addresses == NULL || balancer->counters == NULL || balancer->tickets == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot make the balancer");
    }
    return 0;
}

static int make_members(struct balancer *balancer, struct prepared *prepared, struct error *error)
{
    balancer->now.rules = prepared->rules;
    prepared->rules = NULL;
    balancer->now.tls = prepared->tls;
    prepared->tls = NULL;
    balancer->now.range = balancer_new_range(balancer, NULL, 0);
    balancer->prober = prober_new(balancer->loop, &prepared->probes, balancer->shared.id_seed,
                                  balancer_member_changed, balancer);
    if (balancer->now.range == NULL || balancer->prober == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot make the members");
    }
    balancer->resolver =
        resolver_new(balancer->loop, NULL, balancer_places_changed, balancer, error);
    if (balancer->resolver == NULL) {
        return -ENOMEM;
    }
    int code = resolver_set(balancer->resolver, &prepared->hosts);
    return code < 0 ? error_set_errno(error, code, "cannot make the members") : 0;
}

static unsigned count_workers(const struct config *config)
{
    int64_t wanted = config_int(config, "Balancer.threads");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > 0) {
        return wanted > WORKERS_MAX ? WORKERS_MAX : (unsigned)wanted;
    }
    return processors < 1 ? 1 : (unsigned)processors;
}

static int make_workers(struct balancer *balancer, const struct config *config, struct error *error)
{
    unsigned count = count_workers(config);
    balancer->workers = calloc(count, sizeof(struct worker *));
    balancer->is_ended = calloc(count, sizeof *balancer->is_ended);
    if (balancer->workers == NULL || balancer->is_ended == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot make workers");
    }
    for (unsigned i = 0; i < count; i++) {
        balancer->workers[i] = worker_new(i, &balancer->shared, &balancer->now, error);
        if (balancer->workers[i] == NULL) {
            return -ENOMEM;
        }
        balancer->worker_count++;
    }
    balancer->shared.workers = balancer->workers;
    balancer->shared.worker_count = count;
    return 0;
}

static int make_administration(struct balancer *balancer, const struct config *config,
                               struct error *error)
{
    struct address address;
    balancer->admin_socket =
        admin_socket_new(balancer, config_str(config, "Balancer.admin_socket"), error);
    if (balancer->admin_socket == NULL) {
        /* Requests are relayed without it. */
        log_error_value(LOG_LEVEL_WARNING, "no admin socket", error);
        *error = (struct error){.line = 0};
    }
    if (config_int(config, "Balancer.admin_port") == 0) {
        return 0;
    }
    int code =
        address_from_host(str_from(config_str(config, "Balancer.admin_address")),
                          (uint16_t)config_int(config, "Balancer.admin_port"), &address, error);
    if (code == 0) {
        balancer->admin_http = admin_http_new(balancer, &address, error);
    }
    return code == 0 && balancer->admin_http == NULL ? -EADDRINUSE : code;
}

static int make_all(struct balancer *balancer, struct config *config, struct error *error)
{
    struct prepared prepared = {.config = NULL};
    balancer->loop = loop_new(&clock_system, error);
    if (balancer->loop == NULL) {
        return -ENOMEM;
    }
    balancer->started = loop_now(balancer->loop);
    int code = make_shared(balancer, error);
    if (code == 0) {
        code = balancer_prepare(balancer, config, &prepared, error);
    }
    if (code == 0) {
        code = balancer_open_log(balancer, config, error);
    }
    if (code == 0) {
        code = make_members(balancer, &prepared, error);
    }
    prepared_done(&prepared);
    if (code == 0) {
        code = make_workers(balancer, config, error);
    }
    if (code == 0) {
        code = listeners_open(config, balancer->workers, balancer->worker_count, &balancer->plain,
                              &balancer->tls, error);
    }
    if (code == 0) {
        code = make_administration(balancer, config, error);
    }
    return code < 0 ? code : watch_signals(balancer, error);
}

struct balancer *balancer_new(const struct command_line *line, struct config *config,
                              struct error *error)
{
    struct balancer *balancer = aligned_alloc(_Alignof(struct balancer), sizeof *balancer);
    if (balancer == NULL) {
        error_set_errno(error, -ENOMEM, "cannot make the balancer");
        return NULL;
    }
    memset(balancer, 0, sizeof *balancer);
    balancer->line = line;
    balancer->signals.fd = -1;
    question_list_init(&balancer->questions);
    task_init(&balancer->changed_task, balancer_look_at_members);
    task_init(&balancer->ended_task, run_ended);
    timer_init(&balancer->drain, drained_too_long);
    timer_init(&balancer->housekeeping, keep_house);
    if (make_all(balancer, config, error) < 0) {
        balancer_free(balancer);
        return NULL;
    }
    return balancer;
}

/* Nobody waits for the answers any more, but who asked still owns the questions. No worker runs, so
 * what they posted is all there. */
static void answer_questions(struct balancer *balancer)
{
    int code = 0;
    while (code >= 0 && !question_list_is_empty(&balancer->questions)) {
        code = loop_turn(balancer->loop, 0);
    }
}

/* The loop turns while parts are freed, and what is due must not find them gone. */
static void end_timers(struct balancer *balancer)
{
    if (balancer->loop != NULL) {
        loop_disarm(balancer->loop, &balancer->housekeeping);
        loop_disarm(balancer->loop, &balancer->drain);
    }
}

/* The resolver's last answer, and what workers said of members, may be on their way: they come
 * while all that they ask for is there. */
static void turn_once_more(struct balancer *balancer)
{
    if (balancer->loop != NULL) {
        int code = loop_turn(balancer->loop, 0);
        (void)code;
    }
}

void balancer_free(struct balancer *balancer)
{
    if (balancer == NULL) {
        return;
    }
    admin_http_free(balancer->admin_http);
    admin_socket_free(balancer->admin_socket);
    end_timers(balancer);
    answer_questions(balancer);
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        worker_free(balancer->workers[i]);
    }
    free(balancer->workers);
    free(balancer->is_ended);
    balancer->worker_count = 0; /* the last news of an end may still be posted, for nobody now */
    resolver_free(balancer->resolver);
    turn_once_more(balancer);
    prober_free(balancer->prober);
    accesslog_free(balancer->shared.accesslog);
    rules_unref(balancer->now.rules);
    range_unref(balancer->now.range);
    tls_context_unref(balancer->now.tls);
    tls_tickets_unref(balancer->tickets);
    address_counts_free(balancer->shared.addresses);
    counters_free(balancer->shared.counters);
    if (balancer->signals.fd >= 0) {
        close(balancer->signals.fd);
    }
    loop_free(balancer->loop);
    free(balancer);
}

/* ---- Running ---- */

static void say_where(const struct balancer *balancer)
{
    char address[ADDRESS_TEXT_SIZE];
    struct option_list hosts = config_list(balancer->now.rules->config, "Balancer.hosts");
    struct port_range ports = config_frontend_range(balancer->now.rules->config);
    const struct address *first = balancer->plain.len > 0 ? &balancer->plain : &balancer->tls;
    printf("portico-balancer: serving on %s", address_format(first, address));
    if (balancer->tls.len > 0 && first != &balancer->tls) {
        printf(" and, by TLS, %s", address_format(&balancer->tls, address));
    }
    printf(", members ");
    for (size_t i = 0; i < hosts.count; i++) {
        printf("%s%s:%u-%u", i == 0 ? "" : ", ", hosts.items[i], ports.first, ports.last);
    }
    printf("\n");
    fflush(stdout);
    sd_notifyf(0, "READY=1\nSTATUS=serving on %s", address_format(first, address));
}

static int start_workers(struct balancer *balancer, struct error *error)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        int code = worker_start(balancer->workers[i]);
        if (code < 0) {
            return error_set_errno(error, code, "cannot start a worker");
        }
    }
    return 0;
}

/* Whoever asks first should find the members that are there. */
static int meet_members(struct balancer *balancer)
{
    usec_t deadline = usec_add(clock_monotonic(&clock_system), FIRST_PROBES);
    int code = 0;
    while (code >= 0 && !prober_knows_all(balancer->prober) &&
           loop_now(balancer->loop) < deadline) {
        code = loop_turn(balancer->loop, 10 * USEC_PER_MSEC);
    }
    return code;
}

int balancer_run(struct balancer *balancer, struct error *error)
{
    int code = meet_members(balancer);
    if (code < 0) {
        return error_set_errno(error, code, "the control loop failed");
    }
    code = start_workers(balancer, error);
    if (code < 0) {
        abort_workers(balancer);
        for (unsigned i = 0; i < balancer->worker_count; i++) {
            worker_join(balancer->workers[i]);
        }
        return code;
    }
    say_where(balancer);
    uint64_t watchdog = 0;
    if (sd_watchdog_enabled(0, &watchdog) > 0) {
        balancer->watchdog = (usec_t)watchdog;
    }
    balancer->was_alive = true;
    loop_arm(balancer->loop, &balancer->housekeeping, loop_now(balancer->loop));
    code = loop_run(balancer->loop);
    return code < 0 ? error_set_errno(error, code, "the control loop failed") : 0;
}

/* ---- For the administration ---- */

struct loop *balancer_loop(struct balancer *balancer)
{
    return balancer->loop;
}

struct counters *balancer_counters(struct balancer *balancer)
{
    return balancer->shared.counters;
}

struct range *balancer_range(struct balancer *balancer)
{
    return balancer->now.range;
}

const struct config *balancer_config(const struct balancer *balancer)
{
    return balancer->now.rules->config;
}

unsigned balancer_workers(const struct balancer *balancer)
{
    return balancer->worker_count;
}

usec_t balancer_uptime(const struct balancer *balancer)
{
    return loop_now(balancer->loop) - balancer->started;
}

bool balancer_is_stopping(const struct balancer *balancer)
{
    return balancer->is_stopping;
}

const struct balancer_reloaded *balancer_reloaded(const struct balancer *balancer)
{
    return &balancer->reloaded;
}
