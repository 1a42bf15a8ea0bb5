/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream to a peer, plain or TLS, behind one table of methods that is chosen once for each
 * connection. Embedded in the connection, which must not move; the loop's thread. TLS ones are made
 * by tls_accept() and tls_connect(). */
#ifndef PORTICO_NET_TRANSPORT_H
#define PORTICO_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "net/io.h"

struct transport;

struct transport_methods {
    const char *name; /* for the log */
    enum io (*handshake)(struct transport *transport);
    enum io (*read)(struct transport *transport, void *data, size_t size, size_t *count);
    enum io (*writev)(struct transport *transport, const struct iovec *vector, size_t parts,
                      size_t *count);
    enum io (*shutdown)(struct transport *transport);
    bool (*has_pending)(const struct transport *transport);
    const char *(*reason)(const struct transport *transport);
    void (*release)(struct transport *transport);
};

struct transport {
    const struct transport_methods *methods;
    void *state;    /* of the methods */
    int fd;         /* owned */
    unsigned wants; /* WATCH_*, see transport_wants() */
    int code;       /* errno of the last IO_FAIL */
    bool ends;      /* set by the owner: after the next write it closes, so the end may travel with
                     * the bytes */
};

/* The descriptor is taken. */
void transport_init_plain(struct transport *transport, int fd);

/* Frees the TLS state and closes the descriptor, without a word to the peer (transport_shutdown()
 * is the word). Stop its watch first. */
void transport_close(struct transport *transport);

/* What to watch the descriptor for after the last call that said IO_AGAIN. A read may have to write
 * and a write to read, when the peer changes keys. */
static inline unsigned transport_wants(const struct transport *transport)
{
    return transport->wants;
}

/* Repeat until it is not IO_AGAIN; reads and writes do it on their own, too. Plain: IO_OK. */
MUST_CHECK static inline enum io transport_handshake(struct transport *transport)
{
    return transport->methods->handshake(transport);
}

/* As socket_read(). IO_EOF is a promise that nothing was cut off: over TLS, an end without the
 * peer's goodbye is IO_FAIL. */
MUST_CHECK static inline enum io transport_read(struct transport *transport, void *data,
                                                size_t size, size_t *count)
{
    return transport->methods->read(transport, data, size, count);
}

/* As socket_writev(). After IO_AGAIN the next write must begin with the same bytes, at any address,
 * and have at least as many. */
MUST_CHECK static inline enum io transport_writev(struct transport *transport,
                                                  const struct iovec *vector, size_t parts,
                                                  size_t *count)
{
    return transport->methods->writev(transport, vector, parts, count);
}

MUST_CHECK enum io transport_write(struct transport *transport, const void *data, size_t size,
                                   size_t *count);

/* Say that nothing more will be written; reading goes on. Repeat while it is IO_AGAIN. */
MUST_CHECK static inline enum io transport_shutdown(struct transport *transport)
{
    return transport->methods->shutdown(transport);
}

/* Bytes were taken from the descriptor that no read returned yet, so the loop will not report them.
 * Ask when you stop reading before IO_AGAIN, and read again later without waiting. */
static inline bool transport_has_pending(const struct transport *transport)
{
    return transport->methods->has_pending(transport);
}

/* Words for the last IO_FAIL, a constant. */
static inline const char *transport_reason(const struct transport *transport)
{
    return transport->methods->reason(transport);
}

#endif
