/* SPDX-License-Identifier: Apache-2.0 */
/* The store's front: checks arguments, calls the engine, and remembers which agents may have
 * something queued, so that most polls need no query. Any thread. */
#include "store/store.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/error.h"
#include "store/store_check.h"
#include "store/store_engine.h"

enum {
    STORE_MAGIC = 0x53544f52,
    HINT_MAX = 1 << 20, /* agents with something queued; beyond that every answer is "maybe" */
};

/* Half of what others may wait for a request, so that looking may take as long again. */
static const usec_t refresh_period = 250 * USEC_PER_MSEC;

int store_init(struct store *store, const struct store_methods *methods, const struct clock *clock)
{
    store->magic = STORE_MAGIC;
    store->methods = methods;
    store->clock = clock;
    store->busy_timeout = STORE_BUSY_TIMEOUT;
    store->position = (struct store_position){0};
    store->hint_loaded = false;
    store->hint_full = false;
    store->refreshed = 0;
    store->changed = NULL;
    store->hint = agent_set_new(HINT_MAX);
    pthread_mutex_init(&store->hint_lock, NULL);
    pthread_mutex_init(&store->refresh_lock, NULL);
    return store->hint == NULL ? -ENOMEM : 0;
}

void store_done(struct store *store)
{
    agent_set_free(store->hint);
    pthread_mutex_destroy(&store->hint_lock);
    pthread_mutex_destroy(&store->refresh_lock);
    store->magic = 0;
}

void store_set_busy_timeout(struct store *store, usec_t timeout)
{
    CHECK(store->magic == STORE_MAGIC);
    store->busy_timeout = timeout;
}

void store_free(struct store *store)
{
    if (store != NULL) {
        CHECK(store->magic == STORE_MAGIC);
        store->methods->free(store);
    }
}

/* ---- ids ---- */

void store_agent_id_format(struct store_agent_id id, char text[STORE_AGENT_ID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    *at++ = 'C';
    *at++ = '.';
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        *at++ = digits[id.bytes[i] >> 4];
        *at++ = digits[id.bytes[i] & 15];
    }
    *at = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int store_agent_id_parse(struct str text, struct store_agent_id *id)
{
    struct store_agent_id parsed;
    if (text.len != STORE_AGENT_ID_TEXT - 1 || !str_starts_with(text, STR("C."))) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof parsed.bytes; i++) {
        int high = digit_value(text.data[2 + 2 * i]);
        int low = digit_value(text.data[3 + 2 * i]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *id = parsed;
    return 0;
}

/* ---- what may be queued ---- */

static void hint_put(struct store *store, struct store_agent_id agent, uint64_t queued)
{
    pthread_mutex_lock(&store->hint_lock);
    uint64_t *known = agent_set_find(store->hint, agent);
    if (known == NULL || *known < queued) {
        /* An agent that cannot be remembered must not be denied its requests. */
        if (agent_set_put(store->hint, agent, queued) < 0) {
            store->hint_full = true;
        }
    }
    pthread_mutex_unlock(&store->hint_lock);
}

static uint64_t hint_number(struct store *store, struct store_agent_id agent)
{
    pthread_mutex_lock(&store->hint_lock);
    uint64_t *known = agent_set_find(store->hint, agent);
    uint64_t number = known == NULL ? 0 : *known;
    pthread_mutex_unlock(&store->hint_lock);
    return number;
}

/* Nothing could be leased: when nothing is queued either, stop asking. A request queued meanwhile
 * has raised the agent's number and keeps it. */
static void hint_review(struct store *store, struct store_agent_id agent)
{
    uint64_t number = hint_number(store, agent);
    if (number == 0 || store->methods->has_queued(store, agent, NULL) != 0) {
        return;
    }
    pthread_mutex_lock(&store->hint_lock);
    uint64_t *known = agent_set_find(store->hint, agent);
    if (known != NULL && *known == number) {
        agent_set_remove(store->hint, agent);
    }
    pthread_mutex_unlock(&store->hint_lock);
}

struct refresh {
    struct store_listener listener;
    struct store *store;
};

static void heard_queued(struct store_listener *listener, struct store_agent_id agent,
                         uint64_t queued)
{
    struct refresh *refresh = CONTAINER_OF(listener, struct refresh, listener);
    hint_put(refresh->store, agent, queued);
}

static void tell_changed(struct store *store, struct store_agent_id agent)
{
    if (store->changed != NULL) {
        store->changed(store->changed_context, agent);
    }
}

static void heard_changed(struct store_listener *listener, struct store_agent_id agent)
{
    tell_changed(CONTAINER_OF(listener, struct refresh, listener)->store, agent);
}

/* After an overflow, once there is room again: forget everything and read it anew. */
static void hint_recover(struct store *store)
{
    pthread_mutex_lock(&store->hint_lock);
    if (store->hint_full && agent_set_count(store->hint) < HINT_MAX / 2) {
        agent_set_clear(store->hint);
        store->position.queued = 0;
        store->hint_loaded = false;
        store->hint_full = false;
    }
    pthread_mutex_unlock(&store->hint_lock);
}

/* The caller holds refresh_lock. */
static void refresh(struct store *store)
{
    struct refresh state = {{heard_queued, heard_changed}, store};
    usec_t now = clock_monotonic(store->clock);
    hint_recover(store);
    int r = store->methods->read_changes(store, &store->position, &state.listener, NULL);
    store->hint_loaded = r == 0;
    store->refreshed = now;
}

static bool is_stale(struct store *store)
{
    return !store->hint_loaded ||
           clock_monotonic(store->clock) - store->refreshed >= refresh_period;
}

bool store_may_have_queued(struct store *store, struct store_agent_id agent)
{
    /* Whoever finds it stale looks; the others need not wait for that. */
    if (is_stale(store) && pthread_mutex_trylock(&store->refresh_lock) == 0) {
        if (is_stale(store)) {
            refresh(store);
        }
        pthread_mutex_unlock(&store->refresh_lock);
    }
    return !store->hint_loaded || store->hint_full || hint_number(store, agent) != 0;
}

void store_watch_agents(struct store *store,
                        void (*changed)(void *context, struct store_agent_id agent), void *context)
{
    store->changed = changed;
    store->changed_context = context;
}

/* ---- agents ---- */

int store_read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                     struct store_agent **agent, struct error *error)
{
    return store->methods->read_agent(store, id, arena, agent, error);
}

int store_enrol_agent(struct store *store, const struct store_enrolment *enrolment,
                      enum store_agent_state *state, struct error *error)
{
    enum store_agent_state now;
    int r = store_check_enrolment(enrolment, error);
    r = r < 0 ? r : store->methods->enrol_agent(store, enrolment, &now, error);
    if (r >= 0 && state != NULL) {
        *state = now;
    }
    if (r > 0) {
        tell_changed(store, enrolment->agent);
    }
    return r;
}

int store_set_state(struct store *store, struct store_agent_id id, enum store_agent_state state,
                    struct error *error)
{
    if (state != STORE_ENROLLED && state != STORE_FORGOTTEN) {
        return error_set(error, -EINVAL, "an agent can be approved or forgotten");
    }
    int r = store->methods->set_state(store, id, state, error);
    if (r > 0) {
        tell_changed(store, id);
    }
    return r;
}

int store_list_agents(struct store *store, const struct store_agent_query *query,
                      struct arena *arena, struct store_agent **agents, struct error *error)
{
    int r = store_check_limit(query->limit, error);
    return r < 0 ? r : store->methods->list_agents(store, query, arena, agents, error);
}

/* ---- requests ---- */

/* A flow nobody has: 64 random bits. */
static int invent_flow(char flow[STORE_NAME_MAX + 1], struct error *error)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return error_set_errno(error, -EIO, "cannot draw a flow id");
    }
    snprintf(flow, STORE_NAME_MAX + 1, "%016llX", (unsigned long long)random);
    return 0;
}

int store_queue_request(struct store *store, const struct store_request *request,
                        struct store_request_name *name, struct error *error)
{
    struct store_request_name queued = {.request = 0};
    struct store_request copy = *request;
    uint64_t position = 0;
    int r = store_check_request(request, error);
    if (r == 0 && request->flow.len == 0) {
        r = invent_flow(queued.flow, error);
    } else if (r == 0) {
        memcpy(queued.flow, request->flow.data, request->flow.len);
    }
    if (r < 0) {
        return r;
    }
    copy.flow = str_from(queued.flow);
    r = store->methods->queue_request(store, &copy, &queued.request, &position, error);
    if (r < 0) {
        return r;
    }
    hint_put(store, request->agent, position);
    *name = queued;
    return 0;
}

int store_list_requests(struct store *store, const struct store_request_query *query,
                        struct arena *arena, struct store_request **requests, struct error *error)
{
    int r = store_check_limit(query->limit, error);
    r = r < 0 ? r : store_check_name("flow", query->after_flow, true, error);
    r = r < 0 ? r : store_check_number("request id", query->after_request, error);
    return r < 0 ? r : store->methods->list_requests(store, query, arena, requests, error);
}

/* ---- bundles and leases ---- */

static void prepare(struct store_commit *commit, struct error *error)
{
    commit->leased = NULL;
    commit->fresh = 0;
    commit->result = store_check_commit(commit, error);
}

static void fail_all(struct store_commit *commits, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        commits[i].leased = NULL;
        commits[i].fresh = 0;
        commits[i].result = commits[i].result < 0 ? commits[i].result : code;
    }
}

int store_commit(struct store *store, struct store_commit *commits, size_t count,
                 enum store_durability durability, struct error *error)
{
    if (count > STORE_BATCH_MAX) {
        return error_set(error, -EINVAL, "more than %d bundles at once", STORE_BATCH_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        prepare(&commits[i], error);
    }
    int r = store->methods->commit(store, commits, count, durability, error);
    if (r < 0) {
        fail_all(commits, count, r);
        return r;
    }
    for (size_t i = 0; i < count; i++) {
        if (commits[i].result == 0 && commits[i].lease.limit > 0 && commits[i].leased == NULL) {
            hint_review(store, commits[i].bundle->agent);
        }
    }
    return 0;
}

int store_lease_requests(struct store *store, struct store_agent_id agent,
                         const struct store_lease *lease, struct arena *arena,
                         struct store_request **requests, struct error *error)
{
    struct store_bundle bundle = {.agent = agent};
    struct store_commit commit = {.bundle = &bundle, .lease = *lease, .arena = arena};
    int r = store_check_lease(lease, arena, error);
    if (r < 0) {
        return r;
    }
    r = lease->limit == 0 ? 0 : store->methods->has_queued(store, agent, error);
    if (r == 0) {
        hint_review(store, agent);
        *requests = NULL;
        return 0;
    }
    r = r < 0 ? r : store_commit(store, &commit, 1, STORE_RELAXED, error);
    r = r < 0 ? r : commit.result;
    if (r == 0) {
        *requests = commit.leased;
    }
    return r;
}

int store_list_responses(struct store *store, const struct store_response_query *query,
                         struct arena *arena, struct store_response **responses,
                         struct error *error)
{
    int r = store_check_limit(query->limit, error);
    r = r < 0 ? r : store_check_name("flow", query->flow, query->request == 0, error);
    r = r < 0 ? r : store_check_name("flow", query->after_flow, true, error);
    r = r < 0 ? r : store_check_number("request id", query->request, error);
    r = r < 0 ? r : store_check_number("request id", query->after_request, error);
    r = r < 0 ? r : store_check_number("response id", query->after_response, error);
    return r < 0 ? r : store->methods->list_responses(store, query, arena, responses, error);
}

int store_list_messages(struct store *store, const struct store_message_query *query,
                        struct arena *arena, struct store_message **messages, struct error *error)
{
    int r = store_check_limit(query->limit, error);
    r = r < 0 ? r : store_check_name("handler", query->handler, true, error);
    r = r < 0 ? r : store_check_number("message id", query->after, error);
    return r < 0 ? r : store->methods->list_messages(store, query, arena, messages, error);
}

/* ---- work ---- */

int store_take_work(struct store *store, size_t limit, usec_t time, struct arena *arena,
                    struct store_work **work, struct error *error)
{
    int r = store_check_limit(limit, error);
    if (r == 0 && time <= 0) {
        r = error_set(error, -EINVAL, "work is taken for some time");
    }
    return r < 0 ? r : store->methods->take_work(store, limit, time, arena, work, error);
}

int store_acknowledge_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    int r = store_check_number("work id", id | takes, error);
    return r < 0 ? r : store->methods->acknowledge_work(store, id, takes, error);
}

int store_give_back_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    int r = store_check_number("work id", id | takes, error);
    return r < 0 ? r : store->methods->give_back_work(store, id, takes, error);
}

/* ---- the store itself ---- */

int store_read_statistics(struct store *store, struct store_statistics *statistics,
                          struct error *error)
{
    return store->methods->read_statistics(store, statistics, error);
}

int store_check(struct store *store, struct error *error)
{
    return store->methods->check(store, error);
}

int store_backup(struct store *store, const char *path, const struct store_progress *progress,
                 struct error *error)
{
    if (store->methods->backup == NULL) {
        return error_set(error, -ENOTSUP, "a store in %s cannot be copied", store->methods->name);
    }
    return store->methods->backup(store, path, progress, error);
}
