/* SPDX-License-Identifier: Apache-2.0 */
/* Claims about what agents bring, and about reading it back. */
#include <criterion/criterion.h>
#include <errno.h>

#include "contract_parts.h"
#include "support/support.h"

/* ---- bundles ---- */

CLAIM(a_bundle_is_stored_as_it_came)
{
    enrol(contract, 1);
    struct store_response response = test_response("F:1", 3, 4);
    struct store_message messages[] = {test_message(7, 0), test_message(7, 1)};
    messages[1].args = STR("apart");
    response.kind = STORE_ITERATOR;
    struct store_bundle bundle = {.agent = test_agent(1),
                                  .sighting = {.at = 5, .clock = 9, .address = STR("192.0.2.1")},
                                  .responses = &response,
                                  .response_count = 1,
                                  .messages = messages,
                                  .message_count = 2};
    size_t fresh = 0;
    cr_assert_eq(commit_bundle(contract, &bundle, &fresh), 0);
    cr_assert_eq(fresh, 3);

    struct store_response *stored = list_responses(contract, "");
    cr_assert_eq(LENGTH(stored), 1);
    cr_assert(str_equal(stored->flow, STR("F:1")));
    cr_assert_eq(stored->request, 3);
    cr_assert_eq(stored->response, 4);
    cr_assert_eq(stored->kind, STORE_ITERATOR);
    cr_assert(str_equal(stored->args_type, response.args_type));
    cr_assert(str_equal(stored->raw, response.raw));
    cr_assert(str_equal(stored->args, response.args));
    cr_assert_eq(stored->received, clock_wall(&contract->clock.clock));

    struct store_message *message = list_messages(contract, 0, 10);
    cr_assert_eq(LENGTH(message), 2);
    cr_assert(str_equal(message->handler, STR("StatsHandler")));
    cr_assert_eq(message->packet_timestamp, 7);
    cr_assert_eq(message->place, 0);
    cr_assert(str_equal(message->raw, messages[0].raw));
    cr_assert(str_equal(message->args, STR("payload")));
    cr_assert(str_equal(message->next->args, STR("apart")));
    cr_assert_gt(message->next->id, message->id);

    struct store_agent *agent = read_agent(contract, 1);
    cr_assert_eq(agent->last_seen, 5);
    cr_assert_eq(agent->clock, 9);
    cr_assert(str_equal(agent->address, STR("192.0.2.1")));
}

CLAIM(storing_a_bundle_twice_is_storing_it_once)
{
    enrol(contract, 1);
    struct store_response response = test_response("F", 1, 1);
    struct store_message message = test_message(7, 3);
    struct store_bundle bundle = {.agent = test_agent(1),
                                  .responses = &response,
                                  .response_count = 1,
                                  .messages = &message,
                                  .message_count = 1};
    size_t fresh = 0;
    cr_assert_eq(commit_bundle(contract, &bundle, &fresh), 0);
    cr_assert_eq(fresh, 2);
    response.raw = response.args = STR("later");
    cr_assert_eq(commit_bundle(contract, &bundle, &fresh), 0);
    cr_assert_eq(fresh, 0);
    cr_assert_eq(LENGTH(list_responses(contract, "")), 1);
    cr_assert_not(str_equal(list_responses(contract, "")->raw, STR("later")));
    cr_assert_eq(LENGTH(list_messages(contract, 0, 10)), 1);
    cr_assert_eq(LENGTH(take_work(contract, 10)), 1);
    /* another agent's are others */
    enrol(contract, 2);
    bundle.agent = test_agent(2);
    cr_assert_eq(commit_bundle(contract, &bundle, &fresh), 0);
    cr_assert_eq(fresh, 2);
}

CLAIM(messages_without_a_timestamp_are_all_kept)
{
    enrol(contract, 1);
    struct store_message message = test_message(0, 0);
    cr_assert_eq(store_messages(contract, 1, &message, 1), 0);
    cr_assert_eq(store_messages(contract, 1, &message, 1), 0);
    cr_assert_eq(LENGTH(list_messages(contract, 0, 10)), 2);
    cr_assert_eq(list_messages(contract, 0, 10)->packet_timestamp, 0);
}

CLAIM(a_bad_bundle_fails_alone)
{
    enrol(contract, 1);
    enrol(contract, 3);
    struct store_message messages[] = {test_message(1, 0), test_message(1, 1)};
    struct store_message bad[] = {test_message(2, 0), test_message(2, 1)};
    bad[1].handler = STR("");
    struct store_bundle bundles[] = {
        {.agent = test_agent(1), .messages = messages, .message_count = 2},
        {.agent = test_agent(2), .messages = messages, .message_count = 2}, /* unknown */
        {.agent = test_agent(1), .messages = bad, .message_count = 2},
        {.agent = test_agent(3), .messages = messages, .message_count = 2},
    };
    struct store_commit commits[4] = {{.result = 0}};
    for (int i = 0; i < 4; i++) {
        commits[i].bundle = &bundles[i];
    }
    cr_assert_eq(store_commit(contract->store, commits, 4, STORE_DURABLE, NULL), 0);
    cr_assert_eq(commits[0].result, 0);
    cr_assert_eq(commits[1].result, -ENODATA);
    cr_assert_eq(commits[2].result, -EINVAL);
    cr_assert_eq(commits[3].result, 0);
    cr_assert_eq(count_messages(contract, 1), 2);
    cr_assert_eq(count_messages(contract, 3), 2);
    cr_assert_eq(count_messages(contract, 2), 0);
}

CLAIM(only_enrolled_agents_can_store)
{
    struct store_message message = test_message(1, 0);
    cr_assert_eq(store_messages(contract, 1, &message, 1), -ENODATA);
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, NULL), 1);
    cr_assert_eq(store_messages(contract, 1, &message, 1), -EPERM);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 1);
    cr_assert_eq(store_messages(contract, 1, &message, 1), 0);
}

CLAIM(bad_arguments_are_refused)
{
    char long_name[STORE_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    struct store_request_name name;
    struct store_work *work;
    struct store_agent *agents;
    enrol(contract, 1);
    cr_assert_eq(try_send(contract, 1, long_name, 0, &name), -EINVAL);
    cr_assert_eq(try_send(contract, 1, "", 1, &name), -EINVAL);
    cr_assert_eq(try_send(contract, 1, "F", 1ULL << 63, &name), -EINVAL);
    cr_assert_eq(try_enrol(contract, 2, "", STORE_ENROLLED, NULL), -EINVAL);
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_FORGOTTEN, NULL), -EINVAL);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_PENDING, NULL), -EINVAL);
    cr_assert_eq(store_take_work(contract->store, 0, 1, &contract->arena, &work, NULL), -EINVAL);
    cr_assert_eq(store_take_work(contract->store, 1, 0, &contract->arena, &work, NULL), -EINVAL);
    struct store_agent_query query = {.limit = STORE_PAGE_MAX + 1};
    cr_assert_eq(store_list_agents(contract->store, &query, &contract->arena, &agents, NULL),
                 -EINVAL);
    struct store_response response = test_response("F", 1, 1);
    cr_assert_eq(store_check_response(&response, NULL), 0);
    response.response = 1ULL << 63;
    cr_assert_eq(store_check_response(&response, NULL), -EINVAL);
    response = test_response(long_name, 1, 1);
    cr_assert_eq(store_check_response(&response, NULL), -EINVAL);
    response = test_response("F", 1, 1);
    response.kind = 9;
    cr_assert_eq(store_check_response(&response, NULL), -EINVAL);
    struct store_message message = test_message(1ULL << 63, 1);
    cr_assert_eq(store_check_message(&message, NULL), -EINVAL);
    message = test_message(1, 1);
    message.raw.len = STORE_BYTES_MAX + (size_t)1;
    cr_assert_eq(store_check_message(&message, NULL), -EINVAL);
    struct store_agent_id id;
    cr_assert_eq(store_agent_id_parse(STR("C.0123456789abcdef"), &id), 0);
    cr_assert_eq(store_agent_id_parse(STR("C.0123456789ABCDEF"), &id), -EINVAL);
    cr_assert_eq(store_agent_id_parse(STR("C.0123456789abcde"), &id), -EINVAL);
    cr_assert_eq(store_agent_id_parse(STR("D.0123456789abcdef"), &id), -EINVAL);
}

CLAIM(sightings_only_move_forward)
{
    enrol(contract, 1);
    struct store_bundle bundle = {.agent = test_agent(1),
                                  .sighting = {.at = 100, .clock = 50, .address = STR("new")}};
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    bundle.sighting = (struct store_sighting){.at = 90, .clock = 60, .address = STR("old")};
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    struct store_agent *agent = read_agent(contract, 1);
    cr_assert_eq(agent->last_seen, 100);
    cr_assert_eq(agent->clock, 60);
    cr_assert(str_equal(agent->address, STR("new")));
    bundle.sighting = (struct store_sighting){.at = 110};
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    agent = read_agent(contract, 1);
    cr_assert_eq(agent->last_seen, 110);
    cr_assert_eq(agent->clock, 60);
    cr_assert(str_equal(agent->address, STR("new")));
}

/* ---- lists ---- */

CLAIM(responses_are_listed_in_pages)
{
    static const char *const flows[] = {"A", "B", "BB", "C"};
    enrol(contract, 1);
    enrol(contract, 2);
    for (int flow = 3; flow >= 0; flow--) {
        for (uint64_t request = 3; request >= 1; request--) {
            struct store_response some[] = {test_response(flows[flow], request, 2),
                                            test_response(flows[flow], request, 1)};
            cr_assert_eq(store_responses(contract, 1, some, 2), 0);
            cr_assert_eq(store_responses(contract, 2, some, 2), 0);
        }
    }
    struct store_response_query query = {.agent = test_agent(1), .limit = 5};
    struct store_response *page = NULL;
    size_t count = 0;
    do {
        cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &page, NULL),
                     0);
        for (struct store_response *at = page; at; at = at->next) {
            cr_assert(str_equal(at->flow, str_from(flows[count / 6])));
            cr_assert_eq(at->request, count / 2 % 3 + 1);
            cr_assert_eq(at->response, count % 2 + 1);
            query.after_flow = at->flow;
            query.after_request = at->request;
            query.after_response = at->response;
            count++;
        }
    } while (page != NULL);
    cr_assert_eq(count, 24);

    cr_assert_eq(LENGTH(list_responses(contract, "BB")), 6);
    query = (struct store_response_query){
        .agent = test_agent(1), .flow = STR("B"), .request = 2, .limit = 1};
    for (uint64_t i = 1; i <= 2; i++) {
        cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &page, NULL),
                     0);
        cr_assert_eq(LENGTH(page), 1);
        cr_assert_eq(page->request, 2);
        cr_assert_eq(page->response, i);
        query.after_flow = page->flow;
        query.after_request = page->request;
        query.after_response = page->response;
    }
    cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &page, NULL), 0);
    cr_assert_null(page);
    query.flow = STR("");
    cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &page, NULL),
                 -EINVAL);
}

CLAIM(messages_are_listed_in_pages)
{
    struct store_message messages[30];
    enrol(contract, 1);
    for (uint32_t i = 0; i < 30; i++) {
        messages[i] = test_message(1, i);
        messages[i].handler = i % 3 ? STR("StatsHandler") : STR("ClientAlertHandler");
    }
    cr_assert_eq(store_messages(contract, 1, messages, 30), 0);
    uint64_t after = 0;
    uint32_t place = 0;
    struct store_message *page;
    while ((page = list_messages(contract, after, 7)) != NULL) {
        for (; page != NULL; page = page->next) {
            cr_assert_eq(page->place, place++);
            after = page->id;
        }
    }
    cr_assert_eq(place, 30);
    struct store_message_query query = {.handler = STR("ClientAlertHandler"), .limit = 100};
    cr_assert_eq(store_list_messages(contract->store, &query, &contract->arena, &page, NULL), 0);
    cr_assert_eq(LENGTH(page), 10);
    struct store_agent_id other = test_agent(2);
    query = (struct store_message_query){.agent = &other, .limit = 100};
    cr_assert_eq(store_list_messages(contract->store, &query, &contract->arena, &page, NULL), 0);
    cr_assert_null(page);
}

CLAIM(a_full_arena_shortens_a_page)
{
    static char large[5000];
    struct store_message messages[4];
    enrol(contract, 1);
    for (uint32_t i = 0; i < 4; i++) {
        messages[i] = test_message(1, i);
        messages[i].raw = messages[i].args = str_make(large, sizeof large);
    }
    cr_assert_eq(store_messages(contract, 1, messages, 4), 0);
    struct store_message_query query = {.limit = 100};
    size_t count = 0;
    for (;;) {
        struct arena small;
        struct store_message *page = NULL;
        arena_init(&small, 6000, 12200);
        cr_assert_eq(store_list_messages(contract->store, &query, &small, &page, NULL), 0);
        for (struct store_message *at = page; at; at = at->next) {
            query.after = at->id;
            count++;
        }
        cr_assert_leq(LENGTH(page), 2);
        arena_done(&small);
        if (page == NULL) {
            break;
        }
    }
    cr_assert_eq(count, 4);
    struct arena tiny;
    struct store_message *page = NULL;
    arena_init(&tiny, 512, 512);
    query.after = 0;
    cr_assert_eq(store_list_messages(contract->store, &query, &tiny, &page, NULL), -ENOMEM);
    cr_assert_null(page);
    arena_done(&tiny);
}
