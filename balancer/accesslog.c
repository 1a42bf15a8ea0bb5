/* SPDX-License-Identifier: Apache-2.0 */
/* From workers to the file: each shard has a few batches of lines. A full or old one is posted to
 * the writer's loop and is the writer's until it says `is_busy = false`; nobody waits for anybody.
 * What goes to the file, and the file itself, is the writer thread's alone: the control thread
 * opens a sink and leaves it in `pending`. */
#include "accesslog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "net/loop.h"

enum {
    BATCHES = 4, /* of each shard */
    BATCH_BYTES = ACCESS_LINE_MAX,
    PIPE_CHUNK = 4096, /* what a pipe that polls writable takes without blocking (PIPE_BUF) */
    POLL_MSEC = 50,    /* how soon a writer that waits for its reader sees a new file or the end */
};

#define BATCH_AGE (100 * USEC_PER_MSEC)
#define STOP_TIME (2 * USEC_PER_SEC)

struct batch {
    struct task task; /* on the writer's loop */
    struct accesslog_shard *shard;
    atomic_bool is_busy; /* the writer's */
    struct buffer lines;
    uint64_t lost; /* told by the writer */
};

struct accesslog_shard {
    struct accesslog *accesslog;
    struct loop *loop; /* the worker's */
    struct counter_shard *counters;
    struct timer timer;
    struct batch *batch; /* being filled; NULL: none */
    atomic_uint refs;    /* the worker, and each batch that is busy */
    struct batch batches[BATCHES];
};

/* Where lines go. */
struct sink {
    int fd; /* -1: nowhere */
    mode_t type;
    char *path;
};

struct accesslog {
    struct loop *loop; /* the writer's */
    pthread_t thread;
    struct task stop_task, switch_task;
    struct sink *_Atomic pending; /* the writer shall take it */
    atomic_int format;
    atomic_bool is_on;
    _Atomic usec_t stop_by; /* monotonic; USEC_NEVER: it is not to stop */
    char *path;             /* the control thread's, for accesslog_reopen(); NULL: never opened */

    /* The writer's. */
    struct sink *sink; /* NULL: none yet */
    bool is_torn;      /* the file does not end in a whole line */
    bool is_failing;
};

/* ---- Sinks ---- */

static void sink_free(struct sink *sink)
{
    if (sink != NULL) {
        if (sink->fd >= 0) {
            close(sink->fd);
        }
        free(sink->path);
        free(sink);
    }
}

/* A FIFO that nobody reads yet is opened for both, so that its reader may come and go. */
static int open_path(const char *path)
{
    struct stat status;
    const int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (strcmp(path, "-") == 0) {
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    int fd = open(path, O_WRONLY | flags, 0640);
    if (fd < 0 && errno == ENXIO && stat(path, &status) == 0 && S_ISFIFO(status.st_mode)) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    }
    return fd;
}

static int open_sink(struct sink *sink, const char *path, struct error *error)
{
    struct stat status;
    sink->path = str_dup(str_from(path));
    if (sink->path == NULL) {
        return error_set(error, -ENOMEM, "no memory for the access log");
    }
    if (path[0] == '\0') {
        return 0;
    }
    sink->fd = open_path(path);
    if (sink->fd < 0 || fstat(sink->fd, &status) != 0) {
        return error_set_errno(error, -errno, "cannot open the access log %s", path);
    }
    sink->type = status.st_mode & S_IFMT;
    return 0;
}

static int sink_new(const char *path, struct sink **made, struct error *error)
{
    struct sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return error_set(error, -ENOMEM, "no memory for the access log");
    }
    sink->fd = -1;
    int result = open_sink(sink, path, error);
    if (result < 0) {
        sink_free(sink);
        return result;
    }
    *made = sink;
    return 0;
}

/* One write that never waits. Bytes written, or a negative errno. */
static ssize_t sink_write(const struct sink *sink, struct str bytes)
{
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLOUT};
    ssize_t n;
    if (sink->type == S_IFREG) {
        n = write(sink->fd, bytes.data, bytes.len);
    } else if (sink->type == S_IFSOCK) {
        n = send(sink->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (poll(&poll_fd, 1, 0) == 0) {
        return -EAGAIN; /* standard output may be a pipe that others want blocking */
    } else {
        n = write(sink->fd, bytes.data, bytes.len < PIPE_CHUNK ? bytes.len : PIPE_CHUNK);
    }
    return n < 0 ? -errno : n;
}

/* ---- The writer ---- */

static void take_pending(struct accesslog *accesslog)
{
    struct sink *sink = atomic_exchange(&accesslog->pending, NULL);
    if (sink != NULL) {
        sink_free(accesslog->sink);
        accesslog->sink = sink;
        accesslog->is_torn = accesslog->is_failing = false;
    }
}

static void switch_sink(struct task *task)
{
    take_pending(CONTAINER_OF(task, struct accesslog, switch_task));
}

static void stop_writer(struct task *task)
{
    struct accesslog *accesslog = CONTAINER_OF(task, struct accesslog, stop_task);
    loop_stop(accesslog->loop);
}

static uint64_t count_lines(struct str text)
{
    uint64_t count = 0;
    const char *end = text.data + text.len;
    for (const char *at = text.data; at < end; count++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed == NULL ? end : feed + 1;
    }
    return count;
}

/* The bytes wait for a reader. False: they waited for too long, it is to end. */
static bool wait_for_reader(const struct accesslog *accesslog)
{
    struct pollfd poll_fd = {.fd = accesslog->sink->fd, .events = POLLOUT};
    if (clock_monotonic(&clock_system) >= atomic_load(&accesslog->stop_by)) {
        return false;
    }
    (void)poll(&poll_fd, 1, POLL_MSEC);
    return true;
}

static void tell_failure(struct accesslog *accesslog, int code, uint64_t lost)
{
    static struct log_limit limit = LOG_LIMIT(1, USEC_PER_MINUTE);
    accesslog->is_failing = true;
    log_limited(&limit, LOG_LEVEL_ERROR, "access log lines are lost",
                LOG_TEXT("path", accesslog->sink->path), LOG_TEXT("reason", strerror(-code)),
                LOG_UINT("lines", lost));
}

static void tell_recovery(struct accesslog *accesslog)
{
    static struct log_limit limit = LOG_LIMIT(1, USEC_PER_MINUTE);
    if (accesslog->is_failing) {
        accesslog->is_failing = false;
        log_limited(&limit, LOG_LEVEL_INFO, "the access log is written again",
                    LOG_TEXT("path", accesslog->sink->path));
    }
}

/* Back to the beginning of the line that `done` is in. */
static size_t line_start(struct str text, size_t done)
{
    while (done > 0 && text.data[done - 1] != '\n') {
        done--;
    }
    return done;
}

/* One step; the new `done`, or a negative errno. After a failure in the middle of a line the next
 * lines begin on one of their own. */
static ssize_t write_step(struct accesslog *accesslog, struct str lines, size_t done)
{
    ssize_t n = accesslog->is_torn ? sink_write(accesslog->sink, STR("\n")) : 1;
    if (n < 0) {
        return n;
    }
    accesslog->is_torn = false;
    n = sink_write(accesslog->sink, str_skip(lines, done));
    return n < 0 ? n : (ssize_t)(done + (size_t)n);
}

/* Returns how many lines were lost. */
static uint64_t write_lines(struct accesslog *accesslog, struct str lines)
{
    size_t done = 0;
    while (done < lines.len) {
        if (atomic_load_explicit(&accesslog->pending, memory_order_relaxed) != NULL) {
            take_pending(accesslog); /* perhaps the reader of the old one will never come */
            done = line_start(lines, done);
        }
        if (accesslog->sink == NULL || accesslog->sink->fd < 0) {
            return 0;
        }
        ssize_t n = write_step(accesslog, lines, done);
        if (n >= 0) {
            done = (size_t)n;
            tell_recovery(accesslog);
        } else if (n != -EINTR && (n != -EAGAIN || !wait_for_reader(accesslog))) {
            accesslog->is_torn = accesslog->is_torn || (done > 0 && lines.data[done - 1] != '\n');
            uint64_t lost = count_lines(str_skip(lines, done));
            tell_failure(accesslog, (int)n, lost);
            return lost;
        }
    }
    return 0;
}

static void shard_unref(struct accesslog_shard *shard)
{
    if (atomic_fetch_sub(&shard->refs, 1) == 1) {
        for (size_t i = 0; i < BATCHES; i++) {
            buffer_done(&shard->batches[i].lines);
        }
        free(shard);
    }
}

static void write_batch(struct task *task)
{
    struct batch *batch = CONTAINER_OF(task, struct batch, task);
    struct accesslog_shard *shard = batch->shard;
    batch->lost += write_lines(shard->accesslog, buffer_view(&batch->lines));
    buffer_clear(&batch->lines);
    atomic_store_explicit(&batch->is_busy, false, memory_order_release);
    shard_unref(shard);
}

static void *run_writer(void *argument)
{
    struct accesslog *accesslog = argument;
    int code = loop_run(accesslog->loop);
    if (code < 0) {
        log_error("the writer of the access log ended", LOG_TEXT("reason", strerror(-code)));
    }
    return NULL;
}

/* Signals are for the control thread. */
static int start_thread(struct accesslog *accesslog)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&accesslog->thread, NULL, run_writer, accesslog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -code;
}

/* ---- The control thread ---- */

struct accesslog *accesslog_new(struct error *error)
{
    struct accesslog *accesslog = calloc(1, sizeof *accesslog);
    if (accesslog == NULL) {
        error_set(error, -ENOMEM, "no memory for the access log");
        return NULL;
    }
    task_init(&accesslog->stop_task, stop_writer);
    task_init(&accesslog->switch_task, switch_sink);
    atomic_init(&accesslog->stop_by, USEC_NEVER);
    accesslog->loop = loop_new(&clock_system, error);
    int code = accesslog->loop == NULL ? -ENOMEM : start_thread(accesslog);
    if (code < 0) {
        if (accesslog->loop != NULL) {
            error_set_errno(error, code, "cannot start the thread of the access log");
        }
        loop_free(accesslog->loop);
        free(accesslog);
        return NULL;
    }
    return accesslog;
}

void accesslog_free(struct accesslog *accesslog)
{
    if (accesslog == NULL) {
        return;
    }
    atomic_store(&accesslog->stop_by, usec_add(clock_monotonic(&clock_system), STOP_TIME));
    /* It stands behind all batches. */
    loop_post(accesslog->loop, &accesslog->stop_task);
    pthread_join(accesslog->thread, NULL);
    loop_free(accesslog->loop);
    sink_free(accesslog->sink);
    sink_free(atomic_load(&accesslog->pending));
    free(accesslog->path);
    free(accesslog);
}

int accesslog_open(struct accesslog *accesslog, const char *path, enum accesslog_format format,
                   struct error *error)
{
    struct sink *sink = NULL;
    char *copy = str_dup(str_from(path));
    int result = copy == NULL ? error_set(error, -ENOMEM, "no memory for the access log")
                              : sink_new(path, &sink, error);
    if (result < 0) {
        free(copy);
        return result;
    }
    free(accesslog->path);
    accesslog->path = copy;
    atomic_store(&accesslog->format, (int)format);
    atomic_store(&accesslog->is_on, path[0] != '\0');
    sink_free(atomic_exchange(&accesslog->pending, sink));
    loop_post(accesslog->loop, &accesslog->switch_task);
    return 0;
}

int accesslog_reopen(struct accesslog *accesslog, struct error *error)
{
    struct sink *sink = NULL;
    int result = 0;
    if (accesslog->path != NULL) {
        result = sink_new(accesslog->path, &sink, error);
    }
    if (sink != NULL) {
        sink_free(atomic_exchange(&accesslog->pending, sink));
        loop_post(accesslog->loop, &accesslog->switch_task);
    }
    return result;
}

/* ---- The workers ---- */

/* Count what the writer lost of it. False: it is the writer's still. */
static bool take_back(struct accesslog_shard *shard, struct batch *batch)
{
    if (atomic_load_explicit(&batch->is_busy, memory_order_acquire)) {
        return false;
    }
    counter_add(shard->counters, COUNTER_LOG_DROPPED, (int64_t)batch->lost);
    batch->lost = 0;
    return true;
}

static void hand_over(struct accesslog_shard *shard)
{
    struct batch *batch = shard->batch;
    shard->batch = NULL;
    atomic_fetch_add(&shard->refs, 1);
    atomic_store_explicit(&batch->is_busy, true, memory_order_relaxed);
    loop_post(shard->accesslog->loop, &batch->task);
}

/* Also looks after batches that came back, so that lost lines are counted without new requests. */
static void age_batches(struct timer *timer, usec_t now)
{
    struct accesslog_shard *shard = CONTAINER_OF(timer, struct accesslog_shard, timer);
    bool is_waiting = shard->batch != NULL;
    if (shard->batch != NULL) {
        hand_over(shard);
    }
    for (size_t i = 0; i < BATCHES; i++) {
        is_waiting |= !take_back(shard, &shard->batches[i]);
    }
    if (is_waiting) {
        loop_arm(shard->loop, timer, now + BATCH_AGE);
    }
}

static struct batch *find_batch(struct accesslog_shard *shard)
{
    for (size_t i = 0; i < BATCHES && shard->batch == NULL; i++) {
        if (take_back(shard, &shard->batches[i])) {
            shard->batch = &shard->batches[i];
        }
    }
    return shard->batch;
}

struct accesslog_shard *accesslog_shard_new(struct accesslog *accesslog, struct loop *loop,
                                            struct counter_shard *counters)
{
    struct accesslog_shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL) {
        return NULL;
    }
    shard->accesslog = accesslog;
    shard->loop = loop;
    shard->counters = counters;
    atomic_init(&shard->refs, 1);
    timer_init(&shard->timer, age_batches);
    for (size_t i = 0; i < BATCHES; i++) {
        task_init(&shard->batches[i].task, write_batch);
        shard->batches[i].shard = shard;
        buffer_init(&shard->batches[i].lines, BATCH_BYTES);
    }
    return shard;
}

void accesslog_shard_free(struct accesslog_shard *shard)
{
    if (shard == NULL) {
        return;
    }
    loop_disarm(shard->loop, &shard->timer);
    if (shard->batch != NULL) {
        hand_over(shard);
    }
    for (size_t i = 0; i < BATCHES; i++) {
        (void)take_back(shard, &shard->batches[i]);
    }
    shard_unref(shard);
}

/* False: there is no batch, or no room in it. */
static bool add_line(struct accesslog_shard *shard, enum accesslog_format format,
                     const struct record *record)
{
    struct batch *batch = find_batch(shard);
    return batch != NULL && access_line_write(format, record, &batch->lines) == 0;
}

void accesslog_write(struct accesslog_shard *shard, const struct record *record)
{
    struct accesslog *accesslog = shard->accesslog;
    if (!atomic_load_explicit(&accesslog->is_on, memory_order_relaxed)) {
        return;
    }
    int format = atomic_load_explicit(&accesslog->format, memory_order_relaxed);
    bool is_written = add_line(shard, (enum accesslog_format)format, record);
    if (!is_written && shard->batch != NULL && buffer_size(&shard->batch->lines) > 0) {
        hand_over(shard);
        is_written = add_line(shard, (enum accesslog_format)format, record);
    }
    if (!is_written) {
        counter_count(shard->counters, COUNTER_LOG_DROPPED);
    }
    if (!timer_is_armed(&shard->timer)) {
        loop_arm(shard->loop, &shard->timer, loop_now(shard->loop) + BATCH_AGE);
    }
}
