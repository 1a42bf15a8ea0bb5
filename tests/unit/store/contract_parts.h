/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the contract share. Functions fail the test unless they return a result that is
 * to be looked at. */
#ifndef PORTICO_TESTS_STORE_CONTRACT_PARTS_H
#define PORTICO_TESTS_STORE_CONTRACT_PARTS_H

#include "contract.h"

#define CLAIM(NAME) void contract_##NAME(struct contract *contract)

/* A hundred requests, a minute, five times. */
extern const struct store_lease contract_lease;

int try_enrol(struct contract *contract, uint64_t number, const char *key,
              enum store_agent_state wanted, enum store_agent_state *state);
struct store_agent *read_agent(struct contract *contract, uint64_t number);
int commit_bundle(struct contract *contract, const struct store_bundle *bundle, size_t *fresh);
void answer(struct contract *contract, struct store_response response);
int try_send(struct contract *contract, uint64_t agent, const char *flow, uint64_t number,
             struct store_request_name *name);
struct store_request *list_requests(struct contract *contract, enum store_request_state state);
struct store_response *list_responses(struct contract *contract, const char *flow);
struct store_message *list_messages(struct contract *contract, uint64_t after, size_t limit);
struct store_work *take_work(struct contract *contract, size_t limit);
void make_work(struct contract *contract, uint32_t items);

#endif
