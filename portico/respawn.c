/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off. */
#include "respawn.h"

enum { EARLIER_ENDS = RESPAWN_ENDS_MAX - 1 };

static unsigned ends_within_window(const struct respawn *respawn, usec_t now)
{
    unsigned kept = respawn->count < EARLIER_ENDS ? respawn->count : EARLIER_ENDS;
    unsigned recent = 1; /* the one at `now` */
    for (unsigned i = 0; i < kept; i++) {
        recent += now - respawn->ended[i] < RESPAWN_WINDOW;
    }
    return recent;
}

usec_t respawn_after_end(struct respawn *respawn, usec_t served, usec_t now)
{
    if (served >= RESPAWN_WELL) {
        respawn->count = 0;
    }
    unsigned recent = ends_within_window(respawn, now);
    respawn->ended[respawn->count++ % EARLIER_ENDS] = now;
    return recent == RESPAWN_ENDS_MAX ? -1 : RESPAWN_DELAY << (recent - 1);
}
