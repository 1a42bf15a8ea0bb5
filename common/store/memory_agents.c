/* SPDX-License-Identifier: Apache-2.0 */
/* Agents of the memory engine. */
#include "store/memory_rows.h"

struct store_agent *memory_find_agent(const struct memory *memory, struct store_agent_id id)
{
    struct store_agent *agent = memory->agents;
    while (agent != NULL && memory_compare_agents(agent->id, id) != 0) {
        agent = agent->next;
    }
    return agent;
}

int memory_read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                      struct store_agent **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    const struct store_agent *agent = memory_find_agent(memory, id);
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
    while (*at != NULL && memory_compare_agents((*at)->id, agent->id) < 0) {
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
                                .first_seen = memory_now(memory)};
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
    struct store_agent *agent = memory_find_agent(memory, enrolment->agent);
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

int memory_enrol_agent(struct store *store, const struct store_enrolment *enrolment,
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
        if (request->state == STORE_QUEUED &&
            memory_compare_agents(request->agent, agent->id) == 0) {
            request->state = STORE_EXPIRED;
        }
    }
}

int memory_set_state(struct store *store, struct store_agent_id id, enum store_agent_state state,
                     struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_agent *agent = memory_find_agent(memory, id);
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

int memory_list_agents(struct store *store, const struct store_agent_query *query,
                       struct arena *arena, struct store_agent **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_agent *first = NULL;
    struct store_agent **tail = &first;
    size_t left = query->limit;
    int result = 0;
    for (const struct store_agent *agent = memory->agents; agent; agent = agent->next) {
        if ((query->after == NULL || memory_compare_agents(agent->id, *query->after) > 0) &&
            (query->state == 0 || agent->state == query->state) &&
            !MEMORY_APPEND(tail, left, store_copy_agent(arena, agent), result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return memory_end_page(memory, result, error);
}
