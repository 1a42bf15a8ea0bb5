/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "support/support.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef UNDER_ASAN
#include <sanitizer/asan_interface.h>
#endif

Test(arena, gives_memory_aligned_for_any_type)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    for (size_t size = 0; size < 100; size++) {
        void *memory = arena_alloc(&arena, size);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % _Alignof(max_align_t), 0);
        memset(memory, 0xff, size);
    }
    arena_done(&arena);
}

Test(arena, allocates_nothing_before_the_first_use)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    cr_assert_null(arena.newest);
    cr_assert_eq(arena.reserved, 0);
    arena_reset(&arena);
    arena_done(&arena);
    cr_assert_null(arena.newest);
}

Test(arena, never_holds_more_than_its_maximum)
{
    enum { MAX = 10000 };
    struct arena arena;
    size_t given = 0;
    arena_init(&arena, 1000, MAX);
    while (arena_alloc(&arena, 100) != NULL) {
        given += 100;
        cr_assert_leq(arena.reserved, MAX);
    }
    cr_assert_gt(given, MAX / 2);
    cr_assert_null(arena_alloc(&arena, 2 * MAX));
    arena_done(&arena);
    cr_assert_eq(arena.reserved, 0);
    cr_assert_not_null(arena_alloc(&arena, 100), "usable again after arena_done()");
    arena_done(&arena);
}

Test(arena, too_small_a_maximum_gives_nothing)
{
    struct arena arena;
    for (size_t max = 0; max < 16; max++) {
        arena_init(&arena, 1024, max);
        cr_assert_null(arena_alloc(&arena, 1));
        cr_assert_null(arena_strdup(&arena, STR("hello")));
        cr_assert_null(arena_printf(&arena, "%d", 12345));
        cr_assert_eq(arena.reserved, 0);
    }
}

Test(arena, sizes_that_would_overflow_are_refused)
{
    struct arena arena;
    arena_init(&arena, 1024, SIZE_MAX);
    for (size_t below = 0; below < 64; below++) {
        cr_assert_null(arena_alloc(&arena, SIZE_MAX - below));
    }
    cr_assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    cr_assert_null(arena_calloc(&arena, 3, SIZE_MAX / 2));
    arena_done(&arena);
}

Test(arena, calloc_zeroes_what_was_used_before)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    for (int round = 0; round < 3; round++) {
        unsigned char *bytes = arena_calloc(&arena, 10, 20);
        for (int i = 0; i < 200; i++) {
            cr_assert_eq(bytes[i], 0);
        }
        memset(bytes, 0xaa, 200);
        arena_reset(&arena);
    }
    arena_done(&arena);
}

Test(arena, copies_and_prints_text)
{
    struct arena arena;
    arena_init(&arena, 64, 65536);
    cr_assert_str_eq(arena_strdup(&arena, STR("hello")), "hello");
    cr_assert_str_eq(arena_strdup(&arena, (struct str){NULL, 0}), "");
    cr_assert_arr_eq(arena_strdup(&arena, STR("a\0b")), "a\0b", 4);
    cr_assert_str_eq(arena_printf(&arena, "%s:%d", "port", 8080), "port:8080");
    char *long_text = arena_printf(&arena, "%500d", 7);
    cr_assert_eq(strlen(long_text), 500);
    arena_done(&arena);
}

Test(arena, reset_keeps_one_block_for_a_steady_user)
{
    struct arena arena;
    arena_init(&arena, 4096, 65536);
    for (int round = 0; round < 100; round++) {
        cr_assert_not_null(arena_alloc(&arena, 1000));
        cr_assert_not_null(arena_alloc(&arena, 1000));
        struct arena_block *block = arena.newest;
        size_t reserved = arena.reserved;
        arena_reset(&arena);
        cr_assert_eq(arena.newest, block);
        cr_assert_eq(arena.reserved, reserved);
    }
    arena_done(&arena);
}

Test(arena, reset_gives_outsize_blocks_back)
{
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    cr_assert_not_null(arena_alloc(&arena, 10));
    cr_assert_not_null(arena_alloc(&arena, 100000));
    arena_reset(&arena);
    cr_assert_lt(arena.reserved, 2048);
    cr_assert_gt(arena.reserved, 1024);
    arena_done(&arena);
}

Test(arena, reset_keeps_a_full_block_rather_than_the_last_small_one)
{
    struct arena arena;
    arena_init(&arena, 1024, 1500);
    cr_assert_not_null(arena_alloc(&arena, 900));
    cr_assert_not_null(arena_alloc(&arena, 300));
    cr_assert_null(arena_alloc(&arena, 300));
    arena_reset(&arena);
    cr_assert_gt(arena.reserved, 1024);
    arena_done(&arena);
}

Test(arena, allocations_never_overlap)
{
    enum { COUNT = 300 };
    uint64_t random = 42;
    struct arena arena;
    arena_init(&arena, 2048, 1 << 20);
    for (int round = 0; round < 20; round++) {
        unsigned char *memory[COUNT];
        size_t size[COUNT];
        for (int i = 0; i < COUNT; i++) {
            size[i] = next_random(&random) % (next_random(&random) % 16 == 0 ? 3000 : 60);
            memory[i] = arena_alloc(&arena, size[i]);
            cr_assert_not_null(memory[i]);
            memset(memory[i], i & 0xff, size[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            for (size_t j = 0; j < size[i]; j++) {
                cr_assert_eq(memory[i][j], i & 0xff);
            }
        }
        arena_reset(&arena);
    }
    arena_done(&arena);
}

#ifdef UNDER_ASAN
Test(arena, memory_from_before_a_reset_is_poisoned)
{
    struct arena arena;
    arena_init(&arena, 1024, 65536);
    char *early = arena_alloc(&arena, 40);
    cr_assert_null(__asan_region_is_poisoned(early, 40));
    cr_assert_not_null(__asan_region_is_poisoned(early, 41), "a step past the end is found");
    arena_reset(&arena);
    cr_assert_eq(__asan_region_is_poisoned(early, 40), (void *)early);
    char *late = arena_alloc(&arena, 8);
    cr_assert_eq(late, early);
    cr_assert_null(__asan_region_is_poisoned(late, 8));
    cr_assert_not_null(__asan_region_is_poisoned(early, 40));
    arena_done(&arena);
}

/* In a process of its own with its standard error closed: the report would look like a failed test
 * to whoever scans the output for such. */
Test(arena, reading_memory_from_before_a_reset_ends_the_program)
{
    enum { SURVIVED = 42 };
    struct arena arena;
    int status;
    arena_init(&arena, 1024, 65536);
    volatile char *early = arena_alloc(&arena, 40);
    early[0] = 'x';
    arena_reset(&arena);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        _exit(early[0] == 'x' ? SURVIVED : SURVIVED + 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) < SURVIVED, "status %x", (unsigned)status);
    arena_done(&arena);
}
#endif
