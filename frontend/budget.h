/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that many share, counted: each alone may have all of it, together they may not have more.
 * Any thread. */
#ifndef PORTICO_FRONTEND_BUDGET_H
#define PORTICO_FRONTEND_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct budget {
    uint64_t max;
    _Atomic uint64_t used;
};

/* What one of them holds; zeroed: nothing. */
struct budget_share {
    uint64_t bytes;
};

/* Let the share grow to `bytes`. True also when it is over the budget but there is no other: then
 * it would never fit. False leaves everything as it was. */
MUST_CHECK bool budget_take(struct budget *budget, struct budget_share *share, uint64_t bytes);
/* All of the share. */
void budget_give(struct budget *budget, struct budget_share *share);

#endif
