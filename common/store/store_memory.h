/* SPDX-License-Identifier: Apache-2.0 */
/* An engine that keeps everything in memory: for tests, and as the shortest statement of what an
 * engine does. Nothing is ever freed before the store is; lists are searched from the front. */
#ifndef PORTICO_STORE_STORE_MEMORY_H
#define PORTICO_STORE_STORE_MEMORY_H

#include "store/store.h"

/* A fresh, empty store of at most `max_bytes`. `clock` is borrowed. 0 or -ENOMEM. */
MUST_CHECK int store_memory_open(const struct clock *clock, size_t max_bytes, struct store **store);

#endif
