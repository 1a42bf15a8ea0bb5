/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c (exchanges, connections, sending) and client_receive.c share. */
#ifndef PORTICO_FLOOD_CLIENT_INTERNAL_H
#define PORTICO_FLOOD_CLIENT_INTERNAL_H

#include "base/buffer.h"
#include "client.h"
#include "net/http1_chunked.h"
#include "net/loop.h"
#include "net/transport.h"

enum {
    FIELDS_MAX = 64,
    SCRATCH_BYTES = 64 * 1024,
    HEAD_MAX = 32 * 1024,
};
/* How often a slow line carries something. */
#define PACE_STEP (20 * USEC_PER_MSEC)

enum phase { PHASE_SEND, PHASE_HEAD, PHASE_BODY, PHASE_IDLE, PHASE_CLOSED };

struct connection {
    struct transport transport;
    struct watch watch;
    struct timer pace;
    struct garbage garbage;
    struct list_link link; /* idle, or busy */
    struct client *client;
    struct exchange *exchange; /* NULL: idle */
    enum phase phase;
    unsigned uses;
    bool has_session;  /* TLS: what it may be resumed with was taken */
    size_t sent;       /* bytes of head and body */
    int64_t allowance; /* bytes that a slow line may carry now */
    struct buffer in;  /* of an answer that did not come at once */
    struct buffer chunks;
    size_t head_bytes;
    struct http1_response response;
    struct http1_chunked chunked;
    struct http1_field fields[FIELDS_MAX];
};

LIST_DECLARE(connection_list, struct connection, link);
LIST_DECLARE(exchange_list, struct exchange, link);

struct client {
    struct client_options options;
    struct client_counters counters;
    struct connection_list idle, busy;
    struct exchange_list waiting;
    struct tls_session *session; /* owned; newest one to resume */
    char scratch[SCRATCH_BYTES];
};

struct loop *connection_loop(const struct connection *connection);
void connection_close(struct connection *connection);
void connection_take_session(struct connection *connection);
bool connection_has_answer(const struct connection *connection);

/* What losing it now is. */
enum fault connection_fault(const struct connection *connection);
/* End its exchange, with that fault or with the whole answer; the latter keeps the connection where
 * it can be kept. */
void connection_lose(struct connection *connection, enum fault fault);
void connection_complete(struct connection *connection, struct str body, bool is_kept);

/* How much of `size` its line may carry now. */
size_t connection_allowed(const struct connection *connection, size_t size);
void connection_wait_for(struct connection *connection, unsigned interest);
/* A slow line has carried what it may: go on when the pace allows. */
void connection_rest(struct connection *connection);

void connection_receive(struct connection *connection);
/* Nothing may come on an idle connection but its end. */
void connection_read_idle(struct connection *connection);

#endif
