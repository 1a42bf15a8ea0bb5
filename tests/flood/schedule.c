/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers by position, and the inverse of a rate's integral. Pure. */
#include "schedule.h"

#include <math.h>

/* SplitMix64 at a position: statistically sound, and any element at once. */
uint64_t schedule_mix(uint64_t seed, uint64_t number)
{
    uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

double schedule_draw(uint64_t seed, uint64_t number)
{
    return (double)(schedule_mix(seed, number) >> 11) * 0x1p-53;
}

/* Seconds t at which from * t + (to - from) / (2 * d) * t^2 is `count`; negative: never. */
static double invert(double from, double to, double d, double count)
{
    double slope = (to - from) / d;
    if (fabs(slope) < 1e-9) {
        return from > 0 ? count / from : -1;
    }
    double root = from * from + 2 * slope * count;
    /* The form that does not cancel when the slope is small. */
    return root < 0 ? -1 : 2 * count / (from + sqrt(root));
}

usec_t arrivals_peek(const struct arrivals *arrivals)
{
    double seconds = (double)arrivals->duration / (double)USEC_PER_SEC;
    double total = (arrivals->from + arrivals->to) / 2 * seconds;
    double count = (double)arrivals->number + schedule_draw(arrivals->seed, arrivals->number);
    if (!(count < total)) {
        return USEC_NEVER;
    }
    double at = invert(arrivals->from, arrivals->to, seconds, count);
    return at < 0 || at >= seconds ? USEC_NEVER : (usec_t)(at * (double)USEC_PER_SEC);
}

void arrivals_advance(struct arrivals *arrivals)
{
    arrivals->number++;
}
