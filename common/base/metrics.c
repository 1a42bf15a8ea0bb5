/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of metrics. A mutex guards definitions and reading; counting takes none. */
#include "base/metrics.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

enum { FAMILIES_MAX = 256 };

struct series {
    struct series *next;
    uint32_t slot;
    char *labels; /* {reason="bare_lf"} without the braces, escaped; owned */
};

struct family {
    enum metric_kind kind;
    const char *name;
    const char *help;
    const char *label_names;
    double (*read)(void *context); /* NULL: summed from the shards */
    void *context;
    struct series *first, *last;
};

struct metrics {
    pthread_mutex_t mutex;
    struct family families[FAMILIES_MAX];
    int family_count;
    size_t slots_used;
    size_t slots_max;
    struct metrics_shard *shards;
};

static const usec_t bucket_bounds[METRIC_BUCKET_COUNT - 1] = {
#define METRIC_BOUND(bound) bound,
    METRIC_BUCKETS(METRIC_BOUND)
#undef METRIC_BOUND
};

static usec_t bound_of(enum metric_kind kind, uint32_t bucket)
{
    if (bucket == METRIC_BUCKET_COUNT - 1) {
        return USEC_NEVER;
    }
    return kind == METRIC_SIZES ? (usec_t)1 << bucket : bucket_bounds[bucket];
}

struct metrics *metrics_new(size_t slots)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics != NULL) {
        pthread_mutex_init(&metrics->mutex, NULL);
        metrics->slots_max = slots;
    }
    return metrics;
}

static void free_family(struct family *family)
{
    while (family->first != NULL) {
        struct series *series = family->first;
        family->first = series->next;
        free(series->labels);
        free(series);
    }
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (int i = 0; i < metrics->family_count; i++) {
        free_family(&metrics->families[i]);
    }
    while (metrics->shards != NULL) {
        struct metrics_shard *shard = metrics->shards;
        metrics->shards = shard->next;
        free(shard);
    }
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics);
}

static bool is_metric_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_duration_name(struct str name)
{
    return str_ends_with(name, STR("_seconds")) || str_ends_with(name, STR("_latency")) ||
           str_ends_with(name, STR("_time"));
}

static bool is_histogram(enum metric_kind kind)
{
    return kind == METRIC_HISTOGRAM || kind == METRIC_SIZES;
}

static void check_definition(enum metric_kind kind, struct str name, struct str labels)
{
    struct str label;
    unsigned count = 0;
    CHECK(is_metric_name(name));
    CHECK((kind == METRIC_COUNTER) == str_ends_with(name, STR("_total")));
    CHECK(kind != METRIC_HISTOGRAM || is_duration_name(name));
    while (labels.len > 0 && str_split(&labels, ',', &label)) {
        CHECK(is_metric_name(label));
        CHECK(!is_histogram(kind) || !str_equal(label, STR("le")));
        CHECK(++count <= METRIC_LABELS_MAX);
    }
}

static int find_or_add(struct metrics *metrics, const struct family *wanted)
{
    for (int i = 0; i < metrics->family_count; i++) {
        if (strcmp(metrics->families[i].name, wanted->name) == 0) {
            CHECK(metrics->families[i].kind == wanted->kind);
            CHECK(strcmp(metrics->families[i].label_names, wanted->label_names) == 0);
            CHECK(metrics->families[i].read == wanted->read);
            CHECK(metrics->families[i].context == wanted->context);
            return i;
        }
    }
    if (metrics->family_count == FAMILIES_MAX) {
        return -ENOSPC;
    }
    metrics->families[metrics->family_count] = *wanted;
    return metrics->family_count++;
}

static int define(struct metrics *metrics, const struct family *wanted)
{
    check_definition(wanted->kind, str_from(wanted->name), str_from(wanted->label_names));
    pthread_mutex_lock(&metrics->mutex);
    int family = find_or_add(metrics, wanted);
    pthread_mutex_unlock(&metrics->mutex);
    return family;
}

int metrics_define(struct metrics *metrics, enum metric_kind kind, const char *name,
                   const char *help, const char *labels)
{
    return define(
        metrics, &(struct family){.kind = kind, .name = name, .help = help, .label_names = labels});
}

static int define_function(struct metrics *metrics, const struct family *wanted)
{
    int family = define(metrics, wanted);
    return family < 0 ? family : 0;
}

int metrics_gauge_function(struct metrics *metrics, const char *name, const char *help,
                           double (*read)(void *context), void *context)
{
    return define_function(metrics, &(struct family){.kind = METRIC_GAUGE,
                                                     .name = name,
                                                     .help = help,
                                                     .label_names = "",
                                                     .read = read,
                                                     .context = context});
}

int metrics_counter_function(struct metrics *metrics, const char *name, const char *help,
                             double (*read)(void *context), void *context)
{
    return define_function(metrics, &(struct family){.kind = METRIC_COUNTER,
                                                     .name = name,
                                                     .help = help,
                                                     .label_names = "",
                                                     .read = read,
                                                     .context = context});
}

/* Escapes as the text format asks: in label values also the quote. The format is UTF-8, and one
 * byte that is not makes readers refuse the whole page: such bytes, and NUL, become U+FFFD. */
static int append_escaped(struct buffer *out, struct str text, bool is_label_value)
{
    int result = 0;
    while (text.len > 0 && result == 0) {
        char c = text.data[0];
        size_t len = utf8_sequence(text);
        if (c == '\n') {
            result = buffer_append(out, STR("\\n"));
        } else if (c == '\\' || (c == '"' && is_label_value)) {
            result = buffer_append(out, str_make((const char[]){'\\', c}, 2));
        } else if (c == '\0' || len == 0) {
            result = buffer_append(out, STR("\xef\xbf\xbd"));
        } else {
            result = buffer_append(out, str_first(text, len));
        }
        text = str_skip(text, len > 0 ? len : 1);
    }
    return result;
}

/* `name="value",...` as it will be printed, which is also what makes a series unique. */
static int build_labels(const struct family *family, const struct str *values, char **labels)
{
    struct buffer text;
    struct str names = str_from(family->label_names);
    struct str name;
    int result = 0;
    buffer_init(&text, 4096);
    for (size_t i = 0; result == 0 && names.len > 0 && str_split(&names, ',', &name); i++) {
        CHECK(values != NULL);
        result = buffer_printf(&text, "%s%.*s=\"", i == 0 ? "" : ",", STR_ARG(name));
        if (result == 0) {
            result = append_escaped(&text, values[i], true);
        }
        if (result == 0) {
            result = buffer_append(&text, STR("\""));
        }
    }
    if (result == 0) {
        *labels = str_dup(buffer_view(&text));
        result = *labels == NULL ? -ENOMEM : 0;
    }
    buffer_done(&text);
    return result;
}

static struct series *find_series(const struct family *family, const char *labels)
{
    struct series *series = family->first;
    while (series != NULL && strcmp(series->labels, labels) != 0) {
        series = series->next;
    }
    return series;
}

static size_t slots_of(enum metric_kind kind)
{
    return is_histogram(kind) ? METRIC_HISTOGRAM_SLOTS : 1;
}

/* Takes `*labels` when it returns 0. */
static int add_series(struct metrics *metrics, struct family *family, char **labels,
                      struct series **added)
{
    size_t slots = slots_of(family->kind);
    if (slots > metrics->slots_max - metrics->slots_used) {
        return -ENOSPC;
    }
    struct series *series = calloc(1, sizeof *series);
    if (series == NULL) {
        return -ENOMEM;
    }
    series->labels = *labels;
    series->slot = (uint32_t)metrics->slots_used;
    metrics->slots_used += slots;
    *(family->last == NULL ? &family->first : &family->last->next) = series;
    family->last = series;
    *labels = NULL;
    *added = series;
    return 0;
}

int metrics_series(struct metrics *metrics, int family, const struct str *values,
                   struct metric *metric)
{
    char *labels = NULL;
    struct series *series = NULL;
    pthread_mutex_lock(&metrics->mutex);
    CHECK(family >= 0 && family < metrics->family_count);
    int result = build_labels(&metrics->families[family], values, &labels);
    if (result == 0) {
        series = find_series(&metrics->families[family], labels);
    }
    if (result == 0 && series == NULL) {
        result = add_series(metrics, &metrics->families[family], &labels, &series);
    }
    if (result == 0) {
        metric->slot = series->slot;
    }
    pthread_mutex_unlock(&metrics->mutex);
    free(labels);
    return result;
}

int metrics_single(struct metrics *metrics, enum metric_kind kind, const char *name,
                   const char *help, struct metric *metric)
{
    int family = metrics_define(metrics, kind, name, help, "");
    return family < 0 ? family : metrics_series(metrics, family, NULL, metric);
}

struct metrics_shard *metrics_shard_new(struct metrics *metrics)
{
    /* Cache lines of its own, so that neighbours on the heap do not slow the owner down. */
    size_t size = sizeof(struct metrics_shard) + metrics->slots_max * sizeof(atomic_uint_least64_t);
    size = (size + 63) / 64 * 64;
    struct metrics_shard *shard = aligned_alloc(64, size);
    if (shard == NULL) {
        return NULL;
    }
    memset(shard, 0, size);
    pthread_mutex_lock(&metrics->mutex);
    shard->next = metrics->shards;
    metrics->shards = shard;
    pthread_mutex_unlock(&metrics->mutex);
    return shard;
}

void metrics_observe(struct metrics_shard *shard, struct metric histogram, usec_t duration)
{
    unsigned bucket = 0;
    if (duration < 0) {
        duration = 0;
    }
    while (bucket < METRIC_BUCKET_COUNT - 1 && duration > bucket_bounds[bucket]) {
        bucket++;
    }
    metrics_add(shard, (struct metric){histogram.slot + bucket}, 1);
    metrics_add(shard, (struct metric){histogram.slot + METRIC_BUCKET_COUNT}, (uint64_t)duration);
}

void metrics_observe_size(struct metrics_shard *shard, struct metric sizes, uint64_t number)
{
    unsigned bucket = 0;
    while (bucket < METRIC_BUCKET_COUNT - 1 && number > (uint64_t)1 << bucket) {
        bucket++;
    }
    metrics_add(shard, (struct metric){sizes.slot + bucket}, 1);
    metrics_add(shard, (struct metric){sizes.slot + METRIC_BUCKET_COUNT}, number);
}

/* With the mutex held. */
static uint64_t sum_slot(const struct metrics *metrics, uint32_t slot)
{
    uint64_t sum = 0;
    for (struct metrics_shard *shard = metrics->shards; shard != NULL; shard = shard->next) {
        sum += atomic_load_explicit(&shard->slots[slot], memory_order_relaxed);
    }
    return sum;
}

int64_t metrics_value(struct metrics *metrics, struct metric metric)
{
    pthread_mutex_lock(&metrics->mutex);
    int64_t value = (int64_t)sum_slot(metrics, metric.slot);
    pthread_mutex_unlock(&metrics->mutex);
    return value;
}

uint64_t metrics_observed(struct metrics *metrics, struct metric histogram)
{
    uint64_t count = 0;
    pthread_mutex_lock(&metrics->mutex);
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        count += sum_slot(metrics, histogram.slot + i);
    }
    pthread_mutex_unlock(&metrics->mutex);
    return count;
}

void metrics_buckets(struct metrics *metrics, struct metric histogram,
                     uint64_t counts[METRIC_BUCKET_COUNT])
{
    pthread_mutex_lock(&metrics->mutex);
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        counts[i] = sum_slot(metrics, histogram.slot + i);
    }
    pthread_mutex_unlock(&metrics->mutex);
}

usec_t metrics_quantile(const uint64_t counts[METRIC_BUCKET_COUNT], double quantile)
{
    double total = 0;
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        total += (double)counts[i];
    }
    double before = 0;
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT - 1 && total > 0; i++) {
        double count = (double)counts[i];
        if (count > 0 && before + count >= quantile * total) {
            double lower = i == 0 ? 0 : (double)bucket_bounds[i - 1];
            double share = (quantile * total - before) / count;
            return (usec_t)(lower + share * ((double)bucket_bounds[i] - lower));
        }
        before += count;
    }
    return total > 0 ? bucket_bounds[METRIC_BUCKET_COUNT - 2] : 0;
}

static int write_head(const struct family *family, struct buffer *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "histogram"};
    int result = buffer_printf(out, "# HELP %s ", family->name);
    if (result == 0) {
        result = append_escaped(out, str_from(family->help), false);
    }
    if (result == 0) {
        result = buffer_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
    }
    return result;
}

/* One series has up to 24 lines and a balancer some 50,000 of them, so they are put together
 * without printf(). */
struct line {
    struct str name, suffix, labels, bound; /* bound: le="0.5", in a histogram's buckets */
    struct str number;
};

enum { NUMBER_SIZE = 21 }; /* of 64 bits, with its sign */

/* At the end of `out`. */
static struct str format_number(uint64_t number, char out[NUMBER_SIZE])
{
    size_t at = NUMBER_SIZE;
    do {
        out[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return str_make(out + at, NUMBER_SIZE - at);
}

static struct str format_signed(int64_t number, char out[NUMBER_SIZE])
{
    struct str text = format_number(number < 0 ? 0 - (uint64_t)number : (uint64_t)number, out);
    if (number < 0) {
        out[NUMBER_SIZE - text.len - 1] = '-';
        text = str_make(text.data - 1, text.len + 1);
    }
    return text;
}

static char *put(char *to, struct str bytes)
{
    if (bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    return to + bytes.len;
}

static int write_line(const struct line *line, struct buffer *out)
{
    bool has_both = line->labels.len > 0 && line->bound.len > 0;
    bool has_labels = line->labels.len > 0 || line->bound.len > 0;
    size_t len = line->name.len + line->suffix.len + line->labels.len + line->bound.len +
                 line->number.len + (has_labels ? 2 : 0) + (has_both ? 1 : 0) + 2;
    int result = buffer_reserve(out, len);
    if (result < 0) {
        return result;
    }
    char *to = put(put(buffer_tail(out), line->name), line->suffix);
    if (has_labels) {
        *to++ = '{';
        to = put(to, line->labels);
        to = put(to, has_both ? STR(",") : STR(""));
        to = put(to, line->bound);
        *to++ = '}';
    }
    *to++ = ' ';
    to = put(to, line->number);
    *to = '\n';
    buffer_commit(out, len);
    return 0;
}

static int write_number(struct metrics *metrics, const struct family *family,
                        const struct series *series, struct buffer *out)
{
    char number[NUMBER_SIZE];
    uint64_t sum = sum_slot(metrics, series->slot);
    const struct line line = {
        .name = str_from(family->name),
        .labels = str_from(series->labels),
        .number = family->kind == METRIC_GAUGE ? format_signed((int64_t)sum, number)
                                               : format_number(sum, number),
    };
    return write_line(&line, out);
}

/* The labels of a family's buckets, made once for all its series. */
struct bounds {
    char texts[METRIC_BUCKET_COUNT][24];
    struct str views[METRIC_BUCKET_COUNT];
};

static void format_bounds(enum metric_kind kind, struct bounds *bounds)
{
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        usec_t bound = bound_of(kind, i);
        double shown = kind == METRIC_SIZES ? (double)bound : (double)bound / 1e6;
        if (bound == USEC_NEVER) {
            snprintf(bounds->texts[i], sizeof bounds->texts[i], "le=\"+Inf\"");
        } else {
            snprintf(bounds->texts[i], sizeof bounds->texts[i], "le=\"%.7g\"", shown);
        }
        bounds->views[i] = str_from(bounds->texts[i]);
    }
}

static int write_sum(enum metric_kind kind, struct line *line, uint64_t sum, struct buffer *out)
{
    char text[48];
    line->suffix = STR("_sum");
    if (kind == METRIC_SIZES) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)sum);
    } else { /* seconds without rounding: microseconds are six decimals */
        snprintf(text, sizeof text, "%llu.%06llu", (unsigned long long)(sum / 1000000),
                 (unsigned long long)(sum % 1000000));
    }
    line->number = str_from(text);
    return write_line(line, out);
}

static int write_histogram(struct metrics *metrics, const struct family *family,
                           const struct series *series, const struct bounds *bounds,
                           struct buffer *out)
{
    char number[NUMBER_SIZE];
    struct line line = {.name = str_from(family->name),
                        .suffix = STR("_bucket"),
                        .labels = str_from(series->labels)};
    uint64_t count = 0;
    int result = 0;
    for (uint32_t i = 0; i < METRIC_BUCKET_COUNT && result == 0; i++) {
        count += sum_slot(metrics, series->slot + i);
        line.bound = bounds->views[i];
        line.number = format_number(count, number);
        result = write_line(&line, out);
    }
    line.bound = STR("");
    if (result == 0) {
        uint64_t sum = sum_slot(metrics, series->slot + METRIC_BUCKET_COUNT);
        result = write_sum(family->kind, &line, sum, out);
    }
    if (result == 0) {
        line.suffix = STR("_count");
        line.number = format_number(count, number);
        result = write_line(&line, out);
    }
    return result;
}

/* printf() may give a NaN a sign, which Prometheus does not read. */
static int write_read(const struct family *family, struct buffer *out)
{
    double value = family->read(family->context);
    if (isnan(value)) {
        return buffer_printf(out, "%s NaN\n", family->name);
    }
    return buffer_printf(out, "%s %.17g\n", family->name, value);
}

static int write_family(struct metrics *metrics, const struct family *family, struct buffer *out)
{
    if (family->read == NULL && family->first == NULL) {
        return 0; /* a family without series would be a head without a body */
    }
    struct bounds bounds;
    int result = write_head(family, out);
    if (result == 0 && family->read != NULL) {
        return write_read(family, out);
    }
    if (is_histogram(family->kind)) {
        format_bounds(family->kind, &bounds);
    }
    for (struct series *series = family->first; series != NULL && result == 0;
         series = series->next) {
        result = is_histogram(family->kind) ? write_histogram(metrics, family, series, &bounds, out)
                                            : write_number(metrics, family, series, out);
    }
    return result;
}

int metrics_write(struct metrics *metrics, struct buffer *out)
{
    int result = 0;
    pthread_mutex_lock(&metrics->mutex);
    for (int i = 0; i < metrics->family_count && result == 0; i++) {
        result = write_family(metrics, &metrics->families[i], out);
    }
    pthread_mutex_unlock(&metrics->mutex);
    return result;
}
