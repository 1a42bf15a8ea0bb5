/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the lines of a head, for http1_request.c and http1_response.c only. */
#ifndef PORTICO_NET_HTTP1_HEAD_H
#define PORTICO_NET_HTTP1_HEAD_H

#include "net/http1.h"

enum line {
    LINE_DONE, /* read; *at is past it */
    LINE_MORE, /* its end has not come yet */
    LINE_BAD,  /* refused; the refusal is set */
    LINE_LAST, /* the empty line that ends the head; *at is past it */
};

/* What Transfer-Encoding says. */
enum coding { CODING_NONE, CODING_CHUNKED, CODING_UNSUPPORTED, CODING_MALFORMED };

/* Cursor over the input of one call. */
struct cursor {
    const char *base;
    const char *end;
    const char *at;
    struct http1_refusal *refusal;
};

/* How one kind of message reads its own parts. `message` is what holds the head. */
struct http1_kind {
    enum line (*start_line)(void *message, const struct http1_limits *limits,
                            struct cursor *cursor);
    /* A field that the head does not decide about. */
    bool (*field)(void *message, const struct http1_field *field, struct cursor *cursor);
    /* All lines are read. */
    bool (*decide)(void *message, const struct http1_limits *limits, struct cursor *cursor);
    /* Where a start line without end has grown beyond any limit. */
    enum http1_reason start_line_too_long;
    bool skips_empty_line;
};

void http1_head_init(struct http1_head *head, struct http1_field *fields);

/* The parser: both kinds of message are read by it. Results as http1_request_parse(). */
MUST_CHECK ssize_t http1_head_parse(struct http1_head *head, const struct http1_kind *kind,
                                    void *message, const struct http1_limits *limits,
                                    struct str input, struct http1_refusal *refusal);

/* The caller's buffer moved to `base`: the views of the fields that were read follow it. */
void http1_head_move(struct http1_head *head, const char *base);

/* Set the refusal for the byte at `at`. False, so that checks end in `return refuse(...)`. */
bool http1_refuse(struct cursor *cursor, const char *at, enum http1_reason reason);

/* The CRLF at the cursor, which stands where a line must end; `otherwise` is the reason when there
 * is another byte than CR or LF. */
enum line http1_line_end(struct cursor *cursor, enum http1_reason otherwise);

/* "HTTP/1." and a digit, 0 or 1, at `text`, of which at least eight bytes are there. 0 and the
 * minor version, or the reason. */
enum http1_reason http1_version(const char *text, uint8_t *minor);

/* 1*DIGIT below 2^63; leading zeros are fine. */
bool http1_number(struct str text, uint64_t *number);

#endif
