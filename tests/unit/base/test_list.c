/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/list.h"
#include "support/support.h"

struct item {
    int number;
    struct list_link link;
    struct list_link other_link;
};

LIST_DECLARE(items, struct item, link);
LIST_DECLARE(others, struct item, other_link);

Test(list, begins_empty)
{
    struct items list;
    items_init(&list);
    cr_assert(items_is_empty(&list));
    cr_assert_eq(items_count(&list), 0);
    cr_assert_null(items_first(&list));
    cr_assert_null(items_last(&list));
    cr_assert_null(items_pop_front(&list));
}

Test(list, keeps_order_from_both_ends)
{
    struct item a = {.number = 1};
    struct item b = {.number = 2};
    struct item c = {.number = 3};
    struct items list;
    items_init(&list);
    items_push_back(&list, &b);
    items_push_back(&list, &c);
    items_push_front(&list, &a);
    cr_assert_eq(items_count(&list), 3);
    cr_assert_eq(items_first(&list), &a);
    cr_assert_eq(items_next(&list, &a), &b);
    cr_assert_eq(items_next(&list, &b), &c);
    cr_assert_null(items_next(&list, &c));
    cr_assert_eq(items_last(&list), &c);
    cr_assert_eq(items_previous(&list, &c), &b);
    cr_assert_null(items_previous(&list, &a));
    cr_assert_eq(items_pop_front(&list), &a);
    cr_assert_not(items_holds(&list, &a));
    cr_assert(items_holds(&list, &b));
    cr_assert_eq(items_count(&list), 2);
}

Test(list, an_element_may_be_on_two_lists_through_two_links)
{
    struct item a = {0};
    struct items list;
    struct others other;
    items_init(&list);
    others_init(&other);
    items_push_back(&list, &a);
    others_push_back(&other, &a);
    items_remove(&list, &a);
    cr_assert(others_holds(&other, &a));
    cr_assert_eq(others_first(&other), &a);
}

Test(list, a_removed_element_may_be_pushed_again)
{
    struct item a = {0};
    struct items one;
    struct items two;
    items_init(&one);
    items_init(&two);
    items_push_back(&one, &a);
    items_remove(&one, &a);
    items_push_back(&two, &a);
    cr_assert(items_is_empty(&one));
    cr_assert(items_holds(&two, &a));
    cr_assert_not(items_holds(&one, &a));
}

Test(list, pushing_twice_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items list;
    items_init(&list);
    items_push_back(&list, &a);
    items_push_front(&list, &a);
}

Test(list, pushing_on_a_second_list_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items one;
    struct items two;
    items_init(&one);
    items_init(&two);
    items_push_back(&one, &a);
    items_push_back(&two, &a);
}

Test(list, removing_from_another_list_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items one;
    struct items two;
    items_init(&one);
    items_init(&two);
    items_push_back(&one, &a);
    items_remove(&two, &a);
}

Test(list, removing_twice_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items list;
    items_init(&list);
    items_push_back(&list, &a);
    items_remove(&list, &a);
    items_remove(&list, &a);
}

Test(list, asking_for_the_successor_of_a_removed_element_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items list;
    items_init(&list);
    items_push_back(&list, &a);
    items_remove(&list, &a);
    (void)items_next(&list, &a);
}

Test(list, a_list_that_was_not_initialised_aborts, .signal = SIGABRT)
{
    struct items list = {0};
    (void)items_pop_front(&list);
}

Test(list, a_list_that_moved_aborts, .signal = SIGABRT)
{
    struct item a = {0};
    struct items list;
    items_init(&list);
    struct items moved = list;
    items_push_back(&moved, &a);
}

Test(list, behaves_as_an_array)
{
    enum { ITEMS = 40 };
    struct item item[ITEMS] = {0};
    struct item *model[ITEMS];
    size_t count = 0;
    uint64_t random = 3;
    struct items list;
    items_init(&list);
    for (int step = 0; step < 20000; step++) {
        struct item *chosen = &item[next_random(&random) % ITEMS];
        if (items_holds(&list, chosen)) {
            size_t at = 0;
            while (model[at] != chosen) {
                at++;
            }
            memmove(model + at, model + at + 1, (count - at - 1) * sizeof(struct item *));
            count--;
            items_remove(&list, chosen);
        } else if (next_random(&random) % 2 == 0) {
            model[count++] = chosen;
            items_push_back(&list, chosen);
        } else {
            memmove(model + 1, model, count * sizeof(struct item *));
            model[0] = chosen;
            count++;
            items_push_front(&list, chosen);
        }
        cr_assert_eq(items_count(&list), count);
        size_t i = 0;
        for (struct item *at = items_first(&list); at != NULL; at = items_next(&list, at)) {
            cr_assert_eq(at, model[i++]);
        }
        cr_assert_eq(i, count);
        for (struct item *at = items_last(&list); at != NULL; at = items_previous(&list, at)) {
            cr_assert_eq(at, model[--i]);
        }
    }
}
