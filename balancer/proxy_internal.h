/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the proxy share: proxy.c (states), proxy_request.c (the client's side),
 * proxy_member.c (choosing, sending, failing), proxy_answer.c (the way back), proxy_reply.c (our
 * own answers, and the account of each request). */
#ifndef PORTICO_BALANCER_PROXY_INTERNAL_H
#define PORTICO_BALANCER_PROXY_INTERNAL_H

#include "exchange.h"
#include "proxy.h"
#include "worker_internal.h"

enum proxy_state {
#define STATE(id, name, from, client, member, expired) PROXY_##id,
#include "proxy_states.def"
#undef STATE
    PROXY_STATE_COUNT
};

/* ---- proxy.c ---- */

/* Go to `state`: sets its deadline, keeps the lists, traces. */
void proxy_enter(struct proxy *proxy, enum proxy_state state);

/* The peer made progress: count the state's time anew. */
void proxy_extend(struct proxy *proxy);

/* The only way to end. Tells about the request in hand with `reason`, unless that was done. */
void proxy_close(struct proxy *proxy, enum reason reason);

/* Wait for the client: WATCH_*. False: there is no memory for that, and the proxy was closed. */
bool proxy_watch(struct proxy *proxy, unsigned interest);

/* Wait until more can be read, as the transport needs it. */
bool proxy_watch_more(struct proxy *proxy);

/* The connection itself is up: a TLS handshake, or the first request. */
void proxy_begin(struct proxy *proxy);

void proxy_peer_address(const struct proxy *proxy, struct address *address);

/* Take up what lies in the input already: the head that is being read, and requests behind it, one
 * after the other. */
void proxy_drive(struct proxy *proxy);

static inline bool proxy_is(const struct proxy *proxy, enum proxy_state state)
{
    return proxy->state == state;
}

/* ---- Handlers of states ---- */

void proxy_handshake(struct proxy *proxy);
void proxy_read_origin(struct proxy *proxy);
void proxy_read_head(struct proxy *proxy);
void proxy_read_body(struct proxy *proxy);
void proxy_client_meanwhile(struct proxy *proxy);
void proxy_connected(struct proxy *proxy, unsigned ready);
void proxy_stream_body(struct proxy *proxy);
void proxy_sending(struct proxy *proxy, unsigned ready);
void proxy_read_answer(struct proxy *proxy, unsigned ready);
void proxy_relay_client(struct proxy *proxy);
void proxy_flush(struct proxy *proxy);
void proxy_linger(struct proxy *proxy);

/* ---- proxy_request.c ---- */

/* Understand what is in the input: IDLE or READ_HEAD. */
void proxy_continue_head(struct proxy *proxy);

void proxy_continue_body(struct proxy *proxy);

/* The piece of a streamed body was sent: make the next one, reading from the client. False: it has
 * to be waited for, or the proxy went elsewhere. */
MUST_CHECK bool proxy_next_piece(struct proxy *proxy);

/* Nothing was read and nothing is in hand: an idle connection needs no exchange. */
void proxy_rest(struct proxy *proxy);

/* ---- proxy_member.c ---- */

/* Find a member for the request in hand and send it, or wait, or refuse. */
void proxy_choose(struct proxy *proxy);

/* Whether it makes sense to ask the client for its body. False: it was refused. */
MUST_CHECK bool proxy_is_admitted(struct proxy *proxy);

/* Send what there is, and read more of a streamed body, until one side has to be waited for. */
void proxy_pump(struct proxy *proxy);

/* Work out the framing of the piece that is in the input. */
void proxy_frame_piece(struct exchange *exchange);
size_t proxy_piece_bytes(const struct exchange *exchange);

/* The member in hand failed before it answered: another one, or the client is told `reason`. */
void proxy_member_failed(struct proxy *proxy, enum outcome outcome, enum reason reason);

/* The member is about to leave and did not take the request: have another one do it. False: none
 * can be given it any more. */
bool proxy_was_turned_away(struct proxy *proxy);

/* Give the member's connection back. */
void proxy_leave_member(struct proxy *proxy, enum outcome outcome, bool is_reusable);

/* ---- proxy_reply.c ---- */

/* Answer for ourselves, once, and end the connection. `offset` is of the byte that was wrong. */
void proxy_refuse(struct proxy *proxy, enum reason reason, size_t offset);

/* Answer 200 with nothing: OPTIONS to ourselves (RFC 9110 9.3.7). */
void proxy_reply_options(struct proxy *proxy);

/* The answer was taken by the client as a whole: the next request, or the end. */
void proxy_finish(struct proxy *proxy);

/* Tell log, metrics and memory how the request in hand went. */
void proxy_record(struct proxy *proxy, enum reason reason, size_t offset);

/* Write what waits in `out`. IO_OK: all of it. */
MUST_CHECK enum io proxy_write_out(struct proxy *proxy);

#endif
