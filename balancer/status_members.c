/* SPDX-License-Identifier: Apache-2.0 */
/* The table of members, and the ports where nobody listens. */
#include "status_internal.h"

#include "base/compiler.h"

/* ---- States ---- */

static const char *state_meaning(enum health_state state)
{
    static const char *const meanings[HEALTH_WORDS] = {
        [HEALTH_UP] = "",
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

/* ---- Members ---- */

static void put_share(struct status_view *view, double share)
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

static void put_failures(struct status_view *view, const struct member *member)
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

static void put_state(struct status_view *view, const struct member *member)
{
    struct html *html = &view->html;
    enum health_state state = health_state(member_health(member));
    html_printf(html,
                "<td class=\"nowrap\"><span class=\"state %s\"><span "
                "aria-hidden=\"true\">%s</span> %s</span>"
                " <span class=\"quiet\">",
                state_style(state), state_sign(state), health_state_word(state));
    status_put_since(view, member);
    html_put(html, "</span>");
    if (state != HEALTH_UP) {
        html_printf(html, "<small>%s</small>", state_meaning(state));
    }
    html_put(html, "</td>");
}

static void put_member(struct status_view *view, size_t index, const struct history_member *recent,
                       double share)
{
    const struct member *member = range_at(view->call->range, index);
    struct html *html = &view->html;
    struct metrics *metrics = counters_metrics(balancer_counters(view->balancer));
    html_put(html, "<tr><th scope=\"row\">");
    html_text(html, str_from(member->name));
    html_put(html, "</th>");
    put_state(view, member);
    status_put_cell(view, atomic_load(&member->in_flight));
    put_share(view, share);
    status_put_cell(view, metrics_value(metrics, member->counters.requests));
    status_put_quantile(view, recent->waits, 0.5);
    status_put_quantile(view, recent->waits, 0.99);
    put_failures(view, member);
    status_put_cell(view, (int64_t)view->call->pooled[index]);
    html_put(html, "<td class=\"number\">");
    if (member->probe_time > 0) {
        html_latency(html, member->probe_time);
    } else {
        html_put(html, "–");
    }
    html_put(html, "</td></tr>\n");
}

/* Requests of the last minute to all members that are shown. */
static int64_t sum_requests(const struct status_view *view)
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

void status_write_members(struct status_view *view)
{
    struct history_member recent;
    int64_t sum = sum_requests(view);
    size_t from = 0;
    bool has_some = false;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        if (status_is_of_interest(view, member)) {
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

static size_t count_absent(const struct status_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        count += !status_is_of_interest(view, range_at(view->call->range, i));
    }
    return count;
}

static void put_run_end(struct status_view *view, const struct member *first,
                        const struct member *last)
{
    if (last != NULL && last != first) {
        html_printf(&view->html, "–%u", (unsigned)address_port(&last->address));
    }
}

/* "a:8084–8099, b:8080" */
static void put_absent(struct status_view *view)
{
    const struct member *first = NULL, *last = NULL;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        if (status_is_of_interest(view, member)) {
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

void status_write_absent(struct status_view *view)
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
