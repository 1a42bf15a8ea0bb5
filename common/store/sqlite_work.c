/* SPDX-License-Identifier: Apache-2.0 */
/* Work in SQLite: one conditional update takes items and says which. */
#include <errno.h>

#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/store_copy.h"

int sqlite_add_work(struct sqlite_link *link, const struct store_work *work)
{
    struct query query = query_begin(link, RUN(WORK_ADD));
    query_bind_int(&query, work->kind);
    query_bind_agent(&query, work->agent);
    query_bind_text(&query, work->flow);
    query_bind_int(&query, (int64_t)work->request);
    query_bind_text(&query, work->handler);
    query_bind_int(&query, (int64_t)work->message);
    query_bind_int(&query, work->created);
    return query_run(&query);
}

struct taking {
    size_t limit;
    usec_t time;
    struct arena *arena;
    struct store_work *first;
};

/* RETURNING gives rows in no particular order. */
static void insert_by_id(struct store_work **at, struct store_work *work)
{
    while (*at != NULL && (*at)->id < work->id) {
        at = &(*at)->next;
    }
    work->next = *at;
    *at = work;
}

static bool copy_work(struct query *query, void *context)
{
    struct taking *taking = context;
    const struct store_work row = {.id = (uint64_t)query_int(query, 0),
                                   .kind = (enum store_work_kind)query_int(query, 1),
                                   .agent = query_agent(query, 2),
                                   .flow = query_bytes(query, 3),
                                   .request = (uint64_t)query_int(query, 4),
                                   .handler = query_bytes(query, 5),
                                   .message = (uint64_t)query_int(query, 6),
                                   .created = query_int(query, 7),
                                   .leased_until = query_int(query, 8),
                                   .takes = (uint64_t)query_int(query, 9)};
    struct store_work *work = store_copy_work(taking->arena, &row);
    if (work != NULL) {
        insert_by_id(&taking->first, work);
    }
    return work != NULL;
}

static int take(struct store *store, struct sqlite_link *link, void *context)
{
    struct taking *taking = context;
    usec_t now = sqlite_now(store);
    struct query query = query_begin(link, RUN(WORK_TAKE));
    int r;
    query_bind_int(&query, usec_add(now, taking->time));
    query_bind_int(&query, now);
    query_bind_int(&query, (int64_t)taking->limit);
    while ((r = query_step(&query)) > 0) {
        /* What the caller cannot be told of must not be taken: nothing is. */
        if (!copy_work(&query, taking)) {
            r = error_set(link->error, -ENOMEM, "no room for so much work");
            break;
        }
    }
    query_end(&query);
    return r;
}

/* Takers that ask again and again must not keep writers waiting for nothing. */
static int is_waiting(struct store *store, struct sqlite_link *link, void *context)
{
    struct query query = query_begin(link, RUN(WORK_WAITING));
    query_bind_int(&query, sqlite_now(store));
    return query_number(&query, context);
}

int sqlite_take_work(struct store *store, size_t limit, usec_t time, struct arena *arena,
                     struct store_work **work, struct error *error)
{
    struct taking taking = {limit, time, arena, NULL};
    int64_t waiting = 0;
    int r = sqlite_read(store, is_waiting, &waiting, error);
    if (r == 0 && waiting != 0) {
        r = sqlite_write(store, STORE_DURABLE, take, &taking, error);
    }
    if (r == 0) {
        *work = taking.first;
    }
    return r;
}

struct ending {
    enum sqlite_statement statement;
    uint64_t id;
    uint64_t takes;
};

static int end(struct store *store, struct sqlite_link *link, void *context)
{
    const struct ending *ending = context;
    struct query query = query_begin(link, ending->statement);
    (void)store;
    query_bind_int(&query, (int64_t)ending->id);
    query_bind_int(&query, (int64_t)ending->takes);
    int r = query_run(&query);
    if (r == 0 && sqlite3_changes(link->db) == 0) {
        r = error_set(link->error, -ESTALE, "the work is somebody else's");
    }
    return r;
}

int sqlite_acknowledge_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    struct ending ending = {RUN(WORK_ACKNOWLEDGE), id, takes};
    return sqlite_write(store, STORE_DURABLE, end, &ending, error);
}

int sqlite_give_back_work(struct store *store, uint64_t id, uint64_t takes, struct error *error)
{
    struct ending ending = {RUN(WORK_GIVE_BACK), id, takes};
    return sqlite_write(store, STORE_DURABLE, end, &ending, error);
}
