/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and sealings made from a number: every byte follows from it and from a second one, so a
 * mixture of two is told from either. */
#ifndef PORTICO_TESTS_ENTRIES_H
#define PORTICO_TESTS_ENTRIES_H

#include <stdio.h>
#include <string.h>

#include "support/support.h"
#include "wire/session.h"

enum { ENTRY_CIPHER_BYTES = 256, ENTRY_METADATA_BYTES = 288 };

#define ENTRY_NOW ((usec_t)1790000000 * USEC_PER_SEC)

static inline void entry_fill(void *out, size_t size, uint64_t seed)
{
    unsigned char *bytes = out;
    uint64_t state = seed * 2654435761 + 88172645463325252;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(next_random(&state) >> 32);
    }
}

/* The number comes back from it. */
static inline void entry_key(uint64_t number, uint8_t out[32])
{
    entry_fill(out, 32, number);
    memcpy(out, &number, sizeof number);
}

static inline struct session entry_session(uint64_t number, uint64_t variant)
{
    struct session session;
    memset(&session, 0, sizeof session);
    entry_fill(&session, sizeof session, number * 1000003 + variant);
    entry_key(number, session.digest);
    memset(session.source, 0, sizeof session.source);
    snprintf(session.source, sizeof session.source, "%llx.%llx", (unsigned long long)number,
             (unsigned long long)variant);
    return session;
}

/* Of any variant, but whole. */
static inline bool entry_session_is_whole(const struct session *session)
{
    unsigned long long number, variant;
    if (sscanf(session->source, "%llx.%llx", &number, &variant) != 2) {
        return false;
    }
    struct session wanted = entry_session(number, variant);
    return memcmp(&wanted, session, sizeof wanted) == 0;
}

static inline struct sealing entry_sealing_sized(uint64_t number, uint64_t variant, size_t cipher,
                                                 size_t metadata)
{
    struct sealing sealing;
    memset(&sealing, 0, sizeof sealing);
    sealing.made = ENTRY_NOW - (usec_t)variant;
    entry_key(number, sealing.peer);
    entry_fill(sealing.key, sizeof sealing.key, number + variant);
    entry_fill(sealing.hmac_key, sizeof sealing.hmac_key, number + variant + 1);
    sealing.cipher_len = (uint16_t)cipher;
    sealing.metadata_len = (uint16_t)metadata;
    entry_fill(sealing.cipher, cipher, number + variant + 2);
    entry_fill(sealing.metadata, metadata, number + variant + 3);
    return sealing;
}

static inline struct sealing entry_sealing(uint64_t number, uint64_t variant)
{
    return entry_sealing_sized(number, variant, ENTRY_CIPHER_BYTES, ENTRY_METADATA_BYTES);
}

static inline bool entry_sealing_equal(const struct sealing *a, const struct sealing *b)
{
    return a->made == b->made && memcmp(a->key, b->key, sizeof a->key) == 0 &&
           memcmp(a->hmac_key, b->hmac_key, sizeof a->hmac_key) == 0 &&
           memcmp(a->peer, b->peer, sizeof a->peer) == 0 && a->cipher_len == b->cipher_len &&
           a->metadata_len == b->metadata_len && memcmp(a->cipher, b->cipher, a->cipher_len) == 0 &&
           memcmp(a->metadata, b->metadata, a->metadata_len) == 0;
}

static inline bool entry_sealing_is_whole(const struct sealing *sealing)
{
    uint64_t number;
    memcpy(&number, sealing->peer, sizeof number);
    struct sealing wanted = entry_sealing_sized(number, (uint64_t)(ENTRY_NOW - sealing->made),
                                                sealing->cipher_len, sealing->metadata_len);
    return entry_sealing_equal(&wanted, sealing);
}

#endif
