/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding, received (RFC 9112 7.1). Finds the data between the framing, checks
 * every byte of the framing, drops extensions and trailers. Pure like the head parser: no memory of
 * its own, views into the caller's bytes; each byte is looked at once, however it drips in. */
#ifndef PORTICO_NET_HTTP1_CHUNKED_H
#define PORTICO_NET_HTTP1_CHUNKED_H

#include "net/http1.h"

struct http1_chunked_limits {
    uint64_t body_bytes;      /* of data; UINT64_MAX: no limit */
    uint32_t extension_bytes; /* behind one chunk size */
    uint32_t trailer_bytes;   /* all trailer fields */
    uint32_t free_overhead;   /* framing that is fine however little data there is; beyond that at
                               * most 16 bytes of framing for one of data */
};

#define HTTP1_CHUNKED_LIMITS_DEFAULT                          \
    ((struct http1_chunked_limits){.body_bytes = UINT64_MAX,  \
                                   .extension_bytes = 256,    \
                                   .trailer_bytes = 8 * 1024, \
                                   .free_overhead = 16 * 1024})

struct http1_chunked {
    uint64_t left;          /* data of this chunk that has not come */
    uint64_t data_bytes;    /* data announced by the chunk sizes so far */
    uint64_t framing_bytes; /* everything else so far */
    uint32_t part_bytes;    /* of this extension, or of the trailers */
    uint8_t digits;         /* of this chunk size */
    uint8_t state;
};

void http1_chunked_init(struct http1_chunked *chunked);

/* Go on with the bytes behind those consumed so far. Stops after each stretch of data, so call it
 * until it returns 0 or the body is done.
 *
 * Bytes consumed; *data is the stretch of data among them, a view, possibly empty. 0: all of
 * `input` is used up, or the body is done. -EBADMSG: *refusal says why; its offset counts from the
 * start of `input`; *data is untouched. */
MUST_CHECK ssize_t http1_chunked_decode(struct http1_chunked *chunked,
                                        const struct http1_chunked_limits *limits, struct str input,
                                        struct str *data, struct http1_refusal *refusal);

/* The last chunk and the trailers have come; what follows is another message. */
bool http1_chunked_is_done(const struct http1_chunked *chunked);

#endif
