/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and plain transports: both ends in one thread, over a socket pair. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/socket.h"
#include "net/tls.h"
#include "support/certificates.h"
#include "support/support.h"

static struct certificate *authority;
static struct certificate *site;  /* a.test and *.wild.test */
static struct certificate *other; /* b.test by common name, RSA */
static struct certificate *agent;

static void make_certificates(void)
{
    authority =
        certificate_new(&(struct certificate_wish){.common_name = "CA", .is_authority = true});
    site = certificate_new(
        &(struct certificate_wish){.common_name = "ignored.test",
                                   .names = "DNS:a.test,DNS:*.wild.test,IP:127.0.0.1",
                                   .issuer = authority});
    other = certificate_new(
        &(struct certificate_wish){.common_name = "b.test", .issuer = authority, .is_rsa = true});
    agent =
        certificate_new(&(struct certificate_wish){.common_name = "agent", .issuer = authority});
}

static void free_certificates(void)
{
    certificate_free(authority);
    certificate_free(site);
    certificate_free(other);
    certificate_free(agent);
}

TestSuite(tls, .init = make_certificates, .fini = free_certificates);

static struct tls_pem text_of(const char *pem)
{
    return (struct tls_pem){.text = str_from(pem)};
}

static struct tls_identity identity_of(const struct certificate *certificate)
{
    return (struct tls_identity){text_of(certificate_pem(certificate)),
                                 text_of(certificate_key_pem(certificate))};
}

/* A server with both certificates, the first is a.test's. */
static struct tls_context *new_server(struct tls_tickets *tickets)
{
    struct error error;
    struct tls_identity identities[] = {identity_of(site), identity_of(other)};
    struct tls_server_options options = {
        .identities = identities, .identity_count = 2, .tickets = tickets, .alpn_http1 = true};
    struct tls_context *context = tls_server_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    return context;
}

static struct tls_context *new_client_with(const struct certificate *trusted,
                                           const struct tls_identity *identity)
{
    struct error error;
    struct tls_client_options options = {
        .authorities = text_of(certificate_pem(trusted)), .identity = identity, .alpn_http1 = true};
    struct tls_context *context = tls_client_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    return context;
}

static struct tls_context *new_client(void)
{
    return new_client_with(authority, NULL);
}

struct pair {
    struct transport server, client;
};

static void pair_init(struct pair *pair, struct tls_context *server, struct tls_context *client,
                      const char *name, const struct tls_session *session)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tls_accept(&pair->server, server, fds[0]), 0);
    cr_assert_eq(tls_connect(&pair->client, client, fds[1], name, session), 0);
}

static void pair_done(struct pair *pair)
{
    transport_close(&pair->client);
    transport_close(&pair->server);
    cr_assert_eq(ERR_peek_error(), 0, "something was left in OpenSSL's error queue");
}

/* Both ends in turn until both came to an end. */
static void shake_hands(struct pair *pair, enum io *server, enum io *client)
{
    *server = *client = IO_AGAIN;
    for (int i = 0; i < 100 && (*server == IO_AGAIN || *client == IO_AGAIN); i++) {
        if (*client == IO_AGAIN) {
            *client = transport_handshake(&pair->client);
        }
        if (*server == IO_AGAIN) {
            *server = transport_handshake(&pair->server);
        }
        if (*client == IO_FAIL) {
            shutdown(pair->client.fd, SHUT_WR);
        }
        if (*server == IO_FAIL) {
            shutdown(pair->server.fd, SHUT_WR);
        }
    }
}

static void connect_pair(struct pair *pair, struct tls_context *server, struct tls_context *client,
                         const char *name, const struct tls_session *session)
{
    enum io server_io;
    enum io client_io;
    pair_init(pair, server, client, name, session);
    shake_hands(pair, &server_io, &client_io);
    cr_assert_eq(client_io, IO_OK, "%s", transport_reason(&pair->client));
    cr_assert_eq(server_io, IO_OK, "%s", transport_reason(&pair->server));
}

static void check_transfer(struct transport *from, struct transport *to, const char *text,
                           size_t piece)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += piece) {
        char data[64];
        size_t count = 0;
        size_t size = len - at < piece ? len - at : piece;
        cr_assert_eq(transport_write(from, text + at, size, &count), IO_OK);
        cr_assert_eq(count, size);
        cr_assert_eq(transport_read(to, data, sizeof data, &count), IO_OK, "%s",
                     transport_reason(to));
        cr_assert_eq(count, size);
        cr_assert_arr_eq(data, text + at, size);
        cr_assert_eq(transport_read(to, data, sizeof data, &count), IO_AGAIN);
        cr_assert_eq(transport_wants(to), WATCH_READ);
        cr_assert_not(transport_has_pending(to));
    }
}

static void check_goodbye(struct transport *from, struct transport *to)
{
    char byte;
    size_t count;
    cr_assert_eq(transport_shutdown(from), IO_OK);
    cr_assert_eq(transport_read(to, &byte, 1, &count), IO_EOF);
}

Test(tls, carries_bytes_both_ways_one_by_one)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    connect_pair(&pair, server, client, "a.test", NULL);
    cr_assert_str_eq(tls_version(&pair.server), "TLSv1.3");
    cr_assert_str_eq(tls_server_name(&pair.server), "a.test");
    cr_assert(tls_chose_http1(&pair.server) && tls_chose_http1(&pair.client));
    check_transfer(&pair.client, &pair.server, "POST /control HTTP/1.1\r\n", 1);
    check_transfer(&pair.server, &pair.client, "HTTP/1.1 200 OK\r\n", 1);
    check_goodbye(&pair.client, &pair.server);
    check_transfer(&pair.server, &pair.client, "half-closed", 3);
    check_goodbye(&pair.server, &pair.client);
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(transport, that_is_plain_acts_the_same)
{
    struct pair pair;
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    transport_init_plain(&pair.server, fds[0]);
    transport_init_plain(&pair.client, fds[1]);
    cr_assert_eq(transport_handshake(&pair.server), IO_OK);
    check_transfer(&pair.client, &pair.server, "POST /control", 1);
    check_goodbye(&pair.client, &pair.server);
    check_transfer(&pair.server, &pair.client, "half-closed", 3);
    transport_close(&pair.client);
    size_t count;
    cr_assert_eq(transport_write(&pair.server, "x", 1, &count), IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.server), "Broken pipe");
    transport_close(&pair.server);
    transport_close(&pair.server); /* twice is fine */
}

/* Fill the connection until it says again, drain the other end, go on; compare every byte. */
Test(tls, moves_a_megabyte_through_back_pressure)
{
    enum { SIZE = 1 << 20 };
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    connect_pair(&pair, server, client, "a.test", NULL);
    char *sent = malloc(SIZE);
    char *got = malloc(SIZE);
    uint64_t seed = 7;
    for (int i = 0; i < SIZE; i++) {
        sent[i] = (char)next_random(&seed);
    }
    size_t written = 0;
    size_t read = 0;
    while (read < SIZE) {
        size_t count = 0;
        enum io io = IO_OK;
        while (written < SIZE && io == IO_OK) {
            size_t left = SIZE - written;
            size_t first = left < 100 ? left : 100;
            size_t second = left - first < 50000 ? left - first : 50000;
            struct iovec parts[] = {
                {sent + written, first}, {NULL, 0}, {sent + written + first, second}};
            io = transport_writev(&pair.server, parts, 3, &count);
            written += io == IO_OK ? count : 0;
        }
        cr_assert(io == IO_OK || (io == IO_AGAIN && transport_wants(&pair.server) == WATCH_WRITE));
        while (read < SIZE &&
               (io = transport_read(&pair.client, got + read, SIZE - read, &count)) == IO_OK) {
            read += count;
        }
        cr_assert(io == IO_OK || io == IO_AGAIN);
    }
    cr_assert_arr_eq(sent, got, SIZE);
    free(sent);
    free(got);
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, knows_of_bytes_that_were_read_ahead)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    char byte;
    size_t count;
    connect_pair(&pair, server, client, "a.test", NULL);
    cr_assert_eq(transport_write(&pair.client, "ab", 2, &count), IO_OK);
    cr_assert_eq(transport_write(&pair.client, "c", 1, &count), IO_OK);
    for (int left = 2; left >= 0; left--) {
        cr_assert_eq(transport_read(&pair.server, &byte, 1, &count), IO_OK);
        cr_assert_eq(transport_has_pending(&pair.server), left > 0);
    }
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* One byte from one descriptor to the other; false when there was none. */
static bool carry_a_byte(int from, int to)
{
    char byte;
    size_t count;
    return socket_read(from, &byte, 1, &count) == IO_OK &&
           socket_write(to, &byte, 1, &count) == IO_OK;
}

Test(tls, shakes_hands_with_a_peer_whose_bytes_drip_in)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    int near[2];
    int far[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, near), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, far), 0);
    cr_assert_eq(tls_accept(&pair.server, server, near[0]), 0);
    cr_assert_eq(tls_connect(&pair.client, client, far[0], "a.test", NULL), 0);
    enum io server_io = IO_AGAIN;
    enum io client_io = IO_AGAIN;
    bool moved = true;
    while (moved) {
        client_io = transport_handshake(&pair.client);
        server_io = transport_handshake(&pair.server);
        cr_assert(client_io != IO_FAIL && server_io != IO_FAIL);
        moved = carry_a_byte(far[1], near[1]);
        moved = carry_a_byte(near[1], far[1]) || moved;
    }
    cr_assert(client_io == IO_OK && server_io == IO_OK);
    pair_done(&pair);
    close(near[1]);
    close(far[1]);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* ---- Names ---- */

static void check_name(const char *name, bool trusted)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    enum io server_io;
    enum io client_io;
    pair_init(&pair, server, client, name, NULL);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(client_io == IO_OK, trusted, "%s: %s", name, transport_reason(&pair.client));
    if (!trusted) {
        cr_assert_not_null(strstr(transport_reason(&pair.client), "mismatch"), "%s",
                           transport_reason(&pair.client));
    }
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, chooses_the_certificate_by_name)
{
    check_name("a.test", true);
    check_name("A.TEST", true);
    check_name("b.test", true); /* by common name */
    check_name("x.wild.test", true);
    check_name("127.0.0.1", true);
}

Test(tls, refuses_a_certificate_for_another_name)
{
    check_name("c.test", false);
    check_name("wild.test", false);
    check_name("x.y.wild.test", false);
    check_name("127.0.0.2", false);
}

Test(tls, refuses_an_unknown_authority)
{
    struct certificate *stranger =
        certificate_new(&(struct certificate_wish){.common_name = "CA2", .is_authority = true});
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client_with(stranger, NULL);
    struct pair pair;
    enum io server_io;
    enum io client_io;
    pair_init(&pair, server, client, "a.test", NULL);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(client_io, IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.client), "unable to get local issuer certificate");
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
    certificate_free(stranger);
}

/* ---- Resumption ---- */

/* With TLS 1.3 the ticket comes with the first bytes. */
static struct tls_session *visit(struct tls_context *server, struct tls_context *client,
                                 const struct tls_session *session, bool resumed)
{
    struct pair pair;
    connect_pair(&pair, server, client, "a.test", session);
    cr_assert_eq(tls_is_resumed(&pair.server), resumed);
    cr_assert_eq(tls_is_resumed(&pair.client), resumed);
    check_transfer(&pair.server, &pair.client, "hello", 5);
    struct tls_session *taken = tls_take_session(&pair.client);
    pair_done(&pair);
    return taken;
}

static void limit_version(struct tls_context *context, int version)
{
    cr_assert_eq(SSL_CTX_set_max_proto_version(tls_context_ssl(context), version), 1);
}

static void check_resumption(int version)
{
    struct clock_fake fake;
    clock_fake_init(&fake, USEC_PER_DAY, 0);
    struct tls_tickets *tickets = tls_tickets_new(&fake.clock, TLS_TICKETS_PERIOD);
    struct tls_context *server = new_server(tickets);
    struct tls_context *reloaded = new_server(tickets);
    struct tls_context *client = new_client();
    limit_version(client, version);

    struct tls_session *first = visit(server, client, NULL, false);
    cr_assert_not_null(first);
    tls_session_free(visit(server, client, first, true));
    tls_session_free(visit(reloaded, client, first, true));

    clock_fake_advance(&fake, TLS_TICKETS_PERIOD + USEC_PER_MINUTE);
    struct tls_session *renewed = visit(server, client, first, true);
    cr_assert_not_null(renewed, "an old key still opens, and gives a fresh ticket");
    clock_fake_advance(&fake, TLS_TICKETS_PERIOD);
    tls_session_free(visit(server, client, first, false));
    tls_session_free(visit(server, client, renewed, true));

    tls_session_free(first);
    tls_session_free(renewed);
    tls_context_unref(client);
    tls_context_unref(reloaded);
    tls_context_unref(server);
    tls_tickets_unref(tickets);
}

Test(tls, resumes_version_1_2_also_after_a_reload)
{
    check_resumption(TLS1_2_VERSION);
}

Test(tls, resumes_version_1_3_also_after_a_reload)
{
    check_resumption(TLS1_3_VERSION);
}

struct visitor {
    pthread_t thread;
    struct tls_context *server, *client;
};

static void *visit_often(void *context)
{
    struct visitor *visitor = context;
    for (int i = 0; i < 5; i++) {
        struct tls_session *session = visit(visitor->server, visitor->client, NULL, false);
        tls_session_free(visit(visitor->server, visitor->client, session, true));
        tls_session_free(session);
    }
    return NULL;
}

Test(tls, contexts_serve_several_threads)
{
    struct tls_tickets *tickets = tls_tickets_new(&clock_system, TLS_TICKETS_PERIOD);
    struct tls_context *server = new_server(tickets);
    struct tls_context *client = new_client();
    struct visitor visitors[4];
    for (size_t i = 0; i < ARRAY_LEN(visitors); i++) {
        visitors[i] = (struct visitor){.server = server, .client = client};
        pthread_create(&visitors[i].thread, NULL, visit_often, &visitors[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(visitors); i++) {
        pthread_join(visitors[i].thread, NULL);
    }
    tls_context_unref(client);
    tls_context_unref(server);
    tls_tickets_unref(tickets);
}

Test(tls, gives_no_tickets_without_keys_for_them)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    cr_assert_null(visit(server, client, NULL, false));
    limit_version(client, TLS1_2_VERSION);
    struct tls_session *session = visit(server, client, NULL, false);
    tls_session_free(visit(server, client, session, false));
    tls_session_free(session);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, connections_outlive_their_context)
{
    struct tls_tickets *tickets = tls_tickets_new(&clock_system, TLS_TICKETS_PERIOD);
    struct tls_context *server = new_server(tickets);
    struct tls_context *client = new_client();
    struct pair pair;
    pair_init(&pair, server, client, "b.test", NULL);
    tls_tickets_unref(tickets);
    tls_context_unref(server);
    tls_context_unref(client);
    enum io server_io;
    enum io client_io;
    shake_hands(&pair, &server_io, &client_io);
    cr_assert(server_io == IO_OK && client_io == IO_OK);
    check_transfer(&pair.server, &pair.client, "hello", 5);
    pair_done(&pair);
}

/* ---- Client certificates ---- */

static struct tls_context *new_strict_server(struct tls_tickets *tickets)
{
    struct tls_identity identity = identity_of(site);
    struct tls_server_options options = {.identities = &identity,
                                         .identity_count = 1,
                                         .tickets = tickets,
                                         .client_authorities = text_of(certificate_pem(authority)),
                                         .client_certificate_required = true};
    return tls_server_context_new(&options, NULL);
}

Test(tls, tells_the_fingerprint_of_a_client_certificate)
{
    struct tls_identity identity = identity_of(agent);
    struct tls_context *server = new_strict_server(NULL);
    struct tls_context *client = new_client_with(authority, &identity);
    struct pair pair;
    uint8_t fingerprint[32] = {0};
    static const uint8_t zero[32];
    connect_pair(&pair, server, client, "a.test", NULL);
    cr_assert(tls_peer_fingerprint(&pair.server, fingerprint));
    cr_assert_arr_neq(fingerprint, zero, 32);
    pair_done(&pair);
    tls_context_unref(client);
    client = new_client();
    enum io server_io;
    enum io client_io;
    pair_init(&pair, server, client, "a.test", NULL);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(server_io, IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.server), "peer did not return a certificate");
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

Test(tls, does_not_let_a_ticket_stand_for_a_client_certificate)
{
    struct tls_tickets *tickets = tls_tickets_new(&clock_system, TLS_TICKETS_PERIOD);
    struct tls_context *lax = new_server(tickets);
    struct tls_context *strict = new_strict_server(tickets);
    struct tls_context *client = new_client();
    limit_version(client, TLS1_2_VERSION);
    struct tls_session *session = visit(lax, client, NULL, false);
    struct pair pair;
    enum io server_io;
    enum io client_io;
    pair_init(&pair, strict, client, "a.test", session);
    shake_hands(&pair, &server_io, &client_io);
    cr_assert_eq(server_io, IO_FAIL);
    pair_done(&pair);
    tls_session_free(session);
    tls_context_unref(client);
    tls_context_unref(strict);
    tls_context_unref(lax);
    tls_tickets_unref(tickets);
}

/* ---- What is refused ---- */

/* A client that our own would never be. */
struct rough_client {
    SSL_CTX *context;
    SSL *ssl;
    struct transport server;
};

static void rough_init(struct rough_client *rough, struct tls_context *server, int version)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tls_accept(&rough->server, server, fds[0]), 0);
    rough->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(rough->context, 0);
    SSL_CTX_set_min_proto_version(rough->context, version);
    SSL_CTX_set_max_proto_version(rough->context, version);
    rough->ssl = SSL_new(rough->context);
    SSL_set_fd(rough->ssl, fds[1]);
    SSL_set_connect_state(rough->ssl);
}

static enum io rough_handshake(struct rough_client *rough)
{
    enum io io = IO_AGAIN;
    for (int i = 0; i < 100 && (io == IO_AGAIN || SSL_in_init(rough->ssl)) && io != IO_FAIL; i++) {
        SSL_do_handshake(rough->ssl);
        io = transport_handshake(&rough->server);
    }
    return io;
}

static void rough_done(struct rough_client *rough)
{
    transport_close(&rough->server);
    close(SSL_get_fd(rough->ssl));
    SSL_free(rough->ssl);
    SSL_CTX_free(rough->context);
    ERR_clear_error();
}

Test(tls, refuses_version_1_1)
{
    struct tls_context *server = new_server(NULL);
    struct rough_client rough;
    rough_init(&rough, server, TLS1_1_VERSION);
    cr_assert_eq(rough_handshake(&rough), IO_FAIL);
    cr_assert_str_eq(transport_reason(&rough.server), "unsupported protocol");
    cr_assert_eq(transport_handshake(&rough.server), IO_FAIL, "and it stays failed");
    rough_done(&rough);
    tls_context_unref(server);
}

Test(tls, refuses_ciphers_without_forward_secrecy)
{
    struct tls_context *server = new_server(NULL);
    struct rough_client rough;
    rough_init(&rough, server, TLS1_2_VERSION);
    cr_assert_eq(
        SSL_set_cipher_list(rough.ssl, "AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:AES256-SHA"), 1);
    cr_assert_eq(rough_handshake(&rough), IO_FAIL);
    cr_assert_str_eq(transport_reason(&rough.server), "no shared cipher");
    rough_done(&rough);
    tls_context_unref(server);
}

Test(tls, ends_a_connection_that_asks_for_renegotiation)
{
    struct tls_context *server = new_server(NULL);
    struct rough_client rough;
    char byte;
    size_t count;
    rough_init(&rough, server, TLS1_2_VERSION);
    cr_assert_eq(rough_handshake(&rough), IO_OK);
    cr_assert_eq(SSL_renegotiate(rough.ssl), 1);
    SSL_do_handshake(rough.ssl);
    cr_assert_eq(transport_read(&rough.server, &byte, 1, &count), IO_FAIL);
    cr_assert_str_eq(transport_reason(&rough.server), "the peer asked for renegotiation");
    rough_done(&rough);
    tls_context_unref(server);
}

Test(tls, refuses_other_protocols_by_alert)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    struct tls_context *server = new_server(NULL);
    struct rough_client rough;
    rough_init(&rough, server, TLS1_3_VERSION);
    SSL_set_alpn_protos(rough.ssl, h2, sizeof h2);
    cr_assert_eq(rough_handshake(&rough), IO_FAIL);
    cr_assert_str_eq(transport_reason(&rough.server), "no application protocol");
    rough_done(&rough);
    tls_context_unref(server);
}

static void check_hello(struct str hello, const char *reason)
{
    struct tls_context *server = new_server(NULL);
    struct transport transport;
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tls_accept(&transport, server, fds[0]), 0);
    cr_assert_eq(write(fds[1], hello.data, hello.len), (ssize_t)hello.len);
    shutdown(fds[1], SHUT_WR);
    cr_assert_eq(transport_handshake(&transport), IO_FAIL);
    cr_assert_str_eq(transport_reason(&transport), reason);
    cr_assert_eq(errno, EPROTO);
    transport_close(&transport);
    cr_assert_eq(ERR_peek_error(), 0);
    close(fds[1]);
    tls_context_unref(server);
}

Test(tls, refuses_what_is_no_hello)
{
    check_hello(STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http request");
    check_hello(STR("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"), "wrong version number");
    check_hello(STR("\x16\x03"), "the peer ended the connection without a close_notify");
}

Test(tls, tells_truncation_from_the_end)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    char byte;
    size_t count;
    connect_pair(&pair, server, client, "a.test", NULL);
    shutdown(pair.client.fd, SHUT_WR);
    cr_assert_eq(transport_read(&pair.server, &byte, 1, &count), IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.server),
                     "the peer ended the connection without a close_notify");
    cr_assert_eq(transport_shutdown(&pair.server), IO_FAIL);
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* SIGPIPE would end the test process. */
Test(tls, fails_to_write_to_a_closed_peer_without_a_signal)
{
    struct tls_context *server = new_server(NULL);
    struct tls_context *client = new_client();
    struct pair pair;
    size_t count;
    connect_pair(&pair, server, client, "a.test", NULL);
    transport_close(&pair.client);
    cr_assert_eq(transport_write(&pair.server, "x", 1, &count), IO_FAIL);
    cr_assert_str_eq(transport_reason(&pair.server), "Broken pipe");
    pair_done(&pair);
    tls_context_unref(client);
    tls_context_unref(server);
}

/* ---- Configuration ---- */

static char *directory;

static void check_refused(struct tls_identity identity, const char *expected)
{
    struct error error = {0};
    struct tls_server_options options = {.identities = &identity, .identity_count = 1};
    cr_assert_null(tls_server_context_new(&options, &error));
    cr_assert_str_eq(error.message, expected);
    cr_assert_eq(ERR_peek_error(), 0);
}

static struct tls_pem file_of(const char *name, const char *content)
{
    return (struct tls_pem){.file = write_file(directory, name, str_from(content))};
}

Test(tls, names_the_file_that_cannot_be_used)
{
    char expected[512];
    directory = make_temporary_directory();
    struct certificate *expired =
        certificate_new(&(struct certificate_wish){.common_name = "x", .starts_in_days = -40});
    struct certificate *future =
        certificate_new(&(struct certificate_wish){.common_name = "x", .starts_in_days = 5});
    char *encrypted = certificate_encrypted_key_pem(site);
    struct tls_pem good = file_of("good.pem", certificate_pem(site));
    struct tls_pem good_key = file_of("good.key", certificate_key_pem(site));
    struct tls_pem other_key = file_of("other.key", certificate_key_pem(other));
    struct tls_pem locked_key = file_of("locked.key", encrypted);
    struct tls_pem old = file_of("old.pem", certificate_pem(expired));
    struct tls_pem new = file_of("new.pem", certificate_pem(future));
    struct tls_pem empty = file_of("empty.pem", "");
    struct tls_pem missing = {.file = "/nonexistent/x.pem"};

    snprintf(expected, sizeof expected, "private key %s does not belong to certificate %s",
             other_key.file, good.file);
    check_refused((struct tls_identity){good, other_key}, expected);
    snprintf(expected, sizeof expected,
             "private key %s is encrypted; it must be stored without password", locked_key.file);
    check_refused((struct tls_identity){good, locked_key}, expected);
    snprintf(expected, sizeof expected, "certificate %s has expired", old.file);
    check_refused((struct tls_identity){old, text_of(certificate_key_pem(expired))}, expected);
    snprintf(expected, sizeof expected, "certificate %s is not valid yet", new.file);
    check_refused((struct tls_identity){new, text_of(certificate_key_pem(future))}, expected);
    snprintf(expected, sizeof expected, "certificate %s: there is no PEM certificate in it",
             empty.file);
    check_refused((struct tls_identity){empty, good_key}, expected);
    snprintf(expected, sizeof expected, "private key %s: there is no usable PEM key in it",
             good.file);
    check_refused((struct tls_identity){good, good}, expected);
    check_refused((struct tls_identity){missing, good_key},
                  "cannot read certificate /nonexistent/x.pem: No such file or directory");
    check_refused((struct tls_identity){good, {0}}, "no private key is given");

    struct tls_identity fine = {good, good_key};
    struct tls_server_options options = {.identities = &fine, .identity_count = 1};
    struct tls_context *context = tls_server_context_new(&options, NULL);
    cr_assert_not_null(context);
    tls_context_unref(context);

    const char *files[] = {good.file, good_key.file, other_key.file, locked_key.file,
                           old.file,  new.file,      empty.file};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        free((char *)(uintptr_t)files[i]);
    }
    free(encrypted);
    certificate_free(expired);
    certificate_free(future);
    remove_temporary_directory(directory);
}

Test(tls, takes_certificate_chain_and_key_from_one_text)
{
    char *text = NULL;
    cr_assert_gt(asprintf(&text, "%s%s%s", certificate_key_pem(site), certificate_pem(site),
                          certificate_pem(authority)),
                 0);
    struct tls_identity identity = {text_of(text), text_of(text)};
    struct tls_server_options options = {.identities = &identity, .identity_count = 1};
    struct error error;
    struct tls_context *context = tls_server_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    tls_context_unref(context);
    free(text);
}
