/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's metrics. Shards belong to threads and live as long as the registry. */
#include "stats.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/metrics.h"

enum { SLOTS = 1024 };

struct stats {
    struct metrics *metrics;
    pthread_key_t shard; /* of this thread */
    struct metric single[STAT_COUNT];
    struct metric requests[ROUTE_COUNT];
    struct metric ciphers[2];
    struct metric refusals[REASON_COUNT];
    const struct rsa_meter *meter;
};

static const struct {
    enum metric_kind kind;
    const char *name;
    const char *help;
} definitions[STAT_COUNT] = {
#define STAT(id, kind, name, help) {METRIC_##kind, name, help},
#include "stats.def"
#undef STAT
};

static const char *const routes[ROUTE_COUNT] = {"control", "server_pem", "healthz", "none"};

static bool define_single(struct stats *stats)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        if (metrics_single(stats->metrics, definitions[i].kind, definitions[i].name,
                           definitions[i].help, &stats->single[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool define_series(struct stats *stats, const char *name, const char *help,
                          const char *label, struct metric *series, int count,
                          struct str (*value)(int i))
{
    int family = metrics_define(stats->metrics, METRIC_COUNTER, name, help, label);
    for (int i = 0; family >= 0 && i < count; i++) {
        struct str text = value(i);
        if (text.len > 0 && metrics_series(stats->metrics, family, &text, &series[i]) < 0) {
            return false;
        }
    }
    return family >= 0;
}

static struct str route_name(int i)
{
    return str_from(routes[i]);
}

static struct str cipher_type(int i)
{
    return i == 0 ? STR("misses") : STR("hits");
}

static struct str refusal_name(int i)
{
    if (i == REASON_NONE || i == REASON_WIRE) {
        return STR("");
    }
    return str_from(reason_code((enum reason)i));
}

static double private_operations(void *context)
{
    const struct stats *stats = context;
    return (double)atomic_load(&stats->meter->private_operations);
}

static double public_operations(void *context)
{
    const struct stats *stats = context;
    return (double)atomic_load(&stats->meter->public_operations);
}

static bool define_all(struct stats *stats)
{
    return define_single(stats) &&
           define_series(stats, "frontend_http_requests_total", "Requests by what they asked for.",
                         "action", stats->requests, ROUTE_COUNT, route_name) &&
           define_series(stats, "grr_encrypted_cipher_cache_total",
                         "Polls whose cipher was known (hits) or cost RSA (misses).", "type",
                         stats->ciphers, 2, cipher_type) &&
           define_series(stats, "portico_frontend_refusals_total", "Refused requests by reason.",
                         "reason", stats->refusals, REASON_COUNT, refusal_name) &&
           metrics_gauge_function(stats->metrics, "portico_frontend_rsa_private_operations",
                                  "RSA decryptions and signatures so far.", private_operations,
                                  stats) == 0 &&
           metrics_gauge_function(stats->metrics, "portico_frontend_rsa_public_operations",
                                  "RSA encryptions and verifications so far.", public_operations,
                                  stats) == 0;
}

struct stats *stats_new(const struct rsa_meter *meter)
{
    struct stats *stats = calloc(1, sizeof *stats);
    if (stats == NULL || pthread_key_create(&stats->shard, NULL) != 0) {
        free(stats);
        return NULL;
    }
    stats->meter = meter;
    stats->metrics = metrics_new(SLOTS);
    if (stats->metrics == NULL || !define_all(stats)) {
        stats_free(stats);
        return NULL;
    }
    return stats;
}

void stats_free(struct stats *stats)
{
    if (stats != NULL) {
        pthread_key_delete(stats->shard);
        metrics_free(stats->metrics);
        free(stats);
    }
}

struct metrics *stats_metrics(struct stats *stats)
{
    return stats->metrics;
}

/* NULL without memory: then this thread does not count. */
static struct metrics_shard *own_shard(struct stats *stats)
{
    struct metrics_shard *shard = pthread_getspecific(stats->shard);
    if (shard == NULL) {
        shard = metrics_shard_new(stats->metrics);
        if (shard != NULL && pthread_setspecific(stats->shard, shard) != 0) {
            return NULL;
        }
    }
    return shard;
}

static void count(struct stats *stats, struct metric metric, uint64_t n)
{
    struct metrics_shard *shard = own_shard(stats);
    if (shard != NULL) {
        metrics_add(shard, metric, n);
    }
}

void stats_add(struct stats *stats, enum stats_item item, uint64_t n)
{
    count(stats, stats->single[item], n);
}

void stats_subtract(struct stats *stats, enum stats_item item, uint64_t n)
{
    count(stats, stats->single[item], 0 - n);
}

void stats_time(struct stats *stats, enum stats_item item, usec_t duration)
{
    struct metrics_shard *shard = own_shard(stats);
    if (shard != NULL) {
        metrics_observe(shard, stats->single[item], duration);
    }
}

void stats_request(struct stats *stats, enum route route)
{
    count(stats, stats->requests[route], 1);
}

void stats_cipher(struct stats *stats, bool is_hit)
{
    count(stats, stats->ciphers[is_hit], 1);
}

void stats_refusal(struct stats *stats, enum reason reason)
{
    if (reason != REASON_NONE) {
        count(stats, stats->refusals[reason], 1);
    }
}
