/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates of an instance. Loaded by the main thread, at the start and by each reload.
 */
#include "identity.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "wire/authority.h"
#include "wire/certificate.h"

static int load_key(const struct config *config, const char *option, struct rsa_meter *meter,
                    struct rsa_key **key, struct error *error)
{
    int result = rsa_private_from_pem(str_from(config_str(config, option)), meter, key);
    return result < 0 ? error_set(error, result, "%s holds no usable RSA key", option) : 0;
}

static int load_certificate(struct identity *identity, const struct config *config,
                            struct error *error)
{
    struct certificate_facts facts;
    struct rsa_key *key = NULL;
    enum wire_reason reason = WIRE_NO_REASON;
    const char *pem = config_str(config, "Frontend.certificate");
    int result = certificate_read(str_from(pem), NULL, &key, &facts, &reason);
    if (result < 0) {
        return error_set(error, -EINVAL, "Frontend.certificate: %s", wire_reason_sentence(reason));
    }
    rsa_key_free(key);
    snprintf(identity->name, sizeof identity->name, "%s", facts.common_name);
    identity->serial = facts.serial;
    /* Values lose the white space around them; a PEM file ends with its line. */
    if (asprintf(&identity->certificate, "%s\n", pem) < 0) {
        identity->certificate = NULL;
    }
    return identity->certificate == NULL ? error_set(error, -ENOMEM, "no memory") : 0;
}

static int load_authority(struct identity *identity, const struct config *config,
                          struct rsa_meter *meter, struct error *error)
{
    if (!config_is_set(config, "PrivateKeys.ca_key") || !config_is_set(config, "CA.certificate")) {
        return 0;
    }
    int result = load_key(config, "PrivateKeys.ca_key", meter, &identity->authority_key, error);
    if (result < 0) {
        return result;
    }
    result = authority_open(identity->authority_key, str_from(config_str(config, "CA.certificate")),
                            &identity->authority);
    return result == -ENOMEM ? error_set(error, result, "no memory")
           : result < 0
               ? error_set(error, result, "CA.certificate is not that of PrivateKeys.ca_key")
               : 0;
}

/* The ciphers that we make for agents are signed with the key and carry the name. */
static void take_fingerprint(struct identity *identity)
{
    unsigned char text[RSA_FINGERPRINT_BYTES + sizeof identity->name];
    static_assert(RSA_FINGERPRINT_BYTES == SHA256_DIGEST_LENGTH, "a fingerprint is a SHA-256");
    memcpy(text, rsa_key_fingerprint(identity->key), RSA_FINGERPRINT_BYTES);
    memcpy(text + RSA_FINGERPRINT_BYTES, identity->name, sizeof identity->name);
    SHA256(text, sizeof text, identity->fingerprint);
}

int identity_load(struct identity *identity, const struct config *config, struct rsa_meter *meter,
                  struct error *error)
{
    *identity = (struct identity){.key = NULL};
    if (!config_is_set(config, "PrivateKeys.server_key") ||
        !config_is_set(config, "Frontend.certificate")) {
        return error_set(error, -EINVAL,
                         "PrivateKeys.server_key and Frontend.certificate are needed; "
                         "\"portico init\" makes them");
    }
    int result = load_key(config, "PrivateKeys.server_key", meter, &identity->key, error);
    if (result == 0) {
        result = load_certificate(identity, config, error);
    }
    if (result == 0) {
        result = load_authority(identity, config, meter, error);
    }
    if (result == 0) {
        take_fingerprint(identity);
    }
    if (result < 0) {
        identity_done(identity);
    }
    return result;
}

void identity_done(struct identity *identity)
{
    rsa_key_free(identity->key);
    authority_free(identity->authority);
    rsa_key_free(identity->authority_key);
    free(identity->certificate);
    *identity = (struct identity){.key = NULL};
}
