/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration means for relaying: numbers and lists that the relay path reads without
 * looking anything up. Made whole, then constant; shared and counted, any thread. */
#ifndef PORTICO_BALANCER_RULES_H
#define PORTICO_BALANCER_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "config/config.h"
#include "net/address.h"
#include "net/http1.h"

struct rules {
    struct http1_limits request_limits;
    struct http1_limits response_limits;
    size_t buffer_bytes;     /* bodies up to this are read whole before a member is chosen */
    uint64_t max_body_bytes; /* UINT64_MAX: no limit */
    uint64_t body_min_rate;  /* bytes per second; 0: any */

    /* Lengths of time. */
    usec_t first_byte, head, body, tls, queue, connect, response, write, idle, drain;
    usec_t member_idle, retry_after, refusal_delay, eject;

    unsigned max_connections, max_connections_per_address;
    unsigned member_in_flight, member_idle_connections, queue_size;
    unsigned eject_failures;
    bool proxy_protocol;
    bool logs_access;        /* somebody wants to know user agents and the like */
    struct str default_host; /* for HTTP/1.0 requests without Host; of `config` */

    struct network *trusted; /* owned */
    size_t trusted_count;
    struct option_list repeat_paths; /* of `config` */
    struct config *config;           /* a reference */

    atomic_uint refs;
};

/* The rules of `config`, of which a reference is taken. NULL with words. */
struct rules *rules_new(struct config *config, struct error *error);
struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules);

/* Whether what this peer says about others may be believed. */
bool rules_trust(const struct rules *rules, const struct ip *ip);

/* Whether a request may be sent to a member again although another one may have acted on it:
 * because of its method (RFC 9110 9.2.2), or because its path ends in one of
 * Balancer.repeat_paths. */
bool rules_may_repeat(const struct rules *rules, enum http1_method method, struct str target);

#endif
