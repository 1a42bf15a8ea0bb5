/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in SQLite: queueing and leasing. */
#include <errno.h>

#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/store_copy.h"

struct queueing {
    const struct store_request *request;
    int64_t number;
    int64_t queued;
};

static int number_for(struct sqlite_link *link, enum sqlite_statement statement,
                      const struct queueing *queueing, int64_t *number)
{
    struct query query = query_begin(link, statement);
    query_bind_agent(&query, queueing->request->agent);
    query_bind_text(&query, queueing->request->flow);
    if (statement == RUN(REQUEST_EXISTS)) {
        query_bind_int(&query, queueing->number);
    }
    return query_number(&query, number);
}

static int choose_number(struct sqlite_link *link, struct queueing *queueing)
{
    int64_t found = 0;
    queueing->number = (int64_t)queueing->request->request;
    if (queueing->number == 0) {
        int r = number_for(link, RUN(REQUEST_LAST), queueing, &found);
        if (r == 0 && found == INT64_MAX) {
            r = error_set(link->error, -EEXIST, "the flow has used up its numbers");
        }
        queueing->number = r < 0 ? 0 : found + 1;
        return r;
    }
    int r = number_for(link, RUN(REQUEST_EXISTS), queueing, &found);
    return r == 0 && found != 0
               ? error_set(link->error, -EEXIST, "the flow has had a request of this number")
               : r;
}

static int insert_request(struct store *store, struct sqlite_link *link, struct queueing *queueing)
{
    const struct store_request *request = queueing->request;
    struct query query = query_begin(link, RUN(REQUEST_INSERT));
    query_bind_agent(&query, request->agent);
    query_bind_text(&query, request->flow);
    query_bind_int(&query, queueing->number);
    query_bind_text(&query, request->action);
    query_bind_text(&query, request->args_type);
    query_bind_blob(&query, request->args);
    query_bind_int(&query, request->cpu_limit);
    query_bind_int(&query, (int64_t)request->network_limit);
    query_bind_int(&query, request->runtime_limit);
    query_bind_int(&query, sqlite_now(store));
    int r = query_run(&query);
    queueing->queued = sqlite3_last_insert_rowid(link->db);
    return r;
}

static int queue(struct store *store, struct sqlite_link *link, void *context)
{
    struct queueing *queueing = context;
    enum store_agent_state state = 0;
    int r = sqlite_agent_state(link, queueing->request->agent, &state);
    if (r == 0 && state == 0) {
        return error_set(link->error, -ENODATA, "there is no such agent");
    }
    if (r == 0 && state == STORE_FORGOTTEN) {
        return error_set(link->error, -EPERM, "the agent is forgotten");
    }
    r = r < 0 ? r : choose_number(link, queueing);
    return r < 0 ? r : insert_request(store, link, queueing);
}

int sqlite_queue_request(struct store *store, const struct store_request *request, uint64_t *number,
                         uint64_t *queued, struct error *error)
{
    struct queueing queueing = {.request = request};
    int r = sqlite_write(store, STORE_DURABLE, queue, &queueing, error);
    if (r == 0) {
        *number = (uint64_t)queueing.number;
        *queued = (uint64_t)queueing.queued;
    }
    return r;
}

struct request_page {
    const struct store_request_query *query;
    struct store_agent_id agent;
    struct arena *arena;
    struct store_request *first;
    struct store_request **tail;
};

static bool copy_request(struct query *query, void *context)
{
    struct request_page *page = context;
    const struct store_request request = {.agent = page->agent,
                                          .flow = query_bytes(query, 0),
                                          .request = (uint64_t)query_int(query, 1),
                                          .action = query_bytes(query, 2),
                                          .args_type = query_bytes(query, 3),
                                          .args = query_bytes(query, 4),
                                          .cpu_limit = query_int(query, 5),
                                          .network_limit = (uint64_t)query_int(query, 6),
                                          .runtime_limit = query_int(query, 7),
                                          .state = (enum store_request_state)query_int(query, 8),
                                          .deliveries = (unsigned)query_int(query, 9),
                                          .leased_until = query_int(query, 10),
                                          .created = query_int(query, 11),
                                          .expected = (uint64_t)query_int(query, 12),
                                          .received = (uint64_t)query_int(query, 13)};
    *page->tail = store_copy_request(page->arena, &request);
    if (*page->tail == NULL) {
        return false;
    }
    page->tail = &(*page->tail)->next;
    return true;
}

static int read_page(struct store *store, struct sqlite_link *link, void *context)
{
    struct request_page *page = context;
    struct query query = query_begin(link, RUN(REQUEST_LIST));
    (void)store;
    query_bind_agent(&query, page->agent);
    query_bind_text(&query, page->query->after_flow);
    query_bind_int(&query, (int64_t)page->query->after_request);
    query_bind_int(&query, page->query->state);
    query_bind_int(&query, (int64_t)page->query->limit);
    return sqlite_fill_page(&query, copy_request, page);
}

int sqlite_list_requests(struct store *store, const struct store_request_query *query,
                         struct arena *arena, struct store_request **requests, struct error *error)
{
    struct request_page page = {
        .query = query, .agent = query->agent, .arena = arena, .tail = &page.first};
    int r = sqlite_read(store, read_page, &page, error);
    if (r == 0) {
        *requests = page.first;
    }
    return r;
}

static int has_queued(struct store *store, struct sqlite_link *link, void *context)
{
    const struct store_agent_id *agent = context;
    struct query query = query_begin(link, RUN(REQUEST_HAS_QUEUED));
    int64_t found = 0;
    (void)store;
    query_bind_agent(&query, *agent);
    int r = query_number(&query, &found);
    return r < 0 ? r : (int)found;
}

int sqlite_has_queued(struct store *store, struct store_agent_id agent, struct error *error)
{
    return sqlite_read(store, has_queued, &agent, error);
}

/* ---- leasing ---- */

static int expire(struct store *store, struct sqlite_link *link, const struct store_commit *commit)
{
    struct query query = query_begin(link, RUN(REQUEST_EXPIRE));
    query_bind_agent(&query, commit->bundle->agent);
    query_bind_int(&query, sqlite_now(store));
    query_bind_int(&query, commit->lease.max_deliveries);
    return query_run(&query);
}

static int find_leasable(struct store *store, struct sqlite_link *link,
                         const struct store_commit *commit, struct request_page *page)
{
    struct query query = query_begin(link, RUN(REQUEST_LEASABLE));
    query_bind_agent(&query, commit->bundle->agent);
    query_bind_int(&query, sqlite_now(store));
    query_bind_int(&query, (int64_t)commit->lease.limit);
    int r = sqlite_fill_page(&query, copy_request, page);
    return r == -ENOMEM && page->first == NULL ? 0 : r;
}

static int lease_one(struct sqlite_link *link, const struct store_request *request)
{
    struct query query = query_begin(link, RUN(REQUEST_LEASE));
    query_bind_int(&query, request->leased_until);
    query_bind_agent(&query, request->agent);
    query_bind_text(&query, request->flow);
    query_bind_int(&query, (int64_t)request->request);
    return query_run(&query);
}

int sqlite_lease(struct store *store, struct sqlite_link *link, struct store_commit *commit)
{
    struct request_page page = {
        .agent = commit->bundle->agent, .arena = commit->arena, .tail = &page.first};
    usec_t until = usec_add(sqlite_now(store), commit->lease.time);
    int r = expire(store, link, commit);
    r = r < 0 ? r : find_leasable(store, link, commit, &page);
    for (struct store_request *request = page.first; r == 0 && request != NULL;
         request = request->next) {
        request->deliveries++;
        request->ttl = commit->lease.max_deliveries - request->deliveries;
        request->leased_until = until;
        r = lease_one(link, request);
    }
    if (r == 0) {
        commit->leased = page.first;
    }
    return r;
}
