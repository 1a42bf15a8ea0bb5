/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread: makes everything, looks after members, answers administrators, reloads,
 * stops. */
#include "balancer.h"

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
#include "certificates.h"
#include "config/command_line.h"
#include "listeners.h"
#include "prober.h"
#include "resolver.h"
#include "worker_internal.h"

enum { WORKERS_MAX = 1024, PROBLEMS_MAX = 100 };

LIST_DECLARE(question_list, struct question, link);

struct balancer {
    struct loop *loop;
    const struct command_line *line; /* borrowed */
    struct shared shared;
    struct worker_update now; /* rules, members and certificates in force: references */
    struct tls_tickets *tickets;
    struct counter_shard *counters; /* the control thread's */

    struct worker **workers;
    bool *is_ended; /* by worker */
    unsigned worker_count, ended_count;
    struct address plain, tls; /* where we listen; len 0: not */

    struct resolver *resolver;
    struct prober *prober;
    struct admin_socket *admin_socket;
    struct admin_http *admin_http;
    struct question_list questions;

    struct watch signals;
    struct task changed_task, ended_task;
    struct timer drain;
    struct timer housekeeping;
    usec_t watchdog; /* how often systemd wants a sign of life; 0: never */
    usec_t started;
    bool was_alive;
    bool is_stopping;
};

#define HOUSEKEEPING (2 * USEC_PER_SEC)
/* What ending may take beside requests in flight. */
#define STOP_MARGIN (5 * USEC_PER_SEC)
/* How long to look for members before serving without. */
#define FIRST_PROBES (500 * USEC_PER_MSEC)

/* ---- What is in force ---- */

/* A copy for one worker, with references of its own. NULL: no memory. */
static struct worker_update *copy_update(const struct worker_update *update)
{
    struct worker_update *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        copy->rules = rules_ref(update->rules);
        copy->range = range_ref(update->range);
        copy->tls = update->tls == NULL ? NULL : tls_context_ref(update->tls);
    }
    return copy;
}

/* A worker that misses one for want of memory gets all of it with the next. */
static void post_updates(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        struct worker_update *update = copy_update(&balancer->now);
        if (update != NULL && !balancer->is_ended[i]) {
            worker_post_update(balancer->workers[i], update);
        } else {
            worker_update_free(update);
        }
    }
}

static void wake_workers(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        if (!balancer->is_ended[i]) {
            worker_post_wake(balancer->workers[i]);
        }
    }
}

/* ---- Members ---- */

static enum balance_algorithm algorithm_of(const struct config *config)
{
    return (enum balance_algorithm)config_enum(config, "Balancer.algorithm");
}

static struct range *new_range(struct balancer *balancer, const struct range_place *places,
                               size_t count)
{
    return range_new(places, count, balancer->now.range, algorithm_of(balancer->now.rules->config),
                     &balancer->shared.ticket, balancer->shared.counters, balancer->loop,
                     &balancer->changed_task);
}

static void places_changed(void *context, const struct places *places)
{
    struct balancer *balancer = context;
    struct range *range = new_range(balancer, places->items, places->count);
    if (range == NULL || prober_set_range(balancer->prober, range) < 0) {
        log_error("no memory for the members; they stay as they were");
        range_unref(range);
        return;
    }
    range_unref(balancer->now.range);
    balancer->now.range = range;
    post_updates(balancer);
}

static void member_changed(void *context, struct member *member)
{
    (void)member;
    wake_workers(context);
}

static void run_changed(struct task *task)
{
    prober_changed(CONTAINER_OF(task, struct balancer, changed_task)->prober);
}

size_t balancer_wish(struct balancer *balancer, struct str host, uint16_t port, enum wish wish)
{
    size_t found = 0;
    for (size_t i = 0; i < range_count(balancer->now.range); i++) {
        struct member *member = range_at(balancer->now.range, i);
        struct str name = str_from(member->name);
        size_t colon = name.len;
        while (colon > 0 && name.data[colon] != ':') {
            colon--;
        }
        struct str named = str_first(name, colon);
        if (named.len > 2 && named.data[0] == '[') {
            named = str_make(named.data + 1, named.len - 2);
        }
        if (address_port(&member->address) == port &&
            (host.len == 0 || str_equal_nocase(host, named))) {
            member_set_wish(member, wish);
            log_info("administration", LOG_TEXT("member", member->name),
                     LOG_TEXT("is", health_word(member_health(member))));
            found++;
        }
    }
    if (found > 0) {
        prober_changed(balancer->prober);
        post_updates(balancer); /* closes what disabled members keep idle */
    }
    return found;
}

/* ---- Questions ---- */

static void ask_next(struct question *question);

static void visited(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    question->next++;
    ask_next(question);
}

static void visit(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    struct balancer *balancer = question->balancer;
    question->visit(balancer->workers[question->next], question);
    task_init(&question->task, visited);
    loop_post(balancer->loop, &question->task);
}

static void ask_next(struct question *question)
{
    struct balancer *balancer = question->balancer;
    while (question->next < balancer->worker_count && balancer->is_ended[question->next]) {
        question->next++;
    }
    if (question->next == balancer->worker_count) {
        question_list_remove(&balancer->questions, question);
        question->done(question);
        return;
    }
    task_init(&question->task, visit);
    loop_post(balancer->workers[question->next]->loop, &question->task);
}

void balancer_ask(struct balancer *balancer, struct question *question)
{
    question->balancer = balancer;
    question->next = 0;
    question->link = (struct list_link){NULL, NULL, NULL};
    question_list_push_back(&balancer->questions, question);
    ask_next(question);
}

/* A question that lies with a worker that has ended was never heard: what the worker posted itself
 * came before the news of its end. */
static void free_questions_of(struct balancer *balancer, unsigned worker)
{
    struct question *question = question_list_first(&balancer->questions);
    while (question != NULL) {
        struct question *next = question_list_next(&balancer->questions, question);
        if (question->next == worker) {
            ask_next(question);
        }
        question = next;
    }
}

/* ---- The end ---- */

static void notice_ended(struct balancer *balancer, unsigned i)
{
    worker_join(balancer->workers[i]);
    balancer->is_ended[i] = true;
    balancer->ended_count++;
    free_questions_of(balancer, i);
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

/* ---- Reload ---- */

/* What a reload makes before anything changes. */
struct prepared {
    struct config *config;
    struct rules *rules;
    struct tls_context *tls;
    struct prober_rules probes;
    struct host_list hosts;
};

static void prepared_done(struct prepared *prepared)
{
    host_list_done(&prepared->hosts);
    tls_context_unref(prepared->tls);
    rules_unref(prepared->rules);
    config_unref(prepared->config);
}

static int prepare(struct balancer *balancer, struct config *config, struct prepared *prepared,
                   struct error *error)
{
    prepared->rules = rules_new(config, error);
    if (prepared->rules == NULL) {
        return -EINVAL;
    }
    int code = certificates_load(config, balancer->tickets, &prepared->tls, error);
    if (code == 0) {
        code = prober_rules_read(config, &prepared->probes, error);
    }
    if (code == 0) {
        code = host_list_read(config, &prepared->hosts, error);
    }
    return code;
}

static int open_log(struct balancer *balancer, const struct config *config, struct error *error)
{
    return accesslog_open(balancer->shared.accesslog, config_str(config, "Balancer.access_log"),
                          (enum accesslog_format)config_enum(config, "Balancer.access_log_format"),
                          error);
}

/* What was changed and goes on as it was. */
static void tell_what_needs_a_restart(const struct config *before, const struct config *after)
{
    const struct option *option;
    size_t at = 0;
    while ((option = config_next_restart(before, after, &at)) != NULL) {
        log_warning("needs a restart", LOG_TEXT("option", option->key));
    }
}

/* Nothing here can fail. */
static void commit(struct balancer *balancer, struct prepared *prepared)
{
    tell_what_needs_a_restart(balancer->now.rules->config, prepared->config);
    rules_unref(balancer->now.rules);
    balancer->now.rules = prepared->rules;
    prepared->rules = NULL;
    if (prepared->tls != NULL || balancer->tls.len == 0) { /* a TLS port cannot do without */
        tls_context_unref(balancer->now.tls);
        balancer->now.tls = prepared->tls;
        prepared->tls = NULL;
    }
    prober_set_rules(balancer->prober, &prepared->probes);
    post_updates(balancer);
}

static int load_config(struct balancer *balancer, struct config **config, struct error *error)
{
    struct problems *problems = problems_new(PROBLEMS_MAX);
    if (problems == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot reload");
    }
    int code = command_line_load(balancer->line, problems, config);
    if (code < 0) {
        problems_print(problems, stderr);
        error_set(error, code, "the configuration has %zu errors; nothing was changed",
                  problems_errors(problems));
    }
    problems_free(problems);
    return code;
}

static int reload(struct balancer *balancer, struct error *error)
{
    struct prepared prepared = {.config = NULL};
    int code = load_config(balancer, &prepared.config, error);
    if (code == 0) {
        code = prepare(balancer, prepared.config, &prepared, error);
    }
    if (code == 0) {
        code = open_log(balancer, prepared.config, error);
    }
    if (code == 0) {
        commit(balancer, &prepared);
        /* Last, since it may answer at once, with the new rules in force. */
        code = resolver_set(balancer->resolver, &prepared.hosts);
        if (code < 0) {
            error_set_errno(error, code, "the members stay as they were");
        }
    }
    prepared_done(&prepared);
    return code;
}

int balancer_reload(struct balancer *balancer, struct error *error)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic(&clock_system));
    int code = reload(balancer, error);
    counter_count(balancer->counters, code < 0 ? COUNTER_RELOADS_FAILED : COUNTER_RELOADS);
    if (code < 0) {
        log_error_value(LOG_LEVEL_ERROR, "not reloaded", error);
    } else {
        log_info("reloaded");
    }
    sd_notify(0, "READY=1");
    return code;
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
    balancer->now.range = new_range(balancer, NULL, 0);
    balancer->prober = prober_new(balancer->loop, &prepared->probes, balancer->shared.id_seed,
                                  member_changed, balancer);
    if (balancer->now.range == NULL || balancer->prober == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot make the members");
    }
    balancer->resolver = resolver_new(balancer->loop, NULL, places_changed, balancer, error);
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
        code = prepare(balancer, config, &prepared, error);
    }
    if (code == 0) {
        code = open_log(balancer, config, error);
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
    task_init(&balancer->changed_task, run_changed);
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

void balancer_free(struct balancer *balancer)
{
    if (balancer == NULL) {
        return;
    }
    admin_http_free(balancer->admin_http);
    admin_socket_free(balancer->admin_socket);
    answer_questions(balancer);
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        worker_free(balancer->workers[i]);
    }
    free(balancer->workers);
    free(balancer->is_ended);
    balancer->worker_count = 0; /* the last news of an end may still be posted, for nobody now */
    resolver_free(balancer->resolver);
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
    if (balancer->loop != NULL) {
        /* The resolver's last answer may be on its way. */
        int code = loop_turn(balancer->loop, 0);
        (void)code;
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
