/* SPDX-License-Identifier: Apache-2.0 */
/* What agents keep of the ciphers that RSA was paid for: some 1 KiB each, which for a million
 * agents does not belong into memory. It lies in a file without a name (0600, gone with the
 * process), of which the kernel caches what is used; a record is read in one call when its agent
 * begins to poll. Agents that never polled have none. What is small stays in memory all the same:
 * it costs no calls then, and never waits for a disk.
 *
 * One for each thread. */
#ifndef PORTICO_FLOOD_VAULT_H
#define PORTICO_FLOOD_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "wire/session.h"

enum {
    VAULT_CIPHER_MAX = 512,   /* a server's key of 4096 bits */
    VAULT_METADATA_MAX = 304, /* signed by an agent's key of 2048 */
};

/* The used part of a struct sealing, and the server's cipher. Zeroed: nothing. Holds secrets. */
struct vault_record {
    usec_t made;
    uint8_t key[WIRE_KEY_BYTES];
    uint8_t hmac_key[WIRE_KEY_BYTES];
    uint8_t peer[RSA_FINGERPRINT_BYTES];
    uint16_t cipher_len, metadata_len;
    uint8_t unused[4];
    uint8_t cipher[VAULT_CIPHER_MAX];
    uint8_t metadata[VAULT_METADATA_MAX];
    struct session answers;
};

struct vault;

/* For `count` agents: in memory when they are few, else in $TMPDIR or /var/tmp. 0 or a negative
 * errno with words. */
MUST_CHECK int vault_new(size_t count, struct vault **vault, struct error *error);
void vault_free(struct vault *vault);

/* What was written for `index`, or zeros. 0 or -EIO. */
MUST_CHECK int vault_read(struct vault *vault, size_t index, struct vault_record *record);
/* 0, or a negative errno: the disk is full, say. */
MUST_CHECK int vault_write(struct vault *vault, size_t index, const struct vault_record *record);

/* To what seal_packet() takes; false when the record has none. */
bool vault_unpack(const struct vault_record *record, struct sealing *sealing);
/* 0, or -EMSGSIZE: the server's key is too large. The answers' session is forgotten. */
MUST_CHECK int vault_pack(const struct sealing *sealing, struct vault_record *record);

#endif
