/* SPDX-License-Identifier: Apache-2.0 */
/* All series, made once; counting is adding to slots that arrays lead to. Shards belong to the
 * thread that counts. */
#include "counters.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "member.h"
#include "record.h"

static const char *const phase_names[REQUEST_COUNT] = {"receive", "queue", "connect", "wait",
                                                       "total"};

static const char *const status_names[STATUS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

#define MEMBER_FAMILIES(X)                                                                         \
    X(requests, COUNTER, "portico_balancer_member_requests_total",                                 \
      "Requests whose last attempt was at this member.")                                           \
    X(failures, COUNTER, "portico_balancer_member_failures_total", "Attempts that failed.")        \
    X(retries, COUNTER, "portico_balancer_member_retries_total",                                   \
      "Attempts that failed and went on to another member.")                                       \
    X(bytes_in, COUNTER, "portico_balancer_member_bytes_in_total",                                 \
      "Bytes of clients whose request ended at this member, heads included.")                      \
    X(bytes_out, COUNTER, "portico_balancer_member_bytes_out_total",                               \
      "Bytes answered to those clients, heads included.")                                          \
    X(connects, COUNTER, "portico_balancer_member_connects_total", "Connections opened.")          \
    X(connect, HISTOGRAM, "portico_balancer_member_connect_seconds", "Time to open a connection.") \
    X(wait, HISTOGRAM, "portico_balancer_member_wait_seconds",                                     \
      "Time from the request sent to the first byte of the answer.")

enum {
#define FAMILY(field, kind, name, help) FAMILY_##field,
    MEMBER_FAMILIES(FAMILY)
#undef FAMILY
        FAMILY_COUNT,

#define SLOTS(field, kind, name, help) \
    +(METRIC_##kind == METRIC_HISTOGRAM ? METRIC_HISTOGRAM_SLOTS : 1)
    MEMBER_SLOTS = MEMBER_FAMILIES(SLOTS),
#undef SLOTS
    /* Exactly what is needed, so that a member finds room for all its series or for none. */
    COUNTERS_SLOTS = COUNTER_COUNT + STATUS_CLASSES + HEALTH_WORDS + (REASON_COUNT - 1) +
                     REQUEST_COUNT * METRIC_HISTOGRAM_SLOTS +
                     (COUNTERS_MEMBERS_MAX + 1) * MEMBER_SLOTS,
};

struct counter_shard {
    struct metrics_shard *numbers;
    const struct counters *counters;
    struct counter_shard *next;
};

struct counters {
    struct metrics *metrics;
    struct metric plain[COUNTER_COUNT];
    struct metric statuses[STATUS_CLASSES];
    struct metric reasons[REASON_COUNT]; /* but REASON_NONE */
    struct metric phases[REQUEST_COUNT];
    struct metric states[HEALTH_WORDS]; /* members in each */
    int families[FAMILY_COUNT];
    struct member_counters other; /* members beyond the maximum share it */
    pthread_mutex_t mutex;        /* guards `shards` */
    struct counter_shard *shards;
};

/* ---- Making series ---- */

static int define_plain(struct counters *counters)
{
    static const struct {
        enum metric_kind kind;
        const char *name, *help;
    } rows[] = {
#define COUNTER(id, kind, name, help) {METRIC_##kind, name, help},
#include "counters.def"
#undef COUNTER
    };
    int result = 0;
    for (size_t i = 0; i < COUNTER_COUNT && result == 0; i++) {
        result = metrics_single(counters->metrics, rows[i].kind, rows[i].name, rows[i].help,
                                &counters->plain[i]);
    }
    return result;
}

static int define_labelled(struct counters *counters, int family, const char *value,
                           struct metric *metric)
{
    struct str label = str_from(value);
    return metrics_series(counters->metrics, family, &label, metric);
}

static int define_statuses(struct counters *counters)
{
    int family =
        metrics_define(counters->metrics, METRIC_COUNTER, "portico_balancer_requests_total",
                       "Requests by the class of the status that they were answered.", "status");
    int result = family < 0 ? family : 0;
    for (size_t i = 0; i < STATUS_CLASSES && result == 0; i++) {
        result = define_labelled(counters, family, status_names[i], &counters->statuses[i]);
    }
    return result;
}

static int define_reasons(struct counters *counters)
{
    int family =
        metrics_define(counters->metrics, METRIC_COUNTER, "portico_balancer_rejected_total",
                       "Requests that did not get a member's whole answer, by reason.", "reason");
    int result = family < 0 ? family : 0;
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT && result == 0; i++) {
        result = define_labelled(counters, family, reason_code(i), &counters->reasons[i]);
    }
    return result;
}

static int define_states(struct counters *counters)
{
    int family = metrics_define(counters->metrics, METRIC_GAUGE, "portico_balancer_members",
                                "Members in this state.", "state");
    int result = family < 0 ? family : 0;
    for (enum health_state i = 0; i < HEALTH_WORDS && result == 0; i++) {
        result = define_labelled(counters, family, health_state_word(i), &counters->states[i]);
    }
    return result;
}

static int define_phases(struct counters *counters)
{
    int family = metrics_define(counters->metrics, METRIC_HISTOGRAM,
                                "portico_balancer_request_phase_seconds",
                                "How long requests were in a phase that they reached.", "phase");
    int result = family < 0 ? family : 0;
    for (size_t i = 0; i < REQUEST_COUNT && result == 0; i++) {
        result = define_labelled(counters, family, phase_names[i], &counters->phases[i]);
    }
    return result;
}

static int define_families(struct counters *counters)
{
    static const struct {
        enum metric_kind kind;
        const char *name, *help;
    } rows[] = {
#define ROW(field, kind, name, help) {METRIC_##kind, name, help},
        MEMBER_FAMILIES(ROW)
#undef ROW
    };
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        int family =
            metrics_define(counters->metrics, rows[i].kind, rows[i].name, rows[i].help, "member");
        if (family < 0) {
            return family;
        }
        counters->families[i] = family;
    }
    return 0;
}

static int make_member(struct counters *counters, const char *name, struct member_counters *made)
{
    int result = 0;
#define MAKE(field, kind, family, help)                                                        \
    result = result == 0 ? define_labelled(counters, counters->families[FAMILY_##field], name, \
                                           &made->field)                                       \
                         : result;
    MEMBER_FAMILIES(MAKE)
#undef MAKE
    return result;
}

struct member_counters counters_member(struct counters *counters, const char *member)
{
    struct member_counters made;
    return make_member(counters, member, &made) == 0 ? made : counters->other;
}

struct counters *counters_new(void)
{
    struct counters *counters = calloc(1, sizeof *counters);
    if (counters == NULL) {
        return NULL;
    }
    pthread_mutex_init(&counters->mutex, NULL);
    counters->metrics = metrics_new(COUNTERS_SLOTS);
    if (counters->metrics == NULL || define_plain(counters) < 0 || define_statuses(counters) < 0 ||
        define_states(counters) < 0 || define_reasons(counters) < 0 ||
        define_phases(counters) < 0 || define_families(counters) < 0 ||
        make_member(counters, "other", &counters->other) < 0) {
        counters_free(counters);
        return NULL;
    }
    return counters;
}

void counters_free(struct counters *counters)
{
    if (counters == NULL) {
        return;
    }
    while (counters->shards != NULL) {
        struct counter_shard *shard = counters->shards;
        counters->shards = shard->next;
        free(shard);
    }
    metrics_free(counters->metrics);
    pthread_mutex_destroy(&counters->mutex);
    free(counters);
}

struct metrics *counters_metrics(struct counters *counters)
{
    return counters->metrics;
}

struct counter_shard *counters_shard(struct counters *counters)
{
    struct counter_shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL) {
        return NULL;
    }
    shard->counters = counters;
    shard->numbers = metrics_shard_new(counters->metrics);
    if (shard->numbers == NULL) {
        free(shard);
        return NULL;
    }
    pthread_mutex_lock(&counters->mutex);
    shard->next = counters->shards;
    counters->shards = shard;
    pthread_mutex_unlock(&counters->mutex);
    return shard;
}

/* ---- Counting ---- */

void counter_count(struct counter_shard *shard, enum counter counter)
{
    metrics_count(shard->numbers, shard->counters->plain[counter]);
}

void counter_add(struct counter_shard *shard, enum counter counter, int64_t n)
{
    metrics_add(shard->numbers, shard->counters->plain[counter], (uint64_t)n);
}

/* Reasons that say that the member failed. */
static bool blames_member(enum reason reason)
{
    static const bool blames[REASON_COUNT] = {
        [REASON_CONNECT_FAILED] = true, [REASON_MEMBER_BROKEN] = true,
        [REASON_MEMBER_TIMEOUT] = true, [REASON_MEMBER_MALFORMED] = true,
        [REASON_ANSWER_CUT] = true,     [REASON_ANSWER_STALLED] = true,
    };
    return blames[reason];
}

static void observe_reached(struct counter_shard *shard, enum request_phase phase, usec_t duration)
{
    if (duration > 0) {
        metrics_observe(shard->numbers, shard->counters->phases[phase], duration);
    }
}

static void record_phases(struct counter_shard *shard, const struct record *record)
{
    const struct counters *counters = shard->counters;
    metrics_observe(shard->numbers, counters->phases[REQUEST_RECEIVE], record->receive);
    metrics_observe(shard->numbers, counters->phases[REQUEST_TOTAL], record->total);
    /* Who got a member at once waited 0, and that counts. */
    if (record->member != NULL || record->queue > 0) {
        metrics_observe(shard->numbers, counters->phases[REQUEST_QUEUE], record->queue);
    }
    observe_reached(shard, REQUEST_CONNECT, record->connect);
    observe_reached(shard, REQUEST_WAIT, record->wait);
}

static void record_member(struct metrics_shard *numbers, const struct record *record)
{
    const struct member_counters *member = &record->member->counters;
    metrics_count(numbers, member->requests);
    metrics_add(numbers, member->failures, blames_member(record->reason));
    metrics_add(numbers, member->bytes_in, record->bytes_in);
    metrics_add(numbers, member->bytes_out, record->bytes_out);
    if (record->wait > 0) {
        metrics_observe(numbers, member->wait, record->wait);
    }
}

void counters_record(struct counter_shard *shard, const struct record *record)
{
    const struct counters *counters = shard->counters;
    unsigned status = record->status / 100;
    metrics_count(shard->numbers, counters->statuses[status < STATUS_CLASSES ? status : 0]);
    if (record->reason != REASON_NONE) {
        metrics_count(shard->numbers, counters->reasons[record->reason]);
    }
    record_phases(shard, record);
    if (record->member != NULL) {
        record_member(shard->numbers, record);
    }
}

void counters_retried(struct counter_shard *shard, const struct member_counters *member)
{
    metrics_count(shard->numbers, member->failures);
    metrics_count(shard->numbers, member->retries);
}

void counters_connected(struct counter_shard *shard, const struct member_counters *member,
                        usec_t duration)
{
    metrics_count(shard->numbers, member->connects);
    metrics_observe(shard->numbers, member->connect, duration);
}

void counters_show_members(struct counter_shard *shard, const size_t counts[HEALTH_WORDS],
                           size_t usable)
{
    const struct counters *counters = shard->counters;
    metrics_set(shard->numbers, counters->plain[COUNTER_MEMBERS_USABLE], (int64_t)usable);
    for (enum health_state i = 0; i < HEALTH_WORDS; i++) {
        metrics_set(shard->numbers, counters->states[i], (int64_t)counts[i]);
    }
}

int64_t counters_value(struct counters *counters, enum counter counter)
{
    return metrics_value(counters->metrics, counters->plain[counter]);
}

int64_t counters_answered(struct counters *counters, unsigned status_class)
{
    CHECK(status_class < STATUS_CLASSES);
    return metrics_value(counters->metrics, counters->statuses[status_class]);
}

int64_t counters_rejected(struct counters *counters, enum reason reason)
{
    CHECK(reason > REASON_NONE && reason < REASON_COUNT);
    return metrics_value(counters->metrics, counters->reasons[reason]);
}

struct metric counters_phase(const struct counters *counters, enum request_phase phase)
{
    return counters->phases[phase];
}

const char *request_phase_name(enum request_phase phase)
{
    return phase_names[phase];
}
