/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what was received, in the order of section 4, cut where a server has something better to
 * do than the next step:
 *
 *     packet_parse()           no cryptography but one hash; then look for a session by .digest
 *       found:                 packet_match()    checks the HMAC, no RSA
 *       not found:             packet_unwrap()   one RSA decryption: whose packet it claims to be
 *                              claim_verify()    one RSA verification with the key on record
 *     packet_open()            decrypt, inflate, split; then replay_judge()
 *
 * Nothing of a packet is to be believed before packet_match(), or claim_verify() after
 * packet_unwrap(). The one exception is enrolment: an unknown agent's packet is opened with the
 * claim's session to find the key that claim_verify() then wants.
 *
 * Every failure is -EBADMSG with a reason, or -ENOMEM or -EIO with theirs. Any thread, each with
 * its own tools; a packet, a claim and a bundle are one thread's at a time. */
#ifndef PORTICO_WIRE_PACKET_H
#define PORTICO_WIRE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/envelope.h"
#include "wire/message.h"
#include "wire/reason.h"
#include "wire/rsa.h"
#include "wire/session.h"
#include "wire/zip.h"

struct wire_tools;

struct packet {
    struct envelope envelope;     /* views into the body, which must outlive the packet */
    uint32_t api_version;         /* always 3 */
    uint8_t digest[SHA256_BYTES]; /* of encrypted_cipher */
    bool is_authentic;            /* packet.c's: the HMAC fits a session */
};

/* What the query string `api=...` says, for packets that say nothing: 3 when it is absent or no
 * number (section 1). `query` is what follows the "?". */
uint32_t packet_api_from_query(struct str query);

/* Read the envelope: API version, all parts present and of possible lengths. */
MUST_CHECK int packet_parse(struct wire_tools *tools, struct str body, uint32_t query_api,
                            struct packet *packet, enum wire_reason *reason);

/* Check the HMAC with a session that was found by the packet's digest (CHECKed). */
MUST_CHECK int packet_match(struct wire_tools *tools, struct packet *packet,
                            const struct session *session, enum wire_reason *reason);

/* What a cipher says of itself; nobody has vouched for it. Holds secrets. */
struct claim {
    struct session session; /* its `peer` is zero until claim_verify() */
    uint16_t properties_len;
    uint16_t signature_len;
    uint8_t properties[RSA_BYTES_MAX]; /* what is signed, as received */
    uint8_t signature[SEALING_METADATA_BYTES];
};

enum packet_sender { PACKET_FROM_AGENT, PACKET_FROM_SERVER };

/* Decrypt the cipher with our key, check the HMAC, read source and signature. From an agent the
 * source must be a client id, which is then in claim->session.source. One private operation. */
MUST_CHECK int packet_unwrap(struct wire_tools *tools, struct packet *packet,
                             const struct rsa_key *own, enum packet_sender sender,
                             struct claim *claim, enum wire_reason *reason);

/* Check the claim's signature with the key that belongs to its source; on success *session is worth
 * keeping. One public operation, two for PSS. An absent signature is refused (section 13). */
MUST_CHECK int claim_verify(const struct claim *claim, const struct rsa_key *peer,
                            struct session *session, enum wire_reason *reason);

void claim_wipe(struct claim *claim);

struct packet_limits {
    struct zip_limits zip;
    struct message_limits messages;
};

#define PACKET_LIMITS_DEFAULT \
    ((struct packet_limits){.zip = ZIP_LIMITS_DEFAULT, .messages = MESSAGE_LIMITS_DEFAULT})

/* The messages of one packet. Embedded in its owner and used again for the next one. */
struct bundle {
    struct str list; /* MessageList, a view into one of the buffers; read with message_next() */
    uint32_t count;  /* of messages */
    bool has_timestamp;
    uint64_t timestamp; /* the nonce, microseconds since the epoch; 0 when absent */
    struct buffer plain, inflated;
};

/* Takes no memory yet. */
void bundle_init(struct bundle *bundle, const struct packet_limits *limits);
void bundle_done(struct bundle *bundle);

/* Decrypt and split. The packet has passed packet_match() or packet_unwrap() (CHECKed). On failure
 * the bundle is empty. `limits` are those of bundle_init(). */
MUST_CHECK int packet_open(struct wire_tools *tools, const struct packet *packet,
                           const struct session *session, const struct packet_limits *limits,
                           struct bundle *bundle, enum wire_reason *reason);

#endif
