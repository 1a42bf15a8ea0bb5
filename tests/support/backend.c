/* SPDX-License-Identifier: Apache-2.0 */
/* Members: an accepting thread each, and a thread for each connection, for blocking code is the
 * plainest; a proxy keeps few connections. */
#include "support/backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "support/backend_request.h"
#include "support/support.h"

enum {
    FIRST_PORT = 20000, /* below what the kernel gives to clients */
    PORT_STARTS = 11000,
    RANGE_ATTEMPTS = 200,
    STACK_SIZE = 512 * 1024,
    BLOCK = 65536,
};

struct connection {
    struct connection *next;
    struct backend *backend;
    int fd;
    struct request_reader reader;
    unsigned served;
};

struct backend {
    struct backends *all;
    unsigned index;
    uint16_t port;
    int listener; /* -1: it does not listen */
    pthread_t acceptor;
    atomic_int behaviour;
    atomic_uint_least64_t size;
    atomic_llong delay, pause;
    atomic_uint announced;
    atomic_bool includes_probes;
    atomic_uint requests, connections, probes;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t empty;
    struct connection *open;
    unsigned open_count;
    char *script;
    size_t script_len, piece, cut;
    bool script_closes;
};

struct backends {
    struct recorder *recorder;
    in_addr_t address; /* on which they listen; host byte order */
    atomic_uint_least64_t connections;
    unsigned count;
    struct backend members[];
};

static bool send_all(struct connection *connection, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(connection->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

/* The next close sends RST. */
static void make_abrupt(int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static bool send_pieces(struct connection *connection, struct str bytes, size_t piece, usec_t pause)
{
    while (bytes.len > 0) {
        struct str now = str_first(bytes, piece == 0 ? bytes.len : piece);
        if (!send_all(connection, now)) {
            return false;
        }
        bytes = str_skip(bytes, now.len);
        if (pause > 0) {
            sleep_for(pause);
        }
    }
    return true;
}

static bool send_script(struct connection *connection)
{
    struct backend *backend = connection->backend;
    pthread_mutex_lock(&backend->lock);
    char *copy = str_dup(str_make(backend->script, backend->script_len));
    struct str raw = str_make(copy, backend->script_len);
    size_t piece = backend->piece;
    size_t cut = backend->cut;
    bool closes = backend->script_closes;
    pthread_mutex_unlock(&backend->lock);
    bool is_sent;
    if (cut > 0) {
        is_sent = send_all(connection, str_first(raw, cut));
        sleep_for(200);
        is_sent = is_sent && send_all(connection, str_skip(raw, cut));
    } else {
        is_sent = send_pieces(connection, raw, piece, atomic_load(&backend->pause));
    }
    free(copy);
    return is_sent && !closes;
}

/* ---- Ordinary answers ---- */

struct text {
    char bytes[1024];
    size_t len;
};

static struct text body_of(const struct connection *connection, const struct recorded *request)
{
    struct text text;
    int n =
        snprintf(text.bytes, sizeof text.bytes, "backend=%u tag=%s bytes=%llu hash=%llx\n",
                 connection->backend->index, request->tag, (unsigned long long)request->body_bytes,
                 (unsigned long long)request->body_hash);
    text.len = (size_t)n;
    return text;
}

static struct text head_of(const struct connection *connection, const struct recorded *request,
                           unsigned status, const char *framing)
{
    struct text text;
    char keep[64] = "";
    unsigned announced = atomic_load(&connection->backend->announced);
    if (announced > 0) {
        snprintf(keep, sizeof keep, "Keep-Alive: timeout=%u\r\n", announced);
    }
    int n = snprintf(text.bytes, sizeof text.bytes,
                     "HTTP/1.1 %u Tested\r\nX-Backend: %u\r\nX-Tag: %s\r\n%s%s\r\n", status,
                     connection->backend->index, request->tag, keep, framing);
    text.len = (size_t)n;
    return text;
}

static struct str text_view(const struct text *text)
{
    return str_make(text->bytes, text->len);
}

static bool send_padding(struct connection *connection, uint64_t bytes)
{
    static const char block[BLOCK] = {'.'};
    while (bytes > 0) {
        size_t n = bytes < BLOCK ? (size_t)bytes : BLOCK;
        if (!send_all(connection, str_make(block, n))) {
            return false;
        }
        bytes -= n;
    }
    return true;
}

static bool send_with_length(struct connection *connection, const struct recorded *request,
                             unsigned status, uint64_t missing)
{
    char framing[64];
    struct text body = body_of(connection, request);
    uint64_t wanted = atomic_load(&connection->backend->size);
    uint64_t padding = wanted > body.len ? wanted - body.len : 0;
    unsigned long long length = body.len + padding + missing;
    snprintf(framing, sizeof framing, "Content-Length: %llu\r\n", length);
    struct text head = head_of(connection, request, status, framing);
    if (strncmp(request->head, "HEAD ", 5) == 0) {
        return send_all(connection, text_view(&head));
    }
    memcpy(head.bytes + head.len, body.bytes, body.len);
    head.len += body.len;
    return send_all(connection, text_view(&head)) && send_padding(connection, padding);
}

/* An answer and another one, unasked, in one segment. (Did the second come later, nobody could know
 * that it is not the answer to the next request.) */
static bool send_two(struct connection *connection, const struct recorded *request)
{
    static const char second[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    char framing[64];
    struct text body = body_of(connection, request);
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", body.len);
    struct text all = head_of(connection, request, 200, framing);
    memcpy(all.bytes + all.len, body.bytes, body.len);
    all.len += body.len;
    memcpy(all.bytes + all.len, second, sizeof second - 1);
    all.len += sizeof second - 1;
    return send_all(connection, text_view(&all));
}

static bool send_chunked(struct connection *connection, const struct recorded *request)
{
    char size[32];
    struct text body = body_of(connection, request);
    struct text head = head_of(connection, request, 200, "Transfer-Encoding: chunked\r\n");
    uint64_t wanted = atomic_load(&connection->backend->size);
    uint64_t left = wanted > body.len ? wanted - body.len : 0;
    snprintf(size, sizeof size, "%zx;with=extension\r\n", body.len);
    bool ok = send_all(connection, text_view(&head)) && send_all(connection, str_from(size)) &&
              send_all(connection, text_view(&body)) && send_all(connection, STR("\r\n"));
    while (ok && left > 0) {
        uint64_t n = left < 10000 ? left : 10000;
        snprintf(size, sizeof size, "%llX\r\n", (unsigned long long)n);
        ok = send_all(connection, str_from(size)) && send_padding(connection, n) &&
             send_all(connection, STR("\r\n"));
        left -= n;
    }
    return ok && send_all(connection, STR("0\r\nX-Trailer: 1\r\n\r\n"));
}

static bool send_dripping(struct connection *connection, const struct recorded *request)
{
    char framing[64];
    struct text body = body_of(connection, request);
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", body.len);
    struct text head = head_of(connection, request, 200, framing);
    usec_t pause = atomic_load(&connection->backend->pause);
    return send_pieces(connection, text_view(&head), 1, pause) &&
           send_pieces(connection, text_view(&body), 1, pause);
}

static bool send_until_close(struct connection *connection, const struct recorded *request)
{
    struct text body = body_of(connection, request);
    struct text head = head_of(connection, request, 200, "");
    uint64_t wanted = atomic_load(&connection->backend->size);
    bool ok = send_all(connection, text_view(&head)) && send_all(connection, text_view(&body)) &&
              send_padding(connection, wanted > body.len ? wanted - body.len : 0);
    (void)ok;
    return false;
}

/* Wait until the other side ends the connection. */
static bool hang(struct connection *connection)
{
    char block[4096];
    while (recv(connection->fd, block, sizeof block, 0) > 0) {
    }
    return false;
}

static bool reset(struct connection *connection)
{
    make_abrupt(connection->fd);
    return false;
}

/* False: the connection ends. */
static bool answer(struct connection *connection, const struct recorded *request,
                   enum backend_behaviour behaviour)
{
    switch (behaviour) {
    case BACKEND_CHUNKED:
        return send_chunked(connection, request);
    case BACKEND_UNTIL_CLOSE:
        return send_until_close(connection, request);
    case BACKEND_INTERIM:
        return send_all(connection, STR("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")) &&
               send_with_length(connection, request, 200, 0);
    case BACKEND_SHORT:
        send_with_length(connection, request, 200, 7);
        return false;
    case BACKEND_LONG:
        return send_two(connection, request);
    case BACKEND_GARBAGE:
        return send_all(connection, STR("\x16\x03garbage\r\n\r\n\r\n")) && hang(connection);
    case BACKEND_RESET_HEAD:
        return reset(connection);
    case BACKEND_RESET_BODY:
        send_with_length(connection, request, 200, 1000);
        sleep_for(2000);
        return reset(connection);
    case BACKEND_CLOSE_HEAD:
        return false;
    case BACKEND_HANG:
        return hang(connection);
    case BACKEND_DRIP:
        return send_dripping(connection, request);
    case BACKEND_EARLY:
    case BACKEND_CLOSE_AFTER:
        send_with_length(connection, request, 200, 0);
        return false;
    case BACKEND_ERROR:
        return send_with_length(connection, request, 500, 0);
    case BACKEND_SCRIPT:
        return send_script(connection);
    case BACKEND_SCRIPT_IDLE:
        if (!send_with_length(connection, request, 200, 0)) {
            return false;
        }
        sleep_for(20 * USEC_PER_MSEC);
        return send_script(connection);
    case BACKEND_NORMAL:
    case BACKEND_RESET_ACCEPT:
    case BACKEND_CLOSE_NEXT:
        break;
    }
    return send_with_length(connection, request, 200, 0);
}

/* ---- Connections ---- */

static bool is_probe(const struct recorded *request)
{
    return strncmp(request->head, "GET /healthz ", 13) == 0;
}

static bool serve_probe(struct connection *connection, struct recorded *request)
{
    struct backend *backend = connection->backend;
    atomic_fetch_add(&backend->probes, 1);
    enum backend_behaviour behaviour =
        atomic_load(&backend->includes_probes)
            ? (enum backend_behaviour)atomic_load(&backend->behaviour)
            : BACKEND_NORMAL;
    bool keeps = answer(connection, request, behaviour);
    free(request->head);
    free(request->body);
    return keeps;
}

/* One request; false: the connection ends. */
static bool serve_one(struct connection *connection)
{
    struct backend *backend = connection->backend;
    struct recorded request;
    if (!request_read_head(&connection->reader, &request)) {
        return false;
    }
    if (is_probe(&request)) {
        return serve_probe(connection, &request);
    }
    enum backend_behaviour behaviour = (enum backend_behaviour)atomic_load(&backend->behaviour);
    if (behaviour == BACKEND_CLOSE_NEXT && connection->served > 0) {
        free(request.head);
        return reset(connection);
    }
    request.backend = backend->index;
    bool keeps;
    usec_t delay = atomic_load(&backend->delay);
    if (behaviour == BACKEND_EARLY) {
        keeps = answer(connection, &request, behaviour);
    } else {
        request_read_body(&connection->reader, &request);
        if (delay > 0) {
            sleep_for(delay);
        }
        /* Before the answer, so that a client that has it finds the record. */
        struct recorded copy = request;
        copy.head = str_dup(str_make(request.head, request.head_len));
        copy.body = NULL;
        bool is_complete = request.is_complete;
        recorder_add(backend->all->recorder, &request);
        atomic_fetch_add(&backend->requests, 1);
        connection->served++;
        keeps = is_complete && answer(connection, &copy, behaviour);
        free(copy.head);
        return keeps;
    }
    recorder_add(backend->all->recorder, &request);
    atomic_fetch_add(&backend->requests, 1);
    return keeps;
}

static void forget(struct connection *connection)
{
    struct backend *backend = connection->backend;
    pthread_mutex_lock(&backend->lock);
    struct connection **link = &backend->open;
    while (*link != connection) {
        link = &(*link)->next;
    }
    *link = connection->next;
    close(connection->fd); /* under the lock: backend_die() must not meet a number used again */
    if (--backend->open_count == 0) {
        pthread_cond_signal(&backend->empty);
    }
    pthread_mutex_unlock(&backend->lock);
    request_reader_done(&connection->reader);
    free(connection);
}

static void *serve(void *context)
{
    struct connection *connection = context;
    if (atomic_load(&connection->backend->behaviour) == BACKEND_RESET_ACCEPT) {
        reset(connection);
    } else {
        while (serve_one(connection)) {
        }
    }
    forget(connection);
    return NULL;
}

static void begin(struct backend *backend, int fd)
{
    const int on = 1;
    pthread_t thread;
    pthread_attr_t attributes;
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection != NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->backend = backend;
    connection->fd = fd;
    request_reader_init(&connection->reader, fd,
                        atomic_fetch_add(&backend->all->connections, 1) + 1);
    atomic_fetch_add(&backend->connections, 1);
    pthread_mutex_lock(&backend->lock);
    connection->next = backend->open;
    backend->open = connection;
    backend->open_count++;
    pthread_mutex_unlock(&backend->lock);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    CHECK(pthread_create(&thread, &attributes, serve, connection) == 0);
    pthread_attr_destroy(&attributes);
}

static void *accept_all(void *context)
{
    struct backend *backend = context;
    for (;;) {
        int fd = accept4(backend->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            begin(backend, fd);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return NULL; /* shut down */
        }
    }
}

/* ---- Life ---- */

static bool listen_on(struct backend *backend)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(backend->port)};
    address.sin_addr.s_addr = htonl(backend->all->address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        close(fd);
        return false;
    }
    backend->listener = fd;
    return true;
}

void backend_live(struct backend *backend)
{
    CHECK(backend->listener < 0);
    CHECK(listen_on(backend));
    CHECK(pthread_create(&backend->acceptor, NULL, accept_all, backend) == 0);
}

void backend_refuse(struct backend *backend)
{
    CHECK(backend->listener >= 0);
    shutdown(backend->listener, SHUT_RDWR);
    pthread_join(backend->acceptor, NULL);
    close(backend->listener);
    backend->listener = -1;
}

void backend_die(struct backend *backend)
{
    if (backend->listener >= 0) {
        backend_refuse(backend);
    }
    pthread_mutex_lock(&backend->lock);
    for (struct connection *c = backend->open; c != NULL; c = c->next) {
        make_abrupt(c->fd);
        shutdown(c->fd, SHUT_RDWR);
    }
    while (backend->open_count > 0) {
        pthread_cond_wait(&backend->empty, &backend->lock);
    }
    pthread_mutex_unlock(&backend->lock);
}

static bool take_range(struct backends *backends, unsigned first)
{
    for (unsigned i = 0; i < backends->count; i++) {
        backends->members[i].port = (uint16_t)(first + i);
        if (!listen_on(&backends->members[i])) {
            while (i-- > 0) {
                close(backends->members[i].listener);
                backends->members[i].listener = -1;
            }
            return false;
        }
    }
    return true;
}

static struct backends *allocate(unsigned count, in_addr_t address)
{
    struct backends *backends = calloc(1, sizeof *backends + count * sizeof backends->members[0]);
    CHECK(backends != NULL);
    backends->recorder = recorder_new();
    backends->count = count;
    backends->address = address;
    for (unsigned i = 0; i < count; i++) {
        struct backend *backend = &backends->members[i];
        backend->all = backends;
        backend->index = i;
        backend->listener = -1;
        CHECK(pthread_mutex_init(&backend->lock, NULL) == 0);
        CHECK(pthread_cond_init(&backend->empty, NULL) == 0);
    }
    return backends;
}

struct backends *backends_new(unsigned count, bool is_absent)
{
    struct backends *backends = allocate(count, INADDR_LOOPBACK);
    uint64_t random = (uint64_t)clock_monotonic(&clock_system) * 64 + (uint64_t)getpid();
    unsigned attempts = 0;
    while (!take_range(backends, FIRST_PORT + (unsigned)(next_random(&random) % PORT_STARTS))) {
        CHECK(++attempts < RANGE_ATTEMPTS);
    }
    for (unsigned i = 0; i < count; i++) {
        close(backends->members[i].listener);
        backends->members[i].listener = -1;
        if (!is_absent) {
            backend_live(&backends->members[i]);
        }
    }
    return backends;
}

struct backends *backends_new_everywhere(unsigned count, uint16_t first)
{
    struct backends *backends = allocate(count, INADDR_ANY);
    for (unsigned i = 0; i < count; i++) {
        backends->members[i].port = (uint16_t)(first + i);
        backend_live(&backends->members[i]);
    }
    return backends;
}

void backends_free(struct backends *backends)
{
    for (unsigned i = 0; i < backends->count; i++) {
        struct backend *backend = &backends->members[i];
        backend_die(backend);
        free(backend->script);
        pthread_mutex_destroy(&backend->lock);
        pthread_cond_destroy(&backend->empty);
    }
    recorder_free(backends->recorder);
    free(backends);
}

/* ---- Knobs ---- */

struct backend *backends_at(struct backends *backends, unsigned index)
{
    CHECK(index < backends->count);
    return &backends->members[index];
}

struct recorder *backends_recorder(struct backends *backends)
{
    return backends->recorder;
}

uint16_t backends_first_port(const struct backends *backends)
{
    return backends->members[0].port;
}

uint16_t backends_last_port(const struct backends *backends)
{
    return backends->members[backends->count - 1].port;
}

void backends_behave(struct backends *backends, enum backend_behaviour behaviour)
{
    for (unsigned i = 0; i < backends->count; i++) {
        backend_behave(&backends->members[i], behaviour);
    }
}

void backend_behave(struct backend *backend, enum backend_behaviour behaviour)
{
    atomic_store(&backend->behaviour, (int)behaviour);
}

void backend_size(struct backend *backend, uint64_t body_bytes)
{
    atomic_store(&backend->size, body_bytes);
}

void backend_delay(struct backend *backend, usec_t delay)
{
    atomic_store(&backend->delay, delay);
}

void backend_pause(struct backend *backend, usec_t pause)
{
    atomic_store(&backend->pause, pause);
}

void backend_announce(struct backend *backend, unsigned seconds)
{
    atomic_store(&backend->announced, seconds);
}

void backend_include_probes(struct backend *backend, bool includes)
{
    atomic_store(&backend->includes_probes, includes);
}

void backend_script(struct backend *backend, struct str raw, size_t piece, size_t cut, bool closes)
{
    pthread_mutex_lock(&backend->lock);
    free(backend->script);
    backend->script = str_dup(raw);
    backend->script_len = raw.len;
    backend->piece = piece;
    backend->cut = cut;
    backend->script_closes = closes;
    pthread_mutex_unlock(&backend->lock);
}

unsigned backend_requests(const struct backend *backend)
{
    return atomic_load(&backend->requests);
}

unsigned backend_connections(const struct backend *backend)
{
    return atomic_load(&backend->connections);
}

unsigned backend_probes(const struct backend *backend)
{
    return atomic_load(&backend->probes);
}

unsigned backend_open(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    unsigned count = backend->open_count;
    pthread_mutex_unlock(&backend->lock);
    return count;
}
