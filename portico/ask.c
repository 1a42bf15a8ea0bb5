/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that lives for one question. */
#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/socket.h"

enum { READ_BYTES = 4096 };

struct ask {
    struct loop *loop;
    struct watch watch;
    struct timer deadline;
    struct garbage garbage;
    struct buffer question, answer;
    enum ask_outcome outcome; /* when the deadline comes */
    bool is_connected, is_local;
    ask_function *done;
    void *context;
};

static void free_it(struct garbage *garbage)
{
    struct ask *ask = CONTAINER_OF(garbage, struct ask, garbage);
    buffer_done(&ask->question);
    buffer_done(&ask->answer);
    free(ask);
}

void ask_free(struct ask *ask)
{
    if (ask == NULL) {
        return;
    }
    loop_disarm(ask->loop, &ask->deadline);
    if (ask->watch.fd >= 0) {
        watch_stop(ask->loop, &ask->watch);
        close(ask->watch.fd);
        ask->watch.fd = -1;
    }
    loop_free_later(ask->loop, &ask->garbage, free_it);
}

/* Freed before the caller hears of it, who may ask again; the bytes stay until the turn ends. */
static void finish(struct ask *ask, enum ask_outcome outcome)
{
    ask_free(ask);
    ask->done(ask->context, outcome, buffer_view(&ask->answer));
}

static void read_answer(struct ask *ask)
{
    size_t count = 0;
    if (buffer_reserve(&ask->answer, READ_BYTES) < 0) {
        finish(ask, ASK_FAILED);
        return;
    }
    switch (
        socket_read(ask->watch.fd, buffer_tail(&ask->answer), buffer_room(&ask->answer), &count)) {
    case IO_OK:
        buffer_commit(&ask->answer, count);
        break;
    case IO_AGAIN:
        break;
    case IO_EOF:
        finish(ask, ASK_ANSWERED);
        break;
    case IO_FAIL:
        finish(ask, ASK_FAILED);
        break;
    }
}

static void write_question(struct ask *ask)
{
    size_t count = 0;
    struct str rest = buffer_view(&ask->question);
    enum io io = socket_write(ask->watch.fd, rest.data, rest.len, &count);
    if (io == IO_OK) {
        buffer_consume(&ask->question, count);
    } else if (io != IO_AGAIN) {
        finish(ask, ASK_FAILED);
        return;
    }
    if (buffer_size(&ask->question) > 0) {
        return;
    }
    if ((ask->is_local && shutdown(ask->watch.fd, SHUT_WR) < 0) ||
        watch_set(ask->loop, &ask->watch, WATCH_READ) < 0) {
        finish(ask, ASK_FAILED);
    }
}

static void ready(struct watch *watch, unsigned what)
{
    struct ask *ask = CONTAINER_OF(watch, struct ask, watch);
    (void)what;
    if (!ask->is_connected) {
        int code = socket_connect_result(watch->fd);
        if (code < 0) {
            finish(ask, code == -ECONNREFUSED ? ASK_NOBODY : ASK_FAILED);
            return;
        }
        ask->is_connected = true;
    }
    if (buffer_size(&ask->question) > 0) {
        write_question(ask);
    } else {
        read_answer(ask);
    }
}

static void too_late(struct timer *timer, usec_t now)
{
    struct ask *ask = CONTAINER_OF(timer, struct ask, deadline);
    (void)now;
    finish(ask, ask->outcome);
}

static int begin(struct ask *ask, const struct address *to)
{
    struct error error = {.line = 0};
    int fd = socket_connect(to, NULL, &error);
    if (fd < 0) {
        return fd;
    }
    watch_init(&ask->watch, fd, ready);
    return watch_set(ask->loop, &ask->watch, WATCH_WRITE);
}

struct ask *ask_start(struct loop *loop, const struct address *to, struct str question,
                      usec_t patience, ask_function *done, void *context)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL) {
        return NULL;
    }
    ask->loop = loop;
    ask->done = done;
    ask->context = context;
    ask->outcome = ASK_FAILED;
    ask->watch.fd = -1;
    ask->is_local = address_is_unix(to);
    timer_init(&ask->deadline, too_late);
    buffer_init(&ask->question, ASK_QUESTION_MAX);
    buffer_init(&ask->answer, ASK_ANSWER_MAX);
    if (buffer_append(&ask->question, question) < 0) {
        ask_free(ask);
        return NULL;
    }
    int code = begin(ask, to);
    if (code < 0) { /* told from the next turn on, like everything */
        ask->outcome = code == -ENOENT || code == -ECONNREFUSED ? ASK_NOBODY : ASK_FAILED;
        patience = 0;
    }
    loop_arm(loop, &ask->deadline, usec_add(loop_now(loop), patience));
    return ask;
}
