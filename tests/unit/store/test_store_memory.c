/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "contract.h"
#include "store/store_memory.h"

static void run(void (*claim)(struct contract *))
{
    struct contract contract = {.store = NULL};
    clock_fake_init(&contract.clock, 1000, 1700000000 * USEC_PER_SEC);
    arena_init(&contract.arena, 65536, 64 << 20);
    cr_assert_eq(store_memory_open(&contract.clock.clock, 256 << 20, &contract.store), 0);
    claim(&contract);
    store_free(contract.store);
    arena_done(&contract.arena);
}

#define CLAIM_TEST(NAME)      \
    Test(store_memory, NAME)  \
    {                         \
        run(contract_##NAME); \
    }
CONTRACT_CLAIMS(CLAIM_TEST)

static void overfill(struct contract *contract)
{
    static char large[100000];
    enrol(contract, 1);
    int r = 0;
    uint64_t stored = 0;
    for (uint64_t i = 1; i < 100 && r == 0; i++) {
        struct store_message messages[] = {test_message(i, 0), test_message(i, 1)};
        messages[1].raw = messages[1].args = str_make(large, sizeof large);
        r = store_messages(contract, 1, messages, 2);
        stored += r == 0;
    }
    cr_assert_eq(r, -ENOMEM);
    cr_assert_eq(count_messages(contract, 1), 2 * stored);
}

Test(store_memory, a_full_one_stores_nothing_of_a_bundle)
{
    struct contract contract = {.store = NULL};
    clock_fake_init(&contract.clock, 1000, 1000);
    arena_init(&contract.arena, 65536, 64 << 20);
    cr_assert_eq(store_memory_open(&contract.clock.clock, 2 << 20, &contract.store), 0);
    overfill(&contract);
    store_free(contract.store);
    arena_done(&contract.arena);
}

Test(store_memory, has_no_backup)
{
    struct contract contract = {.store = NULL};
    clock_fake_init(&contract.clock, 1000, 1000);
    cr_assert_eq(store_memory_open(&contract.clock.clock, 2 << 20, &contract.store), 0);
    cr_assert_eq(store_backup(contract.store, "/nonexistent/x", NULL, NULL), -ENOTSUP);
    store_free(contract.store);
}
