/* SPDX-License-Identifier: Apache-2.0 */
/* Which port of the range an instance takes. Main thread. */
#ifndef PORTICO_FRONTEND_PORT_H
#define PORTICO_FRONTEND_PORT_H

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "net/address.h"

/* Listen on `host` at the first free port of first..last; instances that start at once each get one
 * of their own, for the kernel gives a port to one of them. The descriptor and *address, or a
 * negative errno with words; -EADDRINUSE: none is free. */
MUST_CHECK int port_take(const char *host, uint16_t first, uint16_t last, struct address *address,
                         struct error *error);

/* Say on `out` who listens on each port of first..last, as far as /proc tells. */
void port_print_holders(uint16_t first, uint16_t last, FILE *out);

#endif
