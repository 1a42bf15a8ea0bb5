/* SPDX-License-Identifier: Apache-2.0 */
/* When to start again what ended, and when to stop trying. A plain value that begins zeroed; time
 * is a parameter. */
#ifndef PORTICO_COMMAND_RESPAWN_H
#define PORTICO_COMMAND_RESPAWN_H

#include "base/clock.h"
#include "base/compiler.h"

enum { RESPAWN_ENDS_MAX = 5 };
/* That many ends within this time are too many. */
#define RESPAWN_WINDOW (30 * USEC_PER_SEC)
/* Who served for so long was well: its end is the first again, and no sign that it cannot serve. */
#define RESPAWN_WELL (3 * USEC_PER_SEC)
/* Before the first new start; doubled for each further end within the window. */
#define RESPAWN_DELAY (100 * USEC_PER_MSEC)

struct respawn {
    unsigned count;                     /* ends since it was well, that end included */
    usec_t ended[RESPAWN_ENDS_MAX - 1]; /* the last of them */
};

/* It ended at `now`, and had served for `served`, 0: never. How long to wait before it is started
 * again; negative: it keeps dying. */
MUST_CHECK usec_t respawn_after_end(struct respawn *respawn, usec_t served, usec_t now);

#endif
