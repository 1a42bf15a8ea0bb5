/* SPDX-License-Identifier: Apache-2.0 */
/* Who a request is from: the connection's other end, or, when that is a trusted proxy, whom it
 * names in X-Forwarded-For. */
#ifndef PORTICO_FRONTEND_PEER_H
#define PORTICO_FRONTEND_PEER_H

#include <microhttpd.h>

#include "base/str.h"
#include "head.h"
#include "net/address.h"

/* The address without port; "" when it is unknown. From the right of the X-Forwarded-For in
 * `head`, the first one that is no trusted proxy counts: everything left of it could be made up. */
void peer_name(struct MHD_Connection *connection, const struct head *head,
               const struct network *trusted, size_t trusted_count, char out[ADDRESS_TEXT_SIZE]);

#endif
