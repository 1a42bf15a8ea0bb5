/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the last minutes: four tiles with charts, and latencies by phase. */
#include "status_internal.h"

enum { RATE_SAMPLES = 5 }; /* what "now" means: ten seconds */

/* ---- Tiles ---- */

/* Of a sample and the one before it; negative: not known. */
typedef double chart_value(const struct history_sample *sample,
                           const struct history_sample *before);

static double per_second(int64_t more, const struct history_sample *sample,
                         const struct history_sample *before)
{
    return (double)more * 1e6 / (double)(sample->at - before->at);
}

static double requests_of(const struct history_sample *sample, const struct history_sample *before)
{
    return per_second(sample->requests - before->requests, sample, before);
}

static double errors_of(const struct history_sample *sample, const struct history_sample *before)
{
    return per_second(sample->errors - before->errors, sample, before);
}

static double refused_of(const struct history_sample *sample, const struct history_sample *before)
{
    return per_second(sample->refused - before->refused, sample, before);
}

static double connections_of(const struct history_sample *sample,
                             const struct history_sample *before)
{
    (void)before;
    return (double)sample->connections;
}

/* False: nothing was observed between the two. */
static bool buckets_between(const struct history_sample *sample,
                            const struct history_sample *before, enum request_phase phase,
                            uint64_t counts[METRIC_BUCKET_COUNT])
{
    uint64_t total = 0;
    for (size_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        counts[i] = sample->phases[phase][i] - before->phases[phase][i];
        total += counts[i];
    }
    return total > 0;
}

static double latency_of(const struct history_sample *sample, const struct history_sample *before)
{
    uint64_t counts[METRIC_BUCKET_COUNT];
    bool is_known = buckets_between(sample, before, REQUEST_TOTAL, counts);
    return is_known ? (double)metrics_quantile(counts, 0.99) : 0;
}

static double largest(const struct status_view *view, chart_value *value)
{
    double most = 0;
    const struct history_sample *sample = history_at(view->history, 0);
    const struct history_sample *before;
    for (size_t age = 1; (before = history_at(view->history, age)) != NULL; age++) {
        double here = value(sample, before);
        most = here > most ? here : most;
        sample = before;
    }
    return most;
}

enum { CHART_WIDTH = 300, CHART_HEIGHT = 40, CHART_TOP = 4 };

static size_t count_steps(const struct status_view *view)
{
    size_t count = 0;
    while (history_at(view->history, count + 1) != NULL) {
        count++;
    }
    return count;
}

/* From the oldest on the left, over the whole width however few they are. */
static void put_points(struct status_view *view, chart_value *value, size_t steps, double most)
{
    for (size_t age = steps; age > 0; age--) {
        double here = value(history_at(view->history, age - 1), history_at(view->history, age));
        double x = (double)CHART_WIDTH * (double)(steps - age) / (double)(steps - 1);
        double y = CHART_HEIGHT - here / most * (CHART_HEIGHT - CHART_TOP);
        html_printf(&view->html, "%s%.1f %.1f", age == steps ? "" : "L", x, y);
    }
}

/* The line, and the same closed along the bottom. Nothing to see is nothing. */
static void put_chart(struct status_view *view, chart_value *value)
{
    struct html *html = &view->html;
    double most = largest(view, value);
    size_t steps = count_steps(view);
    html_printf(html,
                "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
                CHART_WIDTH, CHART_HEIGHT);
    if (steps > 1 && most > 0) {
        html_put(html, "<path class=\"area\" d=\"M");
        put_points(view, value, steps, most);
        html_printf(html, "V%dH0z\"/><path class=\"line\" d=\"M", CHART_HEIGHT);
        put_points(view, value, steps, most);
        html_put(html, "\"/>");
    }
    html_put(html, "</svg>");
}

/* The newest sample, and one that is about ten seconds older. */
static void now_and_before(const struct status_view *view, const struct history_sample **now,
                           const struct history_sample **before)
{
    size_t age = RATE_SAMPLES;
    while (age > 0 && history_at(view->history, age) == NULL) {
        age--;
    }
    *now = history_at(view->history, 0);
    *before = history_at(view->history, age);
}

static double recent_rate(const struct status_view *view, chart_value *value)
{
    const struct history_sample *now, *before;
    now_and_before(view, &now, &before);
    return now->at > before->at ? value(now, before) : 0;
}

static void begin_tile(struct status_view *view, const char *title, const char *style)
{
    html_printf(&view->html, "<div class=\"tile%s\"><h2>%s</h2><p class=\"value\">", style, title);
}

static void end_tile(struct status_view *view, chart_value *value)
{
    html_put(&view->html, "</p>");
    put_chart(view, value);
    html_put(&view->html, "</div>");
}

static void put_request_tile(struct status_view *view)
{
    struct html *html = &view->html;
    begin_tile(view, "Requests per second", "");
    html_rate(html, recent_rate(view, requests_of));
    html_put(html, "</p><p class=\"note\">at most ");
    html_rate(html, largest(view, requests_of));
    html_put(html, " in ");
    html_age(html,
             history_at(view->history, 0)->at - history_at(view->history, count_steps(view))->at);
    end_tile(view, requests_of);
}

static void put_error_tile(struct status_view *view)
{
    struct html *html = &view->html;
    begin_tile(view, "Answers of 5xx per second", " bad-line");
    html_rate(html, recent_rate(view, errors_of));
    html_put(html, "</p><p class=\"note\">refused or failed: ");
    html_rate(html, recent_rate(view, refused_of));
    html_put(html, " per second");
    end_tile(view, errors_of);
}

static void put_latency_tile(struct status_view *view)
{
    struct html *html = &view->html;
    const struct history_sample *now, *before;
    uint64_t counts[METRIC_BUCKET_COUNT];
    now_and_before(view, &now, &before);
    bool is_known = buckets_between(now, before, REQUEST_TOTAL, counts);
    begin_tile(view, "Latency, p99", "");
    if (is_known) {
        status_put_latency(view, metrics_quantile(counts, 0.99));
        html_put(html, "</p><p class=\"note\">half are within ");
        status_put_latency(view, metrics_quantile(counts, 0.5));
    } else {
        html_put(html, "–</p><p class=\"note\">no request in ten seconds");
    }
    end_tile(view, latency_of);
}

static void put_connection_tile(struct status_view *view)
{
    struct html *html = &view->html;
    struct counters *counters = balancer_counters(view->balancer);
    begin_tile(view, "Client connections", "");
    html_number(html, counters_value(counters, COUNTER_CONNECTIONS));
    html_put(html, "</p><p class=\"note\">");
    html_number(html, counters_value(counters, COUNTER_IN_FLIGHT));
    html_put(html, " at members, ");
    html_number(html, counters_value(counters, COUNTER_QUEUED));
    html_put(html, " waiting for one");
    end_tile(view, connections_of);
}

void status_write_tiles(struct status_view *view)
{
    put_request_tile(view);
    put_error_tile(view);
    put_latency_tile(view);
    put_connection_tile(view);
}

/* ---- Phases ---- */

void status_write_phases(struct status_view *view)
{
    static const char *const meanings[REQUEST_COUNT] = {
        [REQUEST_RECEIVE] = "the request comes in",
        [REQUEST_QUEUE] = "waiting for a member with room",
        [REQUEST_CONNECT] = "a new connection to it",
        [REQUEST_WAIT] = "until its answer begins",
        [REQUEST_TOTAL] = "the whole request",
    };
    uint64_t counts[METRIC_BUCKET_COUNT];
    size_t age = HISTORY_SAMPLES - 1;
    while (history_at(view->history, age) == NULL) {
        age--;
    }
    for (enum request_phase i = 0; i < REQUEST_COUNT; i++) {
        bool is_known = buckets_between(history_at(view->history, 0),
                                        history_at(view->history, age), i, counts);
        (void)is_known; /* without observations there are no quantiles */
        html_printf(&view->html, "<tr><th scope=\"row\">%s<small>%s</small></th>",
                    request_phase_name(i), meanings[i]);
        status_put_quantile(view, counts, 0.5);
        status_put_quantile(view, counts, 0.9);
        status_put_quantile(view, counts, 0.99);
        html_put(&view->html, "</tr>");
    }
}
