/* SPDX-License-Identifier: Apache-2.0 */
/* The member with the fewest requests in flight; equal ones in turn. Other threads enter and leave
 * meanwhile, so the fewest are those of a moment ago. */
#include <limits.h>

#include "choose.h"

struct fewest {
    unsigned in_flight;
    size_t count; /* members that have just so many */
};

/* UINT_MAX: may not be chosen. */
static unsigned load_of(const struct choice *choice, const struct member *member)
{
    if (!choice_includes(choice, member) || tried_holds(choice->tried, member)) {
        return UINT_MAX;
    }
    return atomic_load_explicit(&member->in_flight, memory_order_relaxed);
}

static struct fewest find_fewest(const struct choice *choice)
{
    struct fewest fewest = {.in_flight = UINT_MAX};
    for (size_t i = 0; i < choice->count; i++) {
        unsigned load = load_of(choice, choice->members[i]);
        if (load < fewest.in_flight) {
            fewest = (struct fewest){.in_flight = load};
        }
        fewest.count += load == fewest.in_flight && load != UINT_MAX;
    }
    return fewest;
}

struct member *choose_least(const struct choice *choice)
{
    struct fewest fewest = find_fewest(choice);
    if (fewest.count == 0) {
        return NULL;
    }
    size_t turn = (size_t)(choice->ticket % fewest.count);
    for (size_t i = 0; i < choice->count; i++) {
        if (load_of(choice, choice->members[i]) == fewest.in_flight && turn-- == 0) {
            return choice_enter(choice, i);
        }
    }
    return choice_enter(choice, 0); /* they have more by now */
}
