/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for many objects of one size, packed: nothing between them, and nothing else among them,
 * so that what lives long does not keep the heap from shrinking. One thread at a time. */
#ifndef PORTICO_BASE_SLAB_H
#define PORTICO_BASE_SLAB_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/list.h"

enum { SLAB_BYTES = 64 * 1024 }; /* taken from the system, and given back, at a time */

/* The pool's own, at the front of its memory. */
struct slab {
    struct list_link link; /* in `open`, while there is room */
    void *vacant;          /* the object that was freed last; it holds the one before */
    size_t used;           /* objects that are out */
    size_t fresh;          /* offset of the first object that never was */
};

/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an initialised list is a ring */
LIST_DECLARE(slab_list, struct slab, link);

/* Embedded; must not move. */
struct slab_pool {
    size_t object_bytes;
    struct slab_list open; /* slabs with room; full ones are known by their objects alone */
    size_t objects;        /* that are out */
    size_t slabs;
};

/* Memory for objects of `object_bytes`, at most a sixteenth of SLAB_BYTES, aligned to 16. */
void slab_pool_init(struct slab_pool *pool, size_t object_bytes);

/* All objects were freed. */
void slab_pool_done(struct slab_pool *pool);

/* Zeroed. NULL: no memory. */
MUST_CHECK void *slab_calloc(struct slab_pool *pool);
/* NULL is fine. */
void slab_free(struct slab_pool *pool, void *object);

#endif
