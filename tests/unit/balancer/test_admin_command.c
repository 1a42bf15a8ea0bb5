/* SPDX-License-Identifier: Apache-2.0 */
/* Commands against a balancer that only pretends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "admin_command.h"
#include "fake_balancer.h"
#include "records.h"

static struct balancer *balancer;
static char *text; /* of the last answer */
static bool is_error;

static void set_up(void)
{
    balancer = fake_balancer_new(&clock_system);
}

static void tear_down(void)
{
    free(text);
    fake_balancer_free(balancer);
}

TestSuite(admin_command, .init = set_up, .fini = tear_down, .timeout = 30);

static void done(void *context, const struct admin_answer *answer)
{
    (void)context;
    free(text);
    text = str_dup(buffer_view(&answer->out));
    is_error = answer->is_error;
}

static bool has_text(void *context)
{
    (void)context;
    return text != NULL;
}

static const char *ask(const char *command)
{
    free(text);
    text = NULL;
    struct admin_call *call = admin_call(balancer, str_from(command), done, NULL);
    cr_assert_eq(call == NULL, text != NULL);
    cr_assert(fake_balancer_turn(balancer, has_text, NULL), "no answer to %s", command);
    return text;
}

static void expect_parts(const char *command, const char *const *parts)
{
    const char *answer = ask(command);
    cr_expect_not(is_error, "%s", answer);
    cr_expect_null(strstr(answer, "\n\n"), "an empty line ends an answer: %s", answer);
    for (; *parts != NULL; parts++) {
        cr_expect_not_null(strstr(answer, *parts), "%s: no %s in\n%s", command, *parts, answer);
    }
}
#define EXPECT(command, ...) expect_parts(command, (const char *const[]){__VA_ARGS__, NULL})

static json_t *ask_json(const char *command)
{
    json_error_t error;
    json_t *json = json_loads(ask(command), 0, &error);
    cr_assert_not_null(json, "%s: %s", error.text, text);
    return json;
}

static void expect_error(const char *command, const char *words)
{
    const char *answer = ask(command);
    cr_expect(is_error);
    cr_expect_not_null(strstr(answer, words), "%s", answer);
}

Test(admin_command, help_names_every_command)
{
    EXPECT("help", "show members", "drain PORT|HOST:PORT", "explain REQUEST_ID", "stop", "--json");
    json_t *json = ask_json("help --json");
    cr_expect_eq(json_array_size(json), ADMIN_COMMAND_COUNT);
    json_decref(json);
}

Test(admin_command, every_command_answers_in_json)
{
    for (enum admin_command i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        char command[128];
        snprintf(command, sizeof command, "json %s %s", admin_command_words(i),
                 admin_command_synopsis(i)[0] == '\0' ? "" : "8080");
        json_decref(ask_json(command));
    }
    json_t *json = ask_json("json nonsense");
    cr_expect_not_null(json_object_get(json, "error"));
    json_decref(json);
}

Test(admin_command, members_are_told_with_health_load_and_pool)
{
    struct record record = make_record(&balancer->members[0], NULL);
    counters_record(balancer->shard, &record);
    atomic_store(&balancer->members[0].in_flight, 7);
    balancer->workers[0].pooled[0] = 2;
    balancer->workers[1].pooled[0] = 3;
    EXPECT("show members", "MEMBER", "HEALTH", "localhost:8080  up", "localhost:8081  absent",
           "localhost:8082  drained");
    balancer->members[0].probe_time = 321;
    atomic_store(&balancer->members[0].outcomes[OUTCOME_SILENT], 2);
    json_t *json = ask_json("show members --json");
    json_t *first = json_array_get(json, 0);
    cr_expect_eq(json_integer_value(json_object_get(first, "in_flight")), 7);
    cr_expect_eq(json_integer_value(json_object_get(first, "requests")), 1);
    cr_expect_eq(json_integer_value(json_object_get(first, "pooled")), 5);
    cr_expect_eq(json_integer_value(json_object_get(first, "probe_us")), 321);
    cr_expect_eq(json_integer_value(json_object_get(first, "silent")), 2);
    cr_expect_eq(json_integer_value(json_object_get(first, "bytes_in")), 1234);
    json_decref(json);
}

Test(admin_command, info_and_status_tell_of_the_whole)
{
    counter_add(balancer->shard, COUNTER_CONNECTIONS, 3);
    EXPECT("show info", "version            " PORTICO_VERSION, "workers            2",
           "members_usable     1", "uptime             90.000s");
    EXPECT("show status", "connections        3", "localhost:8082", "accepted_total     0");
    json_t *json = ask_json("json show status");
    cr_expect_eq(json_integer_value(json_object_get(json, "connections")), 3);
    cr_expect_eq(json_array_size(json_object_get(json, "member_list")), FAKE_MEMBERS);
    json_decref(json);
}

Test(admin_command, pools_are_told_by_worker)
{
    EXPECT("show pools", "No connections are kept.");
    balancer->workers[1].pooled[2] = 4;
    EXPECT("show pools", "localhost:8082  1       4");
}

Test(admin_command, connections_are_told_up_to_a_number)
{
    struct address peer;
    cr_assert_eq(address_parse(STR("10.0.0.1:5"), 0, &peer, NULL), 0);
    EXPECT("show connections", "There are no connections.");
    for (size_t i = 0; i < 4; i++) {
        struct worker *worker = &balancer->workers[i % 2];
        worker->proxies[worker->proxy_count++] =
            (struct proxy_summary){.id = 100 + i,
                                   .state = "READ_REQUEST",
                                   .peer = &peer,
                                   .request = STR("GET /\x1b"),
                                   .member = i == 0 ? NULL : "localhost:8080"};
    }
    EXPECT("show connections", "100", "103", "10.0.0.1:5", "READ_REQUEST", "GET /\\x1b");
    EXPECT("show connections 3", "... and 1 more.");
    expect_error("show connections 0", "\"0\" is no number from 1 to");
    expect_error("show connections x", "\"x\" is no number from 1 to");
}

static void add_error(unsigned worker, usec_t wall, uint32_t offset, struct str input)
{
    struct record record = make_record(NULL, NULL);
    record.wall = wall;
    record.reason = REASON_BARE_LF;
    record.status = 400;
    record.offset = offset;
    recent_add(balancer->workers[worker].recent, &record);
    recent_add_error(balancer->workers[worker].recent, &record, input);
}

Test(admin_command, errors_show_the_place_below_the_bytes)
{
    EXPECT("show errors", "Nothing was refused.");
    add_error(0, RECORD_WALL, 16, STR("GET /\x01 HTTP/1.1\r\nHost: x\n\r\n"));
    EXPECT("show errors", "reason             bare_lf\n", "offset             16\n",
           "    GET /\\x01 HTTP/1.1\\x0d\\x0aHost: x\\x0a\\x0d\\x0a\n"
           "                          ^\n");
}

Test(admin_command, errors_come_newest_first_over_all_workers)
{
    for (unsigned i = 0; i < 6; i++) {
        add_error(i % 2, RECORD_WALL + i, i, STR("GET"));
    }
    json_t *json = ask_json("show errors 3 --json");
    cr_expect_eq(json_array_size(json), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *error = json_array_get(json, i);
        cr_expect_eq(json_integer_value(json_object_get(error, "offset")), 5 - (int)i);
        cr_expect_str_eq(json_string_value(json_object_get(error, "excerpt")), "GET");
        cr_expect_str_eq(json_string_value(json_object_get(error, "client")), "10.1.2.3");
    }
    json_decref(json);
}

Test(admin_command, a_request_is_explained)
{
    struct record record = make_record(&balancer->members[0], NULL);
    record.request_id = "abc";
    record.retries = 1;
    record.reason = REASON_ANSWER_CUT;
    recent_add(balancer->workers[1].recent, &record);
    EXPECT("explain abc", "member             localhost:8080\n", "retries            1\n",
           "wait               4.000ms\n", "reason             answer_cut\n",
           "the member stopped in the middle of its answer\n", "POST /control?api=3\n");
    expect_error("explain nobody", "no worker remembers \"nobody\"");
}

Test(admin_command, an_explained_refusal_has_its_excerpt)
{
    add_error(1, RECORD_WALL, 3, STR("GET"));
    EXPECT("explain 0123456789abcdef", "bare_lf", "offset             3\n",
           "excerpt            GET");
}

Test(admin_command, config_is_the_one_in_effect)
{
    EXPECT("show config", "Balancer.bind_port", "8000", "-p", "Balancer.queue_timeout", "5s");
}

Test(admin_command, wishes_reach_the_members)
{
    EXPECT("drain 8081", "members_drained    1");
    cr_expect_eq(balancer->wished.wish, WISH_DRAINED);
    cr_expect_eq(balancer->wished.port, 8081);
    EXPECT("disable localhost:8082", "members_disabled   1");
    cr_expect_eq(balancer->wished.wish, WISH_DISABLED);
    cr_expect_str_eq(balancer->wished.host, "localhost");
    EXPECT("enable 8081", "members_enabled    1");
    cr_expect_eq(balancer->wished.wish, WISH_ENABLED);
    expect_error("drain 9999", "there is no member at 9999");
    expect_error("drain nowhere", "neither PORT nor HOST:PORT");
}

Test(admin_command, reload_and_stop_are_done_and_told)
{
    EXPECT("reload", "reloaded           yes");
    balancer->reload_result = -EINVAL;
    expect_error("reload", "nothing was changed: /etc/x.yaml:3:1: bad value");
    EXPECT("stop", "stopping           yes");
    cr_expect(balancer->is_stopping);
}

static bool nothing_is_asked(void *context)
{
    (void)context;
    return balancer->asking == 0;
}

Test(admin_command, a_cancelled_call_is_not_answered)
{
    struct admin_call *call = admin_call(balancer, STR("show members"), done, NULL);
    cr_assert_not_null(call);
    admin_call_cancel(call);
    cr_expect(fake_balancer_turn(balancer, nothing_is_asked, NULL));
    cr_expect_null(text);
}
