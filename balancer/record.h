/* SPDX-License-Identifier: Apache-2.0 */
/* How one request went: what the proxy tells the access log, the metrics, `errors` and `explain`
 * when it is over. A plain value with views; those who keep it copy. */
#ifndef PORTICO_BALANCER_RECORD_H
#define PORTICO_BALANCER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/address.h"
#include "reason.h"

struct member;

enum { REQUEST_ID_SIZE = 65 }; /* with its NUL */

struct record {
    const char *request_id; /* NUL-terminated, visible ASCII without quotes; "" when the request was
                             * refused before it got one */
    usec_t wall;            /* when it ended, microseconds since the epoch */
    const struct address *peer; /* who is connected to us */
    struct str client;          /* who the client is after trusted proxies were believed: text of an
                                 * address */
    uint64_t connection;        /* number of the connection in this process */
    struct str method, target, host; /* empty: not understood. Any byte that a URI may hold */
    struct str user_agent, referer;
    uint8_t minor; /* of the client's HTTP version */
    bool is_tls;
    bool is_reused;     /* the client's connection carried a request before */
    unsigned status;    /* 0: nothing was answered */
    enum reason reason; /* REASON_NONE: the member's answer was relayed to its end */
    uint32_t offset;    /* of the byte that made us refuse, when `reason` is the parser's */
    const struct member *member; /* the last one that was tried; NULL: none */
    uint32_t retries;
    uint64_t bytes_in, bytes_out; /* on the client's connection, heads included */
    /* Phases in microseconds, 0 for those that were not reached: receiving the request, waiting for
     * a member with room, connecting (0 on a kept connection), until the answer's first byte. */
    usec_t receive, queue, connect, wait, total;
};

#endif
