/* SPDX-License-Identifier: Apache-2.0 */
/* Shards by agent id, each a hash table and a ring of its agents under one lock, which is held for
 * some pointers' worth of work and never while the store is asked. The hand that evicts goes round
 * the ring and takes the first agent that was not asked for since it came by last. */
#include "agent_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/error.h"

enum {
    SHARDS = 16,
    SHARDED_FROM = 1024, /* smaller caches have one shard: their bound is to be exact */
    LOAD_ATTEMPTS = 3,
    /* The store's longest agent and the arena's own. */
    ROW_BYTES_MAX = 2 * STORE_KEY_MAX + 8192,
};

struct shard {
    pthread_mutex_t lock; /* for everything below */
    struct agent **buckets;
    size_t bucket_mask;
    struct agent **ring; /* `count` agents; the cache holds a reference to each */
    size_t count;
    size_t max;
    size_t hand;
    uint64_t news; /* how often agents of this shard were invalidated */
    uint64_t evicted, loaded, invalidated;
};

struct agent_cache {
    struct store *store;
    size_t shard_count;
    struct shard shards[];
};

/* ---- agents ---- */

struct agent *agent_ref(struct agent *agent)
{
    atomic_fetch_add_explicit(&agent->references, 1, memory_order_relaxed);
    return agent;
}

void agent_unref(struct agent *agent)
{
    if (agent != NULL &&
        atomic_fetch_sub_explicit(&agent->references, 1, memory_order_acq_rel) == 1) {
        free(agent);
    }
}

int agent_make_key(const struct agent *agent, struct rsa_meter *meter, struct rsa_key **key)
{
    CHECK(agent_has_key(agent));
    /* It was written from a key that was fine, so nothing can be wrong with it. */
    return rsa_public_from_spki(str_make((const char *)agent->key, agent->key_len), meter, key) < 0
               ? -ENOMEM
               : 0;
}

usec_t agent_clock(const struct agent *agent)
{
    return atomic_load_explicit(&agent->clock, memory_order_acquire);
}

bool agent_advance_clock(struct agent *agent, usec_t clock)
{
    int_fast64_t known = atomic_load_explicit(&agent->clock, memory_order_relaxed);
    while (known < clock) {
        if (atomic_compare_exchange_weak_explicit(&agent->clock, &known, clock,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* ---- shards; all with the lock held ---- */

static uint64_t hash_id(struct store_agent_id id)
{
    uint64_t number;
    memcpy(&number, id.bytes, sizeof number);
    /* Ids are hashes, but an agent chooses its key: not by their low bits alone. */
    return (number ^ number >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct agent_cache *cache, struct store_agent_id id)
{
    return &cache->shards[(hash_id(id) >> 60) % cache->shard_count];
}

static bool id_is(struct store_agent_id a, struct store_agent_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* What points to the agent; at the end of its bucket: to NULL. */
static struct agent **find_link(const struct shard *shard, struct store_agent_id id)
{
    struct agent **link = &shard->buckets[hash_id(id) >> 24 & shard->bucket_mask];
    while (*link != NULL && !id_is((*link)->id, id)) {
        link = &(*link)->next;
    }
    return link;
}

/* The cache's reference goes to the caller. */
static struct agent *take_out(struct shard *shard, struct agent **link)
{
    struct agent *agent = *link;
    CHECK(agent != NULL && shard->count > 0);
    struct agent *last = shard->ring[--shard->count];
    *link = agent->next;
    shard->ring[agent->place] = last;
    last->place = agent->place;
    return agent;
}

static struct agent *evict_one(struct shard *shard)
{
    for (;;) {
        shard->hand = shard->hand + 1 < shard->count ? shard->hand + 1 : 0;
        struct agent *agent = shard->ring[shard->hand];
        bool is_stale = atomic_load_explicit(&agent->is_stale, memory_order_relaxed);
        /* Ends after two rounds at most: nobody else sets it while we hold the lock. */
        if (!atomic_exchange_explicit(&agent->was_used, false, memory_order_relaxed) || is_stale) {
            shard->evicted++;
            return take_out(shard, find_link(shard, agent->id));
        }
    }
}

static void put_in(struct shard *shard, struct agent *agent)
{
    struct agent **link = find_link(shard, agent->id);
    CHECK(*link == NULL && shard->count < shard->max);
    agent->next = NULL;
    *link = agent_ref(agent);
    agent->place = shard->count;
    shard->ring[shard->count++] = agent;
}

/* ---- asking ---- */

struct agent *agent_cache_get(struct agent_cache *cache, struct store_agent_id id)
{
    struct shard *shard = shard_of(cache, id);
    pthread_mutex_lock(&shard->lock);
    struct agent *agent = *find_link(shard, id);
    if (agent != NULL && !atomic_load_explicit(&agent->is_stale, memory_order_relaxed)) {
        atomic_store_explicit(&agent->was_used, true, memory_order_relaxed);
        agent_ref(agent);
    } else {
        agent = NULL;
    }
    pthread_mutex_unlock(&shard->lock);
    return agent;
}

void agent_cache_invalidate(struct agent_cache *cache, struct store_agent_id id)
{
    struct shard *shard = shard_of(cache, id);
    pthread_mutex_lock(&shard->lock);
    struct agent *agent = *find_link(shard, id);
    shard->news++;
    if (agent != NULL) {
        /* It stays for its clock: the store learns of clocks later than we do. */
        atomic_store_explicit(&agent->is_stale, true, memory_order_relaxed);
        shard->invalidated++;
    }
    pthread_mutex_unlock(&shard->lock);
}

void agent_cache_changed(void *context, struct store_agent_id id)
{
    agent_cache_invalidate(context, id);
}

/* ---- loading ---- */

/* The key of a row, in `spki`: its length, which is 0 when it has none; or an error. */
static int read_key(const struct store_agent *row, uint8_t spki[RSA_SPKI_BYTES_MAX],
                    uint8_t fingerprint[RSA_FINGERPRINT_BYTES])
{
    char name[STORE_AGENT_ID_TEXT];
    struct rsa_key *key = NULL;
    if (row->state == STORE_FORGOTTEN) {
        return 0;
    }
    int r = rsa_public_from_pem(row->key, NULL, &key);
    if (r < 0) {
        return r == -EINVAL ? -EKEYREJECTED : r;
    }
    store_agent_id_format(row->id, name);
    size_t len = 0;
    if (strcmp(name, rsa_key_client_id(key)->text) == 0) {
        len = rsa_key_write_spki(key, spki);
        memcpy(fingerprint, rsa_key_fingerprint(key), RSA_FINGERPRINT_BYTES);
    }
    rsa_key_free(key);
    return len > 0 ? (int)len : -EKEYREJECTED;
}

static int make_agent(const struct store_agent *row, struct agent **out, struct error *error)
{
    uint8_t spki[RSA_SPKI_BYTES_MAX];
    uint8_t fingerprint[RSA_FINGERPRINT_BYTES] = {0};
    int r = read_key(row, spki, fingerprint);
    if (r < 0) {
        return error_set_errno(error, r, "cannot read the agent's key");
    }
    size_t len = (size_t)r;
    struct agent *agent = calloc(1, sizeof *agent + len);
    if (agent == NULL) {
        return error_set(error, -ENOMEM, "no memory for an agent");
    }
    agent->id = row->id;
    agent->state = row->state;
    agent->version = row->version;
    memcpy(agent->fingerprint, fingerprint, sizeof fingerprint);
    agent->key_len = len;
    memcpy(agent->key, spki, len);
    atomic_init(&agent->clock, row->clock);
    atomic_init(&agent->references, 1);
    *out = agent;
    return 0;
}

static int read_agent(struct agent_cache *cache, struct store_agent_id id, struct agent **agent,
                      struct error *error)
{
    struct arena arena;
    struct store_agent *row;
    arena_init(&arena, 2048, ROW_BYTES_MAX);
    int r = store_read_agent(cache->store, id, &arena, &row, error);
    if (r == 0) {
        r = make_agent(row, agent, error);
    }
    arena_done(&arena);
    return r;
}

static bool has_same_key(const struct agent *a, const struct agent *b)
{
    return agent_has_key(a) && agent_has_key(b) &&
           memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

/* With the lock held: in the place of what is known of the agent, or of another one, which the
 * caller unrefs. Whoever still holds the former moves a clock that nobody reads; the store takes
 * the highest anyhow. */
static struct agent *insert(struct shard *shard, struct agent *agent)
{
    struct agent *former = NULL;
    CHECK(agent != NULL);
    struct agent **link = find_link(shard, agent->id);
    if (*link != NULL) {
        former = take_out(shard, link);
        if (has_same_key(former, agent)) {
            (void)agent_advance_clock(agent, agent_clock(former));
        }
    } else if (shard->count == shard->max) {
        former = evict_one(shard);
    }
    put_in(shard, agent);
    shard->loaded++;
    return former;
}

static uint64_t read_news(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    uint64_t news = shard->news;
    pthread_mutex_unlock(&shard->lock);
    return news;
}

/* False: something happened since `news`, what was read may be old. */
static bool insert_unless_news(struct shard *shard, struct agent *agent, uint64_t news)
{
    struct agent *former = NULL;
    pthread_mutex_lock(&shard->lock);
    bool is_current = shard->news == news;
    if (is_current) {
        former = insert(shard, agent);
    }
    pthread_mutex_unlock(&shard->lock);
    agent_unref(former);
    return is_current;
}

int agent_cache_load(struct agent_cache *cache, struct store_agent_id id, struct agent **out,
                     struct error *error)
{
    struct shard *shard = shard_of(cache, id);
    struct agent *agent = NULL;
    bool is_current = false;
    for (unsigned i = 0; i < LOAD_ATTEMPTS && !is_current; i++) {
        uint64_t news = read_news(shard);
        agent_unref(agent);
        agent = NULL;
        int r = read_agent(cache, id, &agent, error);
        if (r < 0) {
            return r;
        }
        is_current = insert_unless_news(shard, agent, news);
    }
    /* In a storm of changes it is as good as any read, but not worth keeping. */
    *out = agent;
    return 0;
}

/* ---- life ---- */

static size_t power_of_two_from(size_t n)
{
    size_t power = 1;
    while (power < n) {
        power *= 2;
    }
    return power;
}

static bool init_shard(struct shard *shard, size_t max)
{
    size_t buckets = power_of_two_from(max);
    pthread_mutex_init(&shard->lock, NULL);
    shard->max = max;
    shard->bucket_mask = buckets - 1;
    shard->buckets = calloc(buckets, sizeof(struct agent *));
    shard->ring = calloc(max, sizeof(struct agent *));
    return shard->buckets != NULL && shard->ring != NULL;
}

static void release_shard(struct shard *shard)
{
    for (size_t i = 0; i < shard->count; i++) {
        agent_unref(shard->ring[i]);
    }
    pthread_mutex_destroy(&shard->lock);
    free(shard->buckets);
    free(shard->ring);
}

struct agent_cache *agent_cache_new(struct store *store, size_t max)
{
    size_t shards = max < SHARDED_FROM ? 1 : SHARDS;
    struct agent_cache *cache = calloc(1, sizeof *cache + shards * sizeof cache->shards[0]);
    bool is_whole = true;
    CHECK(max > 0);
    if (cache == NULL) {
        return NULL;
    }
    cache->store = store;
    cache->shard_count = shards;
    for (size_t i = 0; i < shards; i++) {
        is_whole = init_shard(&cache->shards[i], max / shards) && is_whole;
    }
    if (!is_whole) {
        agent_cache_free(cache);
        return NULL;
    }
    return cache;
}

void agent_cache_free(struct agent_cache *cache)
{
    if (cache != NULL) {
        for (size_t i = 0; i < cache->shard_count; i++) {
            release_shard(&cache->shards[i]);
        }
        free(cache);
    }
}

void agent_cache_read_statistics(struct agent_cache *cache,
                                 struct agent_cache_statistics *statistics)
{
    *statistics = (struct agent_cache_statistics){0};
    for (size_t i = 0; i < cache->shard_count; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        statistics->max += shard->max;
        statistics->count += shard->count;
        statistics->evicted += shard->evicted;
        statistics->loaded += shard->loaded;
        statistics->invalidated += shard->invalidated;
        pthread_mutex_unlock(&shard->lock);
    }
}
