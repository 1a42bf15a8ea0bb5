/* SPDX-License-Identifier: Apache-2.0 */
/* Many agents' keys in little time: every pair out of a few primes makes another one. Fit for load,
 * unfit for anything secret. Failures abort. One thread. */
#ifndef PORTICO_TESTS_IDENTITIES_H
#define PORTICO_TESTS_IDENTITIES_H

#include <stddef.h>

struct identities;
struct rsa_key;

/* Primes for `count` keys of `bits`. Free with identities_free(). */
struct identities *identities_new(unsigned bits, size_t count);
void identities_free(struct identities *identities);

/* Key number `i`, always the same; the caller frees it. */
struct rsa_key *identities_key(const struct identities *identities, size_t i);

#endif
