/* SPDX-License-Identifier: Apache-2.0 */
/* Linked lists in the order of their keys, one arena for all rows, one lock around each call. */
#include "store/store_memory.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/memory_rows.h"

/* ---- work ---- */

static int take_work(struct store *store, size_t limit, usec_t time, struct arena *arena,
                     struct store_work **out, struct error *error)
{
    struct memory *memory = memory_lock(store);
    struct store_work *first = NULL;
    struct store_work **tail = &first;
    int result = 0;
    for (struct store_work *work = memory->work; work; work = work->next) {
        if (work->leased_until > memory_now(memory)) {
            continue;
        }
        struct store_work *copy = store_copy_work(arena, work);
        if (copy != NULL) {
            copy->leased_until = work->leased_until = usec_add(memory_now(memory), time);
            copy->takes = ++work->takes;
        }
        if (!MEMORY_APPEND(tail, limit, copy, result)) {
            break;
        }
    }
    *out = result < 0 ? *out : first;
    return memory_end_page(memory, result, error);
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
    .read_agent = memory_read_agent,
    .enrol_agent = memory_enrol_agent,
    .set_state = memory_set_state,
    .list_agents = memory_list_agents,
    .queue_request = memory_queue_request,
    .list_requests = memory_list_requests,
    .commit = memory_commit,
    .has_queued = memory_has_queued,
    .list_responses = memory_list_responses,
    .list_messages = memory_list_messages,
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
