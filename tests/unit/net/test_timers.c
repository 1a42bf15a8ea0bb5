/* SPDX-License-Identifier: Apache-2.0 */
/* Timers against a fake clock and a model that does everything the slow way. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "net/timers.h"
#include "support/support.h"

enum { TICK = 250 };

struct probe {
    struct timer timer;
    struct timers *timers;
    usec_t deadline; /* the model: USEC_NEVER is disarmed */
    usec_t fired_at;
    int fired;
    usec_t again; /* armed for this when it fires, unless 0 */
    struct probe *victim;
};

static size_t fired_total;

static void probe_fire(struct timer *timer, usec_t now)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    probe->fired++;
    probe->fired_at = now;
    fired_total++;
    cr_assert_not(timer_is_armed(timer));
    if (probe->again != 0) {
        timers_arm(probe->timers, timer, probe->again);
    }
    if (probe->victim != NULL) {
        timers_disarm(probe->timers, &probe->victim->timer);
    }
}

static void probe_init(struct probe *probe, struct timers *timers)
{
    *probe = (struct probe){.timers = timers, .deadline = USEC_NEVER};
    timer_init(&probe->timer, probe_fire);
}

static void run(struct timers *timers, usec_t now)
{
    timers_run(timers, now, SIZE_MAX);
}

Test(timers, fire_at_their_deadline_and_not_before)
{
    struct timers *timers = timers_new(TICK, 1000);
    struct probe probe;
    probe_init(&probe, timers);
    timers_arm(timers, &probe.timer, 10001);
    run(timers, 10000);
    cr_assert_eq(probe.fired, 0);
    cr_assert_eq(timers_next(timers), 10250);
    run(timers, 10249);
    cr_assert_eq(probe.fired, 0);
    run(timers, 10250);
    cr_assert_eq(probe.fired, 1);
    cr_assert_eq(timers_next(timers), USEC_NEVER);
    cr_assert_eq(timers_count(timers), 0);
    timers_free(timers);
}

Test(timers, armed_for_never_are_disarmed)
{
    struct timers *timers = timers_new(TICK, 0);
    struct probe probe;
    probe_init(&probe, timers);
    timers_arm(timers, &probe.timer, 500);
    timers_arm(timers, &probe.timer, USEC_NEVER);
    cr_assert_not(timer_is_armed(&probe.timer));
    timers_disarm(timers, &probe.timer);
    run(timers, USEC_PER_DAY);
    cr_assert_eq(probe.fired, 0);
    timers_free(timers);
}

Test(timers, the_past_fires_in_the_next_run)
{
    struct timers *timers = timers_new(TICK, USEC_PER_DAY);
    struct probe probe;
    probe_init(&probe, timers);
    timers_arm(timers, &probe.timer, -7);
    cr_assert_leq(timers_next(timers), USEC_PER_DAY);
    run(timers, USEC_PER_DAY);
    cr_assert_eq(probe.fired, 1);
    timers_free(timers);
}

Test(timers, that_rearm_for_now_fire_once_in_a_run)
{
    struct timers *timers = timers_new(TICK, 0);
    struct probe probe;
    probe_init(&probe, timers);
    probe.again = 1;
    timers_arm(timers, &probe.timer, 0);
    for (int i = 1; i < 10; i++) {
        run(timers, 1000);
        cr_assert_eq(probe.fired, i);
        cr_assert_leq(timers_next(timers), 1000);
    }
    timers_free(timers);
}

Test(timers, can_disarm_one_that_is_due_in_the_same_run)
{
    struct timers *timers = timers_new(TICK, 0);
    struct probe a;
    struct probe b;
    probe_init(&a, timers);
    probe_init(&b, timers);
    a.victim = &b;
    timers_arm(timers, &a.timer, 1000);
    timers_arm(timers, &b.timer, 1000);
    run(timers, 5000);
    cr_assert_eq(a.fired, 1);
    cr_assert_eq(b.fired, 0);
    cr_assert_eq(timers_next(timers), USEC_NEVER);
    timers_free(timers);
}

static void free_myself(struct timer *timer, usec_t now)
{
    (void)now;
    fired_total++;
    free(timer);
}

Test(timers, may_free_themselves)
{
    struct timers *timers = timers_new(TICK, 0);
    for (int i = 0; i < 1000; i++) {
        struct timer *timer = malloc(sizeof *timer);
        timer_init(timer, free_myself);
        timers_arm(timers, timer, i * 77);
    }
    run(timers, USEC_PER_SEC);
    cr_assert_eq(fired_total, 1000);
    timers_free(timers);
}

Test(timers, leave_what_exceeds_the_bound_for_the_next_run)
{
    struct timers *timers = timers_new(TICK, 0);
    struct probe probes[10];
    for (int i = 0; i < 10; i++) {
        probe_init(&probes[i], timers);
        timers_arm(timers, &probes[i].timer, 100 * i);
    }
    cr_assert_eq(timers_run(timers, USEC_PER_SEC, 4), 4);
    cr_assert_eq(timers_next(timers), 0);
    timers_disarm(timers, &probes[4].timer);
    timers_disarm(timers, &probes[9].timer);
    cr_assert_eq(timers_run(timers, USEC_PER_SEC, 100), 4);
    cr_assert_eq(probes[4].fired, 0);
    cr_assert_eq(timers_next(timers), USEC_NEVER);
    timers_free(timers);
}

/* Deadlines one tick around every power of two, seen from odd starting points. */
Test(timers, are_exact_at_the_edges_of_every_wheel)
{
    for (int start_bit = 0; start_bit < 50; start_bit += 7) {
        usec_t start = ((usec_t)1 << start_bit) * TICK - 1;
        for (int bit = 0; bit < 48; bit++) {
            for (int off = -1; off <= 1; off++) {
                struct timers *timers = timers_new(TICK, start);
                struct probe probe;
                probe_init(&probe, timers);
                usec_t deadline = start + ((usec_t)1 << bit) * TICK + off * TICK;
                timers_arm(timers, &probe.timer, deadline);
                int sorting_runs = 0;
                usec_t now = start;
                while (probe.fired == 0) {
                    usec_t next = timers_next(timers);
                    now = next > now ? next : now;
                    cr_assert_leq(++sorting_runs, 12);
                    run(timers, now);
                }
                cr_assert_geq(probe.fired_at, deadline);
                cr_assert_lt(probe.fired_at, deadline + TICK);
                timers_free(timers);
            }
        }
    }
}

Test(timers, survive_the_largest_deadlines)
{
    struct timers *timers = timers_new(1, 0);
    struct probe probe;
    probe_init(&probe, timers);
    timers_arm(timers, &probe.timer, USEC_NEVER - 1);
    for (usec_t now = 1; now < USEC_NEVER / 2; now *= 2) {
        run(timers, now);
    }
    cr_assert_eq(probe.fired, 0);
    run(timers, USEC_NEVER - 1);
    cr_assert_eq(probe.fired, 1);
    timers_free(timers);
}

enum { MODEL_TIMERS = 300 };

/* Everything that is due, and nothing else, has fired between `before` and `now`. */
static void check_against_model(struct probe *probes, usec_t now)
{
    for (int i = 0; i < MODEL_TIMERS; i++) {
        struct probe *probe = &probes[i];
        bool must = probe->deadline <= now - now % TICK;
        cr_assert_eq(probe->fired, must ? 1 : 0, "timer %d deadline %jd now %jd", i,
                     (intmax_t)probe->deadline, (intmax_t)now);
        if (must) {
            probe->deadline = USEC_NEVER;
            probe->fired = 0;
        }
        cr_assert_eq(timer_is_armed(&probe->timer), probe->deadline != USEC_NEVER);
    }
}

static usec_t random_span(uint64_t *seed)
{
    return (usec_t)(next_random(seed) >> (next_random(seed) % 44 + 20));
}

static void check_bound(const struct timers *timers, const struct probe *probes)
{
    for (int i = 0; i < MODEL_TIMERS; i++) {
        if (probes[i].deadline != USEC_NEVER) {
            cr_assert_leq(timers_next(timers), probes[i].deadline + TICK - 1);
        }
    }
}

static void act_like_the_model(uint64_t seed, int rounds)
{
    usec_t now = (usec_t)(next_random(&seed) >> 24);
    struct timers *timers = timers_new(TICK, now);
    struct probe probes[MODEL_TIMERS];
    for (int i = 0; i < MODEL_TIMERS; i++) {
        probe_init(&probes[i], timers);
    }
    for (int round = 0; round < rounds; round++) {
        for (uint64_t n = next_random(&seed) % 40; n > 0; n--) {
            struct probe *probe = &probes[next_random(&seed) % MODEL_TIMERS];
            probe->deadline =
                next_random(&seed) % 4 == 0 ? USEC_NEVER : now + random_span(&seed) - 100;
            timers_arm(timers, &probe->timer, probe->deadline);
        }
        check_bound(timers, probes);
        usec_t next = timers_next(timers);
        if (next_random(&seed) % 2 == 0 || next == USEC_NEVER) {
            now += random_span(&seed);
        } else if (next > now) {
            now = next;
        }
        run(timers, now);
        check_against_model(probes, now);
    }
    timers_free(timers);
}

Test(timers, act_like_a_naive_model_under_random_use)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        act_like_the_model(seed * 0x9e3779b97f4a7c15u, 500);
    }
}

enum { MILLION = 1000000 };

Test(timers, keep_a_million_deadlines_within_one_tick)
{
    uint64_t seed = 42;
    struct timers *timers = timers_new(TICK, 0);
    struct probe *probes = calloc(MILLION, sizeof *probes);
    for (int i = 0; i < MILLION; i++) {
        probe_init(&probes[i], timers);
        probes[i].deadline = (usec_t)(next_random(&seed) % (600 * USEC_PER_SEC));
        timers_arm(timers, &probes[i].timer, probes[i].deadline);
    }
    cr_assert_eq(timers_count(timers), MILLION);
    for (usec_t now = timers_next(timers); now != USEC_NEVER; now = timers_next(timers)) {
        run(timers, now);
    }
    for (int i = 0; i < MILLION; i++) {
        cr_assert(probes[i].fired == 1 && probes[i].fired_at >= probes[i].deadline &&
                  probes[i].fired_at < probes[i].deadline + TICK);
    }
    free(probes);
    timers_free(timers);
}

Test(timers, cross_a_jump_of_years_in_a_few_steps)
{
    struct timers *timers = timers_new(TICK, 0);
    struct probe probes[100];
    for (int i = 0; i < 100; i++) {
        probe_init(&probes[i], timers);
        timers_arm(timers, &probes[i].timer, i * 11 * USEC_PER_DAY);
    }
    run(timers, 3650 * USEC_PER_DAY);
    cr_assert_eq(fired_total, 100);
    cr_assert_eq(timers_next(timers), USEC_NEVER);
    timers_free(timers);
}

Test(timers, ignore_a_clock_that_steps_back)
{
    struct timers *timers = timers_new(TICK, USEC_PER_SEC);
    struct probe probe;
    probe_init(&probe, timers);
    run(timers, 2 * USEC_PER_SEC);
    timers_arm(timers, &probe.timer, 3 * USEC_PER_SEC);
    run(timers, USEC_PER_SEC);
    cr_assert_eq(probe.fired, 0);
    run(timers, 3 * USEC_PER_SEC);
    cr_assert_eq(probe.fired, 1);
    timers_free(timers);
}
