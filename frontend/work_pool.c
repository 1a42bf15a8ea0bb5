/* SPDX-License-Identifier: Apache-2.0 */
/* A list under a lock, and threads that take from its front. A job costs RSA or the disk, so one
 * lock for all is no matter. */
#include "work_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/error.h"
#include "wire/tools.h"

LIST_DECLARE(work_jobs, struct work_job, link);

enum { QUEUE_DEFAULT = 1024, THREADS_MAX = 1024 };

struct worker {
    struct work_pool *pool;
    pthread_t thread;
    struct wire_tools tools;
};

struct work_pool {
    size_t queue_max;
    struct worker *workers;
    unsigned count; /* of workers that run */

    pthread_mutex_t lock; /* for everything below */
    pthread_cond_t wake;  /* a job came, or it is stopping */
    pthread_cond_t idle;  /* the queue ran empty while stopping */
    struct work_jobs queue;
    bool is_stopping;
    bool is_stopped;
    struct work_pool_statistics statistics;
};

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

/* ---- the threads ---- */

/* With the lock held: the oldest job, or NULL: it is time to end. */
static struct work_job *take_job(struct work_pool *pool)
{
    struct work_pool_statistics *statistics = &pool->statistics;
    while (work_jobs_is_empty(&pool->queue) && !pool->is_stopping) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    struct work_job *job = work_jobs_pop_front(&pool->queue);
    if (job != NULL) {
        usec_t waited = now() - job->submitted;
        statistics->wait_total += waited;
        statistics->wait_worst = waited > statistics->wait_worst ? waited : statistics->wait_worst;
        statistics->busy++;
    }
    if (pool->is_stopping && work_jobs_is_empty(&pool->queue)) {
        pthread_cond_signal(&pool->idle);
    }
    return job;
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct work_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    for (struct work_job *job = take_job(pool); job != NULL; job = take_job(pool)) {
        pthread_mutex_unlock(&pool->lock);
        job->run(job, &worker->tools);
        pthread_mutex_lock(&pool->lock);
        pool->statistics.busy--;
        pool->statistics.done++;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int work_pool_submit(struct work_pool *pool, struct work_job *job)
{
    int r = 0;
    struct work_pool_statistics *statistics = &pool->statistics;
    job->submitted = now();
    pthread_mutex_lock(&pool->lock);
    size_t length = work_jobs_count(&pool->queue);
    if (pool->is_stopping) {
        r = -ESHUTDOWN;
    } else if (length >= pool->queue_max) {
        statistics->refused++;
        r = -EAGAIN;
    } else {
        work_jobs_push_back(&pool->queue, job);
        statistics->queue_worst =
            length + 1 > statistics->queue_worst ? length + 1 : statistics->queue_worst;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

void work_pool_read_statistics(struct work_pool *pool, struct work_pool_statistics *statistics)
{
    pthread_mutex_lock(&pool->lock);
    *statistics = pool->statistics;
    statistics->threads = pool->count;
    statistics->queue_length = work_jobs_count(&pool->queue);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- the end ---- */

/* With the lock held. */
static void await_empty(struct work_pool *pool, usec_t patience)
{
    usec_t deadline = usec_add(now(), patience);
    struct timespec until = {deadline / USEC_PER_SEC, deadline % USEC_PER_SEC * 1000};
    int r = 0;
    while (!work_jobs_is_empty(&pool->queue) && r == 0 && patience > 0) {
        r = pthread_cond_timedwait(&pool->idle, &pool->lock, &until);
    }
}

/* With the lock held, which is let go while a job is told. */
static void cancel_jobs(struct work_pool *pool)
{
    struct work_job *job;
    while ((job = work_jobs_pop_front(&pool->queue)) != NULL) {
        pool->statistics.cancelled++;
        pthread_mutex_unlock(&pool->lock);
        job->run(job, NULL);
        pthread_mutex_lock(&pool->lock);
    }
}

void work_pool_stop(struct work_pool *pool, usec_t patience)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(!pool->is_stopped);
    pool->is_stopped = true;
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->wake);
    await_empty(pool, patience);
    cancel_jobs(pool);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
}

static void release(struct work_pool *pool, unsigned tools)
{
    for (unsigned i = 0; i < tools; i++) {
        wire_tools_done(&pool->workers[i].tools);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->idle);
    free(pool->workers);
    free(pool);
}

void work_pool_free(struct work_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    if (!pool->is_stopped) {
        work_pool_stop(pool, 0);
    }
    release(pool, pool->count);
}

/* ---- the beginning ---- */

static unsigned processors(void)
{
    cpu_set_t set;
    /* Fails on machines of more than 1024, which may do with one thread for each of those. */
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : THREADS_MAX;
}

static int start_worker(struct worker *worker, struct work_pool *pool)
{
    worker->pool = pool;
    int r = wire_tools_init(&worker->tools);
    if (r < 0) {
        return r;
    }
    r = -pthread_create(&worker->thread, NULL, run_worker, worker);
    if (r < 0) {
        wire_tools_done(&worker->tools);
    }
    return r;
}

static int start_workers(struct work_pool *pool, unsigned threads)
{
    int r = 0;
    for (unsigned i = 0; i < threads && r == 0; i++) {
        r = start_worker(&pool->workers[i], pool);
        if (r == 0) {
            pthread_mutex_lock(&pool->lock);
            pool->count++;
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return r;
}

static void init_locks(struct work_pool *pool)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, &attributes);
    pthread_condattr_destroy(&attributes);
}

int work_pool_new(const struct work_pool_settings *settings, struct work_pool **out,
                  struct error *error)
{
    unsigned threads = settings->threads == 0 ? processors() : settings->threads;
    struct work_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return error_set(error, -ENOMEM, "no memory for a work pool");
    }
    pool->queue_max = settings->queue_max == 0 ? QUEUE_DEFAULT : settings->queue_max;
    work_jobs_init(&pool->queue);
    init_locks(pool);
    pool->workers = calloc(threads, sizeof *pool->workers);
    int r = pool->workers == NULL ? -ENOMEM : start_workers(pool, threads);
    if (r < 0) {
        work_pool_free(pool);
        return error_set_errno(error, r, "cannot start %u working threads", threads);
    }
    *out = pool;
    return 0;
}
