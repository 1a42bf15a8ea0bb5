/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded arenas: a chain of blocks, newest first, each filled from its front. The owner's thread.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(data, size) ASAN_POISON_MEMORY_REGION(data, size)
#define UNPOISON(data, size) ASAN_UNPOISON_MEMORY_REGION(data, size)
/* Poisoned bytes between neighbours catch a step past an allocation's end. */
enum { ARENA_RED_ZONE = 16 };
#else
#define POISON(data, size) ((void)(data), (void)(size))
#define UNPOISON(data, size) ((void)(data), (void)(size))
enum { ARENA_RED_ZONE = 0 };
#endif

enum { ARENA_ALIGNMENT = _Alignof(max_align_t) };

struct arena_block {
    struct arena_block *older;
    size_t size; /* of `data` */
    size_t used;
    _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t block_size, size_t max)
{
    *arena = (struct arena){.block_size = block_size, .max = max};
}

static void free_block(struct arena *arena, struct arena_block *block)
{
    UNPOISON(block->data, block->size);
    arena->reserved -= sizeof *block + block->size;
    free(block);
}

void arena_done(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_block *block = arena->newest;
        arena->newest = block->older;
        free_block(arena, block);
    }
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    while (arena->newest != NULL) {
        struct arena_block *block = arena->newest;
        arena->newest = block->older;
        /* An outsize block served one large request; keeping it would keep its memory for good. The
         * last block before the maximum may be a small rest; of the others the largest serves best.
         */
        bool is_better =
            block->size <= arena->block_size && (kept == NULL || block->size > kept->size);
        struct arena_block *dropped = is_better ? kept : block;
        kept = is_better ? block : kept;
        if (dropped != NULL) {
            free_block(arena, dropped);
        }
    }
    if (kept != NULL) {
        kept->older = NULL;
        kept->used = 0;
        POISON(kept->data, kept->size);
    }
    arena->newest = kept;
}

static struct arena_block *add_block(struct arena *arena, size_t wanted)
{
    size_t room = arena->max - arena->reserved;
    size_t size = wanted > arena->block_size ? wanted : arena->block_size;
    if (room <= sizeof(struct arena_block)) {
        return NULL;
    }
    room -= sizeof(struct arena_block);
    size = size > room ? room : size;
    if (size < wanted) {
        return NULL;
    }
    struct arena_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->older = arena->newest;
    block->size = size;
    block->used = 0;
    POISON(block->data, block->size);
    arena->newest = block;
    arena->reserved += sizeof *block + size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->newest;
    if (size > arena->max ||
        size > PTRDIFF_MAX - sizeof *block - ARENA_RED_ZONE - ARENA_ALIGNMENT) {
        return NULL;
    }
    size_t wanted = size + ARENA_RED_ZONE;
    wanted += (ARENA_ALIGNMENT - wanted % ARENA_ALIGNMENT) % ARENA_ALIGNMENT;
    if (block == NULL || block->size - block->used < wanted) {
        block = add_block(arena, wanted);
        if (block == NULL) {
            return NULL;
        }
    }
    void *memory = block->data + block->used;
    block->used += wanted;
    UNPOISON(memory, size);
    return memory;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    void *memory = arena_alloc(arena, total);
    return memory == NULL ? NULL : memset(memory, 0, total);
}

char *arena_strdup(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = needed < 0 ? NULL : arena_alloc(arena, (size_t)needed + 1);
    if (text != NULL) {
        va_start(arguments, format);
        vsnprintf(text, (size_t)needed + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}
