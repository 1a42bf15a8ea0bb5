/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "budget.h"

Test(budget, together_they_may_not_have_more)
{
    struct budget budget = {.max = 100};
    struct budget_share a = {0}, b = {0};
    cr_expect(budget_take(&budget, &a, 60));
    cr_expect(budget_take(&budget, &b, 40));
    cr_expect(!budget_take(&budget, &b, 41));
    cr_expect_eq(b.bytes, 40, "as it was");
    budget_give(&budget, &a);
    cr_expect(budget_take(&budget, &b, 41));
    budget_give(&budget, &b);
    cr_expect_eq(budget.used, 0);
}

Test(budget, one_alone_may_have_more_than_there_is)
{
    struct budget budget = {.max = 100};
    struct budget_share a = {0}, b = {0};
    cr_expect(budget_take(&budget, &a, 50));
    cr_expect(budget_take(&budget, &a, 500));
    cr_expect(!budget_take(&budget, &b, 1));
    budget_give(&budget, &a);
    cr_expect(budget_take(&budget, &b, 1));
}

Test(budget, a_share_never_shrinks_but_to_nothing)
{
    struct budget budget = {.max = 100};
    struct budget_share a = {0};
    cr_expect(budget_take(&budget, &a, 50));
    cr_expect(budget_take(&budget, &a, 10));
    cr_expect_eq(a.bytes, 50);
    budget_give(&budget, &a);
    budget_give(&budget, &a);
    cr_expect_eq(budget.used, 0);
}
