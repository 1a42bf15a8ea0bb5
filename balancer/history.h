/* SPDX-License-Identifier: Apache-2.0 */
/* The last five minutes, for the status page: counters as they stood every two seconds, and what
 * each member had counted about a minute ago. Bounded: some 150 KB, and 200 bytes for each member.
 * The control thread. */
#ifndef PORTICO_BALANCER_HISTORY_H
#define PORTICO_BALANCER_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "balancer.h"

struct history;

enum { HISTORY_SAMPLES = 150 };
#define HISTORY_PERIOD (2 * USEC_PER_SEC)

/* Sums since the start, but `connections`. */
struct history_sample {
    usec_t at;        /* monotonic */
    int64_t requests; /* that were answered, or ended without */
    int64_t errors;   /* of those, with 5xx */
    int64_t refused;  /* of those, for a reason of ours that is an error */
    int64_t connections;
    uint64_t phases[REQUEST_COUNT][METRIC_BUCKET_COUNT];
};

/* Of one member, since some 30 to 60 seconds ago; since the start while that is less. */
struct history_member {
    int64_t requests;
    uint64_t waits[METRIC_BUCKET_COUNT]; /* for the first byte of its answers */
};

/* Looks every HISTORY_PERIOD from now on. `balancer` is borrowed. NULL: no memory. */
struct history *history_new(struct balancer *balancer);
void history_free(struct history *history); /* NULL is fine */

/* From the newest, age 0, on; NULL behind the oldest. At least one. */
const struct history_sample *history_at(const struct history *history, size_t age);

/* `from`: where to look first, 0 at first; for members in the range's order the search is short. */
void history_member(const struct history *history, const struct member *member, size_t *from,
                    struct history_member *recent);

#endif
