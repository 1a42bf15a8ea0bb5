/* SPDX-License-Identifier: Apache-2.0 */
/* The table of refusals. Constants and pure functions, any thread. */
#include "wire/reason.h"

#include <errno.h>

#include "base/check.h"

static const struct {
    const char *code;
    unsigned status;
    const char *sentence;
} reasons[WIRE_REASON_COUNT] = {
    [WIRE_NO_REASON] = {"none", 200, "nothing was refused"},
#define WIRE_REASON(id, code, status, sentence) [WIRE_REASON_##id] = {code, status, sentence},
#include "wire/wire_reasons.def"
#undef WIRE_REASON
};

unsigned wire_reason_status(enum wire_reason reason)
{
    CHECK(reason < WIRE_REASON_COUNT);
    return reasons[reason].status;
}

const char *wire_reason_code(enum wire_reason reason)
{
    CHECK(reason < WIRE_REASON_COUNT);
    return reasons[reason].code;
}

const char *wire_reason_sentence(enum wire_reason reason)
{
    CHECK(reason < WIRE_REASON_COUNT);
    return reasons[reason].sentence;
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
