/* SPDX-License-Identifier: Apache-2.0 */
/* A growable run of bytes that knows its maximum from birth. Bytes are appended at the end and
 * consumed from the front. Embedded in its owner; one thread at a time. */
#ifndef PORTICO_BASE_BUFFER_H
#define PORTICO_BASE_BUFFER_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/str.h"

struct buffer {
    char *data;      /* owned; NULL until something was reserved */
    size_t start;    /* first byte that was not consumed */
    size_t end;      /* one past the last byte */
    size_t capacity; /* bytes allocated */
    size_t max;      /* capacity never exceeds this */
};

/* An empty buffer that will never hold more than `max` bytes. Allocates nothing. */
void buffer_init(struct buffer *buffer, size_t max);

/* Free the bytes; the buffer may be used again as after buffer_init(). */
void buffer_done(struct buffer *buffer);

/* Make room for `n` more bytes behind the end; moves the bytes, so views into it die.
 * 0, -ENOBUFS (over the maximum) or -ENOMEM; the content is untouched in every case. */
MUST_CHECK int buffer_reserve(struct buffer *buffer, size_t n);

/* 0, -ENOBUFS or -ENOMEM; all of it or nothing is appended. What is appended must not be a view
 * into this buffer. Printing needs room for one byte more than it appends. */
MUST_CHECK int buffer_append(struct buffer *buffer, struct str bytes);
MUST_CHECK PRINTF_LIKE(2, 3) int buffer_printf(struct buffer *buffer, const char *format, ...);

/* Drop all content, keep the memory. */
void buffer_clear(struct buffer *buffer);

/* Drop the first `n` bytes; at most buffer_size(). */
void buffer_consume(struct buffer *buffer, size_t n);

/* Keep only the first `n` bytes; at most buffer_size(). */
void buffer_truncate(struct buffer *buffer, size_t n);

/* Declare `n` bytes, written by the caller at buffer_tail(), to be content. At most buffer_room().
 */
void buffer_commit(struct buffer *buffer, size_t n);

static inline size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Bytes that fit behind the end without buffer_reserve(). */
static inline size_t buffer_room(const struct buffer *buffer)
{
    return buffer->capacity - buffer->end;
}

static inline char *buffer_tail(struct buffer *buffer)
{
    return buffer->data == NULL ? NULL : buffer->data + buffer->end;
}

/* What the buffer holds; dies with the next change to it. */
static inline struct str buffer_view(const struct buffer *buffer)
{
    if (buffer->data == NULL) {
        return str_make(NULL, 0);
    }
    return str_make(buffer->data + buffer->start, buffer_size(buffer));
}

#endif
