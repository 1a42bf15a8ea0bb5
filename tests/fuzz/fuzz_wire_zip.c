/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded inflating. Beyond not crashing: the limits hold, and what came out goes in and out again.
 */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_deflated(struct zip *zip, struct str plain, const struct zip_limits *limits)
{
    struct zip_limits lenient = {.bytes = limits->bytes, .ratio = 2000, .free_bytes = 0};
    struct buffer packed, again;
    buffer_init(&packed, 1 << 20);
    buffer_init(&again, 1 << 20);
    int smaller = zip_deflate(zip, plain, &packed);
    CHECK(smaller >= 0);
    if (smaller > 0) {
        CHECK(buffer_size(&packed) < plain.len);
        CHECK(zip_inflate(zip, buffer_view(&packed), &lenient, &again, NULL) == 0);
        struct str view = buffer_view(&again);
        CHECK(view.data != NULL && plain.data != NULL && str_equal(view, plain));
    }
    buffer_done(&packed);
    buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zip *zip;
    const struct zip_limits limits = {.bytes = 1 << 18, .ratio = 100, .free_bytes = 1 << 14};
    struct buffer out;
    enum wire_reason reason = WIRE_NO_REASON;
    if (zip == NULL) {
        CHECK(zip_new(&zip) == 0);
    }
    buffer_init(&out, (1 << 18) + (1 << 16));
    struct str in = str_make((const char *)data, size);
    int error = zip_inflate(zip, in, &limits, &out, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    CHECK(reason != WIRE_REASON_NO_MEMORY && reason != WIRE_REASON_CRYPTO);
    CHECK(out.capacity <= 2 * limits.bytes);
    if (error == 0) {
        CHECK(buffer_size(&out) <= limits.bytes);
        CHECK(buffer_size(&out) <= limits.free_bytes + (size + 1) * limits.ratio);
        check_deflated(zip, buffer_view(&out), &limits);
    }
    buffer_done(&out);
    return 0;
}
