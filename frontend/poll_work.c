/* SPDX-License-Identifier: Apache-2.0 */
/* What a poll may have to wait for before it can be opened: RSA, and agents that have to be read.
 * On the work pool's threads, with the connection suspended. */
#include <errno.h>
#include <string.h>

#include "agent_cache.h"
#include "base/check.h"
#include "enroller.h"
#include "frontend.h"
#include "poll_internal.h"
#include "session_cache.h"

/* Blocks on the store. */
static int read_agent(struct poll *poll)
{
    stats_add(poll->frontend->stats, STAT_AGENT_MISSES, 1);
    return agent_cache_load(poll->frontend->agents, poll->id, &poll->agent, NULL);
}

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

/* The key of the poll's agent; kept until the work is done. NULL without memory. */
static const struct rsa_key *need_key(struct poll *poll)
{
    if (poll->key != NULL && memcmp(rsa_key_fingerprint(poll->key), poll->agent->fingerprint,
                                    RSA_FINGERPRINT_BYTES) != 0) {
        rsa_key_free(poll->key);
        poll->key = NULL;
    }
    if (poll->key == NULL && agent_make_key(poll->agent, &poll->frontend->meter, &poll->key) < 0) {
        poll->key = NULL;
    }
    return poll->key;
}

/* Whether it signed that cipher: then it is the poll's session. */
static enum reason verify_claim(struct poll *poll, const struct claim *claim)
{
    enum wire_reason reason = WIRE_NO_REASON;
    const struct rsa_key *key = need_key(poll);
    if (key == NULL) {
        return REASON_NO_MEMORY;
    }
    return claim_verify(claim, key, &poll->session, &reason) < 0 ? reason_of_wire(reason)
                                                                 : REASON_NONE;
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
    if (!poll_set_source(poll, &claim.session)) {
        result = reason_of_wire(WIRE_REASON_SOURCE_MALFORMED);
        goto out;
    }
    (void)poll_look_for_news(poll);
    agent_unref(poll->agent);
    poll_get_agent(poll);
    distrust_pending(poll);
    code = poll->agent != NULL ? 0 : read_agent(poll);
    bool is_known = code == 0 && poll->agent->state != STORE_FORGOTTEN;
    if (code < 0 && code != -ENODATA) {
        result = REASON_STORE;
    } else if (is_known) {
        result = verify_claim(poll, &claim);
    } else {
        agent_unref(poll->agent);
        poll->agent = NULL;
        stats_add(frontend->stats, STAT_UNIQUE_CLIENTS, 1);
        result = enroller_try(frontend, poll->terms, tools, &poll->packet, &claim, &poll->session,
                              &state);
        if (result == REASON_NONE) {
            /* Our cipher for a key is not to outlive that it was forgotten. */
            sealing_cache_drop(poll->terms->sessions, poll->session.peer);
        }
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
    poll_find_sealing(poll);
    stats_add(frontend->stats, poll->has_sealing ? STAT_SEALING_HITS : STAT_SEALING_MISSES, 1);
    if (poll->has_sealing) {
        return REASON_NONE;
    }
    const struct rsa_key *key = need_key(poll);
    if (key == NULL) {
        return REASON_NO_MEMORY;
    }
    if (sealing_make(tools, poll->terms->identity.key, key, str_from(poll->terms->identity.name),
                     clock_wall(frontend->clock), &poll->sealing, &reason) < 0) {
        return reason_of_wire(reason);
    }
    poll->has_sealing = true;
    sealing_cache_put(poll->terms->sessions, &poll->sealing);
    return REASON_NONE;
}

/* The agent of a session that is known. It may have another key by now, or none: then what the
 * session says counts for nothing, and the packet is read as one of somebody new. */
static enum reason check_session(struct poll *poll)
{
    enum reason reason = load_agent(poll);
    if (reason != REASON_NONE && reason != reason_of_wire(WIRE_REASON_SOURCE_UNKNOWN)) {
        return reason;
    }
    if (poll->agent == NULL || !agent_has_key(poll->agent) ||
        !session_is_of(&poll->session, poll->agent->fingerprint)) {
        session_cache_drop(poll->terms->sessions, poll->packet.digest);
        agent_unref(poll->agent);
        poll->agent = NULL;
        poll->has_session = false;
    }
    return REASON_NONE;
}

static enum reason prepare(struct poll *poll, struct wire_tools *tools)
{
    struct frontend *frontend = poll->frontend;
    enum reason reason = REASON_NONE;
    distrust_pending(poll);
    stats_add(frontend->stats, poll->has_session ? STAT_SESSION_HITS : STAT_SESSION_MISSES, 1);
    if (poll->has_session) {
        reason = check_session(poll);
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
    rsa_key_free(poll->key);
    poll->key = NULL;
    account_end_step(&poll->account, PHASE_RSA);
    if (reason == REASON_NONE) {
        poll->state = POLL_MESSAGES;
    } else {
        poll_refuse(poll, reason);
        count_refusal(poll);
    }
    poll_resume(poll);
}

void poll_submit_work(struct poll *poll)
{
    account_begin_step(&poll->account);
    poll->work = (struct work_job){.run = run_work};
    MHD_suspend_connection(poll->connection);
    int code = work_pool_submit(poll->frontend->pool, &poll->work);
    if (code < 0) {
        poll_refuse(poll, code == -ESHUTDOWN ? REASON_STOPPING : REASON_BUSY_CRYPTO);
        poll_resume(poll);
    }
}
