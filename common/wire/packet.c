/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what was received, section 4. See packet.h for the order and the threads. */
#include "wire/packet.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/check.h"
#include "wire/cipher.h"
#include "wire/name.h"
#include "wire/tools.h"

uint32_t packet_api_from_query(struct str query)
{
    struct str part;
    uint64_t version;
    while (str_split(&query, '&', &part)) {
        if (str_starts_with(part, STR("api="))) {
            return str_to_uint64(str_skip(part, sizeof "api=" - 1), &version) < 0 ||
                           version > UINT32_MAX
                       ? WIRE_API_VERSION
                       : (uint32_t)version;
        }
    }
    return WIRE_API_VERSION;
}

static enum wire_reason find_fault(const struct packet *packet)
{
    const struct envelope *envelope = &packet->envelope;
    if (packet->api_version != WIRE_API_VERSION) {
        return WIRE_REASON_API_VERSION;
    }
    if (envelope->encrypted_cipher.len == 0) {
        return WIRE_REASON_NOT_ENCRYPTED;
    }
    if (envelope->packet_iv.len != WIRE_KEY_BYTES) {
        return WIRE_REASON_IV_LENGTH;
    }
    if (envelope->encrypted.len == 0 || envelope->encrypted.len % WIRE_BLOCK_BYTES != 0) {
        return WIRE_REASON_CIPHERTEXT_LENGTH;
    }
    return WIRE_NO_REASON;
}

int packet_parse(struct wire_tools *tools, struct str body, uint32_t query_api,
                 struct packet *packet, enum wire_reason *reason)
{
    struct packet found = {.is_authentic = false};
    int error = envelope_decode(body, &found.envelope, reason);
    if (error < 0) {
        return error;
    }
    /* Section 1: the query counts only where the envelope says nothing. */
    found.api_version = found.envelope.api_version != 0 ? found.envelope.api_version : query_api;
    enum wire_reason fault = find_fault(&found);
    if (fault != WIRE_NO_REASON) {
        return wire_refuse(reason, fault);
    }
    if (cipher_digest(tools->cipher, found.envelope.encrypted_cipher, found.digest) < 0) {
        return wire_refuse(reason, WIRE_REASON_CRYPTO);
    }
    *packet = found;
    return 0;
}

static int refuse_hmac(int error, enum wire_reason *reason)
{
    switch (error) {
    case -ENODATA:
        return wire_refuse(reason, WIRE_REASON_HMAC_MISSING);
    case -EMSGSIZE:
        return wire_refuse(reason, WIRE_REASON_HMAC_LENGTH);
    case -EBADMSG:
        return wire_refuse(reason, WIRE_REASON_HMAC_MISMATCH);
    default:
        return wire_refuse(reason, WIRE_REASON_CRYPTO);
    }
}

/* Section 4: which HMAC counts is said inside the cipher, not by what the packet carries. */
static int check_hmac(struct wire_tools *tools, struct packet *packet,
                      const struct session *session, enum wire_reason *reason)
{
    const struct envelope *envelope = &packet->envelope;
    struct envelope_parts parts;
    envelope_parts_list(envelope, packet->api_version, &parts);
    bool is_full = session->hmac_type == FULL_HMAC;
    int error = cipher_hmac_check(tools->cipher, session->hmac_key, parts.list,
                                  is_full ? ENVELOPE_PARTS : 1,
                                  is_full ? envelope->full_hmac : envelope->simple_hmac);
    if (error < 0) {
        return refuse_hmac(error, reason);
    }
    packet->is_authentic = true;
    return 0;
}

int packet_match(struct wire_tools *tools, struct packet *packet, const struct session *session,
                 enum wire_reason *reason)
{
    CHECK(memcmp(packet->digest, session->digest, sizeof packet->digest) == 0);
    return check_hmac(tools, packet, session, reason);
}

void claim_wipe(struct claim *claim)
{
    OPENSSL_cleanse(claim, sizeof *claim);
}

static int unwrap_properties(const struct packet *packet, const struct rsa_key *own,
                             struct claim *claim, enum wire_reason *reason)
{
    struct cipher_properties properties;
    int len = rsa_decrypt(own, packet->envelope.encrypted_cipher, claim->properties);
    if (len < 0) {
        return wire_refuse(reason, len == -EIO ? WIRE_REASON_CRYPTO : WIRE_REASON_CIPHER_DECRYPT);
    }
    claim->properties_len = (uint16_t)len;
    int error = cipher_properties_decode(str_make((const char *)claim->properties, (size_t)len),
                                         &properties, reason);
    if (error < 0) {
        return error;
    }
    struct session *session = &claim->session;
    memcpy(session->digest, packet->digest, sizeof session->digest);
    memcpy(session->key, properties.key, sizeof session->key);
    memcpy(session->metadata_iv, properties.metadata_iv, sizeof session->metadata_iv);
    memcpy(session->hmac_key, properties.hmac_key, sizeof session->hmac_key);
    session->hmac_type = (uint8_t)properties.hmac_type;
    OPENSSL_cleanse(&properties, sizeof properties);
    return 0;
}

static int take_agent_source(struct str source, struct session *session, enum wire_reason *reason)
{
    struct client_id id;
    int error = client_id_from_source(source, &id);
    if (error < 0) {
        return wire_refuse(reason, error == -ENOENT ? WIRE_REASON_SOURCE_NOT_CANONICAL
                                                    : WIRE_REASON_SOURCE_MALFORMED);
    }
    memcpy(session->source, id.text, sizeof id.text);
    return 0;
}

static int take_server_source(struct str source, struct session *session, enum wire_reason *reason)
{
    struct urn urn;
    if (urn_parse(source, &urn) < 0 || urn.len > SESSION_SOURCE_BYTES) {
        return wire_refuse(reason, WIRE_REASON_SOURCE_MALFORMED);
    }
    memcpy(session->source, urn.text, urn.len);
    return 0;
}

static int take_metadata(struct str plain, enum packet_sender sender, struct claim *claim,
                         enum wire_reason *reason)
{
    struct cipher_metadata metadata;
    int error = cipher_metadata_decode(plain, &metadata, reason);
    if (error < 0) {
        return error;
    }
    if (metadata.signature.len > sizeof claim->signature) {
        return wire_refuse(reason, WIRE_REASON_SIGNATURE);
    }
    claim->signature_len = (uint16_t)metadata.signature.len;
    if (metadata.signature.len > 0) {
        memcpy(claim->signature, metadata.signature.data, metadata.signature.len);
    }
    return sender == PACKET_FROM_AGENT
               ? take_agent_source(metadata.source, &claim->session, reason)
               : take_server_source(metadata.source, &claim->session, reason);
}

/* Under SIMPLE_HMAC nobody has vouched for the metadata, so bad padding and bad content are one
 * reason: no padding oracle. */
static int unwrap_metadata(struct wire_tools *tools, const struct packet *packet,
                           enum packet_sender sender, struct claim *claim, enum wire_reason *reason)
{
    struct str encrypted = packet->envelope.encrypted_metadata;
    struct buffer plain;
    if (encrypted.len > sizeof claim->signature + URN_BYTES_MAX) {
        return wire_refuse(reason, WIRE_REASON_METADATA);
    }
    buffer_init(&plain, encrypted.len + WIRE_BLOCK_BYTES);
    int error = cipher_decrypt(tools->cipher, claim->session.key, claim->session.metadata_iv,
                               encrypted, &plain);
    if (error == 0) {
        error = take_metadata(buffer_view(&plain), sender, claim, reason);
    } else if (error == -ENOMEM) {
        error = wire_refuse(reason, WIRE_REASON_NO_MEMORY);
    } else if (error == -EIO) {
        error = wire_refuse(reason, WIRE_REASON_CRYPTO);
    } else {
        error = wire_refuse(reason, WIRE_REASON_METADATA);
    }
    buffer_done(&plain);
    return error;
}

int packet_unwrap(struct wire_tools *tools, struct packet *packet, const struct rsa_key *own,
                  enum packet_sender sender, struct claim *claim, enum wire_reason *reason)
{
    memset(claim, 0, sizeof *claim);
    int error = unwrap_properties(packet, own, claim, reason);
    if (error == 0) {
        error = check_hmac(tools, packet, &claim->session, reason);
    }
    if (error == 0) {
        error = unwrap_metadata(tools, packet, sender, claim, reason);
    }
    if (error < 0) {
        claim_wipe(claim);
    }
    return error;
}

int claim_verify(const struct claim *claim, const struct rsa_key *peer, struct session *session,
                 enum wire_reason *reason)
{
    if (claim->signature_len == 0) {
        return wire_refuse(reason, WIRE_REASON_SIGNATURE_MISSING);
    }
    /* Over the bytes received: encoders differ (section 2). */
    int error = rsa_verify(peer, str_make((const char *)claim->properties, claim->properties_len),
                           str_make((const char *)claim->signature, claim->signature_len));
    if (error < 0) {
        return wire_refuse(reason, error == -EIO ? WIRE_REASON_CRYPTO : WIRE_REASON_SIGNATURE);
    }
    *session = claim->session;
    memcpy(session->peer, rsa_key_fingerprint(peer), sizeof session->peer);
    return 0;
}

/* Decrypting wants a block of room, inflating a step of its own. */
enum { SLACK_BYTES = 64 * 1024 };

void bundle_init(struct bundle *bundle, const struct packet_limits *limits)
{
    *bundle = (struct bundle){.count = 0};
    buffer_init(&bundle->plain, limits->zip.bytes + SLACK_BYTES);
    buffer_init(&bundle->inflated, limits->zip.bytes + SLACK_BYTES);
}

void bundle_done(struct bundle *bundle)
{
    buffer_done(&bundle->plain);
    buffer_done(&bundle->inflated);
    bundle->list = str_make(NULL, 0);
    bundle->count = 0;
}

static void empty_bundle(struct bundle *bundle)
{
    wire_tools_reuse(&bundle->plain);
    wire_tools_reuse(&bundle->inflated);
    bundle->list = str_make(NULL, 0);
    bundle->count = 0;
    bundle->has_timestamp = false;
    bundle->timestamp = 0;
}

static int decrypt_list(struct wire_tools *tools, const struct packet *packet,
                        const struct session *session, struct buffer *out, enum wire_reason *reason)
{
    int error = cipher_decrypt(tools->cipher, session->key,
                               (const uint8_t *)packet->envelope.packet_iv.data,
                               packet->envelope.encrypted, out);
    switch (error) {
    case 0:
        return 0;
    case -EBADMSG:
        return wire_refuse(reason, WIRE_REASON_PADDING);
    case -ENOBUFS:
        return wire_refuse(reason, WIRE_REASON_INFLATE_SIZE);
    case -ENOMEM:
        return wire_refuse(reason, WIRE_REASON_NO_MEMORY);
    default:
        return wire_refuse(reason, WIRE_REASON_CRYPTO);
    }
}

static int unpack(struct wire_tools *tools, struct str plain, const struct packet_limits *limits,
                  struct bundle *bundle, enum wire_reason *reason)
{
    struct packed_list packed;
    int error = packed_list_decode(plain, &packed, reason);
    if (error < 0) {
        return error;
    }
    bundle->has_timestamp = packed.has_timestamp;
    bundle->timestamp = packed.timestamp;
    bundle->list = packed.message_list;
    if (packed.compression == ZCOMPRESSION) {
        error =
            zip_inflate(tools->zip, packed.message_list, &limits->zip, &bundle->inflated, reason);
        bundle->list = buffer_view(&bundle->inflated);
    } else if (packed.message_list.len > limits->zip.bytes) {
        error = wire_refuse(reason, WIRE_REASON_INFLATE_SIZE);
    }
    return error;
}

int packet_open(struct wire_tools *tools, const struct packet *packet,
                const struct session *session, const struct packet_limits *limits,
                struct bundle *bundle, enum wire_reason *reason)
{
    CHECK(packet->is_authentic);
    empty_bundle(bundle);
    int error = decrypt_list(tools, packet, session, &bundle->plain, reason);
    if (error == 0) {
        error = unpack(tools, buffer_view(&bundle->plain), limits, bundle, reason);
    }
    if (error == 0) {
        error = message_list_check(bundle->list, &limits->messages, &bundle->count, reason);
    }
    if (error < 0) {
        empty_bundle(bundle);
    }
    return error;
}
