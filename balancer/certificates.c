/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and rules for TLS, from options. */
#include "certificates.h"

#include <errno.h>

enum {
    IDENTITIES_MAX = 64,
    VERIFY_OFF = 0, /* words of Balancer.tls_client_verify */
    VERIFY_REQUIRED = 2,
    MIN_VERSION_1_3 = 1, /* of Balancer.tls_min_version */
};

int certificates_load(const struct config *config, struct tls_tickets *tickets,
                      struct tls_context **context, struct error *error)
{
    struct tls_identity identities[IDENTITIES_MAX];
    struct option_list files = config_list(config, "Balancer.tls_certificates");
    if (!config_is_set(config, "Balancer.tls_bind_port")) {
        *context = NULL;
        return 0;
    }
    if (files.count == 0 || files.count > IDENTITIES_MAX) {
        error_set_key(error, "Balancer.tls_certificates");
        return error_set(error, -EINVAL,
                         "HTTPS wants 1 to %d PEM files with a certificate and its key",
                         IDENTITIES_MAX);
    }
    for (size_t i = 0; i < files.count; i++) {
        const struct tls_pem pem = {.file = files.items[i]};
        identities[i] = (struct tls_identity){.certificate = pem, .key = pem};
    }
    unsigned verify = config_enum(config, "Balancer.tls_client_verify");
    struct tls_server_options options = {
        .identities = identities,
        .identity_count = files.count,
        .tickets = config_bool(config, "Balancer.tls_tickets") ? tickets : NULL,
        .alpn_http1 = true,
        .only_tls13 = config_enum(config, "Balancer.tls_min_version") == MIN_VERSION_1_3,
        .client_certificate_required = verify == VERIFY_REQUIRED,
    };
    if (verify != VERIFY_OFF) {
        options.client_authorities.file = config_str(config, "Balancer.tls_client_ca");
    }
    struct tls_context *made = tls_server_context_new(&options, error);
    if (made == NULL) {
        return -EINVAL;
    }
    *context = made;
    return 0;
}
