/* SPDX-License-Identifier: Apache-2.0 */
/* ZCOMPRESSION (section 4): zlib's format (RFC 1950), bounded by size and ratio. No memory is taken
 * by a size that a peer declared, only as data comes out. A `struct zip` is one thread's pair of
 * streams, made on first use and kept. */
#ifndef PORTICO_WIRE_ZIP_H
#define PORTICO_WIRE_ZIP_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/reason.h"

struct zip;

struct zip_limits {
    size_t bytes;      /* that may come out */
    size_t ratio;      /* bytes out for one byte in, beyond free_bytes */
    size_t free_bytes; /* whose ratio does not matter */
};

/* Agents send at most 40 MB and one message (section 10); what they send compresses tenfold at
 * best, as blobs are compressed inside already. */
#define ZIP_LIMITS_DEFAULT \
    ((struct zip_limits){.bytes = 64 << 20, .ratio = 200, .free_bytes = 1 << 20})

/* 0 or -ENOMEM. */
MUST_CHECK int zip_new(struct zip **zip);
void zip_free(struct zip *zip);

/* Append what the whole zlib stream `in` holds to `out`. 0; -EBADMSG, -ENOMEM or -EIO with *reason;
 * `out` may then hold a part. It grows to twice its content at most. */
MUST_CHECK int zip_inflate(struct zip *zip, struct str in, const struct zip_limits *limits,
                           struct buffer *out, enum wire_reason *reason);

/* Append `in` compressed, fast rather than small (level 1: 10 µs a KiB). 1; 0 when that would not
 * be strictly smaller (`out` is as it was); -ENOBUFS, -ENOMEM, -EIO. */
MUST_CHECK int zip_deflate(struct zip *zip, struct str in, struct buffer *out);

#endif
