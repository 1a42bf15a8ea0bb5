/* SPDX-License-Identifier: Apache-2.0 */
/* The nonce and clock rule, sections 6 and 13. Pure. */
#include "wire/replay.h"

static usec_t least(usec_t a, usec_t b)
{
    return a < b ? a : b;
}

struct replay_verdict replay_judge(bool has_timestamp, uint64_t timestamp, usec_t clock, usec_t now)
{
    /* Section 6: an absent timestamp counts as 0. */
    usec_t t = timestamp > INT64_MAX ? INT64_MAX : (usec_t)timestamp;
    /* Section 13: never ahead of ours by more than the window, neither what an earlier program
     * stored nor what we store; so an agent whose clock once ran ahead is let in again at once. */
    usec_t ceiling = usec_add(now, REPLAY_WINDOW);
    struct replay_verdict verdict = {.clock = clock};
    usec_t known = least(clock, ceiling);
    if (known == 0 || t >= known) {
        verdict.is_fresh = true;
        verdict.stores_clock = has_timestamp;
        verdict.clock = has_timestamp ? least(t, ceiling) : clock;
        return verdict;
    }
    verdict.is_fresh = t >= known - REPLAY_WINDOW;
    return verdict;
}
