/* SPDX-License-Identifier: Apache-2.0 */
/* Linked lists in the order of their keys, one arena for all rows, one lock around each call. */
#include "store/store_memory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/error.h"
#include "store/store_copy.h"
#include "store/store_engine.h"

struct memory_request {
    struct store_request row; /* stays first: `row.next` is the next one's row */
    uint64_t queued;          /* position in the order of queueing */
};

struct memory {
    struct store store; /* stays first */
    pthread_mutex_t lock;
    struct arena arena;
    struct store_agent *agents;
    struct store_request *requests;
    struct store_response *responses;
    struct store_message *messages;
    struct store_work *work;
    uint64_t last_version;
    uint64_t last_queued;
    uint64_t last_message;
    uint64_t last_work;
};

static struct memory *memory_lock(struct store *store)
{
    struct memory *memory = (struct memory *)store;
    pthread_mutex_lock(&memory->lock);
    return memory;
}

static int memory_unlock(struct memory *memory, int result)
{
    pthread_mutex_unlock(&memory->lock);
    return result;
}

static usec_t now(const struct memory *memory)
{
    return clock_wall(memory->store.clock);
}

/* ---- order ---- */

static int compare_agents(struct store_agent_id a, struct store_agent_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_texts(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least == 0 ? 0 : memcmp(a.data, b.data, least);
    return order != 0 ? order : compare_numbers(a.len, b.len);
}

static int compare_flows(struct store_agent_id agent_a, struct str flow_a, uint64_t request_a,
                         struct store_agent_id agent_b, struct str flow_b, uint64_t request_b)
{
    int order = compare_agents(agent_a, agent_b);
    order = order != 0 ? order : compare_texts(flow_a, flow_b);
    return order != 0 ? order : compare_numbers(request_a, request_b);
}

static int compare_responses(const struct store_response *a, const struct store_response *b)
{
    int order = compare_flows(a->agent, a->flow, a->request, b->agent, b->flow, b->request);
    return order != 0 ? order : compare_numbers(a->response, b->response);
}

/* ---- agents ---- */

static struct store_agent *find_agent(const struct memory *memory, struct store_agent_id id)
{
    struct store_agent *agent = memory->agents;
    while (agent != NULL && compare_agents(agent->id, id) != 0) {
        agent = agent->next;
    }
    return agent;
}

static int read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                      struct store_agent **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    const struct store_agent *agent = find_agent(memory, id);
    if (agent == NULL) {
        return memory_unlock(memory, error_set(error, -ENODATA, "there is no such agent"));
    }
    struct store_agent *copy = store_copy_agent(arena, agent);
    if (copy == NULL) {
        return memory_unlock(memory, error_set(error, -ENOMEM, "no room for an agent"));
    }
    *out = copy;
    return memory_unlock(memory, 0);
}

static void insert_agent(struct memory *memory, struct store_agent *agent)
{
    struct store_agent **at = &memory->agents;
    while (*at != NULL && compare_agents((*at)->id, agent->id) < 0) {
        at = &(*at)->next;
    }
    agent->next = *at;
    *at = agent;
}

/* A row for an id that is new or was forgotten. */
static int begin_agent(struct memory *memory, struct store_agent *agent,
                       const struct store_enrolment *enrolment, struct error *error)
{
    struct store_agent fresh = {.id = enrolment->agent,
                                .state = enrolment->state,
                                .version = memory->last_version + 1,
                                .key = enrolment->key,
                                .certificate = enrolment->certificate,
                                .first_seen = now(memory)};
    if (agent != NULL) {
        fresh.first_seen = agent->first_seen;
        fresh.last_seen = agent->last_seen;
        fresh.address = agent->address;
    }
    struct store_agent *copy = store_copy_agent(&memory->arena, &fresh);
    if (copy == NULL) {
        return error_set(error, -ENOMEM, "no room for an agent");
    }
    memory->last_version++;
    if (agent == NULL) {
        insert_agent(memory, copy);
    } else {
        copy->next = agent->next;
        *agent = *copy;
    }
    return 1;
}

static int enrol(struct memory *memory, const struct store_enrolment *enrolment,
                 enum store_agent_state *state, struct error *error)
{
    struct store_agent *agent = find_agent(memory, enrolment->agent);
    *state = enrolment->state;
    if (agent == NULL || agent->state == STORE_FORGOTTEN) {
        return begin_agent(memory, agent, enrolment, error);
    }
    if (!str_equal(agent->key, enrolment->key)) {
        return error_set(error, -EEXIST, "the agent's id is taken by another key");
    }
    if (agent->state == STORE_PENDING && enrolment->state == STORE_ENROLLED) {
        agent->state = STORE_ENROLLED;
        agent->version = ++memory->last_version;
        return 1;
    }
    *state = agent->state;
    return 0;
}

static int enrol_agent(struct store *store, const struct store_enrolment *enrolment,
                       enum store_agent_state *state, struct error *error)
{
    struct memory *memory = memory_lock(store);
    return memory_unlock(memory, enrol(memory, enrolment, state, error));
}

static void forget(struct memory *memory, struct store_agent *agent)
{
    agent->key = agent->certificate = STR("");
    agent->clock = 0;
    for (struct store_request *request = memory->requests; request; request = request->next) {
        if (request->state == STORE_QUEUED && compare_agents(request->agent, agent->id) == 0) {
            request->state = STORE_EXPIRED;
        }
    }
}

static int set_state(struct store *store, struct store_agent_id id, enum store_agent_state state,
                     struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_agent *agent = find_agent(memory, id);
    if (agent == NULL) {
        return memory_unlock(memory, error_set(error, -ENODATA, "there is no such agent"));
    }
    if (agent->state == state) {
        return memory_unlock(memory, 0);
    }
    if (agent->state == STORE_FORGOTTEN) {
        return memory_unlock(memory, error_set(error, -EPERM, "a forgotten agent has to enrol"));
    }
    agent->state = state;
    agent->version = ++memory->last_version;
    if (state == STORE_FORGOTTEN) {
        forget(memory, agent);
    }
    return memory_unlock(memory, 1);
}

/* Lists: append a copy; 0 ends the page, since the limit is reached or the arena full. */
#define APPEND(TAIL, LEFT, COPY, RESULT)             \
    __extension__({                                  \
        bool go_on_ = false;                         \
        void *copy_ = (COPY);                        \
        if (copy_ == NULL) {                         \
            RESULT = RESULT == 0 ? -ENOMEM : RESULT; \
        } else {                                     \
            *(TAIL) = copy_;                         \
            (TAIL) = &(*(TAIL))->next;               \
            RESULT = 1;                              \
            go_on_ = --(LEFT) > 0;                   \
        }                                            \
        go_on_;                                      \
    })

static int finish_page(struct memory *memory, int result, struct error *error)
{
    if (result < 0) {
        error_set(error, result, "no room for one row");
    }
    return memory_unlock(memory, result < 0 ? result : 0);
}

static int list_agents(struct store *store, const struct store_agent_query *query,
                       struct arena *arena, struct store_agent **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_agent *first = NULL;
    struct store_agent **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_agent *agent = memory->agents; agent; agent = agent->next) {
        if ((query->after == NULL || compare_agents(agent->id, *query->after) > 0) &&
            (query->state == 0 || agent->state == query->state) &&
            !APPEND(tail, left, store_copy_agent(arena, agent), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return finish_page(memory, result, error);
}

/* ---- requests ---- */

static struct store_request *find_request(const struct memory *memory, struct store_agent_id agent,
                                          struct str flow, uint64_t number)
{
    struct store_request *request = memory->requests;
    while (request != NULL && compare_flows(request->agent, request->flow, request->request, agent,
                                            flow, number) != 0) {
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
        if (compare_flows(request->agent, request->flow, 0, agent, flow, 0) == 0 &&
            request->request > last) {
            last = request->request;
        }
    }
    for (const struct store_response *response = memory->responses; response;
         response = response->next) {
        if (compare_flows(response->agent, response->flow, 0, agent, flow, 0) == 0 &&
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
    while (response != NULL && compare_flows(response->agent, response->flow, response->request,
                                             agent, flow, request) != 0) {
        response = response->next;
    }
    return response != NULL;
}

static void insert_request(struct memory *memory, struct store_request *request)
{
    struct store_request **at = &memory->requests;
    while (*at != NULL && compare_flows((*at)->agent, (*at)->flow, (*at)->request, request->agent,
                                        request->flow, request->request) < 0) {
        at = &(*at)->next;
    }
    request->next = *at;
    *at = request;
}

static int queue(struct memory *memory, struct store_request *request, struct error *error)
{
    const struct store_agent *agent = find_agent(memory, request->agent);
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
        find_request(memory, request->agent, request->flow, request->request) != NULL ||
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

static int queue_request(struct store *store, const struct store_request *source, uint64_t *number,
                         uint64_t *queued, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_request request = *source;
    request.state = STORE_QUEUED;
    request.deliveries = request.ttl = 0;
    request.leased_until = 0;
    request.expected = request.received = 0;
    request.created = now(memory);
    int r = queue(memory, &request, error);
    if (r == 0) {
        *number = request.request;
        *queued = memory->last_queued;
    }
    return memory_unlock(memory, r);
}

static int list_requests(struct store *store, const struct store_request_query *query,
                         struct arena *arena, struct store_request **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_request *first = NULL;
    struct store_request **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_request *request = memory->requests; request; request = request->next) {
        if (compare_agents(request->agent, query->agent) == 0 &&
            compare_flows(query->agent, request->flow, request->request, query->agent,
                          query->after_flow, query->after_request) > 0 &&
            (query->state == 0 || request->state == query->state) &&
            !APPEND(tail, left, store_copy_request(arena, request), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return finish_page(memory, result, error);
}

static int has_queued(struct store *store, struct store_agent_id agent, struct error *error)
{
    struct memory *memory = memory_lock(store);
    int found = 0;
    (void)error;
    for (const struct store_request *request = memory->requests; request && found == 0;
         request = request->next) {
        found = request->state == STORE_QUEUED && compare_agents(request->agent, agent) == 0;
    }
    return memory_unlock(memory, found);
}

static void lease(struct memory *memory, struct store_commit *commit)
{
    struct store_request **tail = &commit->leased;
    size_t left = commit->lease.limit;
    int result = 0;
    for (struct store_request *request = memory->requests; request; request = request->next) {
        if (request->state != STORE_QUEUED || request->leased_until > now(memory) ||
            compare_agents(request->agent, commit->bundle->agent) != 0) {
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
            copy->leased_until = request->leased_until = usec_add(now(memory), commit->lease.time);
        }
        if (!APPEND(tail, left, copy, result)) {
            break;
        }
    }
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
        (*response)->received = now(memory);
        response = &(*response)->next;
    }
    for (size_t i = 0; i < bundle->message_count; i++) {
        *message = store_copy_message(&memory->arena, &bundle->messages[i]);
        if (*message == NULL) {
            return false;
        }
        (*message)->agent = bundle->agent;
        (*message)->received = now(memory);
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
    work->created = now(memory);
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
        count += compare_flows(response->agent, response->flow, response->request, request->agent,
                               request->flow, request->request) == 0 &&
                 response->response >= 1 && response->response <= request->expected;
    }
    return count;
}

static void note_response(struct memory *memory, const struct store_response *response)
{
    struct store_request *request =
        find_request(memory, response->agent, response->flow, response->request);
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
           a->place == b->place && compare_agents(a->agent, b->agent) == 0;
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
    struct store_agent *agent = find_agent(memory, bundle->agent);
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
        lease(memory, commit);
    }
    return 0;
}

static int commit(struct store *store, struct store_commit *commits, size_t count,
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
    return compare_agents(response->agent, query->agent) == 0 &&
           (query->after_flow.len == 0 || compare_responses(response, &after) > 0) &&
           (query->flow.len == 0 || str_equal(response->flow, query->flow)) &&
           (query->request == 0 || response->request == query->request);
}

static int list_responses(struct store *store, const struct store_response_query *query,
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
            !APPEND(tail, left, store_copy_response(arena, response), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return finish_page(memory, result, error);
}

static int list_messages(struct store *store, const struct store_message_query *query,
                         struct arena *arena, struct store_message **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_message *first = NULL;
    struct store_message **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_message *message = memory->messages; message; message = message->next) {
        if (message->id > query->after &&
            (query->agent == NULL || compare_agents(message->agent, *query->agent) == 0) &&
            (query->handler.len == 0 || str_equal(message->handler, query->handler)) &&
            !APPEND(tail, left, store_copy_message(arena, message), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return finish_page(memory, result, error);
}

/* ---- work ---- */

static int take_work(struct store *store, size_t limit, usec_t time, struct arena *arena,
                     struct store_work **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_work *first = NULL;
    struct store_work **tail = &first;
    int result = 0;
    for (struct store_work *work = memory->work; work; work = work->next) {
        if (work->leased_until > now(memory)) {
            continue;
        }
        struct store_work *copy = store_copy_work(arena, work);
        if (copy != NULL) {
            copy->leased_until = work->leased_until = usec_add(now(memory), time);
            copy->takes = ++work->takes;
        }
        if (!APPEND(tail, limit, copy, result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return finish_page(memory, result, error);
}

static struct store_work **find_work(struct memory *memory, uint64_t id, uint64_t takes)
{
    struct store_work **at = &memory->work;
    while (*at != NULL && !((*at)->id == id && (*at)->takes == takes && (*at)->leased_until > 0)) {
        at = &(*at)->next;
    }
    return *at == NULL ? NULL : at;
}

static int acknowledge_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_work **at = find_work(memory, id, takes);
    if (at == NULL) {
        return memory_unlock(memory, error_set(error, -ESTALE, "the work is somebody else's"));
    }
    *at = (*at)->next;
    return memory_unlock(memory, 0);
}

static int give_back_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_work **at = find_work(memory, id, takes);
    if (at == NULL) {
        return memory_unlock(memory, error_set(error, -ESTALE, "the work is somebody else's"));
    }
    (*at)->leased_until = 0;
    return memory_unlock(memory, 0);
}

/* ---- the store itself ---- */

static int read_changes(struct store *store, struct store_position *position,
                        struct store_listener *listener, struct error *error)
{
    struct memory *memory = memory_lock(store);
    (void)error;
    for (struct store_request *at = memory->requests; at; at = at->next) {
        struct memory_request *request = CONTAINER_OF(at, struct memory_request, row);
        if (at->state == STORE_QUEUED && request->queued > position->queued) {
            listener->queued(listener, at->agent, request->queued);
        }
    }
    for (struct store_agent *agent = memory->agents; agent; agent = agent->next) {
        if (position->agents > 0 && agent->version >= position->agents) {
            listener->changed(listener, agent->id);
        }
    }
    position->queued = memory->last_queued;
    position->agents = memory->last_version + 1;
    return memory_unlock(memory, 0);
}

#define COUNT(TOTAL, TYPE, FIRST)                                          \
    do {                                                                   \
        for (const struct TYPE *row_ = (FIRST); row_; row_ = row_->next) { \
            (TOTAL)++;                                                     \
        }                                                                  \
    } while (0)

static int read_statistics(struct store *store, struct store_statistics *out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_statistics statistics = {.bytes = memory->arena.reserved};
    (void)error;
    for (const struct store_agent *agent = memory->agents; agent; agent = agent->next) {
        statistics.agents[0]++;
        statistics.agents[agent->state]++;
    }
    for (const struct store_request *request = memory->requests; request; request = request->next) {
        statistics.requests++;
        statistics.requests_queued += request->state == STORE_QUEUED;
    }
    COUNT(statistics.responses, store_response, memory->responses);
    COUNT(statistics.messages, store_message, memory->messages);
    COUNT(statistics.work, store_work, memory->work);
    *out = statistics;
    return memory_unlock(memory, 0);
}

static int check(struct store *store, struct error *error)
{
    (void)store;
    (void)error;
    return 0;
}

static void free_memory(struct store *store)
{
    struct memory *memory = (struct memory *)store;
    arena_done(&memory->arena);
    pthread_mutex_destroy(&memory->lock);
    store_done(store);
    free(memory);
}

static const struct store_methods memory_methods = {
    .name = "memory",
    .read_agent = read_agent,
    .enrol_agent = enrol_agent,
    .set_state = set_state,
    .list_agents = list_agents,
    .queue_request = queue_request,
    .list_requests = list_requests,
    .commit = commit,
    .has_queued = has_queued,
    .list_responses = list_responses,
    .list_messages = list_messages,
    .take_work = take_work,
    .acknowledge_work = acknowledge_work,
    .give_back_work = give_back_work,
    .read_changes = read_changes,
    .read_statistics = read_statistics,
    .check = check,
    .free = free_memory,
};

int store_memory_open(const struct clock *clock, size_t max_bytes, struct store **store)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return -ENOMEM;
    }
    arena_init(&memory->arena, 64 * (size_t)1024, max_bytes);
    pthread_mutex_init(&memory->lock, NULL);
    if (store_init(&memory->store, &memory_methods, clock) < 0) {
        free_memory(&memory->store);
        return -ENOMEM;
    }
    *store = &memory->store;
    return 0;
}
