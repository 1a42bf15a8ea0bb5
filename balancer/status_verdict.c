/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the status page: in one line whether all is well, and what runs. */
#include "status_internal.h"

#include <time.h>
#include <unistd.h>

enum { TROUBLED_SHOWN = 4 };

/* ---- The verdict ---- */

struct counted {
    size_t known, usable, best; /* `best`: USABLE, not only as a last resort */
};

static struct counted count_members(const struct status_view *view)
{
    const struct range *range = view->call->range;
    struct counted counted = {.usable = range_usable(range)};
    for (size_t i = 0; i < range_count(range); i++) {
        const struct member *member = range_at(range, i);
        counted.known += status_is_of_interest(view, member);
        counted.best += health_usability(member_health(member)) == USABLE;
    }
    return counted;
}

enum mood { GOOD, WARN, BAD };

static enum mood judge(const struct status_view *view, const struct counted *counted)
{
    if (counted->usable == 0 || counted->best == 0) {
        return BAD;
    }
    return balancer_is_stopping(view->balancer) || counted->usable < counted->known ? WARN : GOOD;
}

static void put_sentence(struct status_view *view, const struct counted *counted)
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

void status_write_title(struct status_view *view)
{
    struct counted counted = count_members(view);
    put_sentence(view, &counted);
    html_put(&view->html, " · Portico balancer");
}

/* The first members that are not up, in words. */
static void put_troubled(struct status_view *view)
{
    struct html *html = &view->html;
    size_t count = 0;
    for (size_t i = 0; i < range_count(view->call->range); i++) {
        const struct member *member = range_at(view->call->range, i);
        enum health_state state = health_state(member_health(member));
        if (state == HEALTH_UP || !status_is_of_interest(view, member) ||
            ++count > TROUBLED_SHOWN) {
            continue;
        }
        html_put(html, count == 1 ? "<p>" : "; ");
        html_text(html, str_from(member->name));
        bool is_new = member->changed_at > 0;
        html_printf(html, is_new ? " has been %s " : " is %s", health_state_word(state));
        status_put_since(view, member);
    }
    if (count > TROUBLED_SHOWN) {
        html_printf(html, "; and %zu more", count - TROUBLED_SHOWN);
    }
    html_put(html, count > 0 ? ".</p>" : "");
}

void status_write_verdict(struct status_view *view)
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

void status_write_clock(struct status_view *view)
{
    status_put_time(view, clock_wall(&clock_system), false);
    html_put(&view->html, " UTC");
}

static void put_reload(struct status_view *view)
{
    const struct balancer_reloaded *reloaded = balancer_reloaded(view->balancer);
    struct html *html = &view->html;
    if (reloaded->wall == 0) {
        html_put(html, "<span>configuration as at the start</span>");
        return;
    }
    html_put(html, reloaded->code < 0 ? "<span class=\"bad\">✕ reload of " : "<span>reloaded ");
    status_put_time(view, reloaded->wall, true);
    html_put(html, " UTC");
    if (reloaded->code < 0) {
        html_put(html, " refused: ");
        html_text(html, str_from(reloaded->words));
    }
    html_put(html, "</span>");
}

void status_write_facts(struct status_view *view)
{
    struct html *html = &view->html;
    unsigned workers = balancer_workers(view->balancer);
    html_put(html, "<span>version " PORTICO_VERSION "</span><span>up ");
    html_age(html, balancer_uptime(view->balancer));
    html_printf(html, "</span><span>process %ld</span><span>%u worker%s</span>", (long)getpid(),
                workers, workers == 1 ? "" : "s");
    put_reload(view);
}
