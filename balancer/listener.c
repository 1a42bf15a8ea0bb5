/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting connections, within limits. */
#include "listener.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum {
    ACCEPTS_PER_TURN = 64,
    LAST_ACCEPTS = 4096, /* of a listener that closes: as many as wait at most, usually */
    /* A connection is handed over by the kernel with its first bytes; one that brings none, after
     * this long. */
    DEFER_SECONDS = 3,
};

/* How long to leave the listener alone when there are no descriptors. */
#define PAUSE (100 * USEC_PER_MSEC)

int listener_bind(struct address *address, struct error *error)
{
    const struct listen_options options = {
        .reuse_port = true,
        .no_delay = true,
        .defer_accept_seconds = DEFER_SECONDS,
    };
    int fd = socket_listen(address, &options, error);
    if (fd >= 0 && address_port(address) == 0) {
        int code = socket_local_address(fd, address);
        if (code < 0) {
            close(fd);
            return error_set_errno(error, code, "cannot tell on which port we listen");
        }
    }
    return fd;
}

/* ---- Refusing ---- */

/* The same few bytes for everybody, without memory of its own: this must stay cheap when there are
 * too many connections. What the client sent is read first, as far as it is there, so that closing
 * does not reset the connection and take the answer along. */
static void say_why(struct worker *worker, int fd, enum reason reason)
{
    char request[4096];
    char reply[256];
    unsigned base = (unsigned)(worker->rules->retry_after / USEC_PER_SEC);
    unsigned wait = base + (unsigned)worker_random(worker, base + 1);
    int len =
        snprintf(reply, sizeof reply,
                 "HTTP/1.1 %u %s\r\nX-Portico-Reason: %s\r\nRetry-After: %u\r\n"
                 "Connection: close\r\nContent-Length: 0\r\n\r\n",
                 reason_status(reason),
                 reason == REASON_ADDRESS_CONNECTIONS ? "Too Many Requests" : "Service Unavailable",
                 reason_code(reason), wait);
    if (recv(fd, request, sizeof request, MSG_DONTWAIT) >= 0 || errno == EAGAIN) {
        ssize_t sent = send(fd, reply, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* who does not hear it sees the connection end */
    }
}

static void refuse(struct listener *listener, int fd, enum reason reason)
{
    struct worker *worker = listener->worker;
    if (!listener->is_tls) {
        say_why(worker, fd, reason);
    }
    (void)shutdown(fd, SHUT_WR);
    close(fd);
    const struct record record = {
        .request_id = "", .reason = reason, .status = reason_status(reason)};
    counters_record(worker->counters, &record);
}

static bool has_room(struct worker *worker)
{
    struct shared *shared = worker->shared;
    unsigned before = atomic_fetch_add_explicit(&shared->connections, 1, memory_order_relaxed);
    if (before < worker->rules->max_connections || worker_evict(worker)) {
        return true;
    }
    atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
    return false;
}

/* Whether the address may have one more; trusted proxies speak for many. */
static bool address_has_room(struct worker *worker, const struct address *peer,
                             struct counted_address *counted)
{
    unsigned limit = worker->rules->max_connections_per_address;
    struct ip ip;
    *counted = (struct counted_address){.first = 0};
    return limit == 0 || !address_to_ip(peer, &ip) || rules_trust(worker->rules, &ip) ||
           address_counts_enter(worker->shared->addresses, &ip, limit, counted);
}

static void admit(struct listener *listener, int fd, const struct address *peer)
{
    struct worker *worker = listener->worker;
    struct counted_address counted;
    counter_count(worker->counters, COUNTER_ACCEPTED);
    if (!has_room(worker)) {
        refuse(listener, fd, REASON_TOO_MANY_CONNECTIONS);
    } else if (!address_has_room(worker, peer, &counted)) {
        atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
        refuse(listener, fd, REASON_ADDRESS_CONNECTIONS);
    } else {
        proxy_start(worker, fd, peer, listener->is_tls, counted);
    }
}

/* ---- Out of descriptors ---- */

/* A listener with a connection that cannot be accepted stays readable. Room is made where there is
 * some; else one connection is refused by means of the reserve, and the listener rests a while. */
static void find_room(struct listener *listener)
{
    struct worker *worker = listener->worker;
    static struct log_limit limit = LOG_LIMIT(1, 10 * USEC_PER_SEC);
    counter_count(worker->counters, COUNTER_ACCEPT_FAILED);
    log_limited(&limit, LOG_LEVEL_WARNING, "no descriptor for a new connection; raise LimitNOFILE");
    if (worker_evict(worker) || pools_shed(worker->pools)) {
        return;
    }
    if (fd_reserve_refuse(&worker->reserve, listener->watch.fd) < 0) {
        watch_stop(worker->loop, &listener->watch);
        loop_arm(worker->loop, &listener->pause, usec_add(worker_now(worker), PAUSE));
    }
}

static void resume(struct timer *timer, usec_t now)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, pause);
    struct worker *worker = listener->worker;
    /* Without a reserve the next failure only rests again. */
    int code = fd_reserve_refill(&worker->reserve);
    if (listener->is_open && code <= 0 &&
        watch_set(worker->loop, &listener->watch, WATCH_READ) < 0) {
        loop_arm(worker->loop, timer, usec_add(now, PAUSE));
    }
}

/* ---- Accepting ---- */

/* As many as the last burst had, doubled while they keep coming: a busy listener saves turns, a
 * quiet one saves the call that finds nothing. */
static void accept_some(struct watch *watch, unsigned ready)
{
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    unsigned accepted = 0;
    (void)ready;
    while (accepted < listener->burst) {
        struct address peer;
        int fd = socket_accept(watch->fd, &peer);
        if (fd >= 0) {
            accepted++;
            admit(listener, fd, &peer);
        } else if (fd == -EAGAIN) {
            break;
        } else if (fd != -ECONNABORTED) {
            find_room(listener);
            return;
        }
        if (!listener->is_open) {
            return;
        }
    }
    unsigned next = accepted == listener->burst ? accepted * 2 : accepted;
    listener->burst = next < 1 ? 1 : next > ACCEPTS_PER_TURN ? ACCEPTS_PER_TURN : next;
}

int listener_open(struct listener *listener, struct worker *worker, int fd, bool is_tls)
{
    watch_init(&listener->watch, fd, accept_some);
    timer_init(&listener->pause, resume);
    listener->worker = worker;
    listener->is_tls = is_tls;
    listener->is_open = true;
    listener->burst = 1;
    return watch_set(worker->loop, &listener->watch, WATCH_READ);
}

void listener_close(struct listener *listener)
{
    if (!listener->is_open) {
        return;
    }
    /* New ones may come as fast as these are taken. */
    for (unsigned i = 0; !listener->is_passed && i < LAST_ACCEPTS; i++) {
        struct address peer;
        int fd = socket_accept(listener->watch.fd, &peer);
        if (fd >= 0) {
            admit(listener, fd, &peer);
        } else if (fd != -ECONNABORTED) {
            break;
        }
    }
    listener->is_open = false;
    watch_stop(listener->worker->loop, &listener->watch);
    loop_disarm(listener->worker->loop, &listener->pause);
    close(listener->watch.fd);
}
