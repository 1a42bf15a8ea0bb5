/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue, a table of sightings, and the thread that empties both. */
#include "store/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/error.h"
#include "store/agent_set.h"

LIST_DECLARE(jobs, struct committer_job, link);

enum {
    ADDRESS_MAX = 63,
    /* Sightings of one transaction. */
    SEEN_BATCH = 512,
    /* A batch is not made longer than this many bytes: memory of the log, and the time of one
     * commit. A single job may be larger. */
    BATCH_BYTES = 16 << 20,
};

/* How long a failed write of sightings waits for the next attempt. */
static const usec_t retry_delay = USEC_PER_SEC;

struct seen {
    struct store_agent_id agent;
    usec_t at;
    usec_t clock;
    char address[ADDRESS_MAX + 1];
};

/* Sightings that wait: an array, and where each agent stands in it (counted from 1). */
struct seen_table {
    struct seen *entries;
    size_t count;
    struct agent_set *places;
};

struct committer {
    struct store *store;
    size_t seen_max;
    void (*noted)(void *context, const struct committer_note *note);
    void *context;
    pthread_t thread;
    bool joined; /* by whoever stops it: one thread at a time */

    pthread_mutex_t lock; /* for everything below */
    pthread_cond_t wake;
    pthread_cond_t ended;
    struct committer_limits limits;
    struct jobs queue;
    struct seen_table seen;
    usec_t seen_due;        /* monotonic; USEC_NEVER: nothing waits */
    usec_t gathering_until; /* monotonic; 0: it does not wait for more jobs */
    bool stopping;
    bool has_ended; /* the thread is about to return */
    struct committer_statistics statistics;

    /* The thread's own. */
    struct seen *writing; /* what was taken out of `seen` */
    struct store_commit *commits;
    struct committer_job **batch;
    struct store_commit *seen_commits;
    struct store_bundle *seen_bundles;
    size_t last_batch; /* jobs of the transaction before */
};

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

/* ---- statistics ---- */

static void note_commit(struct committer *committer, usec_t started, size_t jobs, int result)
{
    static const usec_t bounds[] = {
#define BOUND(us) us,
        METRIC_BUCKETS(BOUND)
#undef BOUND
    };
    struct committer_statistics *statistics = &committer->statistics;
    usec_t took = now() - started;
    const struct committer_note note = {.jobs = jobs, .took = took, .result = result};
    size_t bucket = 0;
    while (bucket < ARRAY_LEN(bounds) && took > bounds[bucket]) {
        bucket++;
    }
    pthread_mutex_lock(&committer->lock);
    statistics->histogram[bucket]++;
    statistics->total += took;
    statistics->worst = took > statistics->worst ? took : statistics->worst;
    statistics->longest_batch = jobs > statistics->longest_batch ? jobs : statistics->longest_batch;
    statistics->commits += result == 0;
    statistics->failures += result < 0;
    statistics->jobs += result == 0 ? jobs : 0;
    statistics->busy_since = 0;
    pthread_mutex_unlock(&committer->lock);
    if (committer->noted != NULL) {
        committer->noted(committer->context, &note);
    }
}

/* When the transaction that begins now began. */
static usec_t begin_commit(struct committer *committer)
{
    usec_t started = now();
    pthread_mutex_lock(&committer->lock);
    committer->statistics.busy_since = started;
    pthread_mutex_unlock(&committer->lock);
    return started;
}

void committer_read_statistics(struct committer *committer, struct committer_statistics *out)
{
    pthread_mutex_lock(&committer->lock);
    *out = committer->statistics;
    out->queue_length = jobs_count(&committer->queue);
    pthread_mutex_unlock(&committer->lock);
}

/* ---- jobs ---- */

static enum store_durability durability_for(const struct committer_job *job)
{
    const struct store_bundle *bundle = job->commit.bundle;
    return bundle->response_count + bundle->message_count > 0 ? STORE_DURABLE : STORE_RELAXED;
}

static int commit_jobs(struct committer *committer, struct committer_job **batch, size_t count)
{
    enum store_durability durability = STORE_RELAXED;
    usec_t started = begin_commit(committer);
    for (size_t i = 0; i < count; i++) {
        committer->commits[i] = batch[i]->commit;
        if (durability_for(batch[i]) == STORE_DURABLE) {
            durability = STORE_DURABLE;
        }
    }
    int r = store_commit(committer->store, committer->commits, count, durability, NULL);
    for (size_t i = 0; i < count; i++) {
        batch[i]->commit = committer->commits[i];
        if (r < 0 && batch[i]->commit.result == 0) {
            batch[i]->commit.result = r;
        }
    }
    note_commit(committer, started, count, r);
    return r;
}

/* Whether a failed transaction may be the fault of one bundle in it; otherwise trying each alone
 * would only fail more often. */
static bool may_be_one_bundle(int code)
{
    return code == -EINVAL || code == -ENOMEM || code == -ENOSPC || code == -EMSGSIZE ||
           code == -ENOBUFS;
}

static void finish_jobs(struct committer_job **batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        batch[i]->done(batch[i], batch[i]->commit.result);
    }
}

static void write_batch(struct committer *committer, struct committer_job **batch, size_t count)
{
    int r = commit_jobs(committer, batch, count);
    if (r < 0 && count > 1 && may_be_one_bundle(r)) {
        for (size_t i = 0; i < count; i++) {
            (void)commit_jobs(committer, &batch[i], 1); /* the job's result says it */
        }
    }
    finish_jobs(batch, count);
}

static size_t job_bytes(const struct committer_job *job)
{
    const struct store_bundle *bundle = job->commit.bundle;
    size_t bytes = 0;
    for (size_t i = 0; i < bundle->response_count; i++) {
        bytes += bundle->responses[i].raw.len + bundle->responses[i].args.len;
    }
    for (size_t i = 0; i < bundle->message_count; i++) {
        bytes += bundle->messages[i].raw.len + bundle->messages[i].args.len;
    }
    return bytes;
}

/* With the lock held. */
static size_t take_batch(struct committer *committer)
{
    size_t count = 0;
    size_t bytes = 0;
    while (count < committer->limits.batch_max && !jobs_is_empty(&committer->queue)) {
        size_t more = job_bytes(jobs_first(&committer->queue));
        if (count > 0 && bytes + more > BATCH_BYTES) {
            break;
        }
        bytes += more;
        committer->batch[count++] = jobs_pop_front(&committer->queue);
    }
    return count;
}

int committer_submit(struct committer *committer, struct committer_job *job)
{
    int r = 0;
    pthread_mutex_lock(&committer->lock);
    if (committer->stopping) {
        r = -ESHUTDOWN;
    } else if (jobs_count(&committer->queue) >= committer->limits.queue_max) {
        committer->statistics.refused++;
        r = -EAGAIN;
    } else {
        jobs_push_back(&committer->queue, job);
        /* While it gathers, only a full batch is news. */
        if (committer->gathering_until == 0 ||
            jobs_count(&committer->queue) >= committer->limits.batch_max) {
            pthread_cond_signal(&committer->wake);
        }
    }
    pthread_mutex_unlock(&committer->lock);
    return r;
}

/* ---- sightings ---- */

/* With the lock held. */
static int merge_seen(struct committer *committer, const struct seen *seen, usec_t due)
{
    struct seen_table *table = &committer->seen;
    const uint64_t *place = agent_set_find(table->places, seen->agent);
    if (place != NULL) {
        struct seen *known = &table->entries[*place - 1];
        usec_t clock = known->clock > seen->clock ? known->clock : seen->clock;
        if (seen->at >= known->at) {
            *known = *seen;
        }
        known->clock = clock;
        return 0;
    }
    if (table->count == committer->seen_max ||
        agent_set_put(table->places, seen->agent, table->count + 1) < 0) {
        return -EAGAIN;
    }
    table->entries[table->count++] = *seen;
    if (committer->seen_due > due) {
        committer->seen_due = due;
        pthread_cond_signal(&committer->wake);
    }
    return 0;
}

int committer_see(struct committer *committer, struct store_agent_id agent,
                  const struct store_sighting *sighting)
{
    struct seen seen = {.agent = agent, .at = sighting->at, .clock = sighting->clock};
    if (sighting->address.len > ADDRESS_MAX) {
        return -EINVAL;
    }
    if (sighting->address.len > 0) {
        memcpy(seen.address, sighting->address.data, sighting->address.len);
    }
    pthread_mutex_lock(&committer->lock);
    /* A table that fills up is written before its time. */
    usec_t due = committer->seen.count + 1 >= committer->seen_max
                     ? 0
                     : usec_add(now(), committer->limits.seen_delay);
    int r = committer->stopping ? -ESHUTDOWN : merge_seen(committer, &seen, due);
    pthread_mutex_unlock(&committer->lock);
    return r;
}

static int write_seen(struct committer *committer, const struct seen *seen, size_t count)
{
    usec_t started = begin_commit(committer);
    for (size_t i = 0; i < count; i++) {
        committer->seen_bundles[i] = (struct store_bundle){
            .agent = seen[i].agent,
            .sighting = {seen[i].at, seen[i].clock, str_from(seen[i].address)}};
        committer->seen_commits[i] = (struct store_commit){.bundle = &committer->seen_bundles[i]};
    }
    int r = store_commit(committer->store, committer->seen_commits, count, STORE_RELAXED, NULL);
    note_commit(committer, started, 0, r);
    return r;
}

/* What could not be written waits again, behind anything newer of the same agent. */
static void put_back(struct committer *committer, const struct seen *seen, size_t count)
{
    pthread_mutex_lock(&committer->lock);
    usec_t due = usec_add(now(), retry_delay);
    for (size_t i = 0; i < count; i++) {
        (void)merge_seen(committer, &seen[i], due); /* full: newer ones count more */
    }
    pthread_mutex_unlock(&committer->lock);
}

/* With the lock held: swap the arrays, so that sightings can go on. */
static size_t take_seen(struct committer *committer)
{
    struct seen *taken = committer->seen.entries;
    size_t count = committer->seen.count;
    committer->seen.entries = committer->writing;
    committer->seen.count = 0;
    agent_set_clear(committer->seen.places);
    committer->writing = taken;
    committer->seen_due = USEC_NEVER;
    return count;
}

static void write_all_seen(struct committer *committer, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t some = count - at < SEEN_BATCH ? count - at : SEEN_BATCH;
        if (write_seen(committer, committer->writing + at, some) < 0) {
            put_back(committer, committer->writing + at, count - at);
            return;
        }
        at += some;
        pthread_mutex_lock(&committer->lock);
        committer->statistics.sightings += some;
        bool is_urgent = !jobs_is_empty(&committer->queue);
        size_t batch = is_urgent ? take_batch(committer) : 0;
        pthread_mutex_unlock(&committer->lock);
        /* Polls wait for jobs, nobody waits for sightings. */
        if (batch > 0) {
            write_batch(committer, committer->batch, batch);
        }
    }
}

/* ---- the thread ---- */

/* With the lock held: until there is something to do. */
static void wait_for_work(struct committer *committer)
{
    while (jobs_is_empty(&committer->queue) && !committer->stopping &&
           committer->seen_due > now()) {
        if (committer->seen_due == USEC_NEVER) {
            pthread_cond_wait(&committer->wake, &committer->lock);
        } else {
            struct timespec until = {committer->seen_due / USEC_PER_SEC,
                                     committer->seen_due % USEC_PER_SEC * 1000};
            pthread_cond_timedwait(&committer->wake, &committer->lock, &until);
        }
    }
}

/* With the lock held: give others the time to join the transaction, when there are others. */
static void gather(struct committer *committer)
{
    if (committer->limits.delay == 0 || committer->last_batch < 2 ||
        jobs_is_empty(&committer->queue)) {
        return;
    }
    usec_t until = usec_add(now(), committer->limits.delay);
    struct timespec time = {until / USEC_PER_SEC, until % USEC_PER_SEC * 1000};
    int r = 0;
    committer->gathering_until = until;
    while (r == 0 && !committer->stopping &&
           jobs_count(&committer->queue) < committer->limits.batch_max) {
        r = pthread_cond_timedwait(&committer->wake, &committer->lock, &time);
    }
    committer->gathering_until = 0;
}

static void *run(void *context)
{
    struct committer *committer = context;
    bool is_last = false;
    while (!is_last) {
        pthread_mutex_lock(&committer->lock);
        wait_for_work(committer);
        gather(committer);
        size_t batch = take_batch(committer);
        committer->last_batch = batch > 0 ? batch : committer->last_batch;
        is_last = committer->stopping && jobs_is_empty(&committer->queue);
        size_t seen = is_last || committer->seen_due <= now() ? take_seen(committer) : 0;
        pthread_mutex_unlock(&committer->lock);
        if (batch > 0) {
            write_batch(committer, committer->batch, batch);
        }
        write_all_seen(committer, seen);
    }
    pthread_mutex_lock(&committer->lock);
    committer->has_ended = true;
    pthread_cond_broadcast(&committer->ended);
    pthread_mutex_unlock(&committer->lock);
    return NULL;
}

/* ---- life ---- */

static struct committer_limits with_defaults(const struct committer_limits *given)
{
    struct committer_limits limits = *given;
    limits.queue_max = limits.queue_max == 0 ? 4096 : limits.queue_max;
    limits.batch_max = limits.batch_max == 0 ? 256 : limits.batch_max;
    limits.seen_delay = limits.seen_delay == 0 ? 2 * USEC_PER_SEC : limits.seen_delay;
    return limits;
}

static bool limits_are_fine(const struct committer_limits *limits)
{
    return limits->batch_max <= STORE_BATCH_MAX && limits->seen_delay >= 0 && limits->delay >= 0;
}

int committer_set_limits(struct committer *committer, const struct committer_limits *limits)
{
    if (!limits_are_fine(limits)) {
        return -EINVAL;
    }
    pthread_mutex_lock(&committer->lock);
    committer->limits = with_defaults(limits);
    pthread_mutex_unlock(&committer->lock);
    return 0;
}

static void release(struct committer *committer)
{
    pthread_mutex_destroy(&committer->lock);
    pthread_cond_destroy(&committer->wake);
    pthread_cond_destroy(&committer->ended);
    agent_set_free(committer->seen.places);
    free(committer->seen.entries);
    free(committer->writing);
    free(committer->commits);
    free(committer->batch);
    free(committer->seen_commits);
    free(committer->seen_bundles);
    free(committer);
}

static bool allocate(struct committer *committer)
{
    committer->seen.places = agent_set_new(committer->seen_max);
    committer->seen.entries = calloc(committer->seen_max, sizeof *committer->seen.entries);
    committer->writing = calloc(committer->seen_max, sizeof *committer->writing);
    /* The limit on a batch may rise later. */
    committer->commits = calloc(STORE_BATCH_MAX, sizeof *committer->commits);
    committer->batch = calloc(STORE_BATCH_MAX, sizeof(struct committer_job *));
    committer->seen_commits = calloc(SEEN_BATCH, sizeof *committer->seen_commits);
    committer->seen_bundles = calloc(SEEN_BATCH, sizeof *committer->seen_bundles);
    return committer->seen.places != NULL && committer->seen.entries != NULL &&
           committer->writing != NULL && committer->commits != NULL && committer->batch != NULL &&
           committer->seen_commits != NULL && committer->seen_bundles != NULL;
}

static void init_locks(struct committer *committer)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->wake, &attributes);
    pthread_cond_init(&committer->ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

int committer_new(const struct committer_settings *settings, struct committer **out,
                  struct error *error)
{
    if (!limits_are_fine(&settings->limits)) {
        return error_set(error, -EINVAL, "a batch has at most %d bundles", STORE_BATCH_MAX);
    }
    struct committer *committer = calloc(1, sizeof *committer);
    if (committer == NULL) {
        return error_set(error, -ENOMEM, "no memory for a committer");
    }
    committer->store = settings->store;
    committer->limits = with_defaults(&settings->limits);
    committer->seen_max = settings->seen_max == 0 ? 65536 : settings->seen_max;
    committer->noted = settings->noted;
    committer->context = settings->context;
    committer->seen_due = USEC_NEVER;
    jobs_init(&committer->queue);
    init_locks(committer);
    int r =
        allocate(committer) ? -pthread_create(&committer->thread, NULL, run, committer) : -ENOMEM;
    if (r < 0) {
        release(committer);
        return error_set_errno(error, r, "cannot start a committer");
    }
    *out = committer;
    return 0;
}

int committer_stop(struct committer *committer, usec_t patience)
{
    usec_t deadline = usec_add(now(), patience);
    struct timespec until = {deadline / USEC_PER_SEC, deadline % USEC_PER_SEC * 1000};
    pthread_mutex_lock(&committer->lock);
    committer->stopping = true;
    pthread_cond_signal(&committer->wake);
    int r = 0;
    while (!committer->has_ended && r == 0) {
        r = pthread_cond_timedwait(&committer->ended, &committer->lock, &until);
    }
    bool has_ended = committer->has_ended;
    pthread_mutex_unlock(&committer->lock);
    if (has_ended && !committer->joined) {
        pthread_join(committer->thread, NULL); /* at once: it has nothing left to do */
        committer->joined = true;
    }
    return has_ended ? 0 : -ETIMEDOUT;
}

void committer_free(struct committer *committer)
{
    if (committer == NULL) {
        return;
    }
    while (committer_stop(committer, USEC_PER_MINUTE) == -ETIMEDOUT) {
    }
    CHECK(committer->joined);
    release(committer);
}
