/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded zlib, section 4. One thread's. */
#include "wire/zip.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

struct zip {
    z_stream inflater, deflater;
    bool can_inflate, can_deflate; /* the stream was initialised */
};

enum { STEP_BYTES = 16 * 1024, LEVEL = 1 };

int zip_new(struct zip **zip)
{
    struct zip *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    *zip = made;
    return 0;
}

void zip_free(struct zip *zip)
{
    if (zip == NULL) {
        return;
    }
    if (zip->can_inflate) {
        inflateEnd(&zip->inflater);
    }
    if (zip->can_deflate) {
        deflateEnd(&zip->deflater);
    }
    free(zip);
}

static int start_inflating(struct zip *zip)
{
    if (!zip->can_inflate) {
        zip->can_inflate = inflateInit(&zip->inflater) == Z_OK;
        return zip->can_inflate ? 0 : -ENOMEM;
    }
    return inflateReset(&zip->inflater) == Z_OK ? 0 : -EIO;
}

/* What may be out after `in` bytes were used. */
static enum wire_reason find_excess(const struct zip_limits *limits, size_t in, size_t out)
{
    if (out > limits->bytes) {
        return WIRE_REASON_INFLATE_SIZE;
    }
    if (out > limits->free_bytes && (out - limits->free_bytes) / limits->ratio > in) {
        return WIRE_REASON_INFLATE_RATIO;
    }
    return WIRE_NO_REASON;
}

/* One step of output. zlib's word on it, or Z_MEM_ERROR. */
static int inflate_step(z_stream *stream, struct buffer *out)
{
    if (buffer_reserve(out, STEP_BYTES) < 0) {
        return Z_MEM_ERROR;
    }
    stream->next_out = (Bytef *)buffer_tail(out);
    stream->avail_out = STEP_BYTES;
    int status = inflate(stream, Z_NO_FLUSH);
    buffer_commit(out, STEP_BYTES - stream->avail_out);
    return status;
}

int zip_inflate(struct zip *zip, struct str in, const struct zip_limits *limits, struct buffer *out,
                enum wire_reason *reason)
{
    z_stream *stream = &zip->inflater;
    size_t start = buffer_size(out);
    int status = Z_OK;
    if (in.len > UINT_MAX) {
        return wire_refuse(reason, WIRE_REASON_INFLATE_SIZE);
    }
    if (start_inflating(zip) < 0) {
        return wire_refuse(reason, WIRE_REASON_NO_MEMORY);
    }
    stream->next_in = (const Bytef *)in.data;
    stream->avail_in = (uInt)in.len;
    while (status == Z_OK) {
        status = inflate_step(stream, out);
        size_t used = in.len - stream->avail_in;
        enum wire_reason excess = find_excess(limits, used, buffer_size(out) - start);
        if (excess != WIRE_NO_REASON) {
            return wire_refuse(reason, excess);
        }
    }
    if (status == Z_MEM_ERROR) {
        return wire_refuse(reason, WIRE_REASON_NO_MEMORY);
    }
    /* Cut short (Z_BUF_ERROR), broken, wanting a dictionary, or followed by other bytes. */
    if (status != Z_STREAM_END || stream->avail_in != 0) {
        return wire_refuse(reason, WIRE_REASON_INFLATE);
    }
    return 0;
}

static int start_deflating(struct zip *zip)
{
    if (!zip->can_deflate) {
        zip->can_deflate = deflateInit(&zip->deflater, LEVEL) == Z_OK;
        return zip->can_deflate ? 0 : -ENOMEM;
    }
    return deflateReset(&zip->deflater) == Z_OK ? 0 : -EIO;
}

int zip_deflate(struct zip *zip, struct str in, struct buffer *out)
{
    z_stream *stream = &zip->deflater;
    if (in.len <= 1) {
        return 0;
    }
    if (in.len > UINT_MAX) {
        return -ENOBUFS;
    }
    int error = start_deflating(zip);
    if (error < 0 || (error = buffer_reserve(out, in.len - 1)) < 0) {
        return error;
    }
    stream->next_in = (const Bytef *)in.data;
    stream->avail_in = (uInt)in.len;
    stream->next_out = (Bytef *)buffer_tail(out);
    stream->avail_out = (uInt)in.len - 1;
    /* With room for one byte less than `in`, not reaching the end means not smaller. */
    if (deflate(stream, Z_FINISH) != Z_STREAM_END) {
        return 0;
    }
    buffer_commit(out, in.len - 1 - stream->avail_out);
    return 1;
}
