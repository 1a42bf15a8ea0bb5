/* SPDX-License-Identifier: Apache-2.0 */
/* The agents that polled lately, in this process's memory, so that a warm poll asks the store
 * nothing. Bounded by count; who was not seen for long goes first. Any thread.
 *
 * Changes made by others are seen when somebody tells: hook agent_cache_invalidate() to
 * store_watch_agents(). An agent that is not in the store is not cached, so that it is seen as soon
 * as it enrols. */
#ifndef PORTICO_FRONTEND_AGENT_CACHE_H
#define PORTICO_FRONTEND_AGENT_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "store/store.h"
#include "wire/rsa.h"

struct agent_cache;
struct error;

/* One agent as the store had it. Counted; never changes but for its clock, so holders read it
 * without locks, and a change in the store makes another one. */
struct agent {
    struct store_agent_id id;
    enum store_agent_state state;
    uint64_t version;
    uint8_t fingerprint[RSA_FINGERPRINT_BYTES]; /* of its key */

    /* The cache's own. */
    struct agent *next; /* in its bucket */
    size_t place;       /* in the order of eviction */
    atomic_int_fast64_t clock;
    atomic_uint references;
    atomic_bool was_used; /* since eviction last came by */
    atomic_bool is_stale; /* the store has news: only the clock is of use */

    size_t key_len; /* 0: it was forgotten */
    uint8_t key[];  /* SubjectPublicKeyInfo */
};

static inline bool agent_is_enrolled(const struct agent *agent)
{
    return agent->state == STORE_ENROLLED;
}

static inline bool agent_has_key(const struct agent *agent)
{
    return agent->key_len > 0;
}

struct agent *agent_ref(struct agent *agent);
/* NULL is fine. */
void agent_unref(struct agent *agent);

/* Its key, ready for use. A warm poll needs the fingerprint only, and OpenSSL's object for a key
 * takes ten times the memory of all the rest, so it is made for each cold one: a few per cent of
 * what RSA takes then. Only when agent_has_key(). `meter` as of all keys. 0 or -ENOMEM; *key is the
 * caller's to free. */
MUST_CHECK int agent_make_key(const struct agent *agent, struct rsa_meter *meter,
                              struct rsa_key **key);

/* The highest timestamp that was accepted from it, here or, as far as it was stored when the agent
 * was loaded, elsewhere; 0: none. */
usec_t agent_clock(const struct agent *agent);
/* Move the clock forward to `clock`; false when it is there or further already: another packet came
 * in between. */
bool agent_advance_clock(struct agent *agent, usec_t clock);

/* At most `max` agents, at least one; memory comes with them. `store` is borrowed. NULL when there
 * is no memory. */
struct agent_cache *agent_cache_new(struct store *store, size_t max);
/* References that are out stay good. */
void agent_cache_free(struct agent_cache *cache);

/* The agent when it is cached, else NULL; then agent_cache_load(), where blocking is allowed. Never
 * blocks on the store. Returned: agent_unref() it. */
MUST_CHECK struct agent *agent_cache_get(struct agent_cache *cache, struct store_agent_id id);

/* Read the agent from the store, whatever is cached, and cache it. Blocks. An agent takes half a
 * KB.
 *
 * 0; -ENODATA: no such agent; -EKEYREJECTED: its key cannot be read, or is another's; else as
 * store_read_agent(). *agent is to be unref'd. */
MUST_CHECK int agent_cache_load(struct agent_cache *cache, struct store_agent_id id,
                                struct agent **agent, struct error *error);

/* The store has news of the agent: the next one who asks has to load it. A load that is under way
 * reads again. Never blocks on the store. */
void agent_cache_invalidate(struct agent_cache *cache, struct store_agent_id id);

/* The same, as store_watch_agents() wants it; `context` is the cache. */
void agent_cache_changed(void *context, struct store_agent_id id);

struct agent_cache_statistics {
    size_t max;
    size_t count;
    uint64_t evicted;
    uint64_t loaded;
    uint64_t invalidated; /* that were cached */
};

void agent_cache_read_statistics(struct agent_cache *cache,
                                 struct agent_cache_statistics *statistics);

#endif
