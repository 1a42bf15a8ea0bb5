/* SPDX-License-Identifier: Apache-2.0 */
/* Durations counted in buckets that grow with the value: 0 to 100 s, in fixed memory. Below 256 us
 * every microsecond has its bucket, above each power of two has 128, so that a quantile is off by
 * less than 0.4 %.
 *
 * One thread records into a histogram. Others may histogram_merge() it meanwhile: what they get is
 * a state between the begin and the end of the merge, each value whole. Everything else wants the
 * histogram to itself. */
#ifndef PORTICO_FLOOD_HISTOGRAM_H
#define PORTICO_FLOOD_HISTOGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define HISTOGRAM_MAX (100 * USEC_PER_SEC) /* longer ones count in the last bucket */

enum {
    HISTOGRAM_BITS = 7,       /* 1 << this many buckets for each power of two */
    HISTOGRAM_BUCKETS = 2688, /* 256, and 128 for each power of two from 2^8 to 2^26 */
};

/* Some 21 KiB; zeroed memory is an empty one. Read it through the functions. */
struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum;     /* microseconds */
    _Atomic uint64_t largest; /* 0 while there is none */
    _Atomic uint64_t lowest;  /* of the values, complemented, so that zero means none */
};

void histogram_clear(struct histogram *histogram);

/* Count one duration; negative ones count as 0. O(1), no locked instruction. */
void histogram_record(struct histogram *histogram, usec_t duration);

/* Count it `count` times. */
void histogram_record_many(struct histogram *histogram, usec_t duration, uint64_t count);

/* Add what `from` has to `to`, which belongs to the caller. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* What came into `now` since it was `before`; both merged from the same histograms. Smallest and
 * largest are then known to the width of a bucket. `out` is neither of them. */
void histogram_difference(const struct histogram *now, const struct histogram *before,
                          struct histogram *out);

/* How many durations it counts: O(buckets). */
uint64_t histogram_count(const struct histogram *histogram);

/* Exact, 0 for an empty one. */
usec_t histogram_min(const struct histogram *histogram);
usec_t histogram_max(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram); /* microseconds */

/* The duration that a share of `quantile` (0 to 1) of all does not exceed, to less than 0.4 %;
 * quantile 0 is the smallest and 1 the largest, exactly. 0 for an empty one. */
usec_t histogram_quantile(const struct histogram *histogram, double quantile);

/* Several quantiles in one pass; `quantiles` ascend. */
void histogram_quantiles(const struct histogram *histogram, const double *quantiles, size_t count,
                         usec_t *out);

/* How many durations are at most `limit`, to the width of a bucket. */
uint64_t histogram_count_to(const struct histogram *histogram, usec_t limit);

/* The buckets, for those that draw and store. `index` is below HISTOGRAM_BUCKETS; a bucket holds
 * from <= duration < to. */
struct histogram_bucket {
    usec_t from, to;
    uint64_t count;
};
struct histogram_bucket histogram_bucket(const struct histogram *histogram, size_t index);

/* The bucket that counts `duration`. */
size_t histogram_bucket_of(usec_t duration);

/* Put back what was stored: `count` more durations in the bucket at `index`, then what buckets do
 * not tell. */
void histogram_restore_bucket(struct histogram *histogram, size_t index, uint64_t count);
void histogram_restore_extremes(struct histogram *histogram, usec_t min, usec_t max, uint64_t sum);

#endif
