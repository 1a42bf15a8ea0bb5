/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker is made of, for the files that run on its thread: proxies, upstreams, listeners. */
#ifndef PORTICO_BALANCER_WORKER_INTERNAL_H
#define PORTICO_BALANCER_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "accesslog.h"
#include "address_counts.h"
#include "base/list.h"
#include "base/slab.h"
#include "exchange.h"
#include "net/socket.h"
#include "net/tls_context.h"
#include "net/tls_tickets.h"
#include "proxy.h"
#include "range.h"
#include "rules.h"
#include "splice.h"
#include "upstream.h"
#include "worker.h"

LIST_DECLARE(proxy_list, struct proxy, link);     /* all */
LIST_DECLARE(turn_list, struct proxy, turn_link); /* idle, or waiting for a member */

struct listener {
    struct watch watch;
    struct timer pause; /* armed: out of descriptors, look again then */
    struct worker *worker;
    unsigned burst; /* how many to accept in one go */
    bool is_tls;
    bool is_passed; /* systemd has the socket, too, for who comes after us */
    bool is_open;
};

/* What all workers share and write. Each counter has its own cache line. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): that is what it is padded for. */
struct shared {
    _Alignas(64) atomic_uint connections;
    _Alignas(64) atomic_uint queued; /* requests that wait for a member, in all workers */
    _Alignas(64) atomic_uint_least64_t ticket;
    struct worker **workers; /* constant while they run */
    unsigned worker_count;
    struct task *ended; /* posted to `control` when a worker has ended */
    struct loop *control;
    struct address_counts *addresses;
    struct accesslog *accesslog;
    struct counters *counters;
    uint64_t id_seed; /* what makes request ids of this process its own */
    char via[32];     /* our name in Via, unique to this process */
};

/* Plain values that replace those of a worker. The references are handed over. */
struct worker_update {
    struct rules *rules;
    struct range *range;
    struct tls_context *tls; /* NULL: no TLS */
};

struct worker {
    pthread_t thread;
    bool has_thread;
    atomic_bool has_ended; /* its loop: it hears nothing more */
    unsigned number;
    struct loop *loop;
    struct shared *shared;

    struct rules *rules;
    struct range *range;
    struct tls_context *tls;
    usec_t without_member; /* since when no member can be used; 0: one can */

    struct listener listeners[2]; /* plain, TLS */
    struct fd_reserve reserve;

    struct slab_pool proxy_memory, upstream_memory;
    struct proxy_list proxies;
    struct turn_list idle;  /* between requests, longest first */
    struct turn_list queue; /* waiting for a member, longest first */
    struct exchange_pool exchanges;
    struct pools *pools;
    struct pipe_pool pipes;
    struct counter_shard *counters;
    struct accesslog_shard *log;
    struct recent *recent;

    uint64_t connections_made; /* for ids */
    uint64_t requests_made;
    uint64_t random; /* state of the generator for jitter; not for secrets */
    bool is_stopping;
    usec_t wall_offset; /* wall minus monotonic, read once in a while */
    usec_t wall_read;

    struct task update_task, stop_task, wake_task, abort_task, trim_task;
    usec_t asked;              /* when it was asked to trim and had nothing open; control thread */
    atomic_bool has_to_answer; /* it did not come to that yet */
    _Atomic(struct worker_update *) update;
};

/* ---- For the balancer, on the control thread ---- */

/* With references to what `update` holds; without a thread. NULL with words. */
struct worker *worker_new(unsigned number, struct shared *shared,
                          const struct worker_update *update, struct error *error);
/* A worker whose thread was joined, or never started. NULL is fine. */
void worker_free(struct worker *worker);

/* Accept on `fd`, which is taken, once it runs. 0 or a negative errno. */
MUST_CHECK int worker_listen(struct worker *worker, int fd, bool is_tls);
MUST_CHECK int worker_start(struct worker *worker);
void worker_join(struct worker *worker);

/* Have it go on with other rules, members and certificates, whose references are handed over with
 * `update` itself (from malloc). */
void worker_post_update(struct worker *worker, struct worker_update *update);
/* Have it accept no more, finish what it has, and end. */
void worker_post_stop(struct worker *worker);
/* Have it end at once. */
void worker_post_abort(struct worker *worker);
/* Members may have room, or be back: those who wait try again. */
void worker_post_wake(struct worker *worker);

/* Have it free what it kept for requests that did not come, and show by that that it gets on. */
void worker_post_trim(struct worker *worker);
/* For how long it has not come to what worker_post_trim() asked; 0: nothing is open. */
usec_t worker_silence(const struct worker *worker, usec_t now);

void worker_update_free(struct worker_update *update);

/* ---- For its own files, on its thread ---- */

/* A client connection has ended. */
void shared_connection_gone(struct shared *shared, struct counted_address counted);

/* Monotonic, of this turn. */
static inline usec_t worker_now(const struct worker *worker)
{
    return loop_now(worker->loop);
}

/* Microseconds since the epoch; at most a second late after the clock was set. */
usec_t worker_wall(struct worker *worker);

/* Unique in this process, and unlikely to be made by another one. */
uint64_t worker_request_id(struct worker *worker);

/* An even spread over 0..`below`-1. */
uint64_t worker_random(struct worker *worker, uint64_t below);

/* A member has room, or there is a new one: those who wait try again, here and elsewhere. */
void worker_room_made(struct worker *worker);

/* Closes the idle connection that has waited longest. False when there is none. */
bool worker_evict(struct worker *worker);

/* A proxy ended: perhaps this was the last thing to wait for. */
void worker_proxy_gone(struct worker *worker);

#endif
