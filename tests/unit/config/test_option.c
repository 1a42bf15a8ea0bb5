/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "config/option.h"

Test(option, the_table_is_consistent)
{
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        cr_expect(section_is_ours(key_section(str_from(option->key))), "%s", option->key);
        cr_expect_eq(option_find(str_from(option->key)), option, "%s is there twice", option->key);
        cr_expect_eq(option->choices != NULL, option->type == OPTION_ENUM, "%s", option->key);
        cr_expect_leq(option->min, option->max, "%s", option->key);
        cr_expect((option->programs & PROGRAM_PORTICO) != 0, "%s", option->key);
        size_t len = strlen(option->meaning);
        cr_expect(len > 10 && option->meaning[len - 1] == '.', "%s", option->key);
    }
}

Test(option, keys_are_compared_with_case)
{
    cr_assert_not_null(option_find(STR("Frontend.bind_port")));
    cr_assert_null(option_find(STR("frontend.bind_port")));
    cr_assert_null(option_find(STR("Frontend.")));
    cr_assert_null(option_find(STR("")));
}

Test(option, suggests_what_was_probably_meant)
{
    static const char *const pairs[][2] = {
        {"Frontend.bind_prot", "Frontend.bind_port"},
        {"Fronted.bind_port", "Frontend.bind_port"},
        {"frontend.bind_port", "Frontend.bind_port"},
        {"bind_port", "Frontend.bind_port"},
        {"Balancer.trusted_proxy", "Balancer.trusted_proxies"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct option *near = option_suggest(str_from(pairs[i][0]));
        cr_assert_not_null(near, "%s", pairs[i][0]);
        cr_expect_str_eq(near->key, pairs[i][1]);
    }
    cr_assert_null(option_suggest(STR("Frontend.completely_else")));
}

Test(option, known_foreign_sections_are_no_misspellings)
{
    cr_assert_null(option_in_misspelt_section(STR("Database.implementation")));
    cr_assert_null(option_suggest(STR("Database.implementation")));
    cr_assert_not_null(option_in_misspelt_section(STR("Datastores.implementation")));
    cr_assert_null(option_in_misspelt_section(STR("Elsewhere.implementation")));
}

Test(option, a_reload_may_be_one_programs_alone)
{
    const struct option *port = option_find(STR("Frontend.bind_port"));
    const struct option *body = option_find(STR("Frontend.max_body"));
    const struct option *threads = option_find(STR("Frontend.threads"));
    cr_expect(option_reloads(port, PROGRAM_BALANCER));
    cr_expect_not(option_reloads(port, PROGRAM_FRONTEND));
    cr_expect(option_reloads(body, PROGRAM_FRONTEND));
    cr_expect_not(option_reloads(threads, PROGRAM_FRONTEND));
}

Test(option, finds_the_words_of_an_enum)
{
    const struct option *option = option_find(STR("Frontend.enrolment"));
    cr_assert(str_equal(option_choice(option, 1), STR("approve")));
    cr_assert_eq(option_choice(option, 3).len, 0);
}
