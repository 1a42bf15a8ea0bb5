/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, as they come. The loop's thread. */
#include <errno.h>

#include "client_internal.h"

enum { READ_STEP = 256 * 1024 };

static const struct http1_limits limits = {
    .head_bytes = HEAD_MAX, .name_bytes = 256, .fields = FIELDS_MAX};

/* What came of a chunked body, in `in`. */
static void take_chunks(struct connection *connection)
{
    struct http1_refusal refusal;
    struct str data;
    ssize_t n;
    while ((n = http1_chunked_decode(&connection->chunked, &HTTP1_CHUNKED_LIMITS_DEFAULT,
                                     buffer_view(&connection->in), &data, &refusal)) > 0) {
        if (data.len > 0 && buffer_append(&connection->chunks, data) < 0) {
            connection_lose(connection, FAULT_TOO_LARGE);
            return;
        }
        buffer_consume(&connection->in, (size_t)n);
    }
    if (n < 0) {
        connection_lose(connection, FAULT_BAD_HTTP);
    } else if (http1_chunked_is_done(&connection->chunked)) {
        connection_complete(connection, buffer_view(&connection->chunks),
                            buffer_size(&connection->in) == 0);
    }
}

static bool stash(struct connection *connection, struct str bytes)
{
    if (bytes.len == 0 || bytes.data == buffer_view(&connection->in).data) {
        return true;
    }
    if (buffer_append(&connection->in, bytes) < 0) {
        connection_lose(connection, FAULT_GENERATOR);
        return false;
    }
    return true;
}

/* `bytes` are all of the answer that has come: either in `in`, or not yet. */
static void take_body(struct connection *connection, struct str bytes)
{
    const struct http1_head *head = &connection->response.head;
    struct str body = str_skip(bytes, connection->head_bytes);
    if (head->framing == HTTP1_BODY_NONE ||
        (head->framing == HTTP1_BODY_LENGTH && body.len >= head->body_bytes)) {
        size_t len = head->framing == HTTP1_BODY_NONE ? 0 : (size_t)head->body_bytes;
        connection_complete(connection, str_first(body, len), body.len == len);
        return;
    }
    if (head->framing == HTTP1_BODY_LENGTH &&
        head->body_bytes > connection->client->options.answer_max) {
        connection_lose(connection, FAULT_TOO_LARGE);
        return;
    }
    if (!stash(connection, bytes)) {
        return;
    }
    if (connection->phase != PHASE_BODY && head->framing == HTTP1_BODY_CHUNKED) {
        buffer_consume(&connection->in, connection->head_bytes);
        connection->head_bytes = 0;
        http1_chunked_init(&connection->chunked);
    }
    connection->phase = PHASE_BODY;
    if (head->framing == HTTP1_BODY_CHUNKED) {
        take_chunks(connection);
    }
}

static void take_bytes(struct connection *connection, struct str bytes)
{
    struct http1_refusal refusal;
    if (connection->phase == PHASE_BODY) {
        take_body(connection, bytes);
        return;
    }
    ssize_t head = http1_response_parse(&connection->response, &limits,
                                        connection->exchange->method, bytes, &refusal);
    if (head < 0) {
        connection_lose(connection, FAULT_BAD_HTTP);
    } else if (head == 0) {
        stash(connection, bytes);
    } else if (connection->response.status < 200) {
        /* An interim answer: the real one follows. */
        struct str rest = str_skip(bytes, (size_t)head);
        http1_response_init(&connection->response, connection->fields);
        if (buffer_size(&connection->in) > 0) {
            buffer_consume(&connection->in, (size_t)head);
            rest = buffer_view(&connection->in);
        }
        if (rest.len > 0) {
            take_bytes(connection, rest);
        }
    } else {
        connection->head_bytes = (size_t)head;
        take_body(connection, bytes);
    }
}

static void end_of_stream(struct connection *connection)
{
    if (connection->phase == PHASE_BODY &&
        connection->response.head.framing == HTTP1_BODY_UNTIL_CLOSE) {
        connection_complete(connection,
                            str_skip(buffer_view(&connection->in), connection->head_bytes), false);
        return;
    }
    connection_lose(connection, connection_has_answer(connection) ? FAULT_TRUNCATED : FAULT_CLOSED);
}

size_t connection_allowed(const struct connection *connection, size_t size)
{
    if (connection->exchange == NULL || connection->exchange->bytes_per_second == 0 ||
        connection->allowance >= (int64_t)size) {
        return size;
    }
    return connection->allowance > 0 ? (size_t)connection->allowance : 0;
}

void connection_wait_for(struct connection *connection, unsigned interest)
{
    if (watch_set(connection_loop(connection), &connection->watch, interest) < 0) {
        connection_lose(connection, FAULT_NO_PORTS);
    }
}

/* A slow line has carried what it may: go on when the pace allows. */
void connection_rest(struct connection *connection)
{
    watch_stop(connection_loop(connection), &connection->watch);
    loop_arm(connection_loop(connection), &connection->pace,
             loop_now(connection_loop(connection)) + PACE_STEP);
}

static enum io read_some(struct connection *connection, struct str *bytes)
{
    struct client *client = connection->client;
    size_t count = 0;
    char *at = client->scratch;
    size_t room = sizeof client->scratch;
    bool is_direct = buffer_size(&connection->in) > 0;
    if (is_direct) {
        if (buffer_reserve(&connection->in,
                           connection->phase == PHASE_BODY ? READ_STEP : SCRATCH_BYTES) < 0) {
            errno = connection->transport.code = ENOMEM;
            return IO_FAIL;
        }
        at = buffer_tail(&connection->in);
        room = buffer_room(&connection->in);
    }
    enum io io =
        transport_read(&connection->transport, at, connection_allowed(connection, room), &count);
    if (io == IO_OK) {
        client->counters.bytes_received += count;
        connection->allowance -= (int64_t)count;
        if (is_direct) {
            buffer_commit(&connection->in, count);
        }
        *bytes = is_direct ? buffer_view(&connection->in) : str_make(at, count);
    }
    return io;
}

void connection_receive(struct connection *connection)
{
    struct str bytes;
    struct exchange *exchange;
    do {
        exchange = connection->exchange;
        if (connection_allowed(connection, 1) == 0) {
            connection_rest(connection);
            return;
        }
        switch (read_some(connection, &bytes)) {
        case IO_OK:
            take_bytes(connection, bytes);
            break;
        case IO_AGAIN:
            if (connection->watch.interest != transport_wants(&connection->transport)) {
                connection_wait_for(connection, transport_wants(&connection->transport));
            }
            return;
        case IO_EOF:
            end_of_stream(connection);
            return;
        case IO_FAIL:
            connection_lose(connection, connection_fault(connection));
            return;
        }
        /* A slow line goes on until it rests or waits: its watch may be stopped still. */
    } while (connection->phase != PHASE_CLOSED && connection->exchange == exchange &&
             exchange != NULL &&
             (exchange->bytes_per_second > 0 ||
              (connection->phase == PHASE_BODY && transport_has_pending(&connection->transport))));
    /* TLS may hold bytes back that the loop does not see. */
    if (connection->phase != PHASE_CLOSED && connection->exchange == exchange && exchange != NULL &&
        transport_has_pending(&connection->transport)) {
        connection_receive(connection);
    }
}

/* Nothing may come on an idle connection but its end. */
void connection_read_idle(struct connection *connection)
{
    char byte;
    size_t count;
    enum io io = transport_read(&connection->transport, &byte, 1, &count);
    connection_take_session(connection);
    if (io != IO_AGAIN) {
        connection_close(connection);
    }
}
