/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy: the balancer's conversation for one client connection, a state machine over the states
 * of proxy_states.def. It owns the client's side and borrows a connection to a member while it has
 * a request in hand. The worker's thread; it frees itself. */
#ifndef PORTICO_BALANCER_PROXY_H
#define PORTICO_BALANCER_PROXY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "address_counts.h"
#include "base/list.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/transport.h"
#include "reason.h"

struct exchange;
struct proxy_summary; /* worker.h */
struct worker;

struct proxy {
    uint32_t magic;
    uint8_t state; /* only proxy_enter() assigns it */
    bool is_tls : 1;
    bool is_half_closed : 1; /* the client will send nothing more */
    bool is_driving : 1;     /* proxy_drive() is on the stack */
    bool is_recorded : 1;    /* the request in hand was told about */
    bool has_peer_ip : 1;
    uint16_t peer_port;
    uint32_t requests; /* begun on this connection */
    struct transport transport;
    struct watch watch;
    struct timer timer;
    usec_t deadline; /* of the state; the timer may fire earlier and look */
    usec_t accepted, entered;
    struct worker *worker;
    struct exchange *exchange; /* NULL: no request in hand */
    uint64_t id;
    struct ip peer; /* who is connected to us, or who a trusted PROXY header says it is */
    struct counted_address counted;
    struct list_link link;
    union {
        struct list_link turn_link; /* among the idle or the queued */
        struct garbage garbage;     /* once it is closed */
    };
};

/* An idle connection costs this much, and what the heap adds, and nothing else. */
static_assert(sizeof(struct proxy) <= 232, "idle connections are many");

/* Converse on `fd`, which is taken, as is its place in the counts of connections. May have read,
 * relayed and closed before it returns. */
void proxy_start(struct worker *worker, int fd, const struct address *peer, bool is_tls,
                 struct counted_address counted);

/* The member's side is ready. */
void proxy_member_ready(struct proxy *proxy, unsigned ready);

/* A queued one: try again to get a member. False: there is still none; it waits on. */
bool proxy_try_member(struct proxy *proxy);

/* End it when it is between requests; else let it end with the answer in hand. */
void proxy_finish_up(struct proxy *proxy);

/* End it now. */
void proxy_abort(struct proxy *proxy, enum reason reason);

/* `peer` holds what the summary points to. */
void proxy_summarise(const struct proxy *proxy, struct proxy_summary *summary,
                     struct address *peer);

#endif
