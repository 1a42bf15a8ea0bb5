/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing, at most half full; removal closes the gap, so there are no tombstones. */
#include "store/agent_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    uint64_t agent;
    uint64_t number;
    bool used;
};

struct agent_set {
    struct slot *slots;
    size_t size; /* a power of two, 0 before the first put */
    size_t count;
    size_t max;
};

enum { FIRST_SIZE = 64 };

/* Agent ids are hashes of keys, but an agent chooses its key: mix, so that nobody lines them up by
 * their low bits alone. */
static size_t place(const struct agent_set *set, uint64_t agent)
{
    uint64_t mixed = (agent ^ agent >> 32) * 0x9e3779b97f4a7c15ULL;
    return (size_t)(mixed >> 20) & (set->size - 1);
}

static uint64_t number_of(struct store_agent_id agent)
{
    uint64_t number;
    memcpy(&number, agent.bytes, sizeof number);
    return number;
}

struct agent_set *agent_set_new(size_t max)
{
    struct agent_set *set = calloc(1, sizeof *set);
    if (set != NULL) {
        set->max = max;
    }
    return set;
}

void agent_set_free(struct agent_set *set)
{
    if (set != NULL) {
        free(set->slots);
        free(set);
    }
}

/* The agent's slot, or the free one where it would go. There always is a free one. */
static struct slot *probe(const struct agent_set *set, uint64_t agent)
{
    size_t at = place(set, agent);
    while (set->slots[at].used && set->slots[at].agent != agent) {
        at = (at + 1) & (set->size - 1);
    }
    return &set->slots[at];
}

uint64_t *agent_set_find(struct agent_set *set, struct store_agent_id agent)
{
    if (set->count == 0) {
        return NULL;
    }
    struct slot *slot = probe(set, number_of(agent));
    return slot->used ? &slot->number : NULL;
}

static int grow(struct agent_set *set)
{
    struct agent_set larger = *set;
    larger.size = set->size == 0 ? FIRST_SIZE : set->size * 2;
    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (larger.slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < set->size; i++) {
        if (set->slots[i].used) {
            *probe(&larger, set->slots[i].agent) = set->slots[i];
        }
    }
    free(set->slots);
    *set = larger;
    return 0;
}

int agent_set_put(struct agent_set *set, struct store_agent_id agent, uint64_t number)
{
    uint64_t *known = agent_set_find(set, agent);
    if (known != NULL) {
        *known = number;
        return 0;
    }
    if (set->count == set->max) {
        return -ENOSPC;
    }
    if (set->count * 2 >= set->size) {
        int r = grow(set);
        if (r < 0) {
            return r;
        }
    }
    *probe(set, number_of(agent)) = (struct slot){number_of(agent), number, true};
    set->count++;
    return 0;
}

void agent_set_remove(struct agent_set *set, struct store_agent_id agent)
{
    struct slot *slot = set->count == 0 ? NULL : probe(set, number_of(agent));
    if (slot == NULL || !slot->used) {
        return;
    }
    set->count--;
    slot->used = false;
    /* Whoever stands behind the gap may have been pushed past it: put each back in its place. */
    size_t at = (size_t)(slot - set->slots);
    for (at = (at + 1) & (set->size - 1); set->slots[at].used; at = (at + 1) & (set->size - 1)) {
        struct slot moved = set->slots[at];
        set->slots[at].used = false;
        *probe(set, moved.agent) = moved;
    }
}

void agent_set_clear(struct agent_set *set)
{
    if (set->slots != NULL) {
        memset(set->slots, 0, set->size * sizeof *set->slots);
    }
    set->count = 0;
}

size_t agent_set_count(const struct agent_set *set)
{
    return set->count;
}
