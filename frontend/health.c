/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the store. One thread, and atomics for everybody else. */
#include "health.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "store/store.h"

enum {
    PERIOD = 500 * USEC_PER_MSEC, /* between questions */
    PATIENCE = 1 * USEC_PER_SEC,  /* with an answer */
    REMINDER = 60 * USEC_PER_SEC, /* of a failure that lasts */
    CALM = 5 * USEC_PER_SEC,      /* between lines about one that comes and goes */
};

struct health {
    struct store *store;
    pthread_t thread;
    atomic_bool is_well;
    _Atomic usec_t asked; /* monotonic; USEC_NEVER: it owes no answer */

    pthread_mutex_t lock; /* for everything below */
    pthread_cond_t wake;
    bool is_ending;
    bool is_failing; /* as far as the log knows */
    int told;        /* the last failure that the log was told, 0: none */
    usec_t told_at;
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
    usec_t quiet = health->is_failing ? REMINDER : CALM;
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
    int r = store_check(health->store, &error);
    atomic_store(&health->is_well, r == 0);
    atomic_store(&health->asked, USEC_NEVER);
    if (r < 0) {
        tell_failure(health, r, &error);
    } else {
        tell_return(health);
    }
}

/* False: it is time to end. */
static bool rest(struct health *health)
{
    usec_t until = now() + PERIOD;
    struct timespec time = {until / USEC_PER_SEC, until % USEC_PER_SEC * 1000};
    int r = 0;
    pthread_mutex_lock(&health->lock);
    while (!health->is_ending && r == 0) {
        r = pthread_cond_timedwait(&health->wake, &health->lock, &time);
    }
    bool goes_on = !health->is_ending;
    pthread_mutex_unlock(&health->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct health *health = context;
    do {
        ask(health);
    } while (rest(health));
    return NULL;
}

static void release(struct health *health)
{
    pthread_mutex_destroy(&health->lock);
    pthread_cond_destroy(&health->wake);
    free(health);
}

int health_start(struct store *store, struct health **health, struct error *error)
{
    struct health *made = calloc(1, sizeof *made);
    pthread_condattr_t attributes;
    if (made == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    made->store = store;
    made->is_well = true;
    made->asked = USEC_NEVER;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int r = -pthread_create(&made->thread, NULL, run, made);
    if (r < 0) {
        release(made);
        return error_set_errno(error, r, "cannot start a thread");
    }
    *health = made;
    return 0;
}

void health_stop(struct health *health)
{
    if (health == NULL) {
        return;
    }
    pthread_mutex_lock(&health->lock);
    health->is_ending = true;
    pthread_cond_signal(&health->wake);
    pthread_mutex_unlock(&health->lock);
    pthread_join(health->thread, NULL);
    release(health);
}

bool health_is_well(const struct health *health)
{
    usec_t asked = atomic_load(&health->asked);
    return atomic_load(&health->is_well) && (asked == USEC_NEVER || now() - asked < PATIENCE);
}
