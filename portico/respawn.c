/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off. */
#include "respawn.h"

static unsigned ends_within_window(const struct respawn *respawn, usec_t now)
{
    unsigned kept = respawn->count < RESPAWN_ENDS_MAX ? respawn->count : RESPAWN_ENDS_MAX;
    unsigned recent = 0;
    for (unsigned i = 0; i < kept; i++) {
        recent += now - respawn->ended[i] < RESPAWN_WINDOW;
    }
    return recent;
}

usec_t respawn_after_end(struct respawn *respawn, usec_t now)
{
    respawn->ended[respawn->count++ % RESPAWN_ENDS_MAX] = now;
    unsigned recent = ends_within_window(respawn, now);
    return recent == RESPAWN_ENDS_MAX ? -1 : RESPAWN_DELAY << (recent - 1);
}
