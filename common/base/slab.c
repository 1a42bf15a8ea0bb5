/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs are aligned to their size, so an object's address tells its slab. */
#include "base/slab.h"

#include <stdint.h>
#include <string.h>

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include "base/check.h"

enum { ALIGNMENT = 16 };

struct vacant {
    struct vacant *next;
};

static size_t first_object(void)
{
    return (sizeof(struct slab) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void slab_pool_init(struct slab_pool *pool, size_t object_bytes)
{
    CHECK(object_bytes > 0 && object_bytes <= SLAB_BYTES / 16);
    *pool =
        (struct slab_pool){.object_bytes = (object_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
    slab_list_init(&pool->open);
}

static void drop_slab(struct slab_pool *pool, struct slab *slab)
{
    slab_list_remove(&pool->open, slab);
    pool->slabs--;
    ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_BYTES);
    munmap(slab, SLAB_BYTES);
}

void slab_pool_done(struct slab_pool *pool)
{
    CHECK(pool->objects == 0);
    while (!slab_list_is_empty(&pool->open)) {
        drop_slab(pool, slab_list_first(&pool->open));
    }
}

/* aligned_alloc() would leave as much again unused between slabs. So map twice the size, and give
 * back what is not aligned. */
static struct slab *map_slab(void)
{
    char *mapped =
        mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)mapped & (SLAB_BYTES - 1);
    if (before > 0) {
        munmap(mapped, before);
    }
    munmap(mapped + before + SLAB_BYTES, SLAB_BYTES - before);
    return (struct slab *)(void *)(mapped + before);
}

static struct slab *open_slab(struct slab_pool *pool)
{
    struct slab *slab = slab_list_first(&pool->open);
    if (slab != NULL) {
        return slab;
    }
    slab = map_slab();
    if (slab != NULL) {
        *slab = (struct slab){.fresh = first_object()};
        slab_list_push_front(&pool->open, slab);
        pool->slabs++;
    }
    return slab;
}

static bool is_full(const struct slab_pool *pool, const struct slab *slab)
{
    return slab->vacant == NULL && slab->fresh + pool->object_bytes > SLAB_BYTES;
}

void *slab_calloc(struct slab_pool *pool)
{
    struct slab *slab = open_slab(pool);
    void *object;
    if (slab == NULL) {
        return NULL;
    }
    if (slab->vacant != NULL) {
        object = slab->vacant;
        slab->vacant = ((struct vacant *)object)->next;
    } else {
        object = (char *)slab + slab->fresh;
        slab->fresh += pool->object_bytes;
    }
    ASAN_UNPOISON_MEMORY_REGION(object, pool->object_bytes);
    slab->used++;
    pool->objects++;
    if (is_full(pool, slab)) {
        slab_list_remove(&pool->open, slab);
    }
    return memset(object, 0, pool->object_bytes);
}

/* One empty slab is kept, so that a single object that comes and goes costs nothing. */
void slab_free(struct slab_pool *pool, void *object)
{
    if (object == NULL) {
        return;
    }
    struct slab *slab = (struct slab *)((uintptr_t)object & ~(uintptr_t)(SLAB_BYTES - 1));
    struct vacant *vacant = object;
    bool was_full = is_full(pool, slab);
    CHECK(slab->used > 0);
    vacant->next = slab->vacant;
    slab->vacant = vacant;
    /* Whoever still uses it is found by AddressSanitizer, as with free(). */
    ASAN_POISON_MEMORY_REGION(vacant + 1, pool->object_bytes - sizeof *vacant);
    slab->used--;
    pool->objects--;
    if (was_full) {
        slab_list_push_back(&pool->open, slab);
    }
    if (slab->used == 0 && slab_list_count(&pool->open) > 1) {
        drop_slab(pool, slab);
    }
}
