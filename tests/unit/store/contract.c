/* SPDX-License-Identifier: Apache-2.0 */
/* The claims. Each runs on the test's thread, on a store of its own. */
#include "contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "support/support.h"

static const struct store_lease lease = {
    .limit = 100, .time = 60 * USEC_PER_SEC, .max_deliveries = 5};

struct store_agent_id test_agent(uint64_t number)
{
    struct store_agent_id id;
    for (int i = 7; i >= 0; i--, number >>= 8) {
        id.bytes[i] = (uint8_t)number;
    }
    return id;
}

static int try_enrol(struct contract *contract, uint64_t number, const char *key,
                     enum store_agent_state wanted, enum store_agent_state *state)
{
    struct store_enrolment enrolment = {.agent = test_agent(number),
                                        .key = str_from(key),
                                        .certificate = STR("certificate"),
                                        .state = wanted};
    return store_enrol_agent(contract->store, &enrolment, state, &contract->error);
}

void enrol(struct contract *contract, uint64_t number)
{
    cr_assert_geq(try_enrol(contract, number, "key", STORE_ENROLLED, NULL), 0, "%s",
                  contract->error.message);
}

static struct store_agent *read_agent(struct contract *contract, uint64_t number)
{
    struct store_agent *agent = NULL;
    int r = store_read_agent(contract->store, test_agent(number), &contract->arena, &agent,
                             &contract->error);
    cr_assert_eq(r, 0, "%s", contract->error.message);
    return agent;
}

struct store_message test_message(uint64_t timestamp, uint32_t place)
{
    struct str raw = STR("\x01\x02payload\x00\xff");
    return (struct store_message){.handler = STR("StatsHandler"),
                                  .packet_timestamp = timestamp,
                                  .place = place,
                                  .args_type = STR("ClientStats"),
                                  .raw = raw,
                                  .args = str_first(str_skip(raw, 2), 7)};
}

struct store_response test_response(const char *flow, uint64_t request, uint64_t response)
{
    struct str raw = STR("\x0araw");
    return (struct store_response){.flow = str_from(flow),
                                   .request = request,
                                   .response = response,
                                   .kind = STORE_MESSAGE,
                                   .args_type = STR("StatEntry"),
                                   .raw = raw,
                                   .args = str_skip(raw, 1)};
}

struct store_response test_status(const char *flow, uint64_t request, uint64_t response)
{
    struct store_response status = test_response(flow, request, response);
    status.kind = STORE_STATUS;
    return status;
}

static int commit_bundle(struct contract *contract, const struct store_bundle *bundle,
                         size_t *fresh)
{
    struct store_commit commit = {.bundle = bundle};
    int r = store_commit(contract->store, &commit, 1, STORE_DURABLE, &contract->error);
    if (fresh != NULL) {
        *fresh = commit.fresh;
    }
    return r < 0 ? r : commit.result;
}

int store_responses(struct contract *contract, uint64_t agent, struct store_response *responses,
                    size_t count)
{
    struct store_bundle bundle = {
        .agent = test_agent(agent), .responses = responses, .response_count = count};
    return commit_bundle(contract, &bundle, NULL);
}

int store_messages(struct contract *contract, uint64_t agent, struct store_message *messages,
                   size_t count)
{
    struct store_bundle bundle = {
        .agent = test_agent(agent), .messages = messages, .message_count = count};
    return commit_bundle(contract, &bundle, NULL);
}

static void answer(struct contract *contract, struct store_response response)
{
    cr_assert_eq(store_responses(contract, 1, &response, 1), 0, "%s", contract->error.message);
}

static int try_send(struct contract *contract, uint64_t agent, const char *flow, uint64_t number,
                    struct store_request_name *name)
{
    struct store_request request = {.agent = test_agent(agent),
                                    .flow = str_from(flow),
                                    .request = number,
                                    .action = STR("GetFileStat"),
                                    .args_type = STR("Request"),
                                    .args = STR("\x00\x01"),
                                    .cpu_limit = 5,
                                    .network_limit = 6,
                                    .runtime_limit = 7};
    return store_queue_request(contract->store, &request, name, &contract->error);
}

struct store_request_name send_request(struct contract *contract, uint64_t agent, const char *flow,
                                       uint64_t number)
{
    struct store_request_name name = {.request = 0};
    cr_assert_eq(try_send(contract, agent, flow, number, &name), 0, "%s", contract->error.message);
    return name;
}

struct store_request *lease_all(struct contract *contract, uint64_t agent)
{
    struct store_request *requests = NULL;
    int r = store_lease_requests(contract->store, test_agent(agent), &lease, &contract->arena,
                                 &requests, &contract->error);
    cr_assert_eq(r, 0, "%s", contract->error.message);
    return requests;
}

static struct store_request *list_requests(struct contract *contract,
                                           enum store_request_state state)
{
    struct store_request_query query = {.agent = test_agent(1), .state = state, .limit = 1000};
    struct store_request *requests = NULL;
    cr_assert_eq(store_list_requests(contract->store, &query, &contract->arena, &requests, NULL),
                 0);
    return requests;
}

static struct store_response *list_responses(struct contract *contract, const char *flow)
{
    struct store_response_query query = {
        .agent = test_agent(1), .flow = str_from(flow), .limit = STORE_PAGE_MAX};
    struct store_response *responses = NULL;
    cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &responses, NULL),
                 0);
    return responses;
}

static struct store_message *list_messages(struct contract *contract, uint64_t after, size_t limit)
{
    struct store_message_query query = {.after = after, .limit = limit};
    struct store_message *messages = NULL;
    cr_assert_eq(store_list_messages(contract->store, &query, &contract->arena, &messages, NULL),
                 0);
    return messages;
}

size_t count_messages(struct contract *contract, uint64_t agent)
{
    struct store_agent_id id = test_agent(agent);
    struct store_message_query query = {.agent = &id, .limit = 100};
    size_t count = 0;
    struct store_message *page = NULL;
    do {
        page = NULL;
        arena_reset(&contract->arena);
        int r =
            store_list_messages(contract->store, &query, &contract->arena, &page, &contract->error);
        cr_assert_eq(r, 0, "%s", contract->error.message);
        for (struct store_message *message = page; message; message = message->next) {
            query.after = message->id;
            count++;
        }
    } while (page != NULL);
    return count;
}

static struct store_work *take_work(struct contract *contract, size_t limit)
{
    struct store_work *work = NULL;
    int r = store_take_work(contract->store, limit, USEC_PER_MINUTE, &contract->arena, &work,
                            &contract->error);
    cr_assert_eq(r, 0, "%s", contract->error.message);
    return work;
}

#define CLAIM(NAME) void contract_##NAME(struct contract *contract)

/* ---- agents ---- */

CLAIM(an_unknown_agent_has_no_data)
{
    struct store_agent *agent = NULL;
    struct store_request_name name;
    cr_assert_eq(store_read_agent(contract->store, test_agent(1), &contract->arena, &agent, NULL),
                 -ENODATA);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), -ENODATA);
    cr_assert_eq(try_send(contract, 1, "F", 0, &name), -ENODATA);
    cr_assert_null(lease_all(contract, 1));
}

CLAIM(an_agent_is_read_as_it_was_enrolled)
{
    enum store_agent_state state = 0;
    cr_assert_eq(try_enrol(contract, 0xfedcba9876543210, "key", STORE_PENDING, &state), 1);
    cr_assert_eq(state, STORE_PENDING);
    struct store_agent *agent = read_agent(contract, 0xfedcba9876543210);
    char text[STORE_AGENT_ID_TEXT];
    store_agent_id_format(agent->id, text);
    cr_assert_str_eq(text, "C.fedcba9876543210");
    cr_assert_eq(agent->state, STORE_PENDING);
    cr_assert(str_equal(agent->key, STR("key")));
    cr_assert(str_equal(agent->certificate, STR("certificate")));
    cr_assert_eq(agent->first_seen, clock_wall(&contract->clock.clock));
    cr_assert_eq(agent->last_seen, 0);
    cr_assert_eq(agent->clock, 0);
    cr_assert_eq(agent->address.len, 0);
    cr_assert_null(agent->next);
}

CLAIM(enrolling_twice_changes_nothing)
{
    enrol(contract, 1);
    uint64_t version = read_agent(contract, 1)->version;
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_ENROLLED, NULL), 0);
    cr_assert_eq(read_agent(contract, 1)->version, version);
    cr_assert_lt(read_agent(contract, 1)->first_seen, clock_wall(&contract->clock.clock));
}

CLAIM(another_key_for_the_same_id_is_refused)
{
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 1, "other", STORE_ENROLLED, NULL), -EEXIST);
    cr_assert(str_equal(read_agent(contract, 1)->key, STR("key")));
}

CLAIM(a_pending_agent_can_be_approved)
{
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, NULL), 1);
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_PENDING, NULL), 1);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 1);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 0);
    cr_assert_eq(read_agent(contract, 1)->state, STORE_ENROLLED);
    enum store_agent_state state = 0;
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_ENROLLED, &state), 1);
    cr_assert_eq(state, STORE_ENROLLED);
}

CLAIM(an_enrolled_agent_never_falls_back_to_pending)
{
    enum store_agent_state state = 0;
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, &state), 0);
    cr_assert_eq(state, STORE_ENROLLED);
    cr_assert_eq(read_agent(contract, 1)->state, STORE_ENROLLED);
}

CLAIM(a_forgotten_agent_enrols_anew)
{
    enrol(contract, 1);
    usec_t first = read_agent(contract, 1)->first_seen;
    struct store_message message = test_message(7, 0);
    struct store_bundle bundle = {.agent = test_agent(1),
                                  .sighting = {.at = 5, .clock = 9, .address = STR("::1")},
                                  .messages = &message,
                                  .message_count = 1};
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    struct store_agent *agent = read_agent(contract, 1);
    cr_assert_eq(agent->state, STORE_FORGOTTEN);
    cr_assert_eq(agent->key.len + agent->certificate.len, 0);
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), -EPERM);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), -EPERM);

    cr_assert_eq(try_enrol(contract, 1, "new key", STORE_ENROLLED, NULL), 1);
    agent = read_agent(contract, 1);
    cr_assert(str_equal(agent->key, STR("new key")));
    cr_assert_eq(agent->clock, 0);
    cr_assert_eq(agent->first_seen, first);
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    cr_assert_eq(count_messages(contract, 1), 1); /* what it sent before is still known */
}

CLAIM(forgetting_drops_the_queue)
{
    enrol(contract, 1);
    struct store_request_name old = send_request(contract, 1, "F", 0);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    struct store_request_name name;
    cr_assert_eq(try_send(contract, 1, "F", 0, &name), -EPERM);
    enrol(contract, 1);
    cr_assert_null(lease_all(contract, 1));
    cr_assert_neq(send_request(contract, 1, "F", 0).request, old.request);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
}

CLAIM(every_change_of_an_agent_gives_another_version)
{
    uint64_t seen[4];
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, NULL), 1);
    seen[0] = read_agent(contract, 1)->version;
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 1);
    seen[1] = read_agent(contract, 1)->version;
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    seen[2] = read_agent(contract, 1)->version;
    enrol(contract, 1);
    seen[3] = read_agent(contract, 1)->version;
    for (int i = 1; i < 4; i++) {
        cr_assert_gt(seen[i], seen[i - 1]);
    }
}

CLAIM(agents_are_listed_in_pages)
{
    enum { AGENTS = 25 };
    uint64_t last = 0;
    size_t count = 0;
    size_t pending = 0;
    for (uint64_t i = AGENTS; i > 0; i--) {
        /* ids with the top bit set sort behind the others, too */
        uint64_t number = i % 2 == 0 ? i : i | 1ULL << 63;
        cr_assert_eq(try_enrol(contract, number, "k", i % 5 ? STORE_ENROLLED : STORE_PENDING, NULL),
                     1);
    }
    struct store_agent_query query = {.limit = 7};
    struct store_agent_id after;
    struct store_agent *page = NULL;
    do {
        cr_assert_eq(store_list_agents(contract->store, &query, &contract->arena, &page, NULL), 0);
        for (struct store_agent *agent = page; agent; agent = agent->next) {
            uint64_t number = 0;
            for (int i = 0; i < 8; i++) {
                number = number << 8 | agent->id.bytes[i];
            }
            cr_assert_gt(number, last);
            last = number;
            count++;
            after = agent->id;
            query.after = &after;
        }
    } while (page != NULL);
    cr_assert_eq(count, AGENTS);
    query = (struct store_agent_query){.state = STORE_PENDING, .limit = 100};
    cr_assert_eq(store_list_agents(contract->store, &query, &contract->arena, &page, NULL), 0);
    pending = LENGTH(page);
    cr_assert_eq(pending, 5);
}

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

/* ---- requests ---- */

CLAIM(requests_get_the_next_number_of_their_flow)
{
    enrol(contract, 1);
    struct store_request_name first = send_request(contract, 1, "", 0);
    cr_assert_eq(strlen(first.flow), 16);
    cr_assert_eq(first.request, 1);
    cr_assert_eq(send_request(contract, 1, first.flow, 0).request, 2);
    cr_assert_eq(send_request(contract, 1, first.flow, 10).request, 10);
    cr_assert_eq(send_request(contract, 1, first.flow, 0).request, 11);
    cr_assert_str_neq(send_request(contract, 1, "", 0).flow, first.flow);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 5);
    cr_assert(str_equal(request->action, STR("GetFileStat")));
    cr_assert(str_equal(request->args, STR("\x00\x01")));
    cr_assert(str_equal(request->args_type, STR("Request")));
    cr_assert_eq(request->cpu_limit, 5);
    cr_assert_eq(request->network_limit, 6);
    cr_assert_eq(request->runtime_limit, 7);
    cr_assert_eq(request->created, clock_wall(&contract->clock.clock));
}

CLAIM(a_number_is_used_once)
{
    struct store_request_name name;
    enrol(contract, 1);
    send_request(contract, 1, "F", 5);
    cr_assert_eq(try_send(contract, 1, "F", 5, &name), -EEXIST);
    answer(contract, test_response("F", 9, 1));
    cr_assert_eq(try_send(contract, 1, "F", 9, &name), -EEXIST);
    cr_assert_eq(send_request(contract, 1, "F", 0).request, 10);
    answer(contract, test_status("F", 5, 1));
    cr_assert_eq(try_send(contract, 1, "F", 5, &name), -EEXIST);
}

CLAIM(a_lease_hides_a_request_until_it_ends)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 1);
    cr_assert_eq(request->leased_until, clock_wall(&contract->clock.clock) + lease.time);
    clock_fake_advance(&contract->clock, lease.time - 1);
    cr_assert_null(lease_all(contract, 1));
    clock_fake_advance(&contract->clock, 1);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
}

CLAIM(a_request_is_delivered_so_often_and_then_expires)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    for (unsigned i = 1; i <= lease.max_deliveries; i++) {
        struct store_request *request = lease_all(contract, 1);
        cr_assert_eq(LENGTH(request), 2);
        cr_assert_eq(request->deliveries, i);
        cr_assert_eq(request->ttl, lease.max_deliveries - i);
        clock_fake_advance(&contract->clock, lease.time);
    }
    send_request(contract, 1, "F", 0);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 1);
    cr_assert_eq(request->request, 3);
    cr_assert_eq(LENGTH(list_requests(contract, STORE_QUEUED)), 1);
    cr_assert_eq(LENGTH(list_requests(contract, STORE_EXPIRED)), 2);
}

CLAIM(leases_come_by_flow_and_number_up_to_the_limit)
{
    enrol(contract, 1);
    send_request(contract, 1, "G", 1);
    send_request(contract, 1, "F", 10);
    send_request(contract, 1, "F", 9);
    struct store_lease two = lease;
    struct store_request *requests = NULL;
    two.limit = 2;
    cr_assert_eq(store_lease_requests(contract->store, test_agent(1), &two, &contract->arena,
                                      &requests, NULL),
                 0);
    cr_assert_eq(LENGTH(requests), 2);
    cr_assert_eq(requests->request, 9);
    cr_assert_eq(requests->next->request, 10);
    requests = lease_all(contract, 1);
    cr_assert_eq(LENGTH(requests), 1);
    cr_assert(str_equal(requests->flow, STR("G")));
}

CLAIM(a_full_arena_leases_what_fits)
{
    enrol(contract, 1);
    struct store_request large = {.agent = test_agent(1),
                                  .flow = STR("F"),
                                  .action = STR("A"),
                                  .args = str_make((char[3000]){0}, 3000)};
    struct store_request_name name;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(store_queue_request(contract->store, &large, &name, NULL), 0);
    }
    struct arena small;
    struct store_request *requests = NULL;
    arena_init(&small, 8192, 8192);
    cr_assert_eq(
        store_lease_requests(contract->store, test_agent(1), &lease, &small, &requests, NULL), 0);
    cr_assert_eq(LENGTH(requests), 2);
    arena_done(&small);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 2); /* the rest was not leased */
}

CLAIM(a_poll_stores_and_leases_at_once)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    struct store_response status = test_status("F", 1, 1);
    struct store_bundle bundle = {
        .agent = test_agent(1), .responses = &status, .response_count = 1};
    struct store_commit commit = {.bundle = &bundle, .lease = lease, .arena = &contract->arena};
    cr_assert_eq(store_commit(contract->store, &commit, 1, STORE_DURABLE, NULL), 0);
    cr_assert_eq(commit.result, 0);
    cr_assert_eq(LENGTH(commit.leased), 1); /* the other one has just been answered */
    cr_assert_eq(commit.leased->request, 2);
}

/* ---- completion ---- */

CLAIM(a_request_finishes_when_all_responses_are_there)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
    answer(contract, test_response("F", 1, 1));
    answer(contract, test_status("F", 1, 3));
    cr_assert_eq(LENGTH(list_requests(contract, STORE_QUEUED)), 1);
    cr_assert_null(take_work(contract, 10));
    answer(contract, test_response("F", 1, 2));
    struct store_request *request = list_requests(contract, 0);
    cr_assert_eq(request->state, STORE_FINISHED);
    cr_assert_eq(request->expected, 3);
    cr_assert_eq(request->received, 3);
    clock_fake_advance(&contract->clock, lease.time * 2);
    cr_assert_null(lease_all(contract, 1));
    struct store_work *work = take_work(contract, 10);
    cr_assert_eq(LENGTH(work), 1);
    cr_assert_eq(work->kind, STORE_WORK_REQUEST);
    cr_assert(str_equal(work->flow, STR("F")));
    cr_assert_eq(work->request, 1);
    answer(contract, test_response("F", 1, 2));
    answer(contract, test_status("F", 1, 3));
    answer(contract, test_response("F", 1, 4));
    cr_assert_null(take_work(contract, 10)); /* finished once */
}

CLAIM(responses_finish_a_request_in_any_order)
{
    enum { RESPONSES = 6 };
    uint64_t random = 5;
    enrol(contract, 1);
    for (uint64_t round = 1; round <= 20; round++) {
        uint64_t order[RESPONSES];
        send_request(contract, 1, "F", round);
        for (uint64_t i = 0; i < RESPONSES; i++) {
            uint64_t j = next_random(&random) % (i + 1);
            order[i] = order[j];
            order[j] = i + 1;
        }
        /* in bundles of different sizes, now and then something twice */
        for (size_t at = 0; at < RESPONSES;) {
            struct store_response bundle[RESPONSES + 1];
            size_t count = 0;
            size_t want = 1 + next_random(&random) % 3;
            if (at > 0) {
                bundle[count++] = test_response("F", round, order[at - 1]);
                if (order[at - 1] == RESPONSES) {
                    bundle[0].kind = STORE_STATUS;
                }
            }
            while (at < RESPONSES && want-- > 0) {
                bundle[count] = test_response("F", round, order[at]);
                bundle[count++].kind = order[at] == RESPONSES ? STORE_STATUS : STORE_MESSAGE;
                at++;
            }
            cr_assert_null(take_work(contract, 1));
            cr_assert_eq(store_responses(contract, 1, bundle, count), 0);
        }
        struct store_work *work = take_work(contract, 10);
        cr_assert_eq(LENGTH(work), 1);
        cr_assert_eq(work->request, round);
        cr_assert_eq(store_acknowledge_work(contract->store, work->id, work->takes, NULL), 0);
    }
}

CLAIM(numbers_beyond_the_status_do_not_count)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    answer(contract, test_response("F", 1, 0));
    answer(contract, test_response("F", 1, 7));
    answer(contract, test_status("F", 1, 3));
    answer(contract, test_response("F", 1, 1));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_QUEUED);
    answer(contract, test_response("F", 1, 2));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_FINISHED);
}

CLAIM(an_expired_request_can_still_finish)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    for (unsigned i = 0; i <= lease.max_deliveries; i++) {
        lease_all(contract, 1);
        clock_fake_advance(&contract->clock, lease.time);
    }
    cr_assert_eq(list_requests(contract, 0)->state, STORE_EXPIRED);
    answer(contract, test_status("F", 1, 1));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_FINISHED);
    cr_assert_eq(LENGTH(take_work(contract, 10)), 1);
}

CLAIM(responses_to_unknown_requests_are_kept)
{
    enrol(contract, 1);
    answer(contract, test_response("nobody asked", 1, 1));
    answer(contract, test_status("nobody asked", 1, 2));
    cr_assert_eq(LENGTH(list_responses(contract, "nobody asked")), 2);
    cr_assert_null(take_work(contract, 10));
    cr_assert_null(list_requests(contract, 0));
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

/* ---- work ---- */

static void make_work(struct contract *contract, uint32_t items)
{
    for (uint32_t i = 0; i < items; i++) {
        struct store_message message = test_message(1, i);
        cr_assert_eq(store_messages(contract, 1, &message, 1), 0);
    }
}

CLAIM(work_is_taken_once)
{
    enrol(contract, 1);
    make_work(contract, 5);
    struct store_work *first = take_work(contract, 3);
    struct store_work *second = take_work(contract, 3);
    cr_assert_eq(LENGTH(first), 3);
    cr_assert_eq(LENGTH(second), 2);
    cr_assert_gt(second->id, first->next->next->id);
    cr_assert_eq(first->kind, STORE_WORK_MESSAGE);
    cr_assert(str_equal(first->handler, STR("StatsHandler")));
    cr_assert_eq(first->message, list_messages(contract, 0, 1)->id);
    cr_assert_eq(first->takes, 1);
    cr_assert_null(take_work(contract, 3));
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), 0);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
}

CLAIM(work_comes_back_when_its_lease_ends)
{
    enrol(contract, 1);
    make_work(contract, 1);
    struct store_work *first = take_work(contract, 1);
    clock_fake_advance(&contract->clock, USEC_PER_MINUTE);
    struct store_work *second = take_work(contract, 1);
    cr_assert_eq(first->id, second->id);
    cr_assert_eq(second->takes, 2);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(store_give_back_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(store_acknowledge_work(contract->store, second->id, second->takes, NULL), 0);
    clock_fake_advance(&contract->clock, USEC_PER_MINUTE);
    cr_assert_null(take_work(contract, 1));
}

CLAIM(work_given_back_is_taken_again)
{
    enrol(contract, 1);
    make_work(contract, 1);
    struct store_work *first = take_work(contract, 1);
    cr_assert_eq(store_give_back_work(contract->store, first->id, first->takes, NULL), 0);
    cr_assert_eq(store_acknowledge_work(contract->store, first->id, first->takes, NULL), -ESTALE);
    cr_assert_eq(take_work(contract, 1)->id, first->id);
}

enum { TAKERS = 4, ITEMS = 200 };

struct taker {
    struct store *store;
    unsigned taken[ITEMS + 1]; /* by id */
    pthread_t thread;
};

static void *take_until_empty(void *context)
{
    struct taker *taker = context;
    struct arena arena;
    struct store_work *work = NULL;
    arena_init(&arena, 4096, 1 << 20);
    do {
        arena_reset(&arena);
        cr_assert_eq(store_take_work(taker->store, 3, USEC_PER_MINUTE, &arena, &work, NULL), 0);
        for (struct store_work *at = work; at; at = at->next) {
            cr_assert_leq(at->id, ITEMS);
            taker->taken[at->id]++;
            cr_assert_eq(store_acknowledge_work(taker->store, at->id, at->takes, NULL), 0);
        }
    } while (work != NULL);
    arena_done(&arena);
    return NULL;
}

CLAIM(parallel_takers_never_get_the_same)
{
    static struct taker takers[TAKERS];
    enrol(contract, 1);
    make_work(contract, ITEMS);
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.store = contract->store};
        cr_assert_eq(pthread_create(&takers[i].thread, NULL, take_until_empty, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
    }
    for (int item = 1; item <= ITEMS; item++) {
        unsigned count = 0;
        for (int i = 0; i < TAKERS; i++) {
            count += takers[i].taken[item];
        }
        cr_assert_eq(count, 1);
    }
}

struct sender {
    struct contract *contract;
    uint64_t agent;
    pthread_t thread;
};

static void *send_many(void *context)
{
    struct sender *sender = context;
    for (uint64_t i = 1; i <= 50; i++) {
        struct store_message messages[] = {test_message(i, 0), test_message(i, 1)};
        struct store_bundle bundle = {
            .agent = test_agent(sender->agent), .messages = messages, .message_count = 2};
        struct store_commit commit = {.bundle = &bundle};
        cr_assert_eq(store_commit(sender->contract->store, &commit, 1, STORE_DURABLE, NULL), 0);
        cr_assert_eq(commit.result, 0);
        (void)store_may_have_queued(sender->contract->store, test_agent(sender->agent));
    }
    return NULL;
}

CLAIM(parallel_bundles_are_all_stored)
{
    struct sender senders[4];
    for (uint64_t i = 0; i < 4; i++) {
        enrol(contract, i + 1);
        senders[i] = (struct sender){.contract = contract, .agent = i + 1};
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        pthread_join(senders[i].thread, NULL);
    }
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(count_messages(contract, i + 1), 100);
    }
}

/* ---- what is known without asking ---- */

CLAIM(the_hint_knows_what_is_queued)
{
    enrol(contract, 1);
    enrol(contract, 2);
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    send_request(contract, 1, "F", 0);
    cr_assert(store_may_have_queued(contract->store, test_agent(1)));
    cr_assert_not(store_may_have_queued(contract->store, test_agent(2)));
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
    cr_assert_null(lease_all(contract, 1));
    cr_assert(store_may_have_queued(contract->store, test_agent(1))); /* leased, not answered */
    answer(contract, test_status("F", 1, 1));
    cr_assert_null(lease_all(contract, 1));
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    send_request(contract, 1, "F", 0);
    cr_assert(store_may_have_queued(contract->store, test_agent(1)));
}

static void note_changed(void *context, struct store_agent_id agent)
{
    unsigned *changed = context;
    changed[agent.bytes[7]]++;
}

CLAIM(a_watcher_hears_of_changed_agents)
{
    unsigned changed[3] = {0};
    store_watch_agents(contract->store, note_changed, changed);
    enrol(contract, 1);
    enrol(contract, 1);
    cr_assert_eq(changed[1], 1);
    cr_assert_eq(changed[2], 0);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    cr_assert_eq(changed[1], 2);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 0);
    cr_assert_eq(changed[1], 2);
    store_watch_agents(contract->store, NULL, NULL);
}

CLAIM(statistics_count)
{
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_PENDING, NULL), 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    answer(contract, test_status("F", 1, 1));
    make_work(contract, 3);
    struct store_statistics statistics;
    cr_assert_eq(store_read_statistics(contract->store, &statistics, NULL), 0);
    cr_assert_eq(statistics.agents[0], 2);
    cr_assert_eq(statistics.agents[STORE_ENROLLED], 1);
    cr_assert_eq(statistics.agents[STORE_PENDING], 1);
    cr_assert_eq(statistics.requests, 2);
    cr_assert_eq(statistics.requests_queued, 1);
    cr_assert_eq(statistics.responses, 1);
    cr_assert_eq(statistics.messages, 3);
    cr_assert_eq(statistics.work, 4);
    cr_assert_gt(statistics.bytes, 0);
}

CLAIM(a_healthy_store_says_so)
{
    cr_assert_eq(store_check(contract->store, &contract->error), 0, "%s", contract->error.message);
}
