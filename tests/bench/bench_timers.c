/* SPDX-License-Identifier: Apache-2.0 */
/* What a million deadlines cost: nanoseconds for each operation, and the longest single run, which
 * is how late everything else of that thread can get. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "net/timers.h"

/* As an agent of the load tool has it: the timer is a part of something larger. */
struct agent {
    struct timer timer;
    char rest[256 - sizeof(struct timer)];
};

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static uint64_t random_state = 88172645463325252u;

enum { SPAN = 600 };

static usec_t random_deadline(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (usec_t)(random_state % (SPAN * USEC_PER_SEC));
}

static size_t fired;

static void fire(struct timer *timer, usec_t now)
{
    (void)timer;
    (void)now;
    fired++;
}

static void print(const char *what, int64_t start, size_t count)
{
    printf("%-34s %8.1f ns\n", what,
           (double)(nanoseconds(CLOCK_MONOTONIC) - start) / (double)count);
}

static void arm_all(struct timers *timers, struct agent *agents, size_t count, usec_t now)
{
    for (size_t i = 0; i < count; i++) {
        timers_arm(timers, &agents[i].timer, now + random_deadline());
    }
}

/* Every tick of the ten minutes. */
static void expire_all(struct timers *timers)
{
    int64_t start = nanoseconds(CLOCK_MONOTONIC);
    fired = 0;
    for (usec_t now = 0; timers_count(timers) > 0; now += TIMERS_TICK) {
        timers_run(timers, now, SIZE_MAX);
    }
    print("expire, with its share of ticks", start, fired);
}

/* In time on the processor, for other programs are not our doing. */
static void find_longest_run(struct timers *timers, usec_t now)
{
    int64_t longest = 0;
    size_t runs = 0;
    for (; timers_count(timers) > 0; now += TIMERS_TICK) {
        int64_t before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        timers_run(timers, now, SIZE_MAX);
        int64_t took = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - before;
        longest = took > longest ? took : longest;
        runs++;
    }
    printf("%-34s %8.1f us of %zu\n", "longest run", (double)longest / 1000, runs);
}

int main(int count, char **arguments)
{
    size_t n = count > 1 && strcmp(arguments[1], "--check") == 0 ? 1000 : 1000000;
    struct agent *agents = calloc(n, sizeof *agents);
    struct timers *timers = timers_new(TIMERS_TICK, 0);
    CHECK(agents != NULL && timers != NULL);
    for (size_t i = 0; i < n; i++) {
        timer_init(&agents[i].timer, fire);
    }
    printf("%zu timers of %zu bytes in agents of %zu, deadlines over 600 s, tick %jd us\n", n,
           sizeof(struct timer), sizeof(struct agent), (intmax_t)TIMERS_TICK);

    int64_t start = nanoseconds(CLOCK_MONOTONIC);
    arm_all(timers, agents, n, 0);
    print("arm", start, n);
    start = nanoseconds(CLOCK_MONOTONIC);
    arm_all(timers, agents, n, 0);
    print("re-arm", start, n);
    start = nanoseconds(CLOCK_MONOTONIC);
    for (size_t i = 0; i < n; i++) {
        timers_disarm(timers, &agents[i].timer);
    }
    print("cancel", start, n);
    arm_all(timers, agents, n, 0);
    expire_all(timers);
    CHECK(fired == n);
    arm_all(timers, agents, n, (SPAN + 1) * USEC_PER_SEC);
    find_longest_run(timers, (SPAN + 1) * USEC_PER_SEC);
    timers_free(timers);
    free(agents);
    return 0;
}
