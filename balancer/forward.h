/* SPDX-License-Identifier: Apache-2.0 */
/* What a member is told about the client: X-Forwarded-For, X-Forwarded-Proto, X-Request-Id and Via.
 * Believed only from trusted peers, and then checked all the same. The worker's thread. */
#ifndef PORTICO_BALANCER_FORWARD_H
#define PORTICO_BALANCER_FORWARD_H

#include "base/compiler.h"
#include "exchange.h"
#include "rules.h"

/* Who speaks to us, and who we are. */
struct forward_context {
    const struct rules *rules;
    struct ip peer;
    bool is_tls;
    const char *via;     /* our name in Via */
    uint64_t request_id; /* used unless a trusted peer brings one */
};

enum { FORWARD_EXTRAS = 16 };

/* Work out the fields for the request in `exchange`, and who its client is. The texts live in
 * `exchange` and in the request. How many there are. */
size_t forward_fields(const struct forward_context *context, struct exchange *exchange,
                      struct http1_extra extras[FORWARD_EXTRAS]);

/* The request has been here before: it carries our own name (RFC 9110 7.6.3). */
bool forward_is_loop(const struct http1_head *head, const char *via);

#endif
