/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of samples, and two marks of the members: the older one is what "a minute ago" means. */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SAMPLES_PER_MARK = 15 };

struct member_mark {
    uint32_t id; /* of the member */
    struct history_member counted;
};

struct mark {
    size_t count;
    struct member_mark *members; /* owned */
};

struct history {
    struct balancer *balancer;
    struct timer timer;
    size_t taken; /* samples so far */
    struct history_sample samples[HISTORY_SAMPLES];
    struct mark older, newer;
};

/* ---- Samples ---- */

static int64_t count_requests(struct counters *counters)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < STATUS_CLASSES; i++) {
        sum += counters_answered(counters, i);
    }
    return sum;
}

static int64_t count_refused(struct counters *counters)
{
    int64_t sum = 0;
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        sum += reason_is_error(i) ? counters_rejected(counters, i) : 0;
    }
    return sum;
}

static void take_sample(struct history *history, usec_t now)
{
    struct counters *counters = balancer_counters(history->balancer);
    struct history_sample *sample = &history->samples[history->taken++ % HISTORY_SAMPLES];
    sample->at = now;
    sample->requests = count_requests(counters);
    sample->errors = counters_answered(counters, 5);
    sample->refused = count_refused(counters);
    sample->connections = counters_value(counters, COUNTER_CONNECTIONS);
    for (enum request_phase i = 0; i < REQUEST_COUNT; i++) {
        metrics_buckets(counters_metrics(counters), counters_phase(counters, i), sample->phases[i]);
    }
}

const struct history_sample *history_at(const struct history *history, size_t age)
{
    if (age >= history->taken || age >= HISTORY_SAMPLES) {
        return NULL;
    }
    return &history->samples[(history->taken - 1 - age) % HISTORY_SAMPLES];
}

/* ---- Members ---- */

static void count_member(struct balancer *balancer, const struct member *member,
                         struct history_member *counted)
{
    struct metrics *metrics = counters_metrics(balancer_counters(balancer));
    counted->requests = metrics_value(metrics, member->counters.requests);
    metrics_buckets(metrics, member->counters.wait, counted->waits);
}

/* Without memory the marks stay as they are, and a minute becomes longer. */
static void mark_members(struct history *history)
{
    const struct range *range = balancer_range(history->balancer);
    size_t count = range_count(range);
    struct member_mark *members = calloc(count + 1, sizeof *members);
    if (members == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct member *member = range_at(range, i);
        members[i].id = member->id;
        count_member(history->balancer, member, &members[i].counted);
    }
    free(history->older.members);
    history->older = history->newer;
    history->newer = (struct mark){.count = count, .members = members};
}

static const struct history_member *find_mark(const struct mark *mark, uint32_t id, size_t *from)
{
    for (size_t i = 0; i < mark->count; i++) {
        size_t index = (*from + i) % mark->count;
        if (mark->members[index].id == id) {
            *from = index + 1;
            return &mark->members[index].counted;
        }
    }
    return NULL;
}

void history_member(const struct history *history, const struct member *member, size_t *from,
                    struct history_member *recent)
{
    const struct history_member *before = find_mark(&history->older, member->id, from);
    count_member(history->balancer, member, recent);
    if (before != NULL) {
        recent->requests -= before->requests;
        for (size_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
            recent->waits[i] -= before->waits[i];
        }
    }
}

/* ---- Life ---- */

static void look(struct timer *timer, usec_t now)
{
    struct history *history = CONTAINER_OF(timer, struct history, timer);
    if (history->taken % SAMPLES_PER_MARK == 0) {
        mark_members(history);
    }
    take_sample(history, now);
    loop_arm(balancer_loop(history->balancer), timer, usec_add(now, HISTORY_PERIOD));
}

struct history *history_new(struct balancer *balancer)
{
    struct history *history = calloc(1, sizeof *history);
    if (history != NULL) {
        history->balancer = balancer;
        timer_init(&history->timer, look);
        look(&history->timer, loop_now(balancer_loop(balancer)));
    }
    return history;
}

void history_free(struct history *history)
{
    if (history != NULL) {
        loop_disarm(balancer_loop(history->balancer), &history->timer);
        free(history->older.members);
        free(history->newer.members);
        free(history);
    }
}
