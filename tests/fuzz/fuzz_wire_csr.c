/* SPDX-License-Identifier: Apache-2.0 */
/* Signing requests and certificates (first byte odd): DER inside PEM, from anybody. So that
 * mutations reach the DER, the input is raw DER and gets its PEM clothes here; where the first
 * byte's second bit is set it is text as it came. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "wire/certificate.h"
#include "wire/enrolment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DER_MAX = 8192, BASE64_LINE = 64 };

static void dress(struct str der, const char *label, struct buffer *pem)
{
    static unsigned char base64[DER_MAX * 2];
    int len = EVP_EncodeBlock(base64, (const unsigned char *)der.data, (int)der.len);
    CHECK(buffer_printf(pem, "-----BEGIN %s-----\n", label) == 0);
    for (int at = 0; at < len; at += BASE64_LINE) {
        CHECK(buffer_printf(pem, "%.*s\n", BASE64_LINE, (const char *)base64 + at) == 0);
    }
    CHECK(buffer_printf(pem, "-----END %s-----\n", label) == 0);
}

static void read_request(struct str pem)
{
    const struct client_id source = {"C.a9da20120f9bc2c2"};
    struct rsa_key *key;
    enum wire_reason reason = WIRE_NO_REASON;
    int error = csr_check(pem, &source, NULL, &key, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error == 0) {
        CHECK(strcmp(rsa_key_client_id(key)->text, source.text) == 0);
        rsa_key_free(key);
    }
}

static void read_certificate(struct str pem)
{
    struct certificate_facts facts;
    struct rsa_key *key;
    enum wire_reason reason = WIRE_NO_REASON;
    int error = certificate_read(pem, NULL, &key, &facts, &reason);
    CHECK((error < 0) == (reason != WIRE_NO_REASON));
    if (error == 0) {
        CHECK(rsa_key_bytes(key) <= RSA_BYTES_MAX);
        rsa_key_free(key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer dressed;
    if (size == 0 || size > DER_MAX) {
        return 0;
    }
    struct str pem = str_make((const char *)data + 1, size - 1);
    bool is_certificate = data[0] & 1;
    buffer_init(&dressed, DER_MAX * 2);
    if ((data[0] & 2) == 0) {
        dress(pem, is_certificate ? "CERTIFICATE" : "CERTIFICATE REQUEST", &dressed);
        pem = buffer_view(&dressed);
    }
    if (is_certificate) {
        read_certificate(pem);
    } else {
        read_request(pem);
    }
    buffer_done(&dressed);
    return 0;
}
