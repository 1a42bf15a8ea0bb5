/* SPDX-License-Identifier: Apache-2.0 */
/* Which charts the page has, and what is in them. */
#include <math.h>
#include <stdlib.h>

#include "report_page.h"
#include "report_svg.h"
#include "words.h"

enum { CURVE_POINTS = 200, SERIES_POINTS = 300, HISTOGRAM_BARS = 60 };

static int format_duration(double value, char *out, size_t size)
{
    if (value >= 1e6) {
        return snprintf(out, size, "%.4gs", value / 1e6);
    }
    return value >= 1e3 ? snprintf(out, size, "%.4gms", value / 1e3)
                        : snprintf(out, size, "%.4g\xc2\xb5s", value);
}

static int format_count(double value, char *out, size_t size)
{
    if (value >= 1e6) {
        return snprintf(out, size, "%.4gM", value / 1e6);
    }
    return value >= 1e4 ? snprintf(out, size, "%.4gk", value / 1e3)
                        : snprintf(out, size, "%.4g", value);
}

static int format_seconds(double value, char *out, size_t size)
{
    int64_t seconds = llround(value);
    if (seconds >= 3600) {
        return snprintf(out, size, "%lld:%02lldh", (long long)(seconds / 3600),
                        (long long)(seconds / 60 % 60));
    }
    return seconds >= 60 ? snprintf(out, size, "%lld:%02lld", (long long)(seconds / 60),
                                    (long long)(seconds % 60))
                         : snprintf(out, size, "%.4gs", value);
}

/* The axis of quantiles counts nines: 0 is the smallest, 1 is 90 %, 2 is 99 %. */
static int format_nines(double nines, char *out, size_t size)
{
    return snprintf(out, size, "%.*f%%", nines > 2 ? (int)nines - 2 : 0,
                    100 - 100 * pow(10, -nines));
}

struct legend {
    const char *style, *words;
};

static void put_heading(FILE *out, const char *title, const struct legend *legend, size_t count)
{
    fprintf(out, "<figure><figcaption><h2>%s</h2>", title);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "<span class=\"key %s\">%s</span>", legend[i].style, legend[i].words);
    }
    fputs("</figcaption>\n", out);
}

/* ---- Latency ---- */

/* 1, 2 or 5 times powers of ten around what there is; a report that was read may have a p50 above
 * its p99. */
static void set_latency_range(struct axis *axis, double low, double highest)
{
    double high = fmax(low, highest);
    double from = pow(10, floor(log10(low < 1 ? 1 : low)));
    double to = pow(10, ceil(log10(high < 2 ? 2 : high)));
    axis->from = low / from >= 5 ? 5 * from : low / from >= 2 ? 2 * from : from;
    axis->to = to / high >= 5 ? to / 5 : to / high >= 2 ? to / 2 : to;
    if (axis->to <= axis->from * 2) { /* all alike: the line stays off the frame */
        axis->from /= 2;
        axis->to *= 2;
    }
}

static void quantile_points(const struct histogram *histogram, double nines,
                            struct point points[CURVE_POINTS])
{
    double quantiles[CURVE_POINTS];
    usec_t values[CURVE_POINTS];
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        points[i].x = nines * (double)i / (CURVE_POINTS - 1);
        quantiles[i] = 1 - pow(10, -points[i].x);
    }
    histogram_quantiles(histogram, quantiles, CURVE_POINTS, values);
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        points[i].y = (double)values[i];
    }
}

static void describe_latency(const struct histogram *histogram, char *out, size_t size)
{
    char texts[4][WORDS_SIZE];
    html_duration((double)histogram_quantile(histogram, 0.5), texts[0], WORDS_SIZE);
    html_duration((double)histogram_quantile(histogram, 0.99), texts[1], WORDS_SIZE);
    html_duration((double)histogram_quantile(histogram, 0.999), texts[2], WORDS_SIZE);
    html_duration((double)histogram_max(histogram), texts[3], WORDS_SIZE);
    snprintf(out, size,
             "Half of all answers took at most %s, 99 %% at most %s, 99.9 %% at most "
             "%s; the slowest %s.",
             texts[0], texts[1], texts[2], texts[3]);
}

static void put_quantile_chart(const struct results *results, FILE *out)
{
    static const struct legend legend[] = {{"s1", "from planned time"}, {"s2", "from sending"}};
    struct point points[CURVE_POINTS];
    char words[256];
    uint64_t count = histogram_count(&results->latency);
    double nines = ceil(log10((double)count));
    bool has_service = histogram_count(&results->service) > 0;
    struct chart chart = {.out = out,
                          .id = "quantiles",
                          .x = {0, 1, false, format_nines, {0}, 0, "share of answers"},
                          .y = {1, 10, true, format_duration, {0}, 0, "latency"}};
    chart.x.to = nines < 2 ? 2 : nines > 5 ? 5 : nines;
    for (int tick = 0; tick <= (int)chart.x.to; tick++) {
        chart.x.ticks[chart.x.tick_count++] = tick;
    }
    double low = (double)histogram_min(&results->latency);
    double high = (double)histogram_max(&results->latency);
    if (has_service) {
        low = fmin(low, (double)histogram_min(&results->service));
    }
    set_latency_range(&chart.y, low, high);
    describe_latency(&results->latency, words, sizeof words);
    put_heading(out, "Latency by quantile", legend, has_service ? 2 : 1);
    chart_begin(&chart, "Latency by quantile", words);
    quantile_points(&results->latency, chart.x.to, points);
    chart_area(&chart, "s1", points, CURVE_POINTS);
    if (has_service) {
        struct point service[CURVE_POINTS];
        quantile_points(&results->service, chart.x.to, service);
        chart_line(&chart, "s2", service, CURVE_POINTS);
    }
    chart_line(&chart, "s1", points, CURVE_POINTS);
    chart_end(&chart);
    fputs("</figure>\n", out);
}

/* Bars of equal width on the logarithmic axis; a histogram's bucket counts where its middle is. */
static double fill_bars(const struct histogram *histogram, const struct axis *axis,
                        double bars[HISTOGRAM_BARS])
{
    double highest = 0;
    double width = log10(axis->to / axis->from) / HISTOGRAM_BARS;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        struct histogram_bucket bucket = histogram_bucket(histogram, i);
        double middle = (double)(bucket.from + bucket.to) / 2;
        double place = log10(fmax(middle, axis->from) / axis->from) / width;
        size_t bar = place >= HISTOGRAM_BARS - 1 ? HISTOGRAM_BARS - 1 : (size_t)place;
        bars[bar] += (double)bucket.count;
        highest = fmax(highest, bars[bar]);
    }
    return highest;
}

static void put_histogram_chart(const struct results *results, FILE *out)
{
    static const struct legend legend[] = {{"s1", "answers"}};
    static const double quantiles[] = {0.5, 0.99};
    static const char *const names[] = {"p50", "p99"};
    double bars[HISTOGRAM_BARS] = {0};
    char words[256];
    struct chart chart = {.out = out,
                          .id = "histogram",
                          .x = {1, 10, true, format_duration, {0}, 0, "latency"},
                          .y = {0, 1, false, format_count, {0}, 0, "answers"}};
    set_latency_range(&chart.x, (double)histogram_min(&results->latency),
                      (double)histogram_max(&results->latency));
    chart.y.to = axis_round_up(fill_bars(&results->latency, &chart.x, bars));
    describe_latency(&results->latency, words, sizeof words);
    put_heading(out, "Latency histogram", legend, ARRAY_LEN(legend));
    chart_begin(&chart, "Latency histogram", words);
    double ratio = pow(chart.x.to / chart.x.from, 1.0 / HISTOGRAM_BARS);
    for (size_t i = 0; i < HISTOGRAM_BARS; i++) {
        double from = chart.x.from * pow(ratio, (double)i);
        if (bars[i] > 0) {
            chart_bar(&chart, "s1", from, from * pow(ratio, 0.9), bars[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        chart_mark(&chart, (double)histogram_quantile(&results->latency, quantiles[i]), names[i],
                   i == 0);
    }
    chart_end(&chart);
    fputs("</figure>\n", out);
}

/* ---- Over time ---- */

struct over_time {
    struct point ok[SERIES_POINTS], failed[SERIES_POINTS];
    struct point p50[SERIES_POINTS], p99[SERIES_POINTS];
    struct point in_flight[SERIES_POINTS], enrolled[SERIES_POINTS];
    size_t count;
    double seconds, step; /* of all; for each point */
    double rate_max, enrolled_max, in_flight_max;
    double latency_min, latency_max;
    bool has_latency;
};

/* Seconds [from, to) as one point: rates on average, latencies and failures at their worst. */
static void add_point(struct over_time *series, const struct second *seconds, size_t from,
                      size_t to)
{
    double ok = 0;
    double failed = 0;
    double p50 = 0;
    double p99 = 0;
    for (size_t i = from; i < to; i++) {
        ok += (double)seconds[i].ok / (double)(to - from);
        failed = fmax(failed, (double)seconds[i].failed);
        p50 = fmax(p50, (double)seconds[i].p50);
        p99 = fmax(p99, (double)seconds[i].p99);
    }
    size_t n = series->count++;
    double x = ((double)from + (double)to) / 2;
    const struct second *last = &seconds[to - 1];
    series->ok[n] = (struct point){x, ok};
    series->failed[n] = (struct point){x, failed};
    series->p50[n] = (struct point){x, ok > 0 ? p50 : (double)NAN};
    series->p99[n] = (struct point){x, ok > 0 ? p99 : (double)NAN};
    series->in_flight[n] = (struct point){x, (double)last->in_flight};
    series->enrolled[n] = (struct point){x, (double)last->enrolled};
    series->rate_max = fmax(series->rate_max, fmax(ok, failed));
    series->enrolled_max = fmax(series->enrolled_max, (double)last->enrolled);
    series->in_flight_max = fmax(series->in_flight_max, (double)last->in_flight);
    if (ok > 0) {
        series->latency_min = series->has_latency ? fmin(series->latency_min, p50) : p50;
        series->latency_max = fmax(series->latency_max, p99);
        series->has_latency = true;
    }
}

static void gather(const struct results *results, struct over_time *series)
{
    size_t count = results->second_count;
    size_t points = count < SERIES_POINTS ? count : SERIES_POINTS;
    *series = (struct over_time){.seconds = (double)count,
                                 .step = (double)count / (double)(points > 0 ? points : 1)};
    for (size_t i = 0; i < points; i++) {
        add_point(series, results->seconds, i * count / points, (i + 1) * count / points);
    }
}

static struct chart time_chart(const struct over_time *series, const char *id, const char *title,
                               FILE *out)
{
    return (struct chart){.out = out,
                          .id = id,
                          .x = {0, series->seconds, false, format_seconds, {0}, 0, "time"},
                          .y = {0, 1, false, format_count, {0}, 0, title}};
}

static void put_rate_chart(const struct results *results, const struct over_time *series, FILE *out)
{
    static const struct legend legend[] = {{"s1", "answers ok"}, {"bad", "failures"}};
    char words[200];
    char rate[WORDS_SIZE];
    struct chart chart = time_chart(series, "rate", "per second", out);
    chart.y.to = axis_round_up(series->rate_max);
    words_number(results_rate(results), rate, sizeof rate);
    snprintf(words, sizeof words, "%s answers a second on average, %llu failures in all.", rate,
             (unsigned long long)results_failed(results));
    put_heading(out, "Rate and failures", legend, ARRAY_LEN(legend));
    chart_begin(&chart, "Rate and failures over time", words);
    chart_area(&chart, "s1", series->ok, series->count);
    chart_line(&chart, "s1", series->ok, series->count);
    for (size_t i = 0; i < series->count; i++) {
        double x = series->failed[i].x;
        if (series->failed[i].y > 0) {
            chart_bar(&chart, "bad", x - series->step * 0.45, x + series->step * 0.45,
                      series->failed[i].y);
        }
    }
    chart_end(&chart);
    fputs("</figure>\n", out);
}

static void put_latency_chart(const struct results *results, const struct over_time *series,
                              FILE *out)
{
    static const struct legend legend[] = {{"s1", "p50"}, {"s2", "p99"}};
    char words[256];
    if (!series->has_latency) {
        return;
    }
    struct chart chart = time_chart(series, "latency", "latency", out);
    chart.y.is_log = true;
    chart.y.format = format_duration;
    set_latency_range(&chart.y, series->latency_min, series->latency_max);
    describe_latency(&results->latency, words, sizeof words);
    put_heading(out, "Latency over time", legend, ARRAY_LEN(legend));
    chart_begin(&chart, "Latency over time", words);
    chart_line(&chart, "s2", series->p99, series->count);
    chart_line(&chart, "s1", series->p50, series->count);
    chart_end(&chart);
    fputs("</figure>\n", out);
}

static void put_count_chart(const struct over_time *series, const struct point *points, double max,
                            const char *id, const char *title, const char *axis, FILE *out)
{
    char words[120];
    struct chart chart = time_chart(series, id, axis, out);
    chart.y.to = axis_round_up(max);
    snprintf(words, sizeof words, "%.0f at the end, %.0f at most.", points[series->count - 1].y,
             max);
    put_heading(out, title, NULL, 0);
    chart_begin(&chart, title, words);
    chart_area(&chart, "s3", points, series->count);
    chart_line(&chart, "s3", points, series->count);
    chart_end(&chart);
    fputs("</figure>\n", out);
}

void page_charts(const struct results *results, FILE *out)
{
    if (histogram_count(&results->latency) > 0) {
        put_quantile_chart(results, out);
        put_histogram_chart(results, out);
    }
    struct over_time *series = calloc(1, sizeof *series);
    if (series == NULL || results->second_count == 0) {
        free(series);
        return;
    }
    gather(results, series);
    put_rate_chart(results, series, out);
    put_latency_chart(results, series, out);
    if (series->in_flight_max > 0) {
        put_count_chart(series, series->in_flight, series->in_flight_max, "flight",
                        "Requests in flight", "requests", out);
    }
    if (series->enrolled_max > 0) {
        put_count_chart(series, series->enrolled, series->enrolled_max, "enrolled",
                        "Agents enrolled", "agents", out);
    }
    free(series);
}
