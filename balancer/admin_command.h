/* SPDX-License-Identifier: Apache-2.0 */
/* Administrators' commands: from a line to an answer. The control thread; commands that need the
 * workers are answered later. */
#ifndef PORTICO_BALANCER_ADMIN_COMMAND_H
#define PORTICO_BALANCER_ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin_answer.h"
#include "base/compiler.h"
#include "base/str.h"

struct balancer;
struct history;

enum { ADMIN_LINE_MAX = 4096, ADMIN_WORDS_MAX = 8 };

/* ---- Understanding a line ---- */

enum admin_command {
#define ADMIN_COMMAND(words, least, most, synopsis, meaning, function) ADMIN_##function,
#include "admin_commands.def"
#undef ADMIN_COMMAND
    ADMIN_COMMAND_COUNT,
    ADMIN_NONE = ADMIN_COMMAND_COUNT,
};

struct admin_line {
    enum admin_command command; /* ADMIN_NONE: see `problem` */
    struct str arguments[ADMIN_WORDS_MAX];
    size_t argument_count;
    bool is_json;
    char problem[256]; /* why it is no command, with a suggestion; printable */
};

/* Words between spaces; "--json" anywhere or "json" in front asks for JSON. Views into `text`,
 * which comes without its line end. 0, or -EINVAL with a problem. Pure. */
MUST_CHECK int admin_line_parse(struct admin_line *line, struct str text);

/* "show members", "[N]", what help says; constants. */
const char *admin_command_words(enum admin_command command);
const char *admin_command_synopsis(enum admin_command command);
const char *admin_command_meaning(enum admin_command command);

/* "8080", "HOST:8080", "[::1]:8080"; `host` is empty when there is none, else without brackets. 0
 * or -EINVAL. */
MUST_CHECK int admin_place_parse(struct str text, struct str *host, uint16_t *port);

/* ---- Running it ---- */

struct admin_call; /* a command that waits for its answer */

/* The answer is the caller's to read until it returns. */
typedef void admin_done_function(void *context, const struct admin_answer *answer);

/* Run the command in `text`. Either calls `done` at once and returns NULL, or returns a call for
 * which `done` will be called later, unless it is cancelled. The balancer must not be freed before
 * that. */
struct admin_call *admin_call(struct balancer *balancer, struct str text, admin_done_function *done,
                              void *context);
/* The same for the status page: the answer is HTML. `history` is borrowed until `done`, or until
 * the call is cancelled. */
struct admin_call *admin_call_page(struct balancer *balancer, const struct history *history,
                                   admin_done_function *done, void *context);
/* Nobody wants the answer any more. NULL is fine. */
void admin_call_cancel(struct admin_call *call);

#endif
