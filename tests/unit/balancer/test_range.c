/* SPDX-License-Identifier: Apache-2.0 */
/* Which member is next. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "members.h"
#include "support/support.h"

enum { PLENTY = 1000, EJECT_AFTER = 3 };

/* One request that is answered at once; the member's place, or a negative errno. */
static int serve(struct range *range)
{
    struct tried tried = {0};
    struct member *member;
    int code = range_choose(range, PLENTY, &tried, &member);
    if (code < 0) {
        return code;
    }
    member_leave(member, OUTCOME_ANSWERED, EJECT_AFTER, 0);
    return (int)address_port(&member->address) - 1;
}

static unsigned spread(const unsigned *counts, const struct range *range)
{
    unsigned least = UINT_MAX;
    unsigned most = 0;
    for (size_t i = 0; i < range_count(range); i++) {
        if (health_usability(member_health(range_at(range, i))) == USABLE) {
            least = counts[i] < least ? counts[i] : least;
            most = counts[i] > most ? counts[i] : most;
        } else {
            cr_assert_eq(counts[i], 0, "member %zu is not usable", i);
        }
    }
    return most - least;
}

static void check_exact(enum balance_algorithm algorithm)
{
    for (size_t count = 1; count <= 20; count++) {
        struct range *range = make_range(count, NULL, algorithm);
        set_all_up(range);
        for (unsigned rounds = 1; rounds < 3 * count + 2; rounds++) {
            unsigned counts[20] = {0};
            for (unsigned i = 0; i < rounds; i++) {
                counts[serve(range)]++;
            }
            cr_assert_leq(spread(counts, range), 1, "%zu members, %u requests", count, rounds);
        }
        range_unref(range);
    }
}

Test(range, gives_each_member_its_turn_exactly)
{
    check_exact(BALANCE_ROUND_ROBIN);
}

Test(range, gives_idle_members_turns_with_least_as_well)
{
    check_exact(BALANCE_LEAST);
}

Test(range, is_exact_over_any_usable_subset)
{
    uint64_t random = 7;
    for (int run = 0; run < 300; run++) {
        size_t count = 2 + next_random(&random) % 19;
        struct range *range = make_range(count, NULL, BALANCE_ROUND_ROBIN);
        set_all_up(range);
        for (size_t i = 1; i < count; i++) {
            uint64_t fate = next_random(&random) % 6;
            struct member *member = range_at(range, i);
            member_set_presence(member, fate == 0   ? PRESENCE_ABSENT
                                        : fate == 1 ? PRESENCE_DOWN
                                                    : PRESENCE_UP);
            member_set_ejected(member, fate == 2);
            member_set_wish(member, fate == 3 ? WISH_DRAINED : WISH_ENABLED);
        }
        unsigned counts[20] = {0};
        unsigned requests = 1 + (unsigned)(next_random(&random) % 100);
        for (unsigned i = 0; i < requests; i++) {
            counts[serve(range)]++;
        }
        cr_assert_leq(spread(counts, range), 1, "run %d", run);
        range_unref(range);
    }
}

enum { THREADS = 4, ROUNDS = 5001, MEMBERS = 7 };

struct chooser {
    pthread_t thread;
    struct range *range;
    unsigned counts[MEMBERS];
};

static void *choose_many(void *context)
{
    struct chooser *chooser = context;
    for (int i = 0; i < ROUNDS; i++) {
        int place = serve(chooser->range);
        if (place >= 0) {
            chooser->counts[place]++;
        }
    }
    return NULL;
}

Test(range, is_exact_over_many_threads)
{
    struct range *range = make_range(MEMBERS, NULL, BALANCE_ROUND_ROBIN);
    set_all_up(range);
    struct chooser choosers[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        choosers[i].range = range;
        cr_assert_eq(pthread_create(&choosers[i].thread, NULL, choose_many, &choosers[i]), 0);
    }
    unsigned counts[MEMBERS] = {0};
    unsigned sum = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(choosers[i].thread, NULL);
        for (int j = 0; j < MEMBERS; j++) {
            counts[j] += choosers[i].counts[j];
            sum += choosers[i].counts[j];
        }
    }
    cr_assert_eq(sum, THREADS * ROUNDS);
    cr_assert_leq(spread(counts, range), 1);
    range_unref(range);
}

static void *change_health(void *context)
{
    struct chooser *chooser = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct member *member = range_at(chooser->range, 1 + i % (MEMBERS - 1));
        member_set_presence(member, i % 3 == 0 ? PRESENCE_UP : PRESENCE_ABSENT);
    }
    return NULL;
}

Test(range, always_finds_the_member_that_stays_while_others_come_and_go)
{
    for (int algorithm = BALANCE_ROUND_ROBIN; algorithm <= BALANCE_LEAST; algorithm++) {
        struct range *range = make_range(MEMBERS, NULL, algorithm);
        set_all_up(range);
        struct chooser choosers[THREADS] = {0};
        for (int i = 0; i < THREADS; i++) {
            choosers[i].range = range;
            cr_assert_eq(pthread_create(&choosers[i].thread, NULL,
                                        i == 0 ? change_health : choose_many, &choosers[i]),
                         0);
        }
        unsigned sum = 0;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(choosers[i].thread, NULL);
            for (int j = 0; j < MEMBERS; j++) {
                sum += choosers[i].counts[j];
            }
        }
        cr_assert_eq(sum, (THREADS - 1) * ROUNDS);
        range_unref(range);
    }
}

Test(range, skips_full_members_and_says_when_all_are_full)
{
    for (int algorithm = BALANCE_ROUND_ROBIN; algorithm <= BALANCE_LEAST; algorithm++) {
        struct range *range = make_range(3, NULL, algorithm);
        set_all_up(range);
        struct member *member;
        struct tried tried;
        for (int i = 0; i < 6; i++) {
            tried = (struct tried){0};
            cr_assert_eq(range_choose(range, 2, &tried, &member), 0);
        }
        tried = (struct tried){0};
        cr_assert_eq(range_choose(range, 2, &tried, &member), -EAGAIN);
        cr_assert_eq(tried.count, 0);
        member_leave(range_at(range, 1), OUTCOME_ANSWERED, EJECT_AFTER, 0);
        cr_assert_eq(range_choose(range, 2, &tried, &member), 0);
        cr_assert_eq(member, range_at(range, 1));
        range_unref(range);
    }
}

Test(range, sends_no_request_to_one_member_twice)
{
    for (int algorithm = BALANCE_ROUND_ROBIN; algorithm <= BALANCE_LEAST; algorithm++) {
        struct range *range = make_range(5, NULL, algorithm);
        set_all_up(range);
        bool seen[5] = {false};
        struct tried tried = {0};
        struct member *member;
        for (int i = 0; i < 5; i++) {
            cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
            unsigned place = address_port(&member->address) - 1U;
            cr_assert_not(seen[place]);
            seen[place] = true;
        }
        cr_assert_eq(range_choose(range, PLENTY, &tried, &member), -EHOSTDOWN);
        range_unref(range);
    }
}

Test(range, gives_up_after_as_many_members_as_a_request_remembers)
{
    struct range *range = make_range(TRIED_MAX + 2, NULL, BALANCE_ROUND_ROBIN);
    set_all_up(range);
    struct tried tried = {0};
    struct member *member;
    for (int i = 0; i < TRIED_MAX; i++) {
        cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
    }
    cr_assert_eq(range_choose(range, PLENTY, &tried, &member), -EHOSTDOWN);
    range_unref(range);
}

Test(range, chooses_the_least_loaded_member)
{
    struct range *range = make_range(3, NULL, BALANCE_LEAST);
    set_all_up(range);
    cr_assert(member_enter(range_at(range, 0), PLENTY));
    cr_assert(member_enter(range_at(range, 0), PLENTY));
    cr_assert(member_enter(range_at(range, 2), PLENTY));
    cr_assert_eq(serve(range), 1);
    struct tried tried = {0};
    struct member *member;
    cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
    cr_assert_eq(member, range_at(range, 1));
    cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
    cr_assert_eq(member, range_at(range, 2), "the least loaded one was tried");
    range_unref(range);
}

Test(range, has_nothing_when_all_are_absent_or_unwanted)
{
    struct range *range = make_range(2, NULL, BALANCE_ROUND_ROBIN);
    cr_assert_eq(serve(range), -EHOSTDOWN);
    cr_assert_eq(range_usable(range), 0);
    set_all_up(range);
    member_set_wish(range_at(range, 0), WISH_DRAINED);
    member_set_wish(range_at(range, 1), WISH_DISABLED);
    cr_assert_eq(serve(range), -EHOSTDOWN);
    range_unref(range);
    range = make_range(0, NULL, BALANCE_LEAST);
    cr_assert_eq(serve(range), -EHOSTDOWN);
    range_unref(range);
}

Test(range, never_ejects_the_last_member)
{
    struct range *range = make_range(2, NULL, BALANCE_ROUND_ROBIN);
    set_all_up(range);
    member_set_ejected(range_at(range, 0), true);
    cr_assert_eq(range_usable(range), 1);
    cr_assert_eq(serve(range), 1);
    cr_assert_eq(serve(range), 1);
    member_set_ejected(range_at(range, 1), true);
    cr_assert_eq(range_usable(range), 2);
    cr_assert_neq(serve(range), serve(range));
    range_unref(range);
}

Test(range, turns_to_a_last_resort_when_the_better_ones_were_tried)
{
    struct range *range = make_range(2, NULL, BALANCE_ROUND_ROBIN);
    set_all_up(range);
    member_set_presence(range_at(range, 0), PRESENCE_DOWN);
    struct tried tried = {0};
    struct member *member;
    cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
    cr_assert_eq(member, range_at(range, 1));
    cr_assert_eq(range_choose(range, PLENTY, &tried, &member), 0);
    cr_assert_eq(member, range_at(range, 0));
    range_unref(range);
}

Test(range, waits_for_a_full_member_before_it_turns_to_a_last_resort)
{
    struct range *range = make_range(2, NULL, BALANCE_ROUND_ROBIN);
    set_all_up(range);
    member_set_ejected(range_at(range, 0), true);
    cr_assert(member_enter(range_at(range, 1), 1));
    struct tried tried = {0};
    struct member *member;
    cr_assert_eq(range_choose(range, 1, &tried, &member), -EAGAIN);
    range_unref(range);
}

Test(range, counts_members_by_state)
{
    struct range *range = make_range(4, NULL, BALANCE_ROUND_ROBIN);
    size_t counts[HEALTH_WORDS];
    set_all_up(range);
    member_set_ejected(range_at(range, 0), true);
    member_set_wish(range_at(range, 1), WISH_DISABLED);
    member_set_presence(range_at(range, 2), PRESENCE_ABSENT);
    range_count_states(range, counts);
    static const size_t wanted[HEALTH_WORDS] = {
        [HEALTH_UP] = 1, [HEALTH_EJECTED] = 1, [HEALTH_DISABLED] = 1, [HEALTH_ABSENT] = 1};
    cr_expect_arr_eq(counts, wanted, sizeof counts);
    range_unref(range);
}

Test(range, takes_over_members_that_stay)
{
    struct range *old = make_range(3, NULL, BALANCE_ROUND_ROBIN);
    struct member *second = range_at(old, 1);
    member_set_wish(second, WISH_DRAINED);
    struct range *grown = make_range(5, old, BALANCE_LEAST);
    cr_assert_eq(range_at(grown, 1), second);
    cr_assert(range_holds(grown, range_at(old, 2)));
    cr_assert_not(range_holds(old, range_at(grown, 4)));
    range_unref(old);
    cr_assert_eq(member_health(second).wish, WISH_DRAINED);
    struct range *shrunk = make_range(1, grown, BALANCE_LEAST);
    member_ref(second);
    range_unref(grown);
    cr_assert_not(range_holds(shrunk, second));
    cr_assert_str_eq(second->name, "h:2");
    member_unref(second);
    range_unref(shrunk);
}

Test(range, keeps_a_member_only_under_its_name_and_address)
{
    struct range_place place = {.name = "a:80"};
    make_address(&place.address, "127.0.0.1:80");
    struct range *old = range_new(&place, 1, NULL, BALANCE_LEAST, &test_ticket, NULL, NULL, NULL);
    member_set_presence(range_at(old, 0), PRESENCE_UP);
    member_set_wish(range_at(old, 0), WISH_DRAINED);
    place.name = "b:80";
    struct range *renamed =
        range_new(&place, 1, old, BALANCE_LEAST, &test_ticket, NULL, NULL, NULL);
    cr_assert_neq(range_at(old, 0), range_at(renamed, 0));
    cr_assert_eq(member_health(range_at(renamed, 0)).presence, PRESENCE_UP, "it was seen there");
    cr_assert_str_eq(health_word(member_health(range_at(renamed, 0))), "drained");
    place.name = "a:80";
    make_address(&place.address, "127.0.0.2:80");
    struct range *moved = range_new(&place, 1, old, BALANCE_LEAST, &test_ticket, NULL, NULL, NULL);
    cr_assert_neq(range_at(old, 0), range_at(moved, 0));
    cr_assert_str_eq(health_word(member_health(range_at(moved, 0))), "absent");
    range_unref(old);
    range_unref(renamed);
    range_unref(moved);
}
