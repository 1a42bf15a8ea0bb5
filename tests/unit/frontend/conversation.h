/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a real libmicrohttpd over a socket pair, from whatever peer the test names, for
 * modules that look at connections. Failures abort. */
#ifndef PORTICO_TESTS_CONVERSATION_H
#define PORTICO_TESTS_CONVERSATION_H

#include <microhttpd.h>

#include "net/address.h"

/* Called once the head is there, on libmicrohttpd's thread, while the test waits. */
typedef enum MHD_Result answer_callback(struct MHD_Connection *connection, void *context);

/* Send `request` as it is and give what came back until the connection's end, NUL-terminated, to be
 * freed. `peer` NULL: 192.0.2.1. */
char *converse(const char *request, const struct address *peer, answer_callback *answer,
               void *context);

/* An answer without importance. */
enum MHD_Result answer_with_nothing(struct MHD_Connection *connection);

#endif
