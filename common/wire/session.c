/* SPDX-License-Identifier: Apache-2.0 */
/* Session material, sections 4 and 5. Any thread, each with its tools. */
#include "wire/session.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/check.h"
#include "wire/tools.h"

/* CipherProperties take 69 bytes. */
enum { PROPERTIES_BYTES_MAX = 128 };

void session_wipe(struct session *session)
{
    OPENSSL_cleanse(session, sizeof *session);
}

bool session_is_of(const struct session *session, const uint8_t *fingerprint)
{
    return memcmp(session->peer, fingerprint, sizeof session->peer) == 0;
}

void sealing_wipe(struct sealing *sealing)
{
    OPENSSL_cleanse(sealing, sizeof *sealing);
}

bool sealing_is_usable(const struct sealing *sealing, const struct rsa_key *peer, usec_t now)
{
    return sealing->made <= now && now - sealing->made < SEALING_LIFETIME &&
           memcmp(sealing->peer, rsa_key_fingerprint(peer), sizeof sealing->peer) == 0;
}

static int make_properties(struct cipher_properties *properties)
{
    properties->hmac_type = FULL_HMAC;
    int error = cipher_random(properties->key, sizeof properties->key);
    if (error == 0) {
        error = cipher_random(properties->metadata_iv, sizeof properties->metadata_iv);
    }
    return error < 0 ? error : cipher_random(properties->hmac_key, sizeof properties->hmac_key);
}

static int make_metadata(const struct rsa_key *own, struct str source, struct str properties,
                         struct buffer *out)
{
    char urn[sizeof "aff4:/" + SESSION_SOURCE_BYTES] = "aff4:/";
    uint8_t signature[RSA_BYTES_MAX];
    int len = rsa_sign(own, properties, signature);
    if (len < 0) {
        return len;
    }
    size_t prefix = sizeof "aff4:/" - 1;
    memcpy(urn + prefix, source.data, source.len);
    const struct cipher_metadata metadata = {
        .source = str_make(urn, prefix + source.len),
        .signature = str_make((const char *)signature, (size_t)len),
    };
    return cipher_metadata_encode(&metadata, out);
}

/* Sign, encrypt the properties to the peer, encrypt the metadata with them. */
static int wrap(struct wire_tools *tools, const struct rsa_key *own, const struct rsa_key *peer,
                struct str source, const struct cipher_properties *properties,
                struct buffer *scratch, struct sealing *sealing)
{
    struct buffer encrypted;
    int error = cipher_properties_encode(properties, scratch);
    if (error < 0) {
        return error;
    }
    struct str serialized = buffer_view(scratch);
    int len = rsa_encrypt(peer, serialized, sealing->cipher);
    if (len < 0) {
        return -EIO;
    }
    sealing->cipher_len = (uint16_t)len;

    struct buffer metadata;
    buffer_init(&metadata, SEALING_METADATA_BYTES);
    buffer_init(&encrypted, SEALING_METADATA_BYTES);
    if ((error = make_metadata(own, source, serialized, &metadata)) == 0 &&
        (error = cipher_encrypt(tools->cipher, properties->key, properties->metadata_iv,
                                buffer_view(&metadata), &encrypted)) == 0) {
        struct str view = buffer_view(&encrypted);
        CHECK(view.data != NULL && view.len <= sizeof sealing->metadata);
        memcpy(sealing->metadata, view.data, view.len);
        sealing->metadata_len = (uint16_t)view.len;
    }
    buffer_done(&metadata);
    buffer_done(&encrypted);
    return error;
}

int sealing_make(struct wire_tools *tools, const struct rsa_key *own, const struct rsa_key *peer,
                 struct str source, usec_t now, struct sealing *sealing, enum wire_reason *reason)
{
    struct cipher_properties properties;
    struct sealing made = {.made = now};
    struct buffer scratch;
    CHECK(source.len > 0 && source.len <= SESSION_SOURCE_BYTES);
    buffer_init(&scratch, PROPERTIES_BYTES_MAX);
    int error = make_properties(&properties);
    if (error == 0) {
        memcpy(made.key, properties.key, sizeof made.key);
        memcpy(made.hmac_key, properties.hmac_key, sizeof made.hmac_key);
        memcpy(made.peer, rsa_key_fingerprint(peer), sizeof made.peer);
        error = wrap(tools, own, peer, source, &properties, &scratch, &made);
    }
    if (error == 0) {
        *sealing = made;
    }
    OPENSSL_cleanse(&properties, sizeof properties);
    sealing_wipe(&made);
    if (scratch.data != NULL) {
        OPENSSL_cleanse(scratch.data, scratch.capacity);
    }
    buffer_done(&scratch);
    if (error < 0) {
        return wire_refuse(reason, error == -ENOMEM ? WIRE_REASON_NO_MEMORY : WIRE_REASON_CRYPTO);
    }
    return 0;
}
