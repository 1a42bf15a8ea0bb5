/* SPDX-License-Identifier: Apache-2.0 */
/* What agents bring to the memory engine: stored whole or not at all, and listed. */
#include "base/check.h"
#include "store/memory_rows.h"

static int compare_responses(const struct store_response *a, const struct store_response *b)
{
    int order = memory_compare_flows(a->agent, a->flow, a->request, b->agent, b->flow, b->request);
    return order != 0 ? order : memory_compare_numbers(a->response, b->response);
}

/* ---- bundles ---- */

/* Copies of all that is new, in the order it came. */
struct fresh {
    struct store_response *responses;
    struct store_message *messages;
};

static bool copy_bundle(struct memory *memory, const struct store_bundle *bundle,
                        struct fresh *fresh)
{
    struct store_response **response = &fresh->responses;
    struct store_message **message = &fresh->messages;
    for (size_t i = 0; i < bundle->response_count; i++) {
        *response = store_copy_response(&memory->arena, &bundle->responses[i]);
        if (*response == NULL) {
            return false;
        }
        (*response)->agent = bundle->agent;
        (*response)->received = memory_now(memory);
        response = &(*response)->next;
    }
    for (size_t i = 0; i < bundle->message_count; i++) {
        *message = store_copy_message(&memory->arena, &bundle->messages[i]);
        if (*message == NULL) {
            return false;
        }
        (*message)->agent = bundle->agent;
        (*message)->received = memory_now(memory);
        message = &(*message)->next;
    }
    return true;
}

static void add_work(struct memory *memory, const struct store_work *source)
{
    struct store_work **at = &memory->work;
    struct store_work *work = store_copy_work(&memory->arena, source);
    /* commit_bundle() has made sure of the room. */
    CHECK(work != NULL);
    work->id = ++memory->last_work;
    work->created = memory_now(memory);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = work;
}

static uint64_t count_responses(const struct memory *memory, const struct store_request *request)
{
    uint64_t count = 0;
    for (const struct store_response *response = memory->responses; response;
         response = response->next) {
        count += memory_compare_flows(response->agent, response->flow, response->request,
                                      request->agent, request->flow, request->request) == 0 &&
                 response->response >= 1 && response->response <= request->expected;
    }
    return count;
}

static void note_response(struct memory *memory, const struct store_response *response)
{
    struct store_request *request =
        memory_find_request(memory, response->agent, response->flow, response->request);
    if (request == NULL || request->state == STORE_FINISHED) {
        return;
    }
    request->received++;
    if (response->kind == STORE_STATUS && request->expected == 0) {
        request->expected = response->response;
    }
    if (request->expected > 0 && count_responses(memory, request) == request->expected) {
        request->state = STORE_FINISHED;
        add_work(memory, &(struct store_work){.kind = STORE_WORK_REQUEST,
                                              .agent = request->agent,
                                              .flow = request->flow,
                                              .request = request->request});
    }
}

static size_t insert_response(struct memory *memory, struct store_response *response)
{
    struct store_response **at = &memory->responses;
    while (*at != NULL && compare_responses(*at, response) < 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && compare_responses(*at, response) == 0) {
        return 0;
    }
    response->next = *at;
    *at = response;
    note_response(memory, response);
    return 1;
}

static bool is_same_message(const struct store_message *a, const struct store_message *b)
{
    return a->packet_timestamp != 0 && a->packet_timestamp == b->packet_timestamp &&
           a->place == b->place && memory_compare_agents(a->agent, b->agent) == 0;
}

static size_t insert_message(struct memory *memory, struct store_message *message)
{
    struct store_message **at = &memory->messages;
    while (*at != NULL) {
        if (is_same_message(*at, message)) {
            return 0;
        }
        at = &(*at)->next;
    }
    message->id = ++memory->last_message;
    message->next = NULL;
    *at = message;
    add_work(memory, &(struct store_work){.kind = STORE_WORK_MESSAGE,
                                          .agent = message->agent,
                                          .handler = message->handler,
                                          .message = message->id});
    return 1;
}

static size_t insert_fresh(struct memory *memory, struct fresh *fresh)
{
    size_t count = 0;
    struct store_response *next_response;
    struct store_message *next_message;
    for (struct store_response *response = fresh->responses; response; response = next_response) {
        next_response = response->next;
        count += insert_response(memory, response);
    }
    for (struct store_message *message = fresh->messages; message; message = next_message) {
        next_message = message->next;
        count += insert_message(memory, message);
    }
    return count;
}

static void see_agent(struct memory *memory, struct store_agent *agent,
                      const struct store_sighting *sighting)
{
    if (sighting->at == 0) {
        return;
    }
    agent->clock = sighting->clock > agent->clock ? sighting->clock : agent->clock;
    if (sighting->at < agent->last_seen) {
        return;
    }
    agent->last_seen = sighting->at;
    if (sighting->address.len > 0 && !str_equal(sighting->address, agent->address)) {
        char *copy = arena_strdup(&memory->arena, sighting->address);
        agent->address = copy == NULL ? agent->address : str_from(copy);
    }
}

/* Work items are allocated while inserting, when it is too late to fail. */
static bool has_room_for_work(const struct memory *memory, const struct store_bundle *bundle)
{
    size_t one = sizeof(struct store_work) + 2 * (size_t)STORE_NAME_MAX + 64;
    size_t items = bundle->message_count + bundle->response_count;
    return memory->arena.max - memory->arena.reserved > items * one + memory->arena.block_size;
}

static int commit_bundle(struct memory *memory, struct store_commit *commit, struct error *error)
{
    const struct store_bundle *bundle = commit->bundle;
    struct store_agent *agent = memory_find_agent(memory, bundle->agent);
    struct fresh fresh = {NULL, NULL};
    if (agent == NULL) {
        return error_set(error, -ENODATA, "there is no such agent");
    }
    if (agent->state != STORE_ENROLLED) {
        return error_set(error, -EPERM, "the agent is not enrolled");
    }
    if (!copy_bundle(memory, bundle, &fresh) || !has_room_for_work(memory, bundle)) {
        return error_set(error, -ENOMEM, "no room for a bundle");
    }
    commit->fresh = insert_fresh(memory, &fresh);
    see_agent(memory, agent, &bundle->sighting);
    if (commit->lease.limit > 0) {
        memory_lease(memory, commit);
    }
    return 0;
}

int memory_commit(struct store *store, struct store_commit *commits, size_t count,
                  enum store_durability durability, struct error *error)
{
    struct memory *memory = memory_lock(store);
    (void)durability;
    for (size_t i = 0; i < count; i++) {
        if (commits[i].result == 0) {
            commits[i].result = commit_bundle(memory, &commits[i], error);
        }
    }
    return memory_unlock(memory, 0);
}

static bool matches_response(const struct store_response_query *query,
                             const struct store_response *response)
{
    const struct store_response after = {.agent = query->agent,
                                         .flow = query->after_flow,
                                         .request = query->after_request,
                                         .response = query->after_response};
    return memory_compare_agents(response->agent, query->agent) == 0 &&
           (query->after_flow.len == 0 || compare_responses(response, &after) > 0) &&
           (query->flow.len == 0 || str_equal(response->flow, query->flow)) &&
           (query->request == 0 || response->request == query->request);
}

int memory_list_responses(struct store *store, const struct store_response_query *query,
                          struct arena *arena, struct store_response **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_response *first = NULL;
    struct store_response **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_response *response = memory->responses; response;
         response = response->next) {
        if (matches_response(query, response) &&
            !MEMORY_APPEND(tail, left, store_copy_response(arena, response), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return memory_end_page(memory, result, error);
}

int memory_list_messages(struct store *store, const struct store_message_query *query,
                         struct arena *arena, struct store_message **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_message *first = NULL;
    struct store_message **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_message *message = memory->messages; message; message = message->next) {
        if (message->id > query->after &&
            (query->agent == NULL || memory_compare_agents(message->agent, *query->agent) == 0) &&
            (query->handler.len == 0 || str_equal(message->handler, query->handler)) &&
            !MEMORY_APPEND(tail, left, store_copy_message(arena, message), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return memory_end_page(memory, result, error);
}
