/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "contract.h"
#include "store/store_sqlite.h"
#include "support/support.h"

static void run(void (*claim)(struct contract *))
{
    struct contract contract = {.store = NULL};
    char *directory = make_temporary_directory();
    clock_fake_init(&contract.clock, 1000, 1700000000 * USEC_PER_SEC);
    arena_init(&contract.arena, 65536, 64 << 20);
    int r = store_sqlite_open(directory, &contract.clock.clock, &contract.store, &contract.error);
    cr_assert_eq(r, 0, "%s", contract.error.message);
    claim(&contract);
    store_free(contract.store);
    arena_done(&contract.arena);
    remove_temporary_directory(directory);
}

#define CLAIM_TEST(NAME)      \
    Test(store_sqlite, NAME)  \
    {                         \
        run(contract_##NAME); \
    }
CONTRACT_CLAIMS(CLAIM_TEST)
