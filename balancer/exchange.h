/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one request and its answer. A connection has one only while it has a request in
 * hand, so idle connections cost next to nothing; a worker keeps some for the next requests, so a
 * busy one allocates nothing. The worker's thread. */
#ifndef PORTICO_BALANCER_EXCHANGE_H
#define PORTICO_BALANCER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "net/http1.h"
#include "net/http1_chunked.h"
#include "net/http1_write.h"
#include "range.h"
#include "reader.h"
#include "record.h"
#include "rules.h"
#include "splice.h"

struct upstream;

/* How the body of the request travels. */
enum body_way {
    BODY_WHOLE,  /* none, or all of it was read before a member was chosen */
    BODY_STREAM, /* it is passed on as it comes */
};

struct exchange {
    struct exchange *next; /* among the spare ones */

    /* From the client: the head as it came, then the body without its framing, then bytes that were
     * not looked at yet. */
    struct buffer input;
    size_t head_bytes; /* 0: the head is not whole yet */
    size_t body_bytes; /* of the body that are in `input` now */
    size_t raw_at;     /* offset in `input` of what was not looked at */

    /* To the member: the head, in canonical form. Its method and target are what logs show. */
    struct buffer head;
    /* What is being sent: the head, unless that is done, and a piece of the body (all of it, when
     * it was read whole), framed when it goes out chunked. */
    bool is_head_sent;
    uint8_t prefix_len;
    char prefix[HTTP1_CHUNK_HEAD_MAX];
    struct str suffix;
    size_t sent; /* of these together */

    struct buffer answer; /* from the member, not passed on yet */
    struct buffer out;    /* to the client, not taken yet */

    struct http1_field *fields; /* of the head that is being read, limits.fields of them; owned */
    struct http1_limits limits; /* of the request; those of the answer have as many fields */
    struct http1_limits answer_limits;
    size_t buffer_bytes; /* larger bodies are streamed */
    struct http1_request request;
    struct http1_response response;
    struct http1_chunked chunked_in, chunked_out; /* decoders: the client's, the member's */
    uint64_t body_left;      /* of a body with a length: what has not been read from the client */
    uint64_t body_taken;     /* what was, framing aside */
    uint64_t answer_left;    /* of an answer with a length: what has not come from the member */
    uint64_t answer_relayed; /* bytes of the answer's body that came */

    enum body_way way;
    bool body_done;       /* the client's body was read to its end */
    bool answers_chunked; /* to the client */
    bool may_repeat;      /* although a member may have acted on it */
    bool was_delivered;   /* some bytes of it may have reached a member */
    bool is_answered;     /* the head of a final answer was begun */
    bool closes;          /* the client's connection ends with this answer */
    bool wrote_continue;
    bool is_early;       /* the answer came before the request was read, or sent, to its end */
    enum reason reason;  /* of our own answer; REASON_NONE: a member's */
    size_t offset;       /* of the byte that was refused */
    unsigned own_status; /* of our own answer; 0: there is none */
    size_t lingered;     /* bytes discarded before closing */
    uint8_t interim;     /* 1xx answers so far */
    bool wants_fresh;    /* a kept connection failed it: no other one is tried */
    bool write_failed;   /* the member takes nothing more, but may have answered */
    uint8_t retries;
    enum reason last_failure;

    struct pipe pipe;          /* for large bodies; has no descriptors until one is needed */
    struct upstream *upstream; /* NULL: no member in hand */
    struct tried tried;

    /* Times, monotonic; 0: not reached. */
    usec_t began, received, queued, asked, answered;
    usec_t queue_time, connect_time; /* lengths, over all attempts */
    uint64_t bytes_in, bytes_out;
    struct reader reader;  /* how the client takes its answer */
    struct member *member; /* the last one that was chosen: a reference, or NULL */
    char request_id[REQUEST_ID_SIZE];
    char client[ADDRESS_TEXT_SIZE + 160]; /* text of X-Forwarded-For, whose last part is the peer */
    struct str client_name;               /* the first address in it: who the client is */
};

struct exchange_pool {
    struct exchange *spare;
    unsigned count;
    unsigned unused; /* the least that were spare since exchange_pool_trim() */
};

/* One that is empty and follows `rules`. NULL: no memory. */
struct exchange *exchange_take(struct exchange_pool *pool, const struct rules *rules);
void exchange_give(struct exchange_pool *pool, struct exchange *exchange);
/* Free those that nobody needed since the last call. */
void exchange_pool_trim(struct exchange_pool *pool);
void exchange_pool_done(struct exchange_pool *pool);

/* Make the input ready for the next request of the connection; what was read of it stays. */
void exchange_next(struct exchange *exchange, const struct rules *rules);

/* Room in `input` for at least `n` more bytes; views into the head follow when it moves.
 * 0, -ENOBUFS (over what a head and a buffered body may have) or -ENOMEM. */
MUST_CHECK int exchange_reserve_input(struct exchange *exchange, size_t n);

/* What was read and not looked at. */
static inline struct str exchange_raw(const struct exchange *exchange)
{
    return str_skip(buffer_view(&exchange->input), exchange->raw_at);
}

/* What is to be sent of the body, from `input`. */
static inline struct str exchange_body(const struct exchange *exchange)
{
    return str_first(str_skip(buffer_view(&exchange->input), exchange->head_bytes),
                     exchange->body_bytes);
}

#endif
