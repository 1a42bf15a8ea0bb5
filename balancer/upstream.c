/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to members: opening, keeping, dropping. */
#include "upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"
#include "proxy.h"
#include "worker_internal.h"

LIST_DECLARE(upstream_list, struct upstream, link);

struct pool {
    uint32_t member_id;
    unsigned lent;             /* connections that carry a request */
    struct upstream_list idle; /* used last comes last */
};

/* Open addressing over pointers, by member id. Ids are our own, so nobody chooses collisions. */
struct pools {
    struct pool **slots;
    size_t capacity; /* a power of two */
    size_t count;
    size_t idle;
};

/* ---- The table ---- */

enum { POOLS_AT_FIRST = 16 };

struct pools *pools_new(void)
{
    struct pools *pools = calloc(1, sizeof *pools);
    if (pools == NULL) {
        return NULL;
    }
    pools->capacity = POOLS_AT_FIRST;
    pools->slots = calloc(pools->capacity, sizeof(struct pool *));
    if (pools->slots == NULL) {
        free(pools);
        return NULL;
    }
    return pools;
}

static struct pool **slot_of(const struct pools *pools, uint32_t member_id)
{
    size_t at = (size_t)(member_id * UINT32_C(2654435761)) & (pools->capacity - 1);
    while (pools->slots[at] != NULL && pools->slots[at]->member_id != member_id) {
        at = (at + 1) & (pools->capacity - 1);
    }
    return &pools->slots[at];
}

static bool grow(struct pools *pools)
{
    struct pools larger = {.capacity = pools->capacity * 2};
    larger.slots = calloc(larger.capacity, sizeof(struct pool *));
    if (larger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < pools->capacity; i++) {
        if (pools->slots[i] != NULL) {
            *slot_of(&larger, pools->slots[i]->member_id) = pools->slots[i];
        }
    }
    free(pools->slots);
    pools->slots = larger.slots;
    pools->capacity = larger.capacity;
    return true;
}

static struct pool *pool_find(const struct pools *pools, const struct member *member)
{
    return *slot_of(pools, member->id);
}

/* NULL: no memory. */
static struct pool *pool_get(struct pools *pools, const struct member *member)
{
    struct pool **slot = slot_of(pools, member->id);
    if (*slot != NULL) {
        return *slot;
    }
    if (pools->count * 2 >= pools->capacity) {
        if (!grow(pools)) {
            return NULL;
        }
        slot = slot_of(pools, member->id);
    }
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        pool->member_id = member->id;
        upstream_list_init(&pool->idle);
        *slot = pool;
        pools->count++;
    }
    return pool;
}

/* ---- One connection ---- */

static void free_garbage(struct garbage *garbage)
{
    struct upstream *upstream = CONTAINER_OF(garbage, struct upstream, garbage);
    member_unref(upstream->member);
    slab_free(&upstream->worker->upstream_memory, upstream);
}

static void upstream_close(struct upstream *upstream)
{
    struct loop *loop = upstream->worker->loop;
    loop_disarm(loop, &upstream->timer);
    watch_forget(loop, &upstream->watch);
    transport_close(&upstream->transport);
    counter_add(upstream->worker->counters, COUNTER_MEMBER_CONNECTIONS, -1);
    loop_free_later(loop, &upstream->garbage, free_garbage);
}

static void leave_pool(struct upstream *upstream)
{
    upstream_list_remove(&upstream->pool->idle, upstream);
    upstream->worker->pools->idle--;
    counter_add(upstream->worker->counters, COUNTER_POOLED, -1);
}

static void drop_idle(struct upstream *upstream)
{
    leave_pool(upstream);
    upstream_close(upstream);
}

/* The timer goes on running while a request is carried: it only looks, when it fires, so that a
 * busy connection arms it once in a long while. */
static void look_at_idle(struct timer *timer, usec_t now)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);
    if (upstream->proxy != NULL) {
        return;
    }
    if (now < upstream->idle_until) {
        loop_arm(upstream->worker->loop, timer, upstream->idle_until);
    } else {
        drop_idle(upstream);
    }
}

static void upstream_ready(struct watch *watch, unsigned ready)
{
    struct upstream *upstream = CONTAINER_OF(watch, struct upstream, watch);
    if (upstream->proxy != NULL) {
        proxy_member_ready(upstream->proxy, ready);
        return;
    }
    /* The end of the connection, or bytes that nobody asked for. */
    counter_count(upstream->worker->counters, COUNTER_POOL_STALE);
    drop_idle(upstream);
}

static struct upstream *upstream_new(struct worker *worker, struct member *member, int fd)
{
    struct upstream *upstream = slab_calloc(&worker->upstream_memory);
    if (upstream == NULL) {
        return NULL;
    }
    upstream->pool = pool_get(worker->pools, member);
    if (upstream->pool == NULL) {
        slab_free(&worker->upstream_memory, upstream);
        return NULL;
    }
    transport_init_plain(&upstream->transport, fd);
    watch_init(&upstream->watch, fd, upstream_ready);
    timer_init(&upstream->timer, look_at_idle);
    upstream->worker = worker;
    upstream->member = member_ref(member);
    upstream->keeps_idle = USEC_NEVER;
    return upstream;
}

/* A connection to a port that nobody listens on may meet itself, when the port is one of those that
 * the system gives to clients (RFC 9293 3.5, simultaneous open). */
static bool met_itself(int fd, const struct address *member)
{
    enum { FIRST_CLIENT_PORT = 32768 };
    struct address here;
    return address_port(member) >= FIRST_CLIENT_PORT && socket_local_address(fd, &here) == 0 &&
           address_equal(&here, member);
}

int upstream_open(struct worker *worker, struct member *member, struct proxy *proxy,
                  struct upstream **upstream)
{
    int fd = socket_connect(&member->address, NULL, NULL);
    if (fd == -EMFILE && (worker_evict(worker) || pools_shed(worker->pools))) {
        fd = socket_connect(&member->address, NULL, NULL);
    }
    if (fd < 0) {
        return fd;
    }
    if (met_itself(fd, &member->address)) {
        close(fd);
        return -ECONNREFUSED;
    }
    struct upstream *opened = upstream_new(worker, member, fd);
    if (opened == NULL) {
        close(fd);
        return -ENOMEM;
    }
    opened->proxy = proxy;
    opened->pool->lent++;
    opened->started = worker_now(worker);
    counter_add(worker->counters, COUNTER_MEMBER_CONNECTIONS, 1);
    *upstream = opened;
    return 0;
}

/* Nothing to read, and not at its end. */
static bool is_quiet(const struct upstream *upstream)
{
    char byte;
    return recv(upstream->transport.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int upstream_take(struct worker *worker, struct member *member, struct proxy *proxy,
                  struct upstream **upstream)
{
    struct pool *pool = pool_find(worker->pools, member);
    while (pool != NULL && !upstream_list_is_empty(&pool->idle)) {
        struct upstream *idle = upstream_list_last(&pool->idle);
        if (!is_quiet(idle)) {
            counter_count(worker->counters, COUNTER_POOL_STALE);
            drop_idle(idle);
            continue;
        }
        leave_pool(idle);
        pool->lent++;
        idle->proxy = proxy;
        counter_count(worker->counters, COUNTER_POOL_HITS);
        *upstream = idle;
        return 0;
    }
    counter_count(worker->counters, COUNTER_POOL_MISSES);
    return upstream_open(worker, member, proxy, upstream);
}

int upstream_finish_connect(const struct upstream *upstream)
{
    return socket_connect_result(upstream->transport.fd);
}

int upstream_watch(struct upstream *upstream, unsigned interest)
{
    return upstream->watch.interest == interest
               ? 0
               : watch_set(upstream->worker->loop, &upstream->watch, interest);
}

/* A member that closes at its own time might do so while our next request is under way to it. So
 * we close first, with a margin for the way. */
static usec_t idle_time(const struct rules *rules, usec_t announced)
{
    usec_t longest = rules->member_idle;
    if (announced >= 0 && announced - announced / 4 < longest) {
        longest = announced - announced / 4;
    }
    return longest;
}

void upstream_give(struct upstream *upstream, bool is_reusable, usec_t announced)
{
    struct worker *worker = upstream->worker;
    struct pool *pool = upstream->pool;
    upstream->proxy = NULL;
    pool->lent--;
    if (announced >= 0) {
        upstream->keeps_idle = announced;
    }
    usec_t idle =
        idle_time(worker->rules, upstream->keeps_idle == USEC_NEVER ? -1 : upstream->keeps_idle);
    if (!is_reusable || worker->is_stopping || idle <= 0 ||
        upstream_list_count(&pool->idle) >= worker->rules->member_idle_connections ||
        member_health(upstream->member).wish == WISH_DISABLED ||
        upstream_watch(upstream, WATCH_READ) < 0) {
        upstream_close(upstream);
        return;
    }
    upstream->is_reused = true;
    upstream_list_push_back(&pool->idle, upstream);
    worker->pools->idle++;
    counter_add(worker->counters, COUNTER_POOLED, 1);
    upstream->idle_until = usec_add(worker_now(worker), idle);
    if (!timer_is_armed(&upstream->timer) || upstream->timer.deadline > upstream->idle_until) {
        loop_arm(worker->loop, &upstream->timer, upstream->idle_until);
    }
}

/* ---- All pools ---- */

size_t pools_idle(const struct pools *pools, const struct member *member)
{
    struct pool *pool = pool_find(pools, member);
    return pool == NULL ? 0 : upstream_list_count(&pool->idle);
}

size_t pools_idle_in_all(const struct pools *pools)
{
    return pools->idle;
}

static void empty_pool(struct pool *pool)
{
    while (!upstream_list_is_empty(&pool->idle)) {
        drop_idle(upstream_list_first(&pool->idle));
    }
}

/* Forget pools that hold and lend nothing, so that members that come and go for months leave
 * nothing behind. Without memory they stay until the next time. */
static void rebuild(struct pools *pools)
{
    struct pools fresh = {.capacity = pools->capacity, .idle = pools->idle};
    CHECK(fresh.capacity > 0);
    fresh.slots = calloc(fresh.capacity, sizeof(struct pool *));
    if (fresh.slots == NULL) {
        return;
    }
    for (size_t i = 0; i < pools->capacity; i++) {
        struct pool *pool = pools->slots[i];
        if (pool == NULL) {
            continue;
        }
        if (pool->lent == 0 && upstream_list_is_empty(&pool->idle)) {
            free(pool);
        } else {
            *slot_of(&fresh, pool->member_id) = pool;
            fresh.count++;
        }
    }
    free(pools->slots);
    *pools = fresh;
}

void pools_sweep(struct pools *pools, bool (*keep)(const struct member *member, void *context),
                 void *context)
{
    for (size_t i = 0; i < pools->capacity; i++) {
        struct pool *pool = pools->slots[i];
        if (pool != NULL && !upstream_list_is_empty(&pool->idle) &&
            !keep(upstream_list_first(&pool->idle)->member, context)) {
            empty_pool(pool);
        }
    }
    rebuild(pools);
}

bool pools_shed(struct pools *pools)
{
    for (size_t i = 0; i < pools->capacity; i++) {
        if (pools->slots[i] != NULL && !upstream_list_is_empty(&pools->slots[i]->idle)) {
            drop_idle(upstream_list_first(&pools->slots[i]->idle));
            return true;
        }
    }
    return false;
}

void pools_free(struct pools *pools)
{
    if (pools == NULL) {
        return;
    }
    for (size_t i = 0; i < pools->capacity; i++) {
        if (pools->slots[i] != NULL) {
            empty_pool(pools->slots[i]);
            free(pools->slots[i]);
        }
    }
    free(pools->slots);
    free(pools);
}
