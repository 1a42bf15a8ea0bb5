/* SPDX-License-Identifier: Apache-2.0 */
/* Ports: taking one, and finding out who has it. */
#include "port.h"

#include <errno.h>

#include "net/port_holder.h"
#include "net/socket.h"

int port_take(const char *host, uint16_t first, uint16_t last, struct address *address,
              struct error *error)
{
    const struct listen_options options = {.no_delay = true};
    for (unsigned port = first; port <= last; port++) {
        int result = address_from_host(str_from(host), (uint16_t)port, address, error);
        if (result < 0) {
            return result;
        }
        result = socket_listen(address, &options, error);
        if (result != -EADDRINUSE) {
            return result;
        }
    }
    return error_set(error, -EADDRINUSE,
                     first == last ? "port %u is taken" : "all ports from %u to %u are taken",
                     (unsigned)first, (unsigned)last);
}

void port_print_holders(uint16_t first, uint16_t last, FILE *out)
{
    for (unsigned port = first; port <= last; port++) {
        struct port_holder holder;
        if (port_holder_find((uint16_t)port, &holder) == 0) {
            fprintf(out, "    port %u: nobody listens; it may be in use otherwise\n", port);
        } else if (holder.pid == 0) {
            fprintf(out, "    port %u: a process that this user may not look at\n", port);
        } else {
            fprintf(out, "    port %u: process %ld (%s)\n", port, holder.pid, holder.name);
        }
    }
}
