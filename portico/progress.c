/* SPDX-License-Identifier: Apache-2.0 */
/* One line, written over and over. */
#include "progress.h"

#include <unistd.h>

/* A signal can reach nothing else. */
static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

void progress_begin(struct progress *progress, const char *what, FILE *err)
{
    const struct sigaction action = {.sa_handler = interrupt};
    *progress = (struct progress){.what = what, .out = isatty(fileno(err)) ? err : NULL};
    is_interrupted = 0;
    (void)sigaction(SIGINT, &action, &progress->interrupt);
    (void)sigaction(SIGTERM, &action, &progress->terminate);
}

static bool step(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    usec_t now = clock_monotonic(&clock_system);
    if (progress->out != NULL && total > 0 && now - progress->shown >= 100 * USEC_PER_MSEC) {
        fprintf(progress->out, "\r%s: %llu %%", progress->what,
                (unsigned long long)(done >= total ? 100 : 100 * done / total));
        fflush(progress->out);
        progress->shown = now;
    }
    return is_interrupted == 0;
}

struct store_progress progress_watch(struct progress *progress)
{
    return (struct store_progress){step, progress};
}

void progress_end(struct progress *progress)
{
    if (progress->shown != 0) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
    }
    (void)sigaction(SIGINT, &progress->interrupt, NULL);
    (void)sigaction(SIGTERM, &progress->terminate, NULL);
}
