/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS connections have in common: certificates, trust, rules. Made whole, then never changed;
 * a reload makes a new one and swaps. Shared and counted; any thread.
 *
 * The other rules are not options: nothing older than TLS 1.2, forward secrecy and authenticated
 * encryption only, no renegotiation, no compression, no early data. */
#ifndef PORTICO_NET_TLS_CONTEXT_H
#define PORTICO_NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "net/tls_tickets.h"

struct ssl_ctx_st;
struct tls_context;

/* PEM, from a file or as text; the text counts when it has any. Borrowed while a context is made.
 */
struct tls_pem {
    const char *file;
    struct str text;
};

/* A certificate, with the chain up to its authority behind it, and its key. Both may be in one
 * file. */
struct tls_identity {
    struct tls_pem certificate;
    struct tls_pem key;
};

struct tls_server_options {
    const struct tls_identity
        *identities;                   /* chosen by the name that a client asks for; the first */
    size_t identity_count;             /* serves everybody else. At least one */
    struct tls_tickets *tickets;       /* NULL: no resumption. A reference is taken */
    bool only_tls13;                   /* else 1.2, too */
    bool alpn_http1;                   /* to who offers protocols: http/1.1 or an alert */
    struct tls_pem client_authorities; /* none: clients are not asked for certificates */
    bool client_certificate_required;
};

struct tls_client_options {
    struct tls_pem authorities;          /* none: those of the system */
    const struct tls_identity *identity; /* for servers that ask, or NULL */
    bool alpn_http1;
};

/* NULL with words that name the file: unreadable, no PEM, encrypted, expired, not yet valid, or a
 * key that belongs to another certificate. */
struct tls_context *tls_server_context_new(const struct tls_server_options *options,
                                           struct error *error);
struct tls_context *tls_client_context_new(const struct tls_client_options *options,
                                           struct error *error);

struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* For tls.c: what to make connections from. Borrowed. */
struct ssl_ctx_st *tls_context_ssl(const struct tls_context *context);

#endif
