/* SPDX-License-Identifier: Apache-2.0 */
/* A small agent for tests: the agents' end of the protocol over blocking sockets. One thread.
 * Failures of the machine abort; what the server answers is a result. */
#ifndef PORTICO_TESTS_AGENT_CLIENT_H
#define PORTICO_TESTS_AGENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "net/address.h"
#include "wire/answer.h"
#include "wire/message.h"
#include "wire/session.h"
#include "wire/tools.h"

struct agent_client {
    struct rsa_key *key;    /* owned */
    struct rsa_key *server; /* owned; NULL until agent_client_meet() */
    char server_name[64];
    struct wire_tools tools;
    struct packet_limits limits;
    struct sealing sealing; /* our cipher, of this day */
    struct session session; /* the server's */
    uint64_t nonce;         /* of the last poll */
    int fd;                 /* kept alive, or -1 */
    bool closes;            /* a new connection for each request, as real agents do */
    struct buffer body;     /* of the last answer */
    enum wire_reason lie;   /* why the last answer was not believed */
};

/* `key` is taken. */
void agent_client_init(struct agent_client *client, struct rsa_key *key);
void agent_client_done(struct agent_client *client);

const char *agent_client_id(const struct agent_client *client);

/* Fetch /server.pem and make a cipher for that server. The HTTP status, 0 without an answer. */
int agent_client_meet(struct agent_client *client, const struct address *server);

/* POST `body` as it is. The HTTP status, 0 without an answer; the answer's body is in client->body.
 */
int agent_client_post(struct agent_client *client, const struct address *server, struct str body);

/* One poll with the MessageList `list`. The HTTP status, 0 without an answer, -1 when it was 200
 * and a lie. With 200 the bundle (initialised by the caller) holds what the server sent. */
int agent_client_poll(struct agent_client *client, const struct address *server, struct str list,
                      struct bundle *bundle);

/* Append an Enrol message with our signing request to `list`. */
void agent_client_append_enrol(struct agent_client *client, struct buffer *list);

/* Append a message to a well-known handler, "aff4:/flows/S:Stats" say. */
void agent_client_append_message(struct buffer *list, const char *session_id, struct str args,
                                 const char *args_type);

/* Append one response and the status that ends the request, both to `request` as it came. */
void agent_client_append_answers(struct buffer *list, const struct message *request,
                                 struct str args, const char *args_type);

#endif
