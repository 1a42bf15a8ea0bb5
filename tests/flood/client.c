/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges and their connections. One thread, the loop's.
 *
 * The usual exchange on a kept connection costs one write, one read and no epoll_ctl(): the
 * connection stays watched for reading, and an answer that comes whole is parsed where it was read.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client_internal.h"
#include "net/socket.h"
#include "net/tls.h"
#include "target.h"

enum {
    KEEP_BYTES = 16 * 1024, /* of a buffer on an idle connection */
    /* Ports of one address before the next one is used: a closed connection holds its port for a
     * minute, and the kernel searches the longer the fewer are left. */
    PORTS_OF_ADDRESS = 4096,
    SOURCES_MAX = 16 * 1024,
};

static void on_ready(struct watch *watch, unsigned ready);
static void on_pace(struct timer *timer, usec_t now);

/* ---- Connections ---- */

struct loop *connection_loop(const struct connection *connection)
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

void connection_close(struct connection *connection)
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
    unsigned ports = client->options.ports_of_address;
    uint64_t block =
        client->counters.connections / (ports > 0 ? ports : PORTS_OF_ADDRESS) % SOURCES_MAX;
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

void connection_take_session(struct connection *connection)
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
void connection_lose(struct connection *connection, enum fault fault)
{
    struct client *client = connection->client;
    struct exchange *exchange = connection->exchange;
    bool is_stale = connection->uses > 1 && (fault == FAULT_CLOSED || fault == FAULT_RESET);
    connection->exchange = NULL;
    connection_close(connection);
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

bool connection_has_answer(const struct connection *connection)
{
    return connection->phase == PHASE_BODY || buffer_size(&connection->in) > 0;
}

/* No byte of a request passes before its end. */
static bool is_in_handshake(const struct connection *connection)
{
    return connection->phase == PHASE_SEND && connection->uses == 1 && connection->sent == 0;
}

/* Behind the handshake TLS fails when the peer ends without a goodbye: that is an end like another.
 */
enum fault connection_fault(const struct connection *connection)
{
    const struct transport *transport = &connection->transport;
    bool is_of_tls = connection->client->options.target->is_tls &&
                     (transport->code == 0 || transport->code == EPROTO);
    if (is_of_tls && is_in_handshake(connection)) {
        return tls_distrusts_peer(transport) ? FAULT_TLS_CERTIFICATE : FAULT_TLS;
    }
    if (connection_has_answer(connection)) {
        return FAULT_TRUNCATED;
    }
    return is_of_tls ? FAULT_CLOSED : fault_of_errno(transport->code);
}

static void keep_or_close(struct connection *connection, bool is_kept)
{
    struct client *client = connection->client;
    if (!is_kept || connection->watch.interest == 0) {
        connection_close(connection);
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
void connection_complete(struct connection *connection, struct str body, bool is_kept)
{
    struct client *client = connection->client;
    struct exchange *exchange = connection->exchange;
    connection_take_session(connection);
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
    left = connection_allowed(connection, left);
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

/* When the request has left: the handshake is behind it, maybe in the very call that connected. */
static void note_sent(struct connection *connection)
{
    struct client *client = connection->client;
    if (client->options.target->is_tls && connection->uses == 1 &&
        tls_is_resumed(&connection->transport)) {
        client->counters.resumed++;
    }
    connection->phase = PHASE_HEAD;
}

static void sent_all(struct connection *connection)
{
    note_sent(connection);
    if (connection->watch.interest != WATCH_READ) {
        connection_wait_for(connection, WATCH_READ);
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
        if (connection_allowed(connection, 1) == 0) {
            connection_rest(connection);
            return;
        }
        size_t parts = fill_vector(connection, vector);
        enum io io = transport_writev(&connection->transport, vector, parts, &count);
        if (io == IO_AGAIN) {
            connection_wait_for(connection, sending_wants(connection));
            return;
        }
        if (io != IO_OK) {
            connection_lose(connection, connection_fault(connection));
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
            connection_receive(connection);
        } else {
            send_request(connection);
        }
        break;
    case PHASE_HEAD:
    case PHASE_BODY:
        connection_receive(connection);
        break;
    case PHASE_IDLE:
        connection_read_idle(connection);
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
        connection_close(connection_list_last(&client->idle));
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
        note_sent(connection);
    }
    unsigned interest = connection->phase == PHASE_HEAD ? WATCH_READ
                        : io == IO_AGAIN                ? transport_wants(&connection->transport)
                                                        : WATCH_WRITE;
    if (io == IO_FAIL) {
        fail_later(client, exchange, connection_fault(connection));
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
        connection_lose(exchange->connection, fault);
        return;
    }
    if (exchange->connection != NULL) {
        exchange->connection->exchange = NULL;
        connection_close(exchange->connection);
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
        connection_close(exchange->connection);
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
        connection_close(connection_list_first(&client->idle));
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
