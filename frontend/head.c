/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads, looked at again. Runs on libmicrohttpd's threads. */
#include "head.h"

#include <string.h>

#include "net/http1.h"

struct look {
    struct head *head;
    enum reason reason;
    unsigned hosts;
};

static enum reason take_length(struct head *head, struct str value)
{
    if (head->has_length) {
        return REASON_LENGTH_DUPLICATE;
    }
    head->has_length = true;
    return str_to_uint64(value, &head->length) == 0 && head->length <= INT64_MAX ? REASON_NONE
                                                                                 : REASON_LENGTH;
}

/* libmicrohttpd 0.9.75 glues a folded line to the field's name ("Transfer-Encodingked"), so that a
 * fold hides the fields that say how long a body is. No other field is called so. */
static bool is_folded(struct str name)
{
    static const struct str names[] = {
        {"Transfer-Encoding", 17}, {"Content-Length", 14}, {"Host", 4}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (name.len > names[i].len && str_equal_nocase(str_first(name, names[i].len), names[i])) {
            return true;
        }
    }
    return false;
}

static void take_forwarded(struct head *head, struct str value)
{
    if (head->forwarded_count == HEAD_FORWARDED_MAX) {
        memmove(head->forwarded_for, head->forwarded_for + 1,
                sizeof head->forwarded_for - sizeof head->forwarded_for[0]);
        head->forwarded_count--;
    }
    head->forwarded_for[head->forwarded_count++] = value;
}

static enum reason take_field(struct look *look, struct str name, struct str value)
{
    if (!http1_is_field(name, value) || is_folded(name)) {
        return REASON_FIELD;
    }
    switch (http1_field_id(name)) {
    case HTTP1_TRANSFER_ENCODING:
        return REASON_CODING;
    case HTTP1_CONTENT_LENGTH:
        return take_length(look->head, value);
    case HTTP1_HOST:
        return ++look->hosts > 1 ? REASON_HOST_DUPLICATE : REASON_NONE;
    case HTTP1_X_FORWARDED_FOR:
        take_forwarded(look->head, value);
        return REASON_NONE;
    default:
        return REASON_NONE;
    }
}

static enum MHD_Result look_at_field(void *context, enum MHD_ValueKind kind, const char *name,
                                     size_t name_len, const char *value, size_t value_len)
{
    struct look *look = context;
    (void)kind;
    look->reason = take_field(look, str_make(name, name_len), str_make(value, value_len));
    return look->reason == REASON_NONE ? MHD_YES : MHD_NO;
}

enum reason head_check(struct MHD_Connection *connection, struct head *head)
{
    struct look look = {.head = head};
    *head = (struct head){.has_length = false};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at_field, &look);
    return look.reason;
}
