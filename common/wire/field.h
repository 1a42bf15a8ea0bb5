/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol Buffers' wire format, one field at a time. Reading gives views into the caller's bytes
 * and allocates nothing, so that a signature or an HMAC is checked over what was received and
 * unknown fields stay where they are. Pure functions, any thread.
 *
 * Stricter than the format in one thing: groups, which nobody sends, are malformed. */
#ifndef PORTICO_WIRE_FIELD_H
#define PORTICO_WIRE_FIELD_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"

enum field_type {
    FIELD_VARINT = 0,
    FIELD_FIXED64 = 1,
    FIELD_BYTES = 2, /* strings and embedded messages too */
    FIELD_FIXED32 = 5,
};

struct field {
    uint32_t number;
    enum field_type type;
    uint64_t value;   /* unless FIELD_BYTES */
    struct str bytes; /* with FIELD_BYTES; its data is never NULL */
};

/* Take the next field off the front of *rest. 1: *field is set; 0: *rest is used up; -EBADMSG: what
 * follows is no field (*rest is undefined then, *field untouched). */
MUST_CHECK int field_next(struct str *rest, struct field *field);

/* The field's value into *out when it has the type that the protocol says and fits, else
 * -EBADMSG. */
MUST_CHECK int field_bytes(const struct field *field, struct str *out);
MUST_CHECK int field_uint32(const struct field *field, uint32_t *out);
MUST_CHECK int field_uint64(const struct field *field, uint64_t *out);

/* Append one field. 0, -ENOBUFS or -ENOMEM; all of it or nothing. */
MUST_CHECK int field_put_uint64(struct buffer *out, uint32_t number, uint64_t value);
MUST_CHECK int field_put_bytes(struct buffer *out, uint32_t number, struct str bytes);
MUST_CHECK int field_put_float(struct buffer *out, uint32_t number, float value);

/* Append the tag and length of a FIELD_BYTES whose `len` bytes the caller appends next. */
MUST_CHECK int field_put_header(struct buffer *out, uint32_t number, size_t len);

/* What field_put_header() plus `len` bytes take. */
size_t field_size(uint32_t number, size_t len);

#endif
