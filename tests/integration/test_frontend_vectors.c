/* SPDX-License-Identifier: Apache-2.0 */
/* Every recorded scenario against the real binary over real sockets: a fresh instance and store
 * each, its packets in order, then what came back and what is stored. Where we differ on purpose,
 * the table of quirks says how and why; docs/protocol.md has the same list.
 *
 * The recording's clock jumps; ours cannot, so leases are moved into the past instead. */
#include <criterion/criterion.h>
#include <math.h>
#include <openssl/sha.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "store/store.h"
#include "support/http_client.h"
#include "support/instance.h"
#include "support/parties.h"
#include "support/support.h"
#include "support/vectors.h"
#include "wire/payload.h"
#include "wire/replay.h"
#include "wire/request.h"

enum { CLIENTS_MAX = 16, ROWS_MAX = 1000, SHARDS = 4 };

#define STATE_PATIENCE (10 * USEC_PER_SEC)
#define STOP_PATIENCE (20 * USEC_PER_SEC)

struct known_client {
    const char *name;
    struct rsa_key *key;
    struct store_agent_id id;
    struct session answers; /* the server's cipher, kept as an agent does */
};

struct bench {
    json_t *keys;
    struct wire_tools tools;
    struct packet_limits limits;
    struct rsa_key *server;
    struct known_client clients[CLIENTS_MAX];
    size_t client_count;
    struct bundle bundle;
    struct instance instance;
    struct store *store;
    struct arena arena;
    const char *scenario;
    size_t step;
    usec_t began; /* wall: when the scenario did, or its clock was last moved */
    usec_t started;
    bool is_fine;  /* of the last look at the state */
    bool is_final; /* then a difference is a failure */
};

/* ---- Quirks: where we differ, or decided not to ---- */

static json_t *step_of(json_t *scenario, size_t n)
{
    return json_array_get(json_object_get(scenario, "steps"), n);
}

static json_t *expect_of(json_t *scenario, size_t n)
{
    json_t *step = step_of(scenario, n);
    json_t *expect = json_object_get(step, "expect");
    return expect != NULL ? expect : step;
}

static json_t *state_of(json_t *scenario, size_t n)
{
    return json_object_get(expect_of(scenario, n), "state_after");
}

static void set_client(json_t *scenario, size_t n, const char *name, bool certificate,
                       json_t *clock, bool ping)
{
    json_object_set_new(json_object_get(state_of(scenario, n), "clients"), name,
                        json_pack("{s:b,s:b,s:o,s:b}", "known", true, "has_certificate",
                                  certificate, "clock_us", clock, "ping_updated", ping));
}

static void set_unleased(json_t *scenario, size_t n)
{
    size_t i;
    json_t *action;
    json_array_foreach(json_object_get(state_of(scenario, n), "client_action_requests"), i, action)
    {
        json_object_set_new(action, "remaining_ttl", json_integer(5));
        json_object_set_new(action, "leased", json_false());
    }
}

static void set_refused(json_t *scenario, size_t n)
{
    json_object_set_new(expect_of(scenario, n), "http_status", json_integer(500)); /* mapped */
    json_object_set_new(state_of(scenario, n), "handler_requests", json_array());
    set_unleased(scenario, n);
}

/* What a packet carries, as it would be stored by somebody who looks at no payload. */
static void set_stored_as_sent(json_t *scenario, size_t n)
{
    static const char *const kinds[] = {"MESSAGE",    "FlowResponse", "STATUS",
                                        "FlowStatus", "ITERATOR",     "FlowIterator"};
    json_t *decoded = json_object_get(step_of(scenario, n), "decoded");
    json_t *responses = json_array();
    json_t *messages = json_array();
    size_t i;
    json_t *message;
    json_array_foreach(json_object_get(decoded, "messages"), i, message)
    {
        struct recipient recipient;
        const char *session = json_string_value(json_object_get(message, "session_id"));
        const char *type = json_string_value(json_object_get(message, "type"));
        const char *kind = kinds[1];
        if (session == NULL || recipient_parse(str_from(session), &recipient) < 0) {
            continue;
        }
        for (size_t k = 0; type != NULL && k < ARRAY_LEN(kinds); k += 2) {
            kind = strcmp(kinds[k], type) == 0 ? kinds[k + 1] : kind;
        }
        json_t *client = json_object_get(decoded, "client");
        json_t *args = json_object_get(message, "args_hex");
        json_t *args_type = json_object_get(message, "args_rdf_name");
        if (recipient.is_flow) {
            json_array_append_new(
                responses,
                json_pack("{s:O,s:s,s:O,s:O,s:s,s:O?,s:O?}", "client", client, "flow_id",
                          recipient.flow, "request_id", json_object_get(message, "request_id"),
                          "response_id", json_object_get(message, "response_id"), "kind", kind,
                          "payload_rdf_name", args_type, "payload_wire_hex", args));
        } else {
            json_array_append_new(messages,
                                  json_pack("{s:s,s:O,s:O?,s:O?}", "handler_name",
                                            wire_handler_name(recipient.handler), "client", client,
                                            "args_rdf_name", args_type, "args_wire_hex", args));
        }
    }
    json_object_set_new(state_of(scenario, n), "flow_responses", responses);
    json_object_set_new(state_of(scenario, n), "handler_requests", messages);
}

static void nothing_of_another_agent(json_t *scenario)
{
    json_object_set_new(state_of(scenario, 0), "flow_responses", json_array());
}

static void unsigned_is_refused(json_t *scenario)
{
    set_refused(scenario, 0);
}

static void unsigned_drains_nothing(json_t *scenario)
{
    json_t *response = json_object_get(expect_of(scenario, 0), "response");
    json_object_set(json_object_get(expect_of(scenario, 1), "response"), "messages",
                    json_object_get(response, "messages"));
    set_refused(scenario, 0);
}

static void stale_gets_nothing(json_t *scenario)
{
    json_object_set_new(json_object_get(expect_of(scenario, 0), "response"), "messages",
                        json_array());
    set_unleased(scenario, 0);
}

static void stored_as_sent(json_t *scenario)
{
    set_stored_as_sent(scenario, 0);
}

static void rest_is_kept(json_t *scenario)
{
    json_object_set_new(expect_of(scenario, 0), "http_status", json_integer(200));
    set_stored_as_sent(scenario, 0);
}

static void first_one_stays(json_t *scenario)
{
    json_t *first = json_array_get(
        json_object_get(json_object_get(step_of(scenario, 0), "decoded"), "messages"), 0);
    json_t *stored = json_array_get(json_object_get(state_of(scenario, 0), "flow_responses"), 0);
    json_object_set(stored, "payload_wire_hex", json_object_get(first, "args_hex"));
}

static void replay_changes_nothing(json_t *scenario)
{
    json_object_set(state_of(scenario, 1), "handler_requests",
                    json_object_get(state_of(scenario, 0), "handler_requests"));
}

static json_t *nonce_of(json_t *scenario, size_t n)
{
    return json_incref(
        json_object_get(json_object_get(step_of(scenario, n), "decoded"), "nonce_us"));
}

static void enrolled_at_once(json_t *scenario)
{
    json_object_set_new(expect_of(scenario, 1), "http_status", json_integer(200));
    set_client(scenario, 1, "newbie", true, nonce_of(scenario, 1), true);
    set_client(scenario, 2, "newbie", true, nonce_of(scenario, 1), true);
    json_object_set_new(json_object_get(expect_of(scenario, 3), "response"), "messages",
                        json_array()); /* nobody interrogates here */
    json_object_set_new(state_of(scenario, 3), "flow_requests", json_array());
    json_object_set_new(state_of(scenario, 3), "client_action_requests", json_array());
}

static void enrolled_with_its_messages(json_t *scenario)
{
    json_object_set_new(expect_of(scenario, 0), "http_status", json_integer(200));
    set_client(scenario, 0, "newbie", true, nonce_of(scenario, 0), true);
    set_stored_as_sent(scenario, 0);
}

static void not_seen_without_time(json_t *scenario)
{
    set_client(scenario, 0, "alice", true, json_null(), false);
}

static const struct quirk {
    const char *scenario;
    void (*adjust)(json_t *scenario); /* NULL: we do as GRR does */
    const char *decision;
} quirks[] = {
    {"flow_of_other_client", nothing_of_another_agent, "dropped: the flow is another agent's"},
    {"signature_missing_known_client", unsigned_is_refused, "400: unsigned"},
    {"unsigned_drains_queue", unsigned_drains_nothing, "400: unsigned; nothing is leased"},
    {"desync_drains_queue", stale_gets_nothing, "an old packet leases nothing"},
    {"replay_just_outside_1h", stale_gets_nothing, "an old packet leases nothing"},
    {"replay_way_outside", stale_gets_nothing, "an old packet leases nothing"},
    {"replay_exact", replay_changes_nothing, "a repeated packet is stored once"},
    {"duplicate_response_ids", first_one_stays, "the first of a number stays"},
    {"session_id_empty", rest_is_kept, "200: only that message is dropped"},
    {"flow_unknown", stored_as_sent, "stored, though no request is known"},
    {"flow_response_unknown_rdf_name", stored_as_sent, "payloads are stored as they came"},
    {"future_timestamp", NULL, "stored at most an hour ahead of our clock (is_clock)"},
    {"packed_without_timestamp", not_seen_without_time, "without a time it does not count as seen"},
    {"enrolment_full", enrolled_at_once, "200 to the signing request"},
    {"enrolment_other_messages_dropped", enrolled_with_its_messages,
     "200; what came with the signing request is as authentic"},
    {"post_upload", NULL, "404"},
    {"no_content_length", NULL, "411"},
    {"source_no_prefix", NULL, "the same agent"},
    {"source_slash_only", NULL, "the same agent"},
    {"source_double_slash", NULL, "the same agent"},
};

/* False: a scenario marked as quirk that nobody decided. */
static bool adjust(json_t *scenario)
{
    const char *name = json_string_value(json_object_get(scenario, "name"));
    for (size_t i = 0; i < ARRAY_LEN(quirks); i++) {
        if (strcmp(quirks[i].scenario, name) == 0) {
            if (quirks[i].adjust != NULL) {
                quirks[i].adjust(scenario);
            }
            return true;
        }
    }
    return !json_is_true(json_object_get(scenario, "quirk"));
}

/* ---- Surroundings ---- */

static bool bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->keys = vectors_load("keys.json");
    if (bench->keys == NULL) {
        return false;
    }
    bench->limits = PACKET_LIMITS_DEFAULT;
    CHECK(wire_tools_init(&bench->tools) == 0);
    CHECK(rsa_private_from_pem(vectors_text(bench->keys, "server_key_pem"), NULL, &bench->server) ==
          0);
    const char *name;
    json_t *client;
    json_object_foreach(json_object_get(bench->keys, "clients"), name, client)
    {
        struct known_client *known = &bench->clients[bench->client_count++];
        known->name = name;
        CHECK(store_agent_id_parse(vectors_text(client, "client_id"), &known->id) == 0);
        CHECK(rsa_private_from_pem(vectors_text(client, "private_key_pem"), NULL, &known->key) ==
              0);
    }
    bundle_init(&bench->bundle, &bench->limits);
    arena_init(&bench->arena, 64 * 1024, 256 << 20);
    return true;
}

static void bench_done(struct bench *bench)
{
    for (size_t i = 0; i < bench->client_count; i++) {
        rsa_key_free(bench->clients[i].key);
    }
    rsa_key_free(bench->server);
    wire_tools_done(&bench->tools);
    bundle_done(&bench->bundle);
    arena_done(&bench->arena);
    json_decref(bench->keys);
}

static struct known_client *find_client(struct bench *bench, const json_t *object, const char *key)
{
    const char *name = json_string_value(json_object_get(object, key));
    for (size_t i = 0; name != NULL && i < bench->client_count; i++) {
        if (strcmp(bench->clients[i].name, name) == 0) {
            return &bench->clients[i];
        }
    }
    return NULL;
}

static void enrol(struct bench *bench, const json_t *entry)
{
    const struct known_client *client = find_client(bench, entry, "client");
    const json_t *keys = json_object_get(json_object_get(bench->keys, "clients"), client->name);
    const struct store_enrolment enrolment = {
        .agent = client->id,
        .key = vectors_text(keys, "public_key_pem"),
        .certificate = vectors_text(keys, "cert_pem"),
        .state = STORE_ENROLLED,
    };
    CHECK(store_enrol_agent(bench->store, &enrolment, NULL, NULL) == 1);
    if (!json_is_true(json_object_get(entry, "has_certificate"))) {
        /* A row without certificate: an agent that was forgotten. */
        CHECK(store_set_state(bench->store, client->id, STORE_FORGOTTEN, NULL) == 1);
    }
    if (json_is_integer(json_object_get(entry, "clock_us"))) {
        const struct store_bundle bundle = {
            .agent = client->id,
            .sighting = {.at = 1, .clock = json_integer_value(json_object_get(entry, "clock_us"))},
        };
        struct store_commit commit = {.bundle = &bundle};
        CHECK(store_commit(bench->store, &commit, 1, STORE_DURABLE, NULL) == 0);
        CHECK(commit.result == 0);
    }
}

static void queue(struct bench *bench, const json_t *flow, const json_t *entry)
{
    struct str args = vectors_hex(entry, "args_hex");
    struct store_request_name name;
    const json_t *cpu = json_object_get(entry, "cpu_limit_ms");
    const struct store_request request = {
        .agent = find_client(bench, flow, "client")->id,
        .flow = vectors_text(flow, "flow_id"),
        .request = (uint64_t)json_integer_value(json_object_get(entry, "request_id")),
        .action = vectors_text(entry, "action"),
        .args = args,
        .args_type = str_from(json_string_value(json_object_get(entry, "args_rdf_name"))),
        .cpu_limit = json_integer_value(cpu) * USEC_PER_MSEC,
        .network_limit =
            (uint64_t)json_integer_value(json_object_get(entry, "network_bytes_limit")),
        .runtime_limit = json_integer_value(json_object_get(entry, "runtime_limit_us")),
    };
    CHECK(store_queue_request(bench->store, &request, &name, NULL) == 0);
    free_str(args);
}

static void set_option(struct bench *bench, const json_t *scenario, const char *option,
                       const char *unit)
{
    char text[64];
    const json_t *value = json_object_get(json_object_get(scenario, "server"), option);
    snprintf(text, sizeof text, "Frontend.%s=%lld%s", option, (long long)json_integer_value(value),
             unit);
    instance_set(&bench->instance, text);
}

static void begin_scenario(struct bench *bench, const json_t *scenario)
{
    const struct instance_keys keys = {
        .ca_key = vectors_text(bench->keys, "ca_key_pem"),
        .ca_certificate = vectors_text(bench->keys, "ca_cert_pem"),
        .server_key = vectors_text(bench->keys, "server_key_pem"),
        .server_certificate = vectors_text(bench->keys, "server_cert_pem"),
    };
    size_t i, j;
    json_t *entry, *request;
    bench->scenario = json_string_value(json_object_get(scenario, "name"));
    for (i = 0; i < bench->client_count; i++) {
        memset(&bench->clients[i].answers, 0, sizeof bench->clients[i].answers);
    }
    instance_init(&bench->instance, &keys);
    set_option(bench, scenario, "max_queue_size", "");
    set_option(bench, scenario, "message_expiry_time", "s");
    bench->store = instance_store(&bench->instance);
    const json_t *initial = json_object_get(scenario, "initial");
    json_array_foreach(json_object_get(initial, "clients"), i, entry)
    {
        enrol(bench, entry);
    }
    json_array_foreach(json_object_get(initial, "flows"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "requests"), j, request)
        {
            queue(bench, entry, request);
        }
    }
    instance_start(&bench->instance);
    bench->began = bench->started = clock_wall(&clock_system);
}

static void end_scenario(struct bench *bench)
{
    store_free(bench->store);
    instance_done(&bench->instance);
}

/* Leases end that much earlier; what passed since the last step is part of it. */
static void advance_clock(struct bench *bench, usec_t by)
{
    sqlite3 *db;
    char path[512];
    char sql[256];
    usec_t now = clock_wall(&clock_system);
    snprintf(path, sizeof path, "%s/store/portico.db", bench->instance.directory);
    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    snprintf(sql, sizeof sql,
             "UPDATE requests SET leased_until = leased_until - %lld WHERE leased_until > 0",
             (long long)(by - (now - bench->began)));
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_changes(db) > 0);
    sqlite3_close(db);
    bench->began = now;
}

/* ---- Answers ---- */

/* An agent refuses the answer to a poll without a time; we look at it all the same. */
static enum wire_reason open_untimed(struct bench *bench, struct known_client *client,
                                     struct str body)
{
    struct packet packet;
    struct claim claim;
    enum wire_reason reason = WIRE_NO_REASON;
    if (packet_parse(&bench->tools, body, WIRE_API_VERSION, &packet, &reason) == 0 &&
        packet_unwrap(&bench->tools, &packet, client->key, PACKET_FROM_SERVER, &claim, &reason) ==
            0 &&
        claim_verify(&claim, bench->server, &client->answers, &reason) == 0 &&
        packet_open(&bench->tools, &packet, &client->answers, &bench->limits, &bench->bundle,
                    &reason) == 0) {
        cr_expect_str_eq(client->answers.source, "grr");
        usec_t nonce = (usec_t)bench->bundle.timestamp;
        cr_expect(nonce >= bench->started && nonce <= clock_wall(&clock_system));
    }
    return reason;
}

static void expect_request(const struct bench *bench, const json_t *expected,
                           const struct message *message)
{
    struct recipient recipient;
    struct buffer own;
    struct str args = vectors_hex(expected, "args_hex");
    CHECK(recipient_parse(vectors_text(expected, "session_id"), &recipient) == 0);
    const struct request request = {
        .client = recipient.client,
        .flow = str_from(recipient.flow),
        .request_id = (uint64_t)json_integer_value(json_object_get(expected, "request_id")),
        .action = vectors_text(expected, "name"),
        .args = args,
        .args_type = str_from(json_string_value(json_object_get(expected, "args_rdf_name"))),
        .cpu_limit_ms =
            (uint64_t)llround(1000 * json_number_value(json_object_get(expected, "cpu_limit"))),
        .network_bytes_limit =
            (uint64_t)json_integer_value(json_object_get(expected, "network_bytes_limit")),
        .runtime_limit_us =
            (uint64_t)json_integer_value(json_object_get(expected, "runtime_limit_us")),
        .task_id = message->task_id,
    };
    buffer_init(&own, 1 << 20);
    CHECK(request_append(&own, &request) == 0);
    struct str list = buffer_view(&own);
    struct message same;
    CHECK(message_next(&list, &same) == 1);
    cr_expect(str_equal(same.raw, message->raw), "%s: request %llu differs", bench->scenario,
              (unsigned long long)request.request_id);
    cr_expect(str_equal(message->session_id, vectors_text(expected, "session_id")));
    cr_expect(message->task_id != 0);
    buffer_done(&own);
    free_str(args);
}

static void expect_answer(struct bench *bench, const json_t *step, struct str body)
{
    const json_t *decoded = json_object_get(step, "decoded");
    const json_t *response = json_object_get(json_object_get(step, "expect"), "response");
    struct known_client *client = find_client(bench, decoded, "client");
    const struct answer_expectation expectation = {
        .own = client->key,
        .server = bench->server,
        .server_name = STR("grr"),
        .nonce = (uint64_t)json_integer_value(json_object_get(decoded, "nonce_us")),
    };
    enum wire_reason reason = WIRE_NO_REASON;
    if (json_is_true(json_object_get(decoded, "timestamp_present"))) {
        int code = answer_open(&bench->tools, body, &expectation, &bench->limits, &client->answers,
                               &bench->bundle, &reason);
        cr_expect_eq(code, 0);
    } else {
        reason = open_untimed(bench, client, body);
    }
    cr_expect_eq(reason, WIRE_NO_REASON, "%s[%zu]: %s", bench->scenario, bench->step,
                 wire_reason_code(reason));
    const json_t *messages = json_object_get(response, "messages");
    cr_expect_eq(bench->bundle.count, json_array_size(messages),
                 "%s[%zu]: %u requests instead of %zu", bench->scenario, bench->step,
                 bench->bundle.count, json_array_size(messages));
    struct str list = bench->bundle.list;
    struct message message;
    for (size_t i = 0; i < json_array_size(messages) && message_next(&list, &message) > 0; i++) {
        expect_request(bench, json_array_get(messages, i), &message);
    }
}

/* ---- What is stored ---- */

/* A difference fails the test when this is the last look, else it asks for another one. */
#define SAME(bench, claim, ...)                                                                \
    do {                                                                                       \
        bool is_same_ = (claim);                                                               \
        (bench)->is_fine = (bench)->is_fine && is_same_;                                       \
        if ((bench)->is_final) {                                                               \
            cr_expect(is_same_, "%s[%zu]: %s", (bench)->scenario, (bench)->step, __VA_ARGS__); \
        }                                                                                      \
    } while (0)

static bool is_clock(const struct bench *bench, usec_t stored, usec_t recorded)
{
    usec_t lowest = bench->started + REPLAY_WINDOW;
    if (recorded <= lowest) {
        return stored == recorded;
    }
    /* Never further ahead of ours than the window. */
    return stored >= lowest && stored <= clock_wall(&clock_system) + REPLAY_WINDOW;
}

static void look_at_clients(struct bench *bench, const json_t *state)
{
    const char *name;
    json_t *expected;
    json_object_foreach(json_object_get(state, "clients"), name, expected)
    {
        const json_t *named = json_pack("{s:s}", "client", name);
        const struct known_client *client = find_client(bench, named, "client");
        json_decref((json_t *)(uintptr_t)named);
        struct store_agent *agent = NULL;
        int code = store_read_agent(bench->store, client->id, &bench->arena, &agent, NULL);
        bool is_enrolled = code == 0 && agent->state == STORE_ENROLLED;
        SAME(bench, is_enrolled == json_is_true(json_object_get(expected, "has_certificate")),
             "enrolled or not");
        if (!is_enrolled) {
            continue;
        }
        SAME(bench,
             is_clock(bench, agent->clock,
                      json_integer_value(json_object_get(expected, "clock_us"))),
             "its clock");
        bool is_seen = agent->last_seen >= bench->started;
        SAME(bench, is_seen == json_is_true(json_object_get(expected, "ping_updated")),
             "seen or not");
    }
}

static bool is_bytes(const json_t *expected, const char *key, struct str bytes)
{
    return vectors_hex_equals(expected, key, bytes);
}

static bool is_text(const json_t *expected, const char *key, struct str text)
{
    return str_equal(str_from(json_string_value(json_object_get(expected, key))), text);
}

static bool is_message(struct bench *bench, const json_t *expected,
                       const struct store_message *message)
{
    struct message sent;
    const struct known_client *client = find_client(bench, expected, "client");
    CHECK(message_decode(message->raw, &sent) == 0);
    /* A number of the agent's own choice is recorded; without one, a random one. */
    const json_t *number = json_object_get(expected, "request_id");
    return memcmp(&client->id, &message->agent, sizeof client->id) == 0 &&
           is_text(expected, "handler_name", message->handler) &&
           is_text(expected, "args_rdf_name", message->args_type) &&
           is_bytes(expected, "args_wire_hex", message->args) &&
           (number == NULL || sent.response_id == 0 ||
            (uint64_t)json_integer_value(number) == sent.response_id);
}

static bool is_blob(const json_t *sha256, const struct store_message *message)
{
    struct blob_payload blob;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    static unsigned char inflated[1 << 20];
    uLongf len = sizeof inflated;
    CHECK(payload_read_blob(message->args, &blob) == 0);
    const unsigned char *data = (const unsigned char *)blob.data.data;
    if (blob.compression == ZCOMPRESSION) {
        CHECK(uncompress(inflated, &len, data, blob.data.len) == Z_OK);
        SHA256(inflated, len, digest);
    } else {
        SHA256(data, blob.data.len, digest);
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    return strcmp(text, json_string_value(sha256)) == 0;
}

static void look_at_messages(struct bench *bench, const json_t *state)
{
    const struct store_message_query query = {.limit = ROWS_MAX};
    struct store_message *messages = NULL;
    const json_t *blobs = json_object_get(state, "blob_sha256");
    size_t expected_count = 0, i, count = 0, blob_count = 0;
    json_t *expected;
    CHECK(store_list_messages(bench->store, &query, &bench->arena, &messages, NULL) == 0);
    for (const struct store_message *message = messages; message; message = message->next) {
        struct blob_payload blob = {.data = {NULL, 0}};
        if (!str_equal(message->handler, STR("BlobHandler"))) {
            count++;
        } else if (payload_read_blob(message->args, &blob) == 0 && blob.data.len > 0) {
            bool is_found = false;
            json_array_foreach(blobs, i, expected)
            {
                is_found = is_found || is_blob(expected, message);
            }
            SAME(bench, is_found, "a blob");
            blob_count++;
        }
    }
    json_array_foreach(json_object_get(state, "handler_requests"), i, expected)
    {
        const char *handler = json_string_value(json_object_get(expected, "handler_name"));
        bool is_found = false;
        if (strcmp(handler, "Enrol") == 0) {
            continue; /* enrolling is done, there is nothing to be kept */
        }
        expected_count++;
        for (const struct store_message *message = messages; message; message = message->next) {
            is_found = is_found || is_message(bench, expected, message);
        }
        SAME(bench, is_found, handler);
    }
    SAME(bench, count == expected_count, "number of messages");
    SAME(bench, blob_count == json_array_size(blobs), "number of blobs");
}

static bool is_status(const json_t *expected, const struct store_response *response)
{
    struct status_payload status;
    static const struct {
        unsigned code;
        const char *name;
    } names[] = {
        {STATUS_OK, "OK"},
        {STATUS_IOERROR, "IOERROR"},
        {STATUS_CLIENT_KILLED, "CLIENT_KILLED"},
        {STATUS_NETWORK_LIMIT, "NETWORK_LIMIT_EXCEEDED"},
        {STATUS_RUNTIME_LIMIT, "RUNTIME_LIMIT_EXCEEDED"},
        {STATUS_CPU_LIMIT, "CPU_LIMIT_EXCEEDED"},
        {STATUS_GENERIC_ERROR, "ERROR"},
    };
    CHECK(payload_read_status(response->args, &status) == 0);
    bool is_named = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        is_named = is_named || (names[i].code == status.code &&
                                is_text(expected, "status", str_from(names[i].name)));
    }
    return is_named && is_text(expected, "error_message", str_from(status.error_message)) &&
           json_integer_value(json_object_get(expected, "network_bytes_sent")) ==
               (json_int_t)status.network_bytes_sent &&
           json_integer_value(json_object_get(expected, "runtime_us")) ==
               (json_int_t)status.runtime_us &&
           fabs(json_number_value(json_object_get(expected, "user_cpu_time")) -
                status.user_cpu_seconds) < 1e-6 &&
           fabs(json_number_value(json_object_get(expected, "system_cpu_time")) -
                status.system_cpu_seconds) < 1e-6;
}

static bool is_payload(const json_t *expected, const struct store_response *response)
{
    const char *kind = json_string_value(json_object_get(expected, "kind"));
    if (strcmp(kind, "FlowStatus") == 0) {
        bool is_raw = json_object_get(expected, "payload_wire_hex") != NULL;
        return response->kind == STORE_STATUS &&
               (is_raw ? is_bytes(expected, "payload_wire_hex", response->args)
                       : is_status(expected, response));
    }
    if (strcmp(kind, "FlowIterator") == 0) {
        return response->kind == STORE_ITERATOR;
    }
    return response->kind == STORE_MESSAGE &&
           is_text(expected, "payload_rdf_name", response->args_type) &&
           is_bytes(expected, "payload_wire_hex", response->args);
}

static bool is_response(const json_t *expected, const struct store_response *response)
{
    return is_text(expected, "flow_id", response->flow) &&
           json_integer_value(json_object_get(expected, "request_id")) ==
               (json_int_t)response->request &&
           json_integer_value(json_object_get(expected, "response_id")) ==
               (json_int_t)response->response &&
           is_payload(expected, response);
}

static void look_at_responses(struct bench *bench, const json_t *state)
{
    const json_t *list = json_object_get(state, "flow_responses");
    size_t count = 0;
    for (size_t c = 0; c < bench->client_count; c++) {
        const struct store_response_query query = {.agent = bench->clients[c].id,
                                                   .limit = ROWS_MAX};
        struct store_response *responses = NULL;
        size_t i;
        json_t *expected;
        CHECK(store_list_responses(bench->store, &query, &bench->arena, &responses, NULL) == 0);
        for (const struct store_response *response = responses; response;
             response = response->next) {
            count++;
        }
        json_array_foreach(list, i, expected)
        {
            bool is_found = false;
            for (const struct store_response *response = responses; response;
                 response = response->next) {
                is_found = is_found || is_response(expected, response);
            }
            SAME(bench, is_found || find_client(bench, expected, "client") != &bench->clients[c],
                 "a response");
        }
    }
    SAME(bench, count == json_array_size(list), "number of responses");
}

static const struct store_request *find_request(const struct store_request *requests,
                                                const json_t *expected)
{
    for (; requests != NULL; requests = requests->next) {
        if (is_text(expected, "flow_id", requests->flow) &&
            json_integer_value(json_object_get(expected, "request_id")) ==
                (json_int_t)requests->request) {
            break;
        }
    }
    return requests;
}

static void look_at_requests(struct bench *bench, const json_t *state)
{
    const json_t *actions = json_object_get(state, "client_action_requests");
    size_t queued = 0;
    for (size_t c = 0; c < bench->client_count; c++) {
        const struct store_request_query query = {.agent = bench->clients[c].id, .limit = ROWS_MAX};
        struct store_request *requests = NULL;
        size_t i;
        json_t *expected;
        CHECK(store_list_requests(bench->store, &query, &bench->arena, &requests, NULL) == 0);
        for (const struct store_request *request = requests; request; request = request->next) {
            queued += request->state == STORE_QUEUED;
        }
        json_array_foreach(json_object_get(state, "flow_requests"), i, expected)
        {
            const struct store_request *request = find_request(requests, expected);
            if (find_client(bench, expected, "client") != &bench->clients[c]) {
                continue;
            }
            SAME(bench,
                 request != NULL &&
                     (request->state == STORE_FINISHED) ==
                         json_is_true(json_object_get(expected, "needs_processing")) &&
                     json_integer_value(json_object_get(expected, "nr_responses_expected")) ==
                         (json_int_t)request->expected,
                 "a request's completion");
        }
        json_array_foreach(actions, i, expected)
        {
            const struct store_request *request = find_request(requests, expected);
            if (find_client(bench, expected, "client") != &bench->clients[c]) {
                continue;
            }
            SAME(bench,
                 request != NULL && request->state == STORE_QUEUED &&
                     json_integer_value(json_object_get(expected, "remaining_ttl")) ==
                         5 - (json_int_t)request->deliveries &&
                     json_is_true(json_object_get(expected, "leased")) ==
                         (request->leased_until > 0),
                 "a request's deliveries");
        }
    }
    SAME(bench, queued == json_array_size(actions), "number of queued requests");
}

static void look(struct bench *bench, const json_t *state, bool is_final)
{
    bench->is_fine = true;
    bench->is_final = is_final;
    look_at_clients(bench, state);
    look_at_messages(bench, state);
    look_at_responses(bench, state);
    look_at_requests(bench, state);
    arena_reset(&bench->arena);
}

/* What agents send is stored when they are told so, but that they were seen a little later. */
static void expect_state(struct bench *bench, const json_t *state)
{
    usec_t deadline = clock_monotonic(&clock_system) + STATE_PATIENCE;
    if (state == NULL) {
        return;
    }
    look(bench, state, false);
    while (!bench->is_fine && clock_monotonic(&clock_system) < deadline) {
        sleep_for(2000);
        look(bench, state, false);
    }
    if (!bench->is_fine) {
        look(bench, state, true);
    }
}

/* ---- Steps ---- */

static bool send_post(struct bench *bench, const json_t *step, struct http_answer *answer)
{
    struct http_client client;
    struct str body = vectors_hex(step, "body_hex");
    bool has_length = !json_is_true(json_object_get(step, "omit_content_length"));
    http_connect(&client, bench->instance.port);
    bool is_answered = http_request(&client, "POST", vectors_text(step, "path").data,
                                    has_length ? &body : NULL, answer);
    http_close(&client);
    free_str(body);
    return is_answered;
}

static void post(struct bench *bench, const json_t *step)
{
    const json_t *expect = json_object_get(step, "expect");
    unsigned recorded = (unsigned)json_integer_value(json_object_get(expect, "http_status"));
    bool has_length = !json_is_true(json_object_get(step, "omit_content_length"));
    struct http_answer answer;
    bool is_answered = send_post(bench, step, &answer);
    cr_expect(is_answered, "%s[%zu] has no answer", bench->scenario, bench->step);
    if (!is_answered) {
        return;
    }
    /* Section 13: what the sender got wrong is 400, and it has a name. */
    unsigned wanted = recorded != 500 ? recorded : has_length ? 400 : 411;
    cr_expect_eq(answer.status, wanted, "%s[%zu]: %u (%s) instead of %u", bench->scenario,
                 bench->step, answer.status, http_field(&answer, "X-Portico-Reason"), wanted);
    cr_expect_eq(http_field(&answer, "X-Portico-Reason")[0] == '\0', answer.status == 200);
    if (answer.status == 406) {
        cr_expect(str_equal(answer.body, STR("Enrollment required")));
    } else if (answer.status == 200 && wanted == 200) {
        expect_answer(bench, step, answer.body);
    }
    http_answer_done(&answer);
    expect_state(bench, json_object_get(expect, "state_after"));
}

static void run_step(struct bench *bench, const json_t *step)
{
    struct str op = vectors_text(step, "op");
    if (str_equal(op, STR("post"))) {
        post(bench, step);
    } else if (str_equal(op, STR("advance_server_clock"))) {
        advance_clock(bench, json_integer_value(json_object_get(step, "seconds")) * USEC_PER_SEC);
    } else {
        /* process_enrolment: done already, by the instance itself. */
        cr_expect(str_equal(op, STR("process_enrolment")));
        expect_state(bench, json_object_get(step, "state_after"));
    }
}

static void run_scenario(struct bench *bench, json_t *scenario)
{
    size_t i;
    json_t *step;
    const json_t *state = NULL;
    begin_scenario(bench, scenario);
    cr_expect(adjust(scenario), "%s: nobody decided this quirk", bench->scenario);
    json_array_foreach(json_object_get(scenario, "steps"), i, step)
    {
        bench->step = i;
        run_step(bench, step);
        json_t *after = json_object_get(expect_of(scenario, i), "state_after");
        state = after != NULL ? after : state;
    }
    /* Nothing came late: a stopped instance has written everything. */
    cr_expect_eq(instance_stop(&bench->instance, STOP_PATIENCE), 0, "%s", bench->scenario);
    look(bench, state, true);
    end_scenario(bench);
}

/* One in SHARDS scenarios, so that ctest can run them side by side. */
static void run_shard(size_t shard)
{
    static struct bench bench;
    if (!bench_init(&bench)) {
        SKIP_TEST("../shared/vectors is absent");
    }
    json_t *requests = vectors_load("requests.json");
    size_t i, run = 0;
    json_t *scenario;
    const char *only = getenv("SCENARIO");
    json_array_foreach(json_object_get(requests, "scenarios"), i, scenario)
    {
        if (i % SHARDS == shard &&
            (only == NULL || str_equal(str_from(only), vectors_text(scenario, "name")))) {
            run_scenario(&bench, scenario);
            run++;
        }
    }
    cr_expect(only != NULL || run > 20);
    json_decref(requests);
    bench_done(&bench);
}

Test(frontend_vectors, every_recorded_scenario_first_quarter)
{
    run_shard(0);
}

Test(frontend_vectors, every_recorded_scenario_second_quarter)
{
    run_shard(1);
}

Test(frontend_vectors, every_recorded_scenario_third_quarter)
{
    run_shard(2);
}

Test(frontend_vectors, every_recorded_scenario_fourth_quarter)
{
    run_shard(3);
}

Test(frontend_vectors, every_decision_is_about_a_recorded_scenario)
{
    json_t *requests = vectors_load("requests.json");
    if (requests == NULL) {
        SKIP_TEST("../shared/vectors is absent");
    }
    for (size_t q = 0; q < ARRAY_LEN(quirks); q++) {
        size_t i, found = 0;
        json_t *scenario;
        json_array_foreach(json_object_get(requests, "scenarios"), i, scenario)
        {
            found += str_equal(vectors_text(scenario, "name"), str_from(quirks[q].scenario));
        }
        cr_expect_eq(found, 1, "%s: %s", quirks[q].scenario, quirks[q].decision);
    }
    json_decref(requests);
}
