/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the memory engine: queued, listed, leased. */
#include "store/memory_rows.h"

struct store_request *memory_find_request(const struct memory *memory, struct store_agent_id agent,
                                          struct str flow, uint64_t number)
{
    struct store_request *request = memory->requests;
    while (request != NULL && memory_compare_flows(request->agent, request->flow, request->request,
                                                   agent, flow, number) != 0) {
        request = request->next;
    }
    return request;
}

/* Behind all requests of the flow, and all responses to it. */
static uint64_t next_request(const struct memory *memory, struct store_agent_id agent,
                             struct str flow)
{
    uint64_t last = 0;
    for (const struct store_request *request = memory->requests; request; request = request->next) {
        if (memory_compare_flows(request->agent, request->flow, 0, agent, flow, 0) == 0 &&
            request->request > last) {
            last = request->request;
        }
    }
    for (const struct store_response *response = memory->responses; response;
         response = response->next) {
        if (memory_compare_flows(response->agent, response->flow, 0, agent, flow, 0) == 0 &&
            response->request > last) {
            last = response->request;
        }
    }
    return last + 1;
}

static bool has_response(const struct memory *memory, struct store_agent_id agent, struct str flow,
                         uint64_t request)
{
    const struct store_response *response = memory->responses;
    while (response != NULL && memory_compare_flows(response->agent, response->flow,
                                                    response->request, agent, flow, request) != 0) {
        response = response->next;
    }
    return response != NULL;
}

static void insert_request(struct memory *memory, struct store_request *request)
{
    struct store_request **at = &memory->requests;
    while (*at != NULL &&
           memory_compare_flows((*at)->agent, (*at)->flow, (*at)->request, request->agent,
                                request->flow, request->request) < 0) {
        at = &(*at)->next;
    }
    request->next = *at;
    *at = request;
}

static int queue(struct memory *memory, struct store_request *request, struct error *error)
{
    const struct store_agent *agent = memory_find_agent(memory, request->agent);
    if (agent == NULL) {
        return error_set(error, -ENODATA, "there is no such agent");
    }
    if (agent->state == STORE_FORGOTTEN) {
        return error_set(error, -EPERM, "the agent is forgotten");
    }
    if (request->request == 0) {
        request->request = next_request(memory, request->agent, request->flow);
    }
    if (request->request > INT64_MAX ||
        memory_find_request(memory, request->agent, request->flow, request->request) != NULL ||
        has_response(memory, request->agent, request->flow, request->request)) {
        return error_set(error, -EEXIST, "the flow has had a request of this number");
    }
    struct memory_request *row = arena_alloc(&memory->arena, sizeof *row);
    const struct store_request *copy = store_copy_request(&memory->arena, request);
    if (row == NULL || copy == NULL) {
        return error_set(error, -ENOMEM, "no room for a request");
    }
    *row = (struct memory_request){*copy, ++memory->last_queued};
    insert_request(memory, &row->row);
    return 0;
}

int memory_queue_request(struct store *store, const struct store_request *source, uint64_t *number,
                         uint64_t *queued, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_request request = *source;
    request.state = STORE_QUEUED;
    request.deliveries = request.ttl = 0;
    request.leased_until = 0;
    request.expected = request.received = 0;
    request.created = memory_now(memory);
    int r = queue(memory, &request, error);
    if (r == 0) {
        *number = request.request;
        *queued = memory->last_queued;
    }
    return memory_unlock(memory, r);
}

int memory_list_requests(struct store *store, const struct store_request_query *query,
                         struct arena *arena, struct store_request **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_request *first = NULL;
    struct store_request **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_request *request = memory->requests; request; request = request->next) {
        if (memory_compare_agents(request->agent, query->agent) == 0 &&
            memory_compare_flows(query->agent, request->flow, request->request, query->agent,
                                 query->after_flow, query->after_request) > 0 &&
            (query->state == 0 || request->state == query->state) &&
            !MEMORY_APPEND(tail, left, store_copy_request(arena, request), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return memory_end_page(memory, result, error);
}

int memory_has_queued(struct store *store, struct store_agent_id agent, struct error *error)
{
    struct memory *memory = memory_lock(store);
    int found = 0;
    (void)error;
    for (const struct store_request *request = memory->requests; request && found == 0;
         request = request->next) {
        found = request->state == STORE_QUEUED && memory_compare_agents(request->agent, agent) == 0;
    }
    return memory_unlock(memory, found);
}

void memory_lease(struct memory *memory, struct store_commit *commit)
{
    struct store_request **tail = &commit->leased;
    size_t left = commit->lease.limit;
    int result = 0;
    for (struct store_request *request = memory->requests; request; request = request->next) {
        if (request->state != STORE_QUEUED || request->leased_until > memory_now(memory) ||
            memory_compare_agents(request->agent, commit->bundle->agent) != 0) {
            continue;
        }
        if (request->deliveries >= commit->lease.max_deliveries) {
            request->state = STORE_EXPIRED;
            continue;
        }
        struct store_request *copy = store_copy_request(commit->arena, request);
        if (copy != NULL) {
            copy->deliveries = ++request->deliveries;
            copy->ttl = commit->lease.max_deliveries - request->deliveries;
            copy->leased_until = request->leased_until =
                usec_add(memory_now(memory), commit->lease.time);
        }
        if (!MEMORY_APPEND(tail, left, copy, result)) {
            break;
        }
    }
}
