/* SPDX-License-Identifier: Apache-2.0 */
/* The set of members, constant from birth; the members themselves change. Any thread. */
#include "range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "choose.h"

struct range {
    atomic_uint refs;
    choose_function *choose;
    atomic_uint_least64_t *ticket;
    size_t count;
    struct member *members[];
};

static choose_function *const algorithms[] = {
    [BALANCE_ROUND_ROBIN] = choose_round_robin,
    [BALANCE_LEAST] = choose_least,
};

/* ---- Life ---- */

static bool has_name(const struct member *member, const char *name)
{
    return strncmp(member->name, name, sizeof member->name - 1) == 0;
}

/* The old member at an address, NULL: there was none. *from is where to look first: ranges resemble
 * each other, so the next place is mostly the next member and a whole range costs O(members). */
static struct member *find_old(const struct range *old, const struct range_place *place,
                               size_t *from)
{
    size_t count = range_count(old);
    for (size_t i = 0; i < count; i++) {
        size_t index = (*from + i) % count;
        if (address_equal(&old->members[index]->address, &place->address)) {
            *from = index + 1;
            return old->members[index];
        }
    }
    return NULL;
}

/* Under another name it is another member, but what is known of the address holds: it need not wait
 * for a probe. */
static void inherit(struct member *member, const struct member *old)
{
    struct health health = member_health(old);
    member_set_presence(member, health.presence);
    member_set_ejected(member, health.is_ejected);
    member_set_wish(member, health.wish);
    atomic_store(&member->ejected_at, atomic_load(&old->ejected_at));
    member->changed_at = old->changed_at;
    member->probe_time = old->probe_time;
}

struct range *range_new(const struct range_place *places, size_t count, const struct range *old,
                        enum balance_algorithm algorithm, atomic_uint_least64_t *ticket,
                        struct counters *counters, struct loop *board, struct task *changed)
{
    CHECK(algorithm < ARRAY_LEN(algorithms));
    struct range *range = calloc(1, sizeof *range + count * sizeof(struct member *));
    if (range == NULL) {
        return NULL;
    }
    size_t from = 0;
    atomic_init(&range->refs, 1);
    range->choose = algorithms[algorithm];
    range->ticket = ticket;
    for (; range->count < count; range->count++) {
        const struct range_place *place = &places[range->count];
        struct member *known = find_old(old, place, &from);
        struct member *member;
        if (known != NULL && has_name(known, place->name)) {
            member = member_ref(known);
        } else {
            member = member_new(&place->address, place->name, counters, board, changed);
        }
        if (member == NULL) {
            range_unref(range);
            return NULL;
        }
        if (known != NULL && known != member) {
            inherit(member, known);
        }
        range->members[range->count] = member;
    }
    return range;
}

struct range *range_ref(struct range *range)
{
    CHECK(atomic_fetch_add_explicit(&range->refs, 1, memory_order_relaxed) > 0);
    return range;
}

void range_unref(struct range *range)
{
    if (range != NULL && atomic_fetch_sub_explicit(&range->refs, 1, memory_order_acq_rel) == 1) {
        for (size_t i = 0; i < range->count; i++) {
            member_unref(range->members[i]);
        }
        free(range);
    }
}

/* ---- What is in it ---- */

size_t range_count(const struct range *range)
{
    return range == NULL ? 0 : range->count;
}

struct member *range_at(const struct range *range, size_t index)
{
    CHECK(index < range->count);
    return range->members[index];
}

bool range_holds(const struct range *range, const struct member *member)
{
    for (size_t i = 0; i < range->count; i++) {
        if (range->members[i] == member) {
            return true;
        }
    }
    return false;
}

void range_count_states(const struct range *range, size_t counts[HEALTH_WORDS])
{
    memset(counts, 0, HEALTH_WORDS * sizeof *counts);
    for (size_t i = 0; i < range->count; i++) {
        counts[health_state(member_health(range->members[i]))]++;
    }
}

static size_t count_level(const struct range *range, enum usability level)
{
    size_t count = 0;
    for (size_t i = 0; i < range->count; i++) {
        count += health_usability(member_health(range->members[i])) == level;
    }
    return count;
}

size_t range_usable(const struct range *range)
{
    size_t usable = count_level(range, USABLE);
    return usable > 0 ? usable : count_level(range, LAST_RESORT);
}

static bool level_has_room(const struct range *range, enum usability level, unsigned limit)
{
    for (size_t i = 0; i < range->count; i++) {
        const struct member *member = range->members[i];
        if (health_usability(member_health(member)) == level &&
            atomic_load_explicit(&member->in_flight, memory_order_relaxed) < limit) {
            return true;
        }
    }
    return false;
}

bool range_has_room(const struct range *range, unsigned in_flight_limit)
{
    return level_has_room(range, USABLE, in_flight_limit) ||
           (count_level(range, USABLE) == 0 && level_has_room(range, LAST_RESORT, in_flight_limit));
}

/* ---- Choosing ---- */

bool tried_holds(const struct tried *tried, const struct member *member)
{
    for (unsigned i = 0; i < tried->count; i++) {
        if (tried->ids[i] == member->id) {
            return true;
        }
    }
    return false;
}

bool choice_includes(const struct choice *choice, const struct member *member)
{
    return health_usability(member_health(member)) == choice->level;
}

struct member *choice_enter(const struct choice *choice, size_t start)
{
    for (size_t i = 0; i < choice->count; i++) {
        struct member *member = choice->members[(start + i) % choice->count];
        if (choice_includes(choice, member) && !tried_holds(choice->tried, member) &&
            member_enter(member, choice->limit)) {
            return member;
        }
    }
    return NULL;
}

/* Whether there is a member of the level that was not tried; counts those that are of it. */
static bool has_untried(struct choice *choice)
{
    size_t untried = 0;
    choice->usable = 0;
    for (size_t i = 0; i < choice->count; i++) {
        if (choice_includes(choice, choice->members[i])) {
            choice->usable++;
            untried += !tried_holds(choice->tried, choice->members[i]);
        }
    }
    return untried > 0;
}

int range_choose(struct range *range, unsigned in_flight_limit, struct tried *tried,
                 struct member **member)
{
    struct choice choice = {
        .members = range->members,
        .count = range->count,
        .level = USABLE,
        .tried = tried,
        .limit = in_flight_limit,
    };
    if (tried->count == TRIED_MAX) {
        return -EHOSTDOWN;
    }
    if (!has_untried(&choice)) {
        choice.level = LAST_RESORT;
        if (!has_untried(&choice)) {
            return -EHOSTDOWN;
        }
    }
    choice.ticket = atomic_fetch_add_explicit(range->ticket, 1, memory_order_relaxed);
    struct member *chosen = range->choose(&choice);
    if (chosen == NULL) {
        return -EAGAIN;
    }
    tried->ids[tried->count++] = chosen->id;
    *member = chosen;
    return 0;
}
