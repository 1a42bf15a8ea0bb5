/* SPDX-License-Identifier: Apache-2.0 */
/* status/page.html with its places filled in. All of it is written anew for each second in which
 * somebody looks. */
#include "status_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "recent.h"
#include "status_internal.h"
#include "worker.h"

/* status/page.html, style.css, script.js */
extern const struct str status_page, status_style, status_script;

/* How long a member that left is missed. */
#define NEWS_TIME USEC_PER_HOUR

/* What the outermost buckets tell (METRIC_BUCKETS). */
enum { METRIC_FIRST_BOUND = 10, METRIC_LAST_BOUND = 60000000 };

/* ---- What several parts show ---- */

bool status_is_of_interest(const struct status_view *view, const struct member *member)
{
    struct metrics *metrics = counters_metrics(balancer_counters(view->balancer));
    if (health_state(member_health(member)) != HEALTH_ABSENT) {
        return true;
    }
    return member->changed_at > 0 && view->now - member->changed_at < NEWS_TIME &&
           metrics_value(metrics, member->counters.requests) > 0;
}

void status_put_since(struct status_view *view, const struct member *member)
{
    if (member->changed_at > 0) {
        html_put(&view->html, "for ");
        html_age(&view->html, view->now - member->changed_at);
    }
}

void status_put_time(struct status_view *view, usec_t wall, bool with_date)
{
    char text[32];
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, with_date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &parts);
    html_put(&view->html, text);
}

void status_put_cell(struct status_view *view, int64_t number)
{
    html_put(&view->html, "<td class=\"number\">");
    html_number(&view->html, number);
    html_put(&view->html, "</td>");
}

void status_put_latency(struct status_view *view, usec_t quantile)
{
    if (quantile <= METRIC_FIRST_BOUND) {
        html_printf(&view->html, "≤ %d µs", METRIC_FIRST_BOUND);
        return;
    }
    html_put(&view->html, quantile >= METRIC_LAST_BOUND ? "&gt; " : "");
    html_latency(&view->html, quantile);
}

void status_put_quantile(struct status_view *view, const uint64_t counts[METRIC_BUCKET_COUNT],
                         double quantile)
{
    usec_t duration = metrics_quantile(counts, quantile);
    html_put(&view->html, "<td class=\"number\">");
    if (duration > 0) {
        status_put_latency(view, duration);
    } else {
        html_put(&view->html, "–");
    }
    html_put(&view->html, "</td>");
}

void status_write_commands(struct status_view *view)
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

static void append_file(struct status_view *view, struct str file)
{
    int result = buffer_append(view->html.out, file);
    view->html.failure = view->html.failure == 0 ? result : view->html.failure;
}

static void write_style(struct status_view *view)
{
    append_file(view, status_style);
}

static void write_script(struct status_view *view)
{
    append_file(view, status_script);
}

static void write_place(struct status_view *view, struct str name)
{
    static const struct {
        const char *name;
        void (*write)(struct status_view *view);
    } places[] = {
        {"title", status_write_title},     {"style", write_style},
        {"clock", status_write_clock},     {"verdict", status_write_verdict},
        {"facts", status_write_facts},     {"tiles", status_write_tiles},
        {"members", status_write_members}, {"absent", status_write_absent},
        {"phases", status_write_phases},   {"numbers", status_write_numbers},
        {"reasons", status_write_reasons}, {"errors", status_write_errors},
        {"script", write_script},          {"commands", status_write_commands},
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
    struct status_view view = {
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
    for (size_t age = 0;
         age < STATUS_ERRORS_SHOWN && (error = recent_error_at(recent, age)) != NULL; age++) {
        if (call->count < call->total) {
            call->errors[call->count++] = *error;
        }
    }
}

void status_page_begin(struct admin_call *call)
{
    static const struct report report = {visit_worker, write_page};
    call->total = (size_t)STATUS_ERRORS_SHOWN * balancer_workers(call->balancer);
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
