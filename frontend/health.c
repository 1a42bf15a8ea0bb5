/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that asks the store, and what others say of themselves. */
#include "health.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "frontend.h"
#include "store/committer.h"
#include "store/store.h"
#include "work_pool.h"

/* A question costs some microseconds while the store is well. */
static const usec_t period = 250 * USEC_PER_MSEC;
/* Without an answer for so long, the store is not well, whatever it will say. */
static const usec_t answer_patience = 2 * USEC_PER_SEC;
/* Between lines about a failure that lasts, and about one that comes and goes. */
static const usec_t reminder = USEC_PER_MINUTE;
static const usec_t calm = 5 * USEC_PER_SEC;

struct health {
    struct frontend *frontend;
    pthread_t thread;
    atomic_bool is_well;
    _Atomic usec_t asked; /* monotonic; 0: nothing is asked now */

    pthread_mutex_t lock; /* for everything up to the empty line */
    pthread_cond_t wake;
    bool ends;
    bool is_failing; /* as far as the log knows */
    int told;        /* the last failure that the log was told, 0: none */
    usec_t told_at;

    /* The main thread's. */
    struct pulse committer;
    struct pulse pool;
    struct pulse server;
};

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

/* NULL: not a failure of the store that anybody could mend. */
static const char *hint(int code)
{
    switch (-code) {
#define HINT(name, sentence) \
    case name:               \
        return sentence;
#include "health_hints.def"
#undef HINT
    default:
        return NULL;
    }
}

/* Once for each kind of failure, and now and then while it lasts. */
static void tell_failure(struct health *health, int code, const struct error *error)
{
    pthread_mutex_lock(&health->lock);
    usec_t quiet = health->is_failing ? reminder : calm;
    if (health->told != code || now() - health->told_at >= quiet) {
        log_error(
            "the store failed: agents are answered 503 until it is back",
            LOG_TEXT("error", error->message),
            LOG_TEXT("mend", hint(code) == NULL ? "see what portico check says" : hint(code)));
        health->told = code;
        health->told_at = now();
        health->is_failing = true;
    }
    pthread_mutex_unlock(&health->lock);
}

static void tell_return(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    if (health->is_failing) {
        log_warning("the store is back: agents are served");
        health->is_failing = false;
    }
    pthread_mutex_unlock(&health->lock);
}

void health_note(struct health *health, int code)
{
    struct error error = {.line = 0};
    if (hint(code) == NULL) {
        return; /* of that poll, not of the store: an agent could make it up */
    }
    atomic_store(&health->is_well, false);
    error_set_errno(&error, code, "a poll could not be stored");
    tell_failure(health, code, &error);
}

static void ask(struct health *health)
{
    struct error error = {.line = 0};
    atomic_store(&health->asked, now());
    int result = store_check(health->frontend->store, &error);
    atomic_store(&health->asked, 0);
    atomic_store(&health->is_well, result == 0);
    if (result < 0) {
        tell_failure(health, result, &error);
    } else {
        tell_return(health);
    }
}

static void *run(void *context)
{
    struct health *health = context;
    pthread_mutex_lock(&health->lock);
    while (!health->ends) {
        usec_t next = usec_add(now(), period);
        struct timespec until = {next / USEC_PER_SEC, next % USEC_PER_SEC * 1000};
        pthread_cond_timedwait(&health->wake, &health->lock, &until);
        if (!health->ends) {
            pthread_mutex_unlock(&health->lock);
            ask(health);
            pthread_mutex_lock(&health->lock);
        }
    }
    pthread_mutex_unlock(&health->lock);
    return NULL;
}

static void release(struct health *health)
{
    pthread_mutex_destroy(&health->lock);
    pthread_cond_destroy(&health->wake);
    free(health);
}

int health_new(struct frontend *frontend, struct health **out, struct error *error)
{
    pthread_condattr_t attributes;
    struct health *health = calloc(1, sizeof *health);
    if (health == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    health->frontend = frontend;
    health->is_well = true;
    pthread_mutex_init(&health->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&health->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    ask(health);
    int result = -pthread_create(&health->thread, NULL, run, health);
    if (result < 0) {
        release(health);
        return error_set_errno(error, result, "cannot start a thread");
    }
    *out = health;
    return 0;
}

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    pthread_mutex_lock(&health->lock);
    health->ends = true;
    pthread_cond_signal(&health->wake);
    pthread_mutex_unlock(&health->lock);
    pthread_join(health->thread, NULL);
    release(health);
}

static bool is_unanswered(const struct health *health, usec_t patience)
{
    usec_t asked = atomic_load(&health->asked);
    return asked != 0 && now() - asked > patience;
}

bool health_is_well(const struct health *health)
{
    return atomic_load(&health->is_well) && !is_unanswered(health, answer_patience);
}

bool pulse_beats(struct pulse *pulse, uint64_t done, bool has_work, usec_t time, usec_t patience)
{
    if (!has_work || done != pulse->done || pulse->since == 0) {
        pulse->done = done;
        pulse->since = time;
    }
    return time - pulse->since <= patience;
}

static bool committer_beats(struct health *health, usec_t patience)
{
    struct committer_statistics statistics;
    committer_read_statistics(health->frontend->committer, &statistics);
    bool has_work = statistics.busy_since != 0 || statistics.queue_length > 0;
    return pulse_beats(&health->committer, statistics.commits + statistics.failures, has_work,
                       now(), patience);
}

static bool pool_beats(struct health *health, usec_t patience)
{
    struct work_pool_statistics statistics;
    work_pool_read_statistics(health->frontend->pool, &statistics);
    bool has_work = statistics.busy > 0 || statistics.queue_length > 0;
    return pulse_beats(&health->pool, statistics.done, has_work, now(), patience);
}

/* Of several threads one may be stuck while the others go on: that is not seen. */
static bool server_beats(struct health *health, usec_t patience)
{
    struct frontend *frontend = health->frontend;
    uint64_t done = atomic_load(&frontend->calls_done);
    bool has_work = atomic_load(&frontend->calls_begun) != done;
    return pulse_beats(&health->server, done, has_work, now(), patience);
}

bool health_is_alive(struct health *health, usec_t patience, const char **culprit)
{
    /* All of them, so that each pulse is felt each time. */
    bool commits = committer_beats(health, patience);
    bool works = pool_beats(health, patience);
    bool serves = server_beats(health, patience);
    bool answers = !is_unanswered(health, patience);
    if (!answers || !commits) {
        *culprit = answers ? "the committer" : "the store";
    } else if (!works || !serves) {
        *culprit = works ? "the server" : "the work pool";
    }
    return commits && works && serves && answers;
}
