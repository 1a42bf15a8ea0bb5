/* SPDX-License-Identifier: Apache-2.0 */
/* The table of refusals. Constants and pure functions, any thread. */
#include "wire/reason.h"

#include <errno.h>

#include "base/reason_table.h"

static const struct reason_row rows[WIRE_REASON_COUNT] = {
    [WIRE_NO_REASON] = REASON_ROW_NONE,
#define WIRE_REASON(id, code, status, sentence) \
    [WIRE_REASON_##id] = REASON_ROW(code, status, sentence),
#include "wire/wire_reasons.def"
#undef WIRE_REASON
};

unsigned wire_reason_status(enum wire_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->status;
}

const char *wire_reason_code(enum wire_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->code;
}

const char *wire_reason_sentence(enum wire_reason reason)
{
    return reason_row(rows, ARRAY_LEN(rows), reason)->sentence;
}

int wire_refuse(enum wire_reason *reason, enum wire_reason why)
{
    if (reason != NULL) {
        *reason = why;
    }
    switch (why) {
    case WIRE_REASON_NO_MEMORY:
        return -ENOMEM;
    case WIRE_REASON_CRYPTO:
        return -EIO;
    default:
        return -EBADMSG;
    }
}
