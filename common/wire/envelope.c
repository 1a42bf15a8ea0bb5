/* SPDX-License-Identifier: Apache-2.0 */
/* The outer messages of the protocol, section 2. Pure functions, any thread. */
#include "wire/envelope.h"

#include <endian.h>
#include <string.h>

#include "wire/field.h"

static int read_envelope_field(const struct field *field, struct envelope *envelope)
{
    switch (field->number) {
    case 1:
        return field_bytes(field, &envelope->encrypted);
    case 2:
        return field_bytes(field, &envelope->encrypted_cipher);
    case 4:
        envelope->has_queue_size = true;
        return field_uint32(field, &envelope->queue_size);
    case 6:
        return field_uint32(field, &envelope->api_version);
    case 7:
        return field_bytes(field, &envelope->simple_hmac);
    case 8:
        return field_bytes(field, &envelope->packet_iv);
    case 9:
        return field_bytes(field, &envelope->encrypted_metadata);
    case 10:
        return field_bytes(field, &envelope->full_hmac);
    default:
        /* 3, the HTTP request, and 5, a status, are never used on the wire. */
        return 0;
    }
}

int envelope_decode(struct str body, struct envelope *envelope, enum wire_reason *reason)
{
    struct envelope found = {.api_version = 0};
    struct field field;
    int more;
    while ((more = field_next(&body, &field)) > 0) {
        if (read_envelope_field(&field, &found) < 0) {
            return wire_refuse(reason, WIRE_REASON_ENVELOPE);
        }
    }
    if (more < 0) {
        return wire_refuse(reason, WIRE_REASON_ENVELOPE);
    }
    *envelope = found;
    return 0;
}

static int put_present(struct buffer *out, uint32_t number, struct str bytes)
{
    return bytes.data == NULL ? 0 : field_put_bytes(out, number, bytes);
}

int envelope_encode(const struct envelope *envelope, struct buffer *out)
{
    int error;
    if ((error = put_present(out, 1, envelope->encrypted)) < 0 ||
        (error = put_present(out, 2, envelope->encrypted_cipher)) < 0 ||
        (envelope->has_queue_size &&
         (error = field_put_uint64(out, 4, envelope->queue_size)) < 0) ||
        (envelope->api_version != 0 &&
         (error = field_put_uint64(out, 6, envelope->api_version)) < 0) ||
        (error = put_present(out, 7, envelope->simple_hmac)) < 0 ||
        (error = put_present(out, 8, envelope->packet_iv)) < 0 ||
        (error = put_present(out, 9, envelope->encrypted_metadata)) < 0) {
        return error;
    }
    return put_present(out, 10, envelope->full_hmac);
}

struct properties_view {
    struct str key, metadata_iv, hmac_key;
    uint64_t hmac_type;
};

static int read_properties_field(const struct field *field, struct properties_view *view)
{
    struct str name;
    switch (field->number) {
    case 1:
        /* Section 2: the receiver does not check the cipher's name. */
        return field_bytes(field, &name);
    case 2:
        return field_bytes(field, &view->key);
    case 3:
        return field_bytes(field, &view->metadata_iv);
    case 5:
        return field_bytes(field, &view->hmac_key);
    case 6:
        return field_uint64(field, &view->hmac_type);
    default:
        return 0;
    }
}

static bool is_key(struct str bytes)
{
    return bytes.data != NULL && bytes.len == WIRE_KEY_BYTES;
}

static enum wire_reason find_properties_fault(const struct properties_view *view)
{
    if (!is_key(view->key) || !is_key(view->metadata_iv) || !is_key(view->hmac_key)) {
        return WIRE_REASON_CIPHER_KEY_LENGTH;
    }
    return view->hmac_type == SIMPLE_HMAC || view->hmac_type == FULL_HMAC ? WIRE_NO_REASON
                                                                          : WIRE_REASON_HMAC_TYPE;
}

int cipher_properties_decode(struct str bytes, struct cipher_properties *properties,
                             enum wire_reason *reason)
{
    struct properties_view view = {.hmac_type = SIMPLE_HMAC};
    struct field field;
    int more;
    while ((more = field_next(&bytes, &field)) > 0) {
        if (read_properties_field(&field, &view) < 0) {
            return wire_refuse(reason, WIRE_REASON_CIPHER_PROPERTIES);
        }
    }
    if (more < 0) {
        return wire_refuse(reason, WIRE_REASON_CIPHER_PROPERTIES);
    }
    enum wire_reason fault = find_properties_fault(&view);
    if (fault != WIRE_NO_REASON) {
        return wire_refuse(reason, fault);
    }
    memcpy(properties->key, view.key.data, WIRE_KEY_BYTES);
    memcpy(properties->metadata_iv, view.metadata_iv.data, WIRE_KEY_BYTES);
    memcpy(properties->hmac_key, view.hmac_key.data, WIRE_KEY_BYTES);
    properties->hmac_type = (enum hmac_type)view.hmac_type;
    return 0;
}

static struct str key_view(const uint8_t *key)
{
    return str_make((const char *)key, WIRE_KEY_BYTES);
}

int cipher_properties_encode(const struct cipher_properties *properties, struct buffer *out)
{
    int error;
    if ((error = field_put_bytes(out, 1, STR("aes_128_cbc"))) < 0 ||
        (error = field_put_bytes(out, 2, key_view(properties->key))) < 0 ||
        (error = field_put_bytes(out, 3, key_view(properties->metadata_iv))) < 0 ||
        (error = field_put_bytes(out, 5, key_view(properties->hmac_key))) < 0) {
        return error;
    }
    return field_put_uint64(out, 6, properties->hmac_type);
}

int cipher_metadata_decode(struct str bytes, struct cipher_metadata *metadata,
                           enum wire_reason *reason)
{
    struct cipher_metadata found = {.source = {NULL, 0}};
    struct field field;
    int more;
    while ((more = field_next(&bytes, &field)) > 0) {
        if ((field.number == 1 && field_bytes(&field, &found.source) < 0) ||
            (field.number == 2 && field_bytes(&field, &found.signature) < 0)) {
            return wire_refuse(reason, WIRE_REASON_METADATA);
        }
    }
    if (more < 0) {
        return wire_refuse(reason, WIRE_REASON_METADATA);
    }
    *metadata = found;
    return 0;
}

int cipher_metadata_encode(const struct cipher_metadata *metadata, struct buffer *out)
{
    int error = put_present(out, 1, metadata->source);
    return error < 0 ? error : put_present(out, 2, metadata->signature);
}

static int read_packed_field(const struct field *field, struct packed_list *list,
                             uint64_t *compression)
{
    switch (field->number) {
    case 1:
        return field_bytes(field, &list->message_list);
    case 4:
        return field_uint64(field, compression);
    case 6:
        list->has_timestamp = true;
        return field_uint64(field, &list->timestamp);
    default:
        return 0;
    }
}

int packed_list_decode(struct str bytes, struct packed_list *list, enum wire_reason *reason)
{
    struct packed_list found = {.timestamp = 0};
    uint64_t compression = UNCOMPRESSED;
    struct field field;
    int more;
    while ((more = field_next(&bytes, &field)) > 0) {
        if (read_packed_field(&field, &found, &compression) < 0) {
            return wire_refuse(reason, WIRE_REASON_PACKED_LIST);
        }
    }
    if (more < 0) {
        return wire_refuse(reason, WIRE_REASON_PACKED_LIST);
    }
    if (compression != UNCOMPRESSED && compression != ZCOMPRESSION) {
        return wire_refuse(reason, WIRE_REASON_COMPRESSION);
    }
    found.compression = (enum compression)compression;
    *list = found;
    return 0;
}

int packed_list_encode(const struct packed_list *list, struct buffer *out)
{
    int error;
    if ((error = field_put_bytes(out, 1, list->message_list)) < 0 ||
        (list->compression != UNCOMPRESSED &&
         (error = field_put_uint64(out, 4, list->compression)) < 0)) {
        return error;
    }
    return list->has_timestamp ? field_put_uint64(out, 6, list->timestamp) : 0;
}

void envelope_parts_list(const struct envelope *envelope, uint32_t api_version,
                         struct envelope_parts *parts)
{
    parts->version = htole32(api_version);
    parts->list[0] = envelope->encrypted;
    parts->list[1] = envelope->encrypted_cipher;
    parts->list[2] = envelope->encrypted_metadata;
    parts->list[3] = envelope->packet_iv;
    parts->list[4] = str_make((const char *)&parts->version, sizeof parts->version);
}
