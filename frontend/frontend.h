/* SPDX-License-Identifier: Apache-2.0 */
/* What all polls of an instance share: terms, caches, store, committer, work pool, counts.
 * Made by the main thread before the server starts, freed after it ended; everything in it may be
 * used by any thread. */
#ifndef PORTICO_FRONTEND_FRONTEND_H
#define PORTICO_FRONTEND_FRONTEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "budget.h"
#include "stats.h"
#include "terms.h"
#include "wire/rsa.h"

struct config;
struct agent_cache;
struct committer;
struct health;
struct store;
struct work_pool;

struct frontend {
    const struct clock *clock;
    struct rsa_meter meter;
    pthread_mutex_t terms_lock; /* for the pointer; frontend_terms() takes it */
    struct terms *terms;        /* counted */
    struct stats *stats;
    struct store *store;
    struct committer *committer;
    struct work_pool *pool;
    struct agent_cache *agents;
    struct health *health;

    struct budget body_memory; /* of bodies and bundles that are not small */

    unsigned connection_limit;
    atomic_uint connections;          /* open now */
    atomic_uint_fast64_t calls_begun; /* of libmicrohttpd, to answer something */
    atomic_uint_fast64_t calls_done;
    atomic_bool is_stopping;
    atomic_uint in_flight; /* polls between their head and the end of their answer */
    atomic_uint sending;   /* of those, the ones whose body is not here yet */
};

/* Open everything. *frontend must not move afterwards. 0, or a negative errno with words. */
MUST_CHECK int frontend_open(struct frontend *frontend, const struct config *config,
                             bool is_verbose, struct error *error);

/* The terms for a poll that begins now: counted, to be unref'd. */
struct terms *frontend_terms(struct frontend *frontend);

/* Apply another configuration to polls that begin from now on, and to the store. The main thread.
 * 0; or a negative errno with words, then nothing has changed. */
MUST_CHECK int frontend_reload(struct frontend *frontend, const struct config *config,
                               bool is_verbose, struct error *error);

/* Write what waits to be written, within `patience`. No poll may be under way. 0 or -ETIMEDOUT. */
MUST_CHECK int frontend_flush(struct frontend *frontend, usec_t patience);

/* A frontend that was opened, or that frontend_open() failed on. */
void frontend_close(struct frontend *frontend);

/* Serving, and the store is well. Never blocks. */
bool frontend_is_well(struct frontend *frontend);

#endif
