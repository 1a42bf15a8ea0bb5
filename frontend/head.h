/* SPDX-License-Identifier: Apache-2.0 */
/* A second look at every request head. libmicrohttpd 0.9.75 reads leniently: it takes the first of
 * several Content-Length fields, ignores codings that it does not know, and joins folded lines;
 * behind a proxy that keeps connections, each of these is a way to smuggle requests. What cannot be
 * told apart any more once it is parsed (bare LF) is only met by listening on loopback, behind a
 * strict balancer. Pure but for reading the connection. */
#ifndef PORTICO_FRONTEND_HEAD_H
#define PORTICO_FRONTEND_HEAD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "reply.h"

enum { HEAD_FORWARDED_MAX = 8 };

struct head {
    bool has_length;
    uint64_t length; /* of the body */
    /* X-Forwarded-For, in their order; of too many the last ones, which are of the nearest. */
    struct str forwarded_for[HEAD_FORWARDED_MAX];
    unsigned forwarded_count;
};

/* REASON_NONE and *head, whose views live as long as the request; or why it is refused: the
 * connection must end then. */
enum reason head_check(struct MHD_Connection *connection, struct head *head);

#endif
