/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded byte buffers. The owner's thread. */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUFFER_FIRST_SIZE = 256 };

void buffer_init(struct buffer *buffer, size_t max)
{
    *buffer = (struct buffer){.max = max};
}

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->max);
}

/* Doubling keeps appends O(1) amortised; the last step lands exactly on the maximum. `needed` may
 * be beyond it. */
static size_t grown_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < BUFFER_FIRST_SIZE ? BUFFER_FIRST_SIZE : buffer->capacity;
    while (capacity < needed && capacity <= buffer->max / 2) {
        capacity *= 2;
    }
    return capacity < needed || capacity > buffer->max ? buffer->max : capacity;
}

static void move_to_front(struct buffer *buffer)
{
    if (buffer->start > 0) {
        memmove(buffer->data, buffer->data + buffer->start, buffer_size(buffer));
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
}

int buffer_reserve(struct buffer *buffer, size_t n)
{
    size_t size = buffer_size(buffer);
    if (n <= buffer_room(buffer)) {
        return 0;
    }
    if (n > buffer->max || size > buffer->max - n) {
        return -ENOBUFS;
    }
    /* Moving to the front pays only where it frees as much as it copies; where it would not,
     * growing keeps a buffer that is always nearly full from copying itself for each byte. */
    size_t needed = size + n;
    if (needed <= buffer->capacity) {
        needed = buffer->start >= size ? buffer->capacity : buffer->capacity + 1;
    }
    size_t capacity = grown_capacity(buffer, needed);
    if (capacity == buffer->capacity) {
        move_to_front(buffer);
        return 0;
    }
    char *data = malloc(capacity);
    if (data == NULL) {
        return -ENOMEM;
    }
    if (size > 0) {
        memcpy(data, buffer->data + buffer->start, size);
    }
    free(buffer->data);
    buffer->data = data;
    buffer->start = 0;
    buffer->end = size;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, struct str bytes)
{
    int result = buffer_reserve(buffer, bytes.len);
    if (result == 0 && bytes.len > 0) {
        memcpy(buffer->data + buffer->end, bytes.data, bytes.len);
        buffer->end += bytes.len;
    }
    return result;
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (needed < 0) {
        return -EINVAL;
    }
    /* vsnprintf() also writes a NUL, for which there must be room; it is not content. */
    int result = buffer_reserve(buffer, (size_t)needed + 1);
    if (result < 0) {
        return result;
    }
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->end, (size_t)needed + 1, format, arguments);
    va_end(arguments);
    buffer->end += (size_t)needed;
    return 0;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
}

void buffer_consume(struct buffer *buffer, size_t n)
{
    CHECK(n <= buffer_size(buffer));
    buffer->start += n;
    if (buffer->start == buffer->end) {
        buffer_clear(buffer);
    }
}

void buffer_truncate(struct buffer *buffer, size_t n)
{
    CHECK(n <= buffer_size(buffer));
    buffer->end = buffer->start + n;
}

void buffer_commit(struct buffer *buffer, size_t n)
{
    CHECK(n <= buffer_room(buffer));
    buffer->end += n;
}
