/* SPDX-License-Identifier: Apache-2.0 */
/* Where the balancer listens: opens its ports for all workers, or takes the sockets that systemd
 * opened for it (sd_listen_fds(3)). The control thread, before workers run. */
#ifndef PORTICO_BALANCER_LISTENERS_H
#define PORTICO_BALANCER_LISTENERS_H

#include "base/compiler.h"
#include "base/error.h"
#include "config/config.h"
#include "net/address.h"
#include "worker_internal.h"

/* Have all workers accept on the ports that `config` names; `plain` and `tls` become what they are,
 * and stay as they were (len 0) when there is none. To be called once: what systemd passed is gone
 * then. 0, or a negative errno with words. */
MUST_CHECK int listeners_open(const struct config *config, struct worker *const *workers,
                              unsigned worker_count, struct address *plain, struct address *tls,
                              struct error *error);

#endif
