/* SPDX-License-Identifier: Apache-2.0 */
/* One line of the log under construction: escaping, quoting, and the end of long lines. It lives on
 * the stack of the thread that logs. */
#ifndef PORTICO_BASE_LOG_LINE_H
#define PORTICO_BASE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

/* Longer lines are cut. Pipes take this much (PIPE_BUF) whole or not at all, and journald and most
 * collectors cut not far above. */
enum { LOG_LINE_MAX = 4096 };

struct log_line {
    enum log_format format; /* never LOG_FORMAT_AUTO */
    bool is_cut;            /* something did not fit */
    size_t len;
    size_t room; /* what `len` may reach; the rest of `text` is kept back for the end */
    char text[LOG_LINE_MAX];
};

void log_line_init(struct log_line *line, enum log_format format);

/* As it stands; for our own words. */
void log_line_put(struct log_line *line, struct str text);
PRINTF_LIKE(2, 3) void log_line_format(struct log_line *line, const char *format, ...);

/* With everything escaped that could end a line or a quotation, or that a terminal obeys. */
void log_line_put_escaped(struct log_line *line, struct str text);

/* A field that does not fit is left out whole, for half a value misleads; shorter ones behind it
 * still have their chance. */
void log_line_put_field(struct log_line *line, const struct log_field *field);

/* Close the line: how many lines went missing before it (0: none), a mark when this one is cut, the
 * line feed. For these there is always room. */
void log_line_end(struct log_line *line, uint64_t left_out);

#endif
