/* SPDX-License-Identifier: Apache-2.0 */
/* What the TLS server refuses, and how connections end that should not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls_pair.h"

TestSuite(tls_refusals, .init = make_certificates, .fini = free_certificates);

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

Test(tls_refusals, refuses_version_1_1)
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

Test(tls_refusals, refuses_ciphers_without_forward_secrecy)
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

Test(tls_refusals, ends_a_connection_that_asks_for_renegotiation)
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

Test(tls_refusals, refuses_other_protocols_by_alert)
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

Test(tls_refusals, refuses_what_is_no_hello)
{
    check_hello(STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http request");
    check_hello(STR("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"), "wrong version number");
    check_hello(STR("\x16\x03"), "the peer ended the connection without a close_notify");
}

Test(tls_refusals, tells_truncation_from_the_end)
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
Test(tls_refusals, fails_to_write_to_a_closed_peer_without_a_signal)
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
