/* SPDX-License-Identifier: Apache-2.0 */
/* A count-min sketch that also counts down. */
#include "address_counts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A hundred thousand addresses share both counters with another one about once in a thousand. */
enum { ROW_BITS = 16, ROW_SIZE = 1 << ROW_BITS };

struct address_counts {
    uint64_t secrets[4];
    atomic_uint rows[2][ROW_SIZE];
};

struct address_counts *address_counts_new(void)
{
    struct address_counts *counts = calloc(1, sizeof *counts);
    if (counts != NULL &&
        getrandom(counts->secrets, sizeof counts->secrets, 0) != (ssize_t)sizeof counts->secrets) {
        free(counts);
        counts = NULL;
    }
    return counts;
}

void address_counts_free(struct address_counts *counts)
{
    free(counts);
}

/* Both halves of a 128-bit product, folded: each bit depends on the secrets and on all of the
 * address. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static struct counted_address place(const struct address_counts *counts, const struct ip *ip)
{
    uint64_t high, low;
    memcpy(&high, ip->bytes, sizeof high);
    memcpy(&low, ip->bytes + sizeof high, sizeof low);
    uint64_t hash = mix(high ^ counts->secrets[0], low ^ counts->secrets[1]);
    hash = mix(hash ^ counts->secrets[2], low ^ counts->secrets[3]);
    /* One added: zero stands for "not counted". */
    return (struct counted_address){.first = (uint32_t)(hash & (ROW_SIZE - 1)) + 1,
                                    .second = (uint32_t)(hash >> 32 & (ROW_SIZE - 1)) + 1};
}

bool address_counts_enter(struct address_counts *counts, const struct ip *ip, unsigned limit,
                          struct counted_address *counted)
{
    struct counted_address at = place(counts, ip);
    unsigned first = atomic_fetch_add(&counts->rows[0][at.first - 1], 1);
    unsigned second = atomic_fetch_add(&counts->rows[1][at.second - 1], 1);
    if ((first < second ? first : second) >= limit) {
        address_counts_leave(counts, at);
        return false;
    }
    *counted = at;
    return true;
}

void address_counts_leave(struct address_counts *counts, struct counted_address counted)
{
    if (counted.first != 0) {
        atomic_fetch_sub(&counts->rows[0][counted.first - 1], 1);
        atomic_fetch_sub(&counts->rows[1][counted.second - 1], 1);
    }
}
