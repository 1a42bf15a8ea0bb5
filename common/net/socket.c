/* SPDX-License-Identifier: Apache-2.0 */
/* Thin, careful wrappers around the socket calls. Any thread; they keep no state. */
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* Close what was opened, if anything, and pass the reason on. */
static int close_with(int fd, int code)
{
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

static int new_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    return fd;
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

int socket_set_no_delay(int fd)
{
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* ---- Listening ---- */

static int set_listen_options(int fd, int family, const struct listen_options *options)
{
    int code = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (code == 0 && options->reuse_port) {
        code = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (code == 0 && family == AF_INET6) {
        code = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    }
    if (code == 0 && options->no_delay) {
        code = socket_set_no_delay(fd);
    }
    if (code == 0 && options->defer_accept_seconds > 0) {
        code = set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options->defer_accept_seconds);
    }
    return code;
}

static int bind_and_listen(int fd, const struct address *address, int backlog)
{
    if (bind(fd, &address->any, address->len) != 0 ||
        listen(fd, backlog > 0 ? backlog : SOMAXCONN) != 0) {
        return -errno;
    }
    return 0;
}

int socket_listen(const struct address *address, const struct listen_options *options,
                  struct error *error)
{
    int family = address->any.sa_family;
    int fd = new_socket(family, SOCK_STREAM);
    int code = fd;
    if (fd >= 0) {
        code = set_listen_options(fd, family, options);
    }
    if (code == 0) {
        code = bind_and_listen(fd, address, options->backlog);
    }
    if (code < 0) {
        char text[ADDRESS_TEXT_SIZE];
        close_with(fd, code);
        return error_set_errno(error, code, "cannot listen on %s", address_format(address, text));
    }
    return fd;
}

/* ---- Unix sockets ---- */

/* A socket file whose owner is gone refuses connections. */
static bool is_stale(const struct address *address, int type)
{
    struct stat status;
    if (lstat(address->local.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    int fd = new_socket(AF_UNIX, type);
    if (fd < 0) {
        return false;
    }
    bool refused = connect(fd, &address->any, address->len) != 0 && errno == ECONNREFUSED;
    return close_with(fd, refused);
}

static int bind_unix(int fd, const struct address *address, int type)
{
    if (bind(fd, &address->any, address->len) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE) {
        return -errno;
    }
    if (!is_stale(address, type)) {
        return -EADDRINUSE;
    }
    if (unlink(address->local.sun_path) != 0 || bind(fd, &address->any, address->len) != 0) {
        return -errno;
    }
    return 0;
}

/* The mode before bind() is that of the new file, less the umask: nobody gets in between. The mode
 * after it undoes the umask. */
static int bind_with_mode(int fd, const struct address *address, int type, mode_t mode)
{
    if (fchmod(fd, mode) != 0) {
        return -errno;
    }
    int code = bind_unix(fd, address, type);
    if (code == 0 && chmod(address->local.sun_path, mode) != 0) {
        code = -errno;
    }
    if (code == 0 && type != SOCK_DGRAM && listen(fd, SOMAXCONN) != 0) {
        code = -errno;
    }
    return code;
}

int socket_listen_unix(const char *path, int type, mode_t mode, struct error *error)
{
    struct address address;
    int code = address_from_path(str_from(path), &address, error);
    if (code < 0) {
        return code;
    }
    int fd = new_socket(AF_UNIX, type);
    code = fd < 0 ? fd : bind_with_mode(fd, &address, type, mode);
    if (code < 0) {
        close_with(fd, code);
        return error_set_errno(error, code, "cannot listen on %s", path);
    }
    return fd;
}

int socket_connect_unix(const char *path, int type, struct error *error)
{
    struct address address;
    int code = address_from_path(str_from(path), &address, error);
    if (code < 0) {
        return code;
    }
    int fd = new_socket(AF_UNIX, type);
    if (fd < 0 || connect(fd, &address.any, address.len) != 0) {
        code = fd < 0 ? fd : close_with(fd, -errno);
        return error_set_errno(error, code, "cannot connect to %s", path);
    }
    return fd;
}

int socket_peer_credentials(int fd, struct ucred *peer)
{
    struct ucred found;
    socklen_t len = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &len) != 0) {
        return -errno;
    }
    *peer = found;
    return 0;
}

/* ---- Connections ---- */

/* The listener is fine, this one connection is not: Linux hands pending network errors of the new
 * socket to accept(). */
static int accept_error(int number)
{
    switch (number) {
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case EPERM:
    case ETIMEDOUT:
        return -ECONNABORTED;
    default:
        return -number;
    }
}

int socket_accept(int listener, struct address *peer)
{
    struct address from = {.len = sizeof from - offsetof(struct address, any)};
    int fd;
    do {
        fd = accept4(listener, peer == NULL ? NULL : &from.any, peer == NULL ? NULL : &from.len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return accept_error(errno);
    }
    if (peer != NULL) {
        *peer = from;
    }
    return fd;
}

/* Without a port of its own until connect() knows the other end: so one source address serves more
 * connections than there are ports. */
static int bind_source(int fd, const struct address *source)
{
    int code = 0;
    if (!address_is_unix(source) && address_port(source) == 0) {
        code = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    if (code == 0 && bind(fd, &source->any, source->len) != 0) {
        code = -errno;
    }
    return code;
}

int socket_connect(const struct address *address, const struct address *source, struct error *error)
{
    int fd = new_socket(address->any.sa_family, SOCK_STREAM);
    int code = fd < 0 ? fd : 0;
    if (code == 0 && source != NULL) {
        code = bind_source(fd, source);
    }
    /* Interrupted, it goes on in the background, like one in progress. */
    if (code == 0 && connect(fd, &address->any, address->len) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        code = -errno;
    }
    if (code < 0) {
        char text[ADDRESS_TEXT_SIZE];
        close_with(fd, code);
        return error_set_errno(error, code, "cannot connect to %s", address_format(address, text));
    }
    return fd;
}

int socket_connect_result(int fd)
{
    int number = 0;
    socklen_t len = sizeof number;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 ? -number : -errno;
}

static int ask_address(int fd, struct address *address,
                       int (*ask)(int, struct sockaddr *restrict, socklen_t *restrict))
{
    struct address found = {.len = sizeof found - offsetof(struct address, any)};
    if (ask(fd, &found.any, &found.len) != 0) {
        return -errno;
    }
    *address = found;
    return 0;
}

size_t socket_unsent(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) < 0 || bytes < 0 ? 0 : (size_t)bytes;
}

int socket_local_address(int fd, struct address *address)
{
    return ask_address(fd, address, getsockname);
}

int socket_peer_address(int fd, struct address *address)
{
    return ask_address(fd, address, getpeername);
}

/* ---- Reading and writing ---- */

static enum io io_result(ssize_t moved, size_t *count)
{
    if (moved > 0) {
        *count = (size_t)moved;
        return IO_OK;
    }
    if (moved == 0) {
        return IO_EOF;
    }
    return errno == EAGAIN ? IO_AGAIN : IO_FAIL;
}

enum io socket_read(int fd, void *data, size_t size, size_t *count)
{
    CHECK(size > 0); /* else 0 bytes would look like the end */
    ssize_t moved;
    do {
        moved = recv(fd, data, size, 0);
    } while (moved < 0 && errno == EINTR);
    return io_result(moved, count);
}

static enum io send_bytes(int fd, const void *data, size_t size, int flags, size_t *count)
{
    CHECK(size > 0);
    ssize_t moved;
    do {
        moved = send(fd, data, size, MSG_NOSIGNAL | flags);
    } while (moved < 0 && errno == EINTR);
    return io_result(moved, count);
}

enum io socket_write(int fd, const void *data, size_t size, size_t *count)
{
    return send_bytes(fd, data, size, 0, count);
}

enum io socket_write_more(int fd, const void *data, size_t size, size_t *count)
{
    return send_bytes(fd, data, size, MSG_MORE, count);
}

void socket_push(int fd)
{
    const int on = 1;
    /* Fails when it is no TCP socket, and then nothing waits. */
    int code = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)code;
}

/* recvmsg() and sendmsg() share one message type, which is not const. */
static struct msghdr message(const struct iovec *vector, size_t parts)
{
    return (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)vector, .msg_iovlen = parts};
}

enum io socket_readv(int fd, const struct iovec *vector, size_t parts, size_t *count)
{
    struct msghdr into = message(vector, parts);
    ssize_t moved;
    do {
        moved = recvmsg(fd, &into, 0);
    } while (moved < 0 && errno == EINTR);
    return io_result(moved, count);
}

static enum io send_vector(int fd, const struct iovec *vector, size_t parts, int flags,
                           size_t *count)
{
    struct msghdr from = message(vector, parts);
    ssize_t moved;
    do {
        moved = sendmsg(fd, &from, MSG_NOSIGNAL | flags);
    } while (moved < 0 && errno == EINTR);
    return io_result(moved, count);
}

enum io socket_writev(int fd, const struct iovec *vector, size_t parts, size_t *count)
{
    return send_vector(fd, vector, parts, 0, count);
}

enum io socket_writev_more(int fd, const struct iovec *vector, size_t parts, size_t *count)
{
    return send_vector(fd, vector, parts, MSG_MORE, count);
}

/* ---- The reserve ---- */

int fd_reserve_init(struct fd_reserve *reserve)
{
    reserve->fd = -1;
    return fd_reserve_refill(reserve);
}

void fd_reserve_done(struct fd_reserve *reserve)
{
    if (reserve->fd >= 0) {
        close(reserve->fd);
        reserve->fd = -1;
    }
}

int fd_reserve_refill(struct fd_reserve *reserve)
{
    if (reserve->fd < 0) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return -errno;
        }
        reserve->fd = fd;
    }
    return 0;
}

int fd_reserve_accept(struct fd_reserve *reserve, int listener, struct address *peer)
{
    if (reserve->fd < 0) {
        return -EMFILE;
    }
    fd_reserve_done(reserve);
    return socket_accept(listener, peer);
}

int fd_reserve_refuse(struct fd_reserve *reserve, int listener)
{
    int fd = fd_reserve_accept(reserve, listener, NULL);
    if (fd >= 0) {
        close(fd);
    }
    int code = fd_reserve_refill(reserve);
    return fd < 0 ? fd : code;
}
