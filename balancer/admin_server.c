/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of administrators and scrapers: read a request, answer it, write the answer as fast
 * as it is taken, then look at the next one. Nothing is read while an answer waits to be written.
 */
#include "admin_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balancer.h"
#include "base/check.h"
#include "base/log.h"
#include "net/socket.h"

enum {
    ACCEPTS_PER_TURN = 16,
    REQUESTS_PER_TURN = 32, /* of one connection, so that pipelines do not hold up the loop */
    WRITE_MAX = 256 * 1024, /* in one go */
    OUT_MAX = ADMIN_ANSWER_MAX + 64 * 1024,
};
#define ACCEPT_PAUSE (100 * USEC_PER_MSEC)
#define LINGER_TIME (1 * USEC_PER_SEC)

LIST_DECLARE(stream_list, struct admin_stream, link);

struct admin_server {
    struct balancer *balancer;
    struct loop *loop;
    const struct admin_protocol *protocol;
    void *context;
    struct watch watch;
    struct timer pause; /* after a lack of descriptors */
    struct stream_list streams;
};

static void step(struct admin_stream *stream);

/* ---- The end of a connection ---- */

static void free_stream(struct garbage *garbage)
{
    struct admin_stream *stream = CONTAINER_OF(garbage, struct admin_stream, garbage);
    buffer_done(&stream->in);
    buffer_done(&stream->out);
    free(stream);
}

/* The memory stays until the end of the turn, for who is on the stack. */
static void close_stream(struct admin_stream *stream)
{
    struct loop *loop = stream->server->loop;
    if (stream->is_closed) {
        return;
    }
    stream->is_closed = true;
    admin_call_cancel(stream->call);
    stream->call = NULL;
    loop_disarm(loop, &stream->deadline);
    loop_disarm(loop, &stream->again);
    watch_stop(loop, &stream->watch);
    close(stream->watch.fd);
    stream_list_remove(&stream->server->streams, stream);
    loop_free_later(loop, &stream->garbage, free_stream);
}

static void on_deadline(struct timer *timer, usec_t now)
{
    (void)now;
    close_stream(CONTAINER_OF(timer, struct admin_stream, deadline));
}

static void on_again(struct timer *timer, usec_t now)
{
    (void)now;
    step(CONTAINER_OF(timer, struct admin_stream, again));
}

/* ---- Deadlines and interest ---- */

static void arm(struct admin_stream *stream, usec_t time)
{
    struct loop *loop = stream->server->loop;
    loop_arm(loop, &stream->deadline, usec_add(loop_now(loop), time));
}

/* The bytes of a request that drips in do not move its deadline. */
static void enter(struct admin_stream *stream, enum admin_phase phase)
{
    const struct admin_protocol *protocol = stream->server->protocol;
    if (phase != stream->phase) {
        stream->phase = phase;
        arm(stream, phase == ADMIN_IDLE ? protocol->idle_time : protocol->step_time);
    }
}

static void wait_for_more(struct admin_stream *stream)
{
    bool is_answering = stream->call != NULL || buffer_size(&stream->out) > 0;
    bool has_bytes = buffer_size(&stream->in) > 0;
    unsigned interest = 0;
    enter(stream, is_answering ? ADMIN_ANSWER : has_bytes ? ADMIN_REQUEST : ADMIN_IDLE);
    if (buffer_size(&stream->out) > 0) {
        interest = WATCH_WRITE;
    } else if (!is_answering && !stream->has_ended && !timer_is_armed(&stream->again)) {
        interest = WATCH_READ;
    }
    if (watch_set(stream->server->loop, &stream->watch, interest) < 0) {
        close_stream(stream);
    }
}

/* ---- Steps ---- */

void admin_stream_put(struct admin_stream *stream, struct str bytes)
{
    if (buffer_append(&stream->out, bytes) < 0) {
        close_stream(stream);
    }
}

/* False: the rest has to wait, or the connection is gone. */
static bool flush(struct admin_stream *stream)
{
    while (buffer_size(&stream->out) > 0) {
        size_t count;
        struct str bytes = str_first(buffer_view(&stream->out), WRITE_MAX);
        enum io io = socket_write(stream->watch.fd, bytes.data, bytes.len, &count);
        if (io == IO_AGAIN) {
            return false;
        }
        if (io != IO_OK) {
            close_stream(stream);
            return false;
        }
        buffer_consume(&stream->out, count);
        arm(stream, stream->server->protocol->step_time);
    }
    buffer_done(&stream->out); /* the next answer may be small, and so is what is kept */
    return true;
}

static void on_answer(void *context, const struct admin_answer *answer)
{
    struct admin_stream *stream = context;
    stream->call = NULL;
    stream->server->protocol->answered(stream, answer);
    if (!stream->is_calling && !stream->is_closed) {
        step(stream);
    }
}

void admin_stream_call(struct admin_stream *stream, struct str command)
{
    stream->is_calling = true;
    stream->call = admin_call(stream->balancer, command, on_answer, stream);
    stream->is_calling = false;
}

void admin_stream_call_page(struct admin_stream *stream, const struct history *history)
{
    stream->is_calling = true;
    stream->call = admin_call_page(stream->balancer, history, on_answer, stream);
    stream->is_calling = false;
}

/* As many requests as are there, but not without end. */
static void take_requests(struct admin_stream *stream)
{
    for (int i = 0; i < REQUESTS_PER_TURN; i++) {
        if (!flush(stream) || stream->is_closing || stream->call != NULL ||
            stream->server->protocol->take(stream) == ADMIN_MORE || stream->is_closed) {
            return;
        }
    }
    loop_arm(stream->server->loop, &stream->again, loop_now(stream->server->loop));
}

/* Everything is said. What the peer still sends is read and dropped for a moment: closing before
 * that would make the system drop our answer, too. */
static void linger(struct admin_stream *stream)
{
    struct loop *loop = stream->server->loop;
    stream->is_lingering = true;
    arm(stream, LINGER_TIME);
    if (shutdown(stream->watch.fd, SHUT_WR) != 0 ||
        watch_set(loop, &stream->watch, WATCH_READ) < 0) {
        close_stream(stream);
    }
}

static void drop_input(struct admin_stream *stream)
{
    char unread[4096];
    size_t count;
    enum io io = socket_read(stream->watch.fd, unread, sizeof unread, &count);
    if (io == IO_EOF || io == IO_FAIL) {
        close_stream(stream);
    }
}

static void step(struct admin_stream *stream)
{
    take_requests(stream);
    bool is_written = !stream->is_closed && flush(stream);
    if (stream->is_closed) {
        return;
    }
    bool has_all = stream->has_ended && !timer_is_armed(&stream->again);
    bool is_done = is_written && stream->call == NULL;
    if (is_done && has_all) {
        close_stream(stream);
    } else if (is_done && stream->is_closing) {
        linger(stream);
    } else {
        wait_for_more(stream);
    }
}

/* False: the connection is gone. */
static bool read_more(struct admin_stream *stream)
{
    size_t count;
    if (buffer_reserve(&stream->in, 1) < 0) {
        close_stream(stream); /* take() did not refuse a request without end: no memory */
        return false;
    }
    enum io io =
        socket_read(stream->watch.fd, buffer_tail(&stream->in), buffer_room(&stream->in), &count);
    if (io == IO_FAIL) {
        close_stream(stream);
        return false;
    }
    stream->has_ended = io == IO_EOF;
    if (io == IO_OK) {
        buffer_commit(&stream->in, count);
    }
    return true;
}

static void on_ready(struct watch *watch, unsigned ready)
{
    struct admin_stream *stream = CONTAINER_OF(watch, struct admin_stream, watch);
    if (stream->is_lingering) {
        drop_input(stream);
    } else if ((ready & WATCH_READ) == 0 || read_more(stream)) {
        step(stream);
    }
}

/* ---- New connections ---- */

/* One small write; whether it arrives is not our concern. */
static void refuse(const struct admin_server *server, int fd)
{
    static struct log_limit limit = LOG_LIMIT(1, USEC_PER_MINUTE);
    size_t count;
    enum io unused =
        socket_write(fd, server->protocol->busy.data, server->protocol->busy.len, &count);
    (void)unused;
    close(fd);
    log_limited(&limit, LOG_LEVEL_WARNING, "too many administrators",
                LOG_TEXT("on", server->protocol->name),
                LOG_UINT("limit", server->protocol->streams_max));
}

static void add_stream(struct admin_server *server, int fd)
{
    struct admin_stream *stream = NULL;
    if (stream_list_count(&server->streams) < server->protocol->streams_max) {
        stream = calloc(1, sizeof *stream);
    }
    if (stream == NULL) {
        refuse(server, fd);
        return;
    }
    stream->server = server;
    stream->balancer = server->balancer;
    stream->context = server->context;
    stream->phase = ADMIN_ANSWER; /* so that waiting for a request arms the deadline */
    buffer_init(&stream->in, server->protocol->in_max);
    buffer_init(&stream->out, OUT_MAX);
    watch_init(&stream->watch, fd, on_ready);
    timer_init(&stream->deadline, on_deadline);
    timer_init(&stream->again, on_again);
    stream_list_push_back(&server->streams, stream);
    wait_for_more(stream);
}

static void on_connection(struct watch *watch, unsigned ready)
{
    struct admin_server *server = CONTAINER_OF(watch, struct admin_server, watch);
    (void)ready;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = socket_accept(watch->fd, NULL);
        if (fd >= 0) {
            add_stream(server, fd);
        } else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
            /* It stays readable; the loop would spin. */
            watch_stop(server->loop, watch);
            loop_arm(server->loop, &server->pause, loop_now(server->loop) + ACCEPT_PAUSE);
            return;
        } else if (fd != -ECONNABORTED) {
            return;
        }
    }
}

static void end_pause(struct timer *timer, usec_t now)
{
    struct admin_server *server = CONTAINER_OF(timer, struct admin_server, pause);
    if (watch_set(server->loop, &server->watch, WATCH_READ) < 0) {
        loop_arm(server->loop, timer, now + ACCEPT_PAUSE);
    }
}

/* ---- Life ---- */

struct admin_server *admin_server_new(struct balancer *balancer, int fd,
                                      const struct admin_protocol *protocol, void *context,
                                      struct error *error)
{
    struct admin_server *server = calloc(1, sizeof *server);
    int code = -ENOMEM;
    if (server != NULL) {
        server->balancer = balancer;
        server->loop = balancer_loop(balancer);
        server->protocol = protocol;
        server->context = context;
        stream_list_init(&server->streams);
        timer_init(&server->pause, end_pause);
        watch_init(&server->watch, fd, on_connection);
        code = watch_set(server->loop, &server->watch, WATCH_READ);
    }
    if (code < 0) {
        error_set_errno(error, code, "cannot serve administrators on the %s", protocol->name);
        close(fd);
        free(server);
        return NULL;
    }
    return server;
}

void admin_server_free(struct admin_server *server)
{
    struct admin_stream *stream;
    if (server == NULL) {
        return;
    }
    while ((stream = stream_list_first(&server->streams)) != NULL) {
        close_stream(stream);
    }
    loop_disarm(server->loop, &server->pause);
    watch_stop(server->loop, &server->watch);
    close(server->watch.fd);
    free(server);
}

int admin_server_fd(const struct admin_server *server)
{
    return server->watch.fd;
}
