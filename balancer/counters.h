/* SPDX-License-Identifier: Apache-2.0 */
/* What the balancer counts, by name: counters.def. Each worker counts in a shard of its own; the
 * control thread sums and prints. */
#ifndef PORTICO_BALANCER_COUNTERS_H
#define PORTICO_BALANCER_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "health.h"
#include "reason.h"

struct counters;
struct counter_shard;
struct record;

enum counter {
#define COUNTER(id, kind, name, help) COUNTER_##id,
#include "counters.def"
#undef COUNTER
    COUNTER_COUNT
};

/* Members with series of their own. A shard then is 53,600 numbers or so, 428 KB for each
 * thread that counts. */
enum { COUNTERS_MEMBERS_MAX = 1024 };

/* Phases of a request, as record.h has them. */
enum request_phase {
    REQUEST_RECEIVE,
    REQUEST_QUEUE,
    REQUEST_CONNECT,
    REQUEST_WAIT,
    REQUEST_TOTAL,
    REQUEST_COUNT
};
const char *request_phase_name(enum request_phase phase);

/* Classes of statuses by the first digit; 0: nothing was answered. */
enum { STATUS_CLASSES = 6 };

/* The series of one member; made by counters_member(). A member that comes back under its name goes
 * on counting. `failures` are attempts, also those after which another member answered; `retries`
 * those of them after which another was tried. */
struct member_counters {
    struct metric requests, failures, retries, bytes_in, bytes_out, connects, connect, wait;
};

/* NULL when there is no memory. */
struct counters *counters_new(void);
void counters_free(struct counters *counters);
struct metrics *counters_metrics(struct counters *counters); /* borrowed */

/* Any thread. When there is no room for more series, the member shares those of "other". */
struct member_counters counters_member(struct counters *counters, const char *member);

/* One for each thread that counts; lives as long as the counters. NULL: no memory. */
struct counter_shard *counters_shard(struct counters *counters);

/* The owner of the shard only. */
void counter_count(struct counter_shard *shard, enum counter counter);
void counter_add(struct counter_shard *shard, enum counter counter,
                 int64_t n); /* gauges: also < 0 */
/* A request is over: totals, statuses, reasons, phases, its member. */
void counters_record(struct counter_shard *shard, const struct record *record);
/* An attempt at `member` failed and the request goes to another one. (counters_record() knows the
 * last member only, and whether that one failed.) COUNTER_RETRIES is the caller's. */
void counters_retried(struct counter_shard *shard, const struct member_counters *member);
/* A connection to a member was opened, and how long that took. */
void counters_connected(struct counter_shard *shard, const struct member_counters *member,
                        usec_t duration);

/* How many members there are in each state, for gauges: control thread's shard only. */
void counters_show_members(struct counter_shard *shard, const size_t counts[HEALTH_WORDS],
                           size_t usable);

/* The sums over all shards, for status pages. Any thread. */
int64_t counters_value(struct counters *counters, enum counter counter);
int64_t counters_answered(struct counters *counters, unsigned status_class);
int64_t counters_rejected(struct counters *counters, enum reason reason);
struct metric counters_phase(const struct counters *counters, enum request_phase phase);

#endif
