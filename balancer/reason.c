/* SPDX-License-Identifier: Apache-2.0 */
/* The two tables of reasons as one. */
#include "reason.h"

#include <assert.h>

#include "base/check.h"
#include "base/compiler.h"

static const struct row {
    const char *code, *sentence;
    unsigned status;
    bool is_error;
} rows[] = {
    {"", "the member's answer was relayed to its end", 0, false},
#define REASON(id, code, status, is_error, sentence) {code, sentence, status, is_error},
#include "reasons.def"
#undef REASON
#define HTTP1_REASON(id, code, status, sentence) {code, sentence, status, true},
#include "net/http1_reasons.def"
#undef HTTP1_REASON
};
static_assert(ARRAY_LEN(rows) == REASON_COUNT, "a row for each reason");

/* Where the parser's reasons begin; both enums come from the same table in the same order. */
enum {
#define REASON(id, code, status, is_error, sentence) OWN_##id,
#include "reasons.def"
#undef REASON
    OWN_COUNT,
    PARSERS_FIRST = OWN_COUNT + 1, /* behind REASON_NONE */
};
static_assert(PARSERS_FIRST + HTTP1_REASON_COUNT - 1 == REASON_COUNT, "the parser's come last");

enum reason reason_from_http1(enum http1_reason reason)
{
    CHECK(reason < HTTP1_REASON_COUNT);
    return reason == HTTP1_NO_REASON ? REASON_NONE : (enum reason)(PARSERS_FIRST + reason - 1);
}

static const struct row *row_of(enum reason reason)
{
    CHECK(reason < REASON_COUNT);
    return &rows[reason];
}

const char *reason_code(enum reason reason)
{
    return row_of(reason)->code;
}

const char *reason_sentence(enum reason reason)
{
    return row_of(reason)->sentence;
}

unsigned reason_status(enum reason reason)
{
    return row_of(reason)->status;
}

bool reason_is_error(enum reason reason)
{
    return row_of(reason)->is_error;
}
