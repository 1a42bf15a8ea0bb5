/* SPDX-License-Identifier: Apache-2.0 */
/* Agents with a number each, in one bounded open hash table. Not locked: the owner sees to that. */
#ifndef PORTICO_STORE_AGENT_SET_H
#define PORTICO_STORE_AGENT_SET_H

#include "store/store.h"

struct agent_set;

/* Grows as needed to at most `max` agents. NULL when there is no memory. */
struct agent_set *agent_set_new(size_t max);
void agent_set_free(struct agent_set *set);

/* Where the agent's number is kept, NULL when it is not there. Dies with the next change. */
uint64_t *agent_set_find(struct agent_set *set, struct store_agent_id agent);

/* The number is set whether the agent was there or not. 0, -ENOSPC (full) or -ENOMEM. */
MUST_CHECK int agent_set_put(struct agent_set *set, struct store_agent_id agent, uint64_t number);

void agent_set_remove(struct agent_set *set, struct store_agent_id agent);
void agent_set_clear(struct agent_set *set);
size_t agent_set_count(const struct agent_set *set);

#endif
