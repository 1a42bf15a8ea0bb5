/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, without the traps: every descriptor is non-blocking and close-on-exec from birth, no
 * write raises SIGPIPE, interrupted calls are repeated. Descriptors belong to the caller. Any
 * thread. */
#ifndef PORTICO_NET_SOCKET_H
#define PORTICO_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "net/address.h"
#include "net/io.h"

struct listen_options {
    int backlog;              /* 0: as many as the system allows */
    bool reuse_port;          /* several listeners share the port, each gets a part */
    bool ipv6_only;           /* else [::] takes IPv4 too */
    bool no_delay;            /* TCP_NODELAY; accepted connections inherit it */
    int defer_accept_seconds; /* accept only once bytes came, or this much later; 0: at once */
};

/* A listening TCP socket. The descriptor, or a negative errno with words. */
MUST_CHECK int socket_listen(const struct address *address, const struct listen_options *options,
                             struct error *error);

/* A unix socket of `type` (SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM) at a path, created with `mode`.
 * A socket file that nobody listens on any more is replaced; one that is in use, or anything that
 * is no socket, is an error (-EADDRINUSE). Between two programs that start at the same moment this
 * is a race, which the later one wins: whoever can start twice holds a lock file. */
MUST_CHECK int socket_listen_unix(const char *path, int type, mode_t mode, struct error *error);

/* The next connection of a listener, and where it comes from (`peer` may be NULL).
 *
 * The descriptor; -EAGAIN: none waits; -ECONNABORTED: one went away meanwhile, or brought a network
 * error along, ask again; -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: no room (see fd_reserve). */
MUST_CHECK int socket_accept(int listener, struct address *peer);

/* Begin to connect, TCP or unix stream, from `source` unless that is NULL. When the descriptor
 * becomes writable, socket_connect_result() tells how it went; a write before that is IO_AGAIN.
 * The descriptor, or a negative errno with words. */
MUST_CHECK int socket_connect(const struct address *address, const struct address *source,
                              struct error *error);
MUST_CHECK int socket_connect_result(int fd);

/* Connect to a unix socket of `type`; that never takes time. -EAGAIN: its backlog is full. */
MUST_CHECK int socket_connect_unix(const char *path, int type, struct error *error);

/* 0 or a negative errno. */
MUST_CHECK int socket_set_no_delay(int fd);
/* Bytes that were written and the other side has not acknowledged; 0 also when that cannot be
 * known. */
size_t socket_unsent(int fd);
MUST_CHECK int socket_local_address(int fd, struct address *address);
MUST_CHECK int socket_peer_address(int fd, struct address *address);

/* Who is at the other end of a connected unix socket, as the kernel knows it. */
MUST_CHECK int socket_peer_credentials(int fd, struct ucred *peer);

/* One read or write. IO_OK: *count bytes moved, perhaps fewer than there were; else *count is
 * untouched. `size`, or the sum of the vector, is not 0. */
MUST_CHECK enum io socket_read(int fd, void *data, size_t size, size_t *count);
MUST_CHECK enum io socket_readv(int fd, const struct iovec *vector, size_t parts, size_t *count);
MUST_CHECK enum io socket_write(int fd, const void *data, size_t size, size_t *count);
MUST_CHECK enum io socket_writev(int fd, const struct iovec *vector, size_t parts, size_t *count);
/* The same; the bytes may stay here until more is written or the socket is shut down or closed, so
 * that they travel with what follows; for a fifth of a second at most. */
MUST_CHECK enum io socket_write_more(int fd, const void *data, size_t size, size_t *count);
MUST_CHECK enum io socket_writev_more(int fd, const struct iovec *vector, size_t parts,
                                      size_t *count);
/* Send now what stayed here. It sets TCP_NODELAY, which all our sockets have. */
void socket_push(int fd);

/* A descriptor held back for the moment in which there are no more. A listener whose connections
 * cannot be accepted stays readable and its loop would spin; with the reserve the connection is
 * accepted after all, and refused. One for each thread that accepts. */
struct fd_reserve {
    int fd; /* -1: spent */
};

/* 0 or a negative errno. */
MUST_CHECK int fd_reserve_init(struct fd_reserve *reserve);
void fd_reserve_done(struct fd_reserve *reserve);

/* Accept in the reserve's place, so that the caller can say why it refuses. Close the connection,
 * then fd_reserve_refill(). As socket_accept(); -EMFILE also when the reserve is spent. */
MUST_CHECK int fd_reserve_accept(struct fd_reserve *reserve, int listener, struct address *peer);

/* 0, or -EMFILE or -ENFILE: another thread was faster. Then stop watching the listener for a while,
 * until a descriptor was closed or this succeeds. */
MUST_CHECK int fd_reserve_refill(struct fd_reserve *reserve);

/* Accept one connection, close it, refill. 0 when one was refused, else as the two above. */
MUST_CHECK int fd_reserve_refuse(struct fd_reserve *reserve, int listener);

#endif
