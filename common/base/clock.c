/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's clocks, and one for tests. Any thread; a fake clock belongs to one. */
#include "base/clock.h"

#include <time.h>

#include "base/check.h"

static usec_t read_clock(clockid_t id)
{
    struct timespec now;
    /* Cannot fail for these two ids: they exist since Linux 2.6. */
    clock_gettime(id, &now);
    return now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static usec_t system_monotonic(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static usec_t system_wall(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

const struct clock clock_system = {system_monotonic, system_wall};

/* The clock is the fake's first member. */
static usec_t fake_monotonic(const struct clock *clock)
{
    const struct clock_fake *fake = (const void *)clock;
    return fake->now;
}

static usec_t fake_wall(const struct clock *clock)
{
    const struct clock_fake *fake = (const void *)clock;
    return fake->now + fake->epoch;
}

void clock_fake_init(struct clock_fake *fake, usec_t now, usec_t epoch)
{
    *fake = (struct clock_fake){{fake_monotonic, fake_wall}, now, epoch};
}

void clock_fake_advance(struct clock_fake *fake, usec_t by)
{
    CHECK(by >= 0);
    fake->now = usec_add(fake->now, by);
}

usec_t usec_add(usec_t start, usec_t length)
{
    usec_t sum;
    return __builtin_add_overflow(start, length, &sum) ? USEC_NEVER : sum;
}
