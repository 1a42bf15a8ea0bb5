/* SPDX-License-Identifier: Apache-2.0 */
/* Claims about work, and about several threads at once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "contract_parts.h"
#include "support/support.h"

CLAIM(work_is_taken_once)
{
    enrol(contract, 1);
    make_work(contract, 5);
    struct store_work *first = take_work(contract, 3);
    struct store_work *second = take_work(contract, 3);
    cr_assert_eq(LENGTH(first), 3);
    cr_assert_eq(LENGTH(second), 2);
    cr_assert_gt(second->id, first->next->next->id);
    cr_assert_eq(first->kind, STORE_WORK_MESSAGE);
    cr_assert(str_equal(first->handler, STR("StatsHandler")));
    cr_assert_eq(first->message, list_messages(contract, 0, 1)->id);
    cr_assert_eq(first->takes, 1);
    cr_assert_null(take_work(contract, 3));
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), 0);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
}

CLAIM(work_comes_back_when_its_lease_ends)
{
    enrol(contract, 1);
    make_work(contract, 1);
    struct store_work *first = take_work(contract, 1);
    clock_fake_advance(&contract->clock, USEC_PER_MINUTE);
    struct store_work *second = take_work(contract, 1);
    cr_assert_eq(first->id, second->id);
    cr_assert_eq(second->takes, 2);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(store_give_back_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(store_acknowledge_work(contract->store, second->id, second->takes, NULL), 0);
    clock_fake_advance(&contract->clock, USEC_PER_MINUTE);
    cr_assert_null(take_work(contract, 1));
}

CLAIM(work_given_back_is_taken_again)
{
    enrol(contract, 1);
    make_work(contract, 1);
    struct store_work *first = take_work(contract, 1);
    cr_assert_eq(store_give_back_work(contract->store, first->id, first->takes, NULL), 0);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(take_work(contract, 1)->id, first->id);
}

enum { TAKERS = 4, ITEMS = 200 };

struct taker {
    struct store *store;
    unsigned taken[ITEMS + 1]; /* by id */
    pthread_t thread;
};

static void *take_until_empty(void *context)
{
    struct taker *taker = context;
    struct arena arena;
    struct store_work *work = NULL;
    arena_init(&arena, 4096, 1 << 20);
    do {
        arena_reset(&arena);
        cr_assert_eq(store_take_work(taker->store, 3, USEC_PER_MINUTE, &arena, &work, NULL), 0);
        for (struct store_work *at = work; at; at = at->next) {
            cr_assert_leq(at->id, ITEMS);
            taker->taken[at->id]++;
            cr_assert_eq(store_acknowledge_work(taker->store, at->id, at->takes, NULL), 0);
        }
    } while (work != NULL);
    arena_done(&arena);
    return NULL;
}

CLAIM(parallel_takers_never_get_the_same)
{
    static struct taker takers[TAKERS];
    enrol(contract, 1);
    make_work(contract, ITEMS);
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.store = contract->store};
        cr_assert_eq(pthread_create(&takers[i].thread, NULL, take_until_empty, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
    }
    for (int item = 1; item <= ITEMS; item++) {
        unsigned count = 0;
        for (int i = 0; i < TAKERS; i++) {
            count += takers[i].taken[item];
        }
        cr_assert_eq(count, 1);
    }
}

struct sender {
    struct contract *contract;
    uint64_t agent;
    pthread_t thread;
};

static void *send_many(void *context)
{
    struct sender *sender = context;
    for (uint64_t i = 1; i <= 50; i++) {
        struct store_message messages[] = {test_message(i, 0), test_message(i, 1)};
        struct store_bundle bundle = {
            .agent = test_agent(sender->agent), .messages = messages, .message_count = 2};
        struct store_commit commit = {.bundle = &bundle};
        cr_assert_eq(store_commit(sender->contract->store, &commit, 1, STORE_DURABLE, NULL), 0);
        cr_assert_eq(commit.result, 0);
        (void)store_may_have_queued(sender->contract->store, test_agent(sender->agent));
    }
    return NULL;
}

CLAIM(parallel_bundles_are_all_stored)
{
    struct sender senders[4];
    for (uint64_t i = 0; i < 4; i++) {
        enrol(contract, i + 1);
        senders[i] = (struct sender){.contract = contract, .agent = i + 1};
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        pthread_join(senders[i].thread, NULL);
    }
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(count_messages(contract, i + 1), 100);
    }
}
