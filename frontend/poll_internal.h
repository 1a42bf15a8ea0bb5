/* SPDX-License-Identifier: Apache-2.0 */
/* A poll, for the files that move it on: poll.c on libmicrohttpd's threads, poll_work.c on the work
 * pool's. It belongs to one thread at a time. */
#ifndef PORTICO_FRONTEND_POLL_INTERNAL_H
#define PORTICO_FRONTEND_POLL_INTERNAL_H

#include "account.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "budget.h"
#include "frontend.h"
#include "intake.h"
#include "poll.h"
#include "store/committer.h"
#include "wire/packet.h"
#include "wire/session.h"
#include "work_pool.h"

#define POLL_STATES(X) X(BODY) X(OPEN) X(WORK) X(MESSAGES) X(STORE) X(ANSWER) X(REFUSED) X(DONE)

enum poll_state {
#define POLL_STATE(name) POLL_##name,
    POLL_STATES(POLL_STATE)
#undef POLL_STATE
};

enum { POLL_MAGIC = 0x706f6c6c };

struct poll {
    uint32_t magic;
    enum poll_state state;
    enum reason reason; /* of REFUSED */
    struct frontend *frontend;
    struct terms *terms; /* a reference: those that it began with */
    struct MHD_Connection *connection;
    struct buffer body;
    bool is_sending; /* counted in frontend->sending */
    struct budget_share memory;
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
    struct rsa_key *key; /* its key, owned, while the work pool needs it */
    struct bundle bundle;
    struct arena arena;
    struct intake intake;
    struct store_bundle stored;
    struct committer_job commit;
    struct work_job work;
    bool has_looked;      /* for news of agents and requests, and found: */
    bool may_have_queued; /* something may be queued for the agent */
};

void poll_refuse(struct poll *poll, enum reason reason);
/* The poll is another thread's from the moment its connection is resumed. */
void poll_resume(struct poll *poll);

/* Whose session that is; false when it names nobody. */
bool poll_set_source(struct poll *poll, const struct session *session);
/* Whether something may be queued for the agent. Looks once a poll; before agents are got from the
 * cache, see there. */
bool poll_look_for_news(struct poll *poll);
/* poll->agent from the cache, else NULL. */
void poll_get_agent(struct poll *poll);
/* poll->sealing for its agent. */
void poll_find_sealing(struct poll *poll);

/* Suspend the connection and go on in the work pool; resumed in MESSAGES or REFUSED. */
void poll_submit_work(struct poll *poll);

#endif
