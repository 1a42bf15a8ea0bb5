/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads, written in the one canonical form: what was understood, never what was received.
 * A reader cannot frame the message otherwise than we did: one Host, one length, single spaces,
 * CRLF. Pure functions into the caller's memory; any thread. */
#ifndef PORTICO_NET_HTTP1_WRITE_H
#define PORTICO_NET_HTTP1_WRITE_H

#include "net/http1.h"

struct http1_extra {
    struct str name;
    struct str value;
};

enum http1_connection {
    HTTP1_CONNECTION_DEFAULT,    /* no Connection field: it stays open between 1.1 peers */
    HTTP1_CONNECTION_CLOSE,      /* Connection: close */
    HTTP1_CONNECTION_KEEP_ALIVE, /* Connection: keep-alive, for 1.0 clients that asked for it */
};

/* What the writer changes. Hop-by-hop fields, names with underscores and framing never pass as they
 * came; the rest passes in its order unless a flag in `drop` names it. */
struct http1_rewrite {
    unsigned drop;           /* more enum http1_field_flags to leave out, HTTP1_FORWARDED_BY say */
    struct str default_host; /* for a request that has no Host */
    const struct http1_extra *extras; /* written behind the fields that pass */
    size_t extra_count;
    enum http1_framing framing; /* how the body follows this time; UNTIL_CLOSE writes no length */
    uint64_t body_bytes;        /* with HTTP1_BODY_LENGTH */
    enum http1_connection connection;
};

/* Write a request head: always HTTP/1.1, origin form, Max-Forwards of OPTIONS one less.
 *
 * Bytes written, not terminated. -ENOBUFS: `size` does not suffice. -EINVAL: an extra is no valid
 * field (a name that is no token, a control character in a value), or there is no host at all. */
MUST_CHECK ssize_t http1_write_request(char *out, size_t size, const struct http1_request *request,
                                       const struct http1_rewrite *rewrite);

/* Write a response head: always HTTP/1.1. With HTTP1_BODY_NONE the received Content-Length of an
 * answer to HEAD and of a 304 passes on: it tells what a GET would get (RFC 9110 8.6). A response
 * of one's own is a struct http1_response with `status` and `phrase` and no fields. Results as
 * above. */
MUST_CHECK ssize_t http1_write_response(char *out, size_t size,
                                        const struct http1_response *response,
                                        const struct http1_rewrite *rewrite);

enum { HTTP1_CHUNK_HEAD_MAX = 16 + 2 };

/* What goes before a chunk of `bytes` (not 0) of data: its size and CRLF. Behind the data goes
 * CRLF. Bytes written. */
size_t http1_write_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], uint64_t bytes);

/* Ends a chunked body, without trailers. */
#define HTTP1_LAST_CHUNK STR("0\r\n\r\n")

/* The usual phrase for a status, "Unknown" for others. */
struct str http1_phrase(unsigned status);

#endif
