/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS connection in one thread. */
#include "tls_pair.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

struct certificate *authority, *site, *other, *agent;

void make_certificates(void)
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

void free_certificates(void)
{
    certificate_free(authority);
    certificate_free(site);
    certificate_free(other);
    certificate_free(agent);
}

struct tls_pem text_of(const char *pem)
{
    return (struct tls_pem){.text = str_from(pem)};
}

struct tls_identity identity_of(const struct certificate *certificate)
{
    return (struct tls_identity){text_of(certificate_pem(certificate)),
                                 text_of(certificate_key_pem(certificate))};
}

struct tls_context *new_server(struct tls_tickets *tickets)
{
    struct error error;
    struct tls_identity identities[] = {identity_of(site), identity_of(other)};
    struct tls_server_options options = {
        .identities = identities, .identity_count = 2, .tickets = tickets, .alpn_http1 = true};
    struct tls_context *context = tls_server_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    return context;
}

struct tls_context *new_client_with(const struct certificate *trusted,
                                    const struct tls_identity *identity)
{
    struct error error;
    struct tls_client_options options = {
        .authorities = text_of(certificate_pem(trusted)), .identity = identity, .alpn_http1 = true};
    struct tls_context *context = tls_client_context_new(&options, &error);
    cr_assert_not_null(context, "%s", error.message);
    return context;
}

struct tls_context *new_client(void)
{
    return new_client_with(authority, NULL);
}

void pair_init(struct pair *pair, struct tls_context *server, struct tls_context *client,
               const char *name, const struct tls_session *session)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tls_accept(&pair->server, server, fds[0]), 0);
    cr_assert_eq(tls_connect(&pair->client, client, fds[1], name, session), 0);
}

void pair_done(struct pair *pair)
{
    transport_close(&pair->client);
    transport_close(&pair->server);
    cr_assert_eq(ERR_peek_error(), 0, "something was left in OpenSSL's error queue");
}

void shake_hands(struct pair *pair, enum io *server, enum io *client)
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

void connect_pair(struct pair *pair, struct tls_context *server, struct tls_context *client,
                  const char *name, const struct tls_session *session)
{
    enum io server_io;
    enum io client_io;
    pair_init(pair, server, client, name, session);
    shake_hands(pair, &server_io, &client_io);
    cr_assert_eq(client_io, IO_OK, "%s", transport_reason(&pair->client));
    cr_assert_eq(server_io, IO_OK, "%s", transport_reason(&pair->server));
}

void check_transfer(struct transport *from, struct transport *to, const char *text, size_t piece)
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

void check_goodbye(struct transport *from, struct transport *to)
{
    char byte;
    size_t count;
    cr_assert_eq(transport_shutdown(from), IO_OK);
    cr_assert_eq(transport_read(to, &byte, 1, &count), IO_EOF);
}

struct tls_session *visit(struct tls_context *server, struct tls_context *client,
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

struct tls_context *new_strict_server(struct tls_tickets *tickets)
{
    struct tls_identity identity = identity_of(site);
    struct tls_server_options options = {.identities = &identity,
                                         .identity_count = 1,
                                         .tickets = tickets,
                                         .client_authorities = text_of(certificate_pem(authority)),
                                         .client_certificate_required = true};
    return tls_server_context_new(&options, NULL);
}
