/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies. Beyond not crashing: byte by byte, the decoder finds the same data and stops at
 * the same place for the same reason as in one go; what it found, written as one chunk, reads back.
 */
#include <errno.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/check.h"
#include "net/http1_chunked.h"
#include "net/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    size_t used;
    enum http1_reason reason;
    bool is_done;
    struct buffer data;
};

static struct outcome decode(struct str text, size_t step)
{
    const struct http1_chunked_limits limits = HTTP1_CHUNKED_LIMITS_DEFAULT;
    struct outcome outcome = {.reason = HTTP1_NO_REASON};
    struct http1_chunked chunked;
    buffer_init(&outcome.data, text.len + 1);
    http1_chunked_init(&chunked);
    while (outcome.used < text.len && !http1_chunked_is_done(&chunked)) {
        struct str data;
        struct http1_refusal refusal;
        struct str input = str_first(str_skip(text, outcome.used), step);
        ssize_t n = http1_chunked_decode(&chunked, &limits, input, &data, &refusal);
        if (n < 0) {
            CHECK(n == -EBADMSG && refusal.offset < input.len);
            outcome.used += refusal.offset;
            outcome.reason = refusal.reason;
            break;
        }
        CHECK(n > 0 && n <= (ssize_t)input.len);
        CHECK(buffer_append(&outcome.data, data) == 0);
        outcome.used += (size_t)n;
    }
    outcome.is_done = http1_chunked_is_done(&chunked);
    return outcome;
}

static void check_written(struct str data)
{
    struct buffer text;
    buffer_init(&text, data.len + 64);
    if (data.len > 0) {
        char head[HTTP1_CHUNK_HEAD_MAX];
        size_t n = http1_write_chunk_head(head, data.len);
        CHECK(buffer_append(&text, str_make(head, n)) == 0);
        CHECK(buffer_append(&text, data) == 0);
        CHECK(buffer_append(&text, STR("\r\n")) == 0);
    }
    CHECK(buffer_append(&text, HTTP1_LAST_CHUNK) == 0);
    struct outcome again = decode(buffer_view(&text), SIZE_MAX);
    CHECK(again.is_done && again.used == buffer_size(&text));
    CHECK(str_equal(buffer_view(&again.data), data));
    buffer_done(&again.data);
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct outcome whole = decode(text, SIZE_MAX);
    struct outcome bytewise = decode(text, 1);
    CHECK(whole.used == bytewise.used);
    CHECK(whole.reason == bytewise.reason);
    CHECK(whole.is_done == bytewise.is_done);
    CHECK(str_equal(buffer_view(&whole.data), buffer_view(&bytewise.data)));
    if (whole.is_done) {
        check_written(buffer_view(&whole.data));
    }
    buffer_done(&whole.data);
    buffer_done(&bytewise.data);
    return 0;
}
