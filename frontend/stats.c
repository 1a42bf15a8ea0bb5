/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's metrics. Shards belong to threads and live as long as the registry. */
#include "stats.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/metrics.h"

enum { SLOTS = 2048 };

struct stats {
    struct metrics *metrics;
    pthread_key_t shard; /* of this thread */
    struct metric single[STAT_COUNT];
    struct metric requests[ROUTE_COUNT];
    struct metric refusals[REASON_COUNT];
};

static const struct {
    enum metric_kind kind;
    const char *name;
    const char *label;
    const char *value;
    const char *help;
} definitions[STAT_COUNT] = {
#define STAT(id, kind, name, label, value, help) {METRIC_##kind, name, label, value, help},
#include "stats.def"
#undef STAT
};

static const char *const routes[ROUTE_COUNT] = {"control", "cert", "healthz", "none"};

static bool define_items(struct stats *stats)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        struct str value = str_from(definitions[i].value);
        int family = metrics_define(stats->metrics, definitions[i].kind, definitions[i].name,
                                    definitions[i].help, definitions[i].label);
        if (family < 0 || metrics_series(stats->metrics, family, &value, &stats->single[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool define_routes(struct stats *stats)
{
    int family = metrics_define(stats->metrics, METRIC_COUNTER, "frontend_http_requests_total",
                                "Requests by what they asked for.", "action,protocol");
    for (int i = 0; family >= 0 && i < ROUTE_COUNT; i++) {
        const struct str values[] = {str_from(routes[i]), STR("http")};
        if (metrics_series(stats->metrics, family, values, &stats->requests[i]) < 0) {
            return false;
        }
    }
    return family >= 0;
}

static struct str refusal_name(int i)
{
    if (i == REASON_NONE || i == REASON_WIRE) {
        return STR("");
    }
    return str_from(reason_code((enum reason)i));
}

static bool define_refusals(struct stats *stats)
{
    int family =
        metrics_define(stats->metrics, METRIC_COUNTER, "portico_frontend_refusals_total",
                       "Refused requests by reason, as X-Portico-Reason has it.", "reason");
    for (int i = 0; family >= 0 && i < REASON_COUNT; i++) {
        struct str name = refusal_name(i);
        if (name.len > 0 &&
            metrics_series(stats->metrics, family, &name, &stats->refusals[i]) < 0) {
            return false;
        }
    }
    return family >= 0;
}

struct stats *stats_new(void)
{
    struct stats *stats = calloc(1, sizeof *stats);
    if (stats == NULL || pthread_key_create(&stats->shard, NULL) != 0) {
        free(stats);
        return NULL;
    }
    stats->metrics = metrics_new(SLOTS);
    if (stats->metrics == NULL || !define_items(stats) || !define_routes(stats) ||
        !define_refusals(stats)) {
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

void stats_size(struct stats *stats, enum stats_item item, uint64_t number)
{
    struct metrics_shard *shard = own_shard(stats);
    if (shard != NULL) {
        metrics_observe_size(shard, stats->single[item], number);
    }
}

int64_t stats_value(struct stats *stats, enum stats_item item)
{
    return metrics_value(stats->metrics, stats->single[item]);
}

void stats_request(struct stats *stats, enum route route)
{
    count(stats, stats->requests[route], 1);
}

void stats_refusal(struct stats *stats, enum reason reason)
{
    if (reason != REASON_NONE) {
        count(stats, stats->refusals[reason], 1);
    }
}
