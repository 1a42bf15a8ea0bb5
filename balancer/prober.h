/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what is known about the members true: probes them, takes down those that fall, lets in
 * again those that were ejected. The control thread's; everything here runs on its loop. */
#ifndef PORTICO_BALANCER_PROBER_H
#define PORTICO_BALANCER_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "range.h"

struct config;
struct loop;
struct prober;

enum { PROBE_PATH_SIZE = 512 };

/* A plain value. */
struct prober_rules {
    char path[PROBE_PATH_SIZE]; /* empty: connect only */
    usec_t interval, timeout;
    usec_t eject_time; /* doubled by each ejection that follows soon, up to eight times */
    unsigned rise, fall;
};

/* From Balancer.probe_* and .eject_time. 0, or -EINVAL with words: the path cannot stand in a
 * request. */
MUST_CHECK int prober_rules_read(const struct config *config, struct prober_rules *rules,
                                 struct error *error);

/* A member's health changed, whoever changed it. It must not call the prober. */
typedef void prober_function(void *context, struct member *member);

/* Without members. `loop` and `context` are borrowed. `seed` is that of the jitter. NULL when there
 * is no memory. */
struct prober *prober_new(struct loop *loop, const struct prober_rules *rules, uint64_t seed,
                          prober_function *changed, void *context);
/* Ends all probes. The members stay as they are. NULL is fine. */
void prober_free(struct prober *prober);

/* From now on look after the members of `range` (which may be forgotten then): those that stay go
 * on, new ones are probed at once, others are left alone. 0, or -ENOMEM: nothing changed. */
MUST_CHECK int prober_set_range(struct prober *prober, const struct range *range);

/* They hold from the next probe of each member on. */
void prober_set_rules(struct prober *prober, const struct prober_rules *rules);

/* Somebody changed some member: a worker, its health or its wish for a probe, or an administrator.
 * To be called from the task that workers post (member.h), and after member_set_wish(). */
void prober_changed(struct prober *prober);

/* Each member that is to be probed was probed since it came: what is known now is more than that
 * nothing is known. */
bool prober_knows_all(const struct prober *prober);

#endif
