/* SPDX-License-Identifier: Apache-2.0 */
/* Clauses, parsed and held against results. */
#include "slo.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "words.h"

enum kind { KIND_TIME, KIND_RATE, KIND_ERRORS, KIND_REASON, KIND_ERROR_RATE, KIND_TOTAL };

struct slo_metric {
    const char *name; /* TIME: what stands before p99, min, max, mean */
    enum kind kind;
    size_t histogram; /* TIME: its offset in struct results */
    const char *total;
};

static const struct slo_metric times[] = {
    {"late_", KIND_TIME, offsetof(struct results, lateness), NULL},
    {"enrol_", KIND_TIME, offsetof(struct results, enrolment), NULL},
    {"service_", KIND_TIME, offsetof(struct results, service), NULL},
    {"", KIND_TIME, offsetof(struct results, latency), NULL}, /* the last, for all begin so */
};

static const struct slo_metric metrics[] = {
    {"rate", KIND_RATE, 0, NULL},
    {"errors", KIND_ERRORS, 0, NULL},
    {"error_rate", KIND_ERROR_RATE, 0, NULL},
    {"lost", KIND_TOTAL, 0, "messages_lost"},
    {"duplicated", KIND_TOTAL, 0, "messages_duplicated"},
#define TOTAL(name, better, words) {#name, KIND_TOTAL, 0, #name},
#include "results_totals.def"
#undef TOTAL
};

static const struct slo_metric errors_of_reason = {"errors.", KIND_REASON, 0, NULL};

static const char *const operators[] = {
    [SLO_LESS] = "<",     [SLO_AT_MOST] = "<=",  [SLO_EQUAL] = "=",
    [SLO_UNEQUAL] = "!=", [SLO_AT_LEAST] = ">=", [SLO_MORE] = ">",
};

/* ---- Parsing ---- */

struct parser {
    struct str text; /* all of it, for columns */
    const char *const *reasons;
    struct error *error;
};

PRINTF_LIKE(3, 4)
static int refuse(const struct parser *parser, struct str at, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (parser->error != NULL) {
        parser->error->column = (unsigned)(at.data - parser->text.data) + 1;
    }
    return error_set(parser->error, -EINVAL, "%s", message);
}

/* Remember the candidate when it is closer than what was found so far. */
static void consider(struct str name, const char *candidate, unsigned *limit, const char **best)
{
    unsigned distance = *limit == 0 ? 1 : str_distance(name, str_from(candidate), *limit - 1);
    if (*limit > 0 && distance < *limit) {
        *limit = distance;
        *best = candidate;
    }
}

static int refuse_metric(const struct parser *parser, struct str name)
{
    static const char *const others[] = {"p50",  "p90", "p99",      "p99.9",     "min",
                                         "mean", "max", "late_p99", "enrol_p99", "service_p99"};
    const char *best = NULL;
    unsigned limit = 3;
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        consider(name, metrics[i].name, &limit, &best);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        consider(name, others[i], &limit, &best);
    }
    if (name.len == 0) {
        return refuse(parser, name, "a metric is missing: write p99<50ms or errors=0");
    }
    return best != NULL ? refuse(parser, name, "there is no metric \"%.*s\"; did you mean %s?",
                                 (int)str_first(name, 60).len, name.data, best)
                        : refuse(parser, name,
                                 "there is no metric \"%.*s\"; there are p50, p99.9, mean, "
                                 "max, rate, errors, error_rate, lost, duplicated and others",
                                 (int)str_first(name, 60).len, name.data);
}

static int refuse_reason(const struct parser *parser, struct str reason)
{
    const char *best = NULL;
    unsigned limit = 4;
    for (size_t i = 0; parser->reasons[i] != NULL; i++) {
        consider(reason, parser->reasons[i], &limit, &best);
    }
    return refuse(parser, reason, "no failure is called \"%.*s\"%s%s%s",
                  (int)str_first(reason, 60).len, reason.data,
                  best == NULL ? "" : "; did you mean ", best == NULL ? "" : best,
                  best == NULL ? "" : "?");
}

/* Digits with at most one point, into *number. */
static bool decimal_parse(struct str text, double *number)
{
    char copy[24];
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        points += text.data[i] == '.';
        if (text.data[i] != '.' && (text.data[i] < '0' || text.data[i] > '9')) {
            return false;
        }
    }
    if (text.len == points || points > 1 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *number = strtod(copy, NULL);
    return true;
}

/* "p99.9", "min", "mean", "max"; as slo_clause.quantile. */
static bool quantile_parse(struct str text, double *quantile)
{
    double percent = 0;
    if (str_equal(text, STR("min")) || str_equal(text, STR("max"))) {
        *quantile = text.data[1] == 'i' ? 0 : 1;
        return true;
    }
    if (str_equal(text, STR("mean"))) {
        *quantile = -1;
        return true;
    }
    if (text.len < 2 || text.data[0] != 'p' || !decimal_parse(str_skip(text, 1), &percent) ||
        percent <= 0 || percent > 100) {
        return false;
    }
    *quantile = percent / 100;
    return true;
}

static const struct slo_metric *find_time(struct str name, double *quantile)
{
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct str prefix = str_from(times[i].name);
        if (str_starts_with(name, prefix) && quantile_parse(str_skip(name, prefix.len), quantile)) {
            return &times[i];
        }
    }
    return NULL;
}

static int parse_reason(const struct parser *parser, struct str name, struct slo_clause *clause)
{
    struct str reason = str_skip(name, sizeof "errors." - 1);
    bool is_known = parser->reasons == NULL && reason.len > 0;
    for (size_t i = 0; parser->reasons != NULL && parser->reasons[i] != NULL; i++) {
        is_known |= str_equal(reason, str_from(parser->reasons[i]));
    }
    if (!is_known) {
        return parser->reasons == NULL ? refuse(parser, name, "errors. wants a reason behind it")
                                       : refuse_reason(parser, reason);
    }
    clause->metric = &errors_of_reason;
    return 0;
}

static int parse_metric(const struct parser *parser, struct str name, struct slo_clause *clause)
{
    if (name.len >= SLO_METRIC_MAX) {
        return refuse_metric(parser, name);
    }
    memcpy(clause->name, name.data, name.len);
    clause->name[name.len] = '\0';
    if (str_starts_with(name, STR("errors."))) {
        return parse_reason(parser, name, clause);
    }
    clause->metric = find_time(name, &clause->quantile);
    for (size_t i = 0; clause->metric == NULL && i < ARRAY_LEN(metrics); i++) {
        if (str_equal(name, str_from(metrics[i].name))) {
            clause->metric = &metrics[i];
        }
    }
    return clause->metric == NULL ? refuse_metric(parser, name) : 0;
}

/* How many bytes the operator at the front takes, 0: there is none. */
static size_t parse_operator(struct str text, enum slo_operator *found)
{
    size_t len = 0;
    if (str_starts_with(text, STR("=="))) { /* a habit */
        *found = SLO_EQUAL;
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        struct str word = str_from(operators[i]);
        if (word.len > len && str_starts_with(text, word)) {
            *found = (enum slo_operator)i;
            len = word.len;
        }
    }
    return len;
}

struct unit {
    const char *name;
    double factor;
};

static int apply_unit(const struct parser *parser, struct str limit, struct str unit,
                      struct slo_clause *clause)
{
    static const struct unit of_times[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};
    static const struct unit of_counts[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}};
    static const struct unit of_shares[] = {{"%", 0.01}, {"", 1}};
    enum kind kind = clause->metric->kind;
    const struct unit *units = kind == KIND_TIME         ? of_times
                               : kind == KIND_ERROR_RATE ? of_shares
                                                         : of_counts;
    size_t count = kind == KIND_ERROR_RATE ? ARRAY_LEN(of_shares) : ARRAY_LEN(of_counts);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(unit, str_from(units[i].name))) {
            clause->limit *= units[i].factor;
            return 0;
        }
    }
    int len = (int)str_first(limit, 40).len;
    switch (kind) {
    case KIND_TIME:
        return refuse(parser, limit, "\"%.*s\" needs a unit, us, ms or s: %s%s50ms", len, limit.data,
                      clause->name, operators[clause->operator]);
    case KIND_ERROR_RATE:
        return refuse(parser, limit, "\"%.*s\" is no share: write 0.1%% or 0.001", len, limit.data);
    default:
        return refuse(parser, limit, "\"%.*s\" is no number: write 1000, 1k or 1M", len,
                      limit.data);
    }
}

static int parse_limit(const struct parser *parser, struct str limit, struct slo_clause *clause)
{
    size_t digits = 0;
    while (digits < limit.len && ((limit.data[digits] >= '0' && limit.data[digits] <= '9') ||
                                  limit.data[digits] == '.')) {
        digits++;
    }
    if (!decimal_parse(str_first(limit, digits), &clause->limit)) {
        return refuse(parser, limit, "%s%s wants a number behind it, not \"%.*s\"", clause->name,
                      operators[clause->operator], (int)str_first(limit, 40).len, limit.data);
    }
    return apply_unit(parser, limit, str_trim(str_skip(limit, digits)), clause);
}

static int parse_clause(const struct parser *parser, struct str text, struct slo_clause *clause)
{
    size_t end = 0;
    while (end < text.len && strchr("<>=!", text.data[end]) == NULL) {
        end++;
    }
    struct str name = str_trim(str_first(text, end));
    int code = parse_metric(parser, name, clause);
    if (code < 0) {
        return code;
    }
    struct str rest = str_skip(text, end);
    size_t len = parse_operator(rest, &clause->operator);
    if (len == 0) {
        return refuse(parser, rest.len == 0 ? name : rest,
                      "%s wants a comparison behind it: <, <=, =, !=, >= or >", clause->name);
    }
    rest = str_skip(rest, len);
    struct str limit = str_trim(rest);
    return parse_limit(parser, limit.len == 0 ? str_skip(text, end) : limit, clause);
}

int slo_parse(struct str text, const char *const *reasons, struct slo *slo, struct error *error)
{
    struct parser parser = {text, reasons, error};
    struct slo parsed = {.count = 0};
    struct str rest = text;
    struct str part;
    if (str_trim(text).len == 0) {
        return error_set(error, -EINVAL, "the SLO is empty: write p99<50ms,errors=0");
    }
    while (str_split(&rest, ',', &part)) {
        if (parsed.count == SLO_CLAUSES_MAX) {
            return refuse(&parser, part, "more than %d clauses", SLO_CLAUSES_MAX);
        }
        int code = parse_clause(&parser, part, &parsed.clauses[parsed.count]);
        if (code < 0) {
            return code;
        }
        parsed.count++;
    }
    *slo = parsed;
    return 0;
}

/* ---- Judging ---- */

/* False: it was not measured. */
static bool measure_time(const struct slo_clause *clause, const struct results *results,
                         double *actual)
{
    const struct histogram *histogram =
        (const void *)((const char *)results + clause->metric->histogram);
    *actual = clause->quantile < 0 ? histogram_mean(histogram)
                                   : (double)histogram_quantile(histogram, clause->quantile);
    return histogram_count(histogram) > 0;
}

static bool measure_total(const struct slo_clause *clause, const struct results *results,
                          double *actual)
{
    static const char *const of_ledger[] = {"messages_stored", "messages_lost",
                                            "messages_duplicated"};
    const struct total *total = total_find(str_from(clause->metric->total));
    CHECK(total != NULL);
    *actual = (double)total_get(&results->totals, total);
    for (size_t i = 0; i < ARRAY_LEN(of_ledger); i++) {
        if (strcmp(total->name, of_ledger[i]) == 0) {
            return results->ledger_is_checked;
        }
    }
    return true;
}

static bool measure(const struct slo_clause *clause, const struct results *results, double *actual)
{
    double failed = (double)results_failed(results);
    double answered = (double)results->totals.ok + failed;
    switch (clause->metric->kind) {
    case KIND_TIME:
        return measure_time(clause, results, actual);
    case KIND_RATE:
        *actual = results_rate(results);
        return results->run.duration > 0;
    case KIND_ERRORS:
        *actual = failed;
        return true;
    case KIND_REASON:
        *actual = (double)results_failures(results,
                                           str_skip(str_from(clause->name), sizeof "errors." - 1));
        return true;
    case KIND_ERROR_RATE:
        *actual = answered > 0 ? failed / answered : 0;
        return answered > 0;
    case KIND_TOTAL:
        return measure_total(clause, results, actual);
    }
    return false;
}

static bool holds(double actual, enum slo_operator operator, double limit)
{
    switch (operator) {
    case SLO_LESS:
        return actual < limit;
    case SLO_AT_MOST:
        return actual <= limit;
    case SLO_EQUAL:
        return actual == limit;
    case SLO_UNEQUAL:
        return actual != limit;
    case SLO_AT_LEAST:
        return actual >= limit;
    case SLO_MORE:
        return actual > limit;
    }
    return false;
}

enum slo_verdict slo_evaluate(const struct slo *slo, const struct results *results,
                              struct slo_outcome *outcomes)
{
    enum slo_verdict worst = SLO_MET;
    for (size_t i = 0; i < slo->count; i++) {
        const struct slo_clause *clause = &slo->clauses[i];
        struct slo_outcome outcome = {SLO_UNKNOWN, 0};
        double actual = 0;
        if (results->is_valid && measure(clause, results, &actual)) {
            outcome.actual = actual;
            outcome.verdict = holds(actual, clause->operator, clause->limit) ? SLO_MET : SLO_MISSED;
        }
        if (outcomes != NULL) {
            outcomes[i] = outcome;
        }
        if (outcome.verdict == SLO_MISSED || worst == SLO_MET) {
            worst = outcome.verdict;
        }
    }
    return worst;
}

/* ---- Telling ---- */

static int value_format(const struct slo_clause *clause, double value, char *out, size_t size)
{
    switch (clause->metric->kind) {
    case KIND_TIME:
        return words_duration(value, out, size);
    case KIND_ERROR_RATE:
        return snprintf(out, size, "%.4g%%", value * 100);
    case KIND_RATE:
        return words_number(value, out, size);
    default:
        return words_count((uint64_t)value, out, size);
    }
}

int slo_clause_format(const struct slo_clause *clause, char *out, size_t size)
{
    char limit[WORDS_SIZE];
    double us = clause->limit;
    if (clause->metric->kind == KIND_TIME) { /* as it was written, not rounded */
        snprintf(limit, sizeof limit, "%.7g%s",
                 us < 1e3   ? us
                 : us < 1e6 ? us / 1e3
                            : us / 1e6,
                 us < 1e3   ? "us"
                 : us < 1e6 ? "ms"
                            : "s");
    } else {
        value_format(clause, clause->limit, limit, sizeof limit);
    }
    return snprintf(out, size, "%s %s %s", clause->name, operators[clause->operator], limit);
}

int slo_actual_format(const struct slo_clause *clause, const struct slo_outcome *outcome, char *out,
                      size_t size)
{
    if (outcome->verdict == SLO_UNKNOWN) {
        return snprintf(out, size, "not measured");
    }
    return value_format(clause, outcome->actual, out, size);
}

const char *slo_verdict_words(enum slo_verdict verdict)
{
    return verdict == SLO_MET ? "met" : verdict == SLO_MISSED ? "missed" : "unknown";
}

void slo_print(const struct slo *slo, const struct slo_outcome *outcomes, FILE *out)
{
    for (size_t i = 0; i < slo->count; i++) {
        char clause[SLO_METRIC_MAX + WORDS_SIZE];
        char actual[WORDS_SIZE];
        slo_clause_format(&slo->clauses[i], clause, sizeof clause);
        slo_actual_format(&slo->clauses[i], &outcomes[i], actual, sizeof actual);
        fprintf(out, "%-8s %-28s %s\n", slo_verdict_words(outcomes[i].verdict), clause, actual);
    }
}
