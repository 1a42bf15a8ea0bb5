/* SPDX-License-Identifier: Apache-2.0 */
/* Claims about agents, and about what is known without asking. */
#include <criterion/criterion.h>
#include <errno.h>

#include "contract_parts.h"
#include "support/support.h"

/* ---- agents ---- */

CLAIM(an_unknown_agent_has_no_data)
{
    struct store_agent *agent = NULL;
    struct store_request_name name;
    cr_assert_eq(store_read_agent(contract->store, test_agent(1), &contract->arena, &agent, NULL),
                 -ENODATA);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), -ENODATA);
    cr_assert_eq(try_send(contract, 1, "F", 0, &name), -ENODATA);
    cr_assert_null(lease_all(contract, 1));
}

CLAIM(an_agent_is_read_as_it_was_enrolled)
{
    enum store_agent_state state = 0;
    cr_assert_eq(try_enrol(contract, 0xfedcba9876543210, "key", STORE_PENDING, &state), 1);
    cr_assert_eq(state, STORE_PENDING);
    struct store_agent *agent = read_agent(contract, 0xfedcba9876543210);
    char text[STORE_AGENT_ID_TEXT];
    store_agent_id_format(agent->id, text);
    cr_assert_str_eq(text, "C.fedcba9876543210");
    cr_assert_eq(agent->state, STORE_PENDING);
    cr_assert(str_equal(agent->key, STR("key")));
    cr_assert(str_equal(agent->certificate, STR("certificate")));
    cr_assert_eq(agent->first_seen, clock_wall(&contract->clock.clock));
    cr_assert_eq(agent->last_seen, 0);
    cr_assert_eq(agent->clock, 0);
    cr_assert_eq(agent->address.len, 0);
    cr_assert_null(agent->next);
}

CLAIM(enrolling_twice_changes_nothing)
{
    enrol(contract, 1);
    uint64_t version = read_agent(contract, 1)->version;
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_ENROLLED, NULL), 0);
    cr_assert_eq(read_agent(contract, 1)->version, version);
    cr_assert_lt(read_agent(contract, 1)->first_seen, clock_wall(&contract->clock.clock));
}

CLAIM(another_key_for_the_same_id_is_refused)
{
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 1, "other", STORE_ENROLLED, NULL), -EEXIST);
    cr_assert(str_equal(read_agent(contract, 1)->key, STR("key")));
}

CLAIM(a_pending_agent_can_be_approved)
{
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, NULL), 1);
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_PENDING, NULL), 1);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 1);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 0);
    cr_assert_eq(read_agent(contract, 1)->state, STORE_ENROLLED);
    enum store_agent_state state = 0;
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_ENROLLED, &state), 1);
    cr_assert_eq(state, STORE_ENROLLED);
}

CLAIM(an_enrolled_agent_never_falls_back_to_pending)
{
    enum store_agent_state state = 0;
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, &state), 0);
    cr_assert_eq(state, STORE_ENROLLED);
    cr_assert_eq(read_agent(contract, 1)->state, STORE_ENROLLED);
}

CLAIM(a_forgotten_agent_enrols_anew)
{
    enrol(contract, 1);
    usec_t first = read_agent(contract, 1)->first_seen;
    struct store_message message = test_message(7, 0);
    struct store_bundle bundle = {.agent = test_agent(1),
                                  .sighting = {.at = 5, .clock = 9, .address = STR("::1")},
                                  .messages = &message,
                                  .message_count = 1};
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    struct store_agent *agent = read_agent(contract, 1);
    cr_assert_eq(agent->state, STORE_FORGOTTEN);
    cr_assert_eq(agent->key.len + agent->certificate.len, 0);
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), -EPERM);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), -EPERM);

    cr_assert_eq(try_enrol(contract, 1, "new key", STORE_ENROLLED, NULL), 1);
    agent = read_agent(contract, 1);
    cr_assert(str_equal(agent->key, STR("new key")));
    cr_assert_eq(agent->clock, 0);
    cr_assert_eq(agent->first_seen, first);
    cr_assert_eq(commit_bundle(contract, &bundle, NULL), 0);
    cr_assert_eq(count_messages(contract, 1), 1); /* what it sent before is still known */
}

CLAIM(forgetting_drops_the_queue)
{
    enrol(contract, 1);
    struct store_request_name old = send_request(contract, 1, "F", 0);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    struct store_request_name name;
    cr_assert_eq(try_send(contract, 1, "F", 0, &name), -EPERM);
    enrol(contract, 1);
    cr_assert_null(lease_all(contract, 1));
    cr_assert_neq(send_request(contract, 1, "F", 0).request, old.request);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
}

CLAIM(every_change_of_an_agent_gives_another_version)
{
    uint64_t seen[4];
    cr_assert_eq(try_enrol(contract, 1, "key", STORE_PENDING, NULL), 1);
    seen[0] = read_agent(contract, 1)->version;
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_ENROLLED, NULL), 1);
    seen[1] = read_agent(contract, 1)->version;
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    seen[2] = read_agent(contract, 1)->version;
    enrol(contract, 1);
    seen[3] = read_agent(contract, 1)->version;
    for (int i = 1; i < 4; i++) {
        cr_assert_gt(seen[i], seen[i - 1]);
    }
}

CLAIM(agents_are_listed_in_pages)
{
    enum { AGENTS = 25 };
    uint64_t last = 0;
    size_t count = 0;
    size_t pending = 0;
    for (uint64_t i = AGENTS; i > 0; i--) {
        /* ids with the top bit set sort behind the others, too */
        uint64_t number = i % 2 == 0 ? i : i | 1ULL << 63;
        cr_assert_eq(try_enrol(contract, number, "k", i % 5 ? STORE_ENROLLED : STORE_PENDING, NULL),
                     1);
    }
    struct store_agent_query query = {.limit = 7};
    struct store_agent_id after;
    struct store_agent *page = NULL;
    do {
        cr_assert_eq(store_list_agents(contract->store, &query, &contract->arena, &page, NULL), 0);
        for (struct store_agent *agent = page; agent; agent = agent->next) {
            uint64_t number = 0;
            for (int i = 0; i < 8; i++) {
                number = number << 8 | agent->id.bytes[i];
            }
            cr_assert_gt(number, last);
            last = number;
            count++;
            after = agent->id;
            query.after = &after;
        }
    } while (page != NULL);
    cr_assert_eq(count, AGENTS);
    query = (struct store_agent_query){.state = STORE_PENDING, .limit = 100};
    cr_assert_eq(store_list_agents(contract->store, &query, &contract->arena, &page, NULL), 0);
    pending = LENGTH(page);
    cr_assert_eq(pending, 5);
}

/* ---- what is known without asking ---- */

CLAIM(the_hint_knows_what_is_queued)
{
    enrol(contract, 1);
    enrol(contract, 2);
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    send_request(contract, 1, "F", 0);
    cr_assert(store_may_have_queued(contract->store, test_agent(1)));
    cr_assert_not(store_may_have_queued(contract->store, test_agent(2)));
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
    cr_assert_null(lease_all(contract, 1));
    cr_assert(store_may_have_queued(contract->store, test_agent(1))); /* leased, not answered */
    answer(contract, test_status("F", 1, 1));
    cr_assert_null(lease_all(contract, 1));
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    clock_fake_advance(&contract->clock, USEC_PER_SEC);
    cr_assert_not(store_may_have_queued(contract->store, test_agent(1)));
    send_request(contract, 1, "F", 0);
    cr_assert(store_may_have_queued(contract->store, test_agent(1)));
}

static void note_changed(void *context, struct store_agent_id agent)
{
    unsigned *changed = context;
    changed[agent.bytes[7]]++;
}

CLAIM(a_watcher_hears_of_changed_agents)
{
    unsigned changed[3] = {0};
    store_watch_agents(contract->store, note_changed, changed);
    enrol(contract, 1);
    enrol(contract, 1);
    cr_assert_eq(changed[1], 1);
    cr_assert_eq(changed[2], 0);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 1);
    cr_assert_eq(changed[1], 2);
    cr_assert_eq(store_set_state(contract->store, test_agent(1), STORE_FORGOTTEN, NULL), 0);
    cr_assert_eq(changed[1], 2);
    store_watch_agents(contract->store, NULL, NULL);
}

CLAIM(statistics_count)
{
    enrol(contract, 1);
    cr_assert_eq(try_enrol(contract, 2, "key", STORE_PENDING, NULL), 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    answer(contract, test_status("F", 1, 1));
    make_work(contract, 3);
    struct store_statistics statistics;
    cr_assert_eq(store_read_statistics(contract->store, &statistics, NULL), 0);
    cr_assert_eq(statistics.agents[0], 2);
    cr_assert_eq(statistics.agents[STORE_ENROLLED], 1);
    cr_assert_eq(statistics.agents[STORE_PENDING], 1);
    cr_assert_eq(statistics.requests, 2);
    cr_assert_eq(statistics.requests_queued, 1);
    cr_assert_eq(statistics.responses, 1);
    cr_assert_eq(statistics.messages, 3);
    cr_assert_eq(statistics.work, 4);
    cr_assert_gt(statistics.bytes, 0);
}

CLAIM(a_healthy_store_says_so)
{
    cr_assert_eq(store_check(contract->store, &contract->error), 0, "%s", contract->error.message);
}
