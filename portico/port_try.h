/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a port may be listened on, asked by binding, without listening, for a moment: that knows
 * about wildcards, families and privileges what no table tells. An instance that starts in this
 * very moment takes its next port. */
#ifndef PORTICO_COMMAND_PORT_TRY_H
#define PORTICO_COMMAND_PORT_TRY_H

#include <stdint.h>

#include "base/compiler.h"

/* 0: free, or the errno of bind(). */
MUST_CHECK int port_try(const char *host, uint16_t port);

#endif
