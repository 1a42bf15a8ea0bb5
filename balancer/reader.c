/* SPDX-License-Identifier: Apache-2.0 */
/* See reader.h. */
#include "reader.h"

#include "base/check.h"

/* Bytes may be taken long before the kernel asks for more: it wants room for a third of its buffer.
 */
#define LOOK_EVERY (5 * USEC_PER_SEC)

void reader_begin(struct reader *reader, uint64_t taken, usec_t now)
{
    CHECK(reader->since == 0 && now > 0);
    if (reader_is_new(reader)) {
        reader->from = taken;
        reader->taken = taken;
    }
    reader->since = now;
    reader->progress = now;
}

void reader_end(struct reader *reader, usec_t now)
{
    CHECK(reader->since != 0);
    reader->held += now - reader->since + 1; /* at least something: it is not new any more */
    reader->since = 0;
}

usec_t reader_deadline(const struct reader *reader, const struct reader_rules *rules, usec_t now)
{
    usec_t pause = usec_add(reader->progress, rules->pause);
    usec_t look = usec_add(now, LOOK_EVERY);
    return pause < look ? pause : look;
}

enum reader_verdict reader_judge(struct reader *reader, const struct reader_rules *rules,
                                 uint64_t taken, usec_t now)
{
    usec_t waited = reader->held + now - reader->since;
    if (taken > reader->taken) {
        reader->taken = taken;
        reader->progress = now;
    }
    if (now - reader->progress >= rules->pause) {
        return READER_PAUSED;
    }
    double least = (double)rules->min_rate * (double)waited / USEC_PER_SEC;
    bool is_slow = waited >= READER_GRACE && (double)(reader->taken - reader->from) < least;
    return is_slow ? READER_TOO_SLOW : READER_GOES_ON;
}
