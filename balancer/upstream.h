/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a member, and the pool in which a worker keeps idle ones. The worker's thread.
 *
 * An idle connection is watched: when the member ends it or says something unasked, it is dropped.
 * It is looked at once more before use, so nothing that came while it was idle is ever taken for an
 * answer (RFC 9112 9.2). */
#ifndef PORTICO_BALANCER_UPSTREAM_H
#define PORTICO_BALANCER_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"
#include "net/loop.h"
#include "net/transport.h"

struct member;
struct pool;
struct proxy;
struct worker;

struct upstream {
    struct transport transport;
    struct watch watch;
    struct timer timer;    /* looks whether it was idle for too long */
    struct list_link link; /* among the idle ones of its pool */
    struct garbage garbage;
    struct worker *worker;
    struct member *member; /* a reference */
    struct pool *pool;
    struct proxy *proxy; /* whose request it carries, NULL: idle */
    usec_t started;      /* when connecting began */
    usec_t idle_until;
    usec_t keeps_idle; /* how long the member keeps it, as far as we know */
    bool is_connected;
    bool is_reused; /* it carried a request before */
};

/* Borrow a connection to `member` for `proxy`: the idle one that was used last, else a new one that
 * may still be connecting (is_connected tells; watch it for writing then). 0, or a negative errno:
 * the member cannot be connected to. */
MUST_CHECK int upstream_take(struct worker *worker, struct member *member, struct proxy *proxy,
                             struct upstream **upstream);

/* A new one, never an idle one. */
MUST_CHECK int upstream_open(struct worker *worker, struct member *member, struct proxy *proxy,
                             struct upstream **upstream);

/* A connection that was connecting became writable: 0 when it is connected, else why not. */
MUST_CHECK int upstream_finish_connect(const struct upstream *upstream);

/* Wait for the member: WATCH_* bits. 0 or a negative errno. */
MUST_CHECK int upstream_watch(struct upstream *upstream, unsigned interest);

/* Give it back. `is_reusable`: a whole answer was read and nothing behind it. `announced`: how long
 * the member said it keeps the connection idle, negative when it did not say. */
void upstream_give(struct upstream *upstream, bool is_reusable, usec_t announced);

/* ---- Pools ---- */

/* A worker's idle connections, by member. */
struct pools;

struct pools *pools_new(void); /* NULL: no memory */
/* Closes all idle connections; none is lent any more. */
void pools_free(struct pools *pools);

size_t pools_idle(const struct pools *pools, const struct member *member);
size_t pools_idle_in_all(const struct pools *pools);

/* Close the idle connections of members for which `keep` says no. */
void pools_sweep(struct pools *pools, bool (*keep)(const struct member *member, void *context),
                 void *context);

/* Close one idle connection, whichever was idle longest in some pool: for want of descriptors.
 * False when there is none. */
bool pools_shed(struct pools *pools);

#endif
