/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance counts. Any thread: each has its own shard, made when it first counts. */
#ifndef PORTICO_FRONTEND_STATS_H
#define PORTICO_FRONTEND_STATS_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "reply.h"

enum stats_item {
#define STAT(id, kind, name, label, value, help) STAT_##id,
#include "stats.def"
#undef STAT
    STAT_COUNT
};

enum route { ROUTE_CONTROL, ROUTE_CERTIFICATE, ROUTE_HEALTH, ROUTE_NONE, ROUTE_COUNT };

struct metrics;
struct stats;

/* NULL without memory. */
struct stats *stats_new(void);
void stats_free(struct stats *stats);

/* The registry, for what other modules export. */
struct metrics *stats_metrics(struct stats *stats);

void stats_add(struct stats *stats, enum stats_item item, uint64_t n);
void stats_subtract(struct stats *stats, enum stats_item item, uint64_t n);
void stats_time(struct stats *stats, enum stats_item item, usec_t duration);
void stats_size(struct stats *stats, enum stats_item item, uint64_t number);
void stats_request(struct stats *stats, enum route route);
void stats_refusal(struct stats *stats, enum reason reason);

/* What was counted so far, by all threads. Not for histograms. */
int64_t stats_value(struct stats *stats, enum stats_item item);

#endif
