/* SPDX-License-Identifier: Apache-2.0 */
/* MessageList and GrrMessage (section 2). A message is a view of its bytes as they came, with the
 * fields that a server or an agent acts on beside it; whoever stores or forwards it takes the
 * bytes, unknown fields included. Payloads are not looked into. Pure functions, any thread. */
#ifndef PORTICO_WIRE_MESSAGE_H
#define PORTICO_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/reason.h"

enum message_type { MESSAGE_RESPONSE = 0, MESSAGE_STATUS = 1, MESSAGE_ITERATOR = 2 };

/* What makes one message useless; the others of its packet are kept (section 13). */
enum message_defect {
    MESSAGE_FINE,
    MESSAGE_NO_SESSION, /* session_id is absent or empty */
    MESSAGE_STATUS_WITHOUT_ARGS,
    MESSAGE_UNKNOWN_TYPE,
    MESSAGE_BAD_TEXT, /* a string is no UTF-8 */
};

/* Strings and args are views; without data they are absent. Numbers hold the protocol's default
 * when absent. */
struct message {
    struct str raw;        /* the whole GrrMessage, as received */
    struct str session_id; /* 1 */
    struct str name;       /* 4: of the action, in requests */
    struct str args;       /* 5: the payload */
    struct str args_type;  /* 14: args_rdf_name */
    struct str queue;      /* 17 */
    uint64_t request_id;   /* 2 */
    uint64_t response_id;  /* 3 */
    uint64_t task_id;      /* 15 */
    enum message_type type;
    uint32_t ttl;          /* 10, default 10 */
    bool require_fastpoll; /* 11, default true */
    bool has_request_id, has_response_id, has_task_id, has_type, has_ttl, has_require_fastpoll;
    enum message_defect defect;
};

struct message_limits {
    uint32_t count; /* messages in one list */
    size_t bytes;   /* one message */
};

/* Agents send at most 40 MB of messages and one more in a poll (section 10). */
#define MESSAGE_LIMITS_DEFAULT ((struct message_limits){.count = 65536, .bytes = 64 << 20})

/* Read one GrrMessage. 0, or -EBADMSG: the bytes are none. Defects are reported in the message. */
MUST_CHECK int message_decode(struct str raw, struct message *message);

/* Take the next message off the front of *list, the rest of a MessageList. 1: *message is set; 0:
 * the list is used up; -EBADMSG: it is none. */
MUST_CHECK int message_next(struct str *list, struct message *message);

/* Read a whole MessageList. 0 with the number of messages in *count, or -EBADMSG with *reason.
 * After this message_next() cannot fail on the same list. */
MUST_CHECK int message_list_check(struct str list, const struct message_limits *limits,
                                  uint32_t *count, enum wire_reason *reason);

/* Append to a MessageList. Of `message` every field but `raw` and `defect` counts: strings with
 * data, numbers with their has_ flag; `raw` is appended as it is. 0, -ENOBUFS or -ENOMEM; all of it
 * or nothing. */
MUST_CHECK int message_list_append(struct buffer *list, const struct message *message);
MUST_CHECK int message_list_append_raw(struct buffer *list, struct str raw);

/* Stable name of a defect, for metrics. */
const char *message_defect_code(enum message_defect defect);

#endif
