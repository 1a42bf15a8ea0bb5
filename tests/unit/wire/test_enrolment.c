/* SPDX-License-Identifier: Apache-2.0 */
/* Signing requests, certificates and the authority, with keys made here. Recorded ones:
 * test_vectors.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "support/parties.h"
#include "wire/authority.h"
#include "wire/certificate.h"
#include "wire/enrolment.h"
#include "wire/payload.h"
#include "wire/x509.h"

static struct parties parties;
static struct buffer pem, other_pem;

static void set_up(void)
{
    parties_init(&parties);
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    buffer_init(&other_pem, RSA_PEM_BYTES_MAX);
}

static void tear_down(void)
{
    parties_done(&parties);
    buffer_done(&pem);
    buffer_done(&other_pem);
}

TestSuite(enrolment, .init = set_up, .fini = tear_down);

static enum wire_reason check(struct str text, const struct client_id *source)
{
    enum wire_reason reason = WIRE_NO_REASON;
    struct rsa_key *key;
    if (csr_check(text, source, NULL, &key, &reason) == 0) {
        rsa_key_free(key);
    }
    return reason;
}

/* A request for `named`'s name (or two names), with `held`'s key, signed by `signer`. */
static void make_odd(const char *name, bool twice, const struct rsa_key *held,
                     const struct rsa_key *signer, const EVP_MD *digest)
{
    X509_REQ *request = X509_REQ_new();
    X509_NAME *subject = x509_name_new(name);
    BIO *bio = BIO_new(BIO_s_mem());
    if (twice) {
        cr_assert_eq(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                                (const unsigned char *)"x", -1, -1, 0),
                     1);
    }
    X509_REQ_set_subject_name(request, subject);
    X509_REQ_set_pubkey(request, rsa_key_evp(held));
    cr_assert_gt(X509_REQ_sign(request, rsa_key_evp(signer), digest), 0);
    cr_assert_eq(PEM_write_bio_X509_REQ(bio, request), 1);
    buffer_clear(&pem);
    cr_assert_eq(x509_append_pem(bio, true, &pem), 0);
    X509_NAME_free(subject);
    X509_REQ_free(request);
}

Test(enrolment, an_honest_request_passes_for_its_source_only)
{
    cr_assert_eq(csr_make(parties.agent, &pem), 0);
    cr_expect_eq(check(buffer_view(&pem), rsa_key_client_id(parties.agent)), WIRE_NO_REASON);
    cr_expect_eq(check(buffer_view(&pem), rsa_key_client_id(parties.other)),
                 WIRE_REASON_CSR_SOURCE);
}

Test(enrolment, each_dishonest_request_has_a_reason_of_its_own)
{
    char name[32], other_name[32];
    const struct client_id *id = rsa_key_client_id(parties.agent);
    snprintf(name, sizeof name, "aff4:/%s", id->text);
    snprintf(other_name, sizeof other_name, "aff4:/%s", rsa_key_client_id(parties.other)->text);
    make_odd(name, false, parties.agent, parties.other, EVP_sha256());
    cr_expect_eq(check(buffer_view(&pem), id), WIRE_REASON_CSR_SIGNATURE);
    make_odd(other_name, false, parties.agent, parties.agent, EVP_sha256());
    cr_expect_eq(check(buffer_view(&pem), id), WIRE_REASON_CSR_NAME);
    make_odd(id->text, false, parties.agent, parties.agent, EVP_sha256());
    cr_expect_eq(check(buffer_view(&pem), id), WIRE_REASON_CSR_NAME, "without aff4:/");
    make_odd(name, true, parties.agent, parties.agent, EVP_sha256());
    cr_expect_eq(check(buffer_view(&pem), id), WIRE_REASON_CSR_SUBJECT);
    cr_expect_eq(check(STR(""), id), WIRE_REASON_CSR_FORM);
    cr_expect_eq(check(STR("-----BEGIN CERTIFICATE REQUEST-----\n"), id), WIRE_REASON_CSR_FORM);
}

Test(enrolment, keys_of_other_kinds_and_sizes_are_refused)
{
    static const char *const kinds[] = {"ec", "small"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        EVP_PKEY *pkey = i == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(768);
        X509_REQ *request = X509_REQ_new();
        BIO *bio = BIO_new(BIO_s_mem());
        X509_REQ_set_pubkey(request, pkey);
        cr_assert_gt(X509_REQ_sign(request, pkey, EVP_sha256()), 0);
        cr_assert_eq(PEM_write_bio_X509_REQ(bio, request), 1);
        buffer_clear(&pem);
        cr_assert_eq(x509_append_pem(bio, true, &pem), 0);
        cr_expect_eq(check(buffer_view(&pem), rsa_key_client_id(parties.agent)),
                     WIRE_REASON_CSR_KEY, "%s", kinds[i]);
        X509_REQ_free(request);
        EVP_PKEY_free(pkey);
    }
}

Test(enrolment, no_flipped_byte_of_a_request_passes)
{
    cr_assert_eq(csr_make(parties.agent, &pem), 0);
    const struct client_id *id = rsa_key_client_id(parties.agent);
    struct str body = buffer_view(&pem);
    size_t start = sizeof "-----BEGIN CERTIFICATE REQUEST-----";
    for (size_t i = start; i < body.len - start; i++) {
        char was = pem.data[i];
        pem.data[i] = was == 'A' ? 'B' : 'A';
        if (was != '\n' && was != '=' && pem.data[i + 1] != '=' && pem.data[i + 2] != '=') {
            cr_expect_neq(check(body, id), WIRE_NO_REASON, "byte %zu", i);
        }
        pem.data[i] = was;
    }
    cr_expect_eq(check(body, id), WIRE_NO_REASON);
}

Test(enrolment, a_new_agent_comes_in_by_one_packet)
{
    struct buffer args, list, packed;
    struct craft craft;
    struct packet packet;
    struct claim claim;
    struct session session;
    struct bundle bundle;
    struct message message;
    struct client_id source;
    struct rsa_key *key;
    enum wire_reason reason;
    buffer_init(&args, 1 << 16);
    buffer_init(&list, 1 << 16);
    buffer_init(&packed, 1 << 16);
    bundle_init(&bundle, &parties.limits);
    cr_assert_eq(csr_make(parties.agent, &pem), 0);
    cr_assert_eq(payload_write_csr(buffer_view(&pem), &args), 0);
    const struct message enrol = {.session_id = str_from(wire_handler_session(WIRE_HANDLER_ENROL)),
                                  .args = buffer_view(&args),
                                  .args_type = STR("Certificate")};
    cr_assert_eq(message_list_append(&list, &enrol), 0);
    const struct packed_list lists = {
        .message_list = buffer_view(&list), .has_timestamp = true, .timestamp = 1};
    cr_assert_eq(packed_list_encode(&lists, &packed), 0);
    craft_init(&craft, &parties);
    craft.packed = buffer_view(&packed);
    struct str body = craft_build(&craft, &parties);

    cr_assert_eq(packet_parse(&parties.tools, body, 3, &packet, &reason), 0);
    cr_assert_eq(
        packet_unwrap(&parties.tools, &packet, parties.server, PACKET_FROM_AGENT, &claim, &reason),
        0);
    cr_assert_eq(
        packet_open(&parties.tools, &packet, &claim.session, &parties.limits, &bundle, &reason), 0);
    struct str rest = bundle.list;
    cr_assert_eq(message_next(&rest, &message), 1);
    cr_assert_eq(payload_read_csr(message.args, &other_pem, &reason), 0);
    cr_assert_eq(client_id_from_source(str_from(claim.session.source), &source), 0);
    cr_assert_eq(csr_check(buffer_view(&other_pem), &source, NULL, &key, &reason), 0);
    cr_assert_eq(claim_verify(&claim, key, &session, &reason), 0);
    cr_expect_eq(claim_verify(&claim, parties.other, &session, &reason), -EBADMSG);
    rsa_key_free(key);
    free_str(body);
    bundle_done(&bundle);
    buffer_done(&args);
    buffer_done(&list);
    buffer_done(&packed);
}

Test(enrolment, an_authority_makes_what_an_agent_believes)
{
    const struct certificate_wish own = {.common_name = "Portico CA",
                                         .serial = 1,
                                         .not_before = PARTIES_NOW,
                                         .not_after = PARTIES_NOW + 365 * USEC_PER_DAY};
    struct certificate_wish servers = own;
    struct buffer server_pem;
    struct authority *authority;
    struct certificate_facts facts;
    struct rsa_key *key;
    enum wire_reason reason;
    servers.common_name = "grr";
    servers.serial = 2;
    buffer_init(&server_pem, RSA_PEM_BYTES_MAX);
    cr_assert_eq(authority_make(parties.other, &own, &pem), 0);
    cr_expect_eq(authority_open(parties.agent, buffer_view(&pem), &authority), -EINVAL,
                 "another key's certificate");
    cr_expect_eq(authority_open(parties.other, STR("none"), &authority), -EINVAL);
    cr_assert_eq(authority_open(parties.other, buffer_view(&pem), &authority), 0);
    cr_assert_eq(authority_certify(authority, parties.server, &servers, &server_pem), 0);
    struct str text = buffer_view(&server_pem);
    cr_assert_eq(
        certificate_check(text, parties.other, PARTIES_NOW, 2, NULL, &key, &facts, &reason), 0);
    cr_expect_str_eq(facts.common_name, "grr");
    cr_expect_eq(facts.not_before, PARTIES_NOW);
    cr_expect_arr_eq(rsa_key_fingerprint(key), rsa_key_fingerprint(parties.server),
                     RSA_FINGERPRINT_BYTES);
    rsa_key_free(key);
#define REFUSED(authority, when, serial, expected)                                                 \
    cr_expect(certificate_check(text, authority, when, serial, NULL, &key, &facts, &reason) < 0 && \
              reason == WIRE_REASON_CERTIFICATE_##expected)
    REFUSED(parties.agent, PARTIES_NOW, 2, SIGNATURE);
    REFUSED(parties.other, PARTIES_NOW - 1, 2, DATES);
    REFUSED(parties.other, PARTIES_NOW + 366 * USEC_PER_DAY, 2, DATES);
    REFUSED(parties.other, PARTIES_NOW, 3, SERIAL);
    text = STR("nothing");
    REFUSED(parties.other, PARTIES_NOW, 2, FORM);
    buffer_clear(&server_pem);
    cr_assert_eq(authority_certify_agent(authority, parties.agent, PARTIES_NOW, &server_pem), 0);
    authority_free(authority);
    cr_assert_eq(certificate_check(buffer_view(&server_pem), parties.other, PARTIES_NOW, 0, NULL,
                                   &key, &facts, &reason),
                 0);
    cr_expect_eq(facts.serial, client_id_number(rsa_key_client_id(parties.agent)));
    cr_expect_eq(facts.not_before, PARTIES_NOW - 10 * USEC_PER_SEC);
    cr_expect_eq(facts.not_after, PARTIES_NOW + 364 * USEC_PER_DAY);
    rsa_key_free(key);
    buffer_done(&server_pem);
}
