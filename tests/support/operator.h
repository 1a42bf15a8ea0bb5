/* SPDX-License-Identifier: Apache-2.0 */
/* The operator beside running instances: the real portico on their configuration. */
#ifndef PORTICO_TESTS_OPERATOR_H
#define PORTICO_TESTS_OPERATOR_H

#include <jansson.h>

struct instance;

/* portico -c CONFIGURATION --json ARGUMENTS (which end with NULL). What it printed, to be
 * json_decref()ed; aborts, with what it said, when it fails. */
json_t *operator_run(const struct instance *instance, const char *const *arguments);

#define OPERATOR(instance, ...) operator_run(instance, (const char *const[]){__VA_ARGS__, NULL})

#endif
