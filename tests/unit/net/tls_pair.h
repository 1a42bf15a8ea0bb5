/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a TLS connection in one thread, over a socket pair, and the certificates for it.
 * What does not come out as it should fails the test. */
#ifndef PORTICO_TESTS_TLS_PAIR_H
#define PORTICO_TESTS_TLS_PAIR_H

#include "net/loop.h"
#include "net/tls.h"
#include "support/certificates.h"

extern struct certificate *authority, *agent;
extern struct certificate *site;  /* a.test and *.wild.test */
extern struct certificate *other; /* b.test by common name, RSA */

struct pair {
    struct transport server, client;
};

/* For .init and .fini. */
void make_certificates(void);
void free_certificates(void);

struct tls_pem text_of(const char *pem);
struct tls_identity identity_of(const struct certificate *certificate);

/* A server with both certificates, the first is a.test's; one that wants a client's; clients. */
struct tls_context *new_server(struct tls_tickets *tickets);
struct tls_context *new_strict_server(struct tls_tickets *tickets);
struct tls_context *new_client_with(const struct certificate *trusted,
                                    const struct tls_identity *identity);
struct tls_context *new_client(void);

void pair_init(struct pair *pair, struct tls_context *server, struct tls_context *client,
               const char *name, const struct tls_session *session);
void pair_done(struct pair *pair);

/* Both ends in turn until both came to an end. */
void shake_hands(struct pair *pair, enum io *server, enum io *client);
/* Until both are through. */
void connect_pair(struct pair *pair, struct tls_context *server, struct tls_context *client,
                  const char *name, const struct tls_session *session);

/* `text` in pieces of that size; the end that both know of. */
void check_transfer(struct transport *from, struct transport *to, const char *text, size_t piece);
void check_goodbye(struct transport *from, struct transport *to);

/* A connection, and the session that it leaves; with TLS 1.3 the ticket comes with the first bytes.
 */
struct tls_session *visit(struct tls_context *server, struct tls_context *client,
                          const struct tls_session *session, bool resumed);

#endif
