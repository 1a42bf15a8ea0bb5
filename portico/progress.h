/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long copy is, on a terminal; and that Ctrl-C ends it in good order. One at a time: it
 * takes over SIGINT and SIGTERM until its end. One thread. */
#ifndef PORTICO_COMMAND_PROGRESS_H
#define PORTICO_COMMAND_PROGRESS_H

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "store/store.h"

struct progress {
    const char *what; /* "copying the store"; borrowed */
    FILE *out;        /* a terminal; NULL: nothing is shown */
    usec_t shown;
    struct sigaction interrupt, terminate; /* as they were */
};

/* `err` is where it is shown if that is a terminal. */
void progress_begin(struct progress *progress, const char *what, FILE *err);
/* For store_backup() and archive_copy_file(); false after a signal. */
struct store_progress progress_watch(struct progress *progress);
void progress_end(struct progress *progress);

#endif
