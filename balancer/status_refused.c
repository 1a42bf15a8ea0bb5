/* SPDX-License-Identifier: Apache-2.0 */
/* What was refused or failed, and the counts of connections. */
#include "status_internal.h"

#include <stdlib.h>

#include "recent.h"

enum { REASONS_SHOWN = 12, EXCERPT_SHOWN = 64 };

/* ---- Connections ---- */

static void put_number_row(struct status_view *view, const char *name, int64_t number)
{
    html_printf(&view->html, "<tr><th scope=\"row\">%s</th>", name);
    status_put_cell(view, number);
    html_put(&view->html, "</tr>");
}

static void put_share_row(struct status_view *view, const char *name, int64_t part, int64_t whole)
{
    html_printf(&view->html, "<tr><th scope=\"row\">%s</th><td class=\"number\">", name);
    if (whole > 0) {
        html_printf(&view->html, "%.1f %%", 100.0 * (double)part / (double)whole);
    } else {
        html_put(&view->html, "–");
    }
    html_put(&view->html, "</td></tr>");
}

void status_write_numbers(struct status_view *view)
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

static size_t gather_rejected(const struct status_view *view,
                              struct rejected rejected[REASON_COUNT])
{
    size_t count = 0;
    for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        int64_t number =
            reason_is_error(i) ? counters_rejected(balancer_counters(view->balancer), i) : 0;
        if (number > 0) {
            rejected[count] = (struct rejected){.reason = i, .count = number};
            count++;
        }
    }
    qsort(rejected, count, sizeof *rejected, most_first);
    return count;
}

static void put_rejected(struct status_view *view, const struct rejected *rejected)
{
    unsigned status = reason_status(rejected->reason);
    html_put(&view->html, "<tr><th scope=\"row\" class=\"nowrap\"><code>");
    html_put(&view->html, reason_code(rejected->reason));
    html_put(&view->html, "</code></th><td>");
    html_text(&view->html, str_from(reason_sentence(rejected->reason)));
    if (status > 0) {
        html_printf(&view->html, "</td><td class=\"number\">%u</td>", status);
    } else {
        html_put(&view->html, "</td><td class=\"number\">–</td>");
    }
    status_put_cell(view, rejected->count);
    html_put(&view->html, "</tr>");
}

void status_write_reasons(struct status_view *view)
{
    struct rejected rejected[REASON_COUNT];
    size_t count = gather_rejected(view, rejected);
    if (count == 0) {
        html_put(&view->html, "<p class=\"quiet\">Every request got its whole answer.</p>");
        return;
    }
    html_put(&view->html,
             "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"refused\">"
             "<table class=\"wide\"><thead><tr><th scope=\"col\">Reason</th><th "
             "scope=\"col\">Meaning</th>"
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

/* Of what was not understood even as far as its method and target: the bytes around the place. */
static void put_excerpt(struct status_view *view, const struct recent_error *error)
{
    struct str excerpt = str_make((const char *)error->excerpt, error->excerpt_len);
    size_t place = error->offset - error->excerpt_at;
    size_t first = place > EXCERPT_SHOWN / 2 ? place - EXCERPT_SHOWN / 2 : 0;
    html_text(&view->html, str_first(str_skip(excerpt, first), EXCERPT_SHOWN));
}

static void put_error(struct status_view *view, const struct recent_error *error)
{
    const struct recent_request *request = &error->request;
    struct html *html = &view->html;
    html_put(html, "<tr><td class=\"nowrap\">");
    status_put_time(view, request->wall, false);
    html_put(html, "</td><td class=\"nowrap\">");
    html_text(html, str_from(request->client));
    html_put(html, "</td><td class=\"request\"><code>");
    if (request->text[0] != '\0') {
        html_text(html, str_from(request->text));
    } else {
        put_excerpt(view, error);
    }
    html_put(html, "</code></td><td>");
    html_text(html, str_from(reason_sentence(request->reason)));
    html_printf(html, "<small>%s, byte %lu</small></td></tr>", reason_code(request->reason),
                (unsigned long)error->offset);
}

void status_write_errors(struct status_view *view)
{
    const struct admin_call *call = view->call;
    if (call->count == 0) {
        html_put(&view->html, "<p class=\"quiet\">None is remembered.</p>");
        return;
    }
    html_put(&view->html,
             "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"last\">"
             "<table class=\"wide\"><thead><tr><th scope=\"col\">Time, UTC</th><th "
             "scope=\"col\">Client</th>"
             "<th scope=\"col\">Request</th><th scope=\"col\">Why</th></tr></thead><tbody>");
    for (size_t i = 0; i < call->count && i < STATUS_ERRORS_SHOWN; i++) {
        put_error(view, &call->errors[i]);
    }
    html_put(&view->html, "</tbody></table></div><p class=\"note\">With the bytes in question: "
                          "<code>portico balancer show errors</code></p>");
}
