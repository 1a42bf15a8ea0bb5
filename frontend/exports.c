/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one line each, and their table. They run on the monitoring listener's thread. */
#include "exports.h"

#include "agent_cache.h"
#include "base/metrics.h"
#include "base/process_metrics.h"
#include "session_cache.h"
#include "store/committer.h"
#include "work_pool.h"

static double private_operations(void *context)
{
    const struct frontend *frontend = context;
    return (double)atomic_load(&frontend->meter.private_operations);
}

static double public_operations(void *context)
{
    const struct frontend *frontend = context;
    return (double)atomic_load(&frontend->meter.public_operations);
}

static double all_operations(void *context)
{
    return private_operations(context) + public_operations(context);
}

static double connections(void *context)
{
    const struct frontend *frontend = context;
    return (double)atomic_load(&frontend->connections);
}

static double connection_limit(void *context)
{
    const struct frontend *frontend = context;
    return (double)frontend->connection_limit;
}

static double commit_queue(void *context)
{
    struct frontend *frontend = context;
    struct committer_statistics statistics;
    committer_read_statistics(frontend->committer, &statistics);
    return (double)statistics.queue_length;
}

static double work_queue(void *context)
{
    struct frontend *frontend = context;
    struct work_pool_statistics statistics;
    work_pool_read_statistics(frontend->pool, &statistics);
    return (double)statistics.queue_length;
}

static double work_threads(void *context)
{
    struct frontend *frontend = context;
    struct work_pool_statistics statistics;
    work_pool_read_statistics(frontend->pool, &statistics);
    return (double)statistics.busy;
}

static double cached_agents(void *context)
{
    struct frontend *frontend = context;
    struct agent_cache_statistics statistics;
    agent_cache_read_statistics(frontend->agents, &statistics);
    return (double)statistics.count;
}

static struct session_cache_statistics session_statistics(struct frontend *frontend)
{
    struct session_cache_statistics statistics;
    struct terms *terms = frontend_terms(frontend);
    session_cache_read_statistics(terms->sessions, &statistics);
    terms_unref(terms);
    return statistics;
}

static double cached_sessions(void *context)
{
    return (double)session_statistics(context).sessions.used;
}

static double session_slots(void *context)
{
    return (double)session_statistics(context).sessions.slots;
}

static double is_well(void *context)
{
    return frontend_is_well(context) ? 1 : 0;
}

static const struct {
    bool is_counter;
    const char *name, *help;
    double (*read)(void *context);
} exports[] = {
    {true, "grr_rsa_operations_total", "RSA operations of all kinds.", all_operations},
    {true, "portico_frontend_rsa_private_operations_total", "RSA decryptions and signatures.",
     private_operations},
    {true, "portico_frontend_rsa_public_operations_total", "RSA encryptions and verifications.",
     public_operations},
    {false, "frontend_max_active_count",
     "Connections that may be open (Frontend.connection_limit).", connection_limit},
    {false, "portico_frontend_connections", "Open connections.", connections},
    {false, "portico_frontend_well", "1 while /healthz answers 200.", is_well},
    {false, "portico_frontend_work_queue", "Polls that wait for the work pool.", work_queue},
    {false, "portico_frontend_work_busy", "Threads of the work pool that are at work.",
     work_threads},
    {false, "portico_frontend_cached_agents", "Agents in memory.", cached_agents},
    {false, "portico_frontend_cached_sessions", "Agents' ciphers in this machine's session cache.",
     cached_sessions},
    {false, "portico_frontend_session_slots", "Ciphers that the session cache has room for.",
     session_slots},
    {false, "portico_store_queue", "Bundles that wait for a transaction.", commit_queue},
};

int exports_define(struct frontend *frontend)
{
    struct metrics *metrics = stats_metrics(frontend->stats);
    int result = process_metrics_define(metrics, PORTICO_VERSION);
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(exports); i++) {
        result = exports[i].is_counter
                     ? metrics_counter_function(metrics, exports[i].name, exports[i].help,
                                                exports[i].read, frontend)
                     : metrics_gauge_function(metrics, exports[i].name, exports[i].help,
                                              exports[i].read, frontend);
    }
    return result;
}
