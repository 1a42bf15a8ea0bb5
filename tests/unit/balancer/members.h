/* SPDX-License-Identifier: Apache-2.0 */
/* Members for tests of what chooses and changes them: nobody listens anywhere. */
#ifndef PORTICO_TESTS_MEMBERS_H
#define PORTICO_TESTS_MEMBERS_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "range.h"

enum { PLACES_MAX = 64 };

static atomic_uint_least64_t test_ticket;

__attribute__((unused)) static void make_address(struct address *address, const char *text)
{
    struct error error = {0};
    cr_assert_eq(address_parse(str_from(text), 0, address, &error), 0, "%s", error.message);
}

/* Ports 1 to `count` of 127.0.0.1, named "h:PORT", absent. */
__attribute__((unused)) static struct range *make_range(size_t count, const struct range *old,
                                                        enum balance_algorithm algorithm)
{
    struct range_place places[PLACES_MAX];
    char names[PLACES_MAX][16];
    cr_assert_leq(count, PLACES_MAX);
    for (size_t i = 0; i < count; i++) {
        make_address(&places[i].address, "127.0.0.1:0");
        address_set_port(&places[i].address, (uint16_t)(i + 1));
        snprintf(names[i], sizeof names[i], "h:%zu", i + 1);
        places[i].name = names[i];
    }
    struct range *range = range_new(places, count, old, algorithm, &test_ticket, NULL, NULL, NULL);
    cr_assert_not_null(range);
    return range;
}

__attribute__((unused)) static void set_all_up(struct range *range)
{
    for (size_t i = 0; i < range_count(range); i++) {
        member_set_presence(range_at(range, i), PRESENCE_UP);
    }
}

#endif
