/* SPDX-License-Identifier: Apache-2.0 */
/* The option table in words, for people, editors and the manual; and a configuration as it came
 * out. Pure output, any thread. */
#ifndef PORTICO_CONFIG_DESCRIBE_H
#define PORTICO_CONFIG_DESCRIBE_H

#include <stdio.h>

#include "config/config.h"

/* --help-config: the options of `program`; `section` NULL: of all sections. */
void describe_help(FILE *out, enum program program, const char *section);

/* --show-config: value and origin of each option. Secrets are not shown. */
void describe_values(FILE *out, const struct config *config);

/* A JSON schema (draft 2020-12) for editors and checks. */
void describe_schema(FILE *out);

/* docs/man/portico.yaml.5 */
void describe_mdoc(FILE *out);

/* docs/configuration.md */
void describe_markdown(FILE *out);

/* What several of them print. As snprintf(): the range "1-65535", empty when there is none; the
 * programs "frontend, balancer"; the words of an enum. */
int describe_range(const struct option *option, char *out, size_t size);
int describe_programs(const struct option *option, char *out, size_t size);
int describe_choices(const struct option *option, const char *separator, char *out, size_t size);

/* Whether it is one of that section's. */
bool option_is_in(const struct option *option, const struct section *section);

/* The name of the unit in which a plain number counts, empty when there is none. */
const char *describe_unit(const struct option *option);

#endif
