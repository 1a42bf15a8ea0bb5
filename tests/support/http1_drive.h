/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds the HTTP/1.1 parser as a connection would: heads and bodies, message after message, however
 * the bytes are cut. Each feed is fresh memory that ends flush against an unreadable page. */
#ifndef PORTICO_TESTS_HTTP1_DRIVE_H
#define PORTICO_TESTS_HTTP1_DRIVE_H

#include "base/buffer.h"
#include "net/http1.h"
#include "net/http1_chunked.h"

enum drive_state {
    DRIVE_HEAD,        /* between messages, or within a head */
    DRIVE_BODY,        /* within a body of known length */
    DRIVE_CHUNKED,     /* within a chunked body */
    DRIVE_UNTIL_CLOSE, /* within a body that ends with the connection */
    DRIVE_CLOSED,      /* the last message said that the connection ends */
    DRIVE_REFUSED,
};

struct drive {
    bool responses; /* reads responses, else requests */
    enum http1_method method;
    struct http1_limits limits;
    struct http1_chunked_limits chunked_limits;
    struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    struct http1_request request;
    struct http1_response response;
    struct http1_chunked chunked;

    enum drive_state state;
    size_t used;                  /* bytes of the stream that are dealt with */
    uint64_t left;                /* of a body of known length */
    unsigned messages;            /* heads understood */
    struct buffer bodies;         /* all body bytes, one message behind the other */
    struct http1_refusal refusal; /* offset: from the start of the stream */
};

void drive_init(struct drive *drive, bool responses, enum http1_method method);
void drive_done(struct drive *drive);

/* `stream` is all that has come so far, from the first byte on. */
void drive_feed(struct drive *drive, struct str stream);

/* Whether the stream may end here: between messages or where closing ends the body. */
bool drive_may_end(const struct drive *drive);

#endif
