/* SPDX-License-Identifier: Apache-2.0 */
/* A thread for each connection, a lock around everything they share. */
#include "flood_server.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/http1.h"
#include "support/support.h"
#include "wire/authority.h"
#include "wire/packet.h"
#include "wire/request.h"
#include "wire/seal.h"
#include "wire/tools.h"

enum { AGENTS_MAX = 64, CONNECTIONS_MAX = 256, BODY_MAX = 8 << 20 };

struct known_agent {
    struct client_id id;
    struct rsa_key *key;
    struct sealing sealing;
    bool has_sealing, was_asked;
    struct str first_answer;
};

struct flood_server {
    struct flood_server_options options;
    int listener;
    uint16_t port;
    pthread_t thread, connections[CONNECTIONS_MAX];
    int sockets[CONNECTIONS_MAX];
    size_t connection_count;
    pthread_mutex_t lock;
    bool is_ending, was_slow;
    struct rsa_key *key, *other, *authority;
    struct buffer authority_pem, pem, later; /* `later`: every page but the first */
    bool was_met;
    struct wire_tools tools;
    struct packet_limits limits;
    struct bundle bundle;
    struct known_agent agents[AGENTS_MAX];
    size_t agent_count;
    struct histogram delays;
    unsigned messages;
    double tokens; /* polls that it would answer at `filled` */
    usec_t filled;
};

struct visit {
    struct flood_server *server;
    int fd;
};

/* ---- Answers ---- */

static struct known_agent *find_agent(struct flood_server *server, const char *source)
{
    for (size_t i = 0; i < server->agent_count; i++) {
        if (strcmp(server->agents[i].id.text, source) == 0) {
            return &server->agents[i];
        }
    }
    CHECK(!"an agent that nobody knows");
    return NULL;
}

static void make_sealing(struct flood_server *server, struct known_agent *agent)
{
    enum wire_reason reason;
    bool is_signed_by_other = server->options.lie == LIE_SIGNATURE;
    struct str name = server->options.lie == LIE_SOURCE ? STR("mallory") : STR("grr");
    if (!agent->has_sealing) {
        CHECK(sealing_make(&server->tools, is_signed_by_other ? server->other : server->key,
                           agent->key, name, clock_wall(&clock_system), &agent->sealing,
                           &reason) == 0);
        agent->has_sealing = true;
    }
}

static void add_request(struct flood_server *server, struct known_agent *agent, struct buffer *list)
{
    const struct request request = {.client = agent->id,
                                    .flow = STR("0123456789ABCDEF"),
                                    .request_id = 1,
                                    .action = STR("Echo"),
                                    .args = STR("hello"),
                                    .args_type = STR("RDFString"),
                                    .cpu_limit_ms = REQUEST_CPU_LIMIT_MS,
                                    .task_id = 1};
    if (server->options.asks && !agent->was_asked) {
        agent->was_asked = true;
        CHECK(request_append(list, &request) == 0);
    }
}

static void seal_answer(struct flood_server *server, struct known_agent *agent, struct buffer *out)
{
    struct buffer list;
    uint64_t nonce = server->bundle.timestamp + (server->options.lie == LIE_NONCE);
    make_sealing(server, agent);
    buffer_init(&list, 1 << 20);
    add_request(server, agent, &list);
    const struct seal_content content = {
        .list = buffer_view(&list), .timestamp = nonce, .compress_from = SIZE_MAX};
    if (server->options.lie == LIE_HMAC) {
        agent->sealing.hmac_key[0] ^= 1;
    }
    CHECK(seal_packet(&server->tools, &agent->sealing, &content, out) == 0);
    if (server->options.lie == LIE_HMAC) {
        agent->sealing.hmac_key[0] ^= 1;
    }
    buffer_done(&list);
    if (server->options.lie == LIE_REPLAY && agent->first_answer.data == NULL) {
        agent->first_answer = str_make(str_dup(buffer_view(out)), buffer_size(out));
    } else if (server->options.lie == LIE_REPLAY) {
        buffer_clear(out);
        CHECK(buffer_append(out, agent->first_answer) == 0);
    }
}

/* Reads the poll, as a server that checks no signatures. */
static void answer_poll(struct flood_server *server, struct str body, struct buffer *out)
{
    struct packet packet;
    struct claim claim;
    enum wire_reason reason = WIRE_NO_REASON;
    CHECK(packet_parse(&server->tools, body, 3, &packet, &reason) == 0);
    CHECK(packet_unwrap(&server->tools, &packet, server->key, PACKET_FROM_AGENT, &claim, &reason) ==
          0);
    CHECK(packet_open(&server->tools, &packet, &claim.session, &server->limits, &server->bundle,
                      &reason) == 0);
    server->messages += server->bundle.count;
    seal_answer(server, find_agent(server, claim.session.source), out);
}

static void send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes = str_skip(bytes, (size_t)n);
    }
}

static void send_answer(int fd, unsigned status, struct str body, size_t cut)
{
    char head[128];
    int len = snprintf(head, sizeof head, "HTTP/1.1 %u Whatever\r\nContent-Length: %zu\r\n\r\n",
                       status, body.len);
    struct buffer all;
    buffer_init(&all, BODY_MAX);
    CHECK(buffer_append(&all, str_make(head, (size_t)len)) == 0);
    CHECK(buffer_append(&all, str_first(body, body.len - cut)) == 0);
    send_all(fd, buffer_view(&all));
    buffer_done(&all);
}

static usec_t choose_delay(struct flood_server *server)
{
    bool is_first = !server->was_slow && server->options.first_delay > 0;
    server->was_slow = true;
    return is_first ? server->options.first_delay : server->options.delay;
}

/* A bucket of tokens: what it holds at most is the burst. */
static bool is_too_fast(struct flood_server *server)
{
    const struct flood_server_options *options = &server->options;
    usec_t now = clock_monotonic(&clock_system);
    double fresh = (double)(now - server->filled) * options->rate / USEC_PER_SEC;
    server->tokens = fmin(options->burst, server->tokens + fresh);
    server->filled = now;
    bool is_short = options->rate > 0 && server->tokens < 1;
    server->tokens -= !is_short;
    return is_short;
}

/* False: the connection ends. */
static bool serve_poll(struct flood_server *server, int fd, struct str body)
{
    struct buffer out;
    enum lie lie = server->options.lie;
    usec_t begin = clock_monotonic(&clock_system);
    buffer_init(&out, BODY_MAX);
    pthread_mutex_lock(&server->lock);
    answer_poll(server, body, &out);
    usec_t delay = choose_delay(server);
    bool refuses = lie == LIE_REFUSAL || is_too_fast(server);
    pthread_mutex_unlock(&server->lock);
    if (delay > 0) {
        sleep_for(delay);
    }
    pthread_mutex_lock(&server->lock);
    histogram_record(&server->delays, clock_monotonic(&clock_system) - begin);
    pthread_mutex_unlock(&server->lock);
    if (refuses || lie == LIE_STRANGER) {
        send_answer(fd, refuses ? 503 : 406, STR("no"), 0);
    } else if (lie == LIE_GARBAGE) {
        send_answer(fd, 200, STR("<html>welcome</html>"), 0);
    } else {
        send_answer(fd, 200, buffer_view(&out), lie == LIE_CUT ? 10 : 0);
    }
    buffer_done(&out);
    return lie != LIE_CUT;
}

/* ---- Connections ---- */

static bool serve(struct flood_server *server, int fd, const struct http1_request *request,
                  struct str body)
{
    if (request->method_id == HTTP1_GET) {
        pthread_mutex_lock(&server->lock);
        bool is_first = !server->was_met || server->options.lie < LIE_PAGE_SIGNER;
        server->was_met = true;
        pthread_mutex_unlock(&server->lock);
        send_answer(fd, 200, buffer_view(is_first ? &server->pem : &server->later), 0);
        return true;
    }
    return serve_poll(server, fd, body);
}

static bool receive(int fd, struct buffer *in)
{
    CHECK(buffer_reserve(in, 65536) == 0);
    ssize_t n = recv(fd, buffer_tail(in), buffer_room(in), 0);
    if (n > 0) {
        buffer_commit(in, (size_t)n);
    }
    return n > 0;
}

static bool serve_next(struct flood_server *server, int fd, struct buffer *in)
{
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    struct http1_request request;
    struct http1_refusal refusal;
    ssize_t head;
    http1_request_init(&request, fields);
    while ((head = http1_request_parse(&request, &limits, buffer_view(in), &refusal)) == 0) {
        if (!receive(fd, in)) {
            return false;
        }
    }
    CHECK(head > 0);
    size_t len = request.head.framing == HTTP1_BODY_LENGTH ? request.head.body_bytes : 0;
    while (buffer_size(in) < (size_t)head + len) {
        if (!receive(fd, in)) {
            return false;
        }
    }
    bool goes_on =
        serve(server, fd, &request, str_first(str_skip(buffer_view(in), (size_t)head), len));
    buffer_consume(in, (size_t)head + len);
    return goes_on;
}

static void *visit(void *argument)
{
    struct visit *visit = argument;
    struct buffer in;
    buffer_init(&in, BODY_MAX);
    while (serve_next(visit->server, visit->fd, &in)) {
    }
    shutdown(visit->fd, SHUT_RDWR);
    buffer_done(&in);
    free(visit);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct flood_server *server = argument;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        struct visit *next = malloc(sizeof *next);
        CHECK(next != NULL && server->connection_count < CONNECTIONS_MAX);
        *next = (struct visit){.server = server, .fd = fd};
        size_t number = server->connection_count++;
        server->sockets[number] = fd;
        CHECK(pthread_create(&server->connections[number], NULL, visit, next) == 0);
    }
    return NULL;
}

/* ---- Its life ---- */

static void certify(struct flood_server *server, const struct rsa_key *signer,
                    const struct rsa_key *subject, uint64_t serial, usec_t until,
                    struct buffer *pem)
{
    usec_t now = clock_wall(&clock_system);
    const struct certificate_wish wish = {.common_name = "grr",
                                          .serial = serial,
                                          .not_before = now - 2 * USEC_PER_DAY,
                                          .not_after = now + until};
    buffer_init(pem, RSA_PEM_BYTES_MAX);
    if (signer == subject) {
        CHECK(authority_make(signer, &wish, pem) == 0);
        return;
    }
    struct authority *authority;
    CHECK(authority_open(signer, buffer_view(&server->authority_pem), &authority) == 0);
    CHECK(authority_certify(authority, subject, &wish, pem) == 0);
    authority_free(authority);
}

static void make_certificates(struct flood_server *server)
{
    enum lie lie = server->options.lie;
    CHECK(rsa_generate(1024, NULL, &server->key) == 0);
    CHECK(rsa_generate(1024, NULL, &server->other) == 0);
    CHECK(rsa_generate(1024, NULL, &server->authority) == 0);
    certify(server, server->authority, server->authority, 1, USEC_PER_DAY, &server->authority_pem);
    certify(server, server->authority, server->key, 2, USEC_PER_DAY, &server->pem);
    certify(server, lie == LIE_PAGE_SIGNER ? server->key : server->authority,
            lie == LIE_PAGE_KEY ? server->other : server->key,
            lie == LIE_PAGE_SERIAL    ? 1
            : lie == LIE_PAGE_RENEWED ? 3
                                      : 2,
            lie == LIE_PAGE_DATES ? -USEC_PER_DAY : USEC_PER_DAY, &server->later);
    if (lie == LIE_PAGE_GARBAGE) {
        buffer_clear(&server->later);
        CHECK(buffer_append(&server->later, STR("-----BEGIN NOTHING-----\n")) == 0);
    }
}

static void learn_agents(struct flood_server *server)
{
    size_t count = identities_count(server->options.identities);
    server->agent_count = count < AGENTS_MAX ? count : AGENTS_MAX;
    for (size_t i = 0; i < server->agent_count; i++) {
        struct known_agent *agent = &server->agents[i];
        CHECK(identities_key(server->options.identities, i, &agent->key) == 0);
        agent->id = *rsa_key_client_id(agent->key);
    }
}

static void listen_somewhere(struct flood_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(server->listener >= 0);
    CHECK(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(server->listener, 128) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
}

struct flood_server *flood_server_start(const struct flood_server_options *options)
{
    struct flood_server *server = calloc(1, sizeof *server);
    CHECK(server != NULL);
    server->options = *options;
    server->limits = PACKET_LIMITS_DEFAULT;
    pthread_mutex_init(&server->lock, NULL);
    CHECK(wire_tools_init(&server->tools) == 0);
    bundle_init(&server->bundle, &server->limits);
    make_certificates(server);
    learn_agents(server);
    listen_somewhere(server);
    CHECK(pthread_create(&server->thread, NULL, accept_all, server) == 0);
    return server;
}

void flood_server_stop(struct flood_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (size_t i = 0; i < server->connection_count; i++) {
        shutdown(server->sockets[i], SHUT_RDWR);
        pthread_join(server->connections[i], NULL);
        close(server->sockets[i]);
    }
    for (size_t i = 0; i < server->agent_count; i++) {
        rsa_key_free(server->agents[i].key);
        free((void *)(uintptr_t)server->agents[i].first_answer.data);
    }
    rsa_key_free(server->key);
    rsa_key_free(server->other);
    rsa_key_free(server->authority);
    buffer_done(&server->authority_pem);
    buffer_done(&server->pem);
    buffer_done(&server->later);
    bundle_done(&server->bundle);
    wire_tools_done(&server->tools);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

struct str flood_server_authority(const struct flood_server *server)
{
    return buffer_view(&server->authority_pem);
}

uint16_t flood_server_port(const struct flood_server *server)
{
    return server->port;
}

const struct histogram *flood_server_delays(const struct flood_server *server)
{
    return &server->delays;
}

unsigned flood_server_messages(const struct flood_server *server)
{
    return server->messages;
}
