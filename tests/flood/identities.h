/* SPDX-License-Identifier: Apache-2.0 */
/* Agents' RSA identities by the million. A key of its own for each would take 0.2 s; so they are
 * made of a pool of 1024-bit primes, of which every pair is another modulus: a million identities
 * need 1,415 primes. Moduli therefore share primes, which is fine for a load test and makes every
 * one of these keys worthless for anything else; reports say so.
 *
 * Made once, then only read: any thread. */
#ifndef PORTICO_FLOOD_IDENTITIES_H
#define PORTICO_FLOOD_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "wire/name.h"
#include "wire/rsa.h"

struct identities;

enum { IDENTITIES_MAX = 10 * 1000 * 1000, IDENTITY_PRIME_BYTES = 128 };

/* Make the primes for `count` identities on `threads` threads; 28 ms each. 0, -EINVAL (count),
 * -ENOMEM, -EIO. To be freed by the caller. */
MUST_CHECK int identities_make(size_t count, unsigned threads, struct identities **identities,
                               struct error *error);

/* Write them to a new file, 0600; it is there whole or not at all. 0, -EEXIST, or another negative
 * errno. */
MUST_CHECK int identities_save(const struct identities *identities, const char *path,
                               struct error *error);

/* Map a file that identities_save() wrote. 0, -EBADMSG: it is none, or not as it was written; or
 * another negative errno. */
MUST_CHECK int identities_open(const char *path, struct identities **identities,
                               struct error *error);

void identities_free(struct identities *identities);

size_t identities_count(const struct identities *identities);
size_t identities_primes(const struct identities *identities);

/* How many primes `count` identities need. */
size_t identities_primes_for(size_t count);

/* Number `index`'s key, the caller's to free; as rsa_private_from_primes(). */
MUST_CHECK int identities_key(const struct identities *identities, size_t index,
                              struct rsa_key **key);

/* Its client id, without making the key. 0, -ENOMEM or -EIO. */
MUST_CHECK int identities_client_id(const struct identities *identities, size_t index,
                                    struct client_id *id);

#endif
