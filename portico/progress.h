/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long copy is, on a terminal; and that Ctrl-C ends what has been begun in good order.
 * One thread. */
#ifndef PORTICO_COMMAND_PROGRESS_H
#define PORTICO_COMMAND_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "store/store.h"

struct progress {
    const char *what; /* "copying the store"; borrowed */
    FILE *out;        /* a terminal; NULL: nothing is shown */
    usec_t shown;
};

enum { PROGRESS_SIGNALS = 3 };

struct progress_hold {
    struct sigaction before[PROGRESS_SIGNALS];
};

/* From here on SIGINT, SIGTERM and SIGHUP end nothing, those aside that were ignored already: they
 * are noted, for whoever can give up. One at a time. */
void progress_hold(struct progress_hold *hold);
/* As it was before. */
void progress_release(const struct progress_hold *hold);
/* Whether one of them came since progress_hold(). */
bool progress_is_interrupted(void);

/* `err` is where it is shown if that is a terminal. */
void progress_begin(struct progress *progress, const char *what, FILE *err);
/* For store_backup() and archive_copy_file(); false after a signal. */
struct store_progress progress_watch(struct progress *progress);
void progress_end(struct progress *progress);

#endif
