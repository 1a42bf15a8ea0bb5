/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: the status line, Keep-Alive, and what follows for the body. Pure functions, any
 * thread. */
#include "net/http1.h"

#include "net/http1_head.h"
#include "net/http1_scan.h"

enum {
    VERSION_LEN = sizeof("HTTP/1.1") - 1,
    STATUS_AT = VERSION_LEN + 1,
    STATUS_END = STATUS_AT + 3,
};

void http1_response_init(struct http1_response *response, struct http1_field *fields)
{
    *response = (struct http1_response){.keep_alive_timeout = -1};
    http1_head_init(&response->head, fields);
}

static enum line refuse_line(struct cursor *cursor, const char *at, enum http1_reason reason)
{
    http1_refuse(cursor, at, *at == '\n' ? HTTP1_REASON_BARE_LF : reason);
    return LINE_BAD;
}

/* SP and the phrase, or neither: many servers leave out both, and nothing can be misread then. */
static enum line read_phrase(struct http1_response *response, struct cursor *cursor)
{
    if (cursor->at < cursor->end && *cursor->at == ' ') {
        cursor->at++;
    }
    const char *start = cursor->at;
    cursor->at = http1_skip_value(start, cursor->end);
    response->phrase_at = (uint32_t)(start - cursor->base);
    response->phrase_len = (uint32_t)(cursor->at - start);
    return http1_line_end(cursor, HTTP1_REASON_STATUS);
}

/* RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ] CRLF */
static enum line read_status_line(void *message, const struct http1_limits *limits,
                                  struct cursor *cursor)
{
    struct http1_response *response = message;
    const char *start = cursor->at;
    (void)limits;
    for (const char *p = start; p < cursor->end && p < start + STATUS_END; p++) {
        if (*p == '\r' || *p == '\n') {
            return refuse_line(cursor, p, HTTP1_REASON_STATUS);
        }
    }
    if (cursor->end - start <= STATUS_END) {
        return LINE_MORE;
    }
    enum http1_reason reason = http1_version(start, &response->head.minor);
    if (reason != HTTP1_NO_REASON) {
        return refuse_line(cursor, start, reason);
    }
    const char *status = start + STATUS_AT;
    bool is_number = http1_is(status[0], HTTP1_IS_DIGIT) && http1_is(status[1], HTTP1_IS_DIGIT) &&
                     http1_is(status[2], HTTP1_IS_DIGIT);
    if (start[VERSION_LEN] != ' ' || !is_number || status[0] < '1' || status[0] > '5') {
        return refuse_line(cursor, start + VERSION_LEN, HTTP1_REASON_STATUS);
    }
    if (start[STATUS_END] != ' ' && start[STATUS_END] != '\r') {
        return refuse_line(cursor, start + STATUS_END, HTTP1_REASON_STATUS);
    }
    response->status =
        (uint16_t)((status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0'));
    cursor->at = start + STATUS_END;
    return read_phrase(response, cursor);
}

/* "timeout=5, max=100": RFC 2068 19.7.1.1 as servers send it today. What cannot be read is ignored;
 * the field is a hint. */
static void take_keep_alive(struct http1_response *response, struct str value)
{
    struct str part;
    while (str_split(&value, ',', &part)) {
        uint64_t seconds;
        part = str_trim(part);
        if (part.len > 8 && str_equal_nocase(str_first(part, 8), STR("timeout=")) &&
            str_to_uint64(str_skip(part, 8), &seconds) == 0) {
            response->keep_alive_timeout = seconds > INT32_MAX ? INT32_MAX : (int32_t)seconds;
        }
    }
}

static bool take_response_field(void *message, const struct http1_field *field,
                                struct cursor *cursor)
{
    (void)cursor;
    if (field->id == HTTP1_KEEP_ALIVE) {
        take_keep_alive(message, field->value);
    }
    return true;
}

static bool never_has_body(uint16_t status)
{
    return status < 200 || status == 204 || status == 304;
}

/* RFC 9112 6.3, items 1, 4, 6 and 8. */
static void decide_body(struct http1_response *response)
{
    struct http1_head *head = &response->head;
    if (response->method == HTTP1_HEAD || never_has_body(response->status)) {
        head->framing = HTTP1_BODY_NONE;
    } else if (head->coding == CODING_CHUNKED) {
        head->framing = HTTP1_BODY_CHUNKED;
    } else if (head->has_length) {
        head->framing = HTTP1_BODY_LENGTH;
        head->body_bytes = head->length;
    } else {
        head->framing = HTTP1_BODY_UNTIL_CLOSE;
        head->keep_alive = false;
    }
}

static bool decide_response(void *message, const struct http1_limits *limits, struct cursor *cursor)
{
    struct http1_response *response = message;
    (void)limits;
    response->phrase = str_make(cursor->base + response->phrase_at, response->phrase_len);
    if (response->status == 101) {
        return http1_refuse(cursor, cursor->base + STATUS_AT, HTTP1_REASON_SWITCHING);
    }
    decide_body(response);
    return true;
}

static const struct http1_kind response_kind = {
    .start_line = read_status_line,
    .field = take_response_field,
    .decide = decide_response,
    .start_line_too_long = HTTP1_REASON_HEAD_TOO_LARGE,
    .skips_empty_line = false,
};

ssize_t http1_response_parse(struct http1_response *response, const struct http1_limits *limits,
                             enum http1_method method, struct str input,
                             struct http1_refusal *refusal)
{
    response->method = method;
    return http1_head_parse(&response->head, &response_kind, response, limits, input, refusal);
}
