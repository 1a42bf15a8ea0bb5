/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "contract.h"
#include "store/agent_set.h"
#include "support/support.h"

Test(agent_set, behaves_as_an_array)
{
    enum { AGENTS = 300 };
    uint64_t model[AGENTS] = {0}; /* 0: not there */
    uint64_t random = 9;
    size_t count = 0;
    struct agent_set *set = agent_set_new(1000);
    for (int step = 0; step < 50000; step++) {
        /* ids that differ in few places only */
        uint64_t which = next_random(&random) % AGENTS;
        struct store_agent_id agent = test_agent(which << (which % 7 * 8));
        if (which % 7 != 0 && which > 255) {
            agent = test_agent(which);
        }
        agent.bytes[0] = (uint8_t)(which >> 8);
        agent.bytes[1] = (uint8_t)which;
        uint64_t *found = agent_set_find(set, agent);
        cr_assert_eq(found != NULL, model[which] != 0);
        if (found != NULL) {
            cr_assert_eq(*found, model[which]);
        }
        if (next_random(&random) % 2 == 0) {
            count += model[which] == 0;
            model[which] = next_random(&random) | 1;
            cr_assert_eq(agent_set_put(set, agent, model[which]), 0);
        } else {
            count -= model[which] != 0;
            model[which] = 0;
            agent_set_remove(set, agent);
        }
        cr_assert_eq(agent_set_count(set), count);
    }
    agent_set_free(set);
}

Test(agent_set, is_bounded)
{
    struct agent_set *set = agent_set_new(2);
    cr_assert_eq(agent_set_put(set, test_agent(1), 1), 0);
    cr_assert_eq(agent_set_put(set, test_agent(2), 2), 0);
    cr_assert_eq(agent_set_put(set, test_agent(3), 3), -ENOSPC);
    cr_assert_eq(agent_set_put(set, test_agent(2), 4), 0);
    agent_set_clear(set);
    cr_assert_null(agent_set_find(set, test_agent(1)));
    cr_assert_eq(agent_set_put(set, test_agent(3), 3), 0);
    agent_set_free(set);
    agent_set_free(NULL);
}
