/* SPDX-License-Identifier: Apache-2.0 */
/* What the claims are made of. */
#include "contract_parts.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "support/support.h"

const struct store_lease contract_lease = {
    .limit = 100, .time = 60 * USEC_PER_SEC, .max_deliveries = 5};

struct store_agent_id test_agent(uint64_t number)
{
    struct store_agent_id id;
    for (int i = 7; i >= 0; i--, number >>= 8) {
        id.bytes[i] = (uint8_t)number;
    }
    return id;
}

int try_enrol(struct contract *contract, uint64_t number, const char *key,
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

struct store_agent *read_agent(struct contract *contract, uint64_t number)
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

int commit_bundle(struct contract *contract, const struct store_bundle *bundle, size_t *fresh)
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

void answer(struct contract *contract, struct store_response response)
{
    cr_assert_eq(store_responses(contract, 1, &response, 1), 0, "%s", contract->error.message);
}

int try_send(struct contract *contract, uint64_t agent, const char *flow, uint64_t number,
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
    int r = store_lease_requests(contract->store, test_agent(agent), &contract_lease,
                                 &contract->arena, &requests, &contract->error);
    cr_assert_eq(r, 0, "%s", contract->error.message);
    return requests;
}

struct store_request *list_requests(struct contract *contract, enum store_request_state state)
{
    struct store_request_query query = {.agent = test_agent(1), .state = state, .limit = 1000};
    struct store_request *requests = NULL;
    cr_assert_eq(store_list_requests(contract->store, &query, &contract->arena, &requests, NULL),
                 0);
    return requests;
}

struct store_response *list_responses(struct contract *contract, const char *flow)
{
    struct store_response_query query = {
        .agent = test_agent(1), .flow = str_from(flow), .limit = STORE_PAGE_MAX};
    struct store_response *responses = NULL;
    cr_assert_eq(store_list_responses(contract->store, &query, &contract->arena, &responses, NULL),
                 0);
    return responses;
}

struct store_message *list_messages(struct contract *contract, uint64_t after, size_t limit)
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

struct store_work *take_work(struct contract *contract, size_t limit)
{
    struct store_work *work = NULL;
    int r = store_take_work(contract->store, limit, USEC_PER_MINUTE, &contract->arena, &work,
                            &contract->error);
    cr_assert_eq(r, 0, "%s", contract->error.message);
    return work;
}

void make_work(struct contract *contract, uint32_t items)
{
    for (uint32_t i = 0; i < items; i++) {
        struct store_message message = test_message(1, i);
        cr_assert_eq(store_messages(contract, 1, &message, 1), 0);
    }
}
