/* SPDX-License-Identifier: Apache-2.0 */
/* What every engine must do: one list of claims, each a function on an empty store. A test file per
 * engine makes Criterion tests of them. */
#ifndef PORTICO_TESTS_STORE_CONTRACT_H
#define PORTICO_TESTS_STORE_CONTRACT_H

#include "base/arena.h"
#include "base/error.h"
#include "store/store.h"

struct contract {
    struct store *store;
    struct clock_fake clock;
    struct arena arena; /* for results */
    struct error error;
};

#define CONTRACT_CLAIMS(X)                              \
    X(an_unknown_agent_has_no_data)                     \
    X(an_agent_is_read_as_it_was_enrolled)              \
    X(enrolling_twice_changes_nothing)                  \
    X(another_key_for_the_same_id_is_refused)           \
    X(a_pending_agent_can_be_approved)                  \
    X(an_enrolled_agent_never_falls_back_to_pending)    \
    X(a_forgotten_agent_enrols_anew)                    \
    X(forgetting_drops_the_queue)                       \
    X(every_change_of_an_agent_gives_another_version)   \
    X(agents_are_listed_in_pages)                       \
    X(a_bundle_is_stored_as_it_came)                    \
    X(storing_a_bundle_twice_is_storing_it_once)        \
    X(messages_without_a_timestamp_are_all_kept)        \
    X(a_bad_bundle_fails_alone)                         \
    X(only_enrolled_agents_can_store)                   \
    X(bad_arguments_are_refused)                        \
    X(sightings_only_move_forward)                      \
    X(requests_get_the_next_number_of_their_flow)       \
    X(a_number_is_used_once)                            \
    X(a_lease_hides_a_request_until_it_ends)            \
    X(a_request_is_delivered_so_often_and_then_expires) \
    X(leases_come_by_flow_and_number_up_to_the_limit)   \
    X(a_full_arena_leases_what_fits)                    \
    X(a_poll_stores_and_leases_at_once)                 \
    X(a_request_finishes_when_all_responses_are_there)  \
    X(responses_finish_a_request_in_any_order)          \
    X(numbers_beyond_the_status_do_not_count)           \
    X(an_expired_request_can_still_finish)              \
    X(responses_to_unknown_requests_are_kept)           \
    X(responses_are_listed_in_pages)                    \
    X(messages_are_listed_in_pages)                     \
    X(a_full_arena_shortens_a_page)                     \
    X(work_is_taken_once)                               \
    X(work_comes_back_when_its_lease_ends)              \
    X(work_given_back_is_taken_again)                   \
    X(parallel_takers_never_get_the_same)               \
    X(parallel_bundles_are_all_stored)                  \
    X(the_hint_knows_what_is_queued)                    \
    X(a_watcher_hears_of_changed_agents)                \
    X(statistics_count)                                 \
    X(a_healthy_store_says_so)

#define CONTRACT_DECLARE(NAME) void contract_##NAME(struct contract *contract);
CONTRACT_CLAIMS(CONTRACT_DECLARE)
#undef CONTRACT_DECLARE

/* For other tests of stores: */

struct store_agent_id test_agent(uint64_t number);
void enrol(struct contract *contract, uint64_t number);
/* A bundle of one message each; `timestamp` and `place` name it. */
struct store_message test_message(uint64_t timestamp, uint32_t place);
struct store_response test_response(const char *flow, uint64_t request, uint64_t response);
struct store_response test_status(const char *flow, uint64_t request, uint64_t response);
int store_responses(struct contract *contract, uint64_t agent, struct store_response *responses,
                    size_t count);
int store_messages(struct contract *contract, uint64_t agent, struct store_message *messages,
                   size_t count);
struct store_request_name send_request(struct contract *contract, uint64_t agent, const char *flow,
                                       uint64_t number);
struct store_request *lease_all(struct contract *contract, uint64_t agent);
size_t count_messages(struct contract *contract, uint64_t agent);

#define LENGTH(FIRST)                                                 \
    __extension__({                                                   \
        size_t length_ = 0;                                           \
        for (__typeof__(FIRST) at_ = (FIRST); at_; at_ = at_->next) { \
            length_++;                                                \
        }                                                             \
        length_;                                                      \
    })

#endif
