/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear buckets. The recording thread only loads and stores, relaxed: nobody else writes, and
 * readers want whole numbers, not an order among them. */
#include "histogram.h"

#include <assert.h>
#include <math.h>

#include "base/check.h"

/* The value 2^(HISTOGRAM_BITS + 1) and everything below has a bucket of its own. */
enum { PER_OCTAVE = 1 << HISTOGRAM_BITS, LINEAR = 2 * PER_OCTAVE, OCTAVES = 19 };

static_assert(HISTOGRAM_BUCKETS == LINEAR + OCTAVES * PER_OCTAVE, "buckets reach 2^27");
static_assert(HISTOGRAM_MAX < (usec_t)LINEAR << OCTAVES, "the last bucket holds the maximum");

static size_t bucket_index(uint64_t value)
{
    if (value < LINEAR) {
        return value;
    }
    unsigned octave = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS; /* from 1 */
    return (size_t)octave * PER_OCTAVE + (size_t)(value >> octave);
}

static usec_t bucket_from(size_t index)
{
    if (index < LINEAR) {
        return (usec_t)index;
    }
    size_t octave = index / PER_OCTAVE - 1;
    return (usec_t)(index % PER_OCTAVE + PER_OCTAVE) << octave;
}

static uint64_t get(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void set(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static void add(_Atomic uint64_t *number, uint64_t value)
{
    set(number, get(number) + value);
}

static void raise_to(_Atomic uint64_t *number, uint64_t value)
{
    if (value > get(number)) {
        set(number, value);
    }
}

size_t histogram_bucket_of(usec_t duration)
{
    uint64_t value = duration < 0 ? 0 : (uint64_t)duration;
    return bucket_index(value > HISTOGRAM_MAX ? HISTOGRAM_MAX : value);
}

void histogram_clear(struct histogram *histogram)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        set(&histogram->counts[i], 0);
    }
    set(&histogram->sum, 0);
    set(&histogram->largest, 0);
    set(&histogram->lowest, 0);
}

void histogram_record_many(struct histogram *histogram, usec_t duration, uint64_t count)
{
    uint64_t value = duration < 0 ? 0 : (uint64_t)duration;
    if (count > 0) {
        add(&histogram->counts[histogram_bucket_of(duration)], count);
        add(&histogram->sum, value * count);
        raise_to(&histogram->largest, value);
        raise_to(&histogram->lowest, ~value);
    }
}

void histogram_record(struct histogram *histogram, usec_t duration)
{
    histogram_record_many(histogram, duration, 1);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = get(&from->counts[i]);
        if (count > 0) {
            add(&to->counts[i], count);
        }
    }
    add(&to->sum, get(&from->sum));
    raise_to(&to->largest, get(&from->largest));
    raise_to(&to->lowest, get(&from->lowest));
}

/* A count that was read while its owner went on may lag behind another. */
static uint64_t difference(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

void histogram_difference(const struct histogram *now, const struct histogram *before,
                          struct histogram *out)
{
    CHECK(out != now && out != before);
    histogram_clear(out);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = difference(get(&now->counts[i]), get(&before->counts[i]));
        if (count > 0) {
            struct histogram_bucket bucket = histogram_bucket(out, i);
            set(&out->counts[i], count);
            raise_to(&out->lowest, ~(uint64_t)bucket.from);
            raise_to(&out->largest, (uint64_t)bucket.to - 1);
        }
    }
    set(&out->sum, difference(get(&now->sum), get(&before->sum)));
    if (get(&now->largest) > get(&before->largest)) { /* then it came in meanwhile */
        raise_to(&out->largest, get(&now->largest));
    }
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += get(&histogram->counts[i]);
    }
    return count;
}

usec_t histogram_min(const struct histogram *histogram)
{
    uint64_t lowest = get(&histogram->lowest);
    return lowest == 0 ? 0 : (usec_t)~lowest;
}

usec_t histogram_max(const struct histogram *histogram)
{
    return (usec_t)get(&histogram->largest);
}

double histogram_mean(const struct histogram *histogram)
{
    uint64_t count = histogram_count(histogram);
    return count == 0 ? 0 : (double)get(&histogram->sum) / (double)count;
}

/* The middle of a bucket, which is at most half its width off; never outside what was seen. */
static usec_t bucket_value(const struct histogram *histogram, size_t index)
{
    struct histogram_bucket bucket = histogram_bucket(histogram, index);
    usec_t value = bucket.from + (bucket.to - 1 - bucket.from) / 2;
    usec_t min = histogram_min(histogram);
    usec_t max = histogram_max(histogram);
    return value < min ? min : value > max ? max : value;
}

/* Which of `count` sorted values is the quantile, from 1. */
static uint64_t quantile_rank(double quantile, uint64_t count)
{
    /* 0.999 of 1000 is 999, not 1000, whatever 0.999 * 1000 comes to in binary. */
    double rank = ceil(quantile * (double)count - 1e-9 * (double)count);
    return rank < 1 ? 1 : rank >= (double)count ? count : (uint64_t)rank;
}

void histogram_quantiles(const struct histogram *histogram, const double *quantiles, size_t count,
                         usec_t *out)
{
    uint64_t total = histogram_count(histogram);
    uint64_t seen = 0;
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(i == 0 || quantiles[i] >= quantiles[i - 1]);
        if (total == 0 || quantiles[i] <= 0) {
            out[i] = histogram_min(histogram);
            continue;
        }
        uint64_t rank = quantile_rank(quantiles[i], total);
        while (index < HISTOGRAM_BUCKETS - 1 && seen + get(&histogram->counts[index]) < rank) {
            seen += get(&histogram->counts[index++]);
        }
        out[i] = rank == total ? histogram_max(histogram) : bucket_value(histogram, index);
    }
}

usec_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    usec_t value = 0;
    histogram_quantiles(histogram, &quantile, 1, &value);
    return value;
}

uint64_t histogram_count_to(const struct histogram *histogram, usec_t limit)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && bucket_from(i) <= limit; i++) {
        count += get(&histogram->counts[i]);
    }
    return count;
}

struct histogram_bucket histogram_bucket(const struct histogram *histogram, size_t index)
{
    CHECK(index < HISTOGRAM_BUCKETS);
    return (struct histogram_bucket){bucket_from(index), bucket_from(index + 1),
                                     get(&histogram->counts[index])};
}

void histogram_restore_bucket(struct histogram *histogram, size_t index, uint64_t count)
{
    CHECK(index < HISTOGRAM_BUCKETS);
    add(&histogram->counts[index], count);
}

void histogram_restore_extremes(struct histogram *histogram, usec_t min, usec_t max, uint64_t sum)
{
    set(&histogram->lowest, ~(uint64_t)min);
    set(&histogram->largest, (uint64_t)max);
    set(&histogram->sum, sum);
}
