/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives first and unauthenticated. Beyond not crashing: what was read reads the same after
 * it was written again. */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(struct str a, struct str b)
{
    CHECK(str_equal(a, b) && (a.data == NULL) == (b.data == NULL));
}

static void check_written(const struct envelope *envelope, size_t size)
{
    struct buffer out;
    struct envelope again;
    enum wire_reason reason;
    /* Tags and lengths that came in the shortest form do not grow. */
    buffer_init(&out, size + 256);
    CHECK(envelope_encode(envelope, &out) == 0);
    CHECK(envelope_decode(buffer_view(&out), &again, &reason) == 0);
    check_same(envelope->encrypted, again.encrypted);
    check_same(envelope->encrypted_cipher, again.encrypted_cipher);
    check_same(envelope->encrypted_metadata, again.encrypted_metadata);
    check_same(envelope->packet_iv, again.packet_iv);
    check_same(envelope->simple_hmac, again.simple_hmac);
    check_same(envelope->full_hmac, again.full_hmac);
    CHECK(envelope->queue_size == again.queue_size);
    CHECK(envelope->api_version == again.api_version);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope envelope;
    enum wire_reason reason = WIRE_NO_REASON;
    int error = envelope_decode(str_make((const char *)data, size), &envelope, &reason);
    CHECK(error == 0 || error == -EBADMSG);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error == 0) {
        check_written(&envelope, size);
    }
    return 0;
}
