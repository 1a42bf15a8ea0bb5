/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the store is well, asked regularly by a thread of its own: asking may take as long as the
 * store's troubles last, and whoever wants to know must not wait for that. Tells the log when it
 * fails, with what is to be done, and when it is back. */
#ifndef PORTICO_FRONTEND_HEALTH_H
#define PORTICO_FRONTEND_HEALTH_H

#include <stdbool.h>

#include "base/compiler.h"

struct error;
struct health;
struct store;

/* Start asking `store` (borrowed), which counts as well until then. 0, or a negative errno. */
MUST_CHECK int health_start(struct store *store, struct health **health, struct error *error);
/* Waits for an answer that the store owes. NULL is fine. */
void health_stop(struct health *health);

/* Somebody else was told by the store that it failed, with this negative errno: so it is not well
 * until it says otherwise. Any thread; never waits. */
void health_note(struct health *health, int code);

/* What the store said last, at most half a second ago; false as well when it has owed an answer for
 * a second. Any thread; never waits. */
bool health_is_well(const struct health *health);

#endif
