/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of the protocol, and packets made to measure. */
#include "support/parties.h"

#include <endian.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/cipher.h"

void parties_init(struct parties *parties)
{
    memset(parties, 0, sizeof *parties);
    parties->limits = PACKET_LIMITS_DEFAULT;
    CHECK(rsa_generate(1024, &parties->meter, &parties->server) == 0);
    CHECK(rsa_generate(1024, &parties->meter, &parties->agent) == 0);
    CHECK(rsa_generate(1024, &parties->meter, &parties->other) == 0);
    CHECK(wire_tools_init(&parties->tools) == 0);
}

void parties_done(struct parties *parties)
{
    rsa_key_free(parties->server);
    rsa_key_free(parties->agent);
    rsa_key_free(parties->other);
    wire_tools_done(&parties->tools);
}

void craft_init(struct craft *craft, const struct parties *parties)
{
    memset(craft, 0, sizeof *craft);
    craft->from = parties->agent;
    craft->to = parties->server;
    CHECK(cipher_random(&craft->keys, sizeof craft->keys) == 0);
    craft->keys.hmac_type = FULL_HMAC;
    craft->nonce = (uint64_t)PARTIES_NOW;
    craft->api_version = WIRE_API_VERSION;
}

static struct str keep(struct buffer *buffer)
{
    struct str view = buffer_view(buffer);
    char *copy = malloc(view.len + 1);
    CHECK(copy != NULL);
    if (view.data != NULL) {
        memcpy(copy, view.data, view.len);
    }
    size_t len = view.len;
    buffer_done(buffer);
    return str_make(copy, len);
}

static struct buffer fresh(void)
{
    struct buffer buffer;
    buffer_init(&buffer, 64 << 20);
    return buffer;
}

static size_t sign_pss(const struct rsa_key *key, struct str in, uint8_t *out)
{
    size_t size = rsa_key_bytes(key);
    EVP_PKEY_CTX *settings;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(context, &settings, EVP_sha256(), NULL, rsa_key_evp(key)) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_MAX) == 1);
    CHECK(EVP_DigestSign(context, out, &size, (const uint8_t *)in.data, in.len) == 1);
    EVP_MD_CTX_free(context);
    return size;
}

static struct str craft_properties(const struct craft *craft)
{
    struct buffer out = fresh();
    if (craft->properties.data != NULL) {
        CHECK(buffer_append(&out, craft->properties) == 0);
    } else {
        CHECK(cipher_properties_encode(&craft->keys, &out) == 0);
    }
    return keep(&out);
}

static struct str craft_metadata(const struct craft *craft, const struct parties *parties,
                                 struct str properties)
{
    uint8_t signature[RSA_BYTES_MAX];
    char name[sizeof "aff4:/" + CLIENT_ID_LEN];
    struct cipher_metadata metadata = {.source = craft->source};
    if (craft->source.data == NULL && !craft->omits_source) {
        snprintf(name, sizeof name, "aff4:/%s", rsa_key_client_id(parties->agent)->text);
        metadata.source = str_from(name);
    }
    struct buffer out = fresh();
    if (craft->metadata.data != NULL) {
        CHECK(buffer_append(&out, craft->metadata) == 0);
        return keep(&out);
    }
    if (!craft->is_unsigned) {
        int len = craft->uses_pss ? (int)sign_pss(craft->from, properties, signature)
                                  : rsa_sign(craft->from, properties, signature);
        CHECK(len > 0);
        metadata.signature = str_make((const char *)signature, (size_t)len);
    }
    CHECK(cipher_metadata_encode(&metadata, &out) == 0);
    return keep(&out);
}

static struct str craft_ciphertext(const struct craft *craft, struct parties *parties,
                                   const uint8_t *iv)
{
    struct packed_list empty = {
        .message_list = STR(""), .has_timestamp = true, .timestamp = craft->nonce};
    struct buffer plain = fresh();
    struct buffer out = fresh();
    if (craft->packed.data != NULL) {
        CHECK(buffer_append(&plain, craft->packed) == 0);
    } else {
        CHECK(packed_list_encode(&empty, &plain) == 0);
    }
    if (craft->raw_ciphertext) {
        return keep(&plain);
    }
    CHECK(cipher_encrypt(parties->tools.cipher, craft->keys.key, iv, buffer_view(&plain), &out) ==
          0);
    buffer_done(&plain);
    return keep(&out);
}

static struct str craft_cipher(const struct craft *craft, struct str properties)
{
    char out[RSA_BYTES_MAX];
    struct buffer copy = fresh();
    int len = rsa_encrypt(craft->to, properties, (uint8_t *)out);
    CHECK(len > 0);
    CHECK(buffer_append(&copy, str_make(out, (size_t)len)) == 0);
    return keep(&copy);
}

struct str craft_build(struct craft *craft, struct parties *parties)
{
    char iv[WIRE_KEY_BYTES];
    char simple[HMAC_SHA256_BYTES], full[HMAC_SHA256_BYTES];
    struct buffer out = fresh();
    struct buffer metadata = fresh();
    struct cipher *cipher = parties->tools.cipher;
    CHECK(cipher_random(iv, sizeof iv) == 0);
    struct str properties = craft_properties(craft);
    struct str plain_metadata = craft_metadata(craft, parties, properties);
    CHECK(cipher_encrypt(cipher, craft->keys.key, craft->keys.metadata_iv, plain_metadata,
                         &metadata) == 0);
    struct envelope envelope = {
        .encrypted = craft_ciphertext(craft, parties, (const uint8_t *)iv),
        .encrypted_cipher = craft_cipher(craft, properties),
        .encrypted_metadata = buffer_view(&metadata),
        .packet_iv = str_make(iv, sizeof iv),
        .api_version = craft->api_version,
        .has_queue_size = true,
    };
    uint32_t version = htole32(craft->api_version);
    const struct str parts[] = {envelope.encrypted, envelope.encrypted_cipher,
                                envelope.encrypted_metadata, envelope.packet_iv,
                                str_make((const char *)&version, sizeof version)};
    int size =
        cipher_hmac(cipher, craft->digest, craft->keys.hmac_key, parts, 1, (uint8_t *)simple);
    CHECK(size > 0);
    CHECK(cipher_hmac(cipher, craft->digest, craft->keys.hmac_key, parts, 5, (uint8_t *)full) ==
          size);
    if (!craft->omits_simple) {
        envelope.simple_hmac = str_make(simple, (size_t)size);
    }
    if (!craft->omits_full) {
        envelope.full_hmac = str_make(full, (size_t)size);
    }
    CHECK(envelope_encode(&envelope, &out) == 0);
    free_str(properties);
    free_str(plain_metadata);
    free_str(envelope.encrypted);
    free_str(envelope.encrypted_cipher);
    buffer_done(&metadata);
    return keep(&out);
}

enum wire_reason parties_receive(struct parties *parties, struct str body,
                                 const struct rsa_key *agent, struct session *session,
                                 struct bundle *bundle)
{
    struct packet packet;
    struct claim claim;
    enum wire_reason reason = WIRE_NO_REASON;
    if (packet_parse(&parties->tools, body, WIRE_API_VERSION, &packet, &reason) == 0 &&
        packet_unwrap(&parties->tools, &packet, parties->server, PACKET_FROM_AGENT, &claim,
                      &reason) == 0 &&
        claim_verify(&claim, agent, session, &reason) == 0 &&
        packet_open(&parties->tools, &packet, session, &parties->limits, bundle, &reason) == 0) {
        claim_wipe(&claim);
        CHECK(reason == WIRE_NO_REASON);
        return WIRE_NO_REASON;
    }
    CHECK(reason != WIRE_NO_REASON);
    return reason;
}
