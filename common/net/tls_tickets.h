/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that seal session tickets. They change by themselves, so that a stolen key opens only
 * what was recorded around its time, and they outlive a context, so that a reload of certificates
 * keeps agents' sessions. Shared and counted; any thread. */
#ifndef PORTICO_NET_TLS_TICKETS_H
#define PORTICO_NET_TLS_TICKETS_H

#include "base/clock.h"
#include "base/compiler.h"

struct ssl_ctx_st;
struct tls_tickets;

/* A key seals for this long, and opens for as long again: 12 hours and it is gone. */
#define TLS_TICKETS_PERIOD (6 * USEC_PER_HOUR)

/* `clock` is borrowed. NULL when there is no memory, or no random numbers. */
struct tls_tickets *tls_tickets_new(const struct clock *clock, usec_t period);

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets);

/* For tls_context.c: have `ssl` seal with these, which it borrows. 0 or -ENOMEM. */
MUST_CHECK int tls_tickets_attach(struct tls_tickets *tickets, struct ssl_ctx_st *ssl);

#endif
