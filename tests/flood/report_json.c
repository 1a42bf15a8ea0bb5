/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON report, written and read from the same tables. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/utf8.h"
#include "config/source.h"
#include "report.h"
#include "slo.h"

/* ---- Tables ---- */

enum field_kind { FIELD_TEXT, FIELD_BOOL, FIELD_UNSIGNED, FIELD_UINT64, FIELD_TIME, FIELD_DOUBLE };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
};

#define FIELD(kind, name, member)                                     \
    {                                                                 \
        name, FIELD_##kind, offsetof(struct run_description, member), \
            sizeof(((struct run_description *)NULL)->member)          \
    }

static const struct field fields[] = {
    FIELD(TEXT, "mode", mode),
    FIELD(TEXT, "url", url),
    FIELD(TEXT, "scenario", scenario),
    FIELD(TEXT, "command_line", command_line),
    FIELD(TEXT, "host", host),
    FIELD(TEXT, "kernel", kernel),
    FIELD(TEXT, "cpu", cpu),
    FIELD(TEXT, "version", version),
    FIELD(TEXT, "openssl", openssl),
    FIELD(TEXT, "identities", identities),
    FIELD(TEXT, "connections", connections),
    FIELD(TEXT, "slo", slo),
    FIELD(BOOL, "tls", tls),
    FIELD(UNSIGNED, "cpus", cpus),
    FIELD(UNSIGNED, "threads", threads),
    FIELD(UINT64, "agents", agents),
    FIELD(UINT64, "seed", seed),
    FIELD(UINT64, "rss_bytes", rss_bytes),
    FIELD(TIME, "started_us", started),
    FIELD(TIME, "duration_us", duration),
    FIELD(TIME, "cpu_user_us", cpu_user),
    FIELD(TIME, "cpu_system_us", cpu_system),
    FIELD(DOUBLE, "rate_wanted", rate_wanted),
};

struct histogram_field {
    const char *name;
    size_t offset;
};

static const struct histogram_field histograms[] = {
    {"latency_us", offsetof(struct results, latency)},
    {"service_us", offsetof(struct results, service)},
    {"lateness_us", offsetof(struct results, lateness)},
    {"enrolment_us", offsetof(struct results, enrolment)},
};

/* Of a second, in the order of the columns. */
static const struct field columns[] = {
    {"ok", FIELD_UINT64, offsetof(struct second, ok), 8},
    {"failed", FIELD_UINT64, offsetof(struct second, failed), 8},
    {"p50_us", FIELD_TIME, offsetof(struct second, p50), 8},
    {"p99_us", FIELD_TIME, offsetof(struct second, p99), 8},
    {"max_us", FIELD_TIME, offsetof(struct second, max), 8},
    {"in_flight", FIELD_UINT64, offsetof(struct second, in_flight), 8},
    {"enrolled", FIELD_UINT64, offsetof(struct second, enrolled), 8},
    {"enrolments", FIELD_UINT64, offsetof(struct second, enrolments), 8},
};

#define PHASE(kind, name, member)                                  \
    {                                                              \
        name, FIELD_##kind, offsetof(struct phase_result, member), \
            sizeof(((struct phase_result *)NULL)->member)          \
    }

static const struct field phase_fields[] = {
    PHASE(TEXT, "name", name),
    PHASE(BOOL, "measured", is_measured),
    PHASE(TIME, "begin_us", begin),
    PHASE(TIME, "duration_us", duration),
    PHASE(UINT64, "ok", ok),
    PHASE(UINT64, "failed", failed),
    PHASE(UINT64, "enrolled", enrolled),
    PHASE(TIME, "p50_us", p50),
    PHASE(TIME, "p99_us", p99),
    PHASE(TIME, "max_us", max),
    PHASE(TIME, "late_p99_us", late_p99),
    PHASE(TIME, "cpu_us", cpu),
};

#define FINDING(kind, name, member)                           \
    {                                                         \
        name, FIELD_##kind, offsetof(struct finding, member), \
            sizeof(((struct finding *)NULL)->member)          \
    }

static const struct field finding_fields[] = {
    FINDING(TEXT, "outcome", outcome),
    FINDING(DOUBLE, "rate", rate),
    FINDING(DOUBLE, "above", above),
    FINDING(TEXT, "limit", limit),
};

#define TRIAL(kind, name, member)                                   \
    {                                                               \
        name, FIELD_##kind, offsetof(struct finding_trial, member), \
            sizeof(((struct finding_trial *)NULL)->member)          \
    }

static const struct field trial_fields[] = {
    TRIAL(DOUBLE, "rate", rate), TRIAL(TEXT, "verdict", verdict), TRIAL(TEXT, "why", why),
    TRIAL(TIME, "p99_us", p99),  TRIAL(UINT64, "failed", failed),
};

/* ---- Writing ---- */

/* Bytes that are no UTF-8 become "?": command lines and host names can hold anything. */
static json_t *clean_text(const char *text)
{
    char copy[2 * RESULTS_TEXT];
    size_t used = 0;
    struct str rest = str_from(text);
    CHECK(rest.len < sizeof copy);
    while (rest.len > 0) {
        size_t len = utf8_sequence(rest);
        memcpy(copy + used, len == 0 ? "?" : rest.data, len == 0 ? 1 : len);
        used += len == 0 ? 1 : len;
        rest = str_skip(rest, len == 0 ? 1 : len);
    }
    return json_stringn(copy, used);
}

/* JSON's integers end at 2^63 here; what is larger is a string of digits. */
static json_t *big_number(uint64_t number)
{
    return number <= INT64_MAX ? json_integer((json_int_t)number)
                               : json_sprintf("%" PRIu64, number);
}

static json_t *field_to_json(const struct field *field, const void *object)
{
    const void *value = (const char *)object + field->offset;
    switch (field->kind) {
    case FIELD_TEXT:
        return clean_text(value);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)value);
    case FIELD_UNSIGNED:
        return json_integer(*(const unsigned *)value);
    case FIELD_UINT64:
        return big_number(*(const uint64_t *)value);
    case FIELD_TIME:
        return json_integer(*(const usec_t *)value);
    case FIELD_DOUBLE:
        return json_real(isfinite(*(const double *)value) ? *(const double *)value : 0);
    }
    return NULL;
}

/* Adding to an array or object takes the value, NULL included, and then says so. */
static json_t *object_to_json(const struct field *table, size_t count, const void *values)
{
    json_t *object = json_object();
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        failed |= json_object_set_new(object, table[i].name, field_to_json(&table[i], values));
    }
    if (failed != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *run_to_json(const struct run_description *run)
{
    return object_to_json(fields, ARRAY_LEN(fields), run);
}

static json_t *phases_to_json(const struct results *results)
{
    json_t *array = json_array();
    for (size_t i = 0; i < results->phase_count; i++) {
        (void)json_array_append_new(
            array, object_to_json(phase_fields, ARRAY_LEN(phase_fields), &results->phases[i]));
    }
    return array;
}

static json_t *finding_to_json(const struct finding *finding)
{
    json_t *trials = json_array();
    for (size_t i = 0; i < finding->count; i++) {
        (void)json_array_append_new(
            trials, object_to_json(trial_fields, ARRAY_LEN(trial_fields), &finding->trials[i]));
    }
    json_t *object = object_to_json(finding_fields, ARRAY_LEN(finding_fields), finding);
    (void)json_object_set_new(object, "trials", trials);
    return object;
}

static json_t *totals_to_json(const struct results *results)
{
    json_t *object = json_object();
    for (size_t i = 0; i < total_count(); i++) {
        const struct total *total = total_at(i);
        (void)json_object_set_new(object, total->name,
                                  big_number(total_get(&results->totals, total)));
    }
    return object;
}

static json_t *failures_to_json(const struct results *results)
{
    json_t *array = json_array();
    for (size_t i = 0; i < results->failure_count; i++) {
        const struct failure *failure = &results->failures[i];
        (void)json_array_append_new(
            array, json_pack("{s:o, s:o, s:o}", "name", clean_text(failure->name), "words",
                             clean_text(failure->words), "count", big_number(failure->count)));
    }
    return array;
}

static json_t *events_to_json(const struct results *results)
{
    json_t *array = json_array();
    for (size_t i = 0; i < results->event_count; i++) {
        const struct event_outcome *event = &results->events[i];
        (void)json_array_append_new(
            array, json_pack("{s:o, s:I, s:o, s:o, s:b}", "event", clean_text(event->event),
                             "at_us", (json_int_t)event->at, "command", clean_text(event->command),
                             "outcome", clean_text(event->outcome), "well", event->is_well));
    }
    return array;
}

static json_t *histogram_to_json(const struct histogram *histogram)
{
    static const double quantiles[] = {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999};
    static const char *const names[] = {"p50", "p90", "p95", "p99", "p99.9", "p99.99"};
    usec_t values[ARRAY_LEN(quantiles)];
    uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    json_t *object = json_pack(
        "{s:o, s:I, s:I, s:f, s:o}", "count", big_number(histogram_count(histogram)), "min",
        (json_int_t)histogram_min(histogram), "max", (json_int_t)histogram_max(histogram), "mean",
        histogram_mean(histogram), "sum", big_number(sum));
    histogram_quantiles(histogram, quantiles, ARRAY_LEN(quantiles), values);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        (void)json_object_set_new(object, names[i], json_integer(values[i]));
    }
    json_t *buckets = json_array();
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        struct histogram_bucket bucket = histogram_bucket(histogram, i);
        if (bucket.count > 0) {
            (void)json_array_append_new(
                buckets, json_pack("[I, o]", (json_int_t)bucket.from, big_number(bucket.count)));
        }
    }
    (void)json_object_set_new(object, "buckets", buckets);
    return object;
}

static json_t *columns_to_json(void)
{
    json_t *array = json_array();
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        (void)json_array_append_new(array, json_string(columns[i].name));
    }
    return array;
}

static json_t *seconds_to_json(const struct results *results)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < results->second_count; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < ARRAY_LEN(columns); j++) {
            (void)json_array_append_new(row, field_to_json(&columns[j], &results->seconds[i]));
        }
        (void)json_array_append_new(rows, row);
    }
    return json_pack("{s:o, s:o}", "columns", columns_to_json(), "rows", rows);
}

static json_t *slo_to_json(const struct results *results)
{
    struct slo slo;
    struct slo_outcome outcomes[SLO_CLAUSES_MAX];
    json_t *array = json_array();
    if (results->run.slo[0] == '\0' ||
        slo_parse(str_from(results->run.slo), NULL, &slo, NULL) < 0) {
        return array;
    }
    (void)slo_evaluate(&slo, results, outcomes);
    for (size_t i = 0; i < slo.count; i++) {
        char clause[SLO_METRIC_MAX + 64];
        slo_clause_format(&slo.clauses[i], clause, sizeof clause);
        (void)json_array_append_new(array, json_pack("{s:s, s:s, s:f}", "clause", clause, "verdict",
                                                     slo_verdict_words(outcomes[i].verdict),
                                                     "actual", outcomes[i].actual));
    }
    return array;
}

/* One line for each key, so that a report can be read without tools and compared by line. Takes
 * the value. */
static int put(FILE *out, const char *key, json_t *value, bool is_last)
{
    int code = value == NULL ? -ENOMEM : 0;
    fprintf(out, " \"%s\": ", key);
    if (value != NULL) {
        (void)json_dumpf(value, out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10)); /* see ferror() */
    }
    fputs(is_last ? "\n}\n" : ",\n", out);
    json_decref(value);
    return code;
}

int report_write_json(const struct results *results, FILE *out)
{
    int code = 0;
    fputs("{\n", out);
    code |= put(out, "schema", json_integer(REPORT_SCHEMA), false);
    code |= put(out, "program", json_string("portico-flood"), false);
    code |= put(out, "run", run_to_json(&results->run), false);
    code |= put(out, "valid", json_boolean(results->is_valid), false);
    code |= put(out, "invalid_reason", clean_text(results->invalid_reason), false);
    code |= put(out, "rate", json_real(results_rate(results)), false);
    code |= put(out, "failed", big_number(results_failed(results)), false);
    code |= put(out, "totals", totals_to_json(results), false);
    code |= put(out, "ledger_checked", json_boolean(results->ledger_is_checked), false);
    code |= put(out, "failures", failures_to_json(results), false);
    code |= put(out, "events", events_to_json(results), false);
    code |= put(out, "slo", slo_to_json(results), false);
    for (size_t i = 0; i < ARRAY_LEN(histograms); i++) {
        const void *histogram = (const char *)results + histograms[i].offset;
        code |= put(out, histograms[i].name, histogram_to_json(histogram), false);
    }
    code |= put(out, "phases", phases_to_json(results), false);
    if (results->finding.outcome[0] != '\0') {
        code |= put(out, "capacity", finding_to_json(&results->finding), false);
    }
    code |= put(out, "seconds", seconds_to_json(results), true);
    return code < 0 ? -ENOMEM : 0;
}

/* ---- Reading ---- */

static bool read_uint64(const json_t *value, uint64_t *number)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    return json_is_string(value) && str_to_uint64(str_from(json_string_value(value)), number) == 0;
}

static bool read_time(const json_t *value, usec_t *time)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *time = json_integer_value(value);
    return true;
}

/* False: of another type. */
static bool field_from_json(const struct field *field, const json_t *value, void *object)
{
    void *target = (char *)object + field->offset;
    uint64_t number = 0;
    switch (field->kind) {
    case FIELD_TEXT:
        run_text(target, field->size, json_string_value(value));
        return json_is_string(value);
    case FIELD_BOOL:
        *(bool *)target = json_is_true(value);
        return json_is_boolean(value);
    case FIELD_UNSIGNED:
        if (!read_uint64(value, &number) || number > UINT32_MAX) {
            return false;
        }
        *(unsigned *)target = (unsigned)number;
        return true;
    case FIELD_UINT64:
        return read_uint64(value, target);
    case FIELD_TIME:
        return read_time(value, target);
    case FIELD_DOUBLE:
        *(double *)target = json_number_value(value);
        return json_is_number(value);
    }
    return false;
}

static int refuse(struct error *error, const char *key)
{
    return error_set(error, -EINVAL, "this is no report: \"%s\" is not as it should be", key);
}

/* Members that are missing stay 0. */
static int read_object(const json_t *object, const char *what, const struct field *table,
                       size_t count, void *values, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, table[i].name);
        if (value != NULL && !field_from_json(&table[i], value, values)) {
            return refuse(error, table[i].name);
        }
    }
    return json_is_object(object) ? 0 : refuse(error, what);
}

static int read_run(const json_t *run, struct results *results, struct error *error)
{
    return read_object(run, "run", fields, ARRAY_LEN(fields), &results->run, error);
}

/* Older reports have none. */
static int read_phases(const json_t *array, struct results *results, struct error *error)
{
    size_t count = json_array_size(array);
    int code = array != NULL && (!json_is_array(array) || count > RESULTS_PHASES_MAX)
                   ? refuse(error, "phases")
                   : 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        code =
            read_object(json_array_get(array, i), "phases", phase_fields, ARRAY_LEN(phase_fields),
                        &results->phases[results->phase_count++], error);
    }
    return code;
}

/* Only a search for capacity leaves it. */
static int read_finding(const json_t *object, struct results *results, struct error *error)
{
    struct finding *finding = &results->finding;
    const json_t *trials = json_object_get(object, "trials");
    size_t count = json_array_size(trials);
    if (object == NULL) {
        return 0;
    }
    int code =
        read_object(object, "capacity", finding_fields, ARRAY_LEN(finding_fields), finding, error);
    if (code == 0 &&
        (finding->outcome[0] == '\0' || !json_is_array(trials) || count > FINDING_TRIALS_MAX)) {
        code = refuse(error, "capacity");
    }
    for (size_t i = 0; code == 0 && i < count; i++) {
        code = read_object(json_array_get(trials, i), "trials", trial_fields,
                           ARRAY_LEN(trial_fields), &finding->trials[finding->count++], error);
    }
    return code;
}

static int read_totals(const json_t *totals, struct results *results, struct error *error)
{
    for (size_t i = 0; i < total_count(); i++) {
        const json_t *value = json_object_get(totals, total_at(i)->name);
        uint64_t number = 0;
        if (value != NULL && !read_uint64(value, &number)) {
            return refuse(error, total_at(i)->name);
        }
        total_set(&results->totals, total_at(i), number);
    }
    return json_is_object(totals) ? 0 : refuse(error, "totals");
}

static int read_failures(const json_t *array, struct results *results, struct error *error)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *words = json_string_value(json_object_get(item, "words"));
        uint64_t count = 0;
        if (name == NULL || !read_uint64(json_object_get(item, "count"), &count)) {
            return refuse(error, "failures");
        }
        results_add_failures(results, name, words == NULL ? "" : words, count);
    }
    return json_is_array(array) ? 0 : refuse(error, "failures");
}

/* Reports of earlier versions have none. */
static int read_events(const json_t *array, struct results *results, struct error *error)
{
    for (size_t i = 0; i < json_array_size(array) && i < RESULTS_EVENTS_MAX; i++) {
        const json_t *item = json_array_get(array, i);
        struct event_outcome *event = &results->events[results->event_count++];
        const json_t *well = json_object_get(item, "well");
        if (!read_time(json_object_get(item, "at_us"), &event->at) || !json_is_boolean(well)) {
            return refuse(error, "events");
        }
        event->is_well = json_is_true(well);
        RUN_TEXT(event->event, json_string_value(json_object_get(item, "event")));
        RUN_TEXT(event->command, json_string_value(json_object_get(item, "command")));
        RUN_TEXT(event->outcome, json_string_value(json_object_get(item, "outcome")));
    }
    return array == NULL || json_is_array(array) ? 0 : refuse(error, "events");
}

static bool read_bucket(const json_t *pair, struct histogram *histogram)
{
    usec_t from = 0;
    uint64_t count = 0;
    if (json_array_size(pair) != 2 || !read_time(json_array_get(pair, 0), &from) ||
        !read_uint64(json_array_get(pair, 1), &count)) {
        return false;
    }
    size_t index = histogram_bucket_of(from);
    if (histogram_bucket(histogram, index).from != from) {
        return false;
    }
    histogram_restore_bucket(histogram, index, count);
    return true;
}

static int read_histogram(const json_t *object, const char *name, struct histogram *histogram,
                          struct error *error)
{
    const json_t *buckets = json_object_get(object, "buckets");
    usec_t min = 0;
    usec_t max = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        if (!read_bucket(json_array_get(buckets, i), histogram)) {
            return refuse(error, name);
        }
    }
    if (!json_is_array(buckets) || !read_time(json_object_get(object, "min"), &min) ||
        !read_time(json_object_get(object, "max"), &max) ||
        !read_uint64(json_object_get(object, "sum"), &sum) || min > max) {
        return refuse(error, name);
    }
    if (histogram_count(histogram) > 0) {
        histogram_restore_extremes(histogram, min, max, sum);
    }
    return 0;
}

/* Columns are found by their names; those that are missing stay 0. */
static int read_seconds(const json_t *object, struct results *results, struct error *error)
{
    const json_t *names = json_object_get(object, "columns");
    const json_t *rows = json_object_get(object, "rows");
    if (!json_is_array(names) || !json_is_array(rows)) {
        return refuse(error, "seconds");
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct second second = {0};
        for (size_t j = 0; j < json_array_size(names); j++) {
            const char *name = json_string_value(json_array_get(names, j));
            for (size_t k = 0; name != NULL && k < ARRAY_LEN(columns); k++) {
                if (strcmp(name, columns[k].name) == 0 &&
                    !field_from_json(&columns[k], json_array_get(row, j), &second)) {
                    return refuse(error, "seconds");
                }
            }
        }
        if (results_add_second(results, &second) < 0) {
            return error_set(error, -ENOMEM, "no memory");
        }
    }
    return 0;
}

static int check_schema(const json_t *root, struct error *error)
{
    const json_t *schema = json_object_get(root, "schema");
    if (!json_is_integer(schema)) {
        return error_set(error, -EINVAL, "this is no report of portico-flood: it has no schema");
    }
    if (json_integer_value(schema) != REPORT_SCHEMA) {
        return error_set(error, -EINVAL, "the report has schema %lld; this program reads schema %d",
                         (long long)json_integer_value(schema), REPORT_SCHEMA);
    }
    return 0;
}

static int read_report(const json_t *root, struct results *results, struct error *error)
{
    int code = check_schema(root, error);
    if (code == 0) {
        code = read_run(json_object_get(root, "run"), results, error);
    }
    if (code == 0) {
        code = read_totals(json_object_get(root, "totals"), results, error);
    }
    if (code == 0) {
        code = read_failures(json_object_get(root, "failures"), results, error);
    }
    if (code == 0) {
        code = read_events(json_object_get(root, "events"), results, error);
    }
    for (size_t i = 0; code == 0 && i < ARRAY_LEN(histograms); i++) {
        const struct histogram_field *field = &histograms[i];
        void *histogram = (char *)results + field->offset;
        code = read_histogram(json_object_get(root, field->name), field->name, histogram, error);
    }
    if (code == 0) {
        code = read_phases(json_object_get(root, "phases"), results, error);
    }
    if (code == 0) {
        code = read_finding(json_object_get(root, "capacity"), results, error);
    }
    if (code == 0) {
        code = read_seconds(json_object_get(root, "seconds"), results, error);
    }
    const json_t *valid = json_object_get(root, "valid");
    const char *reason = json_string_value(json_object_get(root, "invalid_reason"));
    if (code == 0 && !json_is_boolean(valid)) {
        return refuse(error, "valid");
    }
    results->is_valid = json_is_true(valid);
    results->ledger_is_checked = json_is_true(json_object_get(root, "ledger_checked"));
    RUN_TEXT(results->invalid_reason, reason);
    return code;
}

int report_parse_json(struct str text, const char *name, struct results **out, struct error *error)
{
    json_error_t problem;
    struct results *results = results_new();
    json_t *root =
        json_loadb(text.data == NULL ? "" : text.data, text.len, JSON_REJECT_DUPLICATES, &problem);
    int code = -EINVAL;
    if (root == NULL) {
        error_set(error, -EINVAL, "this is no JSON: %s", problem.text);
        if (error != NULL) {
            error_set_place(error, name, problem.line > 0 ? (unsigned)problem.line : 0,
                            problem.column > 0 ? (unsigned)problem.column : 0);
        }
    } else if (results == NULL) {
        code = error_set(error, -ENOMEM, "no memory");
    } else {
        if (error != NULL) {
            error_set_place(error, name, 0, 0);
        }
        code = read_report(root, results, error);
    }
    json_decref(root);
    if (code == 0) {
        *out = results;
    } else {
        results_free(results);
    }
    return code;
}

int report_read_json(const char *path, struct results **results, struct error *error)
{
    struct buffer text;
    struct file_facts facts;
    buffer_init(&text, REPORT_FILE_MAX_BYTES + 1);
    int code = config_system_real.read_file(config_system_real.context, path, REPORT_FILE_MAX_BYTES,
                                            &text, &facts);
    if (code < 0) {
        error_set_errno(error, code, "cannot read the report %s", path);
    } else {
        code = report_parse_json(buffer_view(&text), path, results, error);
    }
    buffer_done(&text);
    return code;
}
