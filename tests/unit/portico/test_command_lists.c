/* SPDX-License-Identifier: Apache-2.0 */
/* portico responses, portico messages: what agents sent comes out as it came. */
#include <criterion/criterion.h>

#include "runner.h"

#define AGENT "C.0000000000000001"

TestSuite(command_lists, .init = site_set_up_with_agent, .fini = site_tear_down);

static void store_bundle(const struct store_response *responses, size_t response_count,
                         const struct store_message *messages, size_t message_count)
{
    struct store_bundle bundle = {.agent = site.agent,
                                  .responses = responses,
                                  .response_count = response_count,
                                  .messages = messages,
                                  .message_count = message_count};
    struct store_commit commit = {.bundle = &bundle};
    cr_assert_eq(store_commit(site.store, &commit, 1, STORE_DURABLE, &site.error), 0, "%s",
                 site.error.message);
    cr_assert_eq(commit.result, 0);
}

static void store_answers(void)
{
    const struct store_response responses[] = {
        {.flow = STR("F1"),
         .request = 1,
         .response = 1,
         .kind = STORE_MESSAGE,
         .args_type = STR("DataBlob"),
         .args = STR("\x01\x00\xff"),
         .raw = STR("raw")},
        {.flow = STR("F1"), .request = 1, .response = 2, .kind = STORE_STATUS, .raw = STR("raw")},
        {.flow = STR("F2"), .request = 9, .response = 1, .kind = STORE_ITERATOR, .raw = STR("r")},
    };
    store_bundle(responses, 3, NULL, 0);
}

Test(command_lists, responses_have_the_keys_that_scripts_need)
{
    store_answers();
    RUN run = SITE("responses", AGENT, "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 3);
    for (size_t i = 0; i < 3; i++) {
        expect_keys(array, i, "flow_id request_id response_id kind args_type args_hex received_us");
    }
    cr_expect_str_eq(json_string_value(run_member(array, 0, "kind")), "message");
    cr_expect_str_eq(json_string_value(run_member(array, 0, "args_type")), "DataBlob");
    cr_expect_str_eq(json_string_value(run_member(array, 0, "args_hex")), "0100ff");
    cr_expect_str_eq(json_string_value(run_member(array, 1, "kind")), "status");
    cr_expect(json_is_null(run_member(array, 1, "args_type")));
    cr_expect_str_eq(json_string_value(run_member(array, 1, "args_hex")), "");
    cr_expect_str_eq(json_string_value(run_member(array, 2, "kind")), "iterator");
    cr_expect_eq(json_integer_value(run_member(array, 2, "request_id")), 9);
    cr_expect(json_is_integer(run_member(array, 2, "received_us")));
    json_decref(array);
}

Test(command_lists, one_flow_is_enough)
{
    store_answers();
    RUN run = SITE("responses", AGENT, "--flow", "F2", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 1);
    json_decref(array);
    RUN none = SITE("responses", AGENT, "--flow", "F3", "--json");
    cr_expect_str_eq(none.out, "[]\n");
    RUN table = SITE("responses", AGENT, "--flow", "F1");
    cr_expect_not_null(strstr(table.out, "3: 0100ff"), "%s", table.out);
    RUN unknown = SITE("responses", "C.0000000000000002");
    cr_expect_eq(unknown.status, 1);
}

Test(command_lists, messages_have_the_keys_that_scripts_need)
{
    const struct store_message messages[] = {
        {.handler = STR("StatsHandler"),
         .packet_timestamp = 5,
         .args_type = STR("ClientStats"),
         .args = STR("\x0a"),
         .raw = STR("raw")},
        {.handler = STR("ForemanHandler"), .packet_timestamp = 5, .place = 1, .raw = STR("raw")},
    };
    store_bundle(NULL, 0, messages, 2);
    RUN run = SITE("messages", "--json");
    json_t *array = run_array(&run);
    cr_assert_eq(json_array_size(array), 2);
    expect_keys(array, 0, "client_id handler message_id args_type args_hex received_us");
    cr_expect_str_eq(json_string_value(run_member(array, 0, "client_id")), AGENT);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "args_hex")), "0a");
    cr_expect_lt(json_integer_value(run_member(array, 0, "message_id")),
                 json_integer_value(run_member(array, 1, "message_id")));
    json_decref(array);
    RUN one = SITE("messages", "--handler", "ForemanHandler", "--json");
    array = run_array(&one);
    cr_assert_eq(json_array_size(array), 1);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "handler")), "ForemanHandler");
    json_decref(array);
    RUN none = SITE("messages", "--handler", "BlobHandler");
    cr_expect_str_eq(none.out, "There are no messages.\n");
}

/* Several pages, over the border of flows. */
Test(command_lists, long_lists_are_whole)
{
    enum { COUNT = 1700 };
    static struct store_response responses[COUNT];
    static struct store_message messages[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        responses[i] = (struct store_response){.flow = i < 900 ? STR("F1") : STR("F2"),
                                               .request = 1,
                                               .response = i + 1,
                                               .kind = STORE_MESSAGE,
                                               .raw = STR("raw")};
        messages[i] = (struct store_message){.handler = STR("StatsHandler"),
                                             .packet_timestamp = 5,
                                             .place = (uint32_t)i,
                                             .raw = STR("raw")};
    }
    store_bundle(responses, COUNT, messages, COUNT);
    RUN all = SITE("responses", AGENT, "--json");
    json_t *array = run_array(&all);
    cr_assert_eq(json_array_size(array), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(json_integer_value(run_member(array, i, "response_id")), (json_int_t)(i + 1));
    }
    json_decref(array);
    RUN flow = SITE("responses", AGENT, "--flow", "F1", "--json");
    array = run_array(&flow);
    cr_expect_eq(json_array_size(array), 900);
    json_decref(array);
    RUN sent = SITE("messages", "--json");
    array = run_array(&sent);
    cr_expect_eq(json_array_size(array), COUNT);
    json_decref(array);
}

/* What peers named themselves reaches no terminal as it is, and JSON stays JSON. */
Test(command_lists, hostile_names_are_shown_escaped)
{
    const struct store_response response = {.flow = STR("a\x1b[2J\"\\\n\xff"),
                                            .request = 1,
                                            .response = 1,
                                            .kind = STORE_MESSAGE,
                                            .args_type = STR("\xe2\x80\xae evil"),
                                            .raw = STR("raw")};
    store_bundle(&response, 1, NULL, 0);
    RUN table = SITE("responses", AGENT);
    cr_expect_null(strchr(table.out, '\x1b'));
    cr_expect_null(strstr(table.out, "\xe2\x80\xae"));
    RUN json = SITE("responses", AGENT, "--json");
    cr_expect_null(strchr(json.out, '\x1b'));
    json_t *array = run_array(&json);
    cr_expect_str_eq(json_string_value(run_member(array, 0, "flow_id")), "a\x1b[2J\"\\\n\xc3\xbf");
    json_decref(array);
}
