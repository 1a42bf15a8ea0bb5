/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one member: connect, ask, judge the answer. On a loop; its thread only. */
#ifndef PORTICO_BALANCER_PROBE_H
#define PORTICO_BALANCER_PROBE_H

#include "base/clock.h"
#include "health.h"

struct loop;
struct member;
struct probe;

/* The probe is over and freed when this returns. */
typedef void probe_function(void *context, enum probe_result result);

/* Look at `member` (borrowed until the end): connect, and unless `path` is empty (borrowed, too)
 * ask for it with GET. Any well-formed answer below 500 is good, and so are 501 and 505: the server
 * lives, it only does not know what we ask for. `done` is called once, in a later turn, at the
 * latest after `timeout`. NULL when there is no memory. */
struct probe *probe_new(struct loop *loop, const struct member *member, const char *path,
                        usec_t timeout, probe_function *done, void *context);

/* Give up; `done` is not called. Not from within `done`. NULL is fine. */
void probe_free(struct probe *probe);

#endif
