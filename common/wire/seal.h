/* SPDX-License-Identifier: Apache-2.0 */
/* Making packets: a poll at the agent's end, an answer at the server's. No RSA: the sealing has
 * paid for it (section 5). Any thread, each with its own tools. */
#ifndef PORTICO_WIRE_SEAL_H
#define PORTICO_WIRE_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/session.h"

struct wire_tools;

struct seal_content {
    struct str list;      /* a MessageList, or empty */
    uint64_t timestamp;   /* an agent's nonce; an answer repeats the poll's (section 6) */
    size_t compress_from; /* shorter lists are not even tried; 0: all are, SIZE_MAX: none */
    bool is_poll;         /* agents also send queue_size */
    uint32_t queue_size;
};

enum {
    /* Below this, compressing costs more than the bytes (10 µs a KiB). */
    SEAL_COMPRESS_FROM = 1024,
};

/* Append a whole ClientCommunication to `out`, under a fresh random packet IV. 0, -ENOBUFS, -ENOMEM
 * or -EIO; `out` may then hold a part. */
MUST_CHECK int seal_packet(struct wire_tools *tools, const struct sealing *sealing,
                           const struct seal_content *content, struct buffer *out);

#endif
