/* SPDX-License-Identifier: Apache-2.0 */
/* TLS connections: OpenSSL's state machine behind the transport's methods. The loop's thread. */
#include "net/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/socket.h"

/* Short parts of one write are joined up to this, so that head and small body are one record. */
enum { JOIN_SIZE = 4096, RECORD_SIZE = 16384 };

struct connection {
    SSL *ssl;
    struct tls_context *context;
    const char *reason; /* of the failure, NULL: see transport->code */
    int fd;             /* borrowed from the transport */
    bool failed;        /* nothing goes any more */
    bool renegotiating; /* the peer tried to */
    bool more_follows;  /* what is written may wait for what comes behind it */
    bool is_waiting;    /* something was written so, and nothing behind it yet */
};

static struct connection *connection_of(const struct transport *transport)
{
    return transport->state;
}

/* ---- The socket below ---- */

/* OpenSSL's own socket BIO writes with write(), which raises SIGPIPE. */

/* A server of TLS 1.3 sends tickets when the client is done with the handshake, and usually the
 * request is there by then: they can travel with the answer. */
static bool is_writing_ticket(const struct connection *connection)
{
    return SSL_get_state(connection->ssl) == TLS_ST_SW_SESSION_TICKET &&
           SSL_version(connection->ssl) == TLS1_3_VERSION;
}

/* There is nothing to answer now, so what waits goes alone. */
static void send_waiting(struct connection *connection)
{
    if (connection->is_waiting) {
        connection->is_waiting = false;
        socket_push(connection->fd);
    }
}

static int bio_read(BIO *bio, char *data, int size)
{
    struct connection *connection = BIO_get_data(bio);
    size_t count;
    BIO_clear_retry_flags(bio);
    if (size <= 0) {
        return 0;
    }
    switch (socket_read(connection->fd, data, (size_t)size, &count)) {
    case IO_OK:
        return (int)count;
    case IO_AGAIN:
        send_waiting(connection);
        BIO_set_retry_read(bio);
        return -1;
    case IO_EOF:
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return 0;
    default:
        return -1;
    }
}

static int bio_write(BIO *bio, const char *data, int size)
{
    struct connection *connection = BIO_get_data(bio);
    size_t count;
    BIO_clear_retry_flags(bio);
    if (size <= 0) {
        return 0;
    }
    bool waits = connection->more_follows || is_writing_ticket(connection);
    switch (waits ? socket_write_more(connection->fd, data, (size_t)size, &count)
                  : socket_write(connection->fd, data, (size_t)size, &count)) {
    case IO_OK:
        connection->is_waiting = waits;
        return (int)count;
    case IO_AGAIN:
        BIO_set_retry_write(bio);
        return -1;
    default:
        return -1;
    }
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (method != NULL && BIO_meth_set_read(method, bio_read) == 1 &&
        BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_control) == 1) {
        bio_method = method;
    }
}

static BIO *new_bio(struct connection *connection)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (bio != NULL) {
        BIO_set_data(bio, connection);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- How a step ended ---- */

static enum io fail(struct transport *transport, int code, const char *reason)
{
    struct connection *connection = connection_of(transport);
    connection->failed = true;
    connection->reason = reason;
    transport->code = code;
    ERR_clear_error();
    errno = code;
    return IO_FAIL;
}

/* The words for a failure inside the protocol. */
static const char *protocol_reason(const SSL *ssl)
{
    unsigned long error = ERR_peek_error();
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
        switch (ERR_GET_REASON(error)) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return X509_verify_cert_error_string(SSL_get_verify_result(ssl));
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return "the peer ended the connection without a close_notify";
        default:
            break;
        }
    }
    const char *reason = ERR_reason_error_string(error);
    return reason == NULL ? "TLS failed" : reason;
}

static enum io again(struct transport *transport, unsigned wants)
{
    transport->wants = wants;
    return IO_AGAIN;
}

/* Translate what an SSL function returned; errno is still that of its last system call. */
static enum io settle(struct transport *transport, int result)
{
    struct connection *connection = connection_of(transport);
    int code = errno;
    int kind = SSL_get_error(connection->ssl, result);
    if (connection->renegotiating) {
        return fail(transport, EPROTO, "the peer asked for renegotiation");
    }
    switch (kind) {
    case SSL_ERROR_NONE:
        return IO_OK;
    case SSL_ERROR_WANT_READ:
        return again(transport, WATCH_READ);
    case SSL_ERROR_WANT_WRITE:
        return again(transport, WATCH_WRITE);
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SYSCALL:
        return fail(transport, code == 0 ? ECONNRESET : code, NULL);
    default:
        return fail(transport, EPROTO, protocol_reason(connection->ssl));
    }
}

/* True when it may be used; the error queue is this thread's, so leave none of others in it. */
static bool begin(struct transport *transport)
{
    struct connection *connection = connection_of(transport);
    if (connection->failed) {
        errno = transport->code;
        return false;
    }
    ERR_clear_error();
    errno = 0;
    return true;
}

/* ---- Methods ---- */

static enum io tls_handshake(struct transport *transport)
{
    if (!begin(transport)) {
        return IO_FAIL;
    }
    enum io io = settle(transport, SSL_do_handshake(connection_of(transport)->ssl));
    return io == IO_EOF ? fail(transport, EPROTO, "the peer left during the handshake") : io;
}

static enum io tls_read(struct transport *transport, void *data, size_t size, size_t *count)
{
    size_t read = 0;
    CHECK(size > 0);
    if (!begin(transport)) {
        return IO_FAIL;
    }
    enum io io = settle(transport, SSL_read_ex(connection_of(transport)->ssl, data, size, &read));
    if (io == IO_OK) {
        *count = read;
    }
    return io;
}

/* One record. */
static enum io write_record(struct transport *transport, const void *data, size_t size,
                            size_t *count)
{
    size_t written = 0;
    if (!begin(transport)) {
        return IO_FAIL;
    }
    enum io io =
        settle(transport, SSL_write_ex(connection_of(transport)->ssl, data, size, &written));
    if (io == IO_OK) {
        *count = written;
    }
    /* The peer may have said goodbye; writing after that is its loss, not an end of ours. */
    return io == IO_EOF ? fail(transport, EPIPE, NULL) : io;
}

/* Where a vector has been written up to. */
struct position {
    const struct iovec *part;
    size_t left; /* parts */
    size_t offset;
};

static void advance(struct position *position, size_t count)
{
    while (position->left > 0 && count >= position->part->iov_len - position->offset) {
        count -= position->part->iov_len - position->offset;
        position->offset = 0;
        position->part++;
        position->left--;
    }
    position->offset += count;
}

static size_t join(struct position from, char *out)
{
    size_t size = 0;
    while (from.left > 0 && size < JOIN_SIZE) {
        size_t room = JOIN_SIZE - size;
        size_t part = from.part->iov_len - from.offset;
        size_t taken = part < room ? part : room;
        memcpy(out + size, (const char *)from.part->iov_base + from.offset, taken);
        size += taken;
        advance(&from, taken);
    }
    return size;
}

#if defined(__has_attribute) && __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#else
#define UNINITIALIZED
#endif

static enum io write_some(struct transport *transport, const struct position *position,
                          size_t *count)
{
    size_t size = position->part->iov_len - position->offset;
    if (position->left > 1 && size < JOIN_SIZE) {
        char joined[JOIN_SIZE] UNINITIALIZED; /* clearing it first would cost more than copying */
        size = join(*position, joined);
        return write_record(transport, joined, size, count);
    }
    return write_record(transport, (const char *)position->part->iov_base + position->offset,
                        size < RECORD_SIZE ? size : RECORD_SIZE, count);
}

static enum io tls_writev(struct transport *transport, const struct iovec *vector, size_t parts,
                          size_t *count)
{
    struct position position = {vector, parts, 0};
    enum io io = IO_OK;
    size_t total = 0;
    advance(&position, 0); /* over empty parts */
    CHECK(position.left > 0);
    connection_of(transport)->more_follows = transport->ends;
    while (io == IO_OK && position.left > 0) {
        size_t written = 0;
        io = write_some(transport, &position, &written);
        total += written;
        advance(&position, written);
    }
    connection_of(transport)->more_follows = false;
    if (total == 0) {
        return io;
    }
    *count = total; /* the next call tells what stopped this one */
    return IO_OK;
}

static enum io tls_shutdown(struct transport *transport)
{
    struct connection *connection = connection_of(transport);
    if (!begin(transport)) {
        return IO_FAIL;
    }
    if (SSL_is_init_finished(connection->ssl)) {
        connection->more_follows = true; /* the end itself */
        int result = SSL_shutdown(connection->ssl);
        connection->more_follows = false;
        enum io io = result < 0 ? settle(transport, result) : IO_OK;
        if (io == IO_AGAIN || io == IO_FAIL) {
            return io;
        }
    }
    return shutdown(transport->fd, SHUT_WR) == 0 ? IO_OK : fail(transport, errno, NULL);
}

static bool tls_has_pending(const struct transport *transport)
{
    return SSL_has_pending(connection_of(transport)->ssl) == 1;
}

static const char *tls_reason(const struct transport *transport)
{
    const struct connection *connection = connection_of(transport);
    return connection->reason != NULL ? connection->reason : strerrordesc_np(transport->code);
}

static void connection_free(struct connection *connection)
{
    if (connection != NULL) {
        if (connection->ssl != NULL && !connection->failed) {
            /* Else OpenSSL would hold an end without goodbye against the session. */
            SSL_set_shutdown(connection->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
        SSL_free(connection->ssl);
        tls_context_unref(connection->context);
        free(connection);
    }
    ERR_clear_error();
}

static void tls_release(struct transport *transport)
{
    connection_free(connection_of(transport));
    transport->state = NULL;
}

static const struct transport_methods tls_methods = {
    .name = "tls",
    .handshake = tls_handshake,
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .has_pending = tls_has_pending,
    .reason = tls_reason,
    .release = tls_release,
};

/* ---- Beginning ---- */

/* OpenSSL refuses renegotiation with a warning and goes on. The attempt ends the connection here:
 * no agent does that. The warning is how we learn of it. */
static void notice_renegotiation(const SSL *ssl, int where, int value)
{
    struct connection *connection = BIO_get_data(SSL_get_rbio(ssl));
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT &&
        (value & 0xff) == SSL_AD_NO_RENEGOTIATION) {
        connection->renegotiating = true;
    }
}

static struct connection *connection_new(struct tls_context *context, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    BIO *bio = new_bio(connection);
    connection->fd = fd;
    connection->context = tls_context_ref(context);
    connection->ssl = SSL_new(tls_context_ssl(context));
    if (bio == NULL || connection->ssl == NULL) {
        BIO_free(bio);
        connection_free(connection);
        return NULL;
    }
    SSL_set_bio(connection->ssl, bio, bio);
    SSL_set_info_callback(connection->ssl, notice_renegotiation);
    return connection;
}

static void transport_init_tls(struct transport *transport, struct connection *connection, int fd)
{
    *transport = (struct transport){.methods = &tls_methods, .state = connection, .fd = fd};
}

int tls_accept(struct transport *transport, struct tls_context *context, int fd)
{
    struct connection *connection = connection_new(context, fd);
    if (connection == NULL) {
        return -ENOMEM;
    }
    SSL_set_accept_state(connection->ssl);
    transport_init_tls(transport, connection, fd);
    return 0;
}

/* An IP address is compared with the certificate's addresses and not sent: RFC 6066 section 3. */
static bool expect_name(SSL *ssl, const char *name)
{
    struct address address;
    if (address_from_host(str_from(name), 0, &address, NULL) == 0) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    char *sent; /* OpenSSL's macro takes no const, and copies */
    memcpy(&sent, &name, sizeof name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, sent) == 1;
}

/* A session is OpenSSL's under our name. It is counted; setting one does not change it. */
static SSL_SESSION *ssl_session(const struct tls_session *session)
{
    return (SSL_SESSION *)(uintptr_t)session;
}

int tls_connect(struct transport *transport, struct tls_context *context, int fd, const char *name,
                const struct tls_session *session)
{
    struct connection *connection = connection_new(context, fd);
    if (connection == NULL || !expect_name(connection->ssl, name) ||
        (session != NULL && SSL_set_session(connection->ssl, ssl_session(session)) != 1)) {
        connection_free(connection);
        return -ENOMEM;
    }
    SSL_set_connect_state(connection->ssl);
    transport_init_tls(transport, connection, fd);
    return 0;
}

/* ---- Questions ---- */

bool tls_is_resumed(const struct transport *transport)
{
    return SSL_session_reused(connection_of(transport)->ssl) == 1;
}

const char *tls_version(const struct transport *transport)
{
    return SSL_get_version(connection_of(transport)->ssl);
}

const char *tls_cipher(const struct transport *transport)
{
    return SSL_get_cipher_name(connection_of(transport)->ssl);
}

const char *tls_server_name(const struct transport *transport)
{
    return SSL_get_servername(connection_of(transport)->ssl, TLSEXT_NAMETYPE_host_name);
}

bool tls_chose_http1(const struct transport *transport)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(connection_of(transport)->ssl, &name, &len);
    return str_equal(str_make((const char *)name, len), STR("http/1.1"));
}

bool tls_distrusts_peer(const struct transport *transport)
{
    const struct connection *connection = connection_of(transport);
    return connection->failed && SSL_get_verify_result(connection->ssl) != X509_V_OK;
}

bool tls_peer_fingerprint(const struct transport *transport, uint8_t fingerprint[32])
{
    const X509 *certificate = SSL_get0_peer_certificate(connection_of(transport)->ssl);
    unsigned size = 32;
    return certificate != NULL && X509_digest(certificate, EVP_sha256(), fingerprint, &size) == 1;
}

struct tls_session *tls_take_session(const struct transport *transport)
{
    SSL_SESSION *session = SSL_get1_session(connection_of(transport)->ssl);
    if (session != NULL && SSL_SESSION_is_resumable(session) != 1) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return (struct tls_session *)(void *)session;
}

void tls_session_free(struct tls_session *session)
{
    SSL_SESSION_free(ssl_session(session));
}
