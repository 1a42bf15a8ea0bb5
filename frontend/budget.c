/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory's account. */
#include "budget.h"

bool budget_take(struct budget *budget, struct budget_share *share, uint64_t bytes)
{
    if (bytes <= share->bytes) {
        return true;
    }
    uint64_t more = bytes - share->bytes;
    uint64_t used = atomic_load(&budget->used);
    /* Compared and exchanged, never added and taken back: who is refused must not for a moment look
     * like one who holds something, or others are refused for it. */
    do {
        bool is_alone = used == share->bytes;
        if (used + more > budget->max && !is_alone) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&budget->used, &used, used + more));
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
