/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing what polls share. The main thread. */
#include "frontend.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent_cache.h"
#include "base/log.h"
#include "config/config.h"
#include "session_cache.h"
#include "store/committer.h"
#include "store/store_sqlite.h"
#include "work_pool.h"

enum {
    AGENTS_CACHED = 100000,
    /* One cold poll's RSA takes 1.5 ms: more than this waiting would be seconds late. */
    WORK_QUEUE = 2048,
};

static int read_trusted(struct frontend *frontend, const struct config *config, struct error *error)
{
    struct option_list list = config_list(config, "Frontend.trusted_proxies");
    frontend->trusted = calloc(list.count + 1, sizeof *frontend->trusted);
    if (frontend->trusted == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    for (size_t i = 0; i < list.count; i++) {
        int result = network_parse(str_from(list.items[i]), &frontend->trusted[i], error);
        if (result < 0) {
            return error_wrap(error, result, "Frontend.trusted_proxies");
        }
        frontend->trusted_count++;
    }
    return 0;
}

static int read_settings(struct frontend *frontend, const struct config *config,
                         struct error *error)
{
    frontend->max_body = config_size(config, "Frontend.max_body");
    frontend->packet_limits = PACKET_LIMITS_DEFAULT;
    frontend->packet_limits.zip.bytes = config_size(config, "Frontend.max_inflated");
    frontend->max_queue_size = (unsigned)config_int(config, "Frontend.max_queue_size");
    frontend->lease_time = config_usec(config, "Frontend.message_expiry_time");
    frontend->max_deliveries = (unsigned)config_int(config, "Frontend.max_retransmission_time");
    frontend->enrolment = (enum enrolment_policy)config_enum(config, "Frontend.enrolment");
    return read_trusted(frontend, config, error);
}

/* Without the cache every instance pays RSA for itself; that is slow, and no reason not to serve.
 */
static int open_sessions(struct frontend *frontend, const struct config *config)
{
    struct error error = {.line = 0};
    char path[PATH_MAX];
    const char *directory = config_str(config, "Runtime.directory");
    snprintf(path, sizeof path, "%s/session-cache", directory);
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        error_set_errno(&error, -errno, "cannot make %s", directory);
    } else if (session_cache_open(path, config_size(config, "Frontend.session_cache"),
                                  rsa_key_fingerprint(frontend->identity.key), &frontend->sessions,
                                  &error) == 0) {
        return 0;
    }
    log_error_value(LOG_LEVEL_WARNING, "serving without session cache", &error);
    return 0;
}

static int open_store(struct frontend *frontend, const struct config *config, struct error *error)
{
    int result = store_sqlite_open(config_str(config, "Datastore.location"), frontend->clock,
                                   &frontend->store, error);
    if (result < 0) {
        return error_wrap(error, result, "cannot open the store");
    }
    const struct committer_settings settings = {
        .store = frontend->store,
        .limits = {
            .queue_max = (size_t)config_int(config, "Datastore.queue_size"),
            .batch_max = (size_t)config_int(config, "Datastore.commit_batch"),
            .seen_delay = config_usec(config, "Datastore.last_seen_interval"),
            .delay = config_usec(config, "Datastore.commit_delay"),
        },
    };
    return committer_new(&settings, &frontend->committer, error);
}

static int open_rest(struct frontend *frontend, const struct config *config, struct error *error)
{
    frontend->replies = replies_new(str_from(frontend->identity.certificate),
                                    config_usec(config, "Frontend.retry_after"));
    frontend->stats = stats_new(&frontend->meter);
    frontend->agents = agent_cache_new(frontend->store, AGENTS_CACHED, &frontend->meter);
    if (frontend->replies == NULL || frontend->stats == NULL || frontend->agents == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    store_watch_agents(frontend->store, agent_cache_changed, frontend->agents);
    const struct work_pool_settings settings = {
        .threads = (unsigned)config_int(config, "Frontend.crypto_threads"),
        .queue_max = WORK_QUEUE,
    };
    return work_pool_new(&settings, &frontend->pool, error);
}

int frontend_open(struct frontend *frontend, const struct config *config, bool is_verbose,
                  struct error *error)
{
    *frontend = (struct frontend){.clock = &clock_system, .is_verbose = is_verbose};
    int result = read_settings(frontend, config, error);
    if (result == 0) {
        result = identity_load(&frontend->identity, config, &frontend->meter, error);
    }
    if (result == 0) {
        result = open_sessions(frontend, config);
    }
    if (result == 0) {
        result = open_store(frontend, config, error);
    }
    if (result == 0) {
        result = open_rest(frontend, config, error);
    }
    return result;
}

int frontend_flush(struct frontend *frontend, usec_t patience)
{
    work_pool_stop(frontend->pool, patience);
    return committer_stop(frontend->committer, patience);
}

void frontend_close(struct frontend *frontend)
{
    work_pool_free(frontend->pool);
    if (frontend->committer != NULL) {
        committer_free(frontend->committer);
    }
    agent_cache_free(frontend->agents);
    if (frontend->sessions != NULL) {
        session_cache_close(frontend->sessions);
    }
    if (frontend->store != NULL) {
        store_free(frontend->store);
    }
    replies_free(frontend->replies);
    stats_free(frontend->stats);
    identity_done(&frontend->identity);
    free(frontend->trusted);
}

bool frontend_is_well(struct frontend *frontend)
{
    return !atomic_load(&frontend->is_stopping) && store_check(frontend->store, NULL) == 0;
}
