/* SPDX-License-Identifier: Apache-2.0 */
/* One member. Every thread reads and changes it; there is no lock, so each function says what it
 * does to one number. */
#include "member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/loop.h"

static uint32_t next_id(void)
{
    /* The one thing that members of all ranges share. */
    static atomic_uint_least32_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

struct member *member_new(const struct address *address, const char *name,
                          struct counters *counters, struct loop *board, struct task *changed)
{
    struct member *member = aligned_alloc(_Alignof(struct member), sizeof *member);
    if (member == NULL) {
        return NULL;
    }
    memset(member, 0, sizeof *member);
    member->id = next_id();
    member->address = *address;
    snprintf(member->name, sizeof member->name, "%s", name);
    if (counters != NULL) {
        member->counters = counters_member(counters, member->name);
    }
    member->board = board;
    member->changed = changed;
    struct health health = {.presence = PRESENCE_ABSENT, .wish = WISH_ENABLED};
    atomic_init(&member->health, health_pack(health));
    atomic_init(&member->refs, 1);
    return member;
}

struct member *member_ref(struct member *member)
{
    CHECK(atomic_fetch_add_explicit(&member->refs, 1, memory_order_relaxed) > 0);
    return member;
}

void member_unref(struct member *member)
{
    /* Whoever drops the last reference sees what all others did. */
    if (member != NULL && atomic_fetch_sub_explicit(&member->refs, 1, memory_order_acq_rel) == 1) {
        free(member);
    }
}

/* ---- Health ---- */

struct health member_health(const struct member *member)
{
    return health_unpack(atomic_load_explicit(&member->health, memory_order_relaxed));
}

/* Put `after` in the place of `before`, unless somebody was faster: then *before is what he left.
 */
static bool replace(struct member *member, struct health *before, struct health after)
{
    uint32_t expected = health_pack(*before);
    if (atomic_compare_exchange_weak(&member->health, &expected, health_pack(after))) {
        return true;
    }
    *before = health_unpack(expected);
    return false;
}

bool member_set_presence(struct member *member, enum presence presence)
{
    struct health before = member_health(member);
    struct health after;
    do {
        after = before;
        after.presence = presence;
    } while (!replace(member, &before, after));
    return before.presence != presence;
}

bool member_set_ejected(struct member *member, bool is_ejected)
{
    if (!is_ejected) {
        atomic_store_explicit(&member->failures, 0, memory_order_relaxed);
    }
    struct health before = member_health(member);
    struct health after;
    do {
        after = before;
        after.is_ejected = is_ejected;
    } while (!replace(member, &before, after));
    return before.is_ejected != is_ejected;
}

bool member_set_wish(struct member *member, enum wish wish)
{
    struct health before = member_health(member);
    struct health after;
    do {
        after = before;
        after.wish = wish;
    } while (!replace(member, &before, after));
    return before.wish != wish;
}

static void tell_board(const struct member *member)
{
    if (member->board != NULL) {
        loop_post(member->board, member->changed);
    }
}

void member_want_probe(struct member *member)
{
    /* While the wish waits there is nothing new to tell. */
    if (!atomic_exchange(&member->wants_probe, true)) {
        tell_board(member);
    }
}

/* ---- Requests ---- */

bool member_enter(struct member *member, unsigned limit)
{
    unsigned n = atomic_load_explicit(&member->in_flight, memory_order_relaxed);
    do {
        if (n >= limit) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&member->in_flight, &n, n + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* A store costs the other workers their copy of the line; mostly there is nothing to forget. */
static void forget_failures(struct member *member)
{
    if (atomic_load_explicit(&member->failures, memory_order_relaxed) != 0) {
        atomic_store_explicit(&member->failures, 0, memory_order_relaxed);
    }
}

static void count_failure(struct member *member, unsigned eject_failures, usec_t now)
{
    unsigned failures = atomic_fetch_add_explicit(&member->failures, 1, memory_order_relaxed) + 1;
    if (failures >= eject_failures && !member_health(member).is_ejected) {
        /* Before the axis, so that whoever sees the ejection sees its time. */
        atomic_store(&member->ejected_at, now);
        if (member_set_ejected(member, true)) {
            tell_board(member);
        }
    }
    member_want_probe(member);
}

void member_leave(struct member *member, enum outcome outcome, unsigned eject_failures, usec_t now)
{
    CHECK(atomic_fetch_sub_explicit(&member->in_flight, 1, memory_order_relaxed) > 0);
    if (outcome != OUTCOME_ANSWERED && outcome != OUTCOME_NEUTRAL) {
        atomic_fetch_add_explicit(&member->outcomes[outcome], 1, memory_order_relaxed);
    }
    switch (outcome) {
    case OUTCOME_ANSWERED:
    case OUTCOME_ERROR:
        forget_failures(member);
        break;
    case OUTCOME_REFUSED:
        if (member_set_presence(member, PRESENCE_ABSENT)) {
            tell_board(member);
        }
        member_want_probe(member);
        break;
    case OUTCOME_UNREACHED:
    case OUTCOME_BROKEN:
    case OUTCOME_SILENT:
        count_failure(member, eject_failures, now);
        break;
    case OUTCOME_NEUTRAL:
    case OUTCOME_COUNT:
        break;
    }
}
