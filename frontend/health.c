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

struct health {
    struct frontend *frontend;
    pthread_t thread;
    atomic_bool is_well;
    _Atomic usec_t asked; /* monotonic; 0: nothing is asked now */

    pthread_mutex_t lock; /* for the two below */
    pthread_cond_t wake;
    bool ends;

    /* The main thread's. */
    struct pulse committer;
    struct pulse pool;
    struct pulse server;
};

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

static void ask(struct health *health)
{
    struct error error = {.line = 0};
    atomic_store(&health->asked, now());
    bool is_well = store_check(health->frontend->store, &error) == 0;
    atomic_store(&health->asked, 0);
    bool was_well = atomic_exchange(&health->is_well, is_well);
    if (was_well && !is_well) {
        log_error_value(LOG_LEVEL_ERROR, "the store is gone", &error);
    } else if (!was_well && is_well) {
        log_info("the store is back");
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
