/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the SQLite engine share: transactions (store_sqlite.c), and the methods that
 * the other files bring. */
#ifndef PORTICO_STORE_SQLITE_ENGINE_H
#define PORTICO_STORE_SQLITE_ENGINE_H

#include "store/sqlite_link.h"
#include "store/store_engine.h"

/* What happens within a transaction. 0 or more: commit, and that is the result. Negative: roll
 * back.
 */
typedef int sqlite_work(struct store *store, struct sqlite_link *link, void *context);

/* Run `work` in a transaction, when it is this thread's turn. Its result, after the commit; or why
 * nothing of it is stored. */
MUST_CHECK int sqlite_write(struct store *store, enum store_durability durability,
                            sqlite_work *work, void *context, struct error *error);

/* Run `work` on an idle connection. What it reads need not be of one moment. Its result. */
MUST_CHECK int sqlite_read(struct store *store, sqlite_work *work, void *context,
                           struct error *error);

static inline usec_t sqlite_now(const struct store *store)
{
    return clock_wall(store->clock);
}

/* sqlite_agents.c */
int sqlite_read_agent(struct store *, struct store_agent_id, struct arena *, struct store_agent **,
                      struct error *);
int sqlite_enrol_agent(struct store *, const struct store_enrolment *, enum store_agent_state *,
                       struct error *);
int sqlite_set_state(struct store *, struct store_agent_id, enum store_agent_state, struct error *);
int sqlite_list_agents(struct store *, const struct store_agent_query *, struct arena *,
                       struct store_agent **, struct error *);
/* 0 (*state is 0 when there is no such agent) or an error. */
MUST_CHECK int sqlite_agent_state(struct sqlite_link *link, struct store_agent_id id,
                                  enum store_agent_state *state);

/* sqlite_requests.c */
int sqlite_queue_request(struct store *, const struct store_request *, uint64_t *, uint64_t *,
                         struct error *);
int sqlite_list_requests(struct store *, const struct store_request_query *, struct arena *,
                         struct store_request **, struct error *);
int sqlite_has_queued(struct store *, struct store_agent_id, struct error *);
/* Within a transaction: fill commit->leased. 0 or an error. */
MUST_CHECK int sqlite_lease(struct store *store, struct sqlite_link *link,
                            struct store_commit *commit);

/* sqlite_commit.c */
int sqlite_commit(struct store *, struct store_commit *, size_t, enum store_durability,
                  struct error *);

/* sqlite_lists.c */
int sqlite_list_responses(struct store *, const struct store_response_query *, struct arena *,
                          struct store_response **, struct error *);
int sqlite_list_messages(struct store *, const struct store_message_query *, struct arena *,
                         struct store_message **, struct error *);
int sqlite_read_changes(struct store *, struct store_position *, struct store_listener *,
                        struct error *);

/* sqlite_work.c */
int sqlite_take_work(struct store *, size_t, usec_t, struct arena *, struct store_work **,
                     struct error *);
int sqlite_acknowledge_work(struct store *, uint64_t, uint64_t, struct error *);
int sqlite_give_back_work(struct store *, uint64_t, uint64_t, struct error *);
/* Within a transaction. 0 or an error. */
MUST_CHECK int sqlite_add_work(struct sqlite_link *link, const struct store_work *work);

/* Pages: run `query` and append a copy of each row, until there are no more or the arena is full.
 * `copy` adds one row to the list that `context` knows; false: the arena is full. 0, -ENOMEM (full
 * before the first row) or an error. Ends the query. */
MUST_CHECK int sqlite_fill_page(struct query *query, bool (*copy)(struct query *, void *context),
                                void *context);

#endif
