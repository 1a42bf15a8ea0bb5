/* SPDX-License-Identifier: Apache-2.0 */
/* One named state for each place in the framing, one switch. Pure functions, any thread. */
#include "net/http1_chunked.h"

#include <errno.h>

#include "net/http1_scan.h"

enum state {
    SIZE_FIRST, /* the first digit */
    SIZE,
    SIZE_LF,
    EXTENSION_NAME_FIRST,
    EXTENSION_NAME,
    EXTENSION_VALUE_FIRST,
    EXTENSION_VALUE,
    EXTENSION_QUOTED,
    EXTENSION_QUOTED_PAIR,
    EXTENSION_QUOTED_END,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a trailer's first byte, or the CR of the last line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

enum { SIZE_DIGITS_MAX = 16, OVERHEAD_RATIO = 16 };

void http1_chunked_init(struct http1_chunked *chunked)
{
    *chunked = (struct http1_chunked){.state = SIZE_FIRST};
}

bool http1_chunked_is_done(const struct http1_chunked *chunked)
{
    return chunked->state == DONE;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Each step moves to the next state, or says why it cannot. */

static enum http1_reason enter(struct http1_chunked *chunked, enum state state)
{
    chunked->state = (uint8_t)state;
    return HTTP1_NO_REASON;
}

static enum http1_reason line_end_reason(char c, enum http1_reason otherwise)
{
    return c == '\n' ? HTTP1_REASON_BARE_LF : otherwise;
}

static enum http1_reason step_size(struct http1_chunked *chunked, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (chunked->digits == SIZE_DIGITS_MAX || chunked->left > INT64_MAX >> 4) {
            return HTTP1_REASON_CHUNK_SIZE;
        }
        chunked->digits++;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return enter(chunked, SIZE);
    }
    if (chunked->digits > 0 && c == '\r') {
        return enter(chunked, SIZE_LF);
    }
    if (chunked->digits > 0 && c == ';') {
        chunked->part_bytes = 0;
        return enter(chunked, EXTENSION_NAME_FIRST);
    }
    return line_end_reason(c, HTTP1_REASON_CHUNK_SIZE);
}

/* The size line is over: data follows, or the trailers when the size was 0. */
static enum http1_reason step_size_lf(struct http1_chunked *chunked,
                                      const struct http1_chunked_limits *limits, char c)
{
    if (c != '\n') {
        return HTTP1_REASON_BARE_CR;
    }
    chunked->digits = 0;
    chunked->part_bytes = 0;
    if (chunked->left == 0) {
        return enter(chunked, TRAILER_FIRST);
    }
    if (chunked->left > limits->body_bytes ||
        chunked->data_bytes > limits->body_bytes - chunked->left) {
        return HTTP1_REASON_BODY_TOO_LARGE;
    }
    /* Without a limit nobody could send 2^64 bytes before the sun goes out; the sum stays right. */
    chunked->data_bytes += chunked->left;
    return enter(chunked, DATA);
}

static enum http1_reason end_extension(struct http1_chunked *chunked, char c)
{
    if (c == '\r') {
        return enter(chunked, SIZE_LF);
    }
    if (c == ';') {
        return enter(chunked, EXTENSION_NAME_FIRST);
    }
    return line_end_reason(c, HTTP1_REASON_CHUNK_EXTENSION);
}

/* RFC 9112 7.1.1: *( ";" name [ "=" ( token / quoted-string ) ] ). The white space that the grammar
 * calls bad is refused: our only business with extensions is to drop them. */
static enum http1_reason step_extension(struct http1_chunked *chunked,
                                        const struct http1_chunked_limits *limits, char c)
{
    if (++chunked->part_bytes > limits->extension_bytes) {
        return HTTP1_REASON_CHUNK_EXTENSION;
    }
    switch ((enum state)chunked->state) {
    case EXTENSION_NAME_FIRST:
        return http1_is(c, HTTP1_IS_TOKEN) ? enter(chunked, EXTENSION_NAME)
                                           : line_end_reason(c, HTTP1_REASON_CHUNK_EXTENSION);
    case EXTENSION_NAME:
        if (c == '=') {
            return enter(chunked, EXTENSION_VALUE_FIRST);
        }
        return http1_is(c, HTTP1_IS_TOKEN) ? HTTP1_NO_REASON : end_extension(chunked, c);
    case EXTENSION_VALUE_FIRST:
        if (c == '"') {
            return enter(chunked, EXTENSION_QUOTED);
        }
        return http1_is(c, HTTP1_IS_TOKEN) ? enter(chunked, EXTENSION_VALUE)
                                           : line_end_reason(c, HTTP1_REASON_CHUNK_EXTENSION);
    case EXTENSION_VALUE:
        return http1_is(c, HTTP1_IS_TOKEN) ? HTTP1_NO_REASON : end_extension(chunked, c);
    case EXTENSION_QUOTED:
        if (c == '"') {
            return enter(chunked, EXTENSION_QUOTED_END);
        }
        if (c == '\\') {
            return enter(chunked, EXTENSION_QUOTED_PAIR);
        }
        return http1_is(c, HTTP1_IS_VALUE) ? HTTP1_NO_REASON
                                           : line_end_reason(c, HTTP1_REASON_CHUNK_EXTENSION);
    case EXTENSION_QUOTED_PAIR:
        return http1_is(c, HTTP1_IS_VALUE) ? enter(chunked, EXTENSION_QUOTED)
                                           : line_end_reason(c, HTTP1_REASON_CHUNK_EXTENSION);
    default: /* EXTENSION_QUOTED_END */
        return end_extension(chunked, c);
    }
}

/* RFC 9112 7.1.2: field lines as in a head. */
static enum http1_reason step_trailer(struct http1_chunked *chunked,
                                      const struct http1_chunked_limits *limits, char c)
{
    if (chunked->state == TRAILER_FIRST && c == '\r') {
        return enter(chunked, LAST_LF);
    }
    if (++chunked->part_bytes > limits->trailer_bytes) {
        return HTTP1_REASON_TRAILER_TOO_LARGE;
    }
    switch ((enum state)chunked->state) {
    case TRAILER_FIRST:
        return http1_is(c, HTTP1_IS_TOKEN) ? enter(chunked, TRAILER_NAME)
                                           : line_end_reason(c, HTTP1_REASON_TRAILER);
    case TRAILER_NAME:
        if (c == ':') {
            return enter(chunked, TRAILER_VALUE);
        }
        return http1_is(c, HTTP1_IS_TOKEN) ? HTTP1_NO_REASON
                                           : line_end_reason(c, HTTP1_REASON_TRAILER);
    case TRAILER_VALUE:
        if (c == '\r') {
            return enter(chunked, TRAILER_LF);
        }
        return http1_is(c, HTTP1_IS_VALUE) ? HTTP1_NO_REASON
                                           : line_end_reason(c, HTTP1_REASON_TRAILER);
    default: /* TRAILER_LF */
        return c == '\n' ? enter(chunked, TRAILER_FIRST) : HTTP1_REASON_BARE_CR;
    }
}

static enum http1_reason step(struct http1_chunked *chunked,
                              const struct http1_chunked_limits *limits, char c)
{
    switch ((enum state)chunked->state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(chunked, c);
    case SIZE_LF:
        return step_size_lf(chunked, limits, c);
    case EXTENSION_NAME_FIRST:
    case EXTENSION_NAME:
    case EXTENSION_VALUE_FIRST:
    case EXTENSION_VALUE:
    case EXTENSION_QUOTED:
    case EXTENSION_QUOTED_PAIR:
    case EXTENSION_QUOTED_END:
        return step_extension(chunked, limits, c);
    case DATA_CR:
        return c == '\r' ? enter(chunked, DATA_LF) : line_end_reason(c, HTTP1_REASON_CHUNK_END);
    case DATA_LF:
        return c == '\n' ? enter(chunked, SIZE_FIRST) : HTTP1_REASON_BARE_CR;
    case TRAILER_FIRST:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
        return step_trailer(chunked, limits, c);
    case LAST_LF:
        return c == '\n' ? enter(chunked, DONE) : HTTP1_REASON_BARE_CR;
    case DATA:
    case DONE:
        break;
    }
    return HTTP1_NO_REASON;
}

static struct str take_data(struct http1_chunked *chunked, struct str input)
{
    struct str data = str_first(input, chunked->left < input.len ? chunked->left : input.len);
    chunked->left -= data.len;
    if (chunked->left == 0) {
        enter(chunked, DATA_CR);
    }
    return data;
}

/* A peer that sends much framing and little data makes us work for nothing. */
static bool is_dwarfed(const struct http1_chunked *chunked,
                       const struct http1_chunked_limits *limits)
{
    uint64_t received = chunked->data_bytes - (chunked->state == DATA ? chunked->left : 0);
    return chunked->framing_bytes > limits->free_overhead &&
           (chunked->framing_bytes - limits->free_overhead) / OVERHEAD_RATIO > received;
}

ssize_t http1_chunked_decode(struct http1_chunked *chunked,
                             const struct http1_chunked_limits *limits, struct str input,
                             struct str *data, struct http1_refusal *refusal)
{
    size_t at = 0;
    while (at < input.len && chunked->state != DATA && chunked->state != DONE) {
        enum http1_reason reason = step(chunked, limits, input.data[at]);
        chunked->framing_bytes++;
        if (reason == HTTP1_NO_REASON && is_dwarfed(chunked, limits)) {
            reason = HTTP1_REASON_CHUNK_OVERHEAD;
        }
        if (reason != HTTP1_NO_REASON) {
            *refusal = (struct http1_refusal){reason, at};
            return -EBADMSG;
        }
        at++;
    }
    *data = str_first(str_skip(input, at), 0);
    if (chunked->state == DATA) {
        *data = take_data(chunked, str_skip(input, at));
    }
    return (ssize_t)(at + data->len);
}
