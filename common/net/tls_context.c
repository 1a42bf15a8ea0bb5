/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts: OpenSSL's, one for each certificate, and the names that choose among them. Made by
 * one thread, then only read. */
#include "net/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CIPHERS_TLS12                                            \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

/* A name of a certificate. */
struct name {
    char *pattern; /* "*.example.com" stands for one label */
    SSL_CTX *ssl;  /* borrowed */
};

struct tls_context {
    atomic_uint references;
    struct tls_tickets *tickets;
    SSL_CTX **ssl; /* the first is the default */
    size_t ssl_count;
    struct name *names; /* searched one by one: fine below a thousand */
    size_t name_count;
};

/* ---- Life ---- */

static struct tls_context *context_new(size_t ssl_count)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return NULL;
    }
    atomic_init(&context->references, 1);
    context->ssl = calloc(ssl_count, sizeof(SSL_CTX *));
    context->ssl_count = context->ssl == NULL ? 0 : ssl_count;
    return context;
}

static void context_free(struct tls_context *context)
{
    for (size_t i = 0; i < context->name_count; i++) {
        free(context->names[i].pattern);
    }
    for (size_t i = 0; i < context->ssl_count; i++) {
        SSL_CTX_free(context->ssl[i]);
    }
    tls_tickets_unref(context->tickets);
    free(context->names);
    free(context->ssl);
    free(context);
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    if (context != NULL) {
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    }
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context != NULL && atomic_fetch_sub(&context->references, 1) == 1) {
        context_free(context);
    }
}

struct ssl_ctx_st *tls_context_ssl(const struct tls_context *context)
{
    return context->ssl[0];
}

/* ---- Errors ---- */

/* What OpenSSL complains about, behind our words. The queue is empty afterwards. */
PRINTF_LIKE(3, 4) static int openssl_error(struct error *error, int code, const char *format, ...)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    ERR_clear_error();
    return error_set(error, code, "%s: %s", words, reason == NULL ? "no reason given" : reason);
}

static const char *pem_name(const struct tls_pem *pem)
{
    return pem->text.len > 0 ? "the configured text" : pem->file;
}

static bool pem_is_given(const struct tls_pem *pem)
{
    return pem->text.len > 0 || pem->file != NULL;
}

/* ---- PEM ---- */

static BIO *pem_open(const struct tls_pem *pem, const char *what, struct error *error)
{
    if (!pem_is_given(pem)) {
        error_set(error, -EINVAL, "no %s is given", what);
        return NULL;
    }
    errno = 0;
    BIO *bio = pem->text.len > 0 ? BIO_new_mem_buf(pem->text.data, (int)pem->text.len)
                                 : BIO_new_file(pem->file, "re");
    if (bio == NULL) {
        error_set_errno(error, errno == 0 ? -ENOMEM : -errno, "cannot read %s %s", what,
                        pem_name(pem));
        ERR_clear_error();
    }
    return bio;
}

static void certificates_free(STACK_OF(X509) * certificates)
{
    sk_X509_pop_free(certificates, X509_free);
}

/* All certificates of a file, at least one. */
static STACK_OF(X509) *
    certificates_read(const struct tls_pem *pem, const char *what, struct error *error)
{
    BIO *bio = pem_open(pem, what, error);
    STACK_OF(X509) *certificates = bio == NULL ? NULL : sk_X509_new_null();
    X509 *certificate = NULL;
    while (certificates != NULL && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (sk_X509_push(certificates, certificate) <= 0) {
            X509_free(certificate);
            break;
        }
    }
    BIO_free(bio);
    if (certificates == NULL) {
        return NULL;
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (at_end && sk_X509_num(certificates) > 0) {
        ERR_clear_error();
        return certificates;
    }
    if (at_end) {
        ERR_clear_error();
        error_set(error, -EINVAL, "%s %s: there is no PEM certificate in it", what, pem_name(pem));
    } else {
        openssl_error(error, -EINVAL, "%s %s", what, pem_name(pem));
    }
    certificates_free(certificates);
    return NULL;
}

/* Nobody is there to type a password. The type is OpenSSL's. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int refuse_password(char *password, int size, int writing, void *asked)
{
    (void)password;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static EVP_PKEY *key_read(const struct tls_pem *pem, struct error *error)
{
    bool asked = false;
    BIO *bio = pem_open(pem, "private key", error);
    if (bio == NULL) {
        return NULL;
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &asked);
    BIO_free(bio);
    if (key == NULL && asked) {
        error_set(error, -EINVAL, "private key %s is encrypted; it must be stored without password",
                  pem_name(pem));
    } else if (key == NULL) {
        error_set(error, -EINVAL, "private key %s: there is no usable PEM key in it",
                  pem_name(pem));
    }
    ERR_clear_error();
    return key;
}

/* ---- Certificates ---- */

static int check_dates(const X509 *certificate, const struct tls_pem *pem, struct error *error)
{
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        return error_set(error, -EKEYEXPIRED, "certificate %s has expired", pem_name(pem));
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        return error_set(error, -EKEYREJECTED, "certificate %s is not valid yet", pem_name(pem));
    }
    return 0;
}

static int use_pair(SSL_CTX *ssl, const struct tls_identity *identity,
                    STACK_OF(X509) * certificates, EVP_PKEY *key, struct error *error)
{
    X509 *leaf = sk_X509_value(certificates, 0);
    int code = check_dates(leaf, &identity->certificate, error);
    if (code < 0) {
        return code;
    }
    if (X509_check_private_key(leaf, key) != 1) {
        ERR_clear_error();
        return error_set(error, -EKEYREJECTED, "private key %s does not belong to certificate %s",
                         pem_name(&identity->key), pem_name(&identity->certificate));
    }
    X509 *first = sk_X509_shift(certificates); /* what stays is the chain */
    bool used = SSL_CTX_use_cert_and_key(ssl, first, key, certificates, 1) == 1;
    X509_free(first);
    return used ? 0
                : openssl_error(error, -EKEYREJECTED, "certificate %s cannot be used",
                                pem_name(&identity->certificate));
}

static int use_identity(SSL_CTX *ssl, const struct tls_identity *identity, struct error *error)
{
    int code = -EINVAL;
    STACK_OF(X509) *certificates = certificates_read(&identity->certificate, "certificate", error);
    EVP_PKEY *key = certificates == NULL ? NULL : key_read(&identity->key, error);
    if (key != NULL) {
        code = use_pair(ssl, identity, certificates, key, error);
    }
    EVP_PKEY_free(key);
    certificates_free(certificates);
    return code;
}

/* Trust these; for servers, also tell clients about them. */
static int use_authorities(SSL_CTX *ssl, const struct tls_pem *pem, bool tell, struct error *error)
{
    STACK_OF(X509) *certificates = certificates_read(pem, "certificate authority", error);
    if (certificates == NULL) {
        return -EINVAL;
    }
    bool used = true;
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *certificate = sk_X509_value(certificates, i);
        used = used && X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate) == 1 &&
               (!tell || SSL_CTX_add_client_CA(ssl, certificate) == 1);
    }
    certificates_free(certificates);
    return used ? 0
                : openssl_error(error, -ENOMEM, "certificate authority %s cannot be used",
                                pem_name(pem));
}

/* ---- Names ---- */

static int add_name(struct tls_context *context, SSL_CTX *ssl, struct str pattern)
{
    struct name *names =
        realloc(context->names, (context->name_count + 1) * sizeof context->names[0]);
    if (names == NULL) {
        return -ENOMEM;
    }
    context->names = names;
    names[context->name_count] = (struct name){str_dup(pattern), ssl};
    return names[context->name_count++].pattern == NULL ? -ENOMEM : 0;
}

static int add_common_name(struct tls_context *context, SSL_CTX *ssl, const X509 *certificate)
{
    char text[256];
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                        sizeof text);
    return len <= 0 ? 0 : add_name(context, ssl, str_make(text, (size_t)len));
}

/* Its DNS names, or its common name when it has none. */
static int add_names(struct tls_context *context, SSL_CTX *ssl)
{
    const X509 *certificate = SSL_CTX_get0_certificate(ssl);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t before = context->name_count;
    int code = 0;
    for (int i = 0; code == 0 && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            code = add_name(context, ssl,
                            str_make((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                     (size_t)ASN1_STRING_length(name->d.dNSName)));
        }
    }
    GENERAL_NAMES_free(names);
    if (code == 0 && context->name_count == before) {
        code = add_common_name(context, ssl, certificate);
    }
    ERR_clear_error();
    return code;
}

static SSL_CTX *find_name(const struct tls_context *context, struct str wanted)
{
    for (size_t i = 0; i < context->name_count; i++) {
        if (str_equal_nocase(str_from(context->names[i].pattern), wanted)) {
            return context->names[i].ssl;
        }
    }
    return NULL;
}

static bool matches_wildcard(const char *pattern, struct str wanted)
{
    size_t dot = str_find(wanted, '.');
    return pattern[0] == '*' && pattern[1] == '.' && dot > 0 && dot < wanted.len &&
           str_equal_nocase(str_from(pattern + 1), str_skip(wanted, dot));
}

static SSL_CTX *find_wildcard(const struct tls_context *context, struct str wanted)
{
    for (size_t i = 0; i < context->name_count; i++) {
        if (matches_wildcard(context->names[i].pattern, wanted)) {
            return context->names[i].ssl;
        }
    }
    return NULL;
}

/* A name nobody knows gets the default certificate: it is the client who can tell whether that
 * will do. The type is OpenSSL's. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int choose_certificate(SSL *ssl, int *alert, void *opaque)
{
    const struct tls_context *context = opaque;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (asked == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    struct str wanted = str_from(asked);
    if (str_ends_with(wanted, STR("."))) {
        wanted.len--;
    }
    SSL_CTX *found = find_name(context, wanted);
    if (found == NULL) {
        found = find_wildcard(context, wanted);
    }
    if (found != NULL && SSL_set_SSL_CTX(ssl, found) == NULL) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return found == NULL ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

/* ---- Rules ---- */

static const unsigned char alpn_http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *len,
                           const unsigned char *offered, unsigned offered_len, void *opaque)
{
    unsigned char *found;
    (void)ssl;
    (void)opaque;
    if (SSL_select_next_proto(&found, len, alpn_http1, sizeof alpn_http1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

/* Level 2: RSA of 2048 bits and more, no SHA-1 signatures. Buffers are released while a connection
 * is idle; read-ahead takes a record with one system call instead of two. */
static SSL_CTX *new_ssl(const SSL_METHOD *method)
{
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro takes no const */
    SSL_CTX *ssl = SSL_CTX_new(method);
    if (ssl == NULL) {
        return NULL;
    }
    SSL_CTX_set_security_level(ssl, 2);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets keep the state outside */
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ssl, CIPHERS_TLS12) != 1 ||
        SSL_CTX_set1_groups_list(ssl, groups) != 1) {
        SSL_CTX_free(ssl);
        return NULL;
    }
    return ssl;
}

/* ---- Servers ---- */

/* Sessions made under one policy for client certificates are of no use under another: a reload that
 * begins to ask for certificates must ask those who come with a ticket, too. */
static int set_session_scope(SSL_CTX *ssl, const struct tls_server_options *options)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const STACK_OF(X509_NAME) *authorities = SSL_CTX_get_client_CA_list(ssl);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool made = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(hash, &options->client_certificate_required,
                                 sizeof options->client_certificate_required) == 1;
    for (int i = 0; made && i < sk_X509_NAME_num(authorities); i++) {
        const unsigned char *name;
        size_t len;
        made = X509_NAME_get0_der(sk_X509_NAME_value(authorities, i), &name, &len) == 1 &&
               EVP_DigestUpdate(hash, name, len) == 1;
    }
    made = made && EVP_DigestFinal_ex(hash, digest, &size) == 1 &&
           SSL_CTX_set_session_id_context(ssl, digest, size) == 1;
    EVP_MD_CTX_free(hash);
    return made ? 0 : -ENOMEM;
}

static int set_client_policy(SSL_CTX *ssl, const struct tls_server_options *options,
                             struct error *error)
{
    if (!pem_is_given(&options->client_authorities)) {
        return 0;
    }
    SSL_CTX_set_verify(
        ssl,
        SSL_VERIFY_PEER |
            (options->client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return use_authorities(ssl, &options->client_authorities, true, error);
}

static int set_tickets(SSL_CTX *ssl, struct tls_tickets *tickets)
{
    if (tickets == NULL) {
        SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ssl, 0) == 1 ? 0 : -ENOMEM;
    }
    /* One is enough for who comes back, and each costs time in the handshake. */
    if (SSL_CTX_set_num_tickets(ssl, 1) != 1) {
        return -ENOMEM;
    }
    return tls_tickets_attach(tickets, ssl);
}

static int set_up_server(struct tls_context *context, SSL_CTX *ssl,
                         const struct tls_server_options *options, struct error *error)
{
    int code = set_client_policy(ssl, options, error);
    if (code < 0) {
        return code;
    }
    if (set_session_scope(ssl, options) < 0 || set_tickets(ssl, context->tickets) < 0 ||
        add_names(context, ssl) < 0) {
        return openssl_error(error, -ENOMEM, "cannot set up TLS");
    }
    SSL_CTX_set_tlsext_servername_callback(ssl, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ssl, context);
    if (options->alpn_http1) {
        SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    }
    return 0;
}

static int add_server(struct tls_context *context, size_t i,
                      const struct tls_server_options *options, struct error *error)
{
    SSL_CTX *ssl = context->ssl[i] = new_ssl(TLS_server_method());
    if (ssl == NULL) {
        return openssl_error(error, -ENOMEM, "cannot set up TLS");
    }
    if (options->only_tls13 && SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) != 1) {
        return openssl_error(error, -EINVAL, "cannot set up TLS 1.3");
    }
    int code = use_identity(ssl, &options->identities[i], error);
    return code < 0 ? code : set_up_server(context, ssl, options, error);
}

struct tls_context *tls_server_context_new(const struct tls_server_options *options,
                                           struct error *error)
{
    CHECK(options->identity_count > 0);
    struct tls_context *context = context_new(options->identity_count);
    int code = context == NULL || context->ssl == NULL
                   ? error_set_errno(error, -ENOMEM, "cannot set up TLS")
                   : 0;
    if (code == 0) {
        context->tickets = tls_tickets_ref(options->tickets);
    }
    for (size_t i = 0; code == 0 && i < options->identity_count; i++) {
        code = add_server(context, i, options, error);
    }
    if (code < 0) {
        tls_context_unref(context);
        return NULL;
    }
    return context;
}

/* ---- Clients ---- */

static int set_up_client(SSL_CTX *ssl, const struct tls_client_options *options,
                         struct error *error)
{
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (options->alpn_http1 &&
        SSL_CTX_set_alpn_protos(ssl, alpn_http1, sizeof alpn_http1) != 0) { /* 0 is success here */
        return openssl_error(error, -ENOMEM, "cannot set up TLS");
    }
    int code = 0;
    if (options->identity != NULL) {
        code = use_identity(ssl, options->identity, error);
    }
    if (code == 0 && pem_is_given(&options->authorities)) {
        code = use_authorities(ssl, &options->authorities, false, error);
    } else if (code == 0 && SSL_CTX_set_default_verify_paths(ssl) != 1) {
        code = openssl_error(error, -ENOENT, "cannot read the system's certificate authorities");
    }
    return code;
}

struct tls_context *tls_client_context_new(const struct tls_client_options *options,
                                           struct error *error)
{
    struct tls_context *context = context_new(1);
    SSL_CTX *ssl = context == NULL || context->ssl == NULL ? NULL : new_ssl(TLS_client_method());
    int code;
    if (ssl == NULL) {
        code = openssl_error(error, -ENOMEM, "cannot set up TLS");
    } else {
        context->ssl[0] = ssl;
        code = set_up_client(ssl, options, error);
    }
    if (code < 0) {
        tls_context_unref(context);
        return NULL;
    }
    return context;
}
