/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a configuration: every problem of every file, told in one go, in the form that
 * compilers use and editors understand. Owned by whoever loads; one thread. It copies what it is
 * given, so it outlives the configuration. */
#ifndef PORTICO_CONFIG_PROBLEM_H
#define PORTICO_CONFIG_PROBLEM_H

#include <stdio.h>

#include "base/compiler.h"
#include "config/source.h"

enum severity {
    SEVERITY_WARNING, /* odd, but usable */
    SEVERITY_ERROR,   /* the configuration cannot be used */
};

struct problems;

/* At most `max` problems are kept, the others counted. NULL: no memory. */
struct problems *problems_new(size_t max);
void problems_free(struct problems *problems);

/* Add one. `hint` says what to do about it, NULL: nothing comes to mind. The same message at the
 * same place is kept once. */
PRINTF_LIKE(5, 6)
void problem_add(struct problems *problems, enum severity severity, struct place place,
                 const char *hint, const char *format, ...);

size_t problems_errors(const struct problems *problems);
size_t problems_warnings(const struct problems *problems);

/* In the order of files and lines:
 *     FILE:LINE:COLUMN: error: MESSAGE
 *         the source line
 *             ^
 *         hint: HINT
 * and how many were left out. Control characters of the source are escaped, key material is not
 * shown. */
void problems_print(struct problems *problems, FILE *out);

struct problem_view {
    enum severity severity;
    const char *place; /* "FILE:LINE:COLUMN", or what else is known of it */
    const char *message;
    const char *hint; /* NULL: none */
};

/* The same, one by one, for a log. */
void problems_each(struct problems *problems,
                   void (*tell)(void *context, const struct problem_view *problem), void *context);

#endif
