/* SPDX-License-Identifier: Apache-2.0 */
/* Ports to sockets, sockets to workers.
 *
 * A socket that systemd holds is known by its port: the one of Balancer.bind_port gets plain
 * connections, the one of Balancer.tls_bind_port TLS. Workers cannot add sockets of their own to
 * it, for SO_REUSEPORT wants one user for all, and systemd is root. So they share it; or the socket
 * unit names the port several times, and they share that many. Nobody else may accept on them when
 * we end, so what waits there is left for who is started next. */
#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "listener.h"
#include "net/socket.h"

/* ---- Sockets that were passed ---- */

/* As many as there may be workers; more would have nobody to accept on them. */
enum { PASSED_MAX = 1024 };

struct passed {
    unsigned count;
    int fds[PASSED_MAX];
    uint16_t ports[PASSED_MAX]; /* 0: it has a use */
};

static int add_passed(struct passed *passed, int fd, struct error *error)
{
    struct address address;
    int flags = fcntl(fd, F_GETFL);
    if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 ||
        socket_local_address(fd, &address) < 0 || address_is_unix(&address)) {
        return error_set(error, -EINVAL,
                         "descriptor %d, which systemd passed, is no listening TCP socket", fd);
    }
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return error_set_errno(error, -errno, "cannot use the sockets that systemd passed");
    }
    passed->fds[passed->count] = fd;
    passed->ports[passed->count++] = address_port(&address);
    return 0;
}

static int find_passed(struct passed *passed, struct error *error)
{
    int count = sd_listen_fds(1); /* close-on-exec from here on */
    passed->count = 0;
    if (count < 0) {
        return error_set_errno(error, count, "cannot take the sockets that systemd passed");
    }
    if (count > PASSED_MAX) {
        return error_set(error, -E2BIG, "systemd passed %d sockets; at most %d can be used", count,
                         PASSED_MAX);
    }
    int code = 0;
    for (int i = 0; code == 0 && i < count; i++) {
        code = add_passed(passed, SD_LISTEN_FDS_START + i, error);
    }
    return code;
}

/* Moves those on `port` to the front of `chosen`. How many. */
static unsigned choose_passed(struct passed *passed, uint16_t port, int chosen[PASSED_MAX])
{
    unsigned found = 0;
    for (unsigned i = 0; port != 0 && i < passed->count; i++) {
        if (passed->ports[i] == port) {
            passed->ports[i] = 0;
            chosen[found++] = passed->fds[i];
        }
    }
    return found;
}

/* Connections to a port that nobody serves would wait there for ever. */
static void close_passed(const struct passed *passed)
{
    for (unsigned i = 0; i < passed->count; i++) {
        if (passed->ports[i] != 0) {
            log_warning("systemd listens on a port that is neither Balancer.bind_port nor "
                        "Balancer.tls_bind_port; nobody serves it: systemctl edit "
                        "portico-balancer.socket",
                        LOG_UINT("port", passed->ports[i]));
        }
        close(passed->fds[i]);
    }
}

/* Each worker has a descriptor of its own, for it closes it at its own time. */
static int share_passed(const int *chosen, unsigned count, struct worker *const *workers,
                        unsigned worker_count, bool is_tls, struct error *error)
{
    if (count > worker_count) {
        return error_set(error, -EINVAL,
                         "systemd passed %u sockets for a port, but there are %u workers; name the "
                         "port less often in portico-balancer.socket, or raise Balancer.threads",
                         count, worker_count);
    }
    for (unsigned i = 0; i < worker_count; i++) {
        int fd = fcntl(chosen[i % count], F_DUPFD_CLOEXEC, 0);
        int code = fd < 0 ? -errno : worker_listen(workers[i], fd, is_tls);
        if (code < 0) {
            return error_set_errno(error, code, "cannot use the socket that systemd passed");
        }
        workers[i]->listeners[is_tls].is_passed = true;
    }
    return 0;
}

/* ---- Sockets of our own ---- */

/* Sockets that share a port also share it with those of another balancer, which would get a part of
 * our connections without anybody noticing. So see first that nobody else is there. */
static int see_that_it_is_free(const struct address *address, struct error *error)
{
    const struct listen_options alone = {.backlog = 1};
    int fd = address_port(address) == 0 ? -1 : socket_listen(address, &alone, error);
    if (fd >= 0) {
        close(fd);
    }
    return address_port(address) == 0 || fd >= 0 ? 0 : fd;
}

/* Each worker listens on the same port; the first one decides which that is, if any may be. */
static int bind_all(struct worker *const *workers, unsigned worker_count, bool is_tls,
                    struct address *address, struct error *error)
{
    int code = see_that_it_is_free(address, error);
    for (unsigned i = 0; code >= 0 && i < worker_count; i++) {
        code = listener_bind(address, error);
        if (code >= 0) {
            code = worker_listen(workers[i], code, is_tls);
        }
    }
    return code;
}

/* ---- Both ---- */

struct listening_place {
    const char *key; /* of the port */
    bool is_tls;
    struct address *address;
};

static int open_place(const struct config *config, const struct listening_place *place,
                      struct passed *passed, struct worker *const *workers, unsigned worker_count,
                      struct error *error)
{
    int chosen[PASSED_MAX];
    uint16_t port = (uint16_t)config_int(config, place->key);
    unsigned count = choose_passed(passed, port, chosen);
    int code;
    if (count > 0) {
        code = socket_local_address(chosen[0], place->address);
        code = code < 0 ? error_set_errno(error, code, "cannot tell where systemd listens")
                        : share_passed(chosen, count, workers, worker_count, place->is_tls, error);
    } else {
        code = address_from_host(str_from(config_str(config, "Balancer.bind_address")), port,
                                 place->address, error);
        code =
            code < 0 ? code : bind_all(workers, worker_count, place->is_tls, place->address, error);
    }
    return code < 0 ? error_wrap(error, code, "cannot serve") : 0;
}

int listeners_open(const struct config *config, struct worker *const *workers,
                   unsigned worker_count, struct address *plain, struct address *tls,
                   struct error *error)
{
    const struct listening_place places[] = {{"Balancer.bind_port", false, plain},
                                             {"Balancer.tls_bind_port", true, tls}};
    struct passed passed;
    int code = find_passed(&passed, error);
    if (code < 0) {
        return error_wrap(error, code, "cannot serve");
    }
    for (size_t i = 0; code == 0 && i < ARRAY_LEN(places); i++) {
        if (config_is_set(config, places[i].key)) {
            code = open_place(config, &places[i], &passed, workers, worker_count, error);
        }
    }
    close_passed(&passed);
    return code;
}
