/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol Buffers' wire format. Pure functions, any thread. */
#include "wire/field.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { VARINT_BYTES_MAX = 10, NUMBER_MAX = (1 << 29) - 1 };

static int take_varint(struct str *rest, uint64_t *value)
{
    uint64_t result = 0;
    for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)rest->data[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return -EBADMSG; /* more than 64 bits */
        }
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = str_make(rest->data + i + 1, rest->len - i - 1);
            *value = result;
            return 0;
        }
    }
    return -EBADMSG;
}

static int take_bytes(struct str *rest, uint64_t len, struct str *bytes)
{
    if (len > rest->len) {
        return -EBADMSG;
    }
    *bytes = str_make(rest->data, (size_t)len);
    *rest = str_make(rest->data + len, rest->len - (size_t)len);
    return 0;
}

static int take_fixed(struct str *rest, size_t len, uint64_t *value)
{
    struct str bytes;
    uint64_t little = 0;
    if (take_bytes(rest, len, &bytes) < 0) {
        return -EBADMSG;
    }
    memcpy(&little, bytes.data, len);
    *value = le64toh(little);
    return 0;
}

static int take_value(struct str *rest, struct field *field)
{
    uint64_t len;
    switch (field->type) {
    case FIELD_VARINT:
        return take_varint(rest, &field->value);
    case FIELD_FIXED64:
        return take_fixed(rest, sizeof(uint64_t), &field->value);
    case FIELD_FIXED32:
        return take_fixed(rest, sizeof(uint32_t), &field->value);
    case FIELD_BYTES:
        return take_varint(rest, &len) < 0 ? -EBADMSG : take_bytes(rest, len, &field->bytes);
    }
    return -EBADMSG;
}

int field_next(struct str *rest, struct field *field)
{
    uint64_t tag;
    if (rest->len == 0) {
        return 0;
    }
    if (take_varint(rest, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX) {
        return -EBADMSG;
    }
    struct field found = {.number = (uint32_t)(tag >> 3), .type = (enum field_type)(tag & 7)};
    if (take_value(rest, &found) < 0) {
        return -EBADMSG;
    }
    *field = found;
    return 1;
}

int field_bytes(const struct field *field, struct str *out)
{
    if (field->type != FIELD_BYTES) {
        return -EBADMSG;
    }
    *out = field->bytes;
    return 0;
}

int field_uint64(const struct field *field, uint64_t *out)
{
    if (field->type != FIELD_VARINT) {
        return -EBADMSG;
    }
    *out = field->value;
    return 0;
}

int field_uint32(const struct field *field, uint32_t *out)
{
    if (field->type != FIELD_VARINT || field->value > UINT32_MAX) {
        return -EBADMSG;
    }
    *out = (uint32_t)field->value;
    return 0;
}

static size_t write_varint(char *out, uint64_t value)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (char)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (char)value;
    return n;
}

static size_t write_tag(char *out, uint32_t number, enum field_type type)
{
    return write_varint(out, (uint64_t)number << 3 | type);
}

int field_put_uint64(struct buffer *out, uint32_t number, uint64_t value)
{
    char text[2 * VARINT_BYTES_MAX];
    size_t n = write_tag(text, number, FIELD_VARINT);
    n += write_varint(text + n, value);
    return buffer_append(out, str_make(text, n));
}

int field_put_float(struct buffer *out, uint32_t number, float value)
{
    char text[VARINT_BYTES_MAX + sizeof(uint32_t)];
    uint32_t bits;
    size_t n = write_tag(text, number, FIELD_FIXED32);
    memcpy(&bits, &value, sizeof bits);
    bits = htole32(bits);
    memcpy(text + n, &bits, sizeof bits);
    return buffer_append(out, str_make(text, n + sizeof bits));
}

int field_put_header(struct buffer *out, uint32_t number, size_t len)
{
    char text[2 * VARINT_BYTES_MAX];
    size_t n = write_tag(text, number, FIELD_BYTES);
    n += write_varint(text + n, len);
    return buffer_append(out, str_make(text, n));
}

int field_put_bytes(struct buffer *out, uint32_t number, struct str bytes)
{
    int error = buffer_reserve(out, field_size(number, bytes.len));
    if (error < 0 || (error = field_put_header(out, number, bytes.len)) < 0) {
        return error;
    }
    return buffer_append(out, bytes);
}

size_t field_size(uint32_t number, size_t len)
{
    char text[2 * VARINT_BYTES_MAX];
    size_t n = write_tag(text, number, FIELD_BYTES);
    return n + write_varint(text + n, len) + len;
}
