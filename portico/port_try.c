/* SPDX-License-Identifier: Apache-2.0 */
/* Binding for a moment. */
#include "port_try.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"

int port_try(const char *host, uint16_t port)
{
    struct address address;
    const int on = 1;
    const int off = 0;
    if (address_from_host(str_from(host), port, &address, NULL) < 0) {
        return EINVAL;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.any.sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    int r = bind(fd, &address.any, address.len) < 0 ? errno : 0;
    close(fd);
    return r;
}
