/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms, counted without locks and read as Prometheus text.
 *
 * Metrics are defined once; each thread then counts in a shard of its own with plain relaxed stores
 * (no locked instruction), and the reader sums the shards. Everything is bounded at birth. */
#ifndef PORTICO_BASE_METRICS_H
#define PORTICO_BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"

struct metrics;

enum metric_kind {
    METRIC_COUNTER,   /* only rises; its name ends in _total */
    METRIC_GAUGE,     /* rises and falls; the shards' values add up */
    METRIC_HISTOGRAM, /* of durations; its name ends in _seconds, or as GRR's did, in _latency or
                       * _time */
    METRIC_SIZES,     /* a histogram of numbers without unit: bundles, say */
};

enum { METRIC_LABELS_MAX = 4 };

/* Where one time series is counted. A plain value. */
struct metric {
    uint32_t slot;
};

/* Memory for `slots` numbers for each shard: one for a counter or gauge, METRIC_HISTOGRAM_SLOTS for
 * a histogram. NULL when there is no memory. */
struct metrics *metrics_new(size_t slots);

/* Also frees the shards; no thread may use them any more. */
void metrics_free(struct metrics *metrics);

/* Define a family, or find the one that exists. `labels` are label names separated by commas, ""
 * for none. `name`, `help` and `labels` are borrowed for good (string literals). Names that break
 * Prometheus' rules, or one name defined in two ways, are failed CHECKs. Any thread.
 *
 * The family's number, or -ENOSPC (more families than this registry holds: 256). */
MUST_CHECK int metrics_define(struct metrics *metrics, enum metric_kind kind, const char *name,
                              const char *help, const char *labels);

/* The time series of `family` with these label values (as many as the family has labels; copied).
 * The same values give the same series, so a member that comes back goes on counting. Any thread.
 *
 * 0, -ENOSPC (all slots are taken), -ENOBUFS (labels longer than 4 KiB) or -ENOMEM. */
MUST_CHECK int metrics_series(struct metrics *metrics, int family, const struct str *values,
                              struct metric *metric);

/* Both in one go, for a family without labels. */
MUST_CHECK int metrics_single(struct metrics *metrics, enum metric_kind kind, const char *name,
                              const char *help, struct metric *metric);

/* A gauge that is asked for when somebody reads: `read` runs on the reader's thread and must not
 * call back into the registry. 0 or -ENOSPC. */
MUST_CHECK int metrics_gauge_function(struct metrics *metrics, const char *name, const char *help,
                                      double (*read)(void *context), void *context);

/* The same for a counter that somebody else keeps. */
MUST_CHECK int metrics_counter_function(struct metrics *metrics, const char *name, const char *help,
                                        double (*read)(void *context), void *context);

/* One thread's numbers. Only that thread may count in it. It lives until metrics_free(), so that
 * what a finished thread counted stays counted. NULL when there is no memory. */
struct metrics_shard {
    struct metrics_shard *next;
    atomic_uint_least64_t slots[];
};

struct metrics_shard *metrics_shard_new(struct metrics *metrics);

/* Hot path: a load, an add, a store. Shards are written by one thread, so nothing is lost. */
static inline void metrics_add(struct metrics_shard *shard, struct metric metric, uint64_t n)
{
    atomic_uint_least64_t *slot = &shard->slots[metric.slot];
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void metrics_count(struct metrics_shard *shard, struct metric metric)
{
    metrics_add(shard, metric, 1);
}

/* For gauges: two's complement makes subtracting in one shard and adding in another come out. */
static inline void metrics_subtract(struct metrics_shard *shard, struct metric metric, uint64_t n)
{
    metrics_add(shard, metric, (uint64_t)0 - n);
}

/* For gauges that one thread owns. */
static inline void metrics_set(struct metrics_shard *shard, struct metric metric, int64_t value)
{
    atomic_store_explicit(&shard->slots[metric.slot], (uint64_t)value, memory_order_relaxed);
}

/* Upper bounds of the histogram buckets in microseconds; the last bucket has none. */
/* clang-format off */
#define METRIC_BUCKETS(X) \
    X(10) X(25) X(50) X(100) X(250) X(500) X(1000) X(2500) X(5000) X(10000) X(25000) X(50000) \
    X(100000) X(250000) X(500000) X(1000000) X(2500000) X(5000000) X(10000000) X(30000000) \
    X(60000000)
/* clang-format on */

#define METRIC_ONE(bound) +1
enum {
    METRIC_BUCKET_COUNT = METRIC_BUCKETS(METRIC_ONE) + 1,
    /* buckets, then the sum in microseconds (METRIC_SIZES: the sum) */
    METRIC_HISTOGRAM_SLOTS = METRIC_BUCKET_COUNT + 1,
};

/* Count a duration; negative ones count as 0. */
void metrics_observe(struct metrics_shard *shard, struct metric histogram, usec_t duration);

/* Count a number in a histogram of METRIC_SIZES, whose bounds are 1, 2, 4 and so on. */
void metrics_observe_size(struct metrics_shard *shard, struct metric sizes, uint64_t number);

/* The sum over all shards, for tests and status pages. Any thread. For a histogram: how
 * often something was observed. */
int64_t metrics_value(struct metrics *metrics, struct metric metric);
uint64_t metrics_observed(struct metrics *metrics, struct metric histogram);

/* How often something was observed in each bucket: a snapshot to subtract from a later one. Any
 * thread. */
void metrics_buckets(struct metrics *metrics, struct metric histogram,
                     uint64_t counts[METRIC_BUCKET_COUNT]);

/* The duration that a share of `quantile` (0 to 1) of those does not exceed, as far as buckets
 * tell: within one, durations are taken to be spread evenly; beyond the last bound it is that
 * bound. 0: nothing was observed. Pure. */
usec_t metrics_quantile(const uint64_t counts[METRIC_BUCKET_COUNT], double quantile);

/* Append everything in Prometheus' text format 0.0.4, families in order of definition. Any thread.
 * 0, -ENOBUFS or -ENOMEM (then `out` holds a part). */
MUST_CHECK int metrics_write(struct metrics *metrics, struct buffer *out);

#endif
