/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges over sockets of this machine, seen from the other end. */
#include "client.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/loop.h"
#include "net/tls_context.h"
#include "support/certificates.h"
#include "support/support.h"
#include "target.h"

enum { EXCHANGES = 40, PORTS = 10 };

/* Answers one request on each of EXCHANGES connections, and remembers where they came from. */
struct greeter {
    int listener;
    uint16_t port;
    pthread_t thread;
    in_addr_t peers[EXCHANGES];
};

static void *greet(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct greeter *greeter = argument;
    for (int i = 0; i < EXCHANGES; i++) {
        char in[512];
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int fd = accept(greeter->listener, (struct sockaddr *)&peer, &len);
        CHECK(fd >= 0);
        greeter->peers[i] = peer.sin_addr.s_addr;
        if (recv(fd, in, sizeof in, 0) > 0) {
            (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static void greeter_start(struct greeter *greeter)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    greeter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(greeter->listener, (struct sockaddr *)&address, len) == 0);
    CHECK(listen(greeter->listener, 16) == 0);
    CHECK(getsockname(greeter->listener, (struct sockaddr *)&address, &len) == 0);
    greeter->port = ntohs(address.sin_port);
    CHECK(pthread_create(&greeter->thread, NULL, greet, greeter) == 0);
}

static size_t count_peers(const struct greeter *greeter)
{
    size_t count = 0;
    for (int i = 0; i < EXCHANGES; i++) {
        int k = 0;
        while (k < i && greeter->peers[k] != greeter->peers[i]) {
            k++;
        }
        count += k == i;
    }
    return count;
}

struct visit {
    struct exchange exchange;
    struct client *client;
    struct loop *loop;
    int left;
};

static void on_answer(struct exchange *exchange, enum fault fault)
{
    struct visit *visit = CONTAINER_OF(exchange, struct visit, exchange);
    cr_assert_eq(fault, FAULT_NONE, "%s", fault_name(fault));
    cr_assert_eq(exchange->status, 200);
    if (--visit->left > 0) {
        exchange_start(visit->client, exchange);
    } else {
        loop_stop(visit->loop);
    }
}

Test(client, many_connections_come_from_many_addresses, .timeout = 30)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct greeter greeter;
    struct target target;
    char url[64];
    greeter_start(&greeter);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", greeter.port);
    CHECK(target_parse(str_from(url), &target, NULL) == 0);
    struct visit visit = {.exchange = {.head = str_make(head, sizeof head - 1),
                                       .method = HTTP1_GET,
                                       .timeout = 20 * USEC_PER_SEC,
                                       .is_alone = true,
                                       .done = on_answer},
                          .loop = loop_new(&clock_system, NULL),
                          .left = EXCHANGES};
    const struct client_options options = {.loop = visit.loop,
                                           .target = &target,
                                           .connections_max = 4,
                                           .answer_max = 1024,
                                           .ports_of_address = PORTS};
    visit.client = client_new(&options);
    exchange_start(visit.client, &visit.exchange);
    cr_assert_eq(loop_run(visit.loop), 0);
    pthread_join(greeter.thread, NULL);
    cr_expect_eq(client_counters(visit.client)->connections, EXCHANGES);
    cr_expect_eq(count_peers(&greeter), EXCHANGES / PORTS);
    client_free(visit.client);
    loop_free(visit.loop);
    close(greeter.listener);
}

/* ---- Ends without a goodbye, over TLS ---- */

enum leave { LEAVE_AT_ONCE, LEAVE_SILENT, LEAVE_WITHIN };

/* Takes one connection, and leaves it without a close_notify. */
struct leaver {
    int listener;
    uint16_t port;
    SSL_CTX *context;
    enum leave how;
    pthread_t thread;
};

static SSL_CTX *make_context(const struct certificate *certificate)
{
    BIO *pem = BIO_new_mem_buf(certificate_pem(certificate), -1);
    BIO *key_pem = BIO_new_mem_buf(certificate_key_pem(certificate), -1);
    X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_pem, NULL, NULL, NULL);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    CHECK(leaf != NULL && key != NULL && context != NULL);
    CHECK(SSL_CTX_use_certificate(context, leaf) == 1);
    CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(leaf);
    EVP_PKEY_free(key);
    BIO_free(pem);
    BIO_free(key_pem);
    return context;
}

static void *leave(void *argument)
{
    static const char part[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
    struct leaver *leaver = argument;
    char in[8192];
    int fd = accept(leaver->listener, NULL, NULL);
    CHECK(fd >= 0);
    SSL *ssl = SSL_new(leaver->context);
    SSL_set_fd(ssl, fd);
    if (leaver->how == LEAVE_AT_ONCE) {
        CHECK(recv(fd, in, sizeof in, 0) > 0);
    } else {
        CHECK(SSL_accept(ssl) == 1);
        CHECK(SSL_read(ssl, in, sizeof in) > 0);
    }
    if (leaver->how == LEAVE_WITHIN) {
        CHECK(SSL_write(ssl, part, sizeof part - 1) > 0);
    }
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void leaver_start(struct leaver *leaver, const struct certificate *certificate)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    leaver->context = make_context(certificate);
    leaver->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(leaver->listener, (struct sockaddr *)&address, len) == 0);
    CHECK(listen(leaver->listener, 1) == 0);
    CHECK(getsockname(leaver->listener, (struct sockaddr *)&address, &len) == 0);
    leaver->port = ntohs(address.sin_port);
    CHECK(pthread_create(&leaver->thread, NULL, leave, leaver) == 0);
}

static void leaver_stop(struct leaver *leaver)
{
    pthread_join(leaver->thread, NULL);
    close(leaver->listener);
    SSL_CTX_free(leaver->context);
}

struct attempt {
    struct exchange exchange;
    struct loop *loop;
    enum fault fault;
};

static void on_end(struct exchange *exchange, enum fault fault)
{
    struct attempt *attempt = CONTAINER_OF(exchange, struct attempt, exchange);
    attempt->fault = fault;
    loop_stop(attempt->loop);
}

static enum fault ask(uint16_t port, struct tls_context *tls)
{
    struct target target;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", port);
    CHECK(target_parse(str_from(url), &target, NULL) == 0);
    struct attempt attempt = {.exchange = {.head = STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                           .method = HTTP1_GET,
                                           .timeout = 20 * USEC_PER_SEC,
                                           .done = on_end},
                              .loop = loop_new(&clock_system, NULL)};
    const struct client_options options = {.loop = attempt.loop,
                                           .target = &target,
                                           .tls = tls,
                                           .connections_max = 1,
                                           .answer_max = 1024};
    struct client *client = client_new(&options);
    exchange_start(client, &attempt.exchange);
    cr_assert_eq(loop_run(attempt.loop), 0);
    client_free(client);
    loop_free(attempt.loop);
    return attempt.fault;
}

static enum fault see(enum leave how)
{
    const struct certificate_wish wish = {
        .common_name = "127.0.0.1", .names = "IP:127.0.0.1", .is_authority = true};
    struct certificate *certificate = certificate_new(&wish);
    struct leaver leaver = {.how = how};
    leaver_start(&leaver, certificate);
    const struct tls_client_options options = {
        .authorities = {.text = str_from(certificate_pem(certificate))}};
    struct tls_context *tls = tls_client_context_new(&options, NULL);
    CHECK(tls != NULL);
    enum fault fault = ask(leaver.port, tls);
    leaver_stop(&leaver);
    tls_context_unref(tls);
    certificate_free(certificate);
    return fault;
}

static void expect_fault(enum leave how, enum fault expected)
{
    enum fault fault = see(how);
    cr_expect_eq(fault, expected, "%s", fault_name(fault));
}

Test(client, only_an_end_within_the_handshake_is_a_failure_of_tls, .timeout = 30)
{
    expect_fault(LEAVE_AT_ONCE, FAULT_TLS);
    expect_fault(LEAVE_SILENT, FAULT_CLOSED);
    expect_fault(LEAVE_WITHIN, FAULT_TRUNCATED);
}
