/* SPDX-License-Identifier: Apache-2.0 */
/* Which program listens on a TCP port of this machine, as far as /proc tells: others' programs only
 * to root. Pure look-ups, any thread; they read all of /proc, so they are for people. */
#ifndef PORTICO_NET_PORT_HOLDER_H
#define PORTICO_NET_PORT_HOLDER_H

#include <stdint.h>

#include "base/compiler.h"

struct port_holder {
    long pid;      /* 0: not known; 1: the service manager alone */
    char name[64]; /* "portico-frontend"; empty: not known */
    unsigned uid;  /* whose socket it is, which everybody may see */
};

/* 1, or 0: nobody listens there, as far as can be seen. */
MUST_CHECK int port_holder_find(uint16_t port, struct port_holder *holder);

#endif
