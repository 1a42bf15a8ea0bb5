/* SPDX-License-Identifier: Apache-2.0 */
#include "net/port_holder.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "net/socket.h"

static uint16_t listen_somewhere(const char *host, int *fd)
{
    struct address address;
    struct listen_options options = {.backlog = 1};
    cr_assert_eq(address_from_host(str_from(host), 0, &address, NULL), 0);
    *fd = socket_listen(&address, &options, NULL);
    cr_assert_geq(*fd, 0);
    cr_assert_eq(socket_local_address(*fd, &address), 0);
    return address_port(&address);
}

static void expect_found(const char *host)
{
    struct port_holder holder;
    int fd;
    uint16_t port = listen_somewhere(host, &fd);
    cr_assert_eq(port_holder_find(port, &holder), 1);
    cr_expect_eq(holder.pid, (long)getpid());
    cr_expect_neq(holder.name[0], '\0'); /* argv[0], which Criterion changes */
    close(fd);
    cr_expect_eq(port_holder_find(port, &holder), 0);
}

Test(port_holder, finds_this_process)
{
    expect_found("127.0.0.1");
}

Test(port_holder, finds_this_process_on_ipv6)
{
    expect_found("::1");
}
