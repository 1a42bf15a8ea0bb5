/* SPDX-License-Identifier: Apache-2.0 */
/* What requests teach about a member. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "members.h"
#include "net/loop.h"

enum { PLENTY = 1000, EJECT_AFTER = 3 };

static unsigned told;

static void count_telling(struct task *task)
{
    (void)task;
    told++;
}

struct fixture {
    struct loop *loop;
    struct task changed;
    struct member *member;
};

static void setup(struct fixture *fixture)
{
    struct address address;
    make_address(&address, "127.0.0.1:1");
    fixture->loop = loop_new(&clock_system, NULL);
    cr_assert_not_null(fixture->loop);
    task_init(&fixture->changed, count_telling);
    fixture->member = member_new(&address, "h:1", NULL, fixture->loop, &fixture->changed);
    cr_assert_not_null(fixture->member);
    member_set_presence(fixture->member, PRESENCE_UP);
    told = 0;
}

static void teardown(struct fixture *fixture)
{
    member_unref(fixture->member);
    loop_free(fixture->loop);
}

static void request(struct fixture *fixture, enum outcome outcome, usec_t now)
{
    cr_assert(member_enter(fixture->member, PLENTY));
    member_leave(fixture->member, outcome, EJECT_AFTER, now);
    cr_assert_eq(loop_turn(fixture->loop, 0), 0);
}

Test(member, begins_absent_and_enabled)
{
    struct address address;
    make_address(&address, "127.0.0.1:1");
    struct member *a = member_new(&address, "a:1", NULL, NULL, NULL);
    struct member *b = member_new(&address, "a:1", NULL, NULL, NULL);
    cr_assert_str_eq(health_word(member_health(a)), "absent");
    cr_assert_neq(a->id, b->id);
    cr_assert_neq(a->id, 0);
    member_unref(a);
    member_unref(b);
}

Test(member, changes_one_axis_and_leaves_the_others)
{
    struct fixture f;
    setup(&f);
    cr_assert(member_set_wish(f.member, WISH_DRAINED));
    cr_assert_not(member_set_wish(f.member, WISH_DRAINED));
    cr_assert(member_set_ejected(f.member, true));
    cr_assert(member_set_presence(f.member, PRESENCE_DOWN));
    struct health health = member_health(f.member);
    cr_assert_eq(health.presence, PRESENCE_DOWN);
    cr_assert(health.is_ejected);
    cr_assert_eq(health.wish, WISH_DRAINED);
    teardown(&f);
}

Test(member, takes_no_more_requests_than_its_limit)
{
    struct fixture f;
    setup(&f);
    cr_assert(member_enter(f.member, 2));
    cr_assert(member_enter(f.member, 2));
    cr_assert_not(member_enter(f.member, 2));
    member_leave(f.member, OUTCOME_ANSWERED, EJECT_AFTER, 0);
    cr_assert(member_enter(f.member, 2));
    teardown(&f);
}

Test(member, is_absent_and_wants_a_probe_once_it_refuses)
{
    struct fixture f;
    setup(&f);
    request(&f, OUTCOME_REFUSED, 5);
    cr_assert_eq(member_health(f.member).presence, PRESENCE_ABSENT);
    cr_assert(atomic_load(&f.member->wants_probe));
    cr_assert_eq(told, 1);
    request(&f, OUTCOME_REFUSED, 6);
    cr_assert_eq(told, 1, "nothing is new");
    teardown(&f);
}

Test(member, is_ejected_after_failures_in_a_row)
{
    static const enum outcome failures[] = {OUTCOME_UNREACHED, OUTCOME_BROKEN, OUTCOME_SILENT};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        setup(&f);
        request(&f, failures[i], 1);
        cr_assert_eq(told, 1, "it wants a probe");
        request(&f, failures[(i + 1) % 3], 2);
        cr_assert_not(member_health(f.member).is_ejected);
        request(&f, failures[(i + 2) % 3], 3);
        cr_assert(member_health(f.member).is_ejected);
        cr_assert_eq(atomic_load(&f.member->ejected_at), 3);
        cr_assert_eq(told, 2);
        request(&f, failures[i], 4);
        cr_assert_eq(atomic_load(&f.member->ejected_at), 3, "it was out already");
        teardown(&f);
    }
}

Test(member, counts_how_requests_failed)
{
    struct fixture f;
    setup(&f);
    request(&f, OUTCOME_ANSWERED, 1);
    request(&f, OUTCOME_NEUTRAL, 2);
    request(&f, OUTCOME_ERROR, 3);
    request(&f, OUTCOME_SILENT, 4);
    request(&f, OUTCOME_SILENT, 5);
    static const unsigned wanted[OUTCOME_COUNT] = {[OUTCOME_ERROR] = 1, [OUTCOME_SILENT] = 2};
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        cr_expect_eq(atomic_load(&f.member->outcomes[i]), wanted[i], "outcome %zu", i);
    }
    teardown(&f);
}

Test(member, forgets_failures_after_any_answer)
{
    static const enum outcome answers[] = {OUTCOME_ANSWERED, OUTCOME_ERROR};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f);
        request(&f, OUTCOME_BROKEN, 1);
        request(&f, OUTCOME_BROKEN, 1);
        request(&f, answers[i], 1);
        request(&f, OUTCOME_BROKEN, 1);
        request(&f, OUTCOME_BROKEN, 1);
        cr_assert_not(member_health(f.member).is_ejected);
        teardown(&f);
    }
}

Test(member, learns_nothing_from_clients_that_leave)
{
    struct fixture f;
    setup(&f);
    for (int i = 0; i < 2 * EJECT_AFTER; i++) {
        request(&f, OUTCOME_NEUTRAL, 1);
    }
    cr_assert_eq(told, 0);
    request(&f, OUTCOME_BROKEN, 1);
    request(&f, OUTCOME_BROKEN, 1);
    request(&f, OUTCOME_NEUTRAL, 1);
    request(&f, OUTCOME_BROKEN, 1);
    cr_assert(member_health(f.member).is_ejected, "the row was not interrupted");
    teardown(&f);
}

Test(member, begins_anew_when_it_is_let_in_again)
{
    struct fixture f;
    setup(&f);
    for (int i = 0; i < EJECT_AFTER; i++) {
        request(&f, OUTCOME_SILENT, 1);
    }
    cr_assert(member_set_ejected(f.member, false));
    request(&f, OUTCOME_SILENT, 9);
    cr_assert_not(member_health(f.member).is_ejected);
    teardown(&f);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *enter_and_leave(void *context)
{
    struct member *member = context;
    unsigned long entered = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (member_enter(member, 2)) {
            entered += atomic_load(&member->in_flight) > 2;
            member_leave(member, i % 100 == 0 ? OUTCOME_BROKEN : OUTCOME_ANSWERED, EJECT_AFTER, i);
        }
        member_set_wish(member, i % 2 == 0 ? WISH_DRAINED : WISH_ENABLED);
        member_unref(member_ref(member));
    }
    return (void *)entered;
}

Test(member, keeps_its_limit_over_many_threads)
{
    struct fixture f;
    setup(&f);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, enter_and_leave, f.member), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *over;
        pthread_join(threads[i], &over);
        cr_assert_null(over, "more were in flight than the limit");
    }
    cr_assert_eq(atomic_load(&f.member->in_flight), 0);
    cr_assert_eq(atomic_load(&f.member->refs), 1);
    cr_assert_eq(member_health(f.member).presence, PRESENCE_UP);
    teardown(&f);
}
