/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread needs to be any agent for a moment: tools of the wire, buffers, bytes that do not
 * compress. One for each thread; never shared. */
#ifndef PORTICO_FLOOD_WORKBENCH_H
#define PORTICO_FLOOD_WORKBENCH_H

#include "base/buffer.h"
#include "base/compiler.h"
#include "wire/packet.h"
#include "wire/tools.h"

struct workbench {
    struct wire_tools tools;
    struct packet_limits limits;
    struct bundle bundle;
    struct buffer args, pem;
    uint8_t *noise; /* owned, WORKBENCH_NOISE bytes */
};

enum { WORKBENCH_NOISE = 64 * 1024 };

/* 0, -ENOMEM or -EIO; on failure there is nothing to release. */
MUST_CHECK int workbench_init(struct workbench *bench);
void workbench_done(struct workbench *bench);

#endif
