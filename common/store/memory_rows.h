/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the memory engine, and what its files share. Everything here wants the lock, but for
 * the methods, which take it. */
#ifndef PORTICO_STORE_MEMORY_ROWS_H
#define PORTICO_STORE_MEMORY_ROWS_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
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

static inline struct memory *memory_lock(struct store *store)
{
    struct memory *memory = (struct memory *)store;
    pthread_mutex_lock(&memory->lock);
    return memory;
}

static inline int memory_unlock(struct memory *memory, int result)
{
    pthread_mutex_unlock(&memory->lock);
    return result;
}

static inline usec_t memory_now(const struct memory *memory)
{
    return clock_wall(memory->store.clock);
}

/* Rows are kept in this order. */
static inline int memory_compare_agents(struct store_agent_id a, struct store_agent_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

static inline int memory_compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static inline int memory_compare_texts(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least == 0 ? 0 : memcmp(a.data, b.data, least);
    return order != 0 ? order : memory_compare_numbers(a.len, b.len);
}

static inline int memory_compare_flows(struct store_agent_id agent_a, struct str flow_a,
                                       uint64_t request_a, struct store_agent_id agent_b,
                                       struct str flow_b, uint64_t request_b)
{
    int order = memory_compare_agents(agent_a, agent_b);
    order = order != 0 ? order : memory_compare_texts(flow_a, flow_b);
    return order != 0 ? order : memory_compare_numbers(request_a, request_b);
}

/* Lists: append a copy; 0 ends the page, since the limit is reached or the arena full. */
#define MEMORY_APPEND(TAIL, LEFT, COPY, RESULT)      \
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

static inline int memory_end_page(struct memory *memory, int result, struct error *error)
{
    if (result < 0) {
        error_set(error, result, "no room for one row");
    }
    return memory_unlock(memory, result < 0 ? result : 0);
}

/* NULL: there is none. */
struct store_agent *memory_find_agent(const struct memory *memory, struct store_agent_id id);
struct store_request *memory_find_request(const struct memory *memory, struct store_agent_id agent,
                                          struct str flow, uint64_t number);

/* What is due of the requests of commit's agent, up to its limit and as far as its arena goes. */
void memory_lease(struct memory *memory, struct store_commit *commit);

/* Methods of the engine, see store_engine.h. */
int memory_read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                      struct store_agent **out, struct error *error);
int memory_enrol_agent(struct store *store, const struct store_enrolment *enrolment,
                       enum store_agent_state *state, struct error *error);
int memory_set_state(struct store *store, struct store_agent_id id, enum store_agent_state state,
                     struct error *error);
int memory_list_agents(struct store *store, const struct store_agent_query *query,
                       struct arena *arena, struct store_agent **out, struct error *error);
int memory_queue_request(struct store *store, const struct store_request *source, uint64_t *number,
                         uint64_t *queued, struct error *error);
int memory_list_requests(struct store *store, const struct store_request_query *query,
                         struct arena *arena, struct store_request **out, struct error *error);
int memory_commit(struct store *store, struct store_commit *commits, size_t count,
                  enum store_durability durability, struct error *error);
int memory_has_queued(struct store *store, struct store_agent_id agent, struct error *error);
int memory_list_responses(struct store *store, const struct store_response_query *query,
                          struct arena *arena, struct store_response **out, struct error *error);
int memory_list_messages(struct store *store, const struct store_message_query *query,
                         struct arena *arena, struct store_message **out, struct error *error);

#endif
