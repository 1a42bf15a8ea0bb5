/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's listeners: each worker has its own sockets on the same ports (SO_REUSEPORT), so the
 * kernel spreads connections and no lock is shared. The worker's thread, but for listener_bind().
 */
#ifndef PORTICO_BALANCER_LISTENER_H
#define PORTICO_BALANCER_LISTENER_H

#include "base/compiler.h"
#include "base/error.h"
#include "net/address.h"
#include "worker_internal.h"

/* A listening socket for one worker; when `address` has port 0 it is given the one that was taken,
 * for the other workers. The descriptor, or a negative errno with words. Any thread. */
MUST_CHECK int listener_bind(struct address *address, struct error *error);

/* Accept on `fd` (taken) from now on. 0 or a negative errno. */
MUST_CHECK int listener_open(struct listener *listener, struct worker *worker, int fd, bool is_tls);

/* Accept what waits, unless the socket goes on without us; then no more. Fine when it is closed. */
void listener_close(struct listener *listener);

#endif
