/* SPDX-License-Identifier: Apache-2.0 */
/* Moving the bytes of large bodies from socket to socket inside the kernel, through a pipe. A
 * worker keeps some pipes; a conversation borrows one while a large body passes. The worker's
 * thread. */
#ifndef PORTICO_BALANCER_SPLICE_H
#define PORTICO_BALANCER_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/io.h"

/* A pipe, borrowed; zeroed: none yet. */
struct pipe {
    int read_end, write_end; /* 0: there is no pipe */
    size_t filled;           /* bytes in it */
};

enum { PIPES_KEPT = 16 };

struct pipe_pool {
    struct pipe spare[PIPES_KEPT];
    unsigned count;
};

/* Bodies of fewer bytes than this are copied: the pipe would cost more than it saves. */
enum { SPLICE_WORTHWHILE = 64 * 1024 };

/* 0 or a negative errno; without a pipe, bytes are copied instead. */
MUST_CHECK int pipe_take(struct pipe_pool *pool, struct pipe *pipe);

/* One that is not empty is closed. Fine when there is none. */
void pipe_give(struct pipe_pool *pool, struct pipe *pipe);
void pipe_pool_done(struct pipe_pool *pool);

static inline bool pipe_is_filled(const struct pipe *pipe)
{
    return pipe->filled > 0;
}

/* Up to `limit` bytes from a socket into the pipe. As socket_read(). */
MUST_CHECK enum io pipe_fill(struct pipe *pipe, int fd, uint64_t limit, size_t *count);

/* What the pipe holds to a socket. As socket_write(). `more`: other bytes will follow at once. */
MUST_CHECK enum io pipe_drain(struct pipe *pipe, int fd, bool more, size_t *count);

#endif
