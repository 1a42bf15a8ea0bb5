/* SPDX-License-Identifier: Apache-2.0 */
/* status/page.html with its places filled in. All of it is written anew for each second in which
 * somebody looks. */
#include "status_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "admin_call.h"
#include "base/check.h"
#include "history.h"
#include "html.h"
#include "recent.h"
#include "worker.h"

enum {
    ERRORS_SHOWN = 8,
    REASONS_SHOWN = 12,
    TROUBLED_SHOWN = 4,
    RATE_SAMPLES = 5, /* what "now" means: ten seconds */
};

/* status/page.html, style.css, script.js */
extern const struct str status_page, status_style, status_script;

struct view {
    struct html html;
    struct admin_call *call;
    struct balancer *balancer;
    const struct history *history;
    usec_t now;
};

/* ---- What is shown of which member ---- */

/* A port of the range that nobody ever had is no news. */
static bool is_of_interest(const struct view *view, const struct member *member)
{
    struct metrics *metrics = counters_metrics(balancer_counters(view->balancer));
    return health_state(member_health(member)) != HEALTH_ABSENT ||
           metrics_value(metrics, member->counters.requests) > 0;
}

static const char *state_meaning(enum health_state state)
{
    static const char *const meanings[HEALTH_WORDS] = {
        [HEALTH_UP] = "answers",
        [HEALTH_DOWN] = "listens, but fails its probes",
        [HEALTH_ABSENT] = "nobody listens",
        [HEALTH_EJECTED] = "failed too often in a row",
        [HEALTH_DRAINED] = "told to take nothing new",
        [HEALTH_DISABLED] = "taken out of use",
    };
    return meanings[state];
}

/* Never by its colour alone: the word stands beside it. */
static const char *state_style(enum health_state state)
{
    if (state == HEALTH_UP) {
        return "good";
    }
    return state == HEALTH_DRAINED || state == HEALTH_DISABLED ? "warn" : "bad";
}

static const char *state_sign(enum health_state state)
{
    static const char *const signs[HEALTH_WORDS] = {"●", "▼", "○", "✕", "◐", "–"};
    return signs[state];
}

/* ---- The verdict ---- */

struct counted {
    size_t known, usable, best; /* `best`: USABLE, not only as a last resort */
};

static struct counted count_members(const struct view *view)
{
    const struct range *range = view->call->range;
    struct counted counted = {.usable = range_usable(range)};
    for (size_t i = 0; i < range_count(range); i++) {
        const struct member *member = range_at(range, i);
        counted.known += is_of_interest(view, member);
        counted.best += health_usability(member_health(member)) == USABLE;
    }
    return counted;
}

enum mood { GOOD, WARN, BAD };

static enum mood judge(const struct view *view, const struct counted *counted)
{
    if (counted->usable == 0 || counted->best == 0) {
        return BAD;
    }
    return balancer_is_stopping(view->balancer) || counted->usable < counted->known ? WARN : GOOD;
}

static void put_sentence(struct view *view, const struct counted *counted)
{
    struct html *html = &view->html;
    int64_t in_flight = counters_value(balancer_counters(view->balancer), COUNTER_IN_FLIGHT);
    if (balancer_is_stopping(view->balancer)) {
        html_put(html, "Stopping: ");
        html_number(html, in_flight);
        html_put(html,
                 in_flight == 1 ? " request is being finished" : " requests are being finished");
    } else if (counted->usable == 0) {
        html_put(html, "No member can be used");
    } else if (counted->best == 0) {
        html_put(html, "No member is well: requests go to those that are there");
    } else if (counted->usable < counted->known) {
        html_printf(html, "%zu of %zu members usable", counted->usable, counted->known);
    } else if (counted->known == 1) {
        html_put(html, "The only member is usable");
    } else {
        html_printf(html, "All %zu members usable", counted->known);
    }
}

static void write_title(struct view *view)
{
    struct counted counted = count_members(view);
    put_sentence(view, &counted);
    html_put(&view->html, " · Portico balancer");
}

static void put_since(struct view *view, const struct member *member)
{
    if (member->changed_at > 0) {
        html_put(&view->html, " for ");
        html_age(&view->html, view->now - member->changed_at);
    }
}

/* The first members that are not up, in words. */
static void put_troubled(struct view *view)
{
    struct html *html = &view->html;
    size_t count = 0;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        enum health_state state = health_state(member_health(member));
        if (state == HEALTH_UP || !is_of_interest(view, member) || ++count > TROUBLED_SHOWN) {
            continue;
        }
        html_put(html, count == 1 ? "<p>" : "; ");
        html_text(html, str_from(member->name));
        html_printf(html, " is %s", health_state_word(state));
        put_since(view, member);
    }
    if (count > TROUBLED_SHOWN) {
        html_printf(html, "; and %zu more", count - TROUBLED_SHOWN);
    }
    html_put(html, count > 0 ? ".</p>" : "");
}

static void write_verdict(struct view *view)
{
    static const char *const styles[] = {[GOOD] = "good", [WARN] = "warn", [BAD] = "bad"};
    static const char *const signs[] = {
        [GOOD] = "<circle cx=\"12\" cy=\"12\" r=\"10\"/><path d=\"M7.5 12.5l3 3 6-6.5\"/>",
        [WARN] = "<path d=\"M12 3L22.5 21H1.5z\"/><path d=\"M12 10v4.5M12 17.6v.1\"/>",
        [BAD] = "<circle cx=\"12\" cy=\"12\" r=\"10\"/><path d=\"M8.5 8.5l7 7M15.5 8.5l-7 7\"/>",
    };
    struct counted counted = count_members(view);
    enum mood mood = judge(view, &counted);
    html_printf(&view->html,
                "<div class=\"verdict %s\"><svg viewBox=\"0 0 24 24\" "
                "aria-hidden=\"true\">%s</svg><div><h1>",
                styles[mood], signs[mood]);
    put_sentence(view, &counted);
    html_put(&view->html, "</h1>");
    put_troubled(view);
    html_put(&view->html, "</div></div>");
}

/* ---- Facts ---- */

static void put_time(struct view *view, usec_t wall, bool with_date)
{
    char text[32];
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, with_date ? "%Y-%m-%d %H:%M:%S UTC" : "%H:%M:%S UTC", &parts);
    html_put(&view->html, text);
}

static void write_clock(struct view *view)
{
    put_time(view, clock_wall(&clock_system), false);
}

static void put_reload(struct view *view)
{
    const struct balancer_reloaded *reloaded = balancer_reloaded(view->balancer);
    struct html *html = &view->html;
    if (reloaded->wall == 0) {
        html_put(html, "<span>configuration as at the start</span>");
        return;
    }
    html_put(html, reloaded->code < 0 ? "<span class=\"bad\">✕ reload of " : "<span>reloaded ");
    put_time(view, reloaded->wall, true);
    if (reloaded->code < 0) {
        html_put(html, " refused: ");
        html_text(html, str_from(reloaded->words));
    }
    html_put(html, "</span>");
}

static void write_facts(struct view *view)
{
    struct html *html = &view->html;
    unsigned workers = balancer_workers(view->balancer);
    html_put(html, "<span>version " PORTICO_VERSION "</span><span>up ");
    html_age(html, balancer_uptime(view->balancer));
    html_printf(html, "</span><span>process %ld</span><span>%u worker%s</span>", (long)getpid(),
                workers, workers == 1 ? "" : "s");
    put_reload(view);
}

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

static double largest(const struct view *view, chart_value *value)
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

enum { CHART_WIDTH = HISTORY_SAMPLES - 2, CHART_HEIGHT = 40, CHART_TOP = 4 };

/* The oldest on the left; what is not known yet is left empty. */
static void put_points(struct view *view, chart_value *value, double most)
{
    size_t age = HISTORY_SAMPLES - 1;
    while (age > 0 && history_at(view->history, age) == NULL) {
        age--;
    }
    for (; age > 0; age--) {
        double here = value(history_at(view->history, age - 1), history_at(view->history, age));
        double y = most > 0 ? (CHART_HEIGHT - 1) - here / most * (CHART_HEIGHT - 1 - CHART_TOP)
                            : CHART_HEIGHT - 1;
        html_printf(&view->html, "L%zu %.1f", (size_t)CHART_WIDTH - (age - 1), y);
    }
}

static size_t chart_start(const struct view *view)
{
    size_t count = 0;
    while (history_at(view->history, count) != NULL) {
        count++;
    }
    return count < 2 ? CHART_WIDTH : CHART_WIDTH - (count - 2);
}

/* The line, and the same closed along the bottom. */
static void put_chart(struct view *view, chart_value *value)
{
    struct html *html = &view->html;
    double most = largest(view, value);
    size_t start = chart_start(view);
    html_printf(html,
                "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
                CHART_WIDTH, CHART_HEIGHT);
    html_printf(html, "<path class=\"area\" d=\"M%zu %d", start, CHART_HEIGHT);
    put_points(view, value, most);
    /* A path of lines begins with a move: to where the first of them leads anyway. */
    html_printf(html, "V%dz\"/><path class=\"line\" d=\"M%zu %d", CHART_HEIGHT, start,
                CHART_HEIGHT - 1);
    put_points(view, value, most);
    html_put(html, "\"/></svg>");
}

/* The newest sample, and one that is about ten seconds older. */
static void now_and_before(const struct view *view, const struct history_sample **now,
                           const struct history_sample **before)
{
    size_t age = RATE_SAMPLES;
    while (age > 0 && history_at(view->history, age) == NULL) {
        age--;
    }
    *now = history_at(view->history, 0);
    *before = history_at(view->history, age);
}

static double recent_rate(const struct view *view, chart_value *value)
{
    const struct history_sample *now, *before;
    now_and_before(view, &now, &before);
    return now->at > before->at ? value(now, before) : 0;
}

static void begin_tile(struct view *view, const char *title, const char *style)
{
    html_printf(&view->html, "<div class=\"tile%s\"><h2>%s</h2><p class=\"value\">", style, title);
}

static void end_tile(struct view *view, chart_value *value)
{
    html_put(&view->html, "</p>");
    put_chart(view, value);
    html_put(&view->html, "</div>");
}

static void put_request_tile(struct view *view)
{
    struct html *html = &view->html;
    begin_tile(view, "Requests per second", "");
    html_rate(html, recent_rate(view, requests_of));
    html_put(html, "</p><p class=\"note\">at most ");
    html_rate(html, largest(view, requests_of));
    html_put(html, " in five minutes");
    end_tile(view, requests_of);
}

static void put_error_tile(struct view *view)
{
    struct html *html = &view->html;
    begin_tile(view, "Answers of 5xx per second", " bad-line");
    html_rate(html, recent_rate(view, errors_of));
    html_put(html, "</p><p class=\"note\">refused or failed: ");
    html_rate(html, recent_rate(view, refused_of));
    html_put(html, " per second");
    end_tile(view, errors_of);
}

static void put_latency_tile(struct view *view)
{
    struct html *html = &view->html;
    const struct history_sample *now, *before;
    uint64_t counts[METRIC_BUCKET_COUNT];
    now_and_before(view, &now, &before);
    bool is_known = buckets_between(now, before, REQUEST_TOTAL, counts);
    begin_tile(view, "Latency, p99", "");
    if (is_known) {
        html_latency(html, metrics_quantile(counts, 0.99));
        html_put(html, "</p><p class=\"note\">half are within ");
        html_latency(html, metrics_quantile(counts, 0.5));
    } else {
        html_put(html, "–</p><p class=\"note\">no request in ten seconds");
    }
    end_tile(view, latency_of);
}

static void put_connection_tile(struct view *view)
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

static void write_tiles(struct view *view)
{
    put_request_tile(view);
    put_error_tile(view);
    put_latency_tile(view);
    put_connection_tile(view);
}

/* ---- Members ---- */

static void put_cell(struct view *view, int64_t number)
{
    html_put(&view->html, "<td class=\"number\">");
    html_number(&view->html, number);
    html_put(&view->html, "</td>");
}

static void put_share(struct view *view, double share)
{
    if (share < 0) {
        html_put(&view->html, "<td>–</td>");
        return;
    }
    html_printf(&view->html,
                "<td class=\"nowrap\"><svg class=\"share\" viewBox=\"0 0 100 10\" "
                "preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                "<path class=\"whole\" d=\"M0 0h100v10H0z\"/>"
                "<path class=\"part\" d=\"M0 0h%.1fv10H0z\"/></svg>%.*f %%</td>",
                share * 100, share < 0.0995 ? 1 : 0, share * 100);
}

static void put_quantile(struct view *view, const uint64_t counts[METRIC_BUCKET_COUNT],
                         double quantile)
{
    usec_t duration = metrics_quantile(counts, quantile);
    html_put(&view->html, "<td class=\"number\">");
    if (duration > 0) {
        html_latency(&view->html, duration);
    } else {
        html_put(&view->html, "–");
    }
    html_put(&view->html, "</td>");
}

static void put_failures(struct view *view, const struct member *member)
{
    static const struct {
        enum outcome outcome;
        const char *words;
    } kinds[] = {
        {OUTCOME_REFUSED, "not listening"}, {OUTCOME_UNREACHED, "not reached"},
        {OUTCOME_BROKEN, "broken off"},     {OUTCOME_SILENT, "silent"},
        {OUTCOME_ERROR, "said 5xx"},
    };
    struct html *html = &view->html;
    bool has_some = false;
    html_put(html, "<td>");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        unsigned count = atomic_load(&member->outcomes[kinds[i].outcome]);
        if (count > 0) {
            html_put(html, has_some ? ", " : "");
            html_number(html, count);
            html_printf(html, " %s", kinds[i].words);
            has_some = true;
        }
    }
    html_put(html, has_some ? "</td>" : "0</td>");
}

static void put_state(struct view *view, const struct member *member)
{
    struct html *html = &view->html;
    enum health_state state = health_state(member_health(member));
    html_printf(html,
                "<td><span class=\"state %s\"><span aria-hidden=\"true\">%s</span> %s</span>"
                "<small>%s",
                state_style(state), state_sign(state), health_state_word(state),
                state_meaning(state));
    put_since(view, member);
    html_put(html, "</small></td>");
}

static void put_member(struct view *view, size_t index, const struct history_member *recent,
                       double share)
{
    const struct member *member = range_at(view->call->range, index);
    struct html *html = &view->html;
    struct metrics *metrics = counters_metrics(balancer_counters(view->balancer));
    html_put(html, "<tr><th scope=\"row\">");
    html_text(html, str_from(member->name));
    html_put(html, "</th>");
    put_state(view, member);
    put_cell(view, atomic_load(&member->in_flight));
    put_share(view, share);
    put_cell(view, metrics_value(metrics, member->counters.requests));
    put_quantile(view, recent->waits, 0.5);
    put_quantile(view, recent->waits, 0.99);
    put_failures(view, member);
    put_cell(view, (int64_t)view->call->pooled[index]);
    html_put(html, "<td class=\"number\">");
    if (member->probe_time > 0) {
        html_latency(html, member->probe_time);
    } else {
        html_put(html, "–");
    }
    html_put(html, "</td></tr>\n");
}

/* Requests of the last minute to all members that are shown. */
static int64_t sum_requests(const struct view *view)
{
    struct history_member recent;
    size_t from = 0;
    int64_t sum = 0;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        history_member(view->history, range_at(view->call->range, i), &from, &recent);
        sum += recent.requests;
    }
    return sum;
}

static void write_members(struct view *view)
{
    struct history_member recent;
    int64_t sum = sum_requests(view);
    size_t from = 0;
    bool has_some = false;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        if (is_of_interest(view, member)) {
            history_member(view->history, member, &from, &recent);
            put_member(view, i, &recent, sum > 0 ? (double)recent.requests / (double)sum : -1);
            has_some = true;
        }
    }
    if (!has_some) {
        html_put(&view->html, "<tr><td colspan=\"10\">Nobody listens at any of the members' "
                              "ports.</td></tr>");
    }
}

/* "HOST:" of "HOST:PORT". */
static struct str host_of(const struct member *member)
{
    struct str name = str_from(member->name);
    size_t end = name.len;
    while (end > 0 && name.data[end - 1] != ':') {
        end--;
    }
    return str_first(name, end);
}

static bool follows(const struct member *before, const struct member *member)
{
    return before != NULL && str_equal(host_of(before), host_of(member)) &&
           address_port(&before->address) + 1 == address_port(&member->address);
}

static size_t count_absent(const struct view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        count += !is_of_interest(view, range_at(view->call->range, i));
    }
    return count;
}

static void put_run_end(struct view *view, const struct member *first, const struct member *last)
{
    if (last != NULL && last != first) {
        html_printf(&view->html, "–%u", (unsigned)address_port(&last->address));
    }
}

/* "a:8084–8099, b:8080" */
static void put_absent(struct view *view)
{
    const struct member *first = NULL, *last = NULL;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        if (is_of_interest(view, member)) {
            continue;
        }
        if (!follows(last, member)) {
            put_run_end(view, first, last);
            html_put(&view->html, first == NULL ? "" : ", ");
            html_text(&view->html, str_from(member->name));
            first = member;
        }
        last = member;
    }
    put_run_end(view, first, last);
}

static void write_absent(struct view *view)
{
    size_t count = count_absent(view);
    if (count > 0) {
        html_printf(&view->html,
                    "<details><summary>%zu more port%s where nobody listens</summary><p>", count,
                    count == 1 ? "" : "s");
        put_absent(view);
        html_put(&view->html, "</p></details>");
    }
}

/* ---- Latency and connections ---- */

static void write_phases(struct view *view)
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
        put_quantile(view, counts, 0.5);
        put_quantile(view, counts, 0.9);
        put_quantile(view, counts, 0.99);
        html_put(&view->html, "</tr>");
    }
}

static void put_number_row(struct view *view, const char *name, int64_t number)
{
    html_printf(&view->html, "<tr><th scope=\"row\">%s</th>", name);
    put_cell(view, number);
    html_put(&view->html, "</tr>");
}

static void put_share_row(struct view *view, const char *name, int64_t part, int64_t whole)
{
    html_printf(&view->html, "<tr><th scope=\"row\">%s</th><td class=\"number\">", name);
    if (whole > 0) {
        html_printf(&view->html, "%.1f %%", 100.0 * (double)part / (double)whole);
    } else {
        html_put(&view->html, "–");
    }
    html_put(&view->html, "</td></tr>");
}

static void write_numbers(struct view *view)
{
    struct counters *counters = balancer_counters(view->balancer);
    int64_t hits = counters_value(counters, COUNTER_POOL_HITS);
    int64_t handshakes = counters_value(counters, COUNTER_TLS_HANDSHAKES);
    put_number_row(view, "Clients, between two requests", counters_value(counters, COUNTER_IDLE));
    put_number_row(view, "Clients accepted since the start",
                   counters_value(counters, COUNTER_ACCEPTED));
    put_number_row(view, "To members", counters_value(counters, COUNTER_MEMBER_CONNECTIONS));
    put_number_row(view, "To members, kept for the next request",
                   counters_value(counters, COUNTER_POOLED));
    put_share_row(view, "Requests sent on a kept one", hits,
                  hits + counters_value(counters, COUNTER_POOL_MISSES));
    put_number_row(view, "Requests tried at another member",
                   counters_value(counters, COUNTER_RETRIES));
    if (handshakes + counters_value(counters, COUNTER_TLS_FAILURES) > 0) {
        put_share_row(view, "TLS handshakes that resumed",
                      counters_value(counters, COUNTER_TLS_RESUMED), handshakes);
        put_number_row(view, "TLS handshakes that failed",
                       counters_value(counters, COUNTER_TLS_FAILURES));
    }
    if (counters_value(counters, COUNTER_LOG_DROPPED) > 0) {
        put_number_row(view, "Access log lines dropped",
                       counters_value(counters, COUNTER_LOG_DROPPED));
    }
}

/* ---- Refused requests ---- */

struct rejected {
    enum reason reason;
    int64_t count;
};

static int most_first(const void *a, const void *b)
{
    int64_t count = ((const struct rejected *)a)->count;
    int64_t other = ((const struct rejected *)b)->count;
    return (count < other) - (count > other);
}

static size_t gather_rejected(const struct view *view, struct rejected rejected[REASON_COUNT])
{
    size_t count = 0;
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        int64_t number =
            reason_is_error(i) ? counters_rejected(balancer_counters(view->balancer), i) : 0;
        if (number > 0) {
            rejected[count++] = (struct rejected){.reason = i, .count = number};
        }
    }
    qsort(rejected, count, sizeof *rejected, most_first);
    return count;
}

static void put_rejected(struct view *view, const struct rejected *rejected)
{
    unsigned status = reason_status(rejected->reason);
    html_put(&view->html, "<tr><th scope=\"row\"><code>");
    html_put(&view->html, reason_code(rejected->reason));
    html_put(&view->html, "</code></th><td>");
    html_text(&view->html, str_from(reason_sentence(rejected->reason)));
    if (status > 0) {
        html_printf(&view->html, "</td><td class=\"number\">%u</td>", status);
    } else {
        html_put(&view->html, "</td><td class=\"number\">–</td>");
    }
    put_cell(view, rejected->count);
    html_put(&view->html, "</tr>");
}

static void write_reasons(struct view *view)
{
    struct rejected rejected[REASON_COUNT];
    size_t count = gather_rejected(view, rejected);
    if (count == 0) {
        html_put(&view->html, "<p class=\"quiet\">Every request got its whole answer.</p>");
        return;
    }
    html_put(&view->html,
             "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"refused\">"
             "<table><thead><tr><th scope=\"col\">Reason</th><th scope=\"col\">Meaning</th>"
             "<th scope=\"col\" class=\"number\">Status</th>"
             "<th scope=\"col\" class=\"number\">Since the start</th></tr></thead><tbody>");
    for (size_t i = 0; i < count && i < REASONS_SHOWN; i++) {
        put_rejected(view, &rejected[i]);
    }
    html_put(&view->html, "</tbody></table></div>");
    if (count > REASONS_SHOWN) {
        html_printf(&view->html, "<p class=\"note\">And %zu rarer reasons: see /metrics.</p>",
                    count - REASONS_SHOWN);
    }
}

static void put_error(struct view *view, const struct recent_error *error)
{
    const struct recent_request *request = &error->request;
    struct html *html = &view->html;
    html_put(html, "<tr><td class=\"nowrap\">");
    put_time(view, request->wall, false);
    html_put(html, "</td><td class=\"nowrap\">");
    html_text(html, str_from(request->client));
    html_put(html, "</td><td class=\"request\"><code>");
    html_text(html, str_from(request->text[0] == '\0' ? "(not understood)" : request->text));
    html_put(html, "</code></td><td>");
    html_text(html, str_from(reason_sentence(request->reason)));
    html_printf(html, "<small>%s, byte %lu</small></td></tr>", reason_code(request->reason),
                (unsigned long)error->offset);
}

static void write_errors(struct view *view)
{
    const struct admin_call *call = view->call;
    if (call->count == 0) {
        html_put(&view->html, "<p class=\"quiet\">None is remembered.</p>");
        return;
    }
    html_put(&view->html,
             "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"last\">"
             "<table><thead><tr><th scope=\"col\">Time</th><th scope=\"col\">Client</th>"
             "<th scope=\"col\">Request</th><th scope=\"col\">Why</th></tr></thead><tbody>");
    for (size_t i = 0; i < call->count && i < ERRORS_SHOWN; i++) {
        put_error(view, &call->errors[i]);
    }
    html_put(&view->html, "</tbody></table></div><p class=\"note\">With the bytes in question: "
                          "<code>portico balancer show errors</code></p>");
}

static void write_commands(struct view *view)
{
    for (enum admin_command i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        html_put(&view->html, "<dt><code>");
        html_text(&view->html, str_from(admin_command_words(i)));
        html_put(&view->html, " ");
        html_text(&view->html, str_from(admin_command_synopsis(i)));
        html_put(&view->html, "</code></dt><dd>");
        html_text(&view->html, str_from(admin_command_meaning(i)));
        html_put(&view->html, "</dd>\n");
    }
}

/* ---- The page ---- */

static void append_file(struct view *view, struct str file)
{
    int result = buffer_append(view->html.out, file);
    view->html.failure = view->html.failure == 0 ? result : view->html.failure;
}

static void write_style(struct view *view)
{
    append_file(view, status_style);
}

static void write_script(struct view *view)
{
    append_file(view, status_script);
}

static void write_place(struct view *view, struct str name)
{
    static const struct {
        const char *name;
        void (*write)(struct view *view);
    } places[] = {
        {"title", write_title},     {"style", write_style},       {"clock", write_clock},
        {"verdict", write_verdict}, {"facts", write_facts},       {"tiles", write_tiles},
        {"members", write_members}, {"absent", write_absent},     {"phases", write_phases},
        {"numbers", write_numbers}, {"reasons", write_reasons},   {"errors", write_errors},
        {"script", write_script},   {"commands", write_commands},
    };
    size_t i = 0;
    while (i < ARRAY_LEN(places) && !str_equal(name, str_from(places[i].name))) {
        i++;
    }
    CHECK(i < ARRAY_LEN(places));
    places[i].write(view);
}

/* The file has pairs of braces for its places only. */
static void write_page(struct admin_call *call)
{
    struct view view = {
        .html = {.out = &call->answer.out},
        .call = call,
        .balancer = call->balancer,
        .history = call->history,
        .now = loop_now(balancer_loop(call->balancer)),
    };
    qsort(call->errors, call->count, sizeof *call->errors, recent_newest_first);
    struct str rest = status_page;
    while (rest.len > 0) {
        size_t open = 0;
        while (open < rest.len && !str_starts_with(str_skip(rest, open), STR("{{"))) {
            open++;
        }
        append_file(&view, str_first(rest, open));
        rest = str_skip(rest, open + 2);
        size_t close = str_find(rest, '}');
        if (close < rest.len) {
            write_place(&view, str_first(rest, close));
        }
        rest = str_skip(rest, close + 2);
    }
    call->answer.failure = view.html.failure;
}

/* ---- Asking the workers ---- */

static void visit_worker(struct admin_call *call, struct worker *worker)
{
    const struct recent *recent = worker_recent(worker);
    const struct recent_error *error;
    for (size_t i = 0; i < range_count(call->range); i++) {
        call->pooled[i] += worker_pooled(worker, range_at(call->range, i));
    }
    for (size_t age = 0; age < ERRORS_SHOWN && (error = recent_error_at(recent, age)) != NULL;
         age++) {
        if (call->count < call->total) {
            call->errors[call->count++] = *error;
        }
    }
}

void status_page_begin(struct admin_call *call)
{
    static const struct report report = {visit_worker, write_page};
    call->total = (size_t)ERRORS_SHOWN * balancer_workers(call->balancer);
    call->range = range_ref(balancer_range(call->balancer));
    call->pooled = calloc(range_count(call->range) + 1, sizeof *call->pooled);
    call->errors = calloc(call->total + 1, sizeof *call->errors);
    if (call->pooled == NULL || call->errors == NULL) {
        admin_fail(&call->answer, "there is no memory");
        return;
    }
    admin_call_ask(call, &report);
}

/* ---- Its policy ---- */

enum { DIGEST_TEXT_SIZE = 48 };

static void digest(struct str file, char out[DIGEST_TEXT_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len;
    CHECK(EVP_Digest(file.data, file.len, bytes, &len, EVP_sha256(), NULL) == 1);
    CHECK(EVP_EncodeBlock((unsigned char *)out, bytes, (int)len) < DIGEST_TEXT_SIZE);
}

void status_page_policy(char out[STATUS_PAGE_POLICY_SIZE])
{
    char style[DIGEST_TEXT_SIZE], script[DIGEST_TEXT_SIZE];
    digest(status_style, style);
    digest(status_script, script);
    int len = snprintf(out, STATUS_PAGE_POLICY_SIZE,
                       "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; "
                       "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'",
                       style, script);
    CHECK(len > 0 && len < STATUS_PAGE_POLICY_SIZE);
}
