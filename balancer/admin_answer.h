/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to an administrator's command under construction: the same calls give lines and
 * aligned tables for people, or one line of JSON for scripts. What does not fit makes it an error
 * as a whole. Embedded; one thread at a time. */
#ifndef PORTICO_BALANCER_ADMIN_ANSWER_H
#define PORTICO_BALANCER_ADMIN_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"

enum { ADMIN_ANSWER_MAX = 32 << 20, ADMIN_ANSWER_COLUMNS_MAX = 16, ADMIN_ANSWER_DEPTH_MAX = 4 };

struct admin_answer {
    struct buffer out;
    bool is_json;
    bool is_error;
    int failure; /* what an append failed with; 0: nothing was lost */

    /* Its own. */
    struct buffer cells; /* of a table as text: cells end in a tab, rows in a line feed */
    const char *titles[ADMIN_ANSWER_COLUMNS_MAX];
    size_t columns, rows;
    bool is_table;
    unsigned depth;
    bool has_items[ADMIN_ANSWER_DEPTH_MAX];
};

void admin_init(struct admin_answer *answer, bool is_json);
void admin_done(struct admin_answer *answer);

/* Drop what is there and say why there is no answer: "error: WORDS", {"error":"WORDS"}. */
PRINTF_LIKE(2, 3) void admin_fail(struct admin_answer *answer, const char *format, ...);

/* Close the last line; when something was lost, that becomes the answer. */
void admin_finish(struct admin_answer *answer);

/* An object: "name value" lines. A list: the object's names are the titles of its columns; `none`
 * is what people are told when it stays empty. Lists may be a value in an object (`name`), objects
 * are outermost or in lists. */
void admin_object_begin(struct admin_answer *answer);
void admin_object_end(struct admin_answer *answer);
void admin_list_begin(struct admin_answer *answer, const char *name);
void admin_list_end(struct admin_answer *answer, const char *none);

/* `name` is a literal like "in_flight". What a terminal would obey, and bytes that are no UTF-8,
 * are escaped. An empty text is null, "-" for people. */
void admin_text(struct admin_answer *answer, const char *name, struct str text);
void admin_number(struct admin_answer *answer, const char *name, int64_t number);
void admin_bool(struct admin_answer *answer, const char *name, bool value);
/* NAME_us in JSON; "1.234s" for people. */
void admin_duration(struct admin_answer *answer, const char *name, usec_t duration);
/* A time of day: microseconds since the epoch, NAME_us; RFC 3339 for people. */
void admin_time(struct admin_answer *answer, const char *name, usec_t wall);

/* For what is no table, people only: as it stands; escaped. */
PRINTF_LIKE(2, 3) void admin_printf(struct admin_answer *answer, const char *format, ...);
void admin_escaped(struct admin_answer *answer, struct str text);

#endif
