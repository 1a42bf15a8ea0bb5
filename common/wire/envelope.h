/* SPDX-License-Identifier: Apache-2.0 */
/* The outer messages of the protocol (section 2): what is sent, and what it wraps before the
 * messages come. Decoding gives views into the caller's bytes; nothing is allocated or copied but
 * keys. Fields may come in any order, unknown ones are ignored, of repeated ones the last counts; a
 * known field of another wire type is malformed. Pure functions, any thread. */
#ifndef PORTICO_WIRE_ENVELOPE_H
#define PORTICO_WIRE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/reason.h"

enum {
    WIRE_API_VERSION = 3,
    WIRE_KEY_BYTES = 16, /* every key and IV: AES-128 */
    WIRE_BLOCK_BYTES = 16,
};

/* ClientCommunication. A view without data: the field is absent. */
struct envelope {
    struct str encrypted;          /* 1: AES-CBC of a PackedMessageList */
    struct str encrypted_cipher;   /* 2: RSA-OAEP of CipherProperties */
    struct str simple_hmac;        /* 7 */
    struct str packet_iv;          /* 8 */
    struct str encrypted_metadata; /* 9: AES-CBC of CipherMetadata */
    struct str full_hmac;          /* 10 */
    uint32_t queue_size;           /* 4: how full the agent's input queue is */
    uint32_t api_version;          /* 6: 0 when absent */
    bool has_queue_size;           /* write it although it is 0, as agents do */
};

/* What the HMACs cover (section 4): the full one all of it, the simple one the first part. Views
 * into the envelope and into itself, so it must not move. */
enum { ENVELOPE_PARTS = 5 };

struct envelope_parts {
    uint32_t version; /* little-endian */
    struct str list[ENVELOPE_PARTS];
};

void envelope_parts_list(const struct envelope *envelope, uint32_t api_version,
                         struct envelope_parts *parts);

enum hmac_type { SIMPLE_HMAC = 0, FULL_HMAC = 1 };

/* CipherProperties. Holds secrets: wipe with OPENSSL_cleanse(). */
struct cipher_properties {
    uint8_t key[WIRE_KEY_BYTES];         /* 2 */
    uint8_t metadata_iv[WIRE_KEY_BYTES]; /* 3 */
    uint8_t hmac_key[WIRE_KEY_BYTES];    /* 5 */
    enum hmac_type hmac_type;            /* 6: SIMPLE_HMAC when absent */
};

/* CipherMetadata. */
struct cipher_metadata {
    struct str source;    /* 1 */
    struct str signature; /* 2 */
};

enum compression { UNCOMPRESSED = 0, ZCOMPRESSION = 1 };

/* PackedMessageList. */
struct packed_list {
    struct str message_list; /* 1 */
    enum compression compression;
    bool has_timestamp;
    uint64_t timestamp; /* 6: microseconds since the epoch, the poll's nonce; 0 when absent */
};

/* 0, or -EBADMSG with *reason; the output is untouched then. */
MUST_CHECK int envelope_decode(struct str body, struct envelope *envelope,
                               enum wire_reason *reason);
MUST_CHECK int cipher_properties_decode(struct str bytes, struct cipher_properties *properties,
                                        enum wire_reason *reason);
MUST_CHECK int cipher_metadata_decode(struct str bytes, struct cipher_metadata *metadata,
                                      enum wire_reason *reason);
MUST_CHECK int packed_list_decode(struct str bytes, struct packed_list *list,
                                  enum wire_reason *reason);

/* Append to `out`. 0, -ENOBUFS or -ENOMEM; `out` may then hold a part. Absent fields are not
 * written. */
MUST_CHECK int envelope_encode(const struct envelope *envelope, struct buffer *out);
MUST_CHECK int cipher_properties_encode(const struct cipher_properties *properties,
                                        struct buffer *out);
MUST_CHECK int cipher_metadata_encode(const struct cipher_metadata *metadata, struct buffer *out);
MUST_CHECK int packed_list_encode(const struct packed_list *list, struct buffer *out);

#endif
