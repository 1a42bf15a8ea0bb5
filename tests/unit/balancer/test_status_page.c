/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "admin_command.h"
#include "fake_balancer.h"
#include "history.h"
#include "records.h"
#include "status_page.h"

static struct balancer *balancer;
static struct clock_fake timepiece;
static struct history *history;
static char *page;

static void set_up(void)
{
    clock_fake_init(&timepiece, USEC_PER_SEC, 0);
    balancer = fake_balancer_new(&timepiece.clock);
    history = history_new(balancer);
}

static void tear_down(void)
{
    free(page);
    history_free(history);
    fake_balancer_free(balancer);
}

TestSuite(status_page, .init = set_up, .fini = tear_down, .timeout = 60);

static void keep(void *context, const struct admin_answer *answer)
{
    (void)context;
    cr_expect_not(answer->is_error);
    page = str_dup(buffer_view(&answer->out));
}

static bool has_page(void *context)
{
    (void)context;
    return page != NULL;
}

static const char *look(void)
{
    free(page);
    page = NULL;
    struct admin_call *call = admin_call_page(balancer, history, keep, NULL);
    cr_assert_not_null(call, "it asks the workers");
    cr_assert(fake_balancer_turn(balancer, has_page, NULL));
    return page;
}

static void expect(const char *part)
{
    cr_expect_not_null(strstr(page, part), "no %s in %s", part, page);
}

static void expect_none(const char *part)
{
    cr_expect_null(strstr(page, part), "%s in %s", part, page);
}

/* ---- Well-formed ---- */

enum { DEPTH_MAX = 32, NAME_MAX = 16 };

struct tags {
    char open[DEPTH_MAX][NAME_MAX];
    size_t depth;
};

static bool is_void(const char *name)
{
    return strcmp(name, "meta") == 0 || strcmp(name, "link") == 0 || strcmp(name, "!doctype") == 0;
}

/* From behind "<" to behind ">": every attribute has a name alone or a value in double quotes. */
static const char *read_attributes(const char *at, bool *is_closed)
{
    while (*at != '>' && *at != '\0') {
        cr_assert(*at == ' ' || *at == '/', "at \"%.40s\"", at);
        *is_closed = *at++ == '/';
        while (isalnum((unsigned char)*at) || *at == '-') {
            at++;
        }
        if (*at == '=') {
            cr_assert_eq(at[1], '"', "at \"%.40s\"", at);
            at = strchr(at + 2, '"');
            cr_assert_not_null(at);
            at++;
        }
    }
    cr_assert_eq(*at, '>');
    return at + 1;
}

static const char *read_tag(struct tags *tags, const char *at)
{
    char name[NAME_MAX] = "";
    bool is_end = *at == '/';
    bool is_closed = false;
    size_t len = 0;
    at += is_end;
    while (isalnum((unsigned char)*at) || *at == '!') {
        cr_assert_lt(len, NAME_MAX - 1);
        name[len++] = *at++;
    }
    cr_assert_gt(len, 0, "\"<\" at \"%.40s\"", at);
    at = read_attributes(at, &is_closed);
    if (is_end) {
        cr_assert_gt(tags->depth, 0);
        tags->depth--;
        cr_assert_str_eq(tags->open[tags->depth], name, "before \"%.40s\"", at);
    } else if (!is_closed && !is_void(name)) {
        cr_assert_lt(tags->depth, DEPTH_MAX);
        memcpy(tags->open[tags->depth++], name, NAME_MAX);
    }
    if (!is_end && (strcmp(name, "script") == 0 || strcmp(name, "style") == 0)) {
        at = strstr(at, "</"); /* what stands there is no markup */
        cr_assert_not_null(at);
    }
    return at;
}

static void expect_well_formed(void)
{
    struct tags tags = {.depth = 0};
    const char *at = page;
    while ((at = strchr(at, '<')) != NULL) {
        at = read_tag(&tags, at + 1);
    }
    cr_expect_eq(tags.depth, 0);
}

static size_t count_of(const char *part)
{
    size_t count = 0;
    for (const char *at = page; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* ---- What it tells ---- */

Test(status_page, is_well_formed_and_whole)
{
    look();
    expect_well_formed();
    expect("<!doctype html>");
    expect_none("{{");
    expect_none("}}");
    expect("1 of 2 members usable</h1>");
    expect("localhost:8082 is drained");
    expect("<th scope=\"row\">localhost:8080</th>");
    expect("version " PORTICO_VERSION);
    expect("up 1 min");
    expect("href=\"/metrics\"");
    expect("href=\"/status.json\"");
    expect("<dt><code>drain PORT|HOST:PORT</code></dt>");
}

Test(status_page, folds_ports_that_nobody_has_or_had_lately)
{
    look();
    expect_none("<th scope=\"row\">localhost:8081</th>");
    expect("1 more port where nobody listens</summary><p>localhost:8081</p>");
    struct record record = {.request_id = "", .status = 200, .member = &balancer->members[1]};
    counters_record(balancer->shard, &record);
    balancer->members[1].changed_at = timepiece.now;
    look();
    expect("<th scope=\"row\">localhost:8081</th>");
    expect("1 of 3 members usable</h1>");
    expect_none("more port");
    clock_fake_advance(&timepiece, USEC_PER_HOUR);
    cr_assert_eq(loop_turn(balancer->loop, 0), 0);
    look();
    expect_none("<th scope=\"row\">localhost:8081</th>");
    expect("1 of 2 members usable</h1>");
}

Test(status_page, says_what_is_wrong)
{
    atomic_store(&balancer->members[0].health,
                 health_pack((struct health){.presence = PRESENCE_UP, .is_ejected = true}));
    atomic_store(&balancer->members[0].outcomes[OUTCOME_SILENT], 1234);
    balancer->members[0].changed_at = USEC_PER_SEC;
    clock_fake_advance(&timepiece, 125 * USEC_PER_SEC);
    cr_assert_eq(loop_turn(balancer->loop, 0), 0);
    look();
    expect("No member is well: requests go to those that are there</h1>");
    expect("localhost:8080 has been ejected for 2 min");
    expect("1,234 silent");
    balancer->is_stopping = true;
    look();
    expect("Stopping: 0 requests are being finished</h1>");
}

Test(status_page, tells_of_the_last_reload)
{
    look();
    expect("configuration as at the start");
    balancer->reloaded = (struct balancer_reloaded){.wall = RECORD_WALL};
    look();
    expect("reloaded 2026-05-01 12:34:56 UTC");
    balancer->reloaded = (struct balancer_reloaded){
        .wall = RECORD_WALL, .code = -EINVAL, .words = "/etc/<x>.yaml:3: bad"};
    look();
    expect("refused: /etc/&lt;x&gt;.yaml:3: bad");
    expect_well_formed();
}

Test(status_page, draws_the_last_minutes)
{
    struct record record = {
        .request_id = "", .status = 500, .member = &balancer->members[0], .total = 900};
    for (int i = 0; i < 3; i++) {
        counters_record(balancer->shard, &record);
        clock_fake_advance(&timepiece, HISTORY_PERIOD);
        cr_assert_eq(loop_turn(balancer->loop, 0), 0);
    }
    look();
    expect_well_formed();
    cr_expect_eq(count_of("class=\"line\""), 3, "all but the connections, of which there are none");
    expect("<p class=\"value\">0.5</p>");
    expect("in 6 s</p>");
}

/* ---- What attackers choose ---- */

#define HOSTILE "/<script>alert(1)</script>\"'&{{script}}"

static void refuse(const char *target)
{
    struct record record = make_record(NULL, NULL);
    record.target = str_from(target);
    record.reason = REASON_TARGET;
    recent_add_error(balancer->workers[0].recent, &record, STR("GET <b> HTTP/1.1\r\n\r\n"));
    counters_record(balancer->shard, &record);
}

Test(status_page, shows_hostile_requests_as_text)
{
    refuse(HOSTILE);
    refuse("/\x1b[2J\xff\xe2\x80\xae</td></tr></table>");
    look();
    cr_expect_eq(count_of("<script>"), 1, "its own");
    expect("/&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;{{script}}");
    expect("/\\x1b[2J\\xff\\xe2\\x80\\xae&lt;/td&gt;");
    expect("<code>bad_target</code>");
    expect_well_formed();
}

Test(status_page, shows_names_of_members_as_text)
{
    snprintf(balancer->members[0].name, MEMBER_NAME_SIZE, "<img src=x onerror=y>:8080");
    look();
    expect("&lt;img src=x onerror=y&gt;:8080");
    expect_well_formed();
}

Test(status_page, shows_the_newest_of_all_workers_first_and_no_more_than_some)
{
    for (int i = 0; i < 40; i++) {
        struct record record = make_record(NULL, NULL);
        char target[32];
        snprintf(target, sizeof target, "/number%d.", i);
        record.wall += i;
        record.target = str_from(target);
        record.reason = REASON_TARGET;
        recent_add_error(balancer->workers[i % 2].recent, &record, STR(""));
    }
    look();
    cr_expect_eq(count_of("/number"), 8);
    cr_expect_lt((void *)strstr(page, "/number39."), (void *)strstr(page, "/number38."));
    expect("/number32.");
}

Test(status_page, is_bounded_with_many_members)
{
    fake_balancer_add_members(balancer);
    for (size_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        for (size_t kind = 0; kind < OUTCOME_COUNT; kind++) {
            atomic_store(&balancer->members[i].outcomes[kind], 4000000000);
        }
    }
    look();
    expect_well_formed();
    expect("<th scope=\"row\">localhost:9103</th>");
    cr_expect_lt(strlen(page), (size_t)1 << 20);
}

Test(status_page, a_range_without_members_is_told_shortly)
{
    fake_balancer_add_members(balancer);
    for (size_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        atomic_store(&balancer->members[i].health,
                     health_pack((struct health){.presence = PRESENCE_ABSENT}));
    }
    look();
    expect("No member can be used</h1>");
    expect("Nobody listens at any of the members' ports.");
    expect("1024 more ports where nobody listens</summary><p>localhost:8080–9103</p>");
}

/* ---- Its policy ---- */

Test(status_page, policy_allows_its_own_style_and_script_only)
{
    char policy[STATUS_PAGE_POLICY_SIZE];
    status_page_policy(policy);
    look();
    cr_expect_not_null(strstr(policy, "default-src 'none'; style-src 'sha256-"));
    cr_expect_not_null(strstr(policy, "script-src 'sha256-"));
    cr_expect_null(strstr(policy, "unsafe"));
    expect_none(" style=\"");
    expect_none(" onclick");
    expect_none("http://");
    expect_none("https://");
}
