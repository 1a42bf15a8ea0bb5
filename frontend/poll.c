/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a poll. Each step either goes on, or suspends the connection and hands the poll to
 * another thread, which sets the next state and resumes it:
 *
 *     BODY ─▶ OPEN ─┬─▶ WORK (pool: RSA, agents not cached) ─┬─▶ MESSAGES ─▶ STORE (committer) ─▶
 * ANSWER └────────────────────────────────────────┘        └──────────────────────────▶
 *
 * Any step may end in REFUSED. 200 is queued only after the committer said that the messages are on
 * the disk. */
#include "poll_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "agent_cache.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "enroller.h"
#include "handout.h"
#include "health.h"
#include "intake.h"
#include "pace.h"
#include "peer.h"
#include "session_cache.h"
#include "store/committer.h"
#include "wire/replay.h"
#include "wire/tools.h"
#include "work_pool.h"

enum {
    ARENA_BLOCK = 4096,
    ARENA_MAX = 256 << 20, /* leased requests and the index of messages */
    ANSWER_MAX = 256 << 20,
    SMALL = 64 * 1024, /* bodies and bundles up to this size are not counted */
};

/* ---- Threads ---- */

static pthread_key_t tools_key;

static void free_tools(void *tools)
{
    wire_tools_done(tools);
    free(tools);
}

int poll_threads_init(void)
{
    return -pthread_key_create(&tools_key, free_tools);
}

/* NULL without memory. */
static struct wire_tools *own_tools(void)
{
    struct wire_tools *tools = pthread_getspecific(tools_key);
    if (tools != NULL) {
        return tools;
    }
    tools = calloc(1, sizeof *tools);
    if (tools == NULL) {
        return NULL;
    }
    if (wire_tools_init(tools) < 0 || pthread_setspecific(tools_key, tools) != 0) {
        free_tools(tools);
        return NULL;
    }
    return tools;
}

/* ---- Life ---- */

struct poll *poll_new(struct frontend *frontend, struct terms *terms,
                      struct MHD_Connection *connection, const struct head *head)
{
    struct poll *poll = calloc(1, sizeof *poll);
    if (poll == NULL) {
        return NULL;
    }
    poll->magic = POLL_MAGIC;
    poll->frontend = frontend;
    poll->terms = terms_ref(terms);
    poll->connection = connection;
    account_begin(&poll->account, frontend->clock);
    buffer_init(&poll->body, head->length);
    bundle_init(&poll->bundle, &poll->terms->packet_limits);
    arena_init(&poll->arena, ARENA_BLOCK, ARENA_MAX);
    peer_name(connection, head, poll->terms->trusted, poll->terms->trusted_count, poll->peer);
    atomic_fetch_add(&frontend->in_flight, 1);
    atomic_fetch_add(&frontend->sending, 1);
    poll->is_sending = true;
    stats_add(frontend->stats, STAT_ACTIVE, 1);
    stats_add(frontend->stats, STAT_REQUESTS, 1);
    return poll;
}

static void log_poll(const struct poll *poll)
{
    bool is_proven = poll->has_session && poll->agent != NULL;
    account_log(&poll->account, is_proven ? poll->source.text : NULL,
                is_proven ? NULL : poll->source.text, poll->peer, poll->reason);
}

static void end_sending(struct poll *poll)
{
    if (poll->is_sending) {
        poll->is_sending = false;
        atomic_fetch_sub(&poll->frontend->sending, 1);
    }
}

void poll_free(struct poll *poll)
{
    struct frontend *frontend = poll->frontend;
    end_sending(poll);
    if (poll->terms->is_verbose) {
        log_poll(poll);
    }
    account_count(&poll->account, frontend->stats);
    stats_subtract(frontend->stats, STAT_ACTIVE, 1);
    agent_unref(poll->agent);
    session_wipe(&poll->session);
    sealing_wipe(&poll->sealing);
    bundle_done(&poll->bundle);
    arena_done(&poll->arena);
    buffer_done(&poll->body);
    budget_give(&frontend->body_memory, &poll->memory);
    terms_unref(poll->terms);
    poll->magic = 0;
    free(poll);
    atomic_fetch_sub(&frontend->in_flight, 1);
}

/* ---- Moving on ---- */

void poll_refuse(struct poll *poll, enum reason reason)
{
    poll->reason = reason;
    poll->state = POLL_REFUSED;
}

/* What the poll holds grows; false, and it is refused, when others hold too much. */
static bool may_hold(struct poll *poll, uint64_t bytes)
{
    if (bytes <= SMALL || budget_take(&poll->frontend->body_memory, &poll->memory, bytes)) {
        return true;
    }
    poll_refuse(poll, REASON_BUSY_MEMORY);
    return false;
}

static void refuse_wire(struct poll *poll, enum wire_reason reason)
{
    poll_refuse(poll, reason_of_wire(reason));
}

/* The poll is another thread's from the moment its connection is resumed. */
void poll_resume(struct poll *poll)
{
    MHD_resume_connection(poll->connection);
}

/* ---- OPEN: what costs no RSA ---- */

bool poll_set_source(struct poll *poll, const struct session *session)
{
    return client_id_parse(str_from(session->source), &poll->source) == 0 &&
           store_agent_id_parse(str_from(session->source), &poll->id) == 0;
}

/* Looking is what makes the store tell the agent cache of changes, so it comes before the cache is
 * believed: an instance that nobody polled for long would let in whom another process forgot. */
bool poll_look_for_news(struct poll *poll)
{
    if (!poll->has_looked) {
        poll->may_have_queued = store_may_have_queued(poll->frontend->store, poll->id);
        poll->has_looked = true;
    }
    return poll->may_have_queued;
}

void poll_get_agent(struct poll *poll)
{
    poll->agent = agent_cache_get(poll->frontend->agents, poll->id);
    if (poll->agent != NULL) {
        stats_add(poll->frontend->stats, STAT_AGENT_HITS, 1);
    }
}

/* The agent is cached, enrolled, and the session is of its present key. */
static bool has_live_agent(struct poll *poll)
{
    (void)poll_look_for_news(poll);
    agent_unref(poll->agent);
    poll_get_agent(poll);
    return poll->agent != NULL && agent_is_enrolled(poll->agent) &&
           session_is_of(&poll->session, poll->agent->fingerprint);
}

void poll_find_sealing(struct poll *poll)
{
    poll->has_sealing = sealing_cache_find(poll->terms->sessions, poll->agent->fingerprint,
                                           clock_wall(poll->frontend->clock), &poll->sealing);
}

static uint32_t query_api(const struct poll *poll)
{
    const char *api = MHD_lookup_connection_value(poll->connection, MHD_GET_ARGUMENT_KIND, "api");
    char query[32] = "";
    if (api != NULL && strlen(api) < sizeof query - 8) {
        snprintf(query, sizeof query, "api=%s", api);
    }
    return packet_api_from_query(str_from(query));
}

static void read_packet(struct poll *poll)
{
    struct frontend *frontend = poll->frontend;
    struct wire_tools *tools = own_tools();
    enum wire_reason reason = WIRE_NO_REASON;
    if (tools == NULL) {
        poll_refuse(poll, REASON_NO_MEMORY);
        return;
    }
    if (packet_parse(tools, buffer_view(&poll->body), query_api(poll), &poll->packet, &reason) <
        0) {
        stats_add(frontend->stats, STAT_DECODING_ERROR, 1);
        refuse_wire(poll, reason);
        return;
    }
    poll->state = POLL_WORK;
    if (!session_cache_find(poll->terms->sessions, poll->packet.digest, &poll->session) ||
        !poll_set_source(poll, &poll->session)) {
        return;
    }
    if (packet_match(tools, &poll->packet, &poll->session, &reason) < 0) {
        stats_add(frontend->stats, STAT_DECRYPTION_ERROR, 1);
        refuse_wire(poll, reason);
        return;
    }
    poll->has_session = true;
    if (has_live_agent(poll)) {
        poll_find_sealing(poll);
        poll->state = poll->has_sealing ? POLL_MESSAGES : POLL_WORK;
    }
}

static void open_packet(struct poll *poll)
{
    account_begin_step(&poll->account);
    read_packet(poll);
    account_end_step(&poll->account, PHASE_PARSE);
}

/* ---- MESSAGES: what the agent said, and what it may get ---- */

static void run_stored(struct committer_job *job, int result)
{
    struct poll *poll = CONTAINER_OF(job, struct poll, commit);
    CHECK(poll->magic == POLL_MAGIC);
    account_end_step(&poll->account, PHASE_STORE);
    if (result == 0) {
        poll->state = POLL_ANSWER;
    } else if (result == -ENODATA || result == -EPERM) {
        /* Forgotten meanwhile, perhaps by another process: it has to enrol again. */
        agent_cache_invalidate(poll->frontend->agents, poll->id);
        refuse_wire(poll, WIRE_REASON_SOURCE_UNKNOWN);
    } else {
        health_note(poll->frontend->health, result);
        poll_refuse(poll, REASON_STORE);
    }
    poll_resume(poll);
}

static void submit_commit(struct poll *poll, size_t limit)
{
    struct frontend *frontend = poll->frontend;
    account_begin_step(&poll->account);
    poll->stored.responses = poll->intake.responses;
    poll->stored.response_count = poll->intake.response_count;
    poll->stored.messages = poll->intake.messages;
    poll->stored.message_count = poll->intake.message_count;
    poll->commit = (struct committer_job){
        .commit = {.bundle = &poll->stored,
                   .lease = {limit, poll->terms->lease_time, poll->terms->max_deliveries},
                   .arena = &poll->arena},
        .done = run_stored,
    };
    MHD_suspend_connection(poll->connection);
    int code = committer_submit(frontend->committer, &poll->commit);
    if (code < 0) {
        poll_refuse(poll, code == -ESHUTDOWN ? REASON_STOPPING : REASON_BUSY_STORE);
        poll_resume(poll);
    }
}

static size_t lease_limit(const struct poll *poll)
{
    unsigned most = poll->terms->max_queue_size;
    uint32_t waiting = poll->packet.envelope.queue_size;
    return waiting < most ? most - waiting : 0;
}

/* Section 6: an old packet is answered, but nothing of it counts and nothing is handed out. */
static void judge(struct poll *poll, struct replay_verdict *verdict)
{
    struct frontend *frontend = poll->frontend;
    *verdict = replay_judge(poll->bundle.has_timestamp, poll->bundle.timestamp,
                            agent_clock(poll->agent), clock_wall(frontend->clock));
    if (verdict->is_fresh) {
        stats_add(frontend->stats, STAT_AUTHENTICATED, 1);
        stats_add(frontend->stats, STAT_MESSAGES_RECEIVED, poll->bundle.count);
    } else {
        stats_add(frontend->stats, STAT_UNAUTHENTICATED, 1);
    }
    if (verdict->stores_clock) {
        agent_advance_clock(poll->agent, verdict->clock);
        poll->stored.sighting = (struct store_sighting){
            .at = clock_wall(frontend->clock),
            .clock = verdict->clock,
            .address = str_from(poll->peer),
        };
    }
}

/* Decrypt, unpack, judge and sort what the agent said. False: refused. */
static bool read_messages(struct poll *poll, struct replay_verdict *verdict)
{
    struct frontend *frontend = poll->frontend;
    struct wire_tools *tools = own_tools();
    enum wire_reason reason = WIRE_NO_REASON;
    if (tools == NULL) {
        poll_refuse(poll, REASON_NO_MEMORY);
        return false;
    }
    if (packet_open(tools, &poll->packet, &poll->session, &poll->terms->packet_limits,
                    &poll->bundle, &reason) < 0) {
        stats_add(frontend->stats, STAT_DECODING_ERROR, 1);
        refuse_wire(poll, reason);
        return false;
    }
    poll->account.messages = poll->bundle.count;
    if (!may_hold(poll, buffer_size(&poll->body) + poll->bundle.list.len)) {
        return false;
    }
    poll->stored = (struct store_bundle){.agent = poll->id};
    judge(poll, verdict);
    if (verdict->is_fresh &&
        intake_sort(&poll->bundle, &poll->source, &poll->arena, &poll->intake) < 0) {
        poll_refuse(poll, REASON_NO_MEMORY);
        return false;
    }
    stats_add(frontend->stats, STAT_MESSAGES_DROPPED, poll->intake.dropped);
    return true;
}

/* True when the poll was handed to the committer: then it must not be touched any more. */
static bool take_messages(struct poll *poll)
{
    struct frontend *frontend = poll->frontend;
    struct replay_verdict verdict;
    account_begin_step(&poll->account);
    bool is_fine = read_messages(poll, &verdict);
    account_end_step(&poll->account, PHASE_PARSE);
    if (!is_fine) {
        return false;
    }
    size_t limit = verdict.is_fresh ? lease_limit(poll) : 0;
    bool may_lease = limit > 0 && poll_look_for_news(poll);
    bool has_messages = poll->intake.response_count + poll->intake.message_count > 0;
    if (has_messages || may_lease) {
        poll->state = POLL_STORE;
        submit_commit(poll, may_lease ? limit : 0);
        return true;
    }
    if (verdict.stores_clock) {
        /* A sighting that finds no room is one that the next poll repeats. */
        int unused = committer_see(frontend->committer, poll->id, &poll->stored.sighting);
        (void)unused;
    }
    poll->state = POLL_ANSWER;
    return false;
}

/* ---- ANSWER ---- */

static enum MHD_Result answer_refusal(struct poll *poll)
{
    struct frontend *frontend = poll->frontend;
    stats_refusal(frontend->stats, poll->reason);
    poll->account.bytes_out = reason_body(poll->reason).len;
    poll->state = POLL_DONE;
    pace_enter(poll->connection, PACE_ANSWER);
    return replies_refuse(poll->terms->replies, poll->connection, poll->reason, false);
}

static enum MHD_Result answer(struct poll *poll)
{
    struct frontend *frontend = poll->frontend;
    struct wire_tools *tools = own_tools();
    struct buffer out;
    const struct handout handout = {
        .requests = poll->commit.commit.leased,
        .client = &poll->source,
        .nonce = poll->bundle.has_timestamp ? poll->bundle.timestamp
                                            : (uint64_t)clock_wall(frontend->clock),
        .now = clock_wall(frontend->clock),
    };
    CHECK(poll->has_session && poll->has_sealing);
    buffer_init(&out, ANSWER_MAX);
    int count = tools == NULL ? -ENOMEM : handout_write(tools, &poll->sealing, &handout, &out);
    if (count < 0) {
        buffer_done(&out);
        poll_refuse(poll, count == -ENOMEM ? REASON_NO_MEMORY : REASON_INTERNAL);
        return answer_refusal(poll);
    }
    poll->account.requests = (unsigned)count;
    poll->account.bytes_out = buffer_size(&out);
    poll->state = POLL_DONE;
    pace_enter(poll->connection, PACE_ANSWER);
    stats_add(frontend->stats, STAT_MESSAGES_SENT, (uint64_t)count);
    CHECK(out.start == 0);
    return reply_packet(poll->connection, out.data, out.end); /* takes the bytes */
}

/* ---- The machine ---- */

static enum MHD_Result advance(struct poll *poll)
{
    for (;;) {
        switch (poll->state) {
        case POLL_BODY:
            poll->state = POLL_OPEN;
            break;
        case POLL_OPEN:
            open_packet(poll);
            if (poll->state == POLL_WORK) {
                poll_submit_work(poll);
                return MHD_YES;
            }
            if (poll->state == POLL_MESSAGES) {
                stats_add(poll->frontend->stats, STAT_SESSION_HITS, 1);
                stats_add(poll->frontend->stats, STAT_SEALING_HITS, 1);
            }
            break;
        case POLL_MESSAGES:
            if (take_messages(poll)) {
                return MHD_YES;
            }
            break;
        case POLL_ANSWER:
            return answer(poll);
        case POLL_REFUSED:
            return answer_refusal(poll);
        case POLL_WORK:
        case POLL_STORE:
        case POLL_DONE:
            /* Suspended, or answered: libmicrohttpd has no business here. */
            return MHD_YES;
        }
    }
}

/* The buffer's maximum is the announced length; libmicrohttpd never hands out more. Once refused,
 * the rest is read and dropped, since libmicrohttpd takes no answer before its end, and what was
 * kept is given up at once: else all of many would be refused for each other's sake. */
static void take_body(struct poll *poll, struct str bytes)
{
    if (poll->state == POLL_BODY && may_hold(poll, buffer_size(&poll->body) + bytes.len) &&
        buffer_append(&poll->body, bytes) < 0) {
        poll_refuse(poll, REASON_NO_MEMORY);
    }
    if (poll->state == POLL_REFUSED) {
        buffer_done(&poll->body);
        budget_give(&poll->frontend->body_memory, &poll->memory);
    }
}

enum MHD_Result poll_continue(struct poll *poll, const char *data, size_t *size)
{
    CHECK(poll->magic == POLL_MAGIC);
    if (*size == 0) {
        if (poll->is_sending) {
            if (!pace_enter(poll->connection, PACE_WORK)) {
                return MHD_NO; /* its last bytes came too late */
            }
            end_sending(poll);
            account_receive(&poll->account, buffer_size(&poll->body));
        }
        return advance(poll);
    }
    take_body(poll, str_make(data, *size));
    *size = 0;
    return MHD_YES;
}
