/* SPDX-License-Identifier: Apache-2.0 */
/* What agents sent, and what changed, read from SQLite. */
#include <errno.h>

#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/store_copy.h"

/* Both selects begin with: raw, args_offset, args_length, args. */
static void read_raw_and_args(const struct query *query, struct str *raw, struct str *args)
{
    *raw = query_bytes(query, 0);
    *args = query_bytes(query, 3);
    if (sqlite3_column_type(query->statement, 1) != SQLITE_NULL) {
        *args = str_first(str_skip(*raw, (size_t)query_int(query, 1)), (size_t)query_int(query, 2));
    }
}

struct response_page {
    const struct store_response_query *query;
    struct arena *arena;
    struct store_response *first;
    struct store_response **tail;
};

static bool copy_response(struct query *query, void *context)
{
    struct response_page *page = context;
    struct store_response response = {.agent = query_agent(query, 4),
                                      .flow = query_bytes(query, 5),
                                      .request = (uint64_t)query_int(query, 6),
                                      .response = (uint64_t)query_int(query, 7),
                                      .kind = (enum store_response_kind)query_int(query, 8),
                                      .args_type = query_bytes(query, 9),
                                      .received = query_int(query, 10)};
    read_raw_and_args(query, &response.raw, &response.args);
    *page->tail = store_copy_response(page->arena, &response);
    if (*page->tail == NULL) {
        return false;
    }
    page->tail = &(*page->tail)->next;
    return true;
}

/* Within one flow, the index leads to the first row of the page. */
static struct query begin_flow_page(struct sqlite_link *link,
                                    const struct store_response_query *page)
{
    struct query query = query_begin(link, RUN(RESPONSE_LIST_FLOW));
    bool is_first = page->after_flow.len == 0;
    query_bind_agent(&query, page->agent);
    query_bind_text(&query, page->flow);
    query_bind_int(&query, is_first ? -1 : (int64_t)page->after_request);
    query_bind_int(&query, (int64_t)page->after_response);
    query_bind_int(&query, (int64_t)page->request);
    query_bind_int(&query, (int64_t)page->limit);
    return query;
}

static struct query begin_page(struct sqlite_link *link, const struct store_response_query *page)
{
    struct query query = query_begin(link, RUN(RESPONSE_LIST));
    query_bind_agent(&query, page->agent);
    query_bind_text(&query, page->after_flow);
    query_bind_int(&query, (int64_t)page->after_request);
    query_bind_int(&query, (int64_t)page->after_response);
    query_bind_text(&query, page->flow);
    query_bind_int(&query, (int64_t)page->request);
    query_bind_int(&query, (int64_t)page->limit);
    return query;
}

static int read_responses(struct store *store, struct sqlite_link *link, void *context)
{
    struct response_page *page = context;
    const struct store_response_query *wanted = page->query;
    bool in_flow = wanted->flow.len > 0 &&
                   (wanted->after_flow.len == 0 || str_equal(wanted->flow, wanted->after_flow));
    struct query query = in_flow ? begin_flow_page(link, wanted) : begin_page(link, wanted);
    (void)store;
    return sqlite_fill_page(&query, copy_response, page);
}

int sqlite_list_responses(struct store *store, const struct store_response_query *query,
                          struct arena *arena, struct store_response **responses,
                          struct error *error)
{
    struct response_page page = {.query = query, .arena = arena, .tail = &page.first};
    int r = sqlite_read(store, read_responses, &page, error);
    if (r == 0) {
        *responses = page.first;
    }
    return r;
}

struct message_page {
    const struct store_message_query *query;
    struct arena *arena;
    struct store_message *first;
    struct store_message **tail;
};

static bool copy_message(struct query *query, void *context)
{
    struct message_page *page = context;
    struct store_message message = {.id = (uint64_t)query_int(query, 4),
                                    .agent = query_agent(query, 5),
                                    .handler = query_bytes(query, 6),
                                    .packet_timestamp = (uint64_t)query_int(query, 7),
                                    .place = (uint32_t)query_int(query, 8),
                                    .args_type = query_bytes(query, 9),
                                    .received = query_int(query, 10)};
    read_raw_and_args(query, &message.raw, &message.args);
    *page->tail = store_copy_message(page->arena, &message);
    if (*page->tail == NULL) {
        return false;
    }
    page->tail = &(*page->tail)->next;
    return true;
}

static int read_messages(struct store *store, struct sqlite_link *link, void *context)
{
    struct message_page *page = context;
    struct query query = query_begin(link, RUN(MESSAGE_LIST));
    (void)store;
    query_bind_int(&query, (int64_t)page->query->after);
    if (page->query->agent == NULL) {
        query_bind_blob(&query, STR(""));
    } else {
        query_bind_agent(&query, *page->query->agent);
    }
    query_bind_text(&query, page->query->handler);
    query_bind_int(&query, (int64_t)page->query->limit);
    return sqlite_fill_page(&query, copy_message, page);
}

int sqlite_list_messages(struct store *store, const struct store_message_query *query,
                         struct arena *arena, struct store_message **messages, struct error *error)
{
    struct message_page page = {.query = query, .arena = arena, .tail = &page.first};
    int r = sqlite_read(store, read_messages, &page, error);
    if (r == 0) {
        *messages = page.first;
    }
    return r;
}

/* ---- changes ---- */

struct changes {
    struct store_position position;
    struct store_listener *listener;
};

/* Numbers rise in the order of commits, since there is one writer at a time. The end is read before
 * the rows: what comes meanwhile may be told twice, but is not missed. */
static int read_queued(struct sqlite_link *link, struct changes *changes)
{
    struct query query = query_begin(link, RUN(REQUEST_LAST_ID));
    int64_t last = 0;
    int r = query_number(&query, &last);
    if (r < 0 || (uint64_t)last == changes->position.queued) {
        return r;
    }
    /* Behind us: the file was replaced by an older one. */
    bool is_first = changes->position.queued == 0 || (uint64_t)last < changes->position.queued;
    query = query_begin(link, is_first ? RUN(REQUEST_ALL_QUEUED) : RUN(REQUEST_NEW_QUEUED));
    if (!is_first) {
        query_bind_int(&query, (int64_t)changes->position.queued);
    }
    while ((r = query_step(&query)) > 0) {
        changes->listener->queued(changes->listener, query_agent(&query, 0),
                                  (uint64_t)query_int(&query, 1));
    }
    query_end(&query);
    changes->position.queued = (uint64_t)last;
    return r;
}

static int read_changed(struct sqlite_link *link, struct changes *changes)
{
    struct query query = query_begin(link, RUN(AGENT_LAST_VERSION));
    int64_t last = 0;
    uint64_t known = changes->position.agents;
    int r = query_number(&query, &last);
    if (r < 0 || known == (uint64_t)last + 1) {
        return r;
    }
    changes->position.agents = (uint64_t)last + 1;
    if (known == 0) {
        return 0;
    }
    query = query_begin(link, RUN(AGENT_CHANGES));
    query_bind_int(&query, known > (uint64_t)last ? 0 : (int64_t)known);
    query_bind_int(&query, -1);
    while ((r = query_step(&query)) > 0) {
        changes->listener->changed(changes->listener, query_agent(&query, 0));
    }
    query_end(&query);
    return r;
}

static int read_changes(struct store *store, struct sqlite_link *link, void *context)
{
    struct changes *changes = context;
    (void)store;
    int r = read_queued(link, changes);
    return r < 0 ? r : read_changed(link, changes);
}

int sqlite_read_changes(struct store *store, struct store_position *position,
                        struct store_listener *listener, struct error *error)
{
    struct changes changes = {*position, listener};
    int r = sqlite_read(store, read_changes, &changes, error);
    if (r == 0) {
        *position = changes.position;
    }
    return r;
}
