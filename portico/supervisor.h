/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the frontends and the balancer of one machine running: what to do when one serves, ends,
 * does not end in time, and when the operator wants a rolling restart or the end of all. It decides
 * only; processes, sockets and words are its owner's, who tells what happened and does what it is
 * asked to. So a test needs neither. One thread.
 *
 * Children are numbered: the frontends from 0 on, then the balancer. */
#ifndef PORTICO_COMMAND_SUPERVISOR_H
#define PORTICO_COMMAND_SUPERVISOR_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/compiler.h"

struct supervisor;

/* What a rolling restart asks about the child that it is at. */
#define SUPERVISOR_QUESTIONS(X)                                 \
    X(DRAIN)   /* the balancer: give it nothing new */          \
    X(IDLE)    /* the balancer: has it no request under way? */ \
    X(HEALTHY) /* the frontend: GET /healthz */                 \
    X(ENABLE)  /* the balancer: use it again */                 \
    X(UP)      /* the balancer: do you use it? */

enum supervisor_question {
#define X(name) QUESTION_##name,
    SUPERVISOR_QUESTIONS(X)
#undef X
};

enum supervisor_reply {
    REPLY_YES,
    REPLY_NO,   /* not yet, or it does not answer */
    REPLY_NONE, /* there is nobody to ask */
};

/* All that it wants done. None may call back into the supervisor at once. */
struct supervisor_acts {
    /* 0: the process runs and supervisor_ended() will come; or a negative errno. */
    int (*start)(void *context, unsigned child);
    void (*signal)(void *context, unsigned child, int signal);
    /* Answer with supervisor_answered(), once, within a few seconds. */
    void (*ask)(void *context, enum supervisor_question question, unsigned child);
    /* What happened, a line for the operator. */
    void (*say)(void *context, const char *text);
    /* All serve, for the first time. */
    void (*ready)(void *context);
    /* It keeps dying, which is why everything ends. */
    void (*blame)(void *context, unsigned child);
};

struct supervisor_settings {
    unsigned frontends;
    const char *const *names; /* of all children; borrowed */
    usec_t frontend_patience; /* for a frontend to end before it is killed */
    usec_t balancer_patience;
};

/* All but `settings` itself is borrowed. NULL: no memory. */
struct supervisor *supervisor_new(const struct supervisor_settings *settings,
                                  const struct supervisor_acts *acts, void *context);
void supervisor_free(struct supervisor *supervisor);

void supervisor_begin(struct supervisor *supervisor, usec_t now);

/* ---- What happened ---- */

void supervisor_serves(struct supervisor *supervisor, unsigned child, usec_t now);
/* `why` in words: "was killed by signal 9". `is_clean`: by itself, with status 0. */
void supervisor_ended(struct supervisor *supervisor, unsigned child, bool is_clean, const char *why,
                      usec_t now);
void supervisor_answered(struct supervisor *supervisor, enum supervisor_question question,
                         unsigned child, enum supervisor_reply reply, usec_t now);
/* The operator wants a rolling restart. */
void supervisor_roll(struct supervisor *supervisor, usec_t now);
/* The operator wants the end: the balancer finishes, then the frontends. Said again: at once. */
void supervisor_stop(struct supervisor *supervisor, usec_t now);

/* When to call supervisor_tick(), at the latest. */
usec_t supervisor_deadline(const struct supervisor *supervisor);
void supervisor_tick(struct supervisor *supervisor, usec_t now);

/* Nothing runs any more, nothing will be started. *has_failed: it ended because something kept
 * dying. */
bool supervisor_is_over(const struct supervisor *supervisor, bool *has_failed);
bool supervisor_is_rolling(const struct supervisor *supervisor);

#endif
