/* SPDX-License-Identifier: Apache-2.0 */
/* One poll: from the head of a POST to the answer on its way. A poll belongs to one thread at a
 * time: libmicrohttpd's while its connection runs, the work pool's or the committer's while it is
 * suspended. */
#ifndef PORTICO_FRONTEND_POLL_H
#define PORTICO_FRONTEND_POLL_H

#include <microhttpd.h>

#include "base/compiler.h"
#include "frontend.h"
#include "head.h"

struct poll;

/* A poll whose head was accepted, to be answered under `terms`. NULL without memory. */
struct poll *poll_new(struct frontend *frontend, struct terms *terms,
                      struct MHD_Connection *connection, const struct head *head);
void poll_free(struct poll *poll);

/* What libmicrohttpd's access handler got for this connection: bytes of the body (`*size` of them,
 * set to 0 when taken), or none: the body is whole, or the connection was resumed. */
MUST_CHECK enum MHD_Result poll_continue(struct poll *poll, const char *data, size_t *size);

/* The thread's tools are freed when it ends; call once before the first poll. 0 or a negative
 * errno. */
MUST_CHECK int poll_threads_init(void);

#endif
