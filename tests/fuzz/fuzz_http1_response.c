/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads. The first byte chooses the request's method. Beyond not crashing: what is written
 * from an accepted head reads back as the same response. */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "net/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const struct http1_response *response, enum http1_method method)
{
    static char out[64 * 1024];
    static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    const struct http1_limits limits = {
        .head_bytes = sizeof out, .name_bytes = sizeof out, .fields = HTTP1_FIELDS_DEFAULT};
    struct http1_response again;
    struct http1_refusal refusal;
    struct http1_rewrite rewrite = {.framing = response->head.framing,
                                    .body_bytes = response->head.body_bytes};
    ssize_t n = http1_write_response(out, sizeof out, response, &rewrite);
    CHECK(n > 0);
    http1_response_init(&again, fields);
    CHECK(http1_response_parse(&again, &limits, method, str_make(out, (size_t)n), &refusal) == n);
    CHECK(again.status == response->status);
    CHECK(str_equal(again.phrase, response->phrase));
    CHECK(again.head.framing == response->head.framing);
    CHECK(again.head.body_bytes == response->head.body_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_response response;
    struct http1_refusal refusal = {HTTP1_NO_REASON, 0};
    if (size == 0) {
        return 0;
    }
    enum http1_method method = data[0] % 4 == 0 ? HTTP1_HEAD : HTTP1_GET;
    struct str text = str_make((const char *)data + 1, size - 1);
    http1_response_init(&response, fields);
    ssize_t n = http1_response_parse(&response, &limits, method, text, &refusal);
    CHECK(n >= 0 ? n <= (ssize_t)text.len : n == -EBADMSG);
    CHECK((n < 0) == (refusal.reason != HTTP1_NO_REASON));
    CHECK(refusal.offset <= text.len);
    if (n > 0) {
        check_written(&response, method);
    }
    return 0;
}
