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

static const int held[PROGRESS_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

void progress_hold(struct progress_hold *hold)
{
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    is_interrupted = 0;
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++) {
        (void)sigaction(held[i], &action, &hold->before[i]);
        if (hold->before[i].sa_handler == SIG_IGN) {
            (void)sigaction(held[i], &hold->before[i], NULL); /* nohup(1) shall work */
        }
    }
}

void progress_release(const struct progress_hold *hold)
{
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++) {
        (void)sigaction(held[i], &hold->before[i], NULL);
    }
}

bool progress_is_interrupted(void)
{
    return is_interrupted != 0;
}

void progress_begin(struct progress *progress, const char *what, FILE *err)
{
    *progress = (struct progress){.what = what, .out = isatty(fileno(err)) ? err : NULL};
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
    return !progress_is_interrupted();
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
}
