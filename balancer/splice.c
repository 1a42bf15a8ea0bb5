/* SPDX-License-Identifier: Apache-2.0 */
/* splice(2), with the traps covered. */
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Larger pipes mean fewer turns; the system may allow less, and then it is 64 KiB. */
enum { PIPE_BYTES = 256 * 1024 };

int pipe_take(struct pipe_pool *pool, struct pipe *pipe)
{
    if (pool->count > 0) {
        *pipe = pool->spare[--pool->count];
        return 0;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -errno;
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    *pipe = (struct pipe){.read_end = ends[0], .write_end = ends[1]};
    return 0;
}

static void close_pipe(const struct pipe *pipe)
{
    close(pipe->read_end);
    close(pipe->write_end);
}

void pipe_give(struct pipe_pool *pool, struct pipe *pipe)
{
    if (pipe->write_end == 0) {
        return;
    }
    if (pipe->filled > 0 || pool->count == PIPES_KEPT) {
        close_pipe(pipe);
    } else {
        pool->spare[pool->count++] = *pipe;
    }
    *pipe = (struct pipe){.filled = 0};
}

void pipe_pool_done(struct pipe_pool *pool)
{
    while (pool->count > 0) {
        close_pipe(&pool->spare[--pool->count]);
    }
}

static enum io settle(ssize_t moved, size_t *count)
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

enum io pipe_fill(struct pipe *pipe, int fd, uint64_t limit, size_t *count)
{
    size_t most = limit < PIPE_BYTES ? (size_t)limit : PIPE_BYTES;
    ssize_t moved;
    do {
        moved = splice(fd, NULL, pipe->write_end, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (moved < 0 && errno == EINTR);
    enum io io = settle(moved, count);
    if (io == IO_OK) {
        pipe->filled += *count;
    }
    return io;
}

enum io pipe_drain(struct pipe *pipe, int fd, bool more, size_t *count)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
    ssize_t moved;
    do {
        moved = splice(pipe->read_end, NULL, fd, NULL, pipe->filled, flags);
    } while (moved < 0 && errno == EINTR);
    enum io io = settle(moved, count);
    if (io == IO_OK) {
        pipe->filled -= *count;
    }
    return io;
}
