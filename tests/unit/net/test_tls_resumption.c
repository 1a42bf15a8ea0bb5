/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS remembers of a client, and what it must not: tickets and client certificates. */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "tls_pair.h"

TestSuite(tls_resumption, .init = make_certificates, .fini = free_certificates);

/* ---- Resumption ---- */

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

Test(tls_resumption, resumes_version_1_2_also_after_a_reload)
{
    check_resumption(TLS1_2_VERSION);
}

Test(tls_resumption, resumes_version_1_3_also_after_a_reload)
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

Test(tls_resumption, contexts_serve_several_threads)
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

Test(tls_resumption, gives_no_tickets_without_keys_for_them)
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

Test(tls_resumption, connections_outlive_their_context)
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

Test(tls_resumption, tells_the_fingerprint_of_a_client_certificate)
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

Test(tls_resumption, does_not_let_a_ticket_stand_for_a_client_certificate)
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
