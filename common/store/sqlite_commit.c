/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles in SQLite: many in one transaction. A bad one leaves nothing behind and the others are
 * stored: that takes a savepoint for each, but savepoints copy every page that is touched, and bad
 * bundles that were not seen before are rare. So a batch is tried without, and when one of its
 * bundles fails, begun anew with them. */
#include <errno.h>

#include "base/error.h"
#include "store/sqlite_engine.h"
#include "store/store_copy.h"

struct batch {
    struct store_commit *commits;
    size_t count;
};

/* Args that are a part of raw are stored as a place in it. */
static void bind_raw_and_args(struct query *query, struct str raw, struct str args)
{
    size_t offset;
    query_bind_blob(query, raw);
    if (store_is_part(args, raw, &offset)) {
        query_bind_int(query, (int64_t)offset);
        query_bind_int(query, (int64_t)args.len);
        query_bind_null(query);
    } else {
        query_bind_null(query);
        query_bind_null(query);
        query_bind_blob(query, args);
    }
}

/* 1: stored, 0: was there already. */
static int insert_response(struct store *store, struct sqlite_link *link,
                           struct store_agent_id agent, const struct store_response *response)
{
    struct query query = query_begin(link, RUN(RESPONSE_INSERT));
    query_bind_agent(&query, agent);
    query_bind_text(&query, response->flow);
    query_bind_int(&query, (int64_t)response->request);
    query_bind_int(&query, (int64_t)response->response);
    query_bind_int(&query, response->kind);
    query_bind_text(&query, response->args_type);
    bind_raw_and_args(&query, response->raw, response->args);
    query_bind_int(&query, sqlite_now(store));
    int r = query_run(&query);
    return r < 0 ? r : sqlite3_changes(link->db);
}

static int insert_message(struct store *store, struct sqlite_link *link,
                          struct store_agent_id agent, const struct store_message *message)
{
    struct query query = query_begin(link, RUN(MESSAGE_INSERT));
    query_bind_agent(&query, agent);
    query_bind_text(&query, message->handler);
    if (message->packet_timestamp == 0) {
        query_bind_null(&query); /* NULLs are all different */
    } else {
        query_bind_int(&query, (int64_t)message->packet_timestamp);
    }
    query_bind_int(&query, message->place);
    query_bind_text(&query, message->args_type);
    bind_raw_and_args(&query, message->raw, message->args);
    query_bind_int(&query, sqlite_now(store));
    int r = query_run(&query);
    r = r < 0 ? r : sqlite3_changes(link->db);
    if (r <= 0) {
        return r;
    }
    struct store_work work = {.kind = STORE_WORK_MESSAGE,
                              .agent = agent,
                              .handler = message->handler,
                              .message = (uint64_t)sqlite3_last_insert_rowid(link->db),
                              .created = sqlite_now(store)};
    r = sqlite_add_work(link, &work);
    return r < 0 ? r : 1;
}

/* ---- completion ---- */

/* New responses to one request, that stand side by side in a bundle. */
struct answer {
    struct store_agent_id agent;
    struct str flow;
    uint64_t request;
    int64_t fresh;
    int64_t expected; /* from a status; 0: none */
};

static void bind_answer(struct query *query, const struct answer *answer)
{
    query_bind_agent(query, answer->agent);
    query_bind_text(query, answer->flow);
    query_bind_int(query, (int64_t)answer->request);
}

static int finish_request(struct store *store, struct sqlite_link *link,
                          const struct answer *answer)
{
    struct query query = query_begin(link, RUN(REQUEST_FINISH));
    bind_answer(&query, answer);
    int r = query_run(&query);
    struct store_work work = {.kind = STORE_WORK_REQUEST,
                              .agent = answer->agent,
                              .flow = answer->flow,
                              .request = answer->request,
                              .created = sqlite_now(store)};
    return r < 0 ? r : sqlite_add_work(link, &work);
}

static int count_responses(struct sqlite_link *link, const struct answer *answer, int64_t expected,
                           int64_t *count)
{
    struct query query = query_begin(link, RUN(RESPONSE_COUNT));
    bind_answer(&query, answer);
    query_bind_int(&query, expected);
    return query_number(&query, count);
}

/* Counted in passing; only when that says "enough" the rows themselves are, since numbers beyond
 * the expected ones do not count. */
static int note_answer(struct store *store, struct sqlite_link *link, const struct answer *answer)
{
    struct query query = query_begin(link, RUN(REQUEST_ANSWERED));
    query_bind_int(&query, answer->fresh);
    query_bind_int(&query, answer->expected);
    bind_answer(&query, answer);
    int r = query_step(&query);
    int64_t expected = r > 0 ? query_int(&query, 0) : 0;
    int64_t received = r > 0 ? query_int(&query, 1) : 0;
    while (r > 0) {
        r = query_step(&query); /* an UPDATE with RETURNING is done when it says so */
    }
    query_end(&query);
    if (r < 0 || expected == 0 || received < expected) {
        return r;
    }
    int64_t count = 0;
    r = count_responses(link, answer, expected, &count);
    return r == 0 && count == expected ? finish_request(store, link, answer) : r;
}

static bool is_about(const struct answer *answer, const struct store_response *response)
{
    return answer->request == response->request && str_equal(answer->flow, response->flow);
}

static int insert_responses(struct store *store, struct sqlite_link *link,
                            const struct store_bundle *bundle, size_t *fresh)
{
    struct answer answer = {.agent = bundle->agent};
    int r = 0;
    for (size_t i = 0; r >= 0 && i < bundle->response_count; i++) {
        const struct store_response *response = &bundle->responses[i];
        if (!is_about(&answer, response)) {
            r = answer.fresh > 0 ? note_answer(store, link, &answer) : 0;
            answer = (struct answer){bundle->agent, response->flow, response->request, 0, 0};
        }
        r = r < 0 ? r : insert_response(store, link, bundle->agent, response);
        if (r > 0) {
            *fresh += 1;
            answer.fresh++;
            if (response->kind == STORE_STATUS && answer.expected == 0) {
                answer.expected = (int64_t)response->response;
            }
        }
    }
    return r >= 0 && answer.fresh > 0 ? note_answer(store, link, &answer) : r;
}

static int insert_messages(struct store *store, struct sqlite_link *link,
                           const struct store_bundle *bundle, size_t *fresh)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < bundle->message_count; i++) {
        r = insert_message(store, link, bundle->agent, &bundle->messages[i]);
        *fresh += r > 0;
    }
    return r;
}

static int see_agent(struct sqlite_link *link, const struct store_bundle *bundle)
{
    if (bundle->sighting.at == 0) {
        return 0;
    }
    struct query query = query_begin(link, RUN(AGENT_SEE));
    query_bind_agent(&query, bundle->agent);
    query_bind_int(&query, bundle->sighting.at);
    query_bind_int(&query, bundle->sighting.clock);
    query_bind_text(&query, bundle->sighting.address);
    return query_run(&query);
}

static int check_agent(struct sqlite_link *link, struct store_agent_id agent)
{
    enum store_agent_state state = 0;
    int r = sqlite_agent_state(link, agent, &state);
    if (r == 0 && state == 0) {
        r = error_set(link->error, -ENODATA, "there is no such agent");
    } else if (r == 0 && state != STORE_ENROLLED) {
        r = error_set(link->error, -EPERM, "the agent is not enrolled");
    }
    return r;
}

static int store_one(struct store *store, struct sqlite_link *link, struct store_commit *commit)
{
    size_t fresh = 0;
    int r = insert_responses(store, link, commit->bundle, &fresh);
    r = r < 0 ? r : insert_messages(store, link, commit->bundle, &fresh);
    r = r < 0 ? r : see_agent(link, commit->bundle);
    if (r >= 0 && commit->lease.limit > 0) {
        r = sqlite_lease(store, link, commit);
    }
    if (r < 0) {
        commit->leased = NULL;
        return r;
    }
    commit->fresh = fresh;
    return 0;
}

/* Faults of this bundle; everything else is the store's, and ends the whole transaction. */
static bool is_bundle_error(int code)
{
    return code == -ENODATA || code == -EPERM || code == -EINVAL;
}

/* All of it, or nothing and the bundle's error. */
static int store_in_savepoint(struct store *store, struct sqlite_link *link,
                              struct store_commit *commit)
{
    int r = sqlite_run(link, RUN(SAVE));
    if (r < 0) {
        return r;
    }
    r = store_one(store, link, commit);
    if (is_bundle_error(r)) {
        int undone = sqlite_run(link, RUN(SAVE_ROLLBACK));
        r = undone < 0 ? undone : r;
    }
    if (r == 0 || is_bundle_error(r)) {
        int released = sqlite_run(link, RUN(SAVE_RELEASE));
        r = released < 0 ? released : r;
    }
    return r;
}

/* The negative result is the transaction's; the bundle's own is in `commit`. */
static int commit_carefully(struct store *store, struct sqlite_link *link,
                            struct store_commit *commit)
{
    int r = check_agent(link, commit->bundle->agent);
    commit->result = r == 0 ? store_in_savepoint(store, link, commit) : r;
    return is_bundle_error(commit->result) ? 0 : commit->result;
}

/* The same, but a bundle that was not refused before anything of it was written makes the whole
 * batch fail with its error. */
static int commit_quickly(struct store *store, struct sqlite_link *link,
                          struct store_commit *commit)
{
    int r = check_agent(link, commit->bundle->agent);
    if (is_bundle_error(r)) {
        commit->result = r;
        return 0;
    }
    return r < 0 ? r : store_one(store, link, commit);
}

typedef int commit_one(struct store *store, struct sqlite_link *link, struct store_commit *commit);

static int commit_each(struct store *store, struct sqlite_link *link, const struct batch *batch,
                       commit_one *commit)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < batch->count; i++) {
        if (batch->commits[i].result == 0) {
            r = commit(store, link, &batch->commits[i]);
        }
    }
    return r;
}

static int commit_batch(struct store *store, struct sqlite_link *link, void *context)
{
    const struct batch *batch = context;
    int r = commit_each(store, link, batch, commit_quickly);
    if (!is_bundle_error(r)) {
        return r;
    }
    r = sqlite_run(link, RUN(ROLLBACK));
    r = r < 0 ? r : sqlite_run(link, RUN(BEGIN));
    return r < 0 ? r : commit_each(store, link, batch, commit_carefully);
}

int sqlite_commit(struct store *store, struct store_commit *commits, size_t count,
                  enum store_durability durability, struct error *error)
{
    struct batch batch = {commits, count};
    return sqlite_write(store, durability, commit_batch, &batch, error);
}
