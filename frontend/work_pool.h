/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what a poll must not do on a server thread: RSA, and reading the store when an agent
 * is not cached. A bounded queue, first come first served. Any thread may submit. */
#ifndef PORTICO_FRONTEND_WORK_POOL_H
#define PORTICO_FRONTEND_WORK_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"

struct error;
struct wire_tools;
struct work_pool;

struct work_pool_settings {
    unsigned threads; /* 0: one for each processor this process may use */
    size_t queue_max; /* jobs that may wait; 0: 1024 */
};

/* Embedded in what its submitter keeps for the poll; zero it and set `run`. The pool's from submit
 * until `run` is called, which may free it. */
struct work_job {
    /* Called once, on one of the pool's threads, with that thread's tools; or with NULL, on the
     * thread that stops the pool: nothing was done, refuse the poll. */
    void (*run)(struct work_job *job, struct wire_tools *tools);
    struct list_link link;
    usec_t submitted; /* the pool's */
};

/* 0, -ENOMEM, -EIO (cryptography) or -EAGAIN (no thread). */
MUST_CHECK int work_pool_new(const struct work_pool_settings *settings, struct work_pool **pool,
                             struct error *error);

/* 0: `run` will be called. -EAGAIN: the queue is full, answer 503; -ESHUTDOWN: it is stopping. */
MUST_CHECK int work_pool_submit(struct work_pool *pool, struct work_job *job);

/* Take nothing new and do what waits for at most `patience`; then cancel what still waits. Jobs
 * that have begun are always finished, so this returns when they are: after it no `run` is called
 * any more. Once, by one thread, not one of the pool's. */
void work_pool_stop(struct work_pool *pool, usec_t patience);

/* Stops it, without patience, unless that was done. NULL is fine. */
void work_pool_free(struct work_pool *pool);

struct work_pool_statistics {
    unsigned threads;
    unsigned busy;       /* threads that run a job now */
    size_t queue_length; /* now */
    size_t queue_worst;
    uint64_t done;
    uint64_t refused;   /* found the queue full */
    uint64_t cancelled; /* by stopping */
    usec_t wait_total;  /* in the queue, of all that ran */
    usec_t wait_worst;
};

void work_pool_read_statistics(struct work_pool *pool, struct work_pool_statistics *statistics);

#endif
