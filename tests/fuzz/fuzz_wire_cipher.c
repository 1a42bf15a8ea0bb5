/* SPDX-License-Identifier: Apache-2.0 */
/* What RSA and AES decrypt to before anybody is authenticated: CipherProperties (first byte even)
 * and CipherMetadata with its source. */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/envelope.h"
#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_properties(struct str bytes)
{
    struct cipher_properties properties, again;
    enum wire_reason reason = WIRE_NO_REASON;
    struct buffer out;
    int error = cipher_properties_decode(bytes, &properties, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error == 0) {
        buffer_init(&out, 256);
        CHECK(cipher_properties_encode(&properties, &out) == 0);
        CHECK(cipher_properties_decode(buffer_view(&out), &again, &reason) == 0);
        CHECK(memcmp(properties.key, again.key, sizeof again.key) == 0);
        CHECK(properties.hmac_type == again.hmac_type);
        buffer_done(&out);
    }
}

static void read_metadata(struct str bytes)
{
    struct cipher_metadata metadata;
    struct client_id id;
    enum wire_reason reason = WIRE_NO_REASON;
    int error = cipher_metadata_decode(bytes, &metadata, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error == 0) {
        CHECK(metadata.signature.len + metadata.source.len <= bytes.len);
        if (client_id_from_source(metadata.source, &id) == 0) {
            CHECK(strlen(id.text) == CLIENT_ID_LEN);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        struct str bytes = str_make((const char *)data + 1, size - 1);
        if (data[0] % 2 == 0) {
            read_properties(bytes);
        } else {
            read_metadata(bytes);
        }
    }
    return 0;
}
