/* SPDX-License-Identifier: Apache-2.0 */
/* What portico run shows: lines of several speakers, each with its name before it. Whoever reads
 * them too slowly misses lines; the supervisor and its children never wait for a terminal. One
 * thread. */
#ifndef PORTICO_COMMAND_RUN_SCREEN_H
#define PORTICO_COMMAND_RUN_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct run_screen {
    int fd; /* borrowed */
    bool is_coloured;
    int name_width;
    uint64_t left_out; /* lines, since the last that was shown */
};

/* Colours on a terminal that can, unless NO_COLOR is set. */
void run_screen_init(struct run_screen *screen, int fd, int name_width);

/* `speaker` chooses the colour. */
void run_screen_line(struct run_screen *screen, unsigned speaker, const char *name,
                     struct str line);

#endif
