/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that dies together: many small allocations, one release. Bounded from birth. Under
 * AddressSanitizer everything not handed out is poisoned, so a view that outlived a reset is found.
 * Embedded in its owner; one thread at a time. */
#ifndef PORTICO_BASE_ARENA_H
#define PORTICO_BASE_ARENA_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *newest; /* owned; NULL until something was allocated */
    size_t block_size;          /* what a fresh block holds at least */
    size_t reserved;            /* bytes held from the heap */
    size_t max;                 /* `reserved` never exceeds this */
};

/* An empty arena that takes memory in blocks of about `block_size` bytes, never more than `max` in
 * all. Allocates nothing. */
void arena_init(struct arena *arena, size_t block_size, size_t max);

/* Free everything; all that came from the arena dies. It may be used again. */
void arena_done(struct arena *arena);

/* As arena_done(), but keep one block for the next round, so that a steady user stops calling
 * malloc(). */
void arena_reset(struct arena *arena);

/* `size` uninitialised bytes, aligned for any type, owned by the arena. NULL when the maximum is
 * reached or the heap is exhausted. `size` 0 gives a valid pointer to nothing. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);

/* `count` zeroed elements; NULL also when count * size overflows. */
MUST_CHECK void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* NUL-terminated copy, or NULL as above. */
MUST_CHECK char *arena_strdup(struct arena *arena, struct str text);
MUST_CHECK PRINTF_LIKE(2, 3) char *arena_printf(struct arena *arena, const char *format, ...);

#endif
