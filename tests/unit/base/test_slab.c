/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "support/support.h"

enum { OBJECT = 224, MANY = 5000 };

static bool is_zero(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

Test(slab, gives_zeroed_objects_that_do_not_overlap)
{
    static unsigned char *objects[MANY];
    struct slab_pool pool;
    slab_pool_init(&pool, OBJECT);
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = slab_calloc(&pool);
        cr_assert_not_null(objects[i]);
        cr_assert_eq((uintptr_t)objects[i] % 16, 0);
        cr_assert(is_zero(objects[i], OBJECT));
        memset(objects[i], (int)(i % 255 + 1), OBJECT);
    }
    for (size_t i = 0; i < MANY; i++) {
        for (size_t k = 0; k < OBJECT; k++) {
            cr_assert_eq(objects[i][k], i % 255 + 1);
        }
        slab_free(&pool, objects[i]);
    }
    slab_pool_done(&pool);
}

Test(slab, packs_objects)
{
    static void *objects[MANY];
    struct slab_pool pool;
    slab_pool_init(&pool, OBJECT);
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = slab_calloc(&pool);
    }
    cr_assert_leq(pool.slabs, MANY / (SLAB_BYTES / (OBJECT + 4)) + 1);
    for (size_t i = 0; i < MANY; i++) {
        slab_free(&pool, objects[i]);
    }
    slab_pool_done(&pool);
}

Test(slab, gives_memory_back_but_for_one_slab)
{
    static void *objects[MANY];
    struct slab_pool pool;
    slab_pool_init(&pool, OBJECT);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            objects[i] = slab_calloc(&pool);
        }
        cr_assert_gt(pool.slabs, 10);
        for (size_t i = 0; i < MANY; i++) {
            slab_free(&pool, objects[(i * 7919) % MANY]);
        }
        cr_assert_eq(pool.slabs, 1);
    }
    slab_pool_done(&pool);
}

Test(slab, uses_freed_objects_again_and_zeroes_them)
{
    struct slab_pool pool;
    slab_pool_init(&pool, OBJECT);
    unsigned char *first = slab_calloc(&pool);
    memset(first, 7, OBJECT);
    slab_free(&pool, first);
    unsigned char *second = slab_calloc(&pool);
    cr_assert_eq(second, first);
    cr_assert(is_zero(second, OBJECT));
    slab_free(&pool, second);
    slab_free(&pool, NULL);
    slab_pool_done(&pool);
}

Test(slab, survives_any_order)
{
    static void *objects[MANY];
    struct slab_pool pool;
    uint64_t seed = 7;
    size_t out = 0;
    slab_pool_init(&pool, 40);
    for (int i = 0; i < 200000; i++) {
        size_t at = next_random(&seed) % MANY;
        if (objects[at] == NULL) {
            objects[at] = slab_calloc(&pool);
            out++;
        } else {
            slab_free(&pool, objects[at]);
            objects[at] = NULL;
            out--;
        }
        cr_assert_eq(pool.objects, out);
    }
    for (size_t i = 0; i < MANY; i++) {
        slab_free(&pool, objects[i]);
    }
    slab_pool_done(&pool);
}
