/* SPDX-License-Identifier: Apache-2.0 */
/* A small agent for tests: the agents' end of the protocol, and a connection of its own to send
 * over. One thread. Failures of the machine abort; what the server answers is a result. */
#ifndef PORTICO_TESTS_AGENT_CLIENT_H
#define PORTICO_TESTS_AGENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "net/address.h"
#include "support/http_client.h"
#include "wire/answer.h"
#include "wire/message.h"
#include "wire/session.h"
#include "wire/tools.h"

struct agent_client {
    struct rsa_key *key;          /* owned */
    const struct rsa_key *server; /* NULL until agent_client_meet() or agent_client_trust() */
    struct rsa_key *met;          /* owned: what /server.pem said, if it was asked */
    char server_name[64];
    struct wire_tools tools;
    struct packet_limits limits;
    struct sealing sealing; /* our cipher, of this day */
    struct session session; /* the server's */
    uint64_t nonce;         /* of the last poll; they rise */
    struct http_client http;
    bool is_connected;    /* kept alive */
    bool closes;          /* a new connection for each request, as real agents do */
    struct str body;      /* of the last answer; owned */
    enum wire_reason lie; /* why the last answer was not believed */
    char refusal[64];     /* X-Portico-Reason of the last answer */
};

/* `key` is taken. */
void agent_client_init(struct agent_client *client, struct rsa_key *key);
void agent_client_done(struct agent_client *client);

const char *agent_client_id(const struct agent_client *client);

/* End the kept connection, if there is one. */
void agent_client_hang_up(struct agent_client *client);

/* Take a server's key (borrowed) and name for granted, and make a cipher for it. */
void agent_client_trust(struct agent_client *client, const struct rsa_key *server,
                        const char *name);

/* Another cipher of our own, which no server has seen. */
void agent_client_renew(struct agent_client *client);

/* Fetch /server.pem and make a cipher for that server. The HTTP status, 0 without an answer. */
int agent_client_meet(struct agent_client *client, const struct address *server);

/* POST `body` as it is. The HTTP status, 0 without an answer; the answer's body is in client->body,
 * why it was refused in client->refusal. */
int agent_client_post(struct agent_client *client, const struct address *server, struct str body);

/* One poll with the MessageList `list`. The HTTP status, 0 without an answer, -1 when it was 200
 * and a lie. With 200 the bundle (initialised by the caller) holds what the server sent. */
int agent_client_poll(struct agent_client *client, const struct address *server, struct str list,
                      struct bundle *bundle);

/* The halves of a poll, for who sends it otherwise: append the packet with the MessageList `list`,
 * under a fresh nonce, to `out`; open the answer to the last one, false when it is a lie. */
void agent_client_seal(struct agent_client *client, struct str list, struct buffer *out);
bool agent_client_open(struct agent_client *client, struct str body, struct bundle *bundle);

/* Append an Enrol message with our signing request to `list`. */
void agent_client_append_enrol(struct agent_client *client, struct buffer *list);

/* Append a message to a well-known handler, "aff4:/flows/S:Stats" say. */
void agent_client_append_message(struct buffer *list, const char *session_id, struct str args,
                                 const char *args_type);

/* Append a response to a request of a flow ("aff4:/C.0123456789abcdef/F1"), and the status that
 * ends one: its number is one more than the last response's. */
void agent_client_append_response(struct buffer *list, const char *session_id, uint64_t request,
                                  uint64_t response, struct str args, const char *args_type);
void agent_client_append_status(struct buffer *list, const char *session_id, uint64_t request,
                                uint64_t response);

/* Append one response and the status that ends the request, both to `request` as it came. */
void agent_client_append_answers(struct buffer *list, const struct message *request,
                                 struct str args, const char *args_type);

#endif
