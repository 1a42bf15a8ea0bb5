/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring in benchmarks: CPU time of this process, several rounds, median and range. */
#ifndef PORTICO_BENCH_MEASURE_H
#define PORTICO_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

enum { MEASURE_ROUNDS = 9 };

struct measure_options {
    bool check; /* only see that everything runs: hardly any rounds, nothing to conclude */
};

/* Understands --check and --help; exits with 2 on anything else. */
struct measure_options measure_options(int argc, char **argv, const char *summary);

/* Run `work(context, count)` in MEASURE_ROUNDS rounds (one with --check, then with a thousandth of
 * `count`) and print one line: nanoseconds of CPU for one of `count`, median, least and most. */
void measure(const struct measure_options *options, const char *name,
             void (*work)(void *context, uint64_t count), void *context, uint64_t count);

/* Keep the compiler from dropping what led to `value`. */
#define MEASURE_USE(value) __asm__ volatile("" : : "g"(value) : "memory")

#endif
