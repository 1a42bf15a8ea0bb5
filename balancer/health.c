/* SPDX-License-Identifier: Apache-2.0 */
/* Three axes and what they come to. Pure functions. */
#include "health.h"

#include "base/check.h"

/* How a member keeps them: two bits, one bit, two bits. */
enum {
    PRESENCE_MASK = 3,
    EJECTED_BIT = 4,
    WISH_SHIFT = 3,
};

uint32_t health_pack(struct health health)
{
    return (uint32_t)health.presence | (health.is_ejected ? (uint32_t)EJECTED_BIT : 0U) |
           (uint32_t)health.wish << WISH_SHIFT;
}

struct health health_unpack(uint32_t packed)
{
    struct health health = {
        .presence = (enum presence)(packed & PRESENCE_MASK),
        .is_ejected = (packed & EJECTED_BIT) != 0,
        .wish = (enum wish)(packed >> WISH_SHIFT),
    };
    CHECK(health.presence <= PRESENCE_UP && health.wish <= WISH_DISABLED);
    return health;
}

enum usability health_usability(struct health health)
{
    if (health.wish != WISH_ENABLED || health.presence == PRESENCE_ABSENT) {
        return UNUSABLE;
    }
    /* When all probes time out under load, refusing everything would make the outage whole; so
     * members that are down, like ejected ones, still serve when there is nothing better. */
    return health.presence == PRESENCE_UP && !health.is_ejected ? USABLE : LAST_RESORT;
}

enum health_state health_state(struct health health)
{
    if (health.wish != WISH_ENABLED) {
        return health.wish == WISH_DRAINED ? HEALTH_DRAINED : HEALTH_DISABLED;
    }
    if (health.presence != PRESENCE_UP) {
        return health.presence == PRESENCE_DOWN ? HEALTH_DOWN : HEALTH_ABSENT;
    }
    return health.is_ejected ? HEALTH_EJECTED : HEALTH_UP;
}

const char *health_state_word(enum health_state state)
{
    static const char *const words[HEALTH_WORDS] = {"up",      "down",    "absent",
                                                    "ejected", "drained", "disabled"};
    return words[state];
}

const char *health_word(struct health health)
{
    return health_state_word(health_state(health));
}

static unsigned one_more(uint8_t *row)
{
    if (*row < UINT8_MAX) {
        ++*row;
    }
    return *row;
}

enum presence health_after_probe(enum presence presence, struct probe_history *history,
                                 enum probe_result result, unsigned rise, unsigned fall)
{
    switch (result) {
    case PROBE_GOOD:
        history->bad = 0;
        return one_more(&history->good) >= rise || presence == PRESENCE_ABSENT ? PRESENCE_UP
                                                                               : presence;
    case PROBE_BAD:
        history->good = 0;
        return one_more(&history->bad) >= fall || presence == PRESENCE_ABSENT ? PRESENCE_DOWN
                                                                              : presence;
    case PROBE_REFUSED:
        *history = (struct probe_history){0};
        return PRESENCE_ABSENT;
    case PROBE_UNREACHED:
        return presence == PRESENCE_ABSENT
                   ? presence
                   : health_after_probe(presence, history, PROBE_BAD, rise, fall);
    case PROBE_UNKNOWN:
        break;
    }
    return presence;
}
