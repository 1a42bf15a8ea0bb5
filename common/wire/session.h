/* SPDX-License-Identifier: Apache-2.0 */
/* What a cipher leaves behind once RSA is paid for (section 5). Both structs are plain, of fixed
 * size and without pointers, so that a cache may keep them in shared memory; both hold secrets, so
 * wipe every copy. A `session` is the other side's cipher: it opens packets. A `sealing` is our
 * own: it makes them. */
#ifndef PORTICO_WIRE_SESSION_H
#define PORTICO_WIRE_SESSION_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/cipher.h"
#include "wire/envelope.h"
#include "wire/reason.h"
#include "wire/rsa.h"

struct wire_tools;

enum {
    SESSION_SOURCE_BYTES = 63, /* of a sender's name, "aff4:/" not counted */
    SEALING_METADATA_BYTES = RSA_BYTES_MAX + 128,
};

/* An agent makes a new cipher every day; a server may keep its own as long (section 5). */
#define SEALING_LIFETIME USEC_PER_DAY

struct session {
    uint8_t digest[SHA256_BYTES]; /* of the encrypted_cipher bytes: what it is found by */
    uint8_t key[WIRE_KEY_BYTES];
    uint8_t metadata_iv[WIRE_KEY_BYTES];
    uint8_t hmac_key[WIRE_KEY_BYTES];
    uint8_t peer[RSA_FINGERPRINT_BYTES]; /* of the key that signed it: a session of another key than
                                          * is on record now is to be dropped */
    char source[SESSION_SOURCE_BYTES + 1]; /* normalised: "C.0123456789abcdef" of an agent */
    uint8_t hmac_type;                     /* enum hmac_type */
    uint8_t unused[7];
};
static_assert(sizeof(struct session) == 184, "caches in shared memory agree on this");

void session_wipe(struct session *session);

/* Whether the key with that fingerprint signed it; ask each time a cached session is used. */
bool session_is_of(const struct session *session, const uint8_t *fingerprint);

struct sealing {
    usec_t made; /* wall clock */
    uint8_t key[WIRE_KEY_BYTES];
    uint8_t hmac_key[WIRE_KEY_BYTES];
    uint8_t peer[RSA_FINGERPRINT_BYTES]; /* of the key that it is encrypted to */
    uint16_t cipher_len;
    uint16_t metadata_len;
    uint8_t unused[4];
    uint8_t cipher[RSA_BYTES_MAX];            /* encrypted_cipher */
    uint8_t metadata[SEALING_METADATA_BYTES]; /* encrypted_cipher_metadata */
};
static_assert(sizeof(struct sealing) == 2256, "caches in shared memory agree on this");

/* Bytes of a sealing that hold anything: a cache may keep only the front, `cipher` and `metadata`.
 */

/* Make a cipher with fresh keys from `own` to `peer`: one RSA signature (private) and one
 * encryption (public). `source` is our common name, "grr" or a client id; at most
 * SESSION_SOURCE_BYTES. Never share one between peers. 0, or -ENOMEM, -EIO with *reason, *sealing
 * untouched. */
MUST_CHECK int sealing_make(struct wire_tools *tools, const struct rsa_key *own,
                            const struct rsa_key *peer, struct str source, usec_t now,
                            struct sealing *sealing, enum wire_reason *reason);

/* Not older than a day by our wall clock, which may have jumped, and to that key. */
bool sealing_is_usable(const struct sealing *sealing, const struct rsa_key *peer, usec_t now);

void sealing_wipe(struct sealing *sealing);

#endif
