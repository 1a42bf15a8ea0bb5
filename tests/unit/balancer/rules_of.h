/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from parameters, as -p gives them. Tests only. */
#ifndef PORTICO_TESTS_RULES_OF_H
#define PORTICO_TESTS_RULES_OF_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "config/config.h"
#include "rules.h"

static inline struct rules *rules_of(const char *const *parameters, size_t count)
{
    const struct config_request request = {
        .program = PROGRAM_BALANCER, .parameters = parameters, .parameter_count = count};
    struct problems *problems = problems_new(10);
    struct config *config = NULL;
    struct error error = {.line = 0};
    int code = config_load(&request, problems, &config);
    problems_print(problems, stderr);
    problems_free(problems);
    cr_assert_eq(code, 0);
    struct rules *rules = rules_new(config, &error);
    cr_assert_not_null(rules, "%s", error.message);
    config_unref(config);
    return rules;
}

#define RULES_OF(...)                            \
    rules_of((const char *const[]){__VA_ARGS__}, \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

#endif
