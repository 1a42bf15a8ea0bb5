/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine provides; for engines, and for tests that put one of their own in its place. The
 * functions mean what their namesakes of store.h say, and get arguments that were checked there. */
#ifndef PORTICO_STORE_STORE_ENGINE_H
#define PORTICO_STORE_STORE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/agent_set.h"
#include "store/store.h"

/* How far a process has read what changed. Zeroed: nothing yet. */
struct store_position {
    uint64_t queued; /* meaning known to the engine; rises with each request queued */
    uint64_t agents; /* the first version of an agent that is not known; 0: not begun */
};

struct store_listener {
    void (*queued)(struct store_listener *listener, struct store_agent_id agent, uint64_t queued);
    void (*changed)(struct store_listener *listener, struct store_agent_id agent);
};

struct store_methods {
    const char *name;
    int (*read_agent)(struct store *, struct store_agent_id, struct arena *, struct store_agent **,
                      struct error *);
    int (*enrol_agent)(struct store *, const struct store_enrolment *, enum store_agent_state *,
                       struct error *);
    int (*set_state)(struct store *, struct store_agent_id, enum store_agent_state, struct error *);
    int (*list_agents)(struct store *, const struct store_agent_query *, struct arena *,
                       struct store_agent **, struct error *);
    /* The flow is never empty; *request and *queued (the position after it) are set. */
    int (*queue_request)(struct store *, const struct store_request *, uint64_t *request,
                         uint64_t *queued, struct error *);
    int (*list_requests)(struct store *, const struct store_request_query *, struct arena *,
                         struct store_request **, struct error *);
    /* Items whose result is not 0 are to be skipped. `result` of the others is 0 on entry, and so
     * are `leased` and `fresh`. */
    int (*commit)(struct store *, struct store_commit *, size_t count, enum store_durability,
                  struct error *);
    /* 1 when something is queued for the agent, leased or not; else 0. Never writes. */
    int (*has_queued)(struct store *, struct store_agent_id, struct error *);
    int (*list_responses)(struct store *, const struct store_response_query *, struct arena *,
                          struct store_response **, struct error *);
    int (*list_messages)(struct store *, const struct store_message_query *, struct arena *,
                         struct store_message **, struct error *);
    int (*take_work)(struct store *, size_t limit, usec_t time, struct arena *,
                     struct store_work **, struct error *);
    int (*acknowledge_work)(struct store *, uint64_t id, uint64_t takes, struct error *);
    int (*give_back_work)(struct store *, uint64_t id, uint64_t takes, struct error *);
    /* Report what is behind *position and move it there. From the start: all that is queued, and no
     * agent as changed. */
    int (*read_changes)(struct store *, struct store_position *position,
                        struct store_listener *listener, struct error *);
    int (*read_statistics)(struct store *, struct store_statistics *, struct error *);
    int (*check)(struct store *, struct error *);
    int (*backup)(struct store *, const char *path, const struct store_progress *,
                  struct error *); /* NULL: cannot */
    void (*free)(struct store *);
};

/* An engine's struct begins with this. */
struct store {
    uint32_t magic;
    const struct store_methods *methods;
    const struct clock *clock; /* borrowed */
    _Atomic usec_t busy_timeout;
    /* What may be queued; see store.c. */
    pthread_mutex_t hint_lock;      /* for `hint` */
    struct agent_set *hint;         /* agents, with the position of their newest request */
    pthread_mutex_t refresh_lock;   /* for `position` */
    struct store_position position; /* how far changes are known */
    atomic_bool hint_loaded;        /* else nothing is certain */
    atomic_bool hint_full;
    _Atomic usec_t refreshed; /* monotonic */
    void (*changed)(void *context, struct store_agent_id agent);
    void *changed_context;
};

/* Begin and end the common part. 0 or -ENOMEM. `free` of the table calls store_done(). */
MUST_CHECK int store_init(struct store *store, const struct store_methods *methods,
                          const struct clock *clock);
void store_done(struct store *store);

#endif
