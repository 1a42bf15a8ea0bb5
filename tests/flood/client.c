/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges and their connections. One thread, the loop's.
 *
 * The usual exchange on a kept connection costs one write, one read and no epoll_ctl(): the
 * connection stays watched for reading, and an answer that comes whole is parsed where it was read.
 */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "net/http1_chunked.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/tls.h"
#include "target.h"

enum {
    FIELDS_MAX = 64,
    SCRATCH_BYTES = 64 * 1024,
    HEAD_MAX = 32 * 1024,
    READ_STEP = 256 * 1024,
    KEEP_BYTES = 16 * 1024, /* of a buffer on an idle connection */
    /* Ports of one address before the next one is used: a closed connection holds its port for a
     * minute, and the kernel searches the longer the fewer are left. */
    PORTS_OF_ADDRESS = 4096,
    SOURCES_MAX = 16 * 1024,
};
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

static const struct http1_limits limits = {
    .head_bytes = HEAD_MAX, .name_bytes = 256, .fields = FIELDS_MAX};

static void on_ready(struct watch *watch, unsigned ready);
static void on_pace(struct timer *timer, usec_t now);

/* ---- Connections ---- */

static struct loop *loop_of(const struct connection *connection)
{
    return connection->client->options.loop;
}

static size_t open_connections(const struct client *client)
{
    return connection_list_count(&client->idle) + connection_list_count(&client->busy);
}

static void free_connection(struct garbage *garbage)
{
    struct connection *connection = CONTAINER_OF(garbage, struct connection, garbage);
    buffer_done(&connection->in);
    buffer_done(&connection->chunks);
    free(connection);
}

static void close_connection(struct connection *connection)
{
    if (connection->phase == PHASE_CLOSED) {
        return;
    }
    struct client *client = connection->client;
    if (connection_list_holds(&client->idle, connection)) {
        connection_list_remove(&client->idle, connection);
    } else {
        connection_list_remove(&client->busy, connection);
    }
    connection->phase = PHASE_CLOSED;
    loop_disarm(client->options.loop, &connection->pace);
    watch_forget(client->options.loop, &connection->watch);
    transport_close(&connection->transport);
    loop_free_later(client->options.loop, &connection->garbage, free_connection);
}

/* The next source address of 127.0.0.0/8; false: let the system choose. The first few thousand
 * connections of a client come from where they always do. */
static bool choose_source(const struct client *client, struct address *source)
{
    uint64_t block = client->counters.connections / PORTS_OF_ADDRESS % SOURCES_MAX;
    if (block == 0 || !client->options.target->is_loopback ||
        client->options.target->address.any.sa_family != AF_INET) {
        return false;
    }
    *source = (struct address){.len = sizeof source->ipv4};
    source->ipv4.sin_family = AF_INET;
    source->ipv4.sin_addr.s_addr =
        htonl((uint32_t)(0x7f000000 | (1 + client->options.number % 250) << 16 | block));
    return true;
}

static int open_socket(struct client *client)
{
    struct address source;
    bool is_chosen = choose_source(client, &source);
    int fd = socket_connect(&client->options.target->address, is_chosen ? &source : NULL, NULL);
    client->counters.connections += fd >= 0;
    return fd;
}

static int start_transport(struct client *client, struct connection *connection, int fd)
{
    if (!client->options.target->is_tls) {
        transport_init_plain(&connection->transport, fd);
        return 0;
    }
    int code =
        tls_connect(&connection->transport, client->options.tls, fd, client->options.target->host,
                    client->options.resumes ? client->session : NULL);
    if (code < 0) {
        transport_init_plain(&connection->transport, fd);
        transport_close(&connection->transport);
    }
    return code;
}

/* NULL with *fault. */
static struct connection *open_connection(struct client *client, enum fault *fault)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int fd = connection == NULL ? -ENOMEM : open_socket(client);
    int code = fd < 0 ? fd : start_transport(client, connection, fd);
    if (code < 0) {
        free(connection);
        *fault = fault_of_errno(-code);
        return NULL;
    }
    connection->client = client;
    buffer_init(&connection->in, client->options.answer_max + HEAD_MAX + SCRATCH_BYTES);
    buffer_init(&connection->chunks, client->options.answer_max);
    watch_init(&connection->watch, fd, on_ready);
    timer_init(&connection->pace, on_pace);
    connection_list_push_back(&client->busy, connection);
    return connection;
}

static void take_session(struct connection *connection)
{
    struct client *client = connection->client;
    if (!client->options.target->is_tls || connection->has_session) {
        return;
    }
    struct tls_session *session = tls_take_session(&connection->transport);
    if (session != NULL) {
        connection->has_session = true;
        tls_session_free(client->session);
        client->session = session;
    }
}

/* ---- Ends of exchanges ---- */

static void begin(struct client *client, struct exchange *exchange);

static void start_waiting(struct client *client)
{
    while (!exchange_list_is_empty(&client->waiting) &&
           (!connection_list_is_empty(&client->idle) ||
            open_connections(client) < client->options.connections_max)) {
        begin(client, exchange_list_pop_front(&client->waiting));
    }
}

static void finish(struct client *client, struct exchange *exchange, enum fault fault)
{
    loop_disarm(client->options.loop, &exchange->timer);
    exchange->connection = NULL;
    exchange->client = NULL;
    exchange->answered = loop_now(client->options.loop);
    exchange->done(exchange, fault);
    start_waiting(client);
}

/* Lose the connection, and the exchange on it. A kept connection that the server closed while the
 * request was on its way says nothing about the request: that is sent once more on a fresh one. */
static void lose(struct connection *connection, enum fault fault)
{
    struct client *client = connection->client;
    struct exchange *exchange = connection->exchange;
    bool is_stale = connection->uses > 1 && (fault == FAULT_CLOSED || fault == FAULT_RESET);
    connection->exchange = NULL;
    close_connection(connection);
    if (exchange == NULL) {
        return;
    }
    if (is_stale && !exchange->was_retried) {
        exchange->was_retried = true;
        exchange->connection = NULL;
        exchange->fault = FAULT_NONE;
        client->counters.retried++;
        loop_arm(client->options.loop, &exchange->timer,
                 usec_add(loop_now(client->options.loop), exchange->timeout));
        begin(client, exchange);
        return;
    }
    finish(client, exchange, fault);
}

static bool has_answer(const struct connection *connection)
{
    return connection->phase == PHASE_BODY || buffer_size(&connection->in) > 0;
}

static enum fault fault_of_loss(const struct connection *connection)
{
    if (connection->client->options.target->is_tls && connection->transport.code == 0) {
        return FAULT_TLS;
    }
    return has_answer(connection) ? FAULT_TRUNCATED : fault_of_errno(connection->transport.code);
}

static void keep_or_close(struct connection *connection, bool is_kept)
{
    struct client *client = connection->client;
    if (!is_kept || connection->watch.interest == 0) {
        close_connection(connection);
        return;
    }
    connection->phase = PHASE_IDLE;
    connection_list_remove(&client->busy, connection);
    connection_list_push_front(&client->idle, connection);
}

static void shrink(struct buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES) {
        buffer_done(buffer);
    } else {
        buffer_clear(buffer);
    }
}

/* The whole answer is there; `body` may be a view into the connection's buffers, so these are
 * emptied last. Reading never happens below done(), so another exchange on it does no harm. */
static void complete(struct connection *connection, struct str body, bool is_kept)
{
    struct client *client = connection->client;
    struct exchange *exchange = connection->exchange;
    take_session(connection);
    exchange->status = connection->response.status;
    exchange->answer = body;
    connection->exchange = NULL;
    keep_or_close(connection, is_kept && connection->response.head.keep_alive &&
                                  !exchange->is_alone &&
                                  connection->sent == exchange->head.len + exchange->body.len);
    finish(client, exchange, FAULT_NONE);
    shrink(&connection->in);
    shrink(&connection->chunks);
}

/* ---- Receiving ---- */

/* What came of a chunked body, in `in`. */
static void take_chunks(struct connection *connection)
{
    struct http1_refusal refusal;
    struct str data;
    ssize_t n;
    while ((n = http1_chunked_decode(&connection->chunked, &HTTP1_CHUNKED_LIMITS_DEFAULT,
                                     buffer_view(&connection->in), &data, &refusal)) > 0) {
        if (data.len > 0 && buffer_append(&connection->chunks, data) < 0) {
            lose(connection, FAULT_TOO_LARGE);
            return;
        }
        buffer_consume(&connection->in, (size_t)n);
    }
    if (n < 0) {
        lose(connection, FAULT_BAD_HTTP);
    } else if (http1_chunked_is_done(&connection->chunked)) {
        complete(connection, buffer_view(&connection->chunks), buffer_size(&connection->in) == 0);
    }
}

static bool stash(struct connection *connection, struct str bytes)
{
    if (bytes.len == 0 || bytes.data == buffer_view(&connection->in).data) {
        return true;
    }
    if (buffer_append(&connection->in, bytes) < 0) {
        lose(connection, FAULT_GENERATOR);
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
        complete(connection, str_first(body, len), body.len == len);
        return;
    }
    if (head->framing == HTTP1_BODY_LENGTH &&
        head->body_bytes > connection->client->options.answer_max) {
        lose(connection, FAULT_TOO_LARGE);
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
        lose(connection, FAULT_BAD_HTTP);
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
        complete(connection, str_skip(buffer_view(&connection->in), connection->head_bytes), false);
        return;
    }
    lose(connection, has_answer(connection) ? FAULT_TRUNCATED : FAULT_CLOSED);
}

static size_t allowed(const struct connection *connection, size_t size)
{
    if (connection->exchange == NULL || connection->exchange->bytes_per_second == 0 ||
        connection->allowance >= (int64_t)size) {
        return size;
    }
    return connection->allowance > 0 ? (size_t)connection->allowance : 0;
}

static void wait_for(struct connection *connection, unsigned interest)
{
    if (watch_set(loop_of(connection), &connection->watch, interest) < 0) {
        lose(connection, FAULT_NO_PORTS);
    }
}

/* A slow line has carried what it may: go on when the pace allows. */
static void rest_a_while(struct connection *connection)
{
    watch_stop(loop_of(connection), &connection->watch);
    loop_arm(loop_of(connection), &connection->pace, loop_now(loop_of(connection)) + PACE_STEP);
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
    enum io io = transport_read(&connection->transport, at, allowed(connection, room), &count);
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

static void receive(struct connection *connection)
{
    struct str bytes;
    struct exchange *exchange;
    do {
        exchange = connection->exchange;
        if (allowed(connection, 1) == 0) {
            rest_a_while(connection);
            return;
        }
        switch (read_some(connection, &bytes)) {
        case IO_OK:
            take_bytes(connection, bytes);
            break;
        case IO_AGAIN:
            if (connection->watch.interest != transport_wants(&connection->transport)) {
                wait_for(connection, transport_wants(&connection->transport));
            }
            return;
        case IO_EOF:
            end_of_stream(connection);
            return;
        case IO_FAIL:
            lose(connection, fault_of_loss(connection));
            return;
        }
    } while (connection->phase != PHASE_CLOSED && connection->exchange == exchange &&
             exchange != NULL && connection->phase == PHASE_BODY &&
             (transport_has_pending(&connection->transport) || exchange->bytes_per_second > 0));
    /* TLS may hold bytes back that the loop does not see. */
    if (connection->phase != PHASE_CLOSED && connection->exchange == exchange && exchange != NULL &&
        transport_has_pending(&connection->transport)) {
        receive(connection);
    }
}

/* Nothing may come on an idle connection but its end. */
static void read_idle(struct connection *connection)
{
    char byte;
    size_t count;
    enum io io = transport_read(&connection->transport, &byte, 1, &count);
    take_session(connection);
    if (io != IO_AGAIN) {
        close_connection(connection);
    }
}

/* ---- Sending ---- */

static size_t fill_vector(const struct connection *connection, struct iovec *vector)
{
    const struct exchange *exchange = connection->exchange;
    struct str parts[] = {str_skip(exchange->head, connection->sent),
                          connection->sent < exchange->head.len
                              ? exchange->body
                              : str_skip(exchange->body, connection->sent - exchange->head.len)};
    size_t count = 0;
    size_t left = exchange->head.len + exchange->body.len;
    left = allowed(connection, left);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct str part = str_first(parts[i], left);
        if (part.len > 0) {
            memcpy(&vector[count].iov_base, &part.data, sizeof part.data);
            vector[count++].iov_len = part.len;
            left -= part.len;
        }
    }
    return count;
}

static void sent_all(struct connection *connection)
{
    struct client *client = connection->client;
    if (client->options.target->is_tls && connection->uses == 1 &&
        tls_is_resumed(&connection->transport)) {
        client->counters.resumed++;
    }
    connection->phase = PHASE_HEAD;
    if (connection->watch.interest != WATCH_READ) {
        wait_for(connection, WATCH_READ);
    }
}

static unsigned sending_wants(const struct connection *connection)
{
    unsigned wants = transport_wants(&connection->transport);
    return connection->client->options.target->is_tls ? wants : wants | WATCH_READ;
}

static void send_request(struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    struct iovec vector[2];
    size_t total = exchange->head.len + exchange->body.len;
    while (connection->sent < total) {
        size_t count = 0;
        if (allowed(connection, 1) == 0) {
            rest_a_while(connection);
            return;
        }
        size_t parts = fill_vector(connection, vector);
        enum io io = transport_writev(&connection->transport, vector, parts, &count);
        if (io == IO_AGAIN) {
            wait_for(connection, sending_wants(connection));
            return;
        }
        if (io != IO_OK) {
            lose(connection, fault_of_loss(connection));
            return;
        }
        connection->sent += count;
        connection->allowance -= (int64_t)count;
        connection->client->counters.bytes_sent += count;
    }
    sent_all(connection);
}

static void on_ready(struct watch *watch, unsigned ready)
{
    struct connection *connection = CONTAINER_OF(watch, struct connection, watch);
    switch (connection->phase) {
    case PHASE_SEND:
        /* An answer before the request's end: a refusal, and nobody reads the rest. */
        if ((ready & WATCH_READ) != 0 && !connection->client->options.target->is_tls) {
            connection->phase = PHASE_HEAD;
            receive(connection);
        } else {
            send_request(connection);
        }
        break;
    case PHASE_HEAD:
    case PHASE_BODY:
        receive(connection);
        break;
    case PHASE_IDLE:
        read_idle(connection);
        break;
    case PHASE_CLOSED:
        break;
    }
}

static void on_pace(struct timer *timer, usec_t now)
{
    struct connection *connection = CONTAINER_OF(timer, struct connection, pace);
    (void)now;
    if (connection->exchange == NULL) {
        return;
    }
    connection->allowance +=
        (int64_t)(connection->exchange->bytes_per_second * PACE_STEP / USEC_PER_SEC) + 1;
    on_ready(&connection->watch, 0);
}

/* ---- Exchanges ---- */

/* The loop tells it, later. */
static void fail_later(struct client *client, struct exchange *exchange, enum fault fault)
{
    exchange->fault = fault;
    loop_arm(client->options.loop, &exchange->timer, loop_now(client->options.loop));
}

static struct connection *take_connection(struct client *client, const struct exchange *exchange,
                                          enum fault *fault)
{
    bool wants_fresh = exchange->is_alone || exchange->was_retried;
    struct connection *connection = wants_fresh ? NULL : connection_list_pop_front(&client->idle);
    if (connection != NULL) {
        connection_list_push_back(&client->busy, connection);
        return connection;
    }
    if (wants_fresh && open_connections(client) >= client->options.connections_max &&
        !connection_list_is_empty(&client->idle)) {
        close_connection(connection_list_last(&client->idle));
    }
    return open_connection(client, fault);
}

static void begin(struct client *client, struct exchange *exchange)
{
    enum fault fault = FAULT_NONE;
    struct connection *connection = take_connection(client, exchange, &fault);
    if (connection == NULL) {
        fail_later(client, exchange, fault);
        return;
    }
    exchange->connection = connection;
    connection->exchange = exchange;
    connection->phase = PHASE_SEND;
    connection->sent = 0;
    connection->allowance = (int64_t)(exchange->bytes_per_second * PACE_STEP / USEC_PER_SEC) + 1;
    connection->uses++;
    http1_response_init(&connection->response, connection->fields);
    /* What can be written at once is; a connection that is not there yet says so, cheaply. Faults
     * are told by the loop: a new connection's, and a kept one's at its next wakeup. */
    struct iovec vector[2];
    size_t count = 0;
    size_t parts = fill_vector(connection, vector);
    enum io io = transport_writev(&connection->transport, vector, parts, &count);
    if (io == IO_OK) {
        connection->sent = count;
        connection->allowance -= (int64_t)count;
        client->counters.bytes_sent += count;
    }
    if (io == IO_OK && count == exchange->head.len + exchange->body.len) {
        connection->phase = PHASE_HEAD;
    }
    unsigned interest = connection->phase == PHASE_HEAD ? WATCH_READ
                        : io == IO_AGAIN                ? transport_wants(&connection->transport)
                                                        : WATCH_WRITE;
    if (io == IO_FAIL) {
        fail_later(client, exchange, fault_of_loss(connection));
    } else if (connection->watch.interest != interest &&
               watch_set(client->options.loop, &connection->watch, interest) < 0) {
        fail_later(client, exchange, FAULT_NO_PORTS);
    }
}

static void on_timeout(struct timer *timer, usec_t now)
{
    struct exchange *exchange = CONTAINER_OF(timer, struct exchange, timer);
    struct client *client = exchange->client;
    enum fault fault = exchange->fault == FAULT_NONE ? FAULT_TIMEOUT : exchange->fault;
    (void)now;
    if (exchange->connection != NULL && exchange->fault != FAULT_NONE) {
        lose(exchange->connection, fault);
        return;
    }
    if (exchange->connection != NULL) {
        exchange->connection->exchange = NULL;
        close_connection(exchange->connection);
    } else if (exchange_list_holds(&client->waiting, exchange)) {
        exchange_list_remove(&client->waiting, exchange);
    }
    finish(client, exchange, fault);
}

void exchange_start(struct client *client, struct exchange *exchange)
{
    CHECK(exchange->client == NULL);
    exchange->client = client;
    exchange->connection = NULL;
    exchange->fault = FAULT_NONE;
    exchange->was_retried = false;
    exchange->status = 0;
    timer_init(&exchange->timer, on_timeout);
    loop_arm(client->options.loop, &exchange->timer,
             usec_add(loop_now(client->options.loop), exchange->timeout));
    if (open_connections(client) >= client->options.connections_max &&
        (connection_list_is_empty(&client->idle) || exchange_list_count(&client->waiting) > 0)) {
        exchange_list_push_back(&client->waiting, exchange);
    } else {
        begin(client, exchange);
    }
}

void exchange_cancel(struct client *client, struct exchange *exchange)
{
    if (exchange->client == NULL) {
        return;
    }
    loop_disarm(client->options.loop, &exchange->timer);
    if (exchange->connection != NULL) {
        exchange->connection->exchange = NULL;
        close_connection(exchange->connection);
    } else if (exchange_list_holds(&client->waiting, exchange)) {
        exchange_list_remove(&client->waiting, exchange);
    }
    exchange->connection = NULL;
    exchange->client = NULL;
}

/* ---- Clients ---- */

struct client *client_new(const struct client_options *options)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    CHECK(!options->target->is_tls || options->tls != NULL);
    client->options = *options;
    connection_list_init(&client->idle);
    connection_list_init(&client->busy);
    exchange_list_init(&client->waiting);
    return client;
}

void client_hang_up(struct client *client)
{
    while (!connection_list_is_empty(&client->idle)) {
        close_connection(connection_list_first(&client->idle));
    }
}

void client_free(struct client *client)
{
    if (client == NULL) {
        return;
    }
    CHECK(connection_list_is_empty(&client->busy) && exchange_list_is_empty(&client->waiting));
    client_hang_up(client);
    tls_session_free(client->session);
    free(client);
}

const struct client_counters *client_counters(const struct client *client)
{
    return &client->counters;
}
