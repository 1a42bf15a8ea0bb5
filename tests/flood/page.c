/* SPDX-License-Identifier: Apache-2.0 */
/* Section 9 of the protocol, the agent's end. */
#include "page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/certificate.h"

/* With the authority's signature, or without anybody's. */
static int read_page(const struct fleet *fleet, struct str pem, usec_t now, uint64_t serial,
                     struct rsa_key **key, struct certificate_facts *facts,
                     enum wire_reason *reason)
{
    if (fleet->authority != NULL) {
        return certificate_check(pem, fleet->authority, now, serial, NULL, key, facts, reason);
    }
    int code = certificate_read(pem, NULL, key, facts, reason);
    if (code == 0 && (now < facts->not_before || now > facts->not_after)) {
        *reason = WIRE_REASON_CERTIFICATE_DATES;
    } else if (code == 0 && facts->serial < serial) {
        *reason = WIRE_REASON_CERTIFICATE_SERIAL;
    } else {
        return code;
    }
    rsa_key_free(*key);
    *key = NULL;
    return -EBADMSG;
}

int page_meet(struct fleet *fleet, struct str pem, usec_t now, struct error *error)
{
    struct certificate_facts facts;
    enum wire_reason reason = WIRE_NO_REASON;
    const char *copy = str_dup(pem);
    if (copy == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    if (read_page(fleet, pem, now, 0, &fleet->server, &facts, &reason) < 0) {
        free((void *)(uintptr_t)copy);
        return error_set(error, -EBADMSG, "/server.pem: %s", wire_reason_sentence(reason));
    }
    snprintf(fleet->server_name, sizeof fleet->server_name, "%s", facts.common_name);
    fleet->server_pem = str_make(copy, pem.len);
    fleet->server_serial = facts.serial;
    fleet->server_from = facts.not_before;
    fleet->server_until = facts.not_after;
    return 0;
}

void page_forget(struct fleet *fleet)
{
    rsa_key_free(fleet->server);
    free((void *)(uintptr_t)fleet->server_pem.data);
    fleet->server = NULL;
    fleet->server_pem = str_make(NULL, 0);
}

static enum fault fault_of(enum wire_reason reason)
{
    switch (reason) {
    case WIRE_REASON_CERTIFICATE_SIGNATURE:
        return FAULT_CERTIFICATE_SIGNATURE;
    case WIRE_REASON_CERTIFICATE_DATES:
        return FAULT_CERTIFICATE_DATES;
    case WIRE_REASON_CERTIFICATE_SERIAL:
        return FAULT_CERTIFICATE_SERIAL;
    case WIRE_REASON_NO_MEMORY:
    case WIRE_REASON_CRYPTO:
        return FAULT_GENERATOR;
    default:
        return FAULT_CERTIFICATE_FORM;
    }
}

/* Byte for byte the first one, whose signature was checked. */
static enum fault check_same(const struct fleet *fleet, usec_t now, uint64_t serial)
{
    if (now < fleet->server_from || now > fleet->server_until) {
        return FAULT_CERTIFICATE_DATES;
    }
    return fleet->server_serial < serial ? FAULT_CERTIFICATE_SERIAL : FAULT_NONE;
}

enum fault page_check(const struct fleet *fleet, struct str pem, usec_t now, uint64_t *serial)
{
    struct certificate_facts facts;
    struct rsa_key *key = NULL;
    enum wire_reason reason = WIRE_NO_REASON;
    if (str_equal(pem, fleet->server_pem)) {
        return check_same(fleet, now, *serial);
    }
    if (read_page(fleet, pem, now, *serial, &key, &facts, &reason) < 0) {
        return fault_of(reason);
    }
    bool is_same = memcmp(rsa_key_fingerprint(key), rsa_key_fingerprint(fleet->server),
                          RSA_FINGERPRINT_BYTES) == 0 &&
                   strcmp(facts.common_name, fleet->server_name) == 0;
    rsa_key_free(key);
    if (is_same) {
        *serial = facts.serial;
    }
    return is_same ? FAULT_NONE : FAULT_CERTIFICATE;
}
