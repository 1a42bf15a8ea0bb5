/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring in benchmarks. One thread. */
#include "bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct measure_options measure_options(int argc, char **argv, const char *summary)
{
    struct measure_options options = {.check = false};
    setvbuf(stdout, NULL, _IOLBF, 0); /* it takes long: show what is there */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            options.check = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            printf("usage: %s [--check]\n%s\n", argv[0], summary);
            exit(0);
        } else {
            fprintf(stderr, "%s: unknown argument %s; usage: %s [--check]\n", argv[0], argv[i],
                    argv[0]);
            exit(2);
        }
    }
    return options;
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

void measure(const struct measure_options *options, const char *name,
             void (*work)(void *context, uint64_t count), void *context, uint64_t count)
{
    double samples[MEASURE_ROUNDS] = {0};
    int rounds = options->check ? 1 : MEASURE_ROUNDS;
    count = options->check ? count / 1000 + 1 : count;
    for (int i = 0; i < rounds; i++) {
        double start = cpu_ns();
        work(context, count);
        samples[i] = (cpu_ns() - start) / (double)count;
    }
    qsort(samples, (size_t)rounds, sizeof samples[0], compare);
    printf("%-44s %10.1f ns   (%.1f to %.1f)\n", name, samples[rounds / 2], samples[0],
           samples[rounds - 1]);
}
