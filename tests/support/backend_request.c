/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests without judging them. */
#include "support/backend_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

enum { IN_MAX = 1 << 20, READ_SIZE = 65536, LINE_MAX_BYTES = 4096 };

void request_reader_init(struct request_reader *reader, int fd, uint64_t connection)
{
    reader->fd = fd;
    reader->connection = connection;
    buffer_init(&reader->in, IN_MAX);
}

void request_reader_done(struct request_reader *reader)
{
    buffer_done(&reader->in);
}

static bool receive(struct request_reader *reader)
{
    if (buffer_reserve(&reader->in, READ_SIZE) != 0) {
        return false;
    }
    ssize_t n;
    do {
        n = recv(reader->fd, buffer_tail(&reader->in), READ_SIZE, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        buffer_commit(&reader->in, (size_t)n);
    }
    return n > 0;
}

bool request_read_head(struct request_reader *reader, struct recorded *request)
{
    *request = (struct recorded){.connection = reader->connection};
    const char *end = NULL;
    struct str in;
    for (;;) {
        in = buffer_view(&reader->in);
        end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
        if (end != NULL) {
            break;
        }
        if (!receive(reader)) {
            return false;
        }
    }
    request->head_len = (size_t)(end - in.data) + 4;
    request->head = str_dup(str_first(in, request->head_len));
    CHECK(request->head != NULL);
    buffer_consume(&reader->in, request->head_len);
    char value[256];
    if (recorded_field(request, "X-Tag", value)) {
        snprintf(request->tag, sizeof request->tag, "%.*s", TAG_SIZE - 1, value);
    }
    return true;
}

static void keep(struct recorded *request, struct str bytes)
{
    size_t room = RECORDED_BODY_MAX - request->body_kept;
    struct str first = str_first(bytes, room);
    if (first.len > 0) {
        request->body = realloc(request->body, request->body_kept + first.len);
        CHECK(request->body != NULL);
        memcpy(request->body + request->body_kept, first.data, first.len);
        request->body_kept += first.len;
    }
    request->body_bytes += bytes.len;
    request->body_hash = bytes_hash(request->body_hash, bytes);
}

static bool read_bytes(struct request_reader *reader, struct recorded *request, uint64_t left)
{
    while (left > 0) {
        struct str in = buffer_view(&reader->in);
        struct str now = str_first(in, left < in.len ? (size_t)left : in.len);
        if (now.len == 0) {
            if (!receive(reader)) {
                return false;
            }
            continue;
        }
        keep(request, now);
        left -= now.len;
        buffer_consume(&reader->in, now.len);
    }
    return true;
}

/* A line without its CRLF. */
static bool read_line(struct request_reader *reader, char line[LINE_MAX_BYTES])
{
    for (;;) {
        struct str in = buffer_view(&reader->in);
        const char *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n", 2);
        if (end != NULL) {
            size_t len = (size_t)(end - in.data);
            if (len >= LINE_MAX_BYTES) {
                return false;
            }
            memcpy(line, in.data, len);
            line[len] = '\0';
            buffer_consume(&reader->in, len + 2);
            return true;
        }
        if (in.len >= LINE_MAX_BYTES || !receive(reader)) {
            return false;
        }
    }
}

static bool read_chunks(struct request_reader *reader, struct recorded *request)
{
    char line[LINE_MAX_BYTES];
    char *end;
    for (;;) {
        if (!read_line(reader, line)) {
            return false;
        }
        uint64_t size = strtoull(line, &end, 16);
        if (end == line || *end != '\0') {
            return false; /* an extension, which no relay may let through */
        }
        if (size == 0) {
            return read_line(reader, line) && line[0] == '\0';
        }
        if (!read_bytes(reader, request, size) || !read_line(reader, line) || line[0] != '\0') {
            return false;
        }
    }
}

void request_read_body(struct request_reader *reader, struct recorded *request)
{
    char value[256];
    if (recorded_field(request, "Transfer-Encoding", NULL)) {
        request->is_complete = read_chunks(reader, request);
    } else if (recorded_field(request, "Content-Length", value)) {
        request->is_complete = read_bytes(reader, request, strtoull(value, NULL, 10));
    } else {
        request->is_complete = true;
    }
}
