/* SPDX-License-Identifier: Apache-2.0 */
/* The plain transport: a socket and nothing else. The loop's thread. */
#include "net/transport.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/socket.h"

static enum io settle(struct transport *transport, enum io io, unsigned wants)
{
    if (io == IO_AGAIN) {
        transport->wants = wants;
    } else if (io == IO_FAIL) {
        transport->code = errno;
    }
    return io;
}

static enum io plain_handshake(struct transport *transport)
{
    (void)transport;
    return IO_OK;
}

static enum io plain_read(struct transport *transport, void *data, size_t size, size_t *count)
{
    return settle(transport, socket_read(transport->fd, data, size, count), WATCH_READ);
}

static enum io plain_writev(struct transport *transport, const struct iovec *vector, size_t parts,
                            size_t *count)
{
    enum io io = transport->ends ? socket_writev_more(transport->fd, vector, parts, count)
                                 : socket_writev(transport->fd, vector, parts, count);
    return settle(transport, io, WATCH_WRITE);
}

static enum io plain_shutdown(struct transport *transport)
{
    return settle(transport, shutdown(transport->fd, SHUT_WR) == 0 ? IO_OK : IO_FAIL, 0);
}

static bool plain_has_pending(const struct transport *transport)
{
    (void)transport;
    return false;
}

static const char *plain_reason(const struct transport *transport)
{
    return strerrordesc_np(transport->code);
}

static void plain_release(struct transport *transport)
{
    (void)transport;
}

static const struct transport_methods plain_methods = {
    .name = "plain",
    .handshake = plain_handshake,
    .read = plain_read,
    .writev = plain_writev,
    .shutdown = plain_shutdown,
    .has_pending = plain_has_pending,
    .reason = plain_reason,
    .release = plain_release,
};

void transport_init_plain(struct transport *transport, int fd)
{
    *transport = (struct transport){.methods = &plain_methods, .fd = fd};
}

void transport_close(struct transport *transport)
{
    if (transport->fd >= 0) {
        transport->methods->release(transport);
        close(transport->fd);
        transport->fd = -1;
    }
}

enum io transport_write(struct transport *transport, const void *data, size_t size, size_t *count)
{
    struct iovec vector = {.iov_len = size};
    memcpy(&vector.iov_base, &data, sizeof data); /* writers do not touch it, const or not */
    return transport_writev(transport, &vector, 1, count);
}
