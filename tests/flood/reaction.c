/* SPDX-License-Identifier: Apache-2.0 */
/* See reaction.h. */
#include "reaction.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "results.h"

enum { WORDS_MAX = 32 };
#define LOOK_EVERY (10 * USEC_PER_MSEC)

struct running {
    pid_t pid;
    struct event_outcome *outcome; /* within the results */
};

struct reactions {
    const struct reaction *list;
    size_t count;
    struct progress *progress;
    struct results *results;
    struct running running[RESULTS_EVENTS_MAX];
    size_t running_count;
};

struct reactions *reactions_new(const struct reaction *list, size_t count,
                                struct progress *progress, struct results *results)
{
    struct reactions *reactions = calloc(1, sizeof *reactions);
    if (reactions != NULL) {
        reactions->list = list;
        reactions->count = count;
        reactions->progress = progress;
        reactions->results = results;
    }
    return reactions;
}

/* ---- Telling ---- */

PRINTF_LIKE(3, 4)
static void conclude(struct reactions *reactions, struct event_outcome *outcome, const char *format,
                     ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome->outcome, sizeof outcome->outcome, format, arguments);
    va_end(arguments);
    if (!outcome->is_well && reactions->progress != NULL) {
        progress_note(reactions->progress, "%s: \"%s\" %s", outcome->event, outcome->command,
                      outcome->outcome);
    }
}

/* NULL: too many to tell of. */
static struct event_outcome *note(struct reactions *reactions, const struct reaction *reaction,
                                  usec_t elapsed)
{
    struct results *results = reactions->results;
    if (results->event_count == RESULTS_EVENTS_MAX) {
        return NULL;
    }
    struct event_outcome *outcome = &results->events[results->event_count++];
    *outcome = (struct event_outcome){.at = elapsed};
    RUN_TEXT(outcome->event, scenario_event_name(reaction->event));
    RUN_TEXT(outcome->command, reaction->command);
    return outcome;
}

/* ---- Running ---- */

/* Words between spaces, without a shell: nothing in them means anything else. 0 or an errno. */
static int spawn(const char *command, pid_t *pid)
{
    char *words[WORDS_MAX + 1] = {NULL};
    posix_spawnattr_t attributes;
    char *text = strdup(command);
    char *rest = text;
    char *word;
    size_t count = 0;
    while (text != NULL && count < WORDS_MAX && (word = strsep(&rest, " ")) != NULL) {
        if (word[0] != '\0') {
            words[count++] = word;
        }
    }
    int code = count == 0 ? EINVAL : rest != NULL ? E2BIG : posix_spawnattr_init(&attributes);
    if (code == 0) {
        /* What it starts itself is killed with it, and Ctrl-C is ours. */
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        code = posix_spawnp(pid, words[0], NULL, &attributes, words, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    free(text);
    return code;
}

static void run(struct reactions *reactions, const struct reaction *reaction, usec_t elapsed)
{
    struct event_outcome *outcome = note(reactions, reaction, elapsed);
    pid_t pid = 0;
    if (outcome == NULL) {
        return;
    }
    int code = spawn(reaction->command, &pid);
    if (code != 0) {
        conclude(reactions, outcome, "cannot be run: %s", strerrordesc_np(code));
        return;
    }
    reactions->running[reactions->running_count++] = (struct running){pid, outcome};
}

void reactions_begin(struct reactions *reactions, enum scenario_event event, usec_t elapsed)
{
    bool has_command = false;
    for (size_t i = 0; i < reactions->count; i++) {
        if (reactions->list[i].event == event) {
            has_command = true;
            run(reactions, &reactions->list[i], elapsed);
        }
    }
    if (!has_command && reactions->progress != NULL) {
        progress_note(reactions->progress, "now: %s", scenario_event_words(event));
    }
}

void reactions_miss(struct reactions *reactions, enum scenario_event event, usec_t elapsed)
{
    for (size_t i = 0; i < reactions->count; i++) {
        const struct reaction *reaction = &reactions->list[i];
        struct event_outcome *outcome =
            reaction->event == event ? note(reactions, reaction, elapsed) : NULL;
        if (outcome != NULL) {
            conclude(reactions, outcome, "was not run: the run ended before");
        }
    }
}

static void ended(struct reactions *reactions, struct event_outcome *outcome, int status)
{
    if (WIFEXITED(status)) {
        outcome->is_well = WEXITSTATUS(status) == 0;
        conclude(reactions, outcome, "ended with status %d", WEXITSTATUS(status));
    } else {
        conclude(reactions, outcome, "was killed by signal %d", WTERMSIG(status));
    }
}

void reactions_watch(struct reactions *reactions)
{
    size_t kept = 0;
    for (size_t i = 0; i < reactions->running_count; i++) {
        struct running running = reactions->running[i];
        int status = 0;
        pid_t pid = waitpid(running.pid, &status, WNOHANG);
        if (pid == 0) {
            reactions->running[kept++] = running;
        } else if (pid < 0) { /* who started us ignores SIGCHLD */
            conclude(reactions, running.outcome, "ended, nobody knows how");
        } else {
            ended(reactions, running.outcome, status);
        }
    }
    reactions->running_count = kept;
}

/* ---- The end ---- */

static void kill_rest(struct reactions *reactions)
{
    for (size_t i = 0; i < reactions->running_count; i++) {
        const struct running *running = &reactions->running[i];
        kill(-running->pid, SIGKILL);
        waitpid(running->pid, NULL, 0);
        conclude(reactions, running->outcome, "had not ended after the run, and was killed");
    }
}

void reactions_end(struct reactions *reactions, usec_t patience)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY * 1000};
    if (reactions == NULL) {
        return;
    }
    usec_t deadline = usec_add(clock_monotonic(&clock_system), patience);
    reactions_watch(reactions);
    while (reactions->running_count > 0 && clock_monotonic(&clock_system) < deadline) {
        nanosleep(&pause, NULL);
        reactions_watch(reactions);
    }
    kill_rest(reactions);
    free(reactions);
}
