/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a poll. Each step either goes on, or suspends the connection and hands the poll to
 * another thread, which sets the next state and resumes it:
 *
 *     BODY ─▶ OPEN ─┬─▶ WORK (pool: RSA, agents not cached) ─┬─▶ MESSAGES ─▶ STORE (committer) ─▶
 * ANSWER └────────────────────────────────────────┘        └──────────────────────────▶
 *
 * Any step may end in REFUSED. 200 is queued only after the committer said that the messages are on
 * the disk. */
#include "poll.h"

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
#include "intake.h"
#include "peer.h"
#include "session_cache.h"
#include "store/committer.h"
#include "wire/replay.h"
#include "wire/tools.h"
#include "work_pool.h"

#define POLL_STATES(X) X(BODY) X(OPEN) X(WORK) X(MESSAGES) X(STORE) X(ANSWER) X(REFUSED) X(DONE)

enum poll_state {
#define POLL_STATE(name) POLL_##name,
    POLL_STATES(POLL_STATE)
#undef POLL_STATE
};

enum {
    POLL_MAGIC = 0x706f6c6c,
    ARENA_BLOCK = 4096,
    ARENA_MAX = 256 << 20, /* leased requests and the index of messages */
    ANSWER_MAX = 256 << 20,
};

struct poll {
    uint32_t magic;
    enum poll_state state;
    enum reason reason; /* of REFUSED */
    struct frontend *frontend;
    struct terms *terms; /* a reference: those that it began with */
    struct MHD_Connection *connection;
    struct buffer body;
    bool is_sending; /* counted in frontend->sending */
    struct account account;
    char peer[ADDRESS_TEXT_SIZE];

    struct packet packet;
    struct session session;
    bool has_session;
    struct sealing sealing;
    bool has_sealing;
    struct client_id source;
    struct store_agent_id id;
    struct agent *agent; /* a reference, NULL until it is known */
    struct bundle bundle;
    struct arena arena;
    struct intake intake;
    struct store_bundle stored;
    struct committer_job commit;
    struct work_job work;
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
    peer_name(connection, head->forwarded_for, poll->terms->trusted, poll->terms->trusted_count,
              poll->peer);
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
    terms_unref(poll->terms);
    poll->magic = 0;
    free(poll);
    atomic_fetch_sub(&frontend->in_flight, 1);
}

/* ---- Moving on ---- */

static void refuse(struct poll *poll, enum reason reason)
{
    poll->reason = reason;
    poll->state = POLL_REFUSED;
}

static void refuse_wire(struct poll *poll, enum wire_reason reason)
{
    refuse(poll, reason_of_wire(reason));
}

/* The poll is another thread's from the moment its connection is resumed. */
static void resume(struct poll *poll)
{
    MHD_resume_connection(poll->connection);
}

/* ---- OPEN: what costs no RSA ---- */

static bool set_source(struct poll *poll, const struct session *session)
{
    return client_id_parse(str_from(session->source), &poll->source) == 0 &&
           store_agent_id_parse(str_from(session->source), &poll->id) == 0;
}

static void get_agent(struct poll *poll)
{
    poll->agent = agent_cache_get(poll->frontend->agents, poll->id);
    if (poll->agent != NULL) {
        stats_add(poll->frontend->stats, STAT_AGENT_HITS, 1);
    }
}

/* Blocks on the store. */
static int read_agent(struct poll *poll)
{
    stats_add(poll->frontend->stats, STAT_AGENT_MISSES, 1);
    return agent_cache_load(poll->frontend->agents, poll->id, &poll->agent, NULL);
}

/* The agent is cached, enrolled, and the session is of its present key. */
static bool has_live_agent(struct poll *poll)
{
    agent_unref(poll->agent);
    get_agent(poll);
    return poll->agent != NULL && agent_is_enrolled(poll->agent) &&
           session_is_of(&poll->session, poll->agent->key);
}

static void find_sealing(struct poll *poll)
{
    poll->has_sealing =
        sealing_cache_find(poll->terms->sessions, rsa_key_fingerprint(poll->agent->key),
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
        refuse(poll, REASON_NO_MEMORY);
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
        !set_source(poll, &poll->session)) {
        return;
    }
    if (packet_match(tools, &poll->packet, &poll->session, &reason) < 0) {
        stats_add(frontend->stats, STAT_DECRYPTION_ERROR, 1);
        refuse_wire(poll, reason);
        return;
    }
    poll->has_session = true;
    if (has_live_agent(poll)) {
        find_sealing(poll);
        poll->state = poll->has_sealing ? POLL_MESSAGES : POLL_WORK;
    }
}

static void open_packet(struct poll *poll)
{
    account_begin_step(&poll->account);
    read_packet(poll);
    account_end_step(&poll->account, PHASE_PARSE);
}

/* ---- WORK: RSA, and reading agents ---- */

/* The store is not asked for changes while nobody enrolled polls, so what the cache says of an
 * agent that waits for its approval may be old. */
static void distrust_pending(struct poll *poll)
{
    if (poll->agent != NULL && !agent_is_enrolled(poll->agent)) {
        agent_cache_invalidate(poll->frontend->agents, poll->id);
        agent_unref(poll->agent);
        poll->agent = NULL;
    }
}

/* Whose cipher that is and whether it is good, for one private operation and one public one. */
static enum reason unwrap(struct poll *poll, struct wire_tools *tools)
{
    struct frontend *frontend = poll->frontend;
    struct claim claim;
    enum store_agent_state state = STORE_ENROLLED;
    enum wire_reason reason = WIRE_NO_REASON;
    enum reason result = REASON_NONE;
    int code = packet_unwrap(tools, &poll->packet, poll->terms->identity.key, PACKET_FROM_AGENT,
                             &claim, &reason);
    if (code < 0) {
        return reason_of_wire(reason);
    }
    if (!set_source(poll, &claim.session)) {
        result = reason_of_wire(WIRE_REASON_SOURCE_MALFORMED);
        goto out;
    }
    agent_unref(poll->agent);
    get_agent(poll);
    distrust_pending(poll);
    code = poll->agent != NULL ? 0 : read_agent(poll);
    bool is_known = code == 0 && poll->agent->state != STORE_FORGOTTEN;
    if (code < 0 && code != -ENODATA) {
        result = REASON_STORE;
    } else if (is_known) {
        result = claim_verify(&claim, poll->agent->key, &poll->session, &reason) < 0
                     ? reason_of_wire(reason)
                     : REASON_NONE;
    } else {
        agent_unref(poll->agent);
        poll->agent = NULL;
        stats_add(frontend->stats, STAT_UNIQUE_CLIENTS, 1);
        result = enroller_try(frontend, poll->terms, tools, &poll->packet, &claim, &poll->session,
                              &state);
    }
    poll->has_session = result == REASON_NONE;
out:
    claim_wipe(&claim);
    return result;
}

/* The agent as the store has it now; for one that was just enrolled, or is not cached. */
static enum reason load_agent(struct poll *poll)
{
    if (poll->agent != NULL) {
        return REASON_NONE;
    }
    int code = read_agent(poll);
    if (code == -ENODATA) {
        return reason_of_wire(WIRE_REASON_SOURCE_UNKNOWN);
    }
    return code < 0 ? REASON_STORE : REASON_NONE;
}

static enum reason make_sealing(struct poll *poll, struct wire_tools *tools)
{
    struct frontend *frontend = poll->frontend;
    enum wire_reason reason = WIRE_NO_REASON;
    find_sealing(poll);
    stats_add(frontend->stats, poll->has_sealing ? STAT_SEALING_HITS : STAT_SEALING_MISSES, 1);
    if (poll->has_sealing) {
        return REASON_NONE;
    }
    if (sealing_make(tools, poll->terms->identity.key, poll->agent->key,
                     str_from(poll->terms->identity.name), clock_wall(frontend->clock),
                     &poll->sealing, &reason) < 0) {
        return reason_of_wire(reason);
    }
    poll->has_sealing = true;
    sealing_cache_put(poll->terms->sessions, &poll->sealing);
    return REASON_NONE;
}

static enum reason prepare(struct poll *poll, struct wire_tools *tools)
{
    struct frontend *frontend = poll->frontend;
    enum reason reason = REASON_NONE;
    distrust_pending(poll);
    stats_add(frontend->stats, poll->has_session ? STAT_SESSION_HITS : STAT_SESSION_MISSES, 1);
    if (poll->has_session) {
        reason = load_agent(poll);
        /* The agent's key changed since the session was made: what it says counts for nothing. */
        if (reason == REASON_NONE && poll->agent->key != NULL &&
            !session_is_of(&poll->session, poll->agent->key)) {
            session_cache_drop(poll->terms->sessions, poll->packet.digest);
            agent_unref(poll->agent);
            poll->agent = NULL;
            poll->has_session = false;
        }
    }
    if (reason == REASON_NONE && !poll->has_session) {
        reason = unwrap(poll, tools);
    }
    if (reason == REASON_NONE) {
        reason = load_agent(poll);
    }
    if (reason == REASON_NONE && !agent_is_enrolled(poll->agent)) {
        reason = reason_of_wire(WIRE_REASON_SOURCE_UNKNOWN);
    }
    if (reason == REASON_NONE) {
        session_cache_put(poll->terms->sessions, &poll->session);
        reason = make_sealing(poll, tools);
    }
    return reason;
}

static void count_refusal(struct poll *poll)
{
    struct stats *stats = poll->frontend->stats;
    unsigned status = reason_status(poll->reason);
    if (status == MHD_HTTP_NOT_ACCEPTABLE) {
        stats_add(stats, STAT_CLIENT_UNKNOWN, 1);
    } else if (poll->reason > REASON_WIRE && status < 500) {
        stats_add(stats, STAT_DECRYPTION_ERROR, 1);
    }
    if (poll->reason == reason_of_wire(WIRE_REASON_SIGNATURE_MISSING) ||
        poll->reason == reason_of_wire(WIRE_REASON_SIGNATURE)) {
        stats_add(stats, STAT_UNAUTHENTICATED, 1);
    }
}

static void run_work(struct work_job *job, struct wire_tools *tools)
{
    struct poll *poll = CONTAINER_OF(job, struct poll, work);
    CHECK(poll->magic == POLL_MAGIC);
    enum reason reason = tools == NULL ? REASON_STOPPING : prepare(poll, tools);
    account_end_step(&poll->account, PHASE_RSA);
    if (reason == REASON_NONE) {
        poll->state = POLL_MESSAGES;
    } else {
        refuse(poll, reason);
        count_refusal(poll);
    }
    resume(poll);
}

static void submit_work(struct poll *poll)
{
    account_begin_step(&poll->account);
    poll->work = (struct work_job){.run = run_work};
    MHD_suspend_connection(poll->connection);
    int code = work_pool_submit(poll->frontend->pool, &poll->work);
    if (code < 0) {
        refuse(poll, code == -ESHUTDOWN ? REASON_STOPPING : REASON_BUSY_CRYPTO);
        resume(poll);
    }
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
        refuse(poll, REASON_STORE);
    }
    resume(poll);
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
        refuse(poll, code == -ESHUTDOWN ? REASON_STOPPING : REASON_BUSY_STORE);
        resume(poll);
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
        refuse(poll, REASON_NO_MEMORY);
        return false;
    }
    if (packet_open(tools, &poll->packet, &poll->session, &poll->terms->packet_limits,
                    &poll->bundle, &reason) < 0) {
        stats_add(frontend->stats, STAT_DECODING_ERROR, 1);
        refuse_wire(poll, reason);
        return false;
    }
    poll->account.messages = poll->bundle.count;
    poll->stored = (struct store_bundle){.agent = poll->id};
    judge(poll, verdict);
    if (verdict->is_fresh &&
        intake_sort(&poll->bundle, &poll->source, &poll->arena, &poll->intake) < 0) {
        refuse(poll, REASON_NO_MEMORY);
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
    bool may_lease = limit > 0 && store_may_have_queued(frontend->store, poll->id);
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
        refuse(poll, count == -ENOMEM ? REASON_NO_MEMORY : REASON_INTERNAL);
        return answer_refusal(poll);
    }
    poll->account.requests = (unsigned)count;
    poll->account.bytes_out = buffer_size(&out);
    poll->state = POLL_DONE;
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
                submit_work(poll);
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

enum MHD_Result poll_continue(struct poll *poll, const char *data, size_t *size)
{
    CHECK(poll->magic == POLL_MAGIC);
    if (*size == 0) {
        if (poll->is_sending) {
            end_sending(poll);
            account_receive(&poll->account, buffer_size(&poll->body));
        }
        return advance(poll);
    }
    /* The buffer's maximum is the announced length; libmicrohttpd never hands out more. */
    if (poll->state == POLL_BODY && buffer_append(&poll->body, str_make(data, *size)) < 0) {
        refuse(poll, REASON_NO_MEMORY);
    }
    *size = 0;
    return MHD_YES;
}
