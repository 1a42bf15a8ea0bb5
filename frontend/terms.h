/* SPDX-License-Identifier: Apache-2.0 */
/* The terms under which polls are answered: keys, limits and policies of one configuration. They
 * never change; a reload makes others. Each poll keeps the terms it began with, so they are
 * counted. Any thread. */
#ifndef PORTICO_FRONTEND_TERMS_H
#define PORTICO_FRONTEND_TERMS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "identity.h"
#include "net/address.h"
#include "reply.h"
#include "wire/packet.h"

struct config;
struct session_cache;

enum enrolment_policy { ENROLMENT_OPEN, ENROLMENT_APPROVE, ENROLMENT_CLOSED };

struct terms {
    atomic_uint references;
    bool is_verbose; /* a line for each poll */
    uint64_t max_body;
    struct packet_limits packet_limits;
    unsigned max_queue_size;
    usec_t lease_time;
    unsigned max_deliveries;
    enum enrolment_policy enrolment;
    struct network *trusted; /* owned: whose X-Forwarded-For counts */
    size_t trusted_count;
    struct identity identity;
    struct replies *replies;
    struct session_cache *sessions; /* counted; NULL: RSA for every poll, but they are served */
};

/* `previous` (NULL: these are the first) lends the session cache when the server is still the same
 * to agents. `meter` is borrowed for good. The caller holds the first reference.
 *
 * 0; -EINVAL: a key or certificate cannot be used, or agents that know the previous certificate
 * would refuse the new one for its serial number; -ENOMEM; all with words. */
MUST_CHECK int terms_new(const struct config *config, bool is_verbose, const struct terms *previous,
                         struct rsa_meter *meter, struct terms **terms, struct error *error);

struct terms *terms_ref(struct terms *terms);
/* NULL is fine. */
void terms_unref(struct terms *terms);

#endif
