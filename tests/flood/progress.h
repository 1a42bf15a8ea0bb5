/* SPDX-License-Identifier: Apache-2.0 */
/* How the run goes, while it goes: a few lines that are drawn anew on a terminal, plain lines every
 * now and then elsewhere. One thread; the engine's monitoring one. */
#ifndef PORTICO_FLOOD_PROGRESS_H
#define PORTICO_FLOOD_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "results.h"

struct progress;

struct progress_style {
    bool is_terminal;
    bool has_color;
    unsigned columns; /* of the terminal; lines are cut to it; 0: not cut */
    usec_t interval;  /* between plain lines; 0: 5 s */
};

/* What is shown. Borrowed for the call. */
struct progress_sample {
    usec_t elapsed, duration; /* 0: no end is planned */
    const char *phase;        /* NULL: none */
    double rate;              /* answers ok per second, in the last second */
    double rate_wanted;       /* 0: none */
    usec_t p50, p99, max;     /* of the last second */
    usec_t late_p99;          /* of the last second */
    uint64_t ok, in_flight, agents, enrolled;
    const struct failure *failures; /* since the beginning */
    size_t failure_count;
    uint64_t failed; /* of all kinds, since the beginning */
};

/* What suits the stream: columns and colours of a terminal ($NO_COLOR counts), or plain. */
struct progress_style progress_style_of(FILE *out);

/* `out` is borrowed. NULL: no memory. */
struct progress *progress_new(FILE *out, const struct progress_style *style);

/* Show it; at most once a second, plain lines at the style's interval. */
void progress_update(struct progress *progress, const struct progress_sample *sample);

/* Print a line that stays, above the live ones. */
PRINTF_LIKE(2, 3) void progress_note(struct progress *progress, const char *format, ...);

/* Take the live lines off the terminal and free. NULL is fine. */
void progress_free(struct progress *progress);

#endif
