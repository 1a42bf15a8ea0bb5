/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a client takes its answer fast enough. Only time in which it has something to take
 * counts, and only bytes that its side has acknowledged: what the kernel buffers for it is no
 * progress of its. Pure: the worker's thread says what time it is and what was taken. */
#ifndef PORTICO_BALANCER_READER_H
#define PORTICO_BALANCER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Zeroed: nothing waited for the client yet. */
struct reader {
    usec_t since;    /* something waits for it; 0: nothing does */
    usec_t held;     /* how long something did before that */
    usec_t progress; /* when it was last seen to take something */
    uint64_t from;   /* bytes it had taken when something waited first */
    uint64_t taken;  /* bytes it had taken when that was looked at last */
};

struct reader_rules {
    usec_t pause;      /* the longest without a byte taken */
    uint64_t min_rate; /* bytes per second, on average; 0: any */
};

enum reader_verdict { READER_GOES_ON, READER_PAUSED, READER_TOO_SLOW };

/* An average says nothing before something has waited for so long. */
#define READER_GRACE (10 * USEC_PER_SEC)

static inline bool reader_is_waited_for(const struct reader *reader)
{
    return reader->since != 0;
}

/* Nothing ever waited for it before: `taken` of reader_begin() is wanted. */
static inline bool reader_is_new(const struct reader *reader)
{
    return reader->since == 0 && reader->held == 0;
}

/* Something waits for it from now on. `taken` counts when the reader is new. */
void reader_begin(struct reader *reader, uint64_t taken, usec_t now);

/* Nothing does any more. */
void reader_end(struct reader *reader, usec_t now);

/* It wrote: at least the kernel had room again. */
static inline void reader_moved(struct reader *reader, usec_t now)
{
    reader->progress = now;
}

/* When to look again. */
usec_t reader_deadline(const struct reader *reader, const struct reader_rules *rules, usec_t now);

/* What `taken` bytes at `now` say of it, while something waits. */
enum reader_verdict reader_judge(struct reader *reader, const struct reader_rules *rules,
                                 uint64_t taken, usec_t now);

#endif
