/* SPDX-License-Identifier: Apache-2.0 */
/* How a step of input or output ended; the same four words for TCP and TLS. */
#ifndef PORTICO_NET_IO_H
#define PORTICO_NET_IO_H

enum io {
    IO_OK,    /* it moved at least one byte, or finished what was asked */
    IO_AGAIN, /* nothing moved; wait until the descriptor is ready and repeat the call */
    IO_EOF,   /* the peer ended its stream in good order; only readers see this */
    IO_FAIL,  /* the connection is lost; errno says why. Only closing it makes sense now */
};

#endif
