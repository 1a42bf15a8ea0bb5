/* SPDX-License-Identifier: Apache-2.0 */
/* One run of one command: what it was given, where it prints, and what all commands do alike.
 * Functions that return a status give 0, or an exit status after they told the user why. Lives on
 * the stack of program.c; one thread. */
#ifndef PORTICO_COMMAND_OPERATION_H
#define PORTICO_COMMAND_OPERATION_H

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "config/command_line.h"
#include "store/store.h"

struct operation {
    const char *name;             /* "agents list" */
    const char *command;          /* "agents" */
    const char *const *arguments; /* behind the name, as many as the command wants */
    const struct command_line *line;
    struct config *config; /* NULL for commands that load it themselves */
    FILE *out, *err;
    bool is_json;
};

/* "portico agents show: WORDS" on `err`. */
PRINTF_LIKE(2, 3) int operation_fail(const struct operation *operation, const char *format, ...);
/* The same with where to read on; EXIT_STATUS_USAGE. */
PRINTF_LIKE(2, 3) int operation_misuse(const struct operation *operation, const char *format, ...);
/* What a store function returned, in words; `error` has its own. */
int operation_fail_store(const struct operation *operation, int code, const struct error *error);

/* The store of the configuration, to be freed with store_free(). It is not made when it is
 * missing. */
MUST_CHECK int operation_open_store(const struct operation *operation, struct store **store);

MUST_CHECK int operation_read_id(const struct operation *operation, const char *text,
                                 struct store_agent_id *id);
/* Open the store and see that it knows the agent that the first argument names. */
MUST_CHECK int operation_open_agent(const struct operation *operation, struct store **store,
                                    struct store_agent_id *id);

/* A decimal number of 1 to INT64_MAX. */
MUST_CHECK int operation_read_number(const struct operation *operation, const char *flag,
                                     uint64_t *number);

#endif
