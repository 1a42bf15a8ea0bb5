/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory's account. */
#include "budget.h"

bool budget_take(struct budget *budget, struct budget_share *share, uint64_t bytes)
{
    if (bytes <= share->bytes) {
        return true;
    }
    uint64_t more = bytes - share->bytes;
    uint64_t used = atomic_fetch_add(&budget->used, more);
    if (used + more > budget->max && used != share->bytes) {
        atomic_fetch_sub(&budget->used, more);
        return false;
    }
    share->bytes = bytes;
    return true;
}

void budget_give(struct budget *budget, struct budget_share *share)
{
    if (share->bytes > 0) {
        atomic_fetch_sub(&budget->used, share->bytes);
        share->bytes = 0;
    }
}
