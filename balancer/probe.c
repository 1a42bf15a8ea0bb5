/* SPDX-License-Identifier: Apache-2.0 */
/* One probe: a connection of its own, a request, the head of the answer. It goes from phase to
 * phase as its socket becomes ready; one deadline guards them all. */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "member.h"
#include "net/http1.h"
#include "net/loop.h"
#include "net/socket.h"

enum {
    REQUEST_MAX = 1024,
    ANSWER_MAX = 16 * 1024, /* a head, interim ones included; of a body no more is read */
    FIELDS_MAX = 64,
};

/* Time for the rest of an answer that is judged already. Read to its end the member sees a regular
 * close; cut off, it would see a reset and may write that into its log, at every probe. */
#define DRAIN_TIME (100 * USEC_PER_MSEC)

enum phase {
    PHASE_CONNECT,
    PHASE_SEND,
    PHASE_RECEIVE,
    PHASE_DRAIN,
    PHASE_OVER, /* `result` is told when the timer fires */
};

struct probe {
    struct loop *loop;
    struct watch watch;
    struct timer timer;
    probe_function *done;
    void *context;
    usec_t deadline;
    enum phase phase;
    enum probe_result result; /* from PHASE_DRAIN on */
    uint64_t left;            /* of the body, in PHASE_DRAIN */
    struct buffer request;
    struct buffer answer;
    struct http1_field fields[FIELDS_MAX];
    struct http1_response response;
};

static const struct http1_limits limits = {
    .head_bytes = ANSWER_MAX,
    .name_bytes = 256,
    .fields = FIELDS_MAX,
};

/* ---- The end ---- */

void probe_free(struct probe *probe)
{
    if (probe == NULL) {
        return;
    }
    loop_disarm(probe->loop, &probe->timer);
    if (probe->watch.fd >= 0) {
        watch_forget(probe->loop, &probe->watch);
        close(probe->watch.fd);
    }
    buffer_done(&probe->request);
    buffer_done(&probe->answer);
    free(probe);
}

static void finish(struct probe *probe, enum probe_result result)
{
    probe_function *done = probe->done;
    void *context = probe->context;
    probe_free(probe);
    done(context, result);
}

static void time_is_up(struct timer *timer, usec_t now)
{
    (void)now;
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    switch (probe->phase) {
    case PHASE_CONNECT:
        finish(probe, PROBE_UNREACHED);
        break;
    case PHASE_SEND:
    case PHASE_RECEIVE:
        finish(probe, PROBE_BAD);
        break;
    case PHASE_DRAIN:
    case PHASE_OVER:
        finish(probe, probe->result);
        break;
    }
}

/* ---- The phases ---- */

/* The member's fault, the network's, or ours? */
static enum probe_result judge_connect(int code)
{
    switch (code) {
    case -ECONNREFUSED:
        return PROBE_REFUSED;
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
    case -ENOSPC:
    case -EADDRNOTAVAIL: /* no port is left to connect from */
    case -EAGAIN:
        return PROBE_UNKNOWN;
    default:
        return PROBE_UNREACHED;
    }
}

/* Where nobody listens, a port of this machine that lies in the range from which the kernel takes
 * the ports of clients can happen to be connected with itself. */
static bool is_connected_with_itself(int fd)
{
    struct address local;
    struct address peer;
    return socket_local_address(fd, &local) == 0 && socket_peer_address(fd, &peer) == 0 &&
           address_equal(&local, &peer);
}

static void connected(struct probe *probe)
{
    int code = socket_connect_result(probe->watch.fd);
    if (code < 0) {
        finish(probe, judge_connect(code));
    } else if (is_connected_with_itself(probe->watch.fd)) {
        finish(probe, PROBE_REFUSED);
    } else if (buffer_size(&probe->request) == 0) {
        finish(probe, PROBE_GOOD);
    } else {
        probe->phase = PHASE_SEND; /* the watch is level-triggered: it comes back for that */
    }
}

static void sending(struct probe *probe)
{
    struct str rest = buffer_view(&probe->request);
    size_t sent;
    enum io io = socket_write(probe->watch.fd, rest.data, rest.len, &sent);
    if (io == IO_OK) {
        buffer_consume(&probe->request, sent);
        if (sent == rest.len) {
            probe->phase = PHASE_RECEIVE;
            if (buffer_reserve(&probe->answer, ANSWER_MAX) < 0 ||
                watch_set(probe->loop, &probe->watch, WATCH_READ) < 0) {
                finish(probe, PROBE_UNKNOWN);
            }
        }
    } else if (io != IO_AGAIN) {
        finish(probe, PROBE_BAD);
    }
}

static enum probe_result judge_status(unsigned status)
{
    return status < 500 || status == 501 || status == 505 ? PROBE_GOOD : PROBE_BAD;
}

/* The head is understood; `extra` bytes of the body came with it. */
static void drain(struct probe *probe, size_t extra)
{
    const struct http1_head *head = &probe->response.head;
    probe->phase = PHASE_DRAIN;
    probe->result = judge_status(probe->response.status);
    probe->left = head->framing == HTTP1_BODY_NONE     ? 0
                  : head->framing == HTTP1_BODY_LENGTH ? head->body_bytes
                                                       : ANSWER_MAX;
    if (probe->left <= extra) {
        finish(probe, probe->result);
        return;
    }
    probe->left -= extra;
    buffer_clear(&probe->answer);
    usec_t until = usec_add(loop_now(probe->loop), DRAIN_TIME);
    loop_arm(probe->loop, &probe->timer, until < probe->deadline ? until : probe->deadline);
}

/* Interim answers are skipped. */
static void understand(struct probe *probe)
{
    for (;;) {
        struct http1_refusal refusal;
        struct str input = buffer_view(&probe->answer);
        ssize_t n = http1_response_parse(&probe->response, &limits, HTTP1_GET, input, &refusal);
        if (n < 0) {
            finish(probe, PROBE_BAD);
            return;
        }
        if (n == 0) {
            return;
        }
        if (probe->response.status >= 200) {
            drain(probe, input.len - (size_t)n);
            return;
        }
        buffer_consume(&probe->answer, (size_t)n);
        http1_response_init(&probe->response, probe->fields);
    }
}

static void receiving(struct probe *probe)
{
    /* The buffer was made as large as it gets, so one that is full holds an endless answer. */
    size_t room = buffer_room(&probe->answer);
    size_t count;
    enum io io = room == 0
                     ? IO_FAIL
                     : socket_read(probe->watch.fd, buffer_tail(&probe->answer), room, &count);
    if (io == IO_OK) {
        buffer_commit(&probe->answer, count);
        understand(probe);
    } else if (io != IO_AGAIN) {
        finish(probe, PROBE_BAD);
    }
}

static void draining(struct probe *probe)
{
    char unwanted[4096];
    size_t count;
    enum io io = socket_read(probe->watch.fd, unwanted, sizeof unwanted, &count);
    if (io == IO_OK && count < probe->left) {
        probe->left -= count;
    } else if (io != IO_AGAIN) {
        finish(probe, probe->result);
    }
}

static void socket_is_ready(struct watch *watch, unsigned ready)
{
    (void)ready;
    struct probe *probe = CONTAINER_OF(watch, struct probe, watch);
    switch (probe->phase) {
    case PHASE_CONNECT:
        connected(probe);
        break;
    case PHASE_SEND:
        sending(probe);
        break;
    case PHASE_RECEIVE:
        receiving(probe);
        break;
    case PHASE_DRAIN:
        draining(probe);
        break;
    case PHASE_OVER:
        break;
    }
}

/* ---- The beginning ---- */

static int prepare(struct probe *probe, const struct member *member, const char *path)
{
    buffer_init(&probe->request, REQUEST_MAX);
    buffer_init(&probe->answer, ANSWER_MAX);
    http1_response_init(&probe->response, probe->fields);
    if (path[0] == '\0') {
        return 0;
    }
    return buffer_printf(&probe->request,
                         "GET %s HTTP/1.1\r\n"
                         "Host: %s\r\n"
                         "User-Agent: portico-balancer/" PORTICO_VERSION "\r\n"
                         "Connection: close\r\n\r\n",
                         path, member->name);
}

/* What is known at once is told in a later turn all the same, so that callers meet one order. */
static void start(struct probe *probe, const struct member *member)
{
    int fd = socket_connect(&member->address, NULL, NULL);
    int code = fd < 0 ? fd : 0;
    if (fd >= 0) {
        watch_init(&probe->watch, fd, socket_is_ready);
        code = watch_set(probe->loop, &probe->watch, WATCH_WRITE);
    }
    if (code < 0) {
        probe->phase = PHASE_OVER;
        probe->result = judge_connect(code);
    }
    loop_arm(probe->loop, &probe->timer, code < 0 ? loop_now(probe->loop) : probe->deadline);
}

struct probe *probe_new(struct loop *loop, const struct member *member, const char *path,
                        usec_t timeout, probe_function *done, void *context)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        return NULL;
    }
    probe->loop = loop;
    probe->done = done;
    probe->context = context;
    probe->deadline = usec_add(loop_now(loop), timeout);
    probe->watch.fd = -1;
    timer_init(&probe->timer, time_is_up);
    if (prepare(probe, member, path) < 0) {
        probe_free(probe);
        return NULL;
    }
    start(probe, member);
    return probe;
}
