/* SPDX-License-Identifier: Apache-2.0 */
/* Each in turn. The ticket alone says whose turn it is, so the spread over members that stay usable
 * is exact whichever threads draw the tickets. Pure but for entering. */
#include "choose.h"

/* The place of usable member number `number`. */
static size_t place_of(const struct choice *choice, size_t number)
{
    for (size_t i = 0; i < choice->count; i++) {
        if (choice_includes(choice, choice->members[i]) && number-- == 0) {
            return i;
        }
    }
    return 0; /* there were more a moment ago */
}

struct member *choose_round_robin(const struct choice *choice)
{
    return choice_enter(choice, place_of(choice, (size_t)(choice->ticket % choice->usable)));
}
