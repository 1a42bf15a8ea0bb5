/* SPDX-License-Identifier: Apache-2.0 */
/* The parties of the recorded vectors: their keys, and what a test remembers of each agent.
 * Failures abort. */
#ifndef PORTICO_TESTS_RECORDING_H
#define PORTICO_TESTS_RECORDING_H

#include "support/vectors.h"
#include "wire/packet.h"
#include "wire/rsa.h"
#include "wire/session.h"
#include "wire/tools.h"

enum { RECORDED_CLIENTS_MAX = 16 };

struct recorded_client {
    const char *name;   /* "alice" */
    const json_t *keys; /* its entry in keys.json */
    struct rsa_key *key;
    struct session answers; /* the server's cipher, kept as an agent does */
    bool is_enrolled;       /* what a server knows of it */
    usec_t clock;
};

struct recording {
    json_t *keys;     /* keys.json */
    json_t *requests; /* requests.json */
    struct wire_tools tools;
    struct packet_limits limits;
    struct rsa_key *server;
    struct recorded_client clients[RECORDED_CLIENTS_MAX];
    size_t client_count;
    struct bundle bundle; /* for what is opened next */
};

/* False: the vectors are absent, and there is nothing to close. */
bool recording_open(struct recording *recording);
void recording_close(struct recording *recording);

/* NULL: nobody is called so, or has that id ("C.0123456789abcdef"). `name` may be NULL. */
struct recorded_client *recording_client(struct recording *recording, const char *name);
struct recorded_client *recording_client_of_id(struct recording *recording, const char *id);

/* What a recorded agent makes of an answer to the poll with that time. */
enum wire_reason recording_open_answer(struct recording *recording, struct recorded_client *client,
                                       struct str body, uint64_t nonce);

#endif
