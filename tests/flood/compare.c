/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of two runs with bootstrap intervals. Every figure that has an interval is a quotient
 * of sums over seconds (answers / seconds, answers x p99 / answers), so that a block of seconds is
 * two subtractions of prefix sums and long runs cost little. The seconds' p50 goes in as its
 * logarithm: a single stalled second moves their mean, and does not move the p50 of the run. */
#include "compare.h"

#include <math.h>
#include <stdlib.h>

#include "words.h"

enum {
    BLOCK = 5,        /* seconds drawn together */
    SECONDS_MIN = 10, /* less is no series */
    RESAMPLES = 2000,
};

static const uint64_t first_seed = 0x706f727469636fULL; /* any number, always the same */

/* ---- Series ---- */

enum series_kind { SERIES_NONE, SERIES_RATE, SERIES_P50, SERIES_P99, SERIES_ERRORS };

/* Prefix sums, `count` + 1 of each; owned. */
struct series {
    double *above, *below;
    size_t count;
    bool is_log;
};

static void second_terms(const struct second *second, enum series_kind kind, double *above,
                         double *below)
{
    double ok = (double)second->ok;
    switch (kind) {
    case SERIES_RATE:
        *above = ok;
        *below = 1;
        return;
    case SERIES_ERRORS:
        *above = (double)second->failed;
        *below = ok + (double)second->failed;
        return;
    case SERIES_P50:
        *above = ok * log((double)(second->p50 > 0 ? second->p50 : 1));
        *below = ok;
        return;
    default:
        *above = ok * (double)second->p99;
        *below = ok;
    }
}

/* A second belongs to the phase of its middle, and to the run when it is in none. */
static bool is_measured(const struct results *results, size_t second)
{
    usec_t middle = (usec_t)second * USEC_PER_SEC + USEC_PER_SEC / 2;
    for (size_t i = 0; i < results->phase_count; i++) {
        const struct phase_result *phase = &results->phases[i];
        if (middle >= phase->begin && middle < phase->begin + phase->duration) {
            return phase->is_measured;
        }
    }
    return true;
}

/* The last second is left out, for it is seldom a whole one. */
static size_t seconds_of(const struct results *results)
{
    return results->second_count > 0 ? results->second_count - 1 : 0;
}

static size_t count_measured(const struct results *results)
{
    size_t count = 0;
    for (size_t i = 0; i < seconds_of(results); i++) {
        count += is_measured(results, i);
    }
    return count;
}

/* Seconds that were not measured are in no figure. count 0: there is no series. */
static void series_init(struct series *series, const struct results *results, enum series_kind kind)
{
    size_t count = count_measured(results);
    *series = (struct series){NULL, NULL, 0, kind == SERIES_P50};
    if (kind == SERIES_NONE || count < SECONDS_MIN) {
        return;
    }
    series->above = calloc(count + 1, sizeof *series->above);
    series->below = calloc(count + 1, sizeof *series->below);
    if (series->above == NULL || series->below == NULL) {
        return;
    }
    size_t taken = 0;
    for (size_t i = 0; taken < count; i++) {
        double above = 0;
        double below = 0;
        if (is_measured(results, i)) {
            second_terms(&results->seconds[i], kind, &above, &below);
            series->above[taken + 1] = series->above[taken] + above;
            series->below[taken + 1] = series->below[taken] + below;
            taken++;
        }
    }
    series->count = series->below[count] > 0 ? count : 0;
}

static void series_done(struct series *series)
{
    free(series->above);
    free(series->below);
}

/* NaN: nothing to divide by. */
static double quotient(const struct series *series, double above, double below)
{
    double value = below > 0 ? above / below : (double)NAN;
    return series->is_log ? exp(value) : value;
}

static double series_value(const struct series *series)
{
    return quotient(series, series->above[series->count], series->below[series->count]);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t value = (*state += 0x9e3779b97f4a7c15ULL);
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

/* The figure of a series of the same length, drawn in blocks. */
static double resample(const struct series *series, uint64_t *state)
{
    double above = 0;
    double below = 0;
    for (size_t taken = 0; taken < series->count; taken += BLOCK) {
        size_t begin = (size_t)(next_random(state) % (series->count - BLOCK + 1));
        above += series->above[begin + BLOCK] - series->above[begin];
        below += series->below[begin + BLOCK] - series->below[begin];
    }
    return quotient(series, above, below);
}

static int compare_doubles(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

/* Where 95 % of the resampled differences lie; relative to A unless that is 0. False: unknown. */
static bool bootstrap(const struct series *a, const struct series *b, double *low, double *high)
{
    static double values[RESAMPLES]; /* one thread; too much for some stacks */
    uint64_t state = first_seed;
    double whole = series_value(a) > 0 ? series_value(a) : 1;
    for (size_t i = 0; i < RESAMPLES; i++) {
        double left = resample(a, &state);
        double right = resample(b, &state);
        values[i] = (right - left) / whole;
        if (!isfinite(values[i])) {
            return false;
        }
    }
    qsort(values, RESAMPLES, sizeof values[0], compare_doubles);
    *low = values[RESAMPLES / 40];
    *high = values[RESAMPLES - 1 - RESAMPLES / 40];
    return true;
}

/* ---- Rows ---- */

/* The interval's width comes from the seconds, its place from the figures of the whole runs: the
 * mean of the seconds' p99 is not the p99 of the run. */
static void judge(struct difference *row, const struct series *a, const struct series *b,
                  enum better better)
{
    double low = 0;
    double high = 0;
    if (a->count == 0 || b->count == 0 || !bootstrap(a, b, &low, &high)) {
        return;
    }
    bool is_relative = series_value(a) > 0 && row->a > 0;
    if (is_relative) {
        double shift = row->relative - (series_value(b) / series_value(a) - 1);
        row->low = low + shift;
        row->high = high + shift;
        low = row->low;
        high = row->high;
    }
    if (low <= 0 && high >= 0) {
        row->verdict = DIFFERENCE_NOISE;
    } else {
        bool is_more = low > 0;
        row->verdict = is_more == (better == BETTER_MORE) ? DIFFERENCE_BETTER : DIFFERENCE_WORSE;
    }
}

struct figure {
    const char *name, *unit;
    enum better better;
    enum series_kind series;
    double (*measure)(const struct results *results);
};

static double latency(const struct results *results, double quantile)
{
    return (double)histogram_quantile(&results->latency, quantile);
}

static double p50(const struct results *results)
{
    return latency(results, 0.5);
}

static double p90(const struct results *results)
{
    return latency(results, 0.9);
}

static double p99(const struct results *results)
{
    return latency(results, 0.99);
}

static double p999(const struct results *results)
{
    return latency(results, 0.999);
}

static double maximum(const struct results *results)
{
    return latency(results, 1);
}

static double mean(const struct results *results)
{
    return histogram_mean(&results->latency);
}

static double service_p99(const struct results *results)
{
    return (double)histogram_quantile(&results->service, 0.99);
}

static double enrol_p99(const struct results *results)
{
    return (double)histogram_quantile(&results->enrolment, 0.99);
}

static double late_p99(const struct results *results)
{
    return (double)histogram_quantile(&results->lateness, 0.99);
}

static double error_rate(const struct results *results)
{
    double failed = (double)results_failed(results);
    double answered = failed + (double)results->totals.ok;
    return answered > 0 ? failed / answered * 100 : 0;
}

static double own_cpu(const struct results *results)
{
    double cpu = (double)results->run.cpu_user + (double)results->run.cpu_system;
    return results->totals.ok > 0 ? cpu / (double)results->totals.ok : 0;
}

static const struct figure figures[] = {
    {"rate", "/s", BETTER_MORE, SERIES_RATE, results_rate},
    {"errors", "%", BETTER_FEWER, SERIES_ERRORS, error_rate},
    {"latency p50", "us", BETTER_FEWER, SERIES_P50, p50},
    {"latency p90", "us", BETTER_FEWER, SERIES_NONE, p90},
    {"latency p99", "us", BETTER_FEWER, SERIES_P99, p99},
    {"latency p99.9", "us", BETTER_FEWER, SERIES_NONE, p999},
    {"latency max", "us", BETTER_FEWER, SERIES_NONE, maximum},
    {"latency mean", "us", BETTER_FEWER, SERIES_NONE, mean},
    {"service p99", "us", BETTER_FEWER, SERIES_NONE, service_p99},
    {"enrolment p99", "us", BETTER_FEWER, SERIES_NONE, enrol_p99},
    {"lateness p99", "us", BETTER_FEWER, SERIES_NONE, late_p99},
    {"generator CPU", "us each", BETTER_FEWER, SERIES_NONE, own_cpu},
};

void compare_results(const struct results *a, const struct results *b,
                     struct comparison *comparison)
{
    comparison->count = 0;
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        const struct figure *figure = &figures[i];
        struct difference row = {figure->name,       figure->unit,      figure->measure(a),
                                 figure->measure(b), (double)NAN,       (double)NAN,
                                 (double)NAN,        DIFFERENCE_UNKNOWN};
        if (row.a == 0 && row.b == 0 && figure->series == SERIES_NONE) {
            continue; /* nothing of the kind happened */
        }
        if (row.a > 0) {
            row.relative = (row.b - row.a) / row.a;
        }
        struct series left;
        struct series right;
        series_init(&left, a, figure->series);
        series_init(&right, b, figure->series);
        judge(&row, &left, &right, figure->better);
        series_done(&left);
        series_done(&right);
        comparison->rows[comparison->count++] = row;
    }
}

/* ---- Telling ---- */

static void format_value(const struct difference *row, double value, char *out, size_t size)
{
    if (row->unit[0] == 'u') {
        words_duration(value, out, size);
    } else {
        int len = words_number(value, out, size);
        if (len >= 0 && (size_t)len < size) {
            snprintf(out + len, size - (size_t)len, "%s", row->unit);
        }
    }
}

static const char *verdict_words(enum difference_verdict verdict)
{
    static const char *const words[] = {
        [DIFFERENCE_NOISE] = "no more than noise",
        [DIFFERENCE_BETTER] = "better",
        [DIFFERENCE_WORSE] = "worse",
        [DIFFERENCE_UNKNOWN] = "-",
    };
    return words[verdict];
}

static void print_row(const struct difference *row, FILE *out)
{
    char a[WORDS_SIZE];
    char b[WORDS_SIZE];
    char change[WORDS_SIZE] = "-";
    char interval[2 * WORDS_SIZE] = "";
    format_value(row, row->a, a, sizeof a);
    format_value(row, row->b, b, sizeof b);
    if (!isnan(row->relative)) {
        snprintf(change, sizeof change, "%+.1f%%", row->relative * 100);
    }
    if (!isnan(row->low)) {
        snprintf(interval, sizeof interval, "%+.1f%% to %+.1f%%", row->low * 100, row->high * 100);
    }
    fprintf(out, "%-14s %12s %12s %9s  %-20s %s\n", row->name, a, b, change, interval,
            verdict_words(row->verdict));
}

static void warn_text(const char *what, const char *a, const char *b, FILE *out)
{
    if (strcmp(a, b) != 0) {
        fprintf(out, "caution: %s differs: %s, %s\n", what, a[0] == '\0' ? "none" : a,
                b[0] == '\0' ? "none" : b);
    }
}

static void warn_number(const char *what, double a, double b, FILE *out)
{
    if (fabs(a - b) > 1e-9 * fmax(fabs(a), fabs(b))) {
        fprintf(out, "caution: %s differs: %.10g, %.10g\n", what, a, b);
    }
}

static void warn_invalid(const char *name, const struct results *results, FILE *out)
{
    if (!results->is_valid) {
        fprintf(out, "caution: %s is no valid run: %s\n", name, results->invalid_reason);
    }
}

void comparison_print(const struct comparison *comparison, const struct results *a,
                      const struct results *b, FILE *out)
{
    warn_invalid("A", a, out);
    warn_invalid("B", b, out);
    warn_text("the mode", a->run.mode, b->run.mode, out);
    warn_text("the scenario", a->run.scenario, b->run.scenario, out);
    warn_text("the host", a->run.host, b->run.host, out);
    warn_text("the kernel", a->run.kernel, b->run.kernel, out);
    warn_text("the kind of connections", a->run.connections, b->run.connections, out);
    warn_number("the number of agents", (double)a->run.agents, (double)b->run.agents, out);
    warn_number("the rate that was asked for", a->run.rate_wanted, b->run.rate_wanted, out);
    warn_number("TLS", a->run.tls, b->run.tls, out);
    fprintf(out, "%-14s %12s %12s %9s  %-20s\n", "", "A", "B", "change", "95% interval");
    for (size_t i = 0; i < comparison->count; i++) {
        print_row(&comparison->rows[i], out);
    }
    fprintf(out,
            "\nIntervals: moving-block bootstrap over the seconds of both runs (blocks of %d, %d "
            "resamples).\nThey know how much seconds of one run differ, not how much runs do: "
            "repeat a run to see that.\n",
            BLOCK, RESAMPLES);
}
