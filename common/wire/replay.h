/* SPDX-License-Identifier: Apache-2.0 */
/* The nonce and clock rule (section 6), with section 13's correction. A pure function. */
#ifndef PORTICO_WIRE_REPLAY_H
#define PORTICO_WIRE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* How far behind the stored clock a packet may be, and the stored clock ahead of ours. */
#define REPLAY_WINDOW USEC_PER_HOUR

struct replay_verdict {
    bool is_fresh;     /* else the packet is from before the window: DESYNCHRONIZED */
    bool stores_clock; /* `clock` is to be stored; last-seen goes with it */
    usec_t clock;      /* the agent's clock from now on; as it was unless stores_clock */
};

/* `has_timestamp` and `timestamp` are the packet's; `clock` what is stored for the agent, 0 for
 * nothing; `now` our wall clock. All microseconds since the epoch. */
struct replay_verdict replay_judge(bool has_timestamp, uint64_t timestamp, usec_t clock,
                                   usec_t now);

#endif
