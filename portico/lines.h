/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that come as they come, cut into lines of bounded length, and the last few lines of
 * somebody for the case that they were its last. Plain values; one thread. */
#ifndef PORTICO_COMMAND_LINES_H
#define PORTICO_COMMAND_LINES_H

#include "base/str.h"

enum {
    LINES_BYTES_MAX = 3072, /* with a prefix still one write that no other one can split */
    TAIL_LINES = 12,
    TAIL_BYTES = 512, /* kept of each */
};

struct lines {
    size_t len;
    char bytes[LINES_BYTES_MAX];
};

/* Without its line end; lives for the time of the call. */
typedef void line_function(void *context, struct str line);

/* `lines` begins zeroed. Calls `take` for each line that is complete; what is longer than
 * LINES_BYTES_MAX comes in several. */
void lines_feed(struct lines *lines, struct str bytes, line_function *take, void *context);
/* There are no more bytes: what is left is a line, too. */
void lines_end(struct lines *lines, line_function *take, void *context);

struct tail {
    unsigned count; /* ever added */
    size_t len[TAIL_LINES];
    char text[TAIL_LINES][TAIL_BYTES];
};

/* `tail` begins zeroed. Long lines lose their end. */
void tail_add(struct tail *tail, struct str line);
unsigned tail_count(const struct tail *tail);
/* 0: the oldest that is kept. Lives until the next tail_add(). */
struct str tail_at(const struct tail *tail, unsigned index);

#endif
