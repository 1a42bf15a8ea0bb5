/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread needs to read and write packets, kept so that a warm poll makes no context and
 * takes no memory. One for each thread; never shared. */
#ifndef PORTICO_WIRE_TOOLS_H
#define PORTICO_WIRE_TOOLS_H

#include "base/buffer.h"
#include "base/compiler.h"

struct cipher;
struct zip;

struct wire_tools {
    struct cipher *cipher; /* owned */
    struct zip *zip;       /* owned */
    struct buffer plain;   /* scratch: what is about to be encrypted */
    struct buffer packed;  /* scratch: what was compressed */
};

/* 0, -ENOMEM or -EIO; on failure there is nothing to release. */
MUST_CHECK int wire_tools_init(struct wire_tools *tools);
/* Also wipes what the scratch buffers held. Zeroed tools are fine. */
void wire_tools_done(struct wire_tools *tools);

#endif
