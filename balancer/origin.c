/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol header with which a trusted proxy begins a connection: who the client really
 * is. It stands before everything else, TLS included, so not one byte more than the header may be
 * taken from the socket. */
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "proxy_internal.h"
#include "proxy_protocol.h"

/* Have the socket count as readable only when there is more than was seen: the bytes stay in it, so
 * the loop would turn without end otherwise. */
static bool wait_for_more(struct proxy *proxy, size_t seen)
{
    int least = (int)seen + 1;
    return setsockopt(proxy->transport.fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0 &&
           proxy_watch(proxy, WATCH_READ);
}

static void take_origin(struct proxy *proxy, const struct proxy_origin *origin, size_t header_bytes)
{
    char header[PROXY_PROTOCOL_MAX];
    int usual = 1;
    ssize_t taken = recv(proxy->transport.fd, header, header_bytes, MSG_DONTWAIT);
    if (taken != (ssize_t)header_bytes ||
        setsockopt(proxy->transport.fd, SOL_SOCKET, SO_RCVLOWAT, &usual, sizeof usual) != 0) {
        proxy_close(proxy, REASON_PROXY_HEADER);
        return;
    }
    if (origin->is_known && address_to_ip(&origin->source, &proxy->peer)) {
        proxy->peer_port = address_port(&origin->source);
    }
    proxy_begin(proxy);
}

void proxy_read_origin(struct proxy *proxy)
{
    char seen[PROXY_PROTOCOL_MAX];
    struct proxy_origin origin;
    ssize_t count = recv(proxy->transport.fd, seen, sizeof seen, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        (void)proxy_watch(proxy, WATCH_READ);
        return;
    }
    if (count <= 0) {
        proxy_close(proxy, count == 0 ? REASON_NO_REQUEST : REASON_PROXY_HEADER);
        return;
    }
    ssize_t len = proxy_protocol_parse(str_make(seen, (size_t)count), &origin);
    if (len > 0) {
        take_origin(proxy, &origin, (size_t)len);
    } else if (len < 0 || !wait_for_more(proxy, (size_t)count)) {
        proxy_close(proxy, REASON_PROXY_HEADER);
    }
}
