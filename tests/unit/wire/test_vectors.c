/* SPDX-License-Identifier: Apache-2.0 */
/* Every recorded packet against our decoding: what the real server accepted we accept and read the
 * same, what it refused we refuse with the reason named here, and where we differ on purpose
 * (protocol, section 13) it is written down. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/recording.h"
#include "support/support.h"
#include "wire/certificate.h"
#include "wire/enrolment.h"
#include "wire/message.h"
#include "wire/name.h"
#include "wire/payload.h"
#include "wire/replay.h"

/* The recording server's clock, as its answer to a poll without timestamp shows. */
#define RECORDED_NOW ((usec_t)1795288914746950)

enum { SESSIONS_MAX = 16 };

struct bench {
    struct recording recording;
    struct session sessions[SESSIONS_MAX]; /* what a server keeps of them */
    size_t session_count;
};

/* What the real server answers 500 (or, with quirk, 200): our reason. */
static const struct {
    const char *scenario;
    enum wire_reason reason;
} refusals[] = {
    {"packed_bad_zlib", WIRE_REASON_INFLATE},
    {"packed_unknown_compression", WIRE_REASON_COMPRESSION},
    {"packed_garbage", WIRE_REASON_PACKED_LIST},
    {"simple_hmac_bad", WIRE_REASON_HMAC_MISMATCH},
    {"api_version_missing_query2", WIRE_REASON_API_VERSION},
    {"api_version_2", WIRE_REASON_API_VERSION},
    {"api_version_4", WIRE_REASON_API_VERSION},
    {"bad_full_hmac", WIRE_REASON_HMAC_MISMATCH},
    {"bad_encrypted", WIRE_REASON_HMAC_MISMATCH},
    {"bad_encrypted_cipher", WIRE_REASON_CIPHER_DECRYPT},
    {"bad_encrypted_cipher_metadata", WIRE_REASON_HMAC_MISMATCH},
    {"bad_packet_iv", WIRE_REASON_HMAC_MISMATCH},
    {"hmac_truncated", WIRE_REASON_HMAC_LENGTH},
    {"hmac_missing", WIRE_REASON_HMAC_MISSING},
    {"encrypted_cipher_short", WIRE_REASON_CIPHER_DECRYPT},
    {"encrypted_cipher_missing", WIRE_REASON_NOT_ENCRYPTED},
    {"encrypted_cipher_other_server", WIRE_REASON_CIPHER_DECRYPT},
    {"empty_body", WIRE_REASON_NOT_ENCRYPTED},
    {"garbage_body", WIRE_REASON_ENVELOPE},
    {"body_truncated", WIRE_REASON_ENVELOPE},
    {"bad_padding", WIRE_REASON_PADDING},
    {"ciphertext_not_block_multiple", WIRE_REASON_CIPHERTEXT_LENGTH},
    {"ciphertext_empty", WIRE_REASON_CIPHERTEXT_LENGTH},
    {"cipher_wrong_len_key", WIRE_REASON_CIPHER_KEY_LENGTH},
    {"cipher_wrong_len_metadata_iv", WIRE_REASON_CIPHER_KEY_LENGTH},
    {"cipher_wrong_len_hmac_key", WIRE_REASON_CIPHER_KEY_LENGTH},
    {"cipher_garbage", WIRE_REASON_CIPHER_PROPERTIES},
    {"signature_by_other_key", WIRE_REASON_SIGNATURE},
    {"source_is_other_known_client", WIRE_REASON_SIGNATURE},
    {"source_malformed", WIRE_REASON_SOURCE_MALFORMED},
    {"cached_cipher_bad_hmac", WIRE_REASON_HMAC_MISMATCH},
    /* Section 13: an unsigned packet naming a known agent is refused. */
    {"signature_missing_known_client", WIRE_REASON_SIGNATURE_MISSING},
    {"unsigned_drains_queue", WIRE_REASON_SIGNATURE_MISSING},
};

static enum wire_reason refusal_of(const char *scenario)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (strcmp(refusals[i].scenario, scenario) == 0) {
            return refusals[i].reason;
        }
    }
    return WIRE_NO_REASON;
}

static void start_scenario(struct bench *bench, const json_t *scenario)
{
    size_t i;
    json_t *entry;
    bench->session_count = 0;
    for (i = 0; i < bench->recording.client_count; i++) {
        bench->recording.clients[i].is_enrolled = false;
        bench->recording.clients[i].clock = 0;
    }
    json_array_foreach(json_object_get(json_object_get(scenario, "initial"), "clients"), i, entry)
    {
        struct recorded_client *client = recording_client(
            &bench->recording, json_string_value(json_object_get(entry, "client")));
        CHECK(client != NULL);
        client->is_enrolled = json_is_true(json_object_get(entry, "has_certificate"));
        client->clock = json_integer_value(json_object_get(entry, "clock_us"));
    }
}

static const struct session *find_session(const struct bench *bench, const uint8_t *digest)
{
    for (size_t i = 0; i < bench->session_count; i++) {
        if (memcmp(bench->sessions[i].digest, digest, SHA256_BYTES) == 0) {
            return &bench->sessions[i];
        }
    }
    return NULL;
}

static void expect_number(const json_t *message, const char *key, bool has, uint64_t value)
{
    json_t *member = json_object_get(message, key);
    cr_expect_eq(member != NULL, has, "%s", key);
    if (member != NULL && has) {
        cr_expect_eq((uint64_t)json_integer_value(member), value, "%s", key);
    }
}

static void expect_text(const json_t *message, const char *key, struct str text)
{
    cr_expect_eq(json_object_get(message, key) != NULL, text.data != NULL, "%s", key);
    if (text.data != NULL && json_object_get(message, key) != NULL) {
        cr_expect(str_equal(vectors_text(message, key), text), "%s", key);
    }
}

static void expect_message(const json_t *expected, const struct message *message)
{
    static const char *const types[] = {"MESSAGE", "STATUS", "ITERATOR"};
    cr_expect(vectors_hex_equals(expected, "wire_hex", message->raw));
    expect_text(expected, "session_id", message->session_id);
    expect_text(expected, "args_rdf_name", message->args_type);
    expect_number(expected, "request_id", message->has_request_id, message->request_id);
    expect_number(expected, "response_id", message->has_response_id, message->response_id);
    expect_number(expected, "task_id", message->has_task_id, message->task_id);
    expect_number(expected, "ttl", message->has_ttl, message->ttl);
    cr_expect_eq(json_object_get(expected, "args_hex") != NULL, message->args.data != NULL);
    cr_expect(vectors_hex_equals(expected, "args_hex", message->args));
    if (message->has_type) {
        cr_expect_str_eq(json_string_value(json_object_get(expected, "type")),
                         types[message->type]);
    }
    if (message->has_require_fastpoll) {
        cr_expect_eq(json_is_true(json_object_get(expected, "require_fastpoll")),
                     message->require_fastpoll);
    }
    cr_expect_eq(message->defect == MESSAGE_NO_SESSION,
                 json_object_get(expected, "session_id") == NULL);
}

static void expect_bundle(const json_t *decoded, const struct bundle *bundle)
{
    json_t *messages = json_object_get(decoded, "messages");
    struct str list = bundle->list;
    struct message message;
    size_t n = 0;
    cr_expect(vectors_hex_equals(decoded, "message_list_hex", bundle->list));
    cr_expect_eq(bundle->count, json_array_size(messages));
    cr_expect_eq(bundle->has_timestamp,
                 json_is_true(json_object_get(decoded, "timestamp_present")));
    if (bundle->has_timestamp) {
        cr_expect_eq((json_int_t)bundle->timestamp,
                     json_integer_value(json_object_get(decoded, "nonce_us")));
    }
    while (message_next(&list, &message) > 0) {
        expect_message(json_array_get(messages, n++), &message);
    }
    cr_expect_eq(n, bundle->count);
}

static void expect_cipher(const json_t *decoded, const struct packet *packet,
                          const struct claim *claim)
{
    const json_t *properties = json_object_get(decoded, "cipher_properties");
    const struct session *session = &claim->session;
    cr_expect(vectors_hex_equals(properties, "serialized_hex",
                                 str_make((const char *)claim->properties, claim->properties_len)));
    cr_expect(vectors_hex_equals(properties, "key_hex", str_make((const char *)session->key, 16)));
    cr_expect(vectors_hex_equals(properties, "metadata_iv_hex",
                                 str_make((const char *)session->metadata_iv, 16)));
    cr_expect(vectors_hex_equals(properties, "hmac_key_hex",
                                 str_make((const char *)session->hmac_key, 16)));
    const char *type = json_string_value(json_object_get(properties, "hmac_type"));
    if (type != NULL) {
        cr_expect_eq(strcmp(type, "FULL_HMAC") == 0, session->hmac_type == FULL_HMAC);
    }
    cr_expect(vectors_hex_equals(json_object_get(decoded, "cipher_metadata"), "signature_hex",
                                 str_make((const char *)claim->signature, claim->signature_len)));
    cr_expect(
        vectors_hex_equals(decoded, "encrypted_cipher_hex", packet->envelope.encrypted_cipher));
    cr_expect(vectors_hex_equals(decoded, "encrypted_cipher_metadata_hex",
                                 packet->envelope.encrypted_metadata));
    cr_expect_eq(packet->envelope.queue_size,
                 json_integer_value(json_object_get(decoded, "queue_size")));
}

/* An unknown agent: look for its signing request, as a frontend does. */
static enum wire_reason try_to_enrol(struct bench *bench, const struct packet *packet,
                                     const struct claim *claim)
{
    enum wire_reason reason = WIRE_REASON_SOURCE_UNKNOWN;
    struct client_id source;
    struct message message;
    struct buffer pem;
    struct rsa_key *key = NULL;
    struct session session;
    CHECK(client_id_parse(str_from(claim->session.source), &source) == 0);
    if (packet_open(&bench->recording.tools, packet, &claim->session, &bench->recording.limits,
                    &bench->recording.bundle, &reason) < 0) {
        return reason;
    }
    struct str list = bench->recording.bundle.list;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    while (message_next(&list, &message) > 0) {
        struct recipient address;
        if (recipient_parse(message.session_id, &address) < 0 || address.is_flow ||
            address.handler != WIRE_HANDLER_ENROL) {
            continue;
        }
        if (payload_read_csr(message.args, &pem, &reason) == 0 &&
            csr_check(buffer_view(&pem), &source, NULL, &key, &reason) == 0 &&
            claim_verify(claim, key, &session, &reason) == 0) {
            struct recorded_client *client = recording_client_of_id(&bench->recording, source.text);
            CHECK(client != NULL);
            client->is_enrolled = true;
            reason = WIRE_NO_REASON;
        }
        rsa_key_free(key);
    }
    buffer_done(&pem);
    return reason;
}

/* As a frontend does it. *client: whose packet it is. */
static enum wire_reason receive(struct bench *bench, const json_t *step, struct str body,
                                struct recorded_client **client)
{
    enum wire_reason reason = WIRE_NO_REASON;
    struct packet packet;
    struct claim claim;
    struct str path = vectors_text(step, "path");
    uint32_t api = packet_api_from_query(str_skip(path, str_find(path, '?') + 1));
    if (packet_parse(&bench->recording.tools, body, api, &packet, &reason) < 0) {
        return reason;
    }
    const struct session *session = find_session(bench, packet.digest);
    if (session != NULL) {
        if (packet_match(&bench->recording.tools, &packet, session, &reason) < 0) {
            return reason;
        }
        *client = recording_client_of_id(&bench->recording, session->source);
    } else {
        if (packet_unwrap(&bench->recording.tools, &packet, bench->recording.server,
                          PACKET_FROM_AGENT, &claim, &reason) < 0) {
            return reason;
        }
        expect_cipher(json_object_get(step, "decoded"), &packet, &claim);
        *client = recording_client_of_id(&bench->recording, claim.session.source);
        if (*client == NULL || !(*client)->is_enrolled) {
            return try_to_enrol(bench, &packet, &claim);
        }
        CHECK(bench->session_count < SESSIONS_MAX);
        struct session *fresh = &bench->sessions[bench->session_count];
        if (claim_verify(&claim, (*client)->key, fresh, &reason) < 0) {
            return reason;
        }
        bench->session_count++;
        session = fresh;
    }
    if (packet_open(&bench->recording.tools, &packet, session, &bench->recording.limits,
                    &bench->recording.bundle, &reason) < 0) {
        return reason;
    }
    return WIRE_NO_REASON;
}

static void expect_auth(const json_t *expect, struct recorded_client *client,
                        const struct bundle *bundle)
{
    const char *state = json_string_value(json_object_get(expect, "auth_state"));
    struct replay_verdict verdict =
        replay_judge(bundle->has_timestamp, bundle->timestamp, client->clock, RECORDED_NOW);
    if (state != NULL) {
        cr_expect_eq(verdict.is_fresh, strcmp(state, "AUTHENTICATED") == 0, "%s", state);
    }
    json_t *after = json_object_get(
        json_object_get(json_object_get(json_object_get(expect, "state_after"), "clients"),
                        client->name),
        "clock_us");
    client->clock = verdict.clock;
    if (json_is_integer(after)) {
        /* Section 13: never ahead of our own clock by more than the window. */
        usec_t clock = json_integer_value(after);
        usec_t ceiling = RECORDED_NOW + REPLAY_WINDOW;
        cr_expect_eq(verdict.clock, clock < ceiling ? clock : ceiling);
    }
}

static void post(struct bench *bench, const char *name, const json_t *step)
{
    const json_t *expect = json_object_get(step, "expect");
    json_int_t status = json_integer_value(json_object_get(expect, "http_status"));
    struct recorded_client *client = NULL;
    struct str body = vectors_hex(step, "body_hex");
    struct guarded guarded = guarded_copy(body);
    enum wire_reason refusal = refusal_of(name);
    if (status == 500) {
        cr_expect(refusal != WIRE_NO_REASON || strcmp(name, "session_id_empty") == 0 ||
                      strcmp(name, "no_content_length") == 0,
                  "%s has no reason yet", name);
    }
    enum wire_reason reason = receive(bench, step, str_make(guarded.data, guarded.len), &client);
    if (refusal != WIRE_NO_REASON && (status == 500 || reason != WIRE_NO_REASON)) {
        cr_expect_eq(reason, refusal, "%s: %s", name, wire_reason_code(reason));
        cr_expect_eq(wire_reason_status(reason), 400);
    } else if (status == 406) {
        /* Section 13: who brings a good signing request is let in at once. */
        cr_expect(wire_reason_status(reason) == 406 ||
                      (reason == WIRE_NO_REASON && client->is_enrolled),
                  "%s: %s", name, wire_reason_code(reason));
    } else {
        cr_expect_eq(reason, WIRE_NO_REASON, "%s: %s", name, wire_reason_code(reason));
        if (reason == WIRE_NO_REASON) {
            expect_bundle(json_object_get(step, "decoded"), &bench->recording.bundle);
            if (status == 200) {
                expect_auth(expect, client, &bench->recording.bundle);
            }
        }
    }
    guarded_free(&guarded);
    free_str(body);
}

Test(wire_vectors, every_recorded_post_is_read_or_refused_as_it_should)
{
    static struct bench bench;
    if (!recording_open(&bench.recording)) {
        SKIP_TEST("../shared/vectors is absent");
    }
    const json_t *requests = bench.recording.requests;
    size_t i, j, posts = 0;
    json_t *scenario, *step;
    json_array_foreach(json_object_get(requests, "scenarios"), i, scenario)
    {
        start_scenario(&bench, scenario);
        json_array_foreach(json_object_get(scenario, "steps"), j, step)
        {
            if (str_equal(vectors_text(step, "op"), STR("post"))) {
                post(&bench, json_string_value(json_object_get(scenario, "name")), step);
                posts++;
            }
        }
    }
    cr_expect_gt(posts, 100);
    recording_close(&bench.recording);
}

Test(wire_vectors, bad_signing_requests_are_told_apart)
{
    static struct bench bench;
    static const struct {
        const char *name;
        enum wire_reason reason;
    } cases[] = {
        {"enrolment_source_mismatch", WIRE_REASON_CSR_SOURCE},
        {"enrolment_cn_mismatch", WIRE_REASON_CSR_NAME},
        {"enrolment_wrong_type", WIRE_REASON_ENROL_TYPE},
        {"enrolment_bad_csr_signature", WIRE_REASON_CSR_SIGNATURE},
        {"enrolment_other_messages_dropped", WIRE_NO_REASON},
    };
    if (!recording_open(&bench.recording)) {
        SKIP_TEST("../shared/vectors is absent");
    }
    const json_t *requests = bench.recording.requests;
    size_t i, j, found = 0;
    json_t *scenario;
    json_array_foreach(json_object_get(requests, "scenarios"), i, scenario)
    {
        const char *name = json_string_value(json_object_get(scenario, "name"));
        for (j = 0; j < ARRAY_LEN(cases); j++) {
            if (strcmp(cases[j].name, name) == 0) {
                const json_t *step = json_array_get(json_object_get(scenario, "steps"), 0);
                struct recorded_client *client = NULL;
                struct str body = vectors_hex(step, "body_hex");
                start_scenario(&bench, scenario);
                enum wire_reason reason = receive(&bench, step, body, &client);
                cr_expect_eq(reason, cases[j].reason, "%s: %s", name, wire_reason_code(reason));
                free_str(body);
                found++;
            }
        }
    }
    cr_expect_eq(found, ARRAY_LEN(cases));
    recording_close(&bench.recording);
}

Test(wire_vectors, client_ids_are_the_recorded_ones)
{
    json_t *ids = vectors_load("client_ids.json");
    size_t i;
    json_t *entry;
    if (ids == NULL) {
        SKIP_TEST("../shared/vectors is absent");
    }
    json_array_foreach(ids, i, entry)
    {
        struct client_id id;
        struct rsa_key *key;
        struct str modulus = vectors_hex(entry, "modulus_hex");
        cr_expect_eq(client_id_from_modulus(modulus, &id), 0);
        cr_expect_str_eq(id.text, vectors_text(entry, "client_id").data);
        cr_assert_eq(rsa_public_from_pem(vectors_text(entry, "public_key_pem"), NULL, &key), 0);
        cr_expect_str_eq(rsa_key_client_id(key)->text, id.text);
        rsa_key_free(key);
        free_str(modulus);
    }
    json_decref(ids);
}

Test(wire_vectors, recorded_keys_requests_and_certificates_fit_together)
{
    json_t *keys = vectors_load("keys.json");
    const char *name;
    json_t *client;
    struct rsa_key *authority, *server;
    struct certificate_facts facts;
    enum wire_reason reason;
    if (keys == NULL) {
        SKIP_TEST("../shared/vectors is absent");
    }
    cr_assert_eq(rsa_private_from_pem(vectors_text(keys, "ca_key_pem"), NULL, &authority), 0);
    cr_assert_eq(
        certificate_read(vectors_text(keys, "server_cert_pem"), NULL, &server, &facts, &reason), 0);
    rsa_key_free(server);
    cr_expect_str_eq(facts.common_name, "grr");
    cr_expect_eq(facts.serial, 2);
    usec_t when = facts.not_before + USEC_PER_DAY;
    cr_assert_eq(certificate_check(vectors_text(keys, "server_cert_pem"), authority, when, 2, NULL,
                                   &server, &facts, &reason),
                 0);
    rsa_key_free(server);
    json_object_foreach(json_object_get(keys, "clients"), name, client)
    {
        struct client_id id;
        struct rsa_key *key;
        cr_assert_eq(client_id_parse(vectors_text(client, "client_id"), &id), 0);
        cr_assert_eq(csr_check(vectors_text(client, "csr_pem"), &id, NULL, &key, &reason), 0, "%s",
                     name);
        cr_expect_str_eq(rsa_key_client_id(key)->text, id.text);
        rsa_key_free(key);
        cr_assert_eq(certificate_check(vectors_text(client, "cert_pem"), authority, when, 0, NULL,
                                       &key, &facts, &reason),
                     0);
        cr_expect_eq(facts.serial, client_id_number(&id));
        cr_expect_str_eq(facts.common_name, vectors_text(client, "common_name").data);
        rsa_key_free(key);
    }
    rsa_key_free(authority);
    json_decref(keys);
}

/* What we refuse in answers, where the real agent does too or (no_signature) is less strict. */
static const struct {
    const char *name;
    enum wire_reason reason;
} answer_refusals[] = {
    {"nonce_mismatch", WIRE_REASON_ANSWER_NONCE},
    {"source_other_name", WIRE_REASON_ANSWER_SOURCE},
    {"signed_by_client_key", WIRE_REASON_SIGNATURE},
    {"encrypted_to_other_client", WIRE_REASON_CIPHER_DECRYPT},
    {"bad_full_hmac", WIRE_REASON_HMAC_MISMATCH},
    {"no_signature", WIRE_REASON_SIGNATURE_MISSING},
    {"no_api_version", WIRE_REASON_API_VERSION},
};

static enum wire_reason answer_refusal_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(answer_refusals); i++) {
        if (str_equal(str_from(answer_refusals[i].name), name)) {
            return answer_refusals[i].reason;
        }
    }
    return WIRE_NO_REASON;
}

Test(wire_vectors, every_recorded_answer_is_taken_or_refused_as_the_real_agent_does)
{
    static struct bench bench;
    if (!recording_open(&bench.recording)) {
        SKIP_TEST("../shared/vectors is absent");
    }
    json_t *responses = vectors_load("responses.json");
    struct session session = {.hmac_type = 0};
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(responses, "cases"), i, entry)
    {
        struct str name = vectors_text(entry, "name");
        const json_t *verdict = json_object_get(entry, "real_client_verdict");
        struct recorded_client *client =
            recording_client(&bench.recording, vectors_text(entry, "client").data);
        cr_assert_not_null(client);
        client->answers = session;
        struct str body = vectors_hex(entry, "response_hex");
        enum wire_reason reason = recording_open_answer(
            &bench.recording, client, body,
            (uint64_t)json_integer_value(json_object_get(entry, "request_nonce_us")));
        session = client->answers;
        cr_expect_eq(reason, answer_refusal_of(name), "%s: %s", name.data,
                     wire_reason_code(reason));
        cr_expect_eq(reason == WIRE_NO_REASON,
                     json_is_true(json_object_get(verdict, "poll_accepted")) &&
                         !str_equal(name, STR("no_signature")));
        if (reason == WIRE_NO_REASON) {
            cr_expect_eq(bench.recording.bundle.count,
                         json_integer_value(json_object_get(verdict, "message_count")));
        }
        free_str(body);
    }
    json_decref(responses);
    recording_close(&bench.recording);
}
