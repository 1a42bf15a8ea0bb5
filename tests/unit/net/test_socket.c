/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets on the loopback interface. Ports are chosen by the kernel. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "support/support.h"

static struct address parsed(const char *text)
{
    struct address address;
    cr_assert_eq(address_parse(str_from(text), 0, &address, NULL), 0);
    return address;
}

/* Listens and tells where. */
static int listen_at(const char *text, const struct listen_options *options,
                     struct address *address)
{
    struct error error;
    struct address wanted = parsed(text);
    int fd = socket_listen(&wanted, options, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    cr_assert_eq(socket_local_address(fd, address), 0);
    return fd;
}

static void wait_until(int fd, short events)
{
    struct pollfd wait = {.fd = fd, .events = events};
    cr_assert_eq(poll(&wait, 1, 10000), 1);
}

static int connect_to(const struct address *address)
{
    struct error error;
    int fd = socket_connect(address, NULL, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    wait_until(fd, POLLOUT);
    return fd;
}

static int accept_from(int listener, struct address *peer)
{
    wait_until(listener, POLLIN);
    int fd = socket_accept(listener, peer);
    cr_assert_geq(fd, 0);
    return fd;
}

static void check_born_well(int fd)
{
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void check_conversation(const char *where)
{
    struct address address;
    struct address peer;
    struct address local;
    struct listen_options options = {.no_delay = true};
    int listener = listen_at(where, &options, &address);
    cr_assert_eq(socket_accept(listener, NULL), -EAGAIN);
    int client = connect_to(&address);
    int server = accept_from(listener, &peer);
    check_born_well(listener);
    check_born_well(client);
    check_born_well(server);
    cr_assert_eq(socket_connect_result(client), 0);
    cr_assert_eq(socket_local_address(client, &local), 0);
    cr_assert(address_equal(&peer, &local));

    char data[8];
    size_t count = 99;
    cr_assert_eq(socket_read(server, data, sizeof data, &count), IO_AGAIN);
    cr_assert_eq(count, 99);
    cr_assert_eq(socket_write(client, "hello", 5, &count), IO_OK);
    cr_assert_eq(count, 5);
    wait_until(server, POLLIN);
    cr_assert_eq(socket_read(server, data, sizeof data, &count), IO_OK);
    cr_assert_eq(count, 5);
    close(client);
    wait_until(server, POLLIN);
    cr_assert_eq(socket_read(server, data, sizeof data, &count), IO_EOF);
    close(server);
    close(listener);
}

Test(socket, speaks_ipv4)
{
    check_conversation("127.0.0.1:0");
}

Test(socket, speaks_ipv6)
{
    check_conversation("[::1]:0");
}

Test(socket, on_both_families_shows_ipv4_peers_as_ipv4)
{
    struct address address;
    struct address peer;
    char text[ADDRESS_TEXT_SIZE];
    int listener = listen_at("[::]:0", &(struct listen_options){0}, &address);
    struct address ipv4 = parsed("127.0.0.1:0");
    address_set_port(&ipv4, address_port(&address));
    int client = connect_to(&ipv4);
    int server = accept_from(listener, &peer);
    cr_assert_eq(peer.any.sa_family, AF_INET6);
    cr_assert_str_eq(address_format_host(&peer, text), "127.0.0.1");
    close(client);
    close(server);
    close(listener);
}

Test(socket, for_ipv6_only_leaves_the_ipv4_port_free)
{
    struct address address;
    struct address other;
    char text[ADDRESS_TEXT_SIZE];
    int listener = listen_at("[::]:0", &(struct listen_options){.ipv6_only = true}, &address);
    snprintf(text, sizeof text, "0.0.0.0:%u", address_port(&address));
    int ipv4 = listen_at(text, &(struct listen_options){0}, &other);
    close(ipv4);
    close(listener);
}

Test(socket, hands_no_delay_from_listener_to_connection)
{
    struct address address;
    int listener = listen_at("127.0.0.1:0", &(struct listen_options){.no_delay = true}, &address);
    int client = connect_to(&address);
    int server = accept_from(listener, NULL);
    int value = 0;
    socklen_t len = sizeof value;
    cr_assert_eq(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    cr_assert_neq(value, 0);
    close(client);
    close(server);
    close(listener);
}

Test(socket, that_defers_accept_waits_for_the_first_byte)
{
    struct address address;
    int listener =
        listen_at("127.0.0.1:0", &(struct listen_options){.defer_accept_seconds = 30}, &address);
    int client = connect_to(&address);
    cr_assert_eq(socket_accept(listener, NULL), -EAGAIN);
    size_t count;
    cr_assert_eq(socket_write(client, "x", 1, &count), IO_OK);
    int server = accept_from(listener, NULL);
    close(client);
    close(server);
    close(listener);
}

Test(socket, shares_a_port_only_when_asked_to)
{
    struct address address;
    struct address second;
    struct listen_options shared = {.reuse_port = true};
    struct error error;
    char text[ADDRESS_TEXT_SIZE];
    char expected[256];
    int a = listen_at("127.0.0.1:0", &shared, &address);
    address_format(&address, text);
    int b = listen_at(text, &shared, &second);
    cr_assert_eq(socket_listen(&address, &(struct listen_options){0}, &error), -EADDRINUSE);
    snprintf(expected, sizeof expected, "cannot listen on %s: Address already in use", text);
    cr_assert_str_eq(error.message, expected);
    close(a);
    close(b);
}

Test(socket, tells_that_nobody_listens)
{
    struct address address;
    struct error error = {0};
    int listener = listen_at("127.0.0.1:0", &(struct listen_options){0}, &address);
    close(listener);
    int fd = socket_connect(&address, NULL, &error);
    if (fd >= 0) {
        wait_until(fd, POLLOUT);
        cr_assert_eq(socket_connect_result(fd), -ECONNREFUSED);
        close(fd);
    } else {
        cr_assert_eq(fd, -ECONNREFUSED);
    }
}

Test(socket, connects_from_the_source_it_was_told)
{
    struct address address;
    struct address peer;
    struct address source = parsed("127.1.2.3:0");
    char text[ADDRESS_TEXT_SIZE];
    int listener = listen_at("127.0.0.1:0", &(struct listen_options){0}, &address);
    int client = socket_connect(&address, &source, NULL);
    cr_assert_geq(client, 0);
    int server = accept_from(listener, &peer);
    cr_assert_str_eq(address_format_host(&peer, text), "127.1.2.3");
    close(client);
    close(server);
    close(listener);
}

/* SIGPIPE would end the test process. */
Test(socket, fails_to_write_to_a_closed_peer_without_a_signal)
{
    int pair[2];
    size_t count;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    close(pair[1]);
    cr_assert_eq(socket_write(pair[0], "x", 1, &count), IO_FAIL);
    cr_assert_eq(errno, EPIPE);
    struct iovec vector = {(char[]){'x'}, 1};
    cr_assert_eq(socket_writev(pair[0], &vector, 1, &count), IO_FAIL);
    close(pair[0]);
}

Test(socket, gathers_and_scatters)
{
    int pair[2];
    size_t count;
    char first[2];
    char second[8];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct iovec out[] = {{(char[]){'a', 'b', 'c'}, 3}, {(char[]){'d', 'e'}, 2}};
    struct iovec in[] = {{first, sizeof first}, {second, sizeof second}};
    cr_assert_eq(socket_writev(pair[0], out, 2, &count), IO_OK);
    cr_assert_eq(count, 5);
    cr_assert_eq(socket_readv(pair[1], in, 2, &count), IO_OK);
    cr_assert_eq(count, 5);
    cr_assert_arr_eq(first, "ab", 2);
    cr_assert_arr_eq(second, "cde", 3);
    cr_assert_eq(socket_readv(pair[1], in, 2, &count), IO_AGAIN);
    close(pair[0]);
    close(pair[1]);
}

Test(socket, says_again_when_the_peer_does_not_read)
{
    int pair[2];
    static char block[65536];
    size_t count = 0;
    enum io io;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    while ((io = socket_write(pair[0], block, sizeof block, &count)) == IO_OK) {
    }
    cr_assert_eq(io, IO_AGAIN);
    close(pair[0]);
    close(pair[1]);
}

/* ---- Unix sockets ---- */

static char *directory;
static char *path;

static void make_path(void)
{
    directory = make_temporary_directory();
    cr_assert_gt(asprintf(&path, "%s/x.sock", directory), 0);
}

static void remove_path(void)
{
    free(path);
    remove_temporary_directory(directory);
}

Test(unix_socket, has_the_mode_it_was_given_and_knows_its_peer, .init = make_path,
     .fini = remove_path)
{
    struct error error;
    struct stat status;
    struct ucred peer;
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        int listener = socket_listen_unix(path, types[i], 0662, &error);
        cr_assert_geq(listener, 0, "%s", error.message);
        check_born_well(listener);
        cr_assert_eq(stat(path, &status), 0);
        cr_assert_eq(status.st_mode & 0777, 0662);
        int client = socket_connect_unix(path, types[i], &error);
        cr_assert_geq(client, 0, "%s", error.message);
        check_born_well(client);
        int server = accept_from(listener, NULL);
        cr_assert_eq(socket_peer_credentials(server, &peer), 0);
        cr_assert_eq(peer.pid, getpid());
        cr_assert_eq(peer.uid, getuid());
        close(client);
        close(server);
        close(listener);
    }
}

Test(unix_socket, carries_datagrams, .init = make_path, .fini = remove_path)
{
    char data[16];
    size_t count;
    int receiver = socket_listen_unix(path, SOCK_DGRAM, 0600, NULL);
    int sender = socket_connect_unix(path, SOCK_DGRAM, NULL);
    cr_assert_eq(socket_write(sender, "READY", 5, &count), IO_OK);
    cr_assert_eq(socket_read(receiver, data, sizeof data, &count), IO_OK);
    cr_assert_eq(count, 5);
    close(sender);
    close(receiver);
}

Test(unix_socket, replaces_only_what_nobody_listens_on, .init = make_path, .fini = remove_path)
{
    struct error error;
    char expected[256];
    int first = socket_listen_unix(path, SOCK_STREAM, 0600, &error);
    cr_assert_eq(socket_listen_unix(path, SOCK_STREAM, 0600, &error), -EADDRINUSE);
    snprintf(expected, sizeof expected, "cannot listen on %s: Address already in use", path);
    cr_assert_str_eq(error.message, expected);
    close(first);
    int second = socket_listen_unix(path, SOCK_STREAM, 0600, &error);
    cr_assert_geq(second, 0, "%s", error.message);
    close(second);
    unlink(path);
    free(write_file(directory, "x.sock", STR("precious")));
    cr_assert_eq(socket_listen_unix(path, SOCK_STREAM, 0600, &error), -EADDRINUSE);
    cr_assert_eq(access(path, F_OK), 0);
}

Test(unix_socket, names_the_path_that_cannot_be_reached)
{
    struct error error;
    cr_assert_eq(socket_connect_unix("/nonexistent/x", SOCK_STREAM, &error), -ENOENT);
    cr_assert_str_eq(error.message, "cannot connect to /nonexistent/x: No such file or directory");
    cr_assert_eq(socket_listen_unix("/nonexistent/x", SOCK_STREAM, 0600, &error), -ENOENT);
}

/* ---- No descriptors left ---- */

static void allow_descriptors_up_to(int highest)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)highest + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(fd_reserve, refuses_connections_when_descriptors_run_out)
{
    enum { WAITING = 5 };
    struct fd_reserve reserve;
    struct address address;
    int clients[WAITING];
    int listener = listen_at("127.0.0.1:0", &(struct listen_options){0}, &address);
    for (int i = 0; i < WAITING; i++) {
        clients[i] = connect_to(&address);
    }
    cr_assert_eq(fd_reserve_init(&reserve), 0);
    /* The reserve took the lowest free number: there may be holes below, so fill them. */
    allow_descriptors_up_to(reserve.fd > clients[WAITING - 1] ? reserve.fd : clients[WAITING - 1]);
    while (dup(listener) >= 0) {
    }
    wait_until(listener, POLLIN);
    cr_assert_eq(socket_accept(listener, NULL), -EMFILE);
    for (int i = 0; i < WAITING; i++) {
        cr_assert_eq(fd_reserve_refuse(&reserve, listener), 0);
    }
    cr_assert_eq(fd_reserve_refuse(&reserve, listener), -EAGAIN);
    for (int i = 0; i < WAITING; i++) {
        char byte;
        size_t count;
        wait_until(clients[i], POLLIN);
        cr_assert_eq(socket_read(clients[i], &byte, 1, &count), IO_EOF);
    }
    fd_reserve_done(&reserve);
}

Test(fd_reserve, that_is_spent_says_so)
{
    struct fd_reserve reserve = {.fd = -1};
    cr_assert_eq(fd_reserve_accept(&reserve, 0, NULL), -EMFILE);
    cr_assert_eq(fd_reserve_refill(&reserve), 0);
    cr_assert_geq(reserve.fd, 0);
    fd_reserve_done(&reserve);
}
