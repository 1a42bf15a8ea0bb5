/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: what it owns, and the tasks by which others speak to it. */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "listener.h"
#include "worker_internal.h"

enum { STACK_BYTES = 1024 * 1024 };

/* ---- Small things ---- */

usec_t worker_wall(struct worker *worker)
{
    usec_t now = worker_now(worker);
    if (worker->wall_read == 0 || now - worker->wall_read > USEC_PER_SEC) {
        worker->wall_offset = clock_wall(&clock_system) - clock_monotonic(&clock_system);
        worker->wall_read = now;
    }
    return now + worker->wall_offset;
}

/* xorshift64*: short, and more than even enough for jitter. */
uint64_t worker_random(struct worker *worker, uint64_t below)
{
    uint64_t x = worker->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random = x;
    return below == 0 ? 0 : (x * UINT64_C(2685821657736338717)) % below;
}

/* A counter through a mixer that loses nothing: different counts give different ids. */
uint64_t worker_request_id(struct worker *worker)
{
    uint64_t x =
        worker->shared->id_seed + (((uint64_t)worker->number << 48) | ++worker->requests_made);
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void shared_connection_gone(struct shared *shared, struct counted_address counted)
{
    atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
    address_counts_leave(shared->addresses, counted);
}

bool worker_evict(struct worker *worker)
{
    struct proxy *oldest = turn_list_first(&worker->idle);
    if (oldest != NULL && oldest->is_driving) {
        /* It has a request in hand by now, and may be the one that wants room. */
        oldest = turn_list_next(&worker->idle, oldest);
    }
    if (oldest == NULL) {
        return false;
    }
    proxy_abort(oldest, REASON_EVICTED);
    return true;
}

/* ---- Waiting for members ---- */

void worker_post_wake(struct worker *worker)
{
    loop_post(worker->loop, &worker->wake_task);
}

void worker_room_made(struct worker *worker)
{
    struct shared *shared = worker->shared;
    worker_post_wake(worker);
    if (atomic_load(&shared->queued) <= turn_list_count(&worker->queue)) {
        return;
    }
    for (unsigned i = 0; i < shared->worker_count; i++) {
        if (shared->workers[i] != worker) {
            worker_post_wake(shared->workers[i]);
        }
    }
}

static void wake(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, wake_task);
    struct proxy *first;
    while ((first = turn_list_first(&worker->queue)) != NULL && proxy_try_member(first)) {
    }
}

/* ---- New rules ---- */

void worker_update_free(struct worker_update *update)
{
    if (update != NULL) {
        rules_unref(update->rules);
        range_unref(update->range);
        tls_context_unref(update->tls);
        free(update);
    }
}

static bool is_wanted(const struct member *member, void *context)
{
    const struct worker *worker = context;
    return range_holds(worker->range, member) && member_health(member).wish != WISH_DISABLED;
}

static void take_update(struct worker *worker, struct worker_update *update)
{
    const struct worker_update old = {worker->rules, worker->range, worker->tls};
    worker->rules = update->rules;
    worker->range = update->range;
    worker->tls = update->tls;
    *update = old;
    worker_update_free(update);
    pools_sweep(worker->pools, is_wanted, worker);
    worker_post_wake(worker);
}

static void run_update(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, update_task);
    struct worker_update *update = atomic_exchange(&worker->update, NULL);
    if (update != NULL) {
        take_update(worker, update);
    }
}

void worker_post_update(struct worker *worker, struct worker_update *update)
{
    worker_update_free(atomic_exchange(&worker->update, update));
    loop_post(worker->loop, &worker->update_task);
}

/* ---- The end ---- */

void worker_proxy_gone(struct worker *worker)
{
    if (worker->is_stopping && proxy_list_is_empty(&worker->proxies)) {
        loop_stop(worker->loop);
    }
}

static void run_stop(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, stop_task);
    struct proxy *idle;
    worker->is_stopping = true;
    for (size_t i = 0; i < ARRAY_LEN(worker->listeners); i++) {
        listener_close(&worker->listeners[i]);
    }
    while ((idle = turn_list_first(&worker->idle)) != NULL) {
        proxy_finish_up(idle);
    }
    worker_proxy_gone(worker);
}

static void abort_proxies(struct worker *worker)
{
    struct proxy *proxy;
    while ((proxy = proxy_list_first(&worker->proxies)) != NULL) {
        proxy_abort(proxy, REASON_STOPPING);
    }
}

static void run_abort(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, abort_task);
    worker->is_stopping = true;
    for (size_t i = 0; i < ARRAY_LEN(worker->listeners); i++) {
        listener_close(&worker->listeners[i]);
    }
    abort_proxies(worker);
    worker_proxy_gone(worker);
}

void worker_post_stop(struct worker *worker)
{
    loop_post(worker->loop, &worker->stop_task);
}

void worker_post_abort(struct worker *worker)
{
    loop_post(worker->loop, &worker->abort_task);
}

/* ---- Memory, and a sign of life ---- */

static void run_trim(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, trim_task);
    exchange_pool_trim(&worker->exchanges);
    atomic_store(&worker->has_to_answer, false);
}

void worker_post_trim(struct worker *worker)
{
    if (!atomic_exchange(&worker->has_to_answer, true)) {
        worker->asked = clock_monotonic(&clock_system);
    }
    loop_post(worker->loop, &worker->trim_task);
}

usec_t worker_silence(const struct worker *worker, usec_t now)
{
    return atomic_load(&worker->has_to_answer) ? now - worker->asked : 0;
}

/* ---- Life ---- */

static void *run(void *context)
{
    struct worker *worker = context;
    int code = loop_run(worker->loop);
    if (code < 0) {
        log_error("a worker's loop failed", LOG_UINT("worker", worker->number),
                  LOG_TEXT("why", strerrordesc_np(-code)));
    }
    pools_free(worker->pools);
    worker->pools = NULL;
    accesslog_shard_free(worker->log);
    worker->log = NULL;
    atomic_store(&worker->has_ended, true);
    loop_post(worker->shared->control, worker->shared->ended);
    return NULL;
}

static bool make_parts(struct worker *worker, struct error *error)
{
    struct shared *shared = worker->shared;
    worker->loop = loop_new(&clock_system, error);
    if (worker->loop == NULL) {
        return false;
    }
    worker->pools = pools_new();
    worker->counters = counters_shard(shared->counters);
    worker->recent = recent_new();
    if (worker->pools != NULL && worker->counters != NULL && worker->recent != NULL) {
        worker->log = accesslog_shard_new(shared->accesslog, worker->loop, worker->counters);
    }
    if (worker->log == NULL) {
        error_set_errno(error, -ENOMEM, "cannot make a worker");
        return false;
    }
    int code = fd_reserve_init(&worker->reserve);
    if (code < 0) {
        error_set_errno(error, code, "cannot keep a descriptor in reserve");
        return false;
    }
    return true;
}

struct worker *worker_new(unsigned number, struct shared *shared,
                          const struct worker_update *update, struct error *error)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        error_set_errno(error, -ENOMEM, "cannot make a worker");
        return NULL;
    }
    worker->number = number;
    worker->shared = shared;
    worker->reserve.fd = -1;
    worker->rules = rules_ref(update->rules);
    worker->range = range_ref(update->range);
    worker->tls = update->tls == NULL ? NULL : tls_context_ref(update->tls);
    worker->random = shared->id_seed ^ ((uint64_t)number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    worker->random |= worker->random == 0;
    slab_pool_init(&worker->proxy_memory, sizeof(struct proxy));
    slab_pool_init(&worker->upstream_memory, sizeof(struct upstream));
    proxy_list_init(&worker->proxies);
    turn_list_init(&worker->idle);
    turn_list_init(&worker->queue);
    task_init(&worker->update_task, run_update);
    task_init(&worker->stop_task, run_stop);
    task_init(&worker->abort_task, run_abort);
    task_init(&worker->wake_task, wake);
    task_init(&worker->trim_task, run_trim);
    if (!make_parts(worker, error)) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(worker->listeners); i++) {
        listener_close(&worker->listeners[i]);
    }
    abort_proxies(worker);
    worker_update_free(atomic_exchange(&worker->update, NULL));
    pools_free(worker->pools);
    if (worker->log != NULL) {
        accesslog_shard_free(worker->log);
    }
    exchange_pool_done(&worker->exchanges);
    pipe_pool_done(&worker->pipes);
    fd_reserve_done(&worker->reserve);
    loop_free(worker->loop);
    slab_pool_done(&worker->proxy_memory);
    slab_pool_done(&worker->upstream_memory);
    recent_free(worker->recent);
    rules_unref(worker->rules);
    range_unref(worker->range);
    tls_context_unref(worker->tls);
    free(worker);
}

int worker_listen(struct worker *worker, int fd, bool is_tls)
{
    return listener_open(&worker->listeners[is_tls], worker, fd, is_tls);
}

/* Signals are the control thread's. */
int worker_start(struct worker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int code = pthread_create(&worker->thread, &attributes, run, worker);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker->has_thread = code == 0;
    return -code;
}

void worker_join(struct worker *worker)
{
    if (worker->has_thread) {
        pthread_join(worker->thread, NULL);
        worker->has_thread = false;
    }
}

/* ---- For visitors ---- */

unsigned worker_number(const struct worker *worker)
{
    return worker->number;
}

struct recent *worker_recent(struct worker *worker)
{
    return worker->recent;
}

size_t worker_proxies(const struct worker *worker)
{
    return proxy_list_count(&worker->proxies);
}

void worker_each_proxy(const struct worker *worker,
                       void (*each)(const struct proxy_summary *summary, void *context),
                       void *context)
{
    const struct proxy *proxy = proxy_list_first(&worker->proxies);
    for (; proxy != NULL; proxy = proxy_list_next(&worker->proxies, proxy)) {
        struct proxy_summary summary;
        struct address peer;
        proxy_summarise(proxy, &summary, &peer);
        each(&summary, context);
    }
}

size_t worker_pooled(const struct worker *worker, const struct member *member)
{
    return pools_idle(worker->pools, member);
}
