/* SPDX-License-Identifier: Apache-2.0 */
/* The balancer's TLS, from Balancer.tls_*. The control thread. */
#ifndef PORTICO_BALANCER_CERTIFICATES_H
#define PORTICO_BALANCER_CERTIFICATES_H

#include "base/compiler.h"
#include "base/error.h"
#include "config/config.h"
#include "net/tls_context.h"

/* One reference; NULL when there is no TLS port. `tickets` is used when tickets are wanted. 0, or a
 * negative errno with words; *context is untouched then. */
MUST_CHECK int certificates_load(const struct config *config, struct tls_tickets *tickets,
                                 struct tls_context **context, struct error *error);

#endif
