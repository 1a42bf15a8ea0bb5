/* SPDX-License-Identifier: Apache-2.0 */
/* The rolling restart: one frontend after the other is drained at the balancer, stopped, started,
 * found healthy and used again, and only then comes the next. The first failure ends it; the
 * frontends that were not reached go on with what they have. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "supervisor_internal.h"

#define ASK_INTERVAL (50 * USEC_PER_MSEC)

/* What each step asks and how long it may take. What is under way after IDLE is finished by the
 * frontend itself when it is stopped; so that is no failure. */
static const struct step {
    const char *failure; /* NULL: go on when it takes too long */
    usec_t patience;     /* 0: as long as the state of the child takes */
    enum supervisor_question question;
    bool asks;
} steps[] = {
    [STEP_NONE] = {NULL, 0, 0, false},
    [STEP_DRAIN] = {"the balancer does not drain it", 5 * USEC_PER_SEC, QUESTION_DRAIN, true},
    [STEP_IDLE] = {NULL, 2 * USEC_PER_SEC, QUESTION_IDLE, true},
    [STEP_STOP] = {NULL, 0, 0, false},  /* its end has a deadline already */
    [STEP_START] = {NULL, 0, 0, false}, /* so has its beginning */
    [STEP_HEALTHY] = {"it is not healthy", 15 * USEC_PER_SEC, QUESTION_HEALTHY, true},
    [STEP_ENABLE] = {"the balancer does not enable it", 5 * USEC_PER_SEC, QUESTION_ENABLE, true},
    [STEP_UP] = {"the balancer does not use it", 15 * USEC_PER_SEC, QUESTION_UP, true},
};

static void enter(struct supervisor *supervisor, enum rolling_step step, usec_t now)
{
    struct rolling *rolling = &supervisor->rolling;
    rolling->step = step;
    rolling->deadline =
        steps[step].patience == 0 ? USEC_NEVER : usec_add(now, steps[step].patience);
    rolling->ask_at = USEC_NEVER;
    if (steps[step].asks) {
        supervisor->acts->ask(supervisor->context, steps[step].question, rolling->child);
    } else if (step == STEP_STOP) {
        ward_stop(supervisor, rolling->child, now);
    } else if (step == STEP_START) {
        ward_start(supervisor, rolling->child, now);
    }
}

static void finish(struct supervisor *supervisor, usec_t now)
{
    struct rolling *rolling = &supervisor->rolling;
    rolling->step = STEP_NONE;
    supervisor_say(supervisor,
                   "rolling restart: done in %.1f s; the balancer reads its configuration again",
                   (double)(now - rolling->began) / (double)USEC_PER_SEC);
    unsigned balancer = supervisor->settings.frontends;
    if (supervisor->wards[balancer].state == WARD_SERVING) {
        supervisor->acts->signal(supervisor->context, balancer, SIGHUP);
    }
}

static void visit(struct supervisor *supervisor, unsigned child, usec_t now)
{
    supervisor->rolling.child = child;
    if (child == supervisor->settings.frontends) {
        finish(supervisor, now);
    } else if (supervisor->wards[child].state != WARD_SERVING) {
        rolling_abort(supervisor, "it does not serve");
    } else {
        supervisor_say(supervisor, "rolling restart: %s", supervisor_name(supervisor, child));
        enter(supervisor, STEP_DRAIN, now);
    }
}

static void go_on(struct supervisor *supervisor, usec_t now)
{
    struct rolling *rolling = &supervisor->rolling;
    CHECK(rolling->step != STEP_NONE);
    if (rolling->step == STEP_UP) {
        visit(supervisor, rolling->child + 1, now);
    } else {
        enter(supervisor, rolling->step + 1, now);
    }
}

void rolling_begin(struct supervisor *supervisor, usec_t now)
{
    supervisor->rolling = (struct rolling){.step = STEP_UP, .began = now};
    visit(supervisor, 0, now);
}

void rolling_abort(struct supervisor *supervisor, const char *format, ...)
{
    struct rolling *rolling = &supervisor->rolling;
    char why[256];
    va_list arguments;
    if (rolling->step == STEP_NONE) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    supervisor_say(supervisor,
                   "rolling restart: aborted at %s: %s; the others were left as they are",
                   supervisor_name(supervisor, rolling->child), why);
    /* Whether it may be used again is for the balancer's probes to say. The answer is for nobody.
     */
    if (rolling->step >= STEP_DRAIN && rolling->step < STEP_UP) {
        supervisor->acts->ask(supervisor->context, QUESTION_ENABLE, rolling->child);
    }
    rolling->step = STEP_NONE;
    supervisor->wards[rolling->child].is_spared = true;
}

void rolling_served(struct supervisor *supervisor, unsigned child, usec_t now)
{
    if (supervisor->rolling.step == STEP_START && supervisor->rolling.child == child) {
        go_on(supervisor, now);
    }
}

bool rolling_ended(struct supervisor *supervisor, unsigned child, bool is_clean, usec_t now)
{
    if (supervisor->rolling.step != STEP_STOP || supervisor->rolling.child != child) {
        return false;
    }
    if (!is_clean) {
        rolling_abort(supervisor, "it did not end cleanly; it is started again");
        ward_start(supervisor, child, now);
        return true;
    }
    go_on(supervisor, now);
    return true;
}

static bool is_balancers(enum supervisor_question question)
{
    return question != QUESTION_HEALTHY;
}

void rolling_answered(struct supervisor *supervisor, enum supervisor_question question,
                      unsigned child, enum supervisor_reply reply, usec_t now)
{
    struct rolling *rolling = &supervisor->rolling;
    if (rolling->step == STEP_NONE || rolling->child != child || !steps[rolling->step].asks ||
        steps[rolling->step].question != question) {
        return; /* of a step that is over */
    }
    if (reply == REPLY_YES) {
        go_on(supervisor, now);
    } else if (reply == REPLY_NONE && is_balancers(question)) {
        /* Nobody to drain at: whoever balances notices by itself. */
        if (!rolling->said_undrained) {
            supervisor_say(supervisor, "rolling restart: the balancer cannot be asked; "
                                       "frontends are restarted without being drained");
        }
        rolling->said_undrained = true;
        go_on(supervisor, now);
    } else {
        rolling->ask_at = usec_add(now, ASK_INTERVAL);
    }
}

void rolling_tick(struct supervisor *supervisor, usec_t now)
{
    struct rolling *rolling = &supervisor->rolling;
    const struct step *step = &steps[rolling->step];
    if (rolling->step == STEP_NONE) {
        return;
    }
    if (rolling->deadline <= now) {
        if (step->failure == NULL) {
            go_on(supervisor, now);
        } else {
            rolling_abort(supervisor, "%s", step->failure);
        }
    } else if (rolling->ask_at <= now) {
        rolling->ask_at = USEC_NEVER;
        supervisor->acts->ask(supervisor->context, step->question, rolling->child);
    }
}

usec_t rolling_deadline(const struct supervisor *supervisor)
{
    const struct rolling *rolling = &supervisor->rolling;
    if (rolling->step == STEP_NONE) {
        return USEC_NEVER;
    }
    return rolling->deadline < rolling->ask_at ? rolling->deadline : rolling->ask_at;
}
