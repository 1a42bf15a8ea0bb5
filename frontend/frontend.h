/* SPDX-License-Identifier: Apache-2.0 */
/* What all polls of an instance share: settings, keys, caches, store, committer, work pool, counts.
 * Made by the main thread before the server starts, freed after it ended; everything in it may be
 * used by any thread. */
#ifndef PORTICO_FRONTEND_FRONTEND_H
#define PORTICO_FRONTEND_FRONTEND_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "budget.h"
#include "identity.h"
#include "net/address.h"
#include "reply.h"
#include "stats.h"
#include "wire/packet.h"

struct config;
struct agent_cache;
struct committer;
struct health;
struct session_cache;
struct store;
struct work_pool;

enum enrolment_policy { ENROLMENT_OPEN, ENROLMENT_APPROVE, ENROLMENT_CLOSED };

struct frontend {
    const struct clock *clock;
    bool is_verbose; /* a line for each poll */
    uint64_t max_body;
    struct packet_limits packet_limits;
    unsigned max_queue_size;
    usec_t lease_time;
    unsigned max_deliveries;
    enum enrolment_policy enrolment;
    struct network *trusted; /* owned: whose X-Forwarded-For counts */
    size_t trusted_count;

    struct rsa_meter meter;
    struct identity identity;
    struct replies *replies;
    struct stats *stats;
    struct store *store;
    struct committer *committer;
    struct health *health;
    struct work_pool *pool;
    struct session_cache *sessions; /* NULL: RSA for every poll, but they are served */
    struct agent_cache *agents;

    struct budget body_memory; /* of bodies and bundles that are not small */

    atomic_bool is_stopping;
    atomic_uint in_flight; /* polls between their head and the end of their answer */
    atomic_uint sending;   /* of those, the ones whose body is not here yet */
};

/* Open everything. *frontend must not move afterwards. 0, or a negative errno with words. */
MUST_CHECK int frontend_open(struct frontend *frontend, const struct config *config,
                             bool is_verbose, struct error *error);

/* Write what waits to be written, within `patience`. No poll may be under way. 0 or -ETIMEDOUT. */
MUST_CHECK int frontend_flush(struct frontend *frontend, usec_t patience);

/* A frontend that was opened, or that frontend_open() failed on. */
void frontend_close(struct frontend *frontend);

/* Serving, and the store is well. Never waits. */
bool frontend_is_well(struct frontend *frontend);

#endif
