/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations without files. */
#ifndef PORTICO_TESTS_BALANCER_CONFIG_H
#define PORTICO_TESTS_BALANCER_CONFIG_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "config/config.h"

enum { PARAMETER_SIZE = 256 };

/* NULL: the default. */
__attribute__((unused)) static struct config *hosts_config(const char *hosts, const char *bound,
                                                           const char *first, const char *last)
{
    static char texts[4][PARAMETER_SIZE];
    const char *keys[] = {"Balancer.hosts", "Frontend.bind_address", "Frontend.bind_port",
                          "Frontend.port_max"};
    const char *values[] = {hosts, bound, first, last};
    const char *parameters[4];
    struct config_request request = {.program = PROGRAM_BALANCER, .parameters = parameters};
    for (size_t i = 0; i < 4; i++) {
        if (values[i] != NULL) {
            snprintf(texts[i], PARAMETER_SIZE, "%s=%s", keys[i], values[i]);
            parameters[request.parameter_count++] = texts[i];
        }
    }
    struct problems *problems = problems_new(100);
    struct config *config = NULL;
    cr_assert_eq(config_load(&request, problems, &config), 0, "%s", hosts);
    problems_free(problems);
    return config;
}

#endif
