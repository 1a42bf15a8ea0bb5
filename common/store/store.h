/* SPDX-License-Identifier: Apache-2.0 */
/* The store: where agents, requests, responses, handler messages and work live. This is the whole
 * interface; what is behind it (one file, a cluster) is the engine's business, chosen by the
 * function that opened it (store_memory.h, store_sqlite.h). Nothing here speaks of the wire: bytes
 * come in and go out as they were.
 *
 * Arguments are checked here, once; engines trust what reaches them. Every function may be called
 * from any thread and may block on the disk. Text and bytes in arguments are borrowed for the call;
 * results are copied into the caller's arena and die with it, so the arena's maximum is the bound
 * on what a call can take. Lists are singly linked through `next`.
 *
 * All points in time are wall microseconds since the epoch, 0 where unknown. All ids are at most
 * INT64_MAX. Beside what a function names, it fails with
 *     -EINVAL    an argument breaks the rules below; nothing was done
 *     -ENOMEM    no memory, or the arena is full
 *     -ENOSPC    the disk is full; -EROFS, -EACCES: it may not be written
 *     -EBUSY     somebody else kept it locked for too long; try again
 *     -EUCLEAN   it is damaged;  -ENOTSUP: made by a newer version
 *     -ENOENT    it is gone (removed or moved away)
 *     -EIO       any other failure of the medium, a quota or file size limit included
 * with words in *error (may be NULL). A failed write stored nothing. Calls work again by themselves
 * when the cause is gone. */
#ifndef PORTICO_STORE_STORE_H
#define PORTICO_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"

struct arena;
struct error;
struct store;

/* Longest values, in bytes or elements. What an agent sends within them is stored as it came. */
enum {
    STORE_NAME_MAX = 256,         /* flow, action, type, handler, address: each; no NUL inside */
    STORE_KEY_MAX = 16 * 1024,    /* public key; certificate */
    STORE_BYTES_MAX = 64 << 20,   /* args; raw */
    STORE_BUNDLE_MAX = 64 * 1024, /* responses, and messages, of one bundle */
    STORE_BATCH_MAX = 1024,       /* bundles of one transaction */
    STORE_PAGE_MAX = 10000,       /* rows of one list, lease or take */
};

/* ---- agents ---- */

struct store_agent_id {
    uint8_t bytes[8];
};

enum { STORE_AGENT_ID_TEXT = sizeof "C.0123456789abcdef" };

/* "C." and 16 lower-case hexadecimal digits, NUL-terminated. */
void store_agent_id_format(struct store_agent_id id, char text[STORE_AGENT_ID_TEXT]);
/* 0 or -EINVAL. Upper-case digits are refused: agents do not use them, and ids are compared. */
MUST_CHECK int store_agent_id_parse(struct str text, struct store_agent_id *id);

enum store_agent_state {
    STORE_ENROLLED = 1, /* may talk to us */
    STORE_PENDING,      /* its key is known, the operator has not approved it */
    STORE_FORGOTTEN,    /* has to enrol again; what it told us is kept */
};

struct store_agent {
    struct store_agent *next;
    struct store_agent_id id;
    enum store_agent_state state;
    uint64_t version;       /* another one whenever key, certificate or state change */
    struct str key;         /* public key as given; empty when forgotten */
    struct str certificate; /* likewise */
    usec_t first_seen;      /* kept when the agent is forgotten and comes back */
    usec_t last_seen;
    usec_t clock; /* highest timestamp accepted from it; 0 after enrolling */
    struct str address;
};

/* 0, or -ENODATA: no agent has this id. */
MUST_CHECK int store_read_agent(struct store *store, struct store_agent_id id, struct arena *arena,
                                struct store_agent **agent, struct error *error);

struct store_enrolment {
    struct store_agent_id agent;
    struct str key;               /* not empty */
    struct str certificate;       /* may be empty */
    enum store_agent_state state; /* STORE_ENROLLED, or STORE_PENDING: the operator shall look */
};

/* Make an agent known. Doing it again changes nothing, except that a pending one may become
 * enrolled; an enrolled one never falls back. A forgotten id begins anew: its key, an unset clock.
 *
 * 1 (changed) or 0 (was so already), *state (may be NULL) is what holds now; -EEXIST: the id is
 * taken by another key. */
MUST_CHECK int store_enrol_agent(struct store *store, const struct store_enrolment *enrolment,
                                 enum store_agent_state *state, struct error *error);

/* STORE_ENROLLED approves a pending agent; STORE_FORGOTTEN forgets one, with its key and everything
 * queued for it.
 *
 * 1 (changed) or 0 (was so already); -ENODATA: unknown; -EPERM: forgotten agents cannot be
 * approved, they have to enrol. */
MUST_CHECK int store_set_state(struct store *store, struct store_agent_id id,
                               enum store_agent_state state, struct error *error);

struct store_agent_query {
    const struct store_agent_id *after; /* NULL: from the start; else the last one of a page */
    enum store_agent_state state;       /* 0: all */
    size_t limit;                       /* 1 to STORE_PAGE_MAX */
};

/* Pages of all lists: in order of their keys, at most `limit` rows, fewer when the arena is full
 * (-ENOMEM when not even one fits). Go on behind the last row until a page is empty (NULL). */
MUST_CHECK int store_list_agents(struct store *store, const struct store_agent_query *query,
                                 struct arena *arena, struct store_agent **agents,
                                 struct error *error);

/* ---- requests ---- */

enum store_request_state {
    STORE_QUEUED = 1, /* to be delivered, or delivered and not answered in full */
    STORE_EXPIRED, /* delivered too often, or its agent was forgotten; a late answer still counts */
    STORE_FINISHED, /* all its responses are here */
};

struct store_request {
    struct store_request *next;
    struct store_agent_id agent;
    struct str flow;
    uint64_t request;
    struct str action;
    struct str args_type;
    struct str args;
    usec_t cpu_limit; /* limits: 0 where there is none */
    uint64_t network_limit;
    usec_t runtime_limit;
    /* The store's own part, ignored when queueing. */
    enum store_request_state state;
    unsigned deliveries; /* how often it was leased */
    unsigned ttl;        /* only from leasing: deliveries that are left after this one */
    usec_t leased_until; /* 0: never leased */
    usec_t created;
    uint64_t expected; /* responses, known when the status came; 0 before */
    uint64_t received; /* distinct responses so far */
};

/* What was queued. A plain value. */
struct store_request_name {
    char flow[STORE_NAME_MAX + 1];
    uint64_t request;
};

/* Queue a request for an agent. An empty flow: a fresh random one (16 hexadecimal digits); request
 * 0: the flow's next. Durable when it returns; deliverable at once here, within half a second in
 * other processes.
 *
 * 0; -ENODATA: unknown agent; -EPERM: forgotten agent; -EEXIST: the flow has (had) a request of
 * this number, or responses to one. */
MUST_CHECK int store_queue_request(struct store *store, const struct store_request *request,
                                   struct store_request_name *name, struct error *error);

struct store_request_query {
    struct store_agent_id agent;
    struct str after_flow; /* with after_request the last row of a page; empty: from the start */
    uint64_t after_request;
    enum store_request_state state; /* 0: all */
    size_t limit;
};

MUST_CHECK int store_list_requests(struct store *store, const struct store_request_query *query,
                                   struct arena *arena, struct store_request **requests,
                                   struct error *error);

/* ---- what agents send ---- */

enum store_response_kind { STORE_MESSAGE = 1, STORE_STATUS, STORE_ITERATOR };

struct store_response {
    struct store_response *next;
    struct store_agent_id agent; /* in a bundle: ignored, the bundle's agent counts */
    struct str flow;
    uint64_t request;
    uint64_t response;
    enum store_response_kind kind;
    struct str args_type;
    struct str raw;  /* the message as received */
    struct str args; /* best a view into `raw`: then it is not stored twice */
    usec_t received; /* set by the store */
};

struct store_message {
    struct store_message *next;
    uint64_t id; /* assigned by the store; rises; never used twice */
    struct store_agent_id agent;
    struct str handler;
    uint64_t packet_timestamp; /* of the packet; 0: it had none, so it cannot be recognised again */
    uint32_t place;            /* in the packet */
    struct str args_type;
    struct str raw;
    struct str args; /* as above */
    usec_t received;
};

/* Whether the store would take this one; to sort out single bad ones before making a bundle.
 * 0 or -EINVAL. Pure. */
MUST_CHECK int store_check_response(const struct store_response *response, struct error *error);
MUST_CHECK int store_check_message(const struct store_message *message, struct error *error);

/* That an agent was here. `at` and `clock` only ever move the stored ones forward. */
struct store_sighting {
    usec_t at;          /* 0: do not touch what is stored */
    usec_t clock;       /* 0: none */
    struct str address; /* empty: unknown, keep */
};

/* What one poll brought. All of it is stored or nothing. Storing it again changes nothing:
 * responses are known by (agent, flow, request, response), messages by (agent, packet timestamp,
 * place); the first one stays.
 *
 * A status says by its own number how many responses its request has. When all numbers from 1 to
 * that are here, in whatever order they came, the request is finished, never sent again, and work.
 * Responses to requests that the store does not know are stored like any other, for their sender
 * was told so, but nothing becomes work. */
struct store_bundle {
    struct store_agent_id agent;
    struct store_sighting sighting;
    const struct store_response *responses; /* an array */
    size_t response_count;
    const struct store_message *messages; /* an array */
    size_t message_count;
};

/* How many requests to hand out, for how long, and how often in all. */
struct store_lease {
    size_t limit;            /* 0: none; at most STORE_PAGE_MAX */
    usec_t time;             /* from now; longer than 0 */
    unsigned max_deliveries; /* a request leased this often expires instead; at least 1 */
};

/* One poll's business with the store: its bundle, then a lease, in one transaction. */
struct store_commit {
    const struct store_bundle *bundle; /* borrowed */
    struct store_lease lease;          /* for bundle->agent */
    struct arena *arena;               /* for what is leased; NULL without a lease */
    /* Results. */
    int result;                   /* 0; -ENODATA: unknown agent; -EPERM: not enrolled; -EINVAL */
    struct store_request *leased; /* by (flow, request); what the arena cannot take stays queued */
    size_t fresh;                 /* responses and messages that were not stored before */
};

enum store_durability {
    STORE_DURABLE, /* survives the machine's end */
    STORE_RELAXED, /* survives this process's end; for sightings and leases, which may be lost */
};

/* Commit up to STORE_BATCH_MAX polls in one transaction. A bad one fails alone, with its own
 * result; the others are stored.
 *
 * 0: the transaction is done, each `result` holds. Negative: nothing of any of them is stored, each
 * `result` is that error, or its own. */
MUST_CHECK int store_commit(struct store *store, struct store_commit *commits, size_t count,
                            enum store_durability durability, struct error *error);

/* Lease for one enrolled agent, by (flow, request). A request stays leased until `lease->time` has
 * passed; then it may be leased again. No write, when nothing is queued.
 * 0 (*requests may be NULL; unknown agents have nothing); -EPERM: not enrolled. */
MUST_CHECK int store_lease_requests(struct store *store, struct store_agent_id agent,
                                    const struct store_lease *lease, struct arena *arena,
                                    struct store_request **requests, struct error *error);

/* Whether something may be queued for the agent, from memory: false is certain but for requests
 * that another process queued less than half a second ago; true means that leasing is worth it.
 * Looks at the store at most four times a second, when asked. */
bool store_may_have_queued(struct store *store, struct store_agent_id agent);

/* Have `changed` called for each agent whose key or state changed, here or in another process (then
 * at most half a second late), on the thread that noticed, which is inside a store function: it
 * must not call the store. One watcher; set it before threads share the store.
 * store_may_have_queued() is what notices. */
void store_watch_agents(struct store *store,
                        void (*changed)(void *context, struct store_agent_id agent), void *context);

struct store_response_query {
    struct store_agent_id agent;
    struct str flow;       /* empty: all flows */
    uint64_t request;      /* 0: all requests of the flow; else the flow is needed */
    struct str after_flow; /* with the next two the last row of a page; empty: from the start */
    uint64_t after_request;
    uint64_t after_response;
    size_t limit;
};

MUST_CHECK int store_list_responses(struct store *store, const struct store_response_query *query,
                                    struct arena *arena, struct store_response **responses,
                                    struct error *error);

struct store_message_query {
    const struct store_agent_id *agent; /* NULL: all */
    struct str handler;                 /* empty: all */
    uint64_t after;                     /* id */
    size_t limit;
};

MUST_CHECK int store_list_messages(struct store *store, const struct store_message_query *query,
                                   struct arena *arena, struct store_message **messages,
                                   struct error *error);

/* ---- work ---- */

enum store_work_kind {
    STORE_WORK_REQUEST = 1, /* a request is finished */
    STORE_WORK_MESSAGE,     /* a handler message is stored */
};

struct store_work {
    struct store_work *next;
    uint64_t id;
    enum store_work_kind kind;
    struct store_agent_id agent;
    struct str flow; /* of a request */
    uint64_t request;
    struct str handler; /* of a message */
    uint64_t message;
    usec_t created;
    usec_t leased_until;
    uint64_t takes; /* how often it was taken; with `id` it names this lease */
};

/* Take up to `limit` items, oldest first, for `time`; nobody else gets them until that has passed.
 * 0; *work is NULL when there is none. */
MUST_CHECK int store_take_work(struct store *store, size_t limit, usec_t time, struct arena *arena,
                               struct store_work **work, struct error *error);

/* It is done / somebody else shall do it, at once. 0, or -ESTALE: the lease ran out and somebody
 * else has (had) it. */
MUST_CHECK int store_acknowledge_work(struct store *store, uint64_t id, uint64_t takes,
                                      struct error *error);
MUST_CHECK int store_give_back_work(struct store *store, uint64_t id, uint64_t takes,
                                    struct error *error);

/* ---- the store itself ---- */

#define STORE_BUSY_TIMEOUT (5 * USEC_PER_SEC) /* unless told otherwise */

/* How long a function waits for others who write before it fails with -EBUSY; from its next call
 * on. */
void store_set_busy_timeout(struct store *store, usec_t timeout);

struct store_statistics {
    uint64_t agents[STORE_FORGOTTEN + 1]; /* by state; 0: all */
    uint64_t requests_queued;
    uint64_t requests;
    uint64_t responses;
    uint64_t messages;
    uint64_t work;
    uint64_t bytes; /* on disk or in memory */
};

/* Counts rows, so it takes time in proportion to the store: for people, not for every scrape. */
MUST_CHECK int store_read_statistics(struct store *store, struct store_statistics *statistics,
                                     struct error *error);

/* Whether the store can be read and, as far as is known, written: after a failed write it tries
 * one. Cheap otherwise. */
MUST_CHECK int store_check(struct store *store, struct error *error);

/* Called now and then from within store_backup(), with pages copied so far and pages in all. False:
 * give it up. */
struct store_progress {
    bool (*step)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* A consistent copy of the store as it is now into a new file, 0600, which is on the disk when this
 * returns, while others go on writing. `progress` may be NULL. A failure leaves no file.
 * -EEXIST: there is one; -ECANCELED: `progress` said so; -ENOTSUP: this engine has none. */
MUST_CHECK int store_backup(struct store *store, const char *path,
                            const struct store_progress *progress, struct error *error);

/* Nobody may be using it any more. */
void store_free(struct store *store);

#endif
