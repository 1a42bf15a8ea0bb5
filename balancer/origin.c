/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol header with which a trusted proxy begins a connection: who the client really
 * is. It stands before everything else, TLS included, so not one byte more than the header may be
 * taken from the socket. */
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "proxy_internal.h"
#include "proxy_protocol.h"

/* Woken with less than was asked for: the client has ended its side, and more will not come. */
static bool has_ended(const struct proxy *proxy, size_t seen)
{
    int least = 0;
    socklen_t len = sizeof least;
    return getsockopt(proxy->transport.fd, SOL_SOCKET, SO_RCVLOWAT, &least, &len) == 0 &&
           seen < (size_t)least;
}

/* Have the socket count as readable only when there is more than was seen: the bytes stay in it, so
 * the loop would turn without end otherwise. */
static bool wait_for_more(struct proxy *proxy, size_t seen)
{
    int least = (int)seen + 1;
    return setsockopt(proxy->transport.fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0 &&
           proxy_watch(proxy, WATCH_READ);
}

static void take_origin(struct proxy *proxy, const struct proxy_header *header, size_t header_bytes)
{
    char taken_bytes[PROXY_PROTOCOL_V2_MAX];
    int usual = 1;
    ssize_t taken = recv(proxy->transport.fd, taken_bytes, header_bytes, MSG_DONTWAIT);
    if (taken != (ssize_t)header_bytes ||
        setsockopt(proxy->transport.fd, SOL_SOCKET, SO_RCVLOWAT, &usual, sizeof usual) != 0) {
        proxy_close(proxy, REASON_PROXY_HEADER);
        return;
    }
    if (header->has_client && address_to_ip(&header->client, &proxy->peer)) {
        proxy->peer_port = address_port(&header->client);
    }
    proxy_begin(proxy);
}

void proxy_read_origin(struct proxy *proxy)
{
    char seen[PROXY_PROTOCOL_V2_MAX];
    struct proxy_header header;
    ssize_t count = recv(proxy->transport.fd, seen, sizeof seen, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        (void)proxy_watch(proxy, WATCH_READ);
        return;
    }
    if (count <= 0) {
        proxy_close(proxy, count == 0 ? REASON_NO_REQUEST : REASON_PROXY_HEADER);
        return;
    }
    ssize_t len = proxy_protocol_parse(str_make(seen, (size_t)count), &header);
    if (len > 0) {
        take_origin(proxy, &header, (size_t)len);
    } else if (len < 0 || has_ended(proxy, (size_t)count) || !wait_for_more(proxy, (size_t)count)) {
        proxy_close(proxy, REASON_PROXY_HEADER);
    }
}
