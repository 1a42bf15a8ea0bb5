/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the places of members up to date: looks the names among Balancer.hosts up again and again,
 * on a thread of its own, since that blocks. The control thread's; answers come on its loop. */
#ifndef PORTICO_BALANCER_RESOLVER_H
#define PORTICO_BALANCER_RESOLVER_H

#include "base/compiler.h"
#include "base/error.h"
#include "hosts.h"

struct loop;
struct resolver;

/* Fill in addresses and code of `lookup`, whose name is given and whose rest is zeroed. May block.
 * On the resolver's thread. */
typedef void resolver_lookup(struct lookup *lookup);

/* The places are others than those of the last answer. Borrowed during the call, which must not
 * call the resolver. */
typedef void resolver_function(void *context, const struct places *places);

/* Without hosts. `loop` and `context` are borrowed. `lookup` NULL: the system's name service. NULL
 * with words: no memory, no thread. */
struct resolver *resolver_new(struct loop *loop, resolver_lookup *lookup, resolver_function *answer,
                              void *context, struct error *error);

/* Never waits for a look-up that is under way; its thread then ends later. The loop must turn once
 * more before it is freed (an answer may be on its way). NULL is fine. */
void resolver_free(struct resolver *resolver);

/* Begin to look after `hosts`, which is taken (and emptied). Answers at once with what needs no
 * look-up and names that were known before, and again when the rest is known and whenever it
 * changes. A name that cannot be resolved keeps the last addresses that it had. 0, or -ENOMEM:
 * nothing changed. */
MUST_CHECK int resolver_set(struct resolver *resolver, struct host_list *hosts);

#endif
