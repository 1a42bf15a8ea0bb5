/* SPDX-License-Identifier: Apache-2.0 */
/* From leased requests to the bytes of an answer (protocol section 8). Any thread, each with its
 * own tools. */
#ifndef PORTICO_FRONTEND_HANDOUT_H
#define PORTICO_FRONTEND_HANDOUT_H

#include "base/buffer.h"
#include "base/compiler.h"
#include "store/store.h"
#include "wire/name.h"
#include "wire/session.h"

struct wire_tools;

struct handout {
    const struct store_request *requests; /* a list; NULL: nothing for the agent */
    const struct client_id *client;
    uint64_t nonce; /* the poll's timestamp, or our clock when it had none */
    usec_t now;     /* wall clock */
};

/* Append the whole packet to `out`. How many requests it carries, or -ENOBUFS, -ENOMEM, -EIO. */
MUST_CHECK int handout_write(struct wire_tools *tools, const struct sealing *sealing,
                             const struct handout *handout, struct buffer *out);

#endif
