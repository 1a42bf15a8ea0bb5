/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: names such as "HTTPServer Context" or "Platform:Linux" that say who reads a file. A
 * block of a file applies when every context on the way to it is active. Constant data, any
 * thread. */
#ifndef PORTICO_CONFIG_CONTEXT_H
#define PORTICO_CONFIG_CONTEXT_H

#include "config/option.h"

enum { CONTEXTS_MAX = 32 }; /* active at a time */

/* Active contexts in order; where blocks of equal depth disagree, the later context wins. The names
 * are borrowed. */
struct contexts {
    const char *names[CONTEXTS_MAX];
    size_t count;
};

/* Those that `program` activates by itself. */
struct contexts contexts_of_program(enum program program);

/* Add one unless it is there. -EINVAL: no such context; -E2BIG. */
MUST_CHECK int contexts_add(struct contexts *contexts, const char *name);

/* Position of an active context, or -1. */
int contexts_position(const struct contexts *contexts, struct str name);

bool context_is_known(struct str name);

/* The name was probably meant for a context, known or not: sections have neither spaces nor
 * colons. */
bool context_is_like(struct str name);

/* The known context that was probably meant, NULL: nothing is close. */
const char *context_suggest(struct str name);

#endif
