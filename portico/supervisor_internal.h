/* SPDX-License-Identifier: Apache-2.0 */
/* What supervisor.c and rolling.c share, and nobody else. */
#ifndef PORTICO_COMMAND_SUPERVISOR_INTERNAL_H
#define PORTICO_COMMAND_SUPERVISOR_INTERNAL_H

#include "respawn.h"
#include "supervisor.h"

/* The life of one child. */
enum ward_state {
    WARD_DOWN,     /* no process; start it when `deadline` comes */
    WARD_STARTING, /* a process that does not serve yet; killed when `deadline` comes */
    WARD_SERVING,
    WARD_STOPPING, /* told to end; killed when `deadline` comes */
};

struct ward {
    enum ward_state state;
    usec_t deadline;
    usec_t serving_since; /* 0: it has not served since it was started */
    struct respawn respawn;
    bool is_spared; /* a rolling restart failed at it: should it keep dying, the others go on */
};

#define SUPERVISOR_PHASES(X)                  \
    X(STARTING) /* not all have served yet */ \
    X(RUNNING)                                \
    X(ENDING_BALANCER)                        \
    X(ENDING_FRONTENDS)                       \
    X(OVER)

enum supervisor_phase {
#define X(name) PHASE_##name,
    SUPERVISOR_PHASES(X)
#undef X
};

enum rolling_step {
    STEP_NONE, /* no rolling restart is under way */
    STEP_DRAIN,
    STEP_IDLE,
    STEP_STOP,
    STEP_START,
    STEP_HEALTHY,
    STEP_ENABLE,
    STEP_UP,
};

struct rolling {
    enum rolling_step step;
    unsigned child;
    usec_t began, deadline; /* the whole; of this step */
    usec_t ask_at;          /* USEC_NEVER: an answer is awaited, or the step asks nothing */
    bool said_undrained;
};

struct supervisor {
    struct supervisor_settings settings;
    const struct supervisor_acts *acts;
    void *context;
    enum supervisor_phase phase;
    bool has_failed;
    struct rolling rolling;
    struct ward wards[]; /* the balancer is the last */
};

/* supervisor.c */
PRINTF_LIKE(2, 3) void supervisor_say(struct supervisor *supervisor, const char *format, ...);
const char *supervisor_name(const struct supervisor *supervisor, unsigned child);
void ward_start(struct supervisor *supervisor, unsigned child, usec_t now);
void ward_stop(struct supervisor *supervisor, unsigned child, usec_t now);

/* rolling.c. Each does nothing when no rolling restart is under way or is at another child. */
void rolling_begin(struct supervisor *supervisor, usec_t now);
void rolling_served(struct supervisor *supervisor, unsigned child, usec_t now);
/* True: the end was awaited, and what follows is the rolling restart's. */
bool rolling_ended(struct supervisor *supervisor, unsigned child, bool is_clean, usec_t now);
void rolling_answered(struct supervisor *supervisor, enum supervisor_question question,
                      unsigned child, enum supervisor_reply reply, usec_t now);
PRINTF_LIKE(2, 3) void rolling_abort(struct supervisor *supervisor, const char *format, ...);
void rolling_tick(struct supervisor *supervisor, usec_t now);
usec_t rolling_deadline(const struct supervisor *supervisor);

#endif
