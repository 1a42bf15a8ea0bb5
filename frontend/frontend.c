/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing what polls share. The main thread. */
#include "frontend.h"

#include <errno.h>

#include "agent_cache.h"
#include "config/config.h"
#include "exports.h"
#include "health.h"
#include "store/committer.h"
#include "store/store_sqlite.h"
#include "work_pool.h"

enum {
    AGENTS_CACHED = 1000000,
    /* One cold poll's RSA takes 1.5 ms: more than this waiting would be seconds late. */
    WORK_QUEUE = 2048,
};

static struct committer_limits limits_of(const struct config *config)
{
    usec_t seen_delay = config_usec(config, "Datastore.last_seen_interval");
    return (struct committer_limits){
        .queue_max = (size_t)config_int(config, "Datastore.queue_size"),
        .batch_max = (size_t)config_int(config, "Datastore.commit_batch"),
        .seen_delay = seen_delay > 0 ? seen_delay : 1,
        .delay = config_usec(config, "Datastore.commit_delay"),
    };
}

static void note_commit(void *context, const struct committer_note *note)
{
    struct stats *stats = context;
    stats_add(stats, note->result < 0 ? STAT_COMMIT_FAILURES : STAT_COMMITS, 1);
    stats_time(stats, STAT_COMMIT_TIME, note->took);
    stats_size(stats, STAT_BUNDLES, note->jobs);
}

static int open_store(struct frontend *frontend, const struct config *config, struct error *error)
{
    const struct store_sqlite_settings place = {
        .directory = config_str(config, "Datastore.location"),
        .clock = frontend->clock,
        .busy_timeout = config_usec(config, "Datastore.busy_timeout"),
    };
    int result = store_sqlite_open_with(&place, &frontend->store, error);
    if (result < 0) {
        return error_wrap(error, result, "cannot open the store");
    }
    const struct committer_settings settings = {
        .store = frontend->store,
        .limits = limits_of(config),
        .noted = note_commit,
        .context = frontend->stats,
    };
    return committer_new(&settings, &frontend->committer, error);
}

static int open_rest(struct frontend *frontend, const struct config *config, struct error *error)
{
    frontend->agents = agent_cache_new(frontend->store, AGENTS_CACHED);
    if (frontend->agents == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    store_watch_agents(frontend->store, agent_cache_changed, frontend->agents);
    const struct work_pool_settings settings = {
        .threads = (unsigned)config_int(config, "Frontend.crypto_threads"),
        .queue_max = WORK_QUEUE,
    };
    int result = work_pool_new(&settings, &frontend->pool, error);
    if (result == 0) {
        result = health_new(frontend, &frontend->health, error);
    }
    if (result == 0 && exports_define(frontend) < 0) {
        result = error_set(error, -ENOMEM, "no memory for metrics");
    }
    return result;
}

int frontend_open(struct frontend *frontend, const struct config *config, bool is_verbose,
                  struct error *error)
{
    *frontend = (struct frontend){.clock = &clock_system};
    pthread_mutex_init(&frontend->terms_lock, NULL);
    frontend->connection_limit = (unsigned)config_int(config, "Frontend.connection_limit");
    frontend->body_memory.max = config_size(config, "Frontend.body_memory");
    frontend->stats = stats_new();
    int result = frontend->stats == NULL ? error_set(error, -ENOMEM, "no memory") : 0;
    if (result == 0) {
        result = terms_new(config, is_verbose, NULL, &frontend->meter, &frontend->terms, error);
    }
    if (result == 0) {
        result = open_store(frontend, config, error);
    }
    if (result == 0) {
        result = open_rest(frontend, config, error);
    }
    return result;
}

struct terms *frontend_terms(struct frontend *frontend)
{
    pthread_mutex_lock(&frontend->terms_lock);
    struct terms *terms = terms_ref(frontend->terms);
    pthread_mutex_unlock(&frontend->terms_lock);
    return terms;
}

int frontend_reload(struct frontend *frontend, const struct config *config, bool is_verbose,
                    struct error *error)
{
    struct committer_limits limits = limits_of(config);
    struct terms *terms = NULL;
    int result = terms_new(config, is_verbose, frontend->terms, &frontend->meter, &terms, error);
    if (result < 0) {
        return result;
    }
    /* The last thing that can fail. */
    result = committer_set_limits(frontend->committer, &limits);
    if (result < 0) {
        terms_unref(terms);
        return error_set(error, result, "the store's limits cannot be used");
    }
    store_set_busy_timeout(frontend->store, config_usec(config, "Datastore.busy_timeout"));
    pthread_mutex_lock(&frontend->terms_lock);
    struct terms *old = frontend->terms;
    frontend->terms = terms;
    pthread_mutex_unlock(&frontend->terms_lock);
    terms_unref(old);
    return 0;
}

int frontend_flush(struct frontend *frontend, usec_t patience)
{
    work_pool_stop(frontend->pool, patience);
    return committer_stop(frontend->committer, patience);
}

void frontend_close(struct frontend *frontend)
{
    health_free(frontend->health);
    work_pool_free(frontend->pool);
    if (frontend->committer != NULL) {
        committer_free(frontend->committer);
    }
    agent_cache_free(frontend->agents);
    if (frontend->store != NULL) {
        store_free(frontend->store);
    }
    terms_unref(frontend->terms);
    stats_free(frontend->stats);
    pthread_mutex_destroy(&frontend->terms_lock);
}

bool frontend_is_well(struct frontend *frontend)
{
    return !atomic_load(&frontend->is_stopping) && health_is_well(frontend->health);
}
