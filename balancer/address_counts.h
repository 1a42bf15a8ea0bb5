/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections each client address has, over all workers, without a lock and in constant
 * memory: two rows of counters, and an address counts in one of each. The smaller of both is never
 * too small, so the limit holds; it is too large only when an address shares both its counters with
 * others. Which ones it shares depends on a secret, so nobody can choose to block somebody else.
 * Any thread. */
#ifndef PORTICO_BALANCER_ADDRESS_COUNTS_H
#define PORTICO_BALANCER_ADDRESS_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/address.h"

struct address_counts;

/* Which counters a connection was counted in; zeroed: none. */
struct counted_address {
    uint32_t first, second;
};

/* NULL: no memory, or no random numbers. */
struct address_counts *address_counts_new(void);
void address_counts_free(struct address_counts *counts);

/* Count one more connection, unless the address has `limit` already. */
MUST_CHECK bool address_counts_enter(struct address_counts *counts, const struct ip *ip,
                                     unsigned limit, struct counted_address *counted);
void address_counts_leave(struct address_counts *counts, struct counted_address counted);

#endif
