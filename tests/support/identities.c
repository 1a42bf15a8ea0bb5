/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from shared primes. */
#include "support/identities.h"

#include <openssl/bn.h>
#include <stdlib.h>

#include "base/check.h"
#include "wire/rsa.h"

struct identities {
    size_t prime_count;
    size_t prime_bytes;
    unsigned char primes[]; /* one behind the other, big-endian */
};

static void make_prime(unsigned bits, unsigned char *out)
{
    BIGNUM *prime = BN_new();
    CHECK(prime != NULL && BN_generate_prime_ex(prime, (int)bits, 0, NULL, NULL, NULL) == 1);
    CHECK(BN_bn2binpad(prime, out, (int)(bits / 8)) == (int)(bits / 8));
    BN_free(prime);
}

struct identities *identities_new(unsigned bits, size_t count)
{
    size_t primes = 2;
    while (primes * (primes - 1) / 2 < count) {
        primes++;
    }
    size_t size = bits / 2 / 8;
    struct identities *identities = malloc(sizeof *identities + primes * size);
    CHECK(identities != NULL);
    identities->prime_count = primes;
    identities->prime_bytes = size;
    for (size_t i = 0; i < primes; i++) {
        make_prime(bits / 2, identities->primes + i * size);
    }
    return identities;
}

void identities_free(struct identities *identities)
{
    free(identities);
}

static struct str prime(const struct identities *identities, size_t i)
{
    CHECK(i < identities->prime_count);
    return str_make((const char *)identities->primes + i * identities->prime_bytes,
                    identities->prime_bytes);
}

struct rsa_key *identities_key(const struct identities *identities, size_t i)
{
    struct rsa_key *key = NULL;
    size_t larger = 1; /* pairs (0,1), (0,2), (1,2), (0,3) ... */
    while (i >= larger) {
        i -= larger++;
    }
    CHECK(rsa_private_from_primes(prime(identities, larger), prime(identities, i), NULL, &key) ==
          0);
    return key;
}
