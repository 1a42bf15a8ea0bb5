/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of portico run. O(n) in each event, n being the children of one machine. */
#include "supervisor.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "supervisor_internal.h"

/* Members that are there when the balancer begins are used from its first request on. */
#define BALANCER_WAITS (5 * USEC_PER_SEC)
/* Between attempts at a child that keeps dying while the others shall go on. */
#define SPARED_DELAY (10 * USEC_PER_SEC)
/* A child that does not serve by then hangs. */
#define START_PATIENCE (60 * USEC_PER_SEC)

static unsigned child_count(const struct supervisor *supervisor)
{
    return supervisor->settings.frontends + 1;
}

static unsigned balancer_of(const struct supervisor *supervisor)
{
    return supervisor->settings.frontends;
}

struct supervisor *supervisor_new(const struct supervisor_settings *settings,
                                  const struct supervisor_acts *acts, void *context)
{
    struct supervisor *supervisor =
        calloc(1, sizeof *supervisor + (settings->frontends + 1) * sizeof supervisor->wards[0]);
    if (supervisor != NULL) {
        supervisor->settings = *settings;
        supervisor->acts = acts;
        supervisor->context = context;
        for (unsigned i = 0; i < child_count(supervisor); i++) {
            supervisor->wards[i].deadline = USEC_NEVER;
        }
    }
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    free(supervisor);
}

void supervisor_say(struct supervisor *supervisor, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    supervisor->acts->say(supervisor->context, text);
}

const char *supervisor_name(const struct supervisor *supervisor, unsigned child)
{
    return supervisor->settings.names[child];
}

static bool is_ending(const struct supervisor *supervisor)
{
    return supervisor->phase >= PHASE_ENDING_BALANCER;
}

static bool all_frontends_are(const struct supervisor *supervisor, enum ward_state state)
{
    for (unsigned i = 0; i < supervisor->settings.frontends; i++) {
        if (supervisor->wards[i].state != state) {
            return false;
        }
    }
    return true;
}

/* ---- One child ---- */

static void begin_end(struct supervisor *supervisor, usec_t now);

/* It ended without being told to, or could not be started. */
static void ward_lost(struct supervisor *supervisor, unsigned child, const char *why, usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    usec_t served = ward->serving_since == 0 ? 0 : now - ward->serving_since;
    usec_t delay = respawn_after_end(&ward->respawn, served, now);
    ward->state = WARD_DOWN;
    delay = delay < 0 && ward->is_spared ? SPARED_DELAY : delay;
    if (delay < 0) {
        supervisor_say(
            supervisor,
            "%s %s; it ended %d times within %d s, soon after each start: giving up, all stop",
            supervisor_name(supervisor, child), why, RESPAWN_ENDS_MAX,
            (int)(RESPAWN_WINDOW / USEC_PER_SEC));
        ward->deadline = USEC_NEVER;
        supervisor->has_failed = true;
        supervisor->acts->blame(supervisor->context, child);
        begin_end(supervisor, now);
        return;
    }
    supervisor_say(supervisor, "%s %s; it is started again in %d ms",
                   supervisor_name(supervisor, child), why, (int)(delay / USEC_PER_MSEC));
    ward->deadline = usec_add(now, delay);
}

static void ward_failed(struct supervisor *supervisor, unsigned child, const char *why, usec_t now)
{
    if (supervisor_is_rolling(supervisor) && supervisor->rolling.child == child) {
        rolling_abort(supervisor, "it %s", why);
    }
    ward_lost(supervisor, child, why, now);
}

void ward_start(struct supervisor *supervisor, unsigned child, usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    CHECK(ward->state == WARD_DOWN && !is_ending(supervisor));
    ward->state = WARD_STARTING;
    ward->serving_since = 0;
    ward->deadline = usec_add(now, START_PATIENCE);
    if (supervisor->acts->start(supervisor->context, child) < 0) {
        ward_failed(supervisor, child, "cannot be started", now);
    }
}

void ward_stop(struct supervisor *supervisor, unsigned child, usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    if (ward->state == WARD_DOWN) {
        ward->deadline = USEC_NEVER;
    } else if (ward->state != WARD_STOPPING) {
        ward->state = WARD_STOPPING;
        ward->deadline = usec_add(now, child == balancer_of(supervisor)
                                           ? supervisor->settings.balancer_patience
                                           : supervisor->settings.frontend_patience);
        supervisor->acts->signal(supervisor->context, child, SIGTERM);
    }
}

static void ward_tick(struct supervisor *supervisor, unsigned child, usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    if (ward->deadline > now) {
        return;
    }
    ward->deadline = USEC_NEVER;
    if (ward->state == WARD_DOWN) {
        ward_start(supervisor, child, now);
    } else {
        supervisor_say(supervisor, "%s does not %s; it is killed",
                       supervisor_name(supervisor, child),
                       ward->state == WARD_STARTING ? "begin to serve" : "end");
        supervisor->acts->signal(supervisor->context, child, SIGKILL);
    }
}

/* ---- The beginning ---- */

void supervisor_begin(struct supervisor *supervisor, usec_t now)
{
    supervisor->wards[balancer_of(supervisor)].deadline = usec_add(now, BALANCER_WAITS);
    for (unsigned i = 0; i < supervisor->settings.frontends && !is_ending(supervisor); i++) {
        ward_start(supervisor, i, now);
    }
}

static void start_waiting_balancer(struct supervisor *supervisor, usec_t now)
{
    struct ward *balancer = &supervisor->wards[balancer_of(supervisor)];
    if (balancer->state == WARD_DOWN && balancer->respawn.count == 0) {
        ward_start(supervisor, balancer_of(supervisor), now);
    }
}

void supervisor_serves(struct supervisor *supervisor, unsigned child, usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    if (ward->state != WARD_STARTING) {
        return;
    }
    ward->state = WARD_SERVING;
    ward->serving_since = now;
    ward->deadline = USEC_NEVER;
    ward->is_spared = false;
    if (supervisor->phase == PHASE_RUNNING && !supervisor_is_rolling(supervisor)) {
        supervisor_say(supervisor, "%s serves again", supervisor_name(supervisor, child));
    }
    rolling_served(supervisor, child, now);
    if (supervisor->phase != PHASE_STARTING || !all_frontends_are(supervisor, WARD_SERVING)) {
        return;
    }
    start_waiting_balancer(supervisor, now);
    if (supervisor->wards[balancer_of(supervisor)].state == WARD_SERVING) {
        supervisor->phase = PHASE_RUNNING;
        supervisor->acts->ready(supervisor->context);
    }
}

/* ---- The end ---- */

/* Frontends go after the balancer, so that what it finishes finds them. */
static void go_on_ending(struct supervisor *supervisor, usec_t now)
{
    if (supervisor->phase == PHASE_ENDING_BALANCER &&
        supervisor->wards[balancer_of(supervisor)].state == WARD_DOWN) {
        supervisor->phase = PHASE_ENDING_FRONTENDS;
        for (unsigned i = 0; i < supervisor->settings.frontends; i++) {
            ward_stop(supervisor, i, now);
        }
    }
    if (supervisor->phase == PHASE_ENDING_FRONTENDS && all_frontends_are(supervisor, WARD_DOWN)) {
        supervisor->phase = PHASE_OVER;
    }
}

static void begin_end(struct supervisor *supervisor, usec_t now)
{
    if (is_ending(supervisor)) {
        return;
    }
    supervisor->rolling.step = STEP_NONE;
    supervisor->phase = PHASE_ENDING_BALANCER;
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        if (supervisor->wards[i].state == WARD_DOWN) {
            supervisor->wards[i].deadline = USEC_NEVER; /* not to be started any more */
        }
    }
    ward_stop(supervisor, balancer_of(supervisor), now);
    go_on_ending(supervisor, now);
}

static void kill_all(struct supervisor *supervisor)
{
    supervisor_say(supervisor, "stopping at once");
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        if (supervisor->wards[i].state != WARD_DOWN) {
            supervisor->acts->signal(supervisor->context, i, SIGKILL);
        }
    }
}

void supervisor_stop(struct supervisor *supervisor, usec_t now)
{
    if (is_ending(supervisor)) {
        kill_all(supervisor);
        return;
    }
    supervisor_say(supervisor, "stopping: the balancer finishes, then the frontends; "
                               "the same signal once more kills");
    begin_end(supervisor, now);
}

bool supervisor_is_over(const struct supervisor *supervisor, bool *has_failed)
{
    if (supervisor->phase != PHASE_OVER) {
        return false;
    }
    *has_failed = supervisor->has_failed;
    return true;
}

/* ---- What happened ---- */

void supervisor_ended(struct supervisor *supervisor, unsigned child, bool is_clean, const char *why,
                      usec_t now)
{
    struct ward *ward = &supervisor->wards[child];
    CHECK(ward->state != WARD_DOWN);
    bool was_told = ward->state == WARD_STOPPING;
    ward->state = WARD_DOWN;
    ward->deadline = USEC_NEVER;
    if (is_ending(supervisor)) {
        if (!is_clean) {
            supervisor_say(supervisor, "%s %s", supervisor_name(supervisor, child), why);
        }
        go_on_ending(supervisor, now);
        return;
    }
    if (was_told) {
        bool is_awaited = rolling_ended(supervisor, child, is_clean, now);
        CHECK(is_awaited);
        return;
    }
    ward_failed(supervisor, child, why, now);
}

void supervisor_answered(struct supervisor *supervisor, enum supervisor_question question,
                         unsigned child, enum supervisor_reply reply, usec_t now)
{
    rolling_answered(supervisor, question, child, reply, now);
}

void supervisor_roll(struct supervisor *supervisor, usec_t now)
{
    if (supervisor->phase != PHASE_RUNNING) {
        supervisor_say(supervisor, "no rolling restart: %s",
                       is_ending(supervisor) ? "everything stops" : "not all serve yet");
    } else if (supervisor_is_rolling(supervisor)) {
        supervisor_say(supervisor, "a rolling restart is under way already");
    } else {
        rolling_begin(supervisor, now);
    }
}

usec_t supervisor_deadline(const struct supervisor *supervisor)
{
    usec_t first = rolling_deadline(supervisor);
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        usec_t deadline = supervisor->wards[i].deadline;
        first = deadline < first ? deadline : first;
    }
    return first;
}

void supervisor_tick(struct supervisor *supervisor, usec_t now)
{
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        ward_tick(supervisor, i, now);
    }
    rolling_tick(supervisor, now);
}

bool supervisor_is_rolling(const struct supervisor *supervisor)
{
    return supervisor->rolling.step != STEP_NONE;
}
