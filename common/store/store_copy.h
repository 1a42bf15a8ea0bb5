/* SPDX-License-Identifier: Apache-2.0 */
/* Deep copies of what the store keeps, in an arena; for engines. Pure but for the arena. */
#ifndef PORTICO_STORE_STORE_COPY_H
#define PORTICO_STORE_STORE_COPY_H

#include "store/store.h"

/* `next` of the copy is NULL. NULL when the arena is full. Args within raw stay a view into it. */
MUST_CHECK struct store_agent *store_copy_agent(struct arena *arena, const struct store_agent *);
MUST_CHECK struct store_request *store_copy_request(struct arena *arena,
                                                    const struct store_request *);
MUST_CHECK struct store_response *store_copy_response(struct arena *arena,
                                                      const struct store_response *);
MUST_CHECK struct store_message *store_copy_message(struct arena *arena,
                                                    const struct store_message *);
MUST_CHECK struct store_work *store_copy_work(struct arena *arena, const struct store_work *);

/* Whether `part` lies within `whole`, and where. */
bool store_is_part(struct str part, struct str whole, size_t *offset);

#endif
