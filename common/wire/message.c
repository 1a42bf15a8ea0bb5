/* SPDX-License-Identifier: Apache-2.0 */
/* MessageList and GrrMessage, section 2. Pure functions, any thread. */
#include "wire/message.h"

#include <errno.h>

#include "base/check.h"
#include "base/utf8.h"
#include "wire/field.h"

enum { JOB = 1 };

static bool is_utf8(struct str text)
{
    while (text.len > 0) {
        size_t n = utf8_sequence(text);
        if (n == 0) {
            return false;
        }
        text = str_skip(text, n);
    }
    return true;
}

static int read_text(const struct field *field, struct message *message, struct str *text)
{
    if (field_bytes(field, text) < 0) {
        return -EBADMSG;
    }
    if (!is_utf8(*text)) {
        message->defect = MESSAGE_BAD_TEXT;
    }
    return 0;
}

static int read_type(const struct field *field, struct message *message)
{
    uint64_t type;
    if (field_uint64(field, &type) < 0) {
        return -EBADMSG;
    }
    message->has_type = true;
    if (type > MESSAGE_ITERATOR) {
        message->defect = MESSAGE_UNKNOWN_TYPE;
        return 0;
    }
    message->type = (enum message_type)type;
    return 0;
}

static int read_number(const struct field *field, bool *has, uint64_t *number)
{
    *has = true;
    return field_uint64(field, number);
}

static int read_fastpoll(const struct field *field, struct message *message)
{
    uint64_t value = 0;
    int error = read_number(field, &message->has_require_fastpoll, &value);
    message->require_fastpoll = value != 0;
    return error;
}

static int read_field(const struct field *field, struct message *message)
{
    switch (field->number) {
    case 1:
        return read_text(field, message, &message->session_id);
    case 2:
        return read_number(field, &message->has_request_id, &message->request_id);
    case 3:
        return read_number(field, &message->has_response_id, &message->response_id);
    case 4:
        return read_text(field, message, &message->name);
    case 5:
        return field_bytes(field, &message->args);
    case 8:
        return read_type(field, message);
    case 10:
        message->has_ttl = true;
        return field_uint32(field, &message->ttl);
    case 11:
        return read_fastpoll(field, message);
    case 14:
        return read_text(field, message, &message->args_type);
    case 15:
        return read_number(field, &message->has_task_id, &message->task_id);
    case 17:
        return read_text(field, message, &message->queue);
    default:
        /* 6 source and 7 auth_state among them: section 2, whatever the sender claims is not
         * believed. */
        return 0;
    }
}

static enum message_defect find_defect(const struct message *message)
{
    if (message->defect != MESSAGE_FINE) {
        return message->defect;
    }
    if (message->session_id.len == 0) {
        return MESSAGE_NO_SESSION;
    }
    if (message->type == MESSAGE_STATUS && message->args.data == NULL) {
        return MESSAGE_STATUS_WITHOUT_ARGS;
    }
    return MESSAGE_FINE;
}

int message_decode(struct str raw, struct message *message)
{
    struct message found = {.raw = raw, .ttl = 10, .require_fastpoll = true};
    struct field field;
    int more;
    while ((more = field_next(&raw, &field)) > 0) {
        if (read_field(&field, &found) < 0) {
            return -EBADMSG;
        }
    }
    if (more < 0) {
        return -EBADMSG;
    }
    found.defect = find_defect(&found);
    *message = found;
    return 0;
}

/* The next job's bytes. 1, 0 at the end, or -EBADMSG. Unknown fields are passed over. */
static int next_job(struct str *list, struct str *raw)
{
    struct field field;
    int more;
    while ((more = field_next(list, &field)) > 0) {
        if (field.number == JOB) {
            return field_bytes(&field, raw) < 0 ? -EBADMSG : 1;
        }
    }
    return more;
}

int message_next(struct str *list, struct message *message)
{
    struct str raw;
    int more = next_job(list, &raw);
    if (more <= 0) {
        return more;
    }
    return message_decode(raw, message) < 0 ? -EBADMSG : 1;
}

int message_list_check(struct str list, const struct message_limits *limits, uint32_t *count,
                       enum wire_reason *reason)
{
    uint32_t n = 0;
    struct message message;
    int more;
    while ((more = message_next(&list, &message)) > 0) {
        if (message.raw.len > limits->bytes) {
            return wire_refuse(reason, WIRE_REASON_MESSAGE_SIZE);
        }
        if (n == limits->count) {
            return wire_refuse(reason, WIRE_REASON_MESSAGE_COUNT);
        }
        n++;
    }
    if (more < 0) {
        return wire_refuse(reason, WIRE_REASON_MESSAGE_LIST);
    }
    *count = n;
    return 0;
}

static int put_text(struct buffer *out, uint32_t number, struct str text)
{
    return text.data == NULL ? 0 : field_put_bytes(out, number, text);
}

static int put_number(struct buffer *out, uint32_t number, bool has, uint64_t value)
{
    return has ? field_put_uint64(out, number, value) : 0;
}

static int put_fields(struct buffer *out, const struct message *message)
{
    int error;
    if ((error = put_text(out, 1, message->session_id)) < 0 ||
        (error = put_number(out, 2, message->has_request_id, message->request_id)) < 0 ||
        (error = put_number(out, 3, message->has_response_id, message->response_id)) < 0 ||
        (error = put_text(out, 4, message->name)) < 0 ||
        (error = put_text(out, 5, message->args)) < 0 ||
        (error = put_number(out, 8, message->has_type, message->type)) < 0 ||
        (error = put_number(out, 10, message->has_ttl, message->ttl)) < 0 ||
        (error = put_number(out, 11, message->has_require_fastpoll, message->require_fastpoll)) <
            0 ||
        (error = put_text(out, 14, message->args_type)) < 0 ||
        (error = put_number(out, 15, message->has_task_id, message->task_id)) < 0) {
        return error;
    }
    return put_text(out, 17, message->queue);
}

/* More than the tags, lengths and numbers of all fields together take. */
enum { FIXED_PARTS_MAX = 256 };

int message_list_append(struct buffer *list, const struct message *message)
{
    struct buffer raw;
    size_t texts = message->session_id.len + message->name.len + message->args.len +
                   message->args_type.len + message->queue.len;
    buffer_init(&raw, texts + FIXED_PARTS_MAX);
    int error = buffer_reserve(&raw, texts + FIXED_PARTS_MAX);
    if (error == 0 && (error = put_fields(&raw, message)) == 0) {
        error = message_list_append_raw(list, buffer_view(&raw));
    }
    buffer_done(&raw);
    return error;
}

int message_list_append_raw(struct buffer *list, struct str raw)
{
    return field_put_bytes(list, JOB, raw);
}

const char *message_defect_code(enum message_defect defect)
{
    static const char *const codes[] = {
        [MESSAGE_FINE] = "fine",
        [MESSAGE_NO_SESSION] = "no_session",
        [MESSAGE_STATUS_WITHOUT_ARGS] = "status_without_args",
        [MESSAGE_UNKNOWN_TYPE] = "unknown_type",
        [MESSAGE_BAD_TEXT] = "bad_text",
    };
    CHECK(defect < ARRAY_LEN(codes));
    return codes[defect];
}
