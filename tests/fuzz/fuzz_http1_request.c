/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads. Beyond not crashing: the outcome does not depend on how the bytes arrive, and what
 * is written from an accepted head reads back as the same request, with nothing behind it. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    ssize_t result;
    struct http1_refusal refusal;
};

static struct outcome parse(struct http1_request *request, struct http1_field *fields,
                            struct str text, size_t first)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct outcome outcome = {0, {HTTP1_NO_REASON, 0}};
    http1_request_init(request, fields);
    if (first < text.len) {
        /* The first part in memory of its own, gone when the rest comes. */
        char *part = malloc(first + 1);
        CHECK(part != NULL);
        memcpy(part, text.data, first);
        outcome.result =
            http1_request_parse(request, &limits, str_make(part, first), &outcome.refusal);
        free(part);
        if (outcome.result != 0) {
            return parse(request, fields, text, text.len);
        }
    }
    outcome.result = http1_request_parse(request, &limits, text, &outcome.refusal);
    return outcome;
}

static bool has_line_end(struct str text, size_t from)
{
    struct str rest = str_skip(text, from);
    return str_find(rest, '\n') < rest.len;
}

static void check_written(const struct http1_request *request)
{
    /* Host and a length may come on top of what an old request had. */
    enum { FIELDS = HTTP1_FIELDS_DEFAULT + 2 };
    static char out[64 * 1024];
    static struct http1_field fields[FIELDS];
    const struct http1_limits limits = {.head_bytes = sizeof out,
                                        .target_bytes = sizeof out,
                                        .name_bytes = sizeof out,
                                        .fields = FIELDS};
    struct http1_request again;
    struct http1_refusal refusal;
    struct http1_rewrite rewrite = {.default_host = STR("default.example"),
                                    .framing = request->head.framing,
                                    .body_bytes = request->head.body_bytes};
    ssize_t n = http1_write_request(out, sizeof out, request, &rewrite);
    CHECK(n > 0);
    http1_request_init(&again, fields);
    CHECK(http1_request_parse(&again, &limits, str_make(out, (size_t)n), &refusal) == n);
    CHECK(str_equal(again.method, request->method));
    CHECK(again.head.framing == request->head.framing);
    CHECK(again.head.body_bytes == request->head.body_bytes);
    CHECK(again.target.data[0] == '/' || str_equal(again.target, STR("*")));
    for (uint32_t i = 0; i < again.head.field_count; i++) {
        CHECK((again.head.fields[i].flags & (HTTP1_HOP | HTTP1_UNDERSCORE)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    static struct http1_field other_fields[HTTP1_FIELDS_DEFAULT];
    struct http1_request request;
    struct http1_request other;
    struct str text = str_make((const char *)data, size);
    struct outcome whole = parse(&request, fields, text, size);
    /* One cut a run, at a place that the input decides. */
    struct outcome cut = parse(&other, other_fields, text, size == 0 ? 0 : data[size / 2] % size);
    /* A line that came in parts is judged when it ends, so a bad one may still be waiting. */
    bool waits = whole.result < 0 && cut.result == 0 && !has_line_end(text, whole.refusal.offset);
    if (!waits) {
        CHECK(whole.result == cut.result);
        CHECK(whole.refusal.reason == cut.refusal.reason);
        CHECK(whole.refusal.offset == cut.refusal.offset);
    }
    CHECK(whole.result >= 0 || whole.result == -EBADMSG);
    CHECK(whole.result <= (ssize_t)size);
    if (whole.result < 0) {
        CHECK(whole.refusal.reason != HTTP1_NO_REASON && whole.refusal.offset <= size);
    } else if (whole.result > 0) {
        CHECK(request.head.field_count == other.head.field_count);
        CHECK(str_equal(request.target, other.target));
        check_written(&request);
    }
    return 0;
}
