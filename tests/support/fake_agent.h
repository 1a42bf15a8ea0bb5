/* SPDX-License-Identifier: Apache-2.0 */
/* An agent_client whose packets the test sends itself, over what connection it likes: it gathers
 * what is to be said, and a lie in an answer fails the test. */
#ifndef PORTICO_TESTS_FAKE_AGENT_H
#define PORTICO_TESTS_FAKE_AGENT_H

#include "support/agent_client.h"

struct fake_agent {
    struct agent_client client;
    struct bundle bundle; /* what the last answer brought */
    char reason[64];      /* of the last refusal */
    struct buffer list;   /* messages for the next packet */
};

/* With a fresh key. `server` is borrowed. */
void fake_agent_init(struct fake_agent *agent, const struct rsa_key *server);
/* The same agent at another place: its key, a cipher of its own. */
void fake_agent_twin(struct fake_agent *twin, const struct fake_agent *agent);
/* Make a new cipher, as agents do each day. */
void fake_agent_renew(struct fake_agent *agent);
void fake_agent_done(struct fake_agent *agent);

const char *fake_agent_id(const struct fake_agent *agent);

/* Put into the next packet: a message for a well-known receiver, its signing request, a response
 * to a request of a flow, the status that ends it. */
void fake_agent_say(struct fake_agent *agent, const char *session, const char *type,
                    struct str args);
void fake_agent_ask(struct fake_agent *agent);
void fake_agent_respond(struct fake_agent *agent, const char *flow, uint64_t request,
                        uint64_t response, struct str args);
void fake_agent_end(struct fake_agent *agent, const char *flow, uint64_t request,
                    uint64_t response);

/* What is to be said, sealed under a fresh nonce; the list is empty then. The caller frees. */
struct str fake_agent_packet(struct fake_agent *agent);

/* Send a packet and take the answer: the status, 0 when there is none. After 200 the answer was
 * this server's to this packet (else the test fails) and its requests are in `bundle`. */
unsigned fake_agent_send(struct fake_agent *agent, struct http_client *client, const char *path,
                         struct str packet);
unsigned fake_agent_poll(struct fake_agent *agent, struct http_client *client);
/* On a connection of its own. */
unsigned fake_agent_poll_once(struct fake_agent *agent, uint16_t port);

#endif
