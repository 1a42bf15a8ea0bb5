/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one thread that owns a loop, its listeners, its proxies and its kept connections to
 * members. Others talk to it through its loop only. */
#ifndef PORTICO_BALANCER_WORKER_H
#define PORTICO_BALANCER_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "net/loop.h"
#include "recent.h"

struct worker;
struct balancer;

/* What `show connections` tells of one connection. Views into the worker: valid during the call. */
struct proxy_summary {
    uint64_t id;
    const char *state;
    const struct address *peer;
    bool is_tls;
    usec_t age, in_state; /* since accepted, since it entered the state */
    uint64_t requests;    /* begun on this connection */
    struct str request;   /* "METHOD TARGET" of the one in hand, empty: none */
    const char *member;   /* NULL: none */
};

/* The rest is for worker_visit() functions: on the worker's thread. */
unsigned worker_number(const struct worker *worker); /* from 0 */
struct recent *worker_recent(struct worker *worker);
size_t worker_proxies(const struct worker *worker);
void worker_each_proxy(const struct worker *worker,
                       void (*each)(const struct proxy_summary *summary, void *context),
                       void *context);
/* Kept idle connections to a member. */
size_t worker_pooled(const struct worker *worker, const struct member *member);

#endif
