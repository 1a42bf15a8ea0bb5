/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2, received: the line or block with which a proxy in front of
 * us begins a connection, to say who the client is. Pure; any thread. */
#ifndef PORTICO_BALANCER_PROXY_PROTOCOL_H
#define PORTICO_BALANCER_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/str.h"
#include "net/address.h"

enum {
    PROXY_PROTOCOL_V1_MAX = 107, /* its CR LF included */
    PROXY_PROTOCOL_V2_MAX = 4096,
};

struct proxy_header {
    /* False: the proxy speaks for itself (a health check) or does not know the client; who is
     * connected counts, and the addresses are empty. */
    bool has_client;
    struct address client, server; /* as the proxy saw them */
};

/* Read a header from the front of `input`. Type-length-values are checked and skipped; a checksum
 * among them is not verified, as TCP has its own. Unix sockets have no client.
 *
 * The header's length in bytes. 0: more bytes are needed; call again with the same bytes and more
 * behind them. -EBADMSG: this is none, and nothing behind it can be understood; told at the first
 * byte that cannot be right. *header is untouched unless the result is positive. */
MUST_CHECK ssize_t proxy_protocol_parse(struct str input, struct proxy_header *header);

#endif
