/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: the request line, Host, Expect, and what follows for the body. Pure functions, any
 * thread. */
#include "net/http1.h"

#include "net/http1_head.h"
#include "net/http1_scan.h"

enum { VERSION_LEN = sizeof("HTTP/1.1") - 1 };

void http1_request_init(struct http1_request *request, struct http1_field *fields)
{
    *request = (struct http1_request){.max_forwards = -1};
    http1_head_init(&request->head, fields);
}

static enum http1_method method_from(struct str method)
{
    static const struct {
        struct str name;
        enum http1_method id;
    } methods[] = {
        {{"POST", 4}, HTTP1_POST},     {{"GET", 3}, HTTP1_GET},
        {{"HEAD", 4}, HTTP1_HEAD},     {{"PUT", 3}, HTTP1_PUT},
        {{"DELETE", 6}, HTTP1_DELETE}, {{"OPTIONS", 7}, HTTP1_OPTIONS},
        {{"PATCH", 5}, HTTP1_PATCH},   {{"CONNECT", 7}, HTTP1_CONNECT},
        {{"TRACE", 5}, HTTP1_TRACE},
    };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_equal(method, methods[i].name)) {
            return methods[i].id;
        }
    }
    return HTTP1_METHOD_OTHER;
}

static enum line refuse_line(struct cursor *cursor, const char *at, enum http1_reason reason)
{
    http1_refuse(cursor, at, reason);
    return LINE_BAD;
}

/* A byte that ends no part of the line as it should: CR and LF have reasons of their own. */
static enum line refuse_byte(struct cursor *cursor, const char *at, enum http1_reason reason)
{
    return refuse_line(cursor, at, *at == '\n' ? HTTP1_REASON_BARE_LF : reason);
}

static enum line read_method(struct http1_request *request, struct cursor *cursor)
{
    const char *start = cursor->at;
    const char *p = http1_skip(start, cursor->end, HTTP1_IS_TOKEN);
    if (p - start > HTTP1_METHOD_BYTES_MAX) {
        return refuse_line(cursor, start, HTTP1_REASON_METHOD_TOO_LONG);
    }
    if (p == cursor->end) {
        return LINE_MORE;
    }
    if (p == start && *p == '\r') {
        return refuse_line(cursor, p, HTTP1_REASON_EMPTY_LINES);
    }
    if (*p != ' ' || p == start) {
        return refuse_byte(cursor, p, HTTP1_REASON_METHOD);
    }
    request->method_at = (uint32_t)(start - cursor->base);
    request->method_len = (uint32_t)(p - start);
    cursor->at = p + 1;
    return LINE_DONE;
}

static enum line read_target(struct http1_request *request, const struct http1_limits *limits,
                             struct cursor *cursor)
{
    const char *start = cursor->at;
    const char *p = http1_skip(start, cursor->end, HTTP1_IS_TARGET);
    if ((size_t)(p - start) > limits->target_bytes) {
        return refuse_line(cursor, start, HTTP1_REASON_TARGET_TOO_LONG);
    }
    if (p == cursor->end) {
        return LINE_MORE;
    }
    if (p == start) {
        return refuse_byte(cursor, p, HTTP1_REASON_TARGET);
    }
    if (*p != ' ') {
        /* A line that ends here is HTTP/0.9. */
        return refuse_byte(cursor, p, *p == '\r' ? HTTP1_REASON_VERSION : HTTP1_REASON_TARGET);
    }
    request->target_at = (uint32_t)(start - cursor->base);
    request->target_len = (uint32_t)(p - start);
    cursor->at = p + 1;
    return LINE_DONE;
}

static enum line read_version(struct http1_request *request, struct cursor *cursor)
{
    const char *start = cursor->at;
    for (const char *p = start; p < cursor->end && p < start + VERSION_LEN; p++) {
        if (*p == '\r' || *p == '\n') {
            return refuse_byte(cursor, p, HTTP1_REASON_VERSION);
        }
    }
    if (cursor->end - start < VERSION_LEN) {
        return LINE_MORE;
    }
    enum http1_reason reason = http1_version(start, &request->head.minor);
    if (reason != HTTP1_NO_REASON) {
        return refuse_line(cursor, start, reason);
    }
    cursor->at = start + VERSION_LEN;
    return http1_line_end(cursor, HTTP1_REASON_VERSION);
}

/* RFC 9112 3: method SP request-target SP HTTP-version CRLF, single spaces. */
static enum line read_request_line(void *message, const struct http1_limits *limits,
                                   struct cursor *cursor)
{
    struct http1_request *request = message;
    enum line line = read_method(request, cursor);
    if (line == LINE_DONE) {
        line = read_target(request, limits, cursor);
    }
    return line == LINE_DONE ? read_version(request, cursor) : line;
}

static bool take_expect(struct http1_request *request, const struct http1_field *field,
                        struct cursor *cursor)
{
    request->has_expect = true;
    return str_equal_nocase(field->value, STR("100-continue")) ||
           http1_refuse(cursor, field->value.data, HTTP1_REASON_EXPECTATION);
}

static bool take_max_forwards(struct http1_request *request, const struct http1_field *field,
                              struct cursor *cursor)
{
    uint64_t number;
    if (request->max_forwards >= 0 || !http1_number(field->value, &number)) {
        return http1_refuse(cursor, field->value.data, HTTP1_REASON_MAX_FORWARDS);
    }
    request->max_forwards = number > INT32_MAX ? INT32_MAX : (int32_t)number;
    return true;
}

static bool take_request_field(void *message, const struct http1_field *field,
                               struct cursor *cursor)
{
    struct http1_request *request = message;
    switch (field->id) {
    case HTTP1_HOST:
        if (request->has_host) {
            return http1_refuse(cursor, field->name.data, HTTP1_REASON_HOST_DUPLICATE);
        }
        request->has_host = true;
        return true;
    case HTTP1_EXPECT:
        return take_expect(request, field, cursor);
    case HTTP1_MAX_FORWARDS:
        return take_max_forwards(request, field, cursor);
    default:
        return true;
    }
}

static bool is_port(struct str port)
{
    uint64_t number;
    return port.len == 0 || (str_to_uint64(port, &number) == 0 && number <= UINT16_MAX);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Length of the host before the port: "[" IP-literal "]", or a registered name; 0 when it is
 * neither. Inside the brackets the bytes of an IPv6 address are enough: nobody resolves it here. */
static size_t host_len(struct str authority)
{
    size_t i = 0;
    if (authority.len > 0 && authority.data[0] == '[') {
        for (i = 1; i < authority.len && authority.data[i] != ']'; i++) {
            if (!is_hex(authority.data[i]) && authority.data[i] != ':' &&
                authority.data[i] != '.') {
                return 0;
            }
        }
        return i > 1 && i < authority.len ? i + 1 : 0;
    }
    while (i < authority.len) {
        if (http1_is(authority.data[i], HTTP1_IS_HOST)) {
            i++;
        } else if (authority.data[i] == '%' && authority.len - i > 2 &&
                   is_hex(authority.data[i + 1]) && is_hex(authority.data[i + 2])) {
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

/* RFC 9110 7.2: uri-host [ ":" port ], and never empty. */
static bool is_authority(struct str authority)
{
    size_t len = host_len(authority);
    if (len == 0) {
        return false;
    }
    return len == authority.len ||
           (authority.data[len] == ':' && is_port(str_skip(authority, len + 1)));
}

static struct str without_default_port(struct str authority, bool is_https)
{
    struct str port = is_https ? STR(":443") : STR(":80");
    if (str_ends_with(authority, port)) {
        authority.len -= port.len;
    } else if (str_ends_with(authority, STR(":"))) {
        authority.len--;
    }
    return authority;
}

bool http1_same_authority(struct str a, struct str b, bool is_https)
{
    return str_equal_nocase(without_default_port(a, is_https), without_default_port(b, is_https));
}

/* Split an absolute target behind "://" into authority and the rest. RFC 9112 3.2.2 */
static bool take_absolute(struct http1_request *request, size_t scheme_len, bool is_https,
                          struct cursor *cursor)
{
    struct str rest = str_skip(request->received_target, scheme_len);
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?') {
        len++;
    }
    struct str authority = str_first(rest, len);
    if (str_find(authority, '@') < authority.len) {
        return http1_refuse(cursor, authority.data, HTTP1_REASON_USERINFO);
    }
    if (!is_authority(authority)) {
        return http1_refuse(cursor, authority.data, HTTP1_REASON_HOST);
    }
    if (request->has_host && !http1_same_authority(authority, request->host, is_https)) {
        return http1_refuse(cursor, request->host.data, HTTP1_REASON_HOST_MISMATCH);
    }
    request->host = authority;
    request->target = str_skip(rest, len);
    /* RFC 9112 3.2.4: no path at all asks about the server as a whole. */
    if (request->target.len == 0 && request->method_id == HTTP1_OPTIONS) {
        request->target = STR("*");
    }
    return true;
}

static bool starts_with_nocase(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal_nocase(str_first(text, prefix.len), prefix);
}

static bool decide_target(struct http1_request *request, struct cursor *cursor)
{
    struct str target = request->received_target;
    request->target = target;
    if (target.data[0] == '/') {
        return true;
    }
    if (target.len == 1 && target.data[0] == '*' && request->method_id == HTTP1_OPTIONS) {
        return true;
    }
    if (starts_with_nocase(target, STR("http://"))) {
        return take_absolute(request, sizeof("http://") - 1, false, cursor);
    }
    if (starts_with_nocase(target, STR("https://"))) {
        return take_absolute(request, sizeof("https://") - 1, true, cursor);
    }
    return http1_refuse(cursor, target.data, HTTP1_REASON_TARGET_FORM);
}

/* RFC 9112 3.2 */
static bool decide_host(struct http1_request *request, struct cursor *cursor)
{
    if (!request->has_host) {
        return request->head.minor == 0 ||
               http1_refuse(cursor, cursor->base + request->method_at, HTTP1_REASON_HOST_MISSING);
    }
    request->host = http1_find(&request->head, HTTP1_HOST)->value;
    return is_authority(request->host) ||
           http1_refuse(cursor, request->host.data, HTTP1_REASON_HOST);
}

static bool is_bodyless(enum http1_method method)
{
    return method == HTTP1_GET || method == HTTP1_HEAD;
}

static bool wants_length(enum http1_method method)
{
    return method == HTTP1_POST || method == HTTP1_PUT || method == HTTP1_PATCH;
}

/* RFC 9112 6.3, items 4 to 6: a request without either length has no body. */
static bool decide_body(struct http1_request *request, const struct http1_limits *limits,
                        struct cursor *cursor)
{
    struct http1_head *head = &request->head;
    bool has_body = head->coding == CODING_CHUNKED || (head->has_length && head->length > 0);
    if (has_body && is_bodyless(request->method_id) && !limits->allow_get_body) {
        return http1_refuse(cursor, cursor->base + head->framing_at, HTTP1_REASON_BODY_UNEXPECTED);
    }
    if (head->coding == CODING_CHUNKED) {
        head->framing = HTTP1_BODY_CHUNKED;
    } else if (head->has_length) {
        head->framing = HTTP1_BODY_LENGTH;
        head->body_bytes = head->length;
    } else if (wants_length(request->method_id)) {
        if (limits->require_length) {
            return http1_refuse(cursor, cursor->base + request->method_at,
                                HTTP1_REASON_LENGTH_REQUIRED);
        }
        head->framing = HTTP1_BODY_LENGTH;
    } else {
        head->framing = HTTP1_BODY_NONE;
    }
    /* RFC 9110 10.1.1: HTTP/1.0 knows no 100. */
    request->expect_continue = request->has_expect && has_body && head->minor == 1;
    return true;
}

static bool decide_request(void *message, const struct http1_limits *limits, struct cursor *cursor)
{
    struct http1_request *request = message;
    request->method = str_make(cursor->base + request->method_at, request->method_len);
    request->received_target = str_make(cursor->base + request->target_at, request->target_len);
    request->method_id = method_from(request->method);
    if (request->method_id == HTTP1_CONNECT || request->method_id == HTTP1_TRACE) {
        return http1_refuse(cursor, request->method.data, HTTP1_REASON_METHOD_REFUSED);
    }
    return decide_host(request, cursor) && decide_target(request, cursor) &&
           decide_body(request, limits, cursor);
}

static const struct http1_kind request_kind = {
    .start_line = read_request_line,
    .field = take_request_field,
    .decide = decide_request,
    .start_line_too_long = HTTP1_REASON_TARGET_TOO_LONG,
    .skips_empty_line = true,
};

ssize_t http1_request_parse(struct http1_request *request, const struct http1_limits *limits,
                            struct str input, struct http1_refusal *refusal)
{
    return http1_head_parse(&request->head, &request_kind, request, limits, input, refusal);
}

/* Not every view points into the head. Through integers: the old bytes may be freed. */
static void move_view(struct str *view, uintptr_t old, size_t head_bytes, const char *base)
{
    uintptr_t offset = (uintptr_t)view->data - old;
    if (view->data != NULL && offset <= head_bytes) {
        view->data = base + offset;
    }
}

void http1_request_move(struct http1_request *request, size_t head_bytes, const char *base)
{
    uintptr_t old = (uintptr_t)request->head.base;
    struct str *views[] = {&request->method, &request->received_target, &request->target,
                           &request->host};
    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        move_view(views[i], old, head_bytes, base);
    }
    http1_head_move(&request->head, base);
}
