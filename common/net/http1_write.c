/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical serialiser. Pure functions, any thread. */
#include "net/http1_write.h"

#include <errno.h>

struct out {
    char *at;
    char *end;
    int error; /* 0, or why the head cannot be written */
};

/* `n` bytes of room that the caller fills, or NULL: then the head is not to be had any more. */
static inline char *take_room(struct out *out, size_t n)
{
    if (UNLIKELY(n > (size_t)(out->end - out->at))) {
        out->error = out->error == 0 ? -ENOBUFS : out->error;
        out->end = out->at;
        return NULL;
    }
    char *room = out->at;
    out->at += n;
    return room;
}

static inline void put(struct out *out, struct str bytes)
{
    char *room = take_room(out, bytes.len);
    if (room != NULL && bytes.len > 0) {
        memcpy(room, bytes.data, bytes.len);
    }
}

static void put_number(struct out *out, uint64_t number)
{
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(out, str_make(digits + start, sizeof digits - start));
}

/* "name: value CRLF" with one look at the room: this is most of what a head is made of. */
static void put_field(struct out *out, struct str name, struct str value)
{
    char *p = take_room(out, name.len + 2 + value.len + 2);
    if (p == NULL) {
        return;
    }
    memcpy(p, name.data, name.len);
    p += name.len;
    *p++ = ':';
    *p++ = ' ';
    if (value.len > 0) {
        memcpy(p, value.data, value.len);
        p += value.len;
    }
    *p++ = '\r';
    *p = '\n';
}

static void put_number_field(struct out *out, struct str name, uint64_t value)
{
    put(out, name);
    put(out, STR(": "));
    put_number(out, value);
    put(out, STR("\r\n"));
}

static void put_extras(struct out *out, const struct http1_rewrite *rewrite)
{
    for (size_t i = 0; i < rewrite->extra_count; i++) {
        if (!http1_is_field(rewrite->extras[i].name, rewrite->extras[i].value)) {
            out->error = -EINVAL;
            return;
        }
        put_field(out, rewrite->extras[i].name, rewrite->extras[i].value);
    }
}

static void put_connection(struct out *out, enum http1_connection connection)
{
    if (connection == HTTP1_CONNECTION_CLOSE) {
        put(out, STR("Connection: close\r\n"));
    } else if (connection == HTTP1_CONNECTION_KEEP_ALIVE) {
        put(out, STR("Connection: keep-alive\r\n"));
    }
}

static void put_framing(struct out *out, const struct http1_rewrite *rewrite)
{
    if (rewrite->framing == HTTP1_BODY_LENGTH) {
        put_number_field(out, STR("Content-Length"), rewrite->body_bytes);
    } else if (rewrite->framing == HTTP1_BODY_CHUNKED) {
        put(out, STR("Transfer-Encoding: chunked\r\n"));
    }
}

static ssize_t finish(struct out *out, const char *start)
{
    put(out, STR("\r\n"));
    return out->error != 0 ? out->error : out->at - start;
}

static bool passes(const struct http1_field *field, const struct http1_rewrite *rewrite)
{
    unsigned dropped = HTTP1_HOP | HTTP1_OURS | HTTP1_UNDERSCORE | rewrite->drop;
    return (field->flags & dropped) == 0;
}

static void put_target(struct out *out, struct str target)
{
    /* RFC 9112 3.2.1: an absolute target may lack the path; the origin form always has one. */
    if (target.len == 0 || target.data[0] == '?') {
        put(out, STR("/"));
    }
    put(out, target);
}

static void put_request_fields(struct out *out, const struct http1_request *request,
                               const struct http1_rewrite *rewrite)
{
    for (uint32_t i = 0; i < request->head.field_count; i++) {
        const struct http1_field *field = &request->head.fields[i];
        if (!passes(field, rewrite)) {
            continue;
        }
        if (field->id == HTTP1_MAX_FORWARDS && request->method_id == HTTP1_OPTIONS) {
            /* RFC 9110 7.6.2 */
            uint64_t left = request->max_forwards > 0 ? (uint64_t)request->max_forwards - 1 : 0;
            put_number_field(out, field->name, left);
        } else {
            put_field(out, field->name, field->value);
        }
    }
}

ssize_t http1_write_request(char *out, size_t size, const struct http1_request *request,
                            const struct http1_rewrite *rewrite)
{
    struct out to = {out, out + size, 0};
    struct str host = request->host.len > 0 ? request->host : rewrite->default_host;
    if (host.len == 0) {
        return -EINVAL;
    }
    put(&to, request->method);
    put(&to, STR(" "));
    put_target(&to, request->target);
    put(&to, STR(" HTTP/1.1\r\n"));
    put_field(&to, STR("Host"), host);
    put_request_fields(&to, request, rewrite);
    put_extras(&to, rewrite);
    put_connection(&to, rewrite->connection);
    put_framing(&to, rewrite);
    return finish(&to, out);
}

static void put_status_line(struct out *out, const struct http1_response *response)
{
    put(out, STR("HTTP/1.1 "));
    put_number(out, response->status);
    put(out, STR(" "));
    put(out, response->phrase);
    put(out, STR("\r\n"));
}

static bool tells_length(const struct http1_response *response)
{
    return response->head.has_length &&
           (response->status == 304 ||
            (response->method == HTTP1_HEAD && response->status >= 200 && response->status != 204));
}

ssize_t http1_write_response(char *out, size_t size, const struct http1_response *response,
                             const struct http1_rewrite *rewrite)
{
    struct out to = {out, out + size, 0};
    put_status_line(&to, response);
    for (uint32_t i = 0; i < response->head.field_count; i++) {
        const struct http1_field *field = &response->head.fields[i];
        if (passes(field, rewrite)) {
            put_field(&to, field->name, field->value);
        }
    }
    put_extras(&to, rewrite);
    put_connection(&to, rewrite->connection);
    if (rewrite->framing == HTTP1_BODY_NONE && tells_length(response)) {
        put_number_field(&to, STR("Content-Length"), response->head.length);
    }
    put_framing(&to, rewrite);
    return finish(&to, out);
}

size_t http1_write_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], uint64_t bytes)
{
    unsigned digits = bytes == 0 ? 1 : (67u - (unsigned)__builtin_clzll(bytes)) / 4;
    for (unsigned i = 0; i < digits; i++) {
        out[i] = "0123456789abcdef"[bytes >> (4 * (digits - 1 - i)) & 0xf];
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

struct str http1_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        struct str phrase;
    } phrases[] = {
#define PHRASE(status, text)       \
    {                              \
        status,                    \
        {                          \
            text, sizeof(text) - 1 \
        }                          \
    }
        PHRASE(100, "Continue"),
        PHRASE(200, "OK"),
        PHRASE(204, "No Content"),
        PHRASE(400, "Bad Request"),
        PHRASE(403, "Forbidden"),
        PHRASE(404, "Not Found"),
        PHRASE(405, "Method Not Allowed"),
        PHRASE(406, "Not Acceptable"),
        PHRASE(408, "Request Timeout"),
        PHRASE(411, "Length Required"),
        PHRASE(413, "Content Too Large"),
        PHRASE(414, "URI Too Long"),
        PHRASE(417, "Expectation Failed"),
        PHRASE(421, "Misdirected Request"),
        PHRASE(425, "Too Early"),
        PHRASE(429, "Too Many Requests"),
        PHRASE(431, "Request Header Fields Too Large"),
        PHRASE(500, "Internal Server Error"),
        PHRASE(501, "Not Implemented"),
        PHRASE(502, "Bad Gateway"),
        PHRASE(503, "Service Unavailable"),
        PHRASE(504, "Gateway Timeout"),
        PHRASE(505, "HTTP Version Not Supported"),
        PHRASE(508, "Loop Detected"),
#undef PHRASE
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return STR("Unknown");
}
