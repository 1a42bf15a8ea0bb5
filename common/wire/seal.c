/* SPDX-License-Identifier: Apache-2.0 */
/* Making packets, sections 2, 4 and 8. Any thread, each with its own tools. */
#include "wire/seal.h"

#include <errno.h>

#include "wire/cipher.h"
#include "wire/envelope.h"
#include "wire/tools.h"
#include "wire/zip.h"

/* Section 4: senders compress only where that is strictly smaller. */
static int pack(struct wire_tools *tools, const struct seal_content *content, struct buffer *out)
{
    struct packed_list packed = {
        .message_list = content->list,
        .compression = UNCOMPRESSED,
        .has_timestamp = true,
        .timestamp = content->timestamp,
    };
    if (packed.message_list.data == NULL) {
        packed.message_list = STR("");
    }
    if (content->list.len > 0 && content->list.len >= content->compress_from) {
        buffer_clear(&tools->packed);
        int smaller = zip_deflate(tools->zip, content->list, &tools->packed);
        if (smaller < 0) {
            return smaller;
        }
        if (smaller > 0) {
            packed.message_list = buffer_view(&tools->packed);
            packed.compression = ZCOMPRESSION;
        }
    }
    return packed_list_encode(&packed, out);
}

/* Both HMACs, as every real sender does (section 4). */
static int authenticate(struct wire_tools *tools, const struct sealing *sealing,
                        struct envelope *envelope, uint8_t *simple, uint8_t *full)
{
    struct envelope_parts parts;
    envelope_parts_list(envelope, envelope->api_version, &parts);
    int size = cipher_hmac(tools->cipher, HMAC_SHA1, sealing->hmac_key, parts.list, 1, simple);
    if (size < 0) {
        return size;
    }
    envelope->simple_hmac = str_make((const char *)simple, (size_t)size);
    size =
        cipher_hmac(tools->cipher, HMAC_SHA1, sealing->hmac_key, parts.list, ENVELOPE_PARTS, full);
    if (size < 0) {
        return size;
    }
    envelope->full_hmac = str_make((const char *)full, (size_t)size);
    return 0;
}

static int write_packet(struct wire_tools *tools, const struct sealing *sealing,
                        const struct seal_content *content, struct buffer *out)
{
    uint8_t iv[WIRE_KEY_BYTES];
    uint8_t simple[HMAC_SHA256_BYTES];
    uint8_t full[HMAC_SHA256_BYTES];
    int error = wire_tools_iv(tools, iv);
    if (error < 0) {
        return error;
    }
    buffer_clear(&tools->packed);
    error =
        cipher_encrypt(tools->cipher, sealing->key, iv, buffer_view(&tools->plain), &tools->packed);
    if (error < 0) {
        return error;
    }
    struct envelope envelope = {
        .encrypted = buffer_view(&tools->packed),
        .encrypted_cipher = str_make((const char *)sealing->cipher, sealing->cipher_len),
        .encrypted_metadata = str_make((const char *)sealing->metadata, sealing->metadata_len),
        .packet_iv = str_make((const char *)iv, sizeof iv),
        .api_version = WIRE_API_VERSION,
        .has_queue_size = content->is_poll,
        .queue_size = content->queue_size,
    };
    error = authenticate(tools, sealing, &envelope, simple, full);
    return error < 0 ? error : envelope_encode(&envelope, out);
}

int seal_packet(struct wire_tools *tools, const struct sealing *sealing,
                const struct seal_content *content, struct buffer *out)
{
    wire_tools_reuse(&tools->plain);
    wire_tools_reuse(&tools->packed);
    int error = pack(tools, content, &tools->plain);
    return error < 0 ? error : write_packet(tools, sealing, content, out);
}
