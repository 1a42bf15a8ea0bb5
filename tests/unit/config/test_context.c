/* SPDX-License-Identifier: Apache-2.0 */
#include "config/context.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

Test(context, each_program_has_its_own)
{
    struct contexts frontend = contexts_of_program(PROGRAM_FRONTEND);
    struct contexts balancer = contexts_of_program(PROGRAM_BALANCER);
    struct contexts flood = contexts_of_program(PROGRAM_FLOOD);
    cr_assert_str_eq(frontend.names[0], "HTTPServer Context");
    cr_assert_str_eq(frontend.names[1], "Platform:Linux");
    cr_assert_eq(contexts_position(&frontend, STR("Commandline Context")), -1);
    cr_assert_eq(contexts_position(&balancer, STR("Commandline Context")), 0);
    cr_assert_geq(contexts_position(&balancer, STR("HTTPServer Context")), 0);
    cr_assert_geq(contexts_position(&flood, STR("PoolClient Context")), 0);
}

Test(context, every_own_context_is_known)
{
    for (unsigned program = PROGRAM_FRONTEND; program <= PROGRAM_PORTICO; program *= 2) {
        struct contexts contexts = contexts_of_program(program);
        for (size_t i = 0; i < contexts.count; i++) {
            cr_expect(context_is_known(str_from(contexts.names[i])), "%s", contexts.names[i]);
        }
    }
}

Test(context, adding_is_checked_and_bounded)
{
    struct contexts contexts = {.count = 0};
    static char names[CONTEXTS_MAX + 1][32];
    cr_assert_eq(contexts_add(&contexts, "Debug Context"), 0);
    cr_assert_eq(contexts_add(&contexts, "Debug Context"), 0);
    cr_assert_eq(contexts.count, 1);
    cr_assert_eq(contexts_add(&contexts, "Debug"), -EINVAL);
    for (int i = 0; i < CONTEXTS_MAX - 1; i++) {
        sprintf(names[i], "Target:%d", i);
        cr_assert_eq(contexts_add(&contexts, names[i]), 0);
    }
    cr_assert_eq(contexts_add(&contexts, "Target:last"), -E2BIG);
}

Test(context, forms_with_a_colon_are_open)
{
    cr_assert(context_is_known(STR("Target:LinuxDeb")));
    cr_assert(context_is_known(STR("Arch:riscv64")));
    cr_assert(!context_is_known(STR("Arch:")));
    cr_assert(!context_is_known(STR("Platfrom:Linux")));
    cr_assert_str_eq(context_suggest(STR("Platfrom:Linux")), "Platform:Linux");
    cr_assert_null(context_suggest(STR("Something Entirely Different")));
}
