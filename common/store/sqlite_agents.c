/* SPDX-License-Identifier: Apache-2.0 */
/* Agents in SQLite. Versions count up over all agents, so that a reader finds what changed. */
#include <errno.h>

#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/store_copy.h"

struct agent_page {
    const struct store_agent_query *query;
    struct store_agent_id id;
    struct arena *arena;
    struct store_agent *first;
    struct store_agent **tail;
};

static bool copy_agent(struct query *query, void *context)
{
    struct agent_page *page = context;
    const struct store_agent agent = {.id = query_agent(query, 0),
                                      .state = (enum store_agent_state)query_int(query, 1),
                                      .version = (uint64_t)query_int(query, 2),
                                      .key = query_bytes(query, 3),
                                      .certificate = query_bytes(query, 4),
                                      .first_seen = query_int(query, 5),
                                      .last_seen = query_int(query, 6),
                                      .clock = query_int(query, 7),
                                      .address = query_bytes(query, 8)};
    *page->tail = store_copy_agent(page->arena, &agent);
    if (*page->tail == NULL) {
        return false;
    }
    page->tail = &(*page->tail)->next;
    return true;
}

static int read_one(struct store *store, struct sqlite_link *link, void *context)
{
    struct agent_page *page = context;
    struct query query = query_begin(link, RUN(AGENT_READ));
    (void)store;
    query_bind_agent(&query, page->id);
    return sqlite_fill_page(&query, copy_agent, page);
}

int sqlite_read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                      struct store_agent **agent, struct error *error)
{
    struct agent_page page = {.id = id, .arena = arena, .tail = &page.first};
    int r = sqlite_read(store, read_one, &page, error);
    if (r == 0 && page.first == NULL) {
        r = error_set(error, -ENODATA, "there is no such agent");
    }
    if (r == 0) {
        *agent = page.first;
    }
    return r;
}

static int read_page(struct store *store, struct sqlite_link *link, void *context)
{
    struct agent_page *page = context;
    struct query query = query_begin(link, RUN(AGENT_LIST));
    (void)store;
    if (page->query->after == NULL) {
        query_bind_blob(&query, STR(""));
    } else {
        query_bind_agent(&query, *page->query->after);
    }
    query_bind_int(&query, page->query->state);
    query_bind_int(&query, (int64_t)page->query->limit);
    return sqlite_fill_page(&query, copy_agent, page);
}

int sqlite_list_agents(struct store *store, const struct store_agent_query *query,
                       struct arena *arena, struct store_agent **agents, struct error *error)
{
    struct agent_page page = {.query = query, .arena = arena, .tail = &page.first};
    int r = sqlite_read(store, read_page, &page, error);
    if (r == 0) {
        *agents = page.first;
    }
    return r;
}

int sqlite_agent_state(struct sqlite_link *link, struct store_agent_id id,
                       enum store_agent_state *state)
{
    struct query query = query_begin(link, RUN(AGENT_STATE));
    int64_t number = 0;
    query_bind_agent(&query, id);
    int r = query_number(&query, &number);
    *state = (enum store_agent_state)number;
    return r;
}

static int next_version(struct sqlite_link *link, int64_t *version)
{
    struct query query = query_begin(link, RUN(AGENT_LAST_VERSION));
    int r = query_number(&query, version);
    *version += 1;
    return r;
}

static int reset_clock(struct sqlite_link *link, struct store_agent_id id)
{
    struct query query = query_begin(link, RUN(AGENT_RESET_CLOCK));
    query_bind_agent(&query, id);
    return query_run(&query);
}

static int begin_agent(struct store *store, struct sqlite_link *link,
                       const struct store_enrolment *enrolment)
{
    int64_t version = 0;
    int r = next_version(link, &version);
    if (r < 0) {
        return r;
    }
    struct query query = query_begin(link, RUN(AGENT_INSERT));
    query_bind_agent(&query, enrolment->agent);
    query_bind_int(&query, enrolment->state);
    query_bind_int(&query, version);
    query_bind_blob(&query, enrolment->key);
    query_bind_blob(&query, enrolment->certificate);
    query_bind_int(&query, sqlite_now(store));
    r = query_run(&query);
    return r < 0 ? r : reset_clock(link, enrolment->agent);
}

static int change_state(struct sqlite_link *link, struct store_agent_id id,
                        enum store_agent_state state)
{
    int64_t version = 0;
    int r = next_version(link, &version);
    if (r < 0) {
        return r;
    }
    struct query query = query_begin(link, RUN(AGENT_SET_STATE));
    query_bind_int(&query, state);
    query_bind_int(&query, version);
    query_bind_agent(&query, id);
    return query_run(&query);
}

static int check_key(struct sqlite_link *link, const struct store_enrolment *enrolment)
{
    struct query query = query_begin(link, RUN(AGENT_READ));
    query_bind_agent(&query, enrolment->agent);
    int r = query_step(&query);
    if (r > 0) {
        r = str_equal(query_bytes(&query, 3), enrolment->key)
                ? 0
                : error_set(link->error, -EEXIST, "the agent's id is taken by another key");
    }
    query_end(&query);
    return r;
}

struct enrolment {
    const struct store_enrolment *wanted;
    enum store_agent_state state;
};

static int enrol(struct store *store, struct sqlite_link *link, void *context)
{
    struct enrolment *enrolment = context;
    enum store_agent_state state = 0;
    enrolment->state = enrolment->wanted->state;
    int r = sqlite_agent_state(link, enrolment->wanted->agent, &state);
    if (r < 0) {
        return r;
    }
    if (state == 0 || state == STORE_FORGOTTEN) {
        r = begin_agent(store, link, enrolment->wanted);
        return r < 0 ? r : 1;
    }
    r = check_key(link, enrolment->wanted);
    if (r == 0 && state == STORE_PENDING && enrolment->wanted->state == STORE_ENROLLED) {
        r = change_state(link, enrolment->wanted->agent, STORE_ENROLLED);
        return r < 0 ? r : 1;
    }
    enrolment->state = state;
    return r;
}

int sqlite_enrol_agent(struct store *store, const struct store_enrolment *wanted,
                       enum store_agent_state *state, struct error *error)
{
    struct enrolment enrolment = {.wanted = wanted};
    int r = sqlite_write(store, STORE_DURABLE, enrol, &enrolment, error);
    if (r >= 0) {
        *state = enrolment.state;
    }
    return r;
}

static int run_for_agent(struct sqlite_link *link, enum sqlite_statement statement,
                         struct store_agent_id id)
{
    struct query query = query_begin(link, statement);
    query_bind_agent(&query, id);
    return query_run(&query);
}

struct transition {
    struct store_agent_id id;
    enum store_agent_state state;
};

static int set_state(struct store *store, struct sqlite_link *link, void *context)
{
    const struct transition *transition = context;
    enum store_agent_state state = 0;
    (void)store;
    int r = sqlite_agent_state(link, transition->id, &state);
    if (r < 0 || state == transition->state) {
        return r;
    }
    if (state == 0) {
        return error_set(link->error, -ENODATA, "there is no such agent");
    }
    if (state == STORE_FORGOTTEN) {
        return error_set(link->error, -EPERM, "a forgotten agent has to enrol");
    }
    r = change_state(link, transition->id, transition->state);
    if (r == 0 && transition->state == STORE_FORGOTTEN) {
        r = run_for_agent(link, RUN(AGENT_FORGET), transition->id);
        r = r < 0 ? r : run_for_agent(link, RUN(AGENT_EXPIRE_REQUESTS), transition->id);
        r = r < 0 ? r : reset_clock(link, transition->id);
    }
    return r < 0 ? r : 1;
}

int sqlite_set_state(struct store *store, struct store_agent_id id, enum store_agent_state state,
                     struct error *error)
{
    struct transition transition = {id, state};
    return sqlite_write(store, STORE_DURABLE, set_state, &transition, error);
}
