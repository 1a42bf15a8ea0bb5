/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of an HTTP/1.1 head and what all messages make of them: known fields, Connection and
 * the length of the body. Pure functions, any thread. */
#include "net/http1_head.h"

#include <errno.h>

#include "base/reason_table.h"
#include "net/http1_scan.h"

enum phase { PHASE_START, PHASE_START_LINE, PHASE_FIELDS };

static const struct reason_row rows[HTTP1_REASON_COUNT] = {
    [HTTP1_NO_REASON] = REASON_ROW_NONE,
#define HTTP1_REASON(id, code, status, sentence) \
    [HTTP1_REASON_##id] = REASON_ROW(code, status, sentence),
#include "net/http1_reasons.def"
#undef HTTP1_REASON
};

unsigned http1_reason_status(enum http1_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->status;
}

const char *http1_reason_code(enum http1_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->code;
}

const char *http1_reason_sentence(enum http1_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->sentence;
}

enum {
    HOP = HTTP1_HOP,
    OURS = HTTP1_OURS,
    FORWARDED_BY = HTTP1_FORWARDED_BY,
    PROTECTED = HTTP1_PROTECTED,
};

static const struct known_field {
    const char *name;
    uint8_t len;
    uint8_t flags;
} known_fields[HTTP1_FIELD_ID_COUNT] = {
    [HTTP1_OTHER] = {"", 0, 0},
#define HTTP1_FIELD(id, name, flags) [HTTP1_##id] = {name, sizeof(name) - 1, flags},
#include "net/http1_fields.def"
#undef HTTP1_FIELD
};

/* Where the names of each length start in the table, which is sorted by length. */
enum { KNOWN_LEN_MAX = sizeof("proxy-authorization") - 1 };
static const uint8_t first_of_length[KNOWN_LEN_MAX + 2] = {
    [2] = HTTP1_TE,
    [3] = HTTP1_VIA,
    [4] = HTTP1_DATE,
    [5] = HTTP1_PROXY,
    [6] = HTTP1_COOKIE,
    [7] = HTTP1_TRAILER,
    [9] = HTTP1_FORWARDED,
    [10] = HTTP1_CONNECTION,
    [11] = HTTP1_RETRY_AFTER,
    [12] = HTTP1_CONTENT_TYPE,
    [13] = HTTP1_AUTHORIZATION,
    [14] = HTTP1_CONTENT_LENGTH,
    [15] = HTTP1_X_FORWARDED_FOR,
    [16] = HTTP1_CONTENT_ENCODING,
    [17] = HTTP1_TRANSFER_ENCODING,
    [18] = HTTP1_PROXY_AUTHENTICATE,
    [19] = HTTP1_PROXY_AUTHORIZATION,
};

/* Setting bit 5 lowers letters and leaves - as it is; no other token byte becomes either. */
static bool token_is(const char *token, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((token[i] | 0x20) != lower[i]) {
            return false;
        }
    }
    return true;
}

enum http1_field_id http1_field_id(struct str name)
{
    if (name.len > KNOWN_LEN_MAX) {
        return HTTP1_OTHER;
    }
    unsigned id = first_of_length[name.len];
    if (id == HTTP1_OTHER) {
        return HTTP1_OTHER;
    }
    for (; id < HTTP1_FIELD_ID_COUNT && known_fields[id].len == name.len; id++) {
        if (token_is(name.data, known_fields[id].name, name.len)) {
            return (enum http1_field_id)id;
        }
    }
    return HTTP1_OTHER;
}

const struct http1_field *http1_find(const struct http1_head *head, enum http1_field_id id)
{
    for (uint32_t i = 0; i < head->field_count && id != HTTP1_OTHER; i++) {
        if (head->fields[i].id == id) {
            return &head->fields[i];
        }
    }
    return NULL;
}

bool http1_refuse(struct cursor *cursor, const char *at, enum http1_reason reason)
{
    *cursor->refusal = (struct http1_refusal){reason, (size_t)(at - cursor->base)};
    return false;
}

static enum line bad(struct cursor *cursor, const char *at, enum http1_reason reason)
{
    http1_refuse(cursor, at, reason);
    return LINE_BAD;
}

enum line http1_line_end(struct cursor *cursor, enum http1_reason otherwise)
{
    const char *p = cursor->at;
    if (p == cursor->end) {
        return LINE_MORE;
    }
    if (*p != '\r') {
        return bad(cursor, p, *p == '\n' ? HTTP1_REASON_BARE_LF : otherwise);
    }
    if (p + 1 == cursor->end) {
        return LINE_MORE;
    }
    if (p[1] != '\n') {
        return bad(cursor, p, HTTP1_REASON_BARE_CR);
    }
    cursor->at = p + 2;
    return LINE_DONE;
}

enum http1_reason http1_version(const char *text, uint8_t *minor)
{
    if (memcmp(text, "HTTP/", 5) != 0 || !http1_is(text[5], HTTP1_IS_DIGIT) || text[6] != '.' ||
        !http1_is(text[7], HTTP1_IS_DIGIT)) {
        return HTTP1_REASON_VERSION;
    }
    if (text[5] != '1' || text[7] > '1') {
        return HTTP1_REASON_VERSION_UNSUPPORTED;
    }
    *minor = (uint8_t)(text[7] - '0');
    return HTTP1_NO_REASON;
}

bool http1_number(struct str text, uint64_t *number)
{
    uint64_t value;
    if (str_to_uint64(text, &value) < 0 || value > INT64_MAX) {
        return false;
    }
    *number = value;
    return true;
}

/* Why `byte`, which is no token byte, cannot stand where a name starts or goes on. */
static enum http1_reason name_reason(char byte)
{
    switch (byte) {
    case ' ':
    case '\t':
        return HTTP1_REASON_OBS_FOLD;
    case '\n':
        return HTTP1_REASON_BARE_LF;
    case '\r':
        return HTTP1_REASON_NO_COLON;
    default:
        return HTTP1_REASON_NAME;
    }
}

/* White space behind a name: before the colon, or within ("X Y: z")? LINE_MORE when what would tell
 * has not come, so that the reason never depends on how the bytes arrive. */
static enum line refuse_space(struct cursor *cursor, const char *at)
{
    const char *p = at;
    while (p < cursor->end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    if (p == cursor->end) {
        return LINE_MORE;
    }
    return bad(cursor, at, *p == ':' ? HTTP1_REASON_SPACE_BEFORE_COLON : HTTP1_REASON_NAME);
}

/* RFC 9112 5: field-name ":" OWS field-value OWS CRLF, each part as strict as RFC 9110 5 has it. */
static enum line read_field(struct cursor *cursor, const struct http1_limits *limits,
                            struct http1_field *field)
{
    const char *start = cursor->at;
    const char *end = cursor->end;
    const char *p = http1_skip(start, end, HTTP1_IS_TOKEN);
    if ((size_t)(p - start) > limits->name_bytes) {
        return bad(cursor, start, HTTP1_REASON_NAME_TOO_LONG);
    }
    if (p == end) {
        return LINE_MORE;
    }
    if (p > start && (*p == ' ' || *p == '\t')) {
        return refuse_space(cursor, p);
    }
    if (*p != ':' || p == start) {
        return bad(cursor, p, name_reason(*p));
    }
    field->name = str_make(start, (size_t)(p - start));
    do {
        p++;
    } while (p < end && (*p == ' ' || *p == '\t'));
    const char *value = p;
    p = http1_skip_value(p, end);
    cursor->at = p;
    enum line line = http1_line_end(cursor, HTTP1_REASON_VALUE);
    while (p > value && (p[-1] == ' ' || p[-1] == '\t')) {
        p--;
    }
    field->value = str_make(value, (size_t)(p - value));
    return line;
}

/* The name with _ turned to -, when that is a field we act on: a server behind us that cannot tell
 * the two apart would act on it after we had not. */
static bool is_alias(struct str name)
{
    char plain[KNOWN_LEN_MAX];
    if (name.len > sizeof plain) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        plain[i] = name.data[i] == '_' ? '-' : name.data[i];
    }
    enum http1_field_id id = http1_field_id(str_make(plain, name.len));
    return (known_fields[id].flags & (HOP | OURS | FORWARDED_BY)) != 0;
}

static bool classify(struct cursor *cursor, struct http1_field *field)
{
    field->id = (uint8_t)http1_field_id(field->name);
    field->flags = known_fields[field->id].flags;
    if (field->id == HTTP1_OTHER && str_find(field->name, '_') < field->name.len) {
        if (is_alias(field->name)) {
            return http1_refuse(cursor, field->name.data, HTTP1_REASON_ALIAS);
        }
        field->flags = HTTP1_UNDERSCORE;
    }
    return true;
}

static bool take_length(struct http1_head *head, const struct http1_field *field,
                        struct cursor *cursor)
{
    if (head->has_length) {
        return http1_refuse(cursor, field->name.data, HTTP1_REASON_LENGTH_DUPLICATE);
    }
    if (!http1_number(field->value, &head->length)) {
        return http1_refuse(cursor, field->value.data, HTTP1_REASON_LENGTH);
    }
    head->has_length = true;
    return true;
}

static struct str trim_ows(struct str text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = str_skip(text, 1);
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool is_token(struct str text)
{
    return text.len > 0 &&
           http1_skip(text.data, text.data + text.len, HTTP1_IS_TOKEN) == text.data + text.len;
}

bool http1_is_field(struct str name, struct str value)
{
    return is_token(name) &&
           (value.len == 0 ||
            http1_skip_value(value.data, value.data + value.len) == value.data + value.len);
}

/* A coding that is not chunked alone: unsupported when it is a list of names with chunked at most
 * as the last, else malformed. RFC 9112 6.1 */
static enum http1_reason coding_reason(struct str value)
{
    struct str rest = value;
    struct str coding;
    bool is_chunked = false;
    while (str_split(&rest, ',', &coding)) {
        coding = trim_ows(coding);
        if (!is_token(coding) || is_chunked) {
            return HTTP1_REASON_CODING;
        }
        is_chunked = str_equal_nocase(coding, STR("chunked"));
    }
    return HTTP1_REASON_CODING_UNSUPPORTED;
}

/* A coding that we cannot take is refused when the head is whole: a line folded right behind it, or
 * a Content-Length, is the graver fault. */
static bool take_coding(struct http1_head *head, const struct http1_field *field,
                        struct cursor *cursor)
{
    if (head->coding != CODING_NONE) {
        return http1_refuse(cursor, field->name.data, HTTP1_REASON_CODING_DUPLICATE);
    }
    if (str_equal_nocase(field->value, STR("chunked"))) {
        head->coding = CODING_CHUNKED;
    } else if (coding_reason(field->value) == HTTP1_REASON_CODING) {
        head->coding = CODING_MALFORMED;
    } else {
        head->coding = CODING_UNSUPPORTED;
    }
    return true;
}

/* RFC 9110 7.6.1 */
static bool take_connection(struct http1_head *head, const struct http1_field *field,
                            struct cursor *cursor)
{
    struct str rest = field->value;
    struct str option;
    while (str_split(&rest, ',', &option)) {
        option = trim_ows(option);
        if (option.len == 0) {
            continue; /* RFC 9110 5.6.1.2: empty elements do not count */
        }
        if (!is_token(option)) {
            return http1_refuse(cursor, option.data, HTTP1_REASON_CONNECTION);
        }
        if (str_equal_nocase(option, STR("close"))) {
            head->has_close = true;
        } else if (str_equal_nocase(option, STR("keep-alive"))) {
            head->has_keep_alive = true;
        } else if ((known_fields[http1_field_id(option)].flags & PROTECTED) != 0 ||
                   ++head->option_count > HTTP1_CONNECTION_OPTIONS_MAX) {
            return http1_refuse(cursor, option.data, HTTP1_REASON_CONNECTION);
        }
    }
    return true;
}

static bool take_field(struct http1_head *head, const struct http1_kind *kind, void *message,
                       struct http1_field *field, struct cursor *cursor)
{
    if (!classify(cursor, field)) {
        return false;
    }
    switch (field->id) {
    case HTTP1_OTHER:
        return true;
    case HTTP1_CONTENT_LENGTH:
        head->framing_at = (uint32_t)(field->name.data - cursor->base);
        return take_length(head, field, cursor);
    case HTTP1_TRANSFER_ENCODING:
        head->framing_at = (uint32_t)(field->name.data - cursor->base);
        return take_coding(head, field, cursor);
    case HTTP1_CONNECTION:
        return take_connection(head, field, cursor);
    default:
        return kind->field(message, field, cursor);
    }
}

static void mark_named(struct http1_head *head, struct str option)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (str_equal_nocase(head->fields[i].name, option)) {
            head->fields[i].flags |= HTTP1_HOP;
        }
    }
}

/* Fields that Connection names belong to this connection only. At most 16 names times the limit of
 * fields, and most heads have none. */
static void mark_hop_by_hop(struct http1_head *head)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != HTTP1_CONNECTION) {
            continue;
        }
        struct str rest = head->fields[i].value;
        struct str option;
        while (str_split(&rest, ',', &option)) {
            option = trim_ows(option);
            if (option.len > 0) {
                mark_named(head, option);
            }
        }
    }
}

/* RFC 9112 6.3: what is an attack or a mistake whoever sends it. */
static bool check_framing(const struct http1_head *head, struct cursor *cursor)
{
    const char *at = cursor->base + head->framing_at;
    if (head->coding != CODING_NONE && head->has_length) {
        return http1_refuse(cursor, at, HTTP1_REASON_LENGTH_AND_CODING);
    }
    if (head->coding != CODING_NONE && head->minor == 0) {
        return http1_refuse(cursor, at, HTTP1_REASON_CODING_ON_1_0);
    }
    if (head->coding == CODING_MALFORMED) {
        return http1_refuse(cursor, at, HTTP1_REASON_CODING);
    }
    if (head->coding == CODING_UNSUPPORTED) {
        return http1_refuse(cursor, at, HTTP1_REASON_CODING_UNSUPPORTED);
    }
    return true;
}

static bool finish(struct http1_head *head, const struct http1_kind *kind, void *message,
                   const struct http1_limits *limits, struct cursor *cursor)
{
    if (!check_framing(head, cursor)) {
        return false;
    }
    if (head->option_count > 0) {
        mark_hop_by_hop(head);
    }
    /* RFC 9112 9.3 */
    head->keep_alive = !head->has_close && (head->minor == 1 || head->has_keep_alive);
    return kind->decide(message, limits, cursor);
}

static enum line read_fields(struct http1_head *head, const struct http1_kind *kind, void *message,
                             const struct http1_limits *limits, struct cursor *cursor)
{
    for (;;) {
        const char *line = cursor->at;
        head->line = (uint32_t)(line - cursor->base);
        if (line < cursor->end && *line == '\r') {
            enum line last = http1_line_end(cursor, HTTP1_REASON_BARE_CR);
            return last == LINE_DONE ? LINE_LAST : last;
        }
        if (line == cursor->end) {
            return LINE_MORE;
        }
        if (head->field_count == limits->fields) {
            return bad(cursor, line, HTTP1_REASON_TOO_MANY_FIELDS);
        }
        struct http1_field *field = &head->fields[head->field_count];
        enum line result = read_field(cursor, limits, field);
        if (result != LINE_DONE) {
            return result;
        }
        if (!take_field(head, kind, message, field, cursor)) {
            return LINE_BAD;
        }
        head->field_count++;
    }
}

/* RFC 9112 2.2: an empty line before a request is ignored; exactly one, here. */
static enum line skip_empty_line(struct cursor *cursor)
{
    if (cursor->at == cursor->end || *cursor->at != '\r') {
        return cursor->at == cursor->end ? LINE_MORE : LINE_DONE;
    }
    return http1_line_end(cursor, HTTP1_REASON_BARE_CR);
}

static enum line read_lines(struct http1_head *head, const struct http1_kind *kind, void *message,
                            const struct http1_limits *limits, struct cursor *cursor)
{
    if (head->phase == PHASE_START) {
        enum line line = kind->skips_empty_line ? skip_empty_line(cursor) : LINE_DONE;
        if (line != LINE_DONE) {
            return line;
        }
        head->line = (uint32_t)(cursor->at - cursor->base);
        head->phase = PHASE_START_LINE;
    }
    if (head->phase == PHASE_START_LINE) {
        enum line line = kind->start_line(message, limits, cursor);
        if (line != LINE_DONE) {
            return line;
        }
        head->phase = PHASE_FIELDS;
    }
    return read_fields(head, kind, message, limits, cursor);
}

/* Requests and responses keep offsets of their start line until all is read, so that line needs no
 * such care before. */
void http1_head_move(struct http1_head *head, const char *base)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct http1_field *field = &head->fields[i];
        /* Through integers: the old pointers may point into freed memory. */
        field->name.data = base + ((uintptr_t)field->name.data - (uintptr_t)head->base);
        field->value.data = base + ((uintptr_t)field->value.data - (uintptr_t)head->base);
    }
    head->base = base;
}

/* Whether the line that is being read might end in the bytes that are new. */
static bool has_line_end(struct http1_head *head, struct str input)
{
    struct str fresh = str_skip(input, head->searched);
    head->searched = (uint32_t)input.len;
    return str_find(fresh, '\n') < fresh.len;
}

static enum http1_reason too_large(const struct http1_head *head, const struct http1_kind *kind)
{
    return head->phase == PHASE_FIELDS ? HTTP1_REASON_HEAD_TOO_LARGE : kind->start_line_too_long;
}

void http1_head_init(struct http1_head *head, struct http1_field *fields)
{
    *head = (struct http1_head){.fields = fields};
}

ssize_t http1_head_parse(struct http1_head *head, const struct http1_kind *kind, void *message,
                         const struct http1_limits *limits, struct str input,
                         struct http1_refusal *refusal)
{
    if (input.len == 0) {
        return 0;
    }
    /* What lies beyond the limit cannot belong to a head that is within it. */
    input = str_first(input, limits->head_bytes);
    struct http1_refusal found = {HTTP1_NO_REASON, 0};
    struct cursor cursor = {input.data, input.data + input.len, input.data + head->line, &found};
    if (head->base != input.data) {
        http1_head_move(head, input.data);
    }
    enum line line = LINE_MORE;
    if (head->searched <= head->line || has_line_end(head, input)) {
        line = read_lines(head, kind, message, limits, &cursor);
        head->searched = (uint32_t)input.len;
    }
    if (line == LINE_MORE && input.len == limits->head_bytes) {
        line = bad(&cursor, cursor.end, too_large(head, kind));
    }
    if (line == LINE_MORE) {
        return 0;
    }
    if (line == LINE_BAD || !finish(head, kind, message, limits, &cursor)) {
        *refusal = found;
        return -EBADMSG;
    }
    return cursor.at - cursor.base;
}
