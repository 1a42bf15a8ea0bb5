/* SPDX-License-Identifier: Apache-2.0 */
/* An agent, a server and another agent with fresh keys, and packets made to measure, wrong ones
 * among them. Failures abort: a test cannot go on. */
#ifndef PORTICO_TESTS_PARTIES_H
#define PORTICO_TESTS_PARTIES_H

#include "support/support.h"
#include "wire/answer.h"
#include "wire/packet.h"
#include "wire/seal.h"
#include "wire/tools.h"

#define PARTIES_NOW ((usec_t)1790000000 * USEC_PER_SEC)

struct parties {
    struct rsa_meter meter; /* of all three keys */
    struct rsa_key *server, *agent, *other;
    struct wire_tools tools;
    struct packet_limits limits;
};

/* Keys of 1024 bits, which are quick to make. */
void parties_init(struct parties *parties);
void parties_done(struct parties *parties);

/* How to make a packet from the agent to the server; craft_init() makes an honest one. */
struct craft {
    const struct rsa_key *from, *to; /* who signs, whom it is encrypted to */
    struct str source;               /* as it stands in the metadata; no data: the agent's name */
    bool omits_source;
    struct cipher_properties keys; /* what encrypts */
    struct str properties;         /* serialised, instead of `keys`; no data: from `keys` */
    bool is_unsigned, uses_pss;
    struct str metadata; /* serialised, instead of the above; no data: from the above */
    struct str packed;   /* PackedMessageList; no data: an empty list with `nonce` */
    uint64_t nonce;
    uint32_t api_version;
    enum hmac_digest digest;
    bool omits_simple, omits_full; /* HMACs */
    bool raw_ciphertext;           /* `packed` goes out as the ciphertext, unencrypted */
};

void craft_init(struct craft *craft, const struct parties *parties);
/* The packet; the caller frees its data. */
struct str craft_build(struct craft *craft, struct parties *parties);

/* Receive a packet as a server does: whole, with `agent` as the key on record. 0 with the bundle
 * (initialised by the caller) and the session, or the reason. */
enum wire_reason parties_receive(struct parties *parties, struct str body,
                                 const struct rsa_key *agent, struct session *session,
                                 struct bundle *bundle);

#endif
