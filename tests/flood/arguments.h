/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of portico-flood as values. What cannot be understood is told on `err`, with the command's
 * name; the result is then EXIT_STATUS_USAGE, else 0. The thread of main(). */
#ifndef PORTICO_FLOOD_ARGUMENTS_H
#define PORTICO_FLOOD_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "config/command_line.h"

struct config;

struct arguments {
    const struct command_line *line;
    const char *command; /* "run" */
    FILE *out, *err;
    int argc; /* of main(), for the report */
    char **argv;
    struct config *config; /* borrowed */
};

/* "portico-flood run: WORDS", and where to read on: EXIT_STATUS_USAGE. */
PRINTF_LIKE(2, 3) int arguments_misuse(const struct arguments *arguments, const char *format, ...);
/* The same alone: EXIT_STATUS_FAILED. */
PRINTF_LIKE(2, 3) int arguments_fail(const struct arguments *arguments, const char *format, ...);

bool arguments_have(const struct arguments *arguments, const char *flag);

/* The flag's text, NULL when it was not given. */
const char *arguments_text(const struct arguments *arguments, const char *flag);

/* That of its use `index`, for flags that may come again; NULL: it came less often. */
const char *arguments_text_at(const struct arguments *arguments, const char *flag, size_t index);

/* Each leaves *value alone when the flag was not given. */
MUST_CHECK int arguments_number(const struct arguments *arguments, const char *flag, uint64_t min,
                                uint64_t max, uint64_t *value);
MUST_CHECK int arguments_real(const struct arguments *arguments, const char *flag, double *value);
MUST_CHECK int arguments_duration(const struct arguments *arguments, const char *flag,
                                  usec_t *value);
MUST_CHECK int arguments_size(const struct arguments *arguments, const char *flag, uint64_t *value);

/* All of argv in one line, cut to fit. */
void arguments_join(const struct arguments *arguments, char *out, size_t size);

#endif
