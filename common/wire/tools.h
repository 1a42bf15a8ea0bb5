/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread needs to read and write packets, kept so that a warm poll makes no context and
 * takes no memory. One for each thread; never shared. */
#ifndef PORTICO_WIRE_TOOLS_H
#define PORTICO_WIRE_TOOLS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"

struct cipher;
struct zip;

struct wire_tools {
    struct cipher *cipher; /* owned */
    struct zip *zip;       /* owned */
    struct buffer plain;   /* scratch: what is about to be encrypted */
    struct buffer packed;  /* scratch: what was compressed, then what was encrypted */
    uint8_t ivs[512];      /* random bytes not handed out yet are the last `ivs_left` */
    uint16_t ivs_left;
};

/* 0, -ENOMEM or -EIO; on failure there is nothing to release. */
MUST_CHECK int wire_tools_init(struct wire_tools *tools);
/* Also wipes what the scratch buffers held. Zeroed tools are fine. */
void wire_tools_done(struct wire_tools *tools);

/* A fresh random IV of WIRE_KEY_BYTES. Drawn many at a time, as one draw costs 1 µs whatever its
 * size; so tools must not be used on both sides of a fork(). 0 or -EIO. */
MUST_CHECK int wire_tools_iv(struct wire_tools *tools, uint8_t *iv);

/* Empty a buffer that is used for one packet after another; memory that only a rare large one
 * needed is given back. */
void wire_tools_reuse(struct buffer *buffer);

#endif
