/* SPDX-License-Identifier: Apache-2.0 */
/* Two runs beside each other: what changed, by how much, and whether that is more than noise.
 *
 * The interval of a difference comes from a moving-block bootstrap over the seconds of both runs:
 * seconds are drawn in blocks of five, as neighbours are alike, with a fixed seed, so that the same
 * two files always tell the same. A difference is more than noise when 0 lies outside its 95 %
 * interval. One run of each cannot show what differs between runs; it says so. Pure, one thread. */
#ifndef PORTICO_FLOOD_COMPARE_H
#define PORTICO_FLOOD_COMPARE_H

#include <stdio.h>

#include "results.h"

enum { COMPARISON_ROWS_MAX = 32 };

enum difference_verdict {
    DIFFERENCE_NOISE,  /* 0 lies in the interval */
    DIFFERENCE_BETTER, /* B is */
    DIFFERENCE_WORSE,
    DIFFERENCE_UNKNOWN, /* no series to judge by */
};

struct difference {
    const char *name;
    const char *unit; /* "us", "/s", "us/request", "": a count */
    double a, b;
    double relative;  /* (b - a) / a; NaN where a is 0 */
    double low, high; /* its 95 % interval; NaN where unknown */
    enum difference_verdict verdict;
};

struct comparison {
    struct difference rows[COMPARISON_ROWS_MAX];
    size_t count;
};

void compare_results(const struct results *a, const struct results *b,
                     struct comparison *comparison);

/* A table for people, and what makes the two hard to compare (other agents, hosts, ...). */
void comparison_print(const struct comparison *comparison, const struct results *a,
                      const struct results *b, FILE *out);

#endif
