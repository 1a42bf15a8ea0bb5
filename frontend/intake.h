/* SPDX-License-Identifier: Apache-2.0 */
/* From the messages of one packet to what the store keeps of them (protocol section 7). A message
 * that is for nobody, or for somebody else than its sender, is dropped and counted; the rest of its
 * packet is not lost with it (section 13). */
#ifndef PORTICO_FRONTEND_INTAKE_H
#define PORTICO_FRONTEND_INTAKE_H

#include "base/arena.h"
#include "base/compiler.h"
#include "store/store.h"
#include "wire/name.h"
#include "wire/packet.h"

struct intake {
    struct store_response *responses; /* in the arena, with views into the bundle */
    size_t response_count;
    struct store_message *messages;
    size_t message_count;
    size_t dropped;
};

/* Sort the messages of `bundle`, which came from `source`. Enrol messages are left out: an enrolled
 * agent has no use for them. 0 or -ENOMEM. */
MUST_CHECK int intake_sort(const struct bundle *bundle, const struct client_id *source,
                           struct arena *arena, struct intake *intake);

#endif
