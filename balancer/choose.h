/* SPDX-License-Identifier: Apache-2.0 */
/* How an algorithm of balancing chooses: the inner side of range_choose(). An algorithm is one file
 * with one choose_function, named in range.c. */
#ifndef PORTICO_BALANCER_CHOOSE_H
#define PORTICO_BALANCER_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "range.h"

/* What there is to choose from. At least one member is of the level. */
struct choice {
    struct member *const *members;
    size_t count;
    enum usability level; /* only members of this one may be chosen */
    size_t usable;        /* how many that were a moment ago, tried ones included */
    const struct tried *tried;
    unsigned limit;  /* of requests in flight at one member */
    uint64_t ticket; /* no other choice has it; the next choice has the next one */
};

/* The chosen member, entered, or NULL: none has room. Any thread. */
typedef struct member *choose_function(const struct choice *choice);

choose_function choose_round_robin;
choose_function choose_least;

/* Of the level, tried or not. */
bool choice_includes(const struct choice *choice, const struct member *member);

bool tried_holds(const struct tried *tried, const struct member *member);

/* Enter the first member from number `start` on, and around, that may be chosen and has room. NULL:
 * there is none. */
struct member *choice_enter(const struct choice *choice, size_t start);

#endif
