/* SPDX-License-Identifier: Apache-2.0 */
/* Claims about requests: sending, leasing, finishing. */
#include <criterion/criterion.h>
#include <errno.h>

#include "contract_parts.h"
#include "support/support.h"

/* ---- requests ---- */

CLAIM(requests_get_the_next_number_of_their_flow)
{
    enrol(contract, 1);
    struct store_request_name first = send_request(contract, 1, "", 0);
    cr_assert_eq(strlen(first.flow), 16);
    cr_assert_eq(first.request, 1);
    cr_assert_eq(send_request(contract, 1, first.flow, 0).request, 2);
    cr_assert_eq(send_request(contract, 1, first.flow, 10).request, 10);
    cr_assert_eq(send_request(contract, 1, first.flow, 0).request, 11);
    cr_assert_str_neq(send_request(contract, 1, "", 0).flow, first.flow);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 5);
    cr_assert(str_equal(request->action, STR("GetFileStat")));
    cr_assert(str_equal(request->args, STR("\x00\x01")));
    cr_assert(str_equal(request->args_type, STR("Request")));
    cr_assert_eq(request->cpu_limit, 5);
    cr_assert_eq(request->network_limit, 6);
    cr_assert_eq(request->runtime_limit, 7);
    cr_assert_eq(request->created, clock_wall(&contract->clock.clock));
}

CLAIM(a_number_is_used_once)
{
    struct store_request_name name;
    enrol(contract, 1);
    send_request(contract, 1, "F", 5);
    cr_assert_eq(try_send(contract, 1, "F", 5, &name), -EEXIST);
    answer(contract, test_response("F", 9, 1));
    cr_assert_eq(try_send(contract, 1, "F", 9, &name), -EEXIST);
    cr_assert_eq(send_request(contract, 1, "F", 0).request, 10);
    answer(contract, test_status("F", 5, 1));
    cr_assert_eq(try_send(contract, 1, "F", 5, &name), -EEXIST);
}

CLAIM(a_lease_hides_a_request_until_it_ends)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 1);
    cr_assert_eq(request->leased_until, clock_wall(&contract->clock.clock) + contract_lease.time);
    clock_fake_advance(&contract->clock, contract_lease.time - 1);
    cr_assert_null(lease_all(contract, 1));
    clock_fake_advance(&contract->clock, 1);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
}

CLAIM(a_request_is_delivered_so_often_and_then_expires)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    for (unsigned i = 1; i <= contract_lease.max_deliveries; i++) {
        struct store_request *request = lease_all(contract, 1);
        cr_assert_eq(LENGTH(request), 2);
        cr_assert_eq(request->deliveries, i);
        cr_assert_eq(request->ttl, contract_lease.max_deliveries - i);
        clock_fake_advance(&contract->clock, contract_lease.time);
    }
    send_request(contract, 1, "F", 0);
    struct store_request *request = lease_all(contract, 1);
    cr_assert_eq(LENGTH(request), 1);
    cr_assert_eq(request->request, 3);
    cr_assert_eq(LENGTH(list_requests(contract, STORE_QUEUED)), 1);
    cr_assert_eq(LENGTH(list_requests(contract, STORE_EXPIRED)), 2);
}

CLAIM(leases_come_by_flow_and_number_up_to_the_limit)
{
    enrol(contract, 1);
    send_request(contract, 1, "G", 1);
    send_request(contract, 1, "F", 10);
    send_request(contract, 1, "F", 9);
    struct store_lease two = contract_lease;
    struct store_request *requests = NULL;
    two.limit = 2;
    cr_assert_eq(store_lease_requests(contract->store, test_agent(1), &two, &contract->arena,
                                      &requests, NULL),
                 0);
    cr_assert_eq(LENGTH(requests), 2);
    cr_assert_eq(requests->request, 9);
    cr_assert_eq(requests->next->request, 10);
    requests = lease_all(contract, 1);
    cr_assert_eq(LENGTH(requests), 1);
    cr_assert(str_equal(requests->flow, STR("G")));
}

CLAIM(a_full_arena_leases_what_fits)
{
    enrol(contract, 1);
    struct store_request large = {.agent = test_agent(1),
                                  .flow = STR("F"),
                                  .action = STR("A"),
                                  .args = str_make((char[3000]){0}, 3000)};
    struct store_request_name name;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(store_queue_request(contract->store, &large, &name, NULL), 0);
    }
    struct arena small;
    struct store_request *requests = NULL;
    arena_init(&small, 8192, 8192);
    cr_assert_eq(store_lease_requests(contract->store, test_agent(1), &contract_lease, &small,
                                      &requests, NULL),
                 0);
    cr_assert_eq(LENGTH(requests), 2);
    arena_done(&small);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 2); /* the rest was not leased */
}

CLAIM(a_poll_stores_and_leases_at_once)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    send_request(contract, 1, "F", 0);
    struct store_response status = test_status("F", 1, 1);
    struct store_bundle bundle = {
        .agent = test_agent(1), .responses = &status, .response_count = 1};
    struct store_commit commit = {
        .bundle = &bundle, .lease = contract_lease, .arena = &contract->arena};
    cr_assert_eq(store_commit(contract->store, &commit, 1, STORE_DURABLE, NULL), 0);
    cr_assert_eq(commit.result, 0);
    cr_assert_eq(LENGTH(commit.leased), 1); /* the other one has just been answered */
    cr_assert_eq(commit.leased->request, 2);
}

/* ---- completion ---- */

CLAIM(a_request_finishes_when_all_responses_are_there)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    cr_assert_eq(LENGTH(lease_all(contract, 1)), 1);
    answer(contract, test_response("F", 1, 1));
    answer(contract, test_status("F", 1, 3));
    cr_assert_eq(LENGTH(list_requests(contract, STORE_QUEUED)), 1);
    cr_assert_null(take_work(contract, 10));
    answer(contract, test_response("F", 1, 2));
    struct store_request *request = list_requests(contract, 0);
    cr_assert_eq(request->state, STORE_FINISHED);
    cr_assert_eq(request->expected, 3);
    cr_assert_eq(request->received, 3);
    clock_fake_advance(&contract->clock, contract_lease.time * 2);
    cr_assert_null(lease_all(contract, 1));
    struct store_work *work = take_work(contract, 10);
    cr_assert_eq(LENGTH(work), 1);
    cr_assert_eq(work->kind, STORE_WORK_REQUEST);
    cr_assert(str_equal(work->flow, STR("F")));
    cr_assert_eq(work->request, 1);
    answer(contract, test_response("F", 1, 2));
    answer(contract, test_status("F", 1, 3));
    answer(contract, test_response("F", 1, 4));
    cr_assert_null(take_work(contract, 10)); /* finished once */
}

CLAIM(responses_finish_a_request_in_any_order)
{
    enum { RESPONSES = 6 };
    uint64_t random = 5;
    enrol(contract, 1);
    for (uint64_t round = 1; round <= 20; round++) {
        uint64_t order[RESPONSES];
        send_request(contract, 1, "F", round);
        for (uint64_t i = 0; i < RESPONSES; i++) {
            uint64_t j = next_random(&random) % (i + 1);
            order[i] = order[j];
            order[j] = i + 1;
        }
        /* in bundles of different sizes, now and then something twice */
        for (size_t at = 0; at < RESPONSES;) {
            struct store_response bundle[RESPONSES + 1];
            size_t count = 0;
            size_t want = 1 + next_random(&random) % 3;
            if (at > 0) {
                bundle[count++] = test_response("F", round, order[at - 1]);
                if (order[at - 1] == RESPONSES) {
                    bundle[0].kind = STORE_STATUS;
                }
            }
            while (at < RESPONSES && want-- > 0) {
                bundle[count] = test_response("F", round, order[at]);
                bundle[count++].kind = order[at] == RESPONSES ? STORE_STATUS : STORE_MESSAGE;
                at++;
            }
            cr_assert_null(take_work(contract, 1));
            cr_assert_eq(store_responses(contract, 1, bundle, count), 0);
        }
        struct store_work *work = take_work(contract, 10);
        cr_assert_eq(LENGTH(work), 1);
        cr_assert_eq(work->request, round);
        cr_assert_eq(store_acknowledge_work(contract->store, work->id, work->takes, NULL), 0);
    }
}

CLAIM(numbers_beyond_the_status_do_not_count)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    answer(contract, test_response("F", 1, 0));
    answer(contract, test_response("F", 1, 7));
    answer(contract, test_status("F", 1, 3));
    answer(contract, test_response("F", 1, 1));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_QUEUED);
    answer(contract, test_response("F", 1, 2));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_FINISHED);
}

CLAIM(an_expired_request_can_still_finish)
{
    enrol(contract, 1);
    send_request(contract, 1, "F", 0);
    for (unsigned i = 0; i <= contract_lease.max_deliveries; i++) {
        lease_all(contract, 1);
        clock_fake_advance(&contract->clock, contract_lease.time);
    }
    cr_assert_eq(list_requests(contract, 0)->state, STORE_EXPIRED);
    answer(contract, test_status("F", 1, 1));
    cr_assert_eq(list_requests(contract, 0)->state, STORE_FINISHED);
    cr_assert_eq(LENGTH(take_work(contract, 10)), 1);
}

CLAIM(responses_to_unknown_requests_are_kept)
{
    enrol(contract, 1);
    answer(contract, test_response("nobody asked", 1, 1));
    answer(contract, test_status("nobody asked", 1, 2));
    cr_assert_eq(LENGTH(list_responses(contract, "nobody asked")), 2);
    cr_assert_null(take_work(contract, 10));
    cr_assert_null(list_requests(contract, 0));
}
