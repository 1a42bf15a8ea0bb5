/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored, against what was recorded: agents, messages, responses, requests. */
#include <criterion/criterion.h>
#include <math.h>
#include <openssl/sha.h>
#include <string.h>
#include <zlib.h>

#include "base/check.h"
#include "recorded.h"
#include "support/support.h"
#include "wire/payload.h"
#include "wire/replay.h"

enum { ROWS_MAX = 1000 };

#define STATE_PATIENCE (10 * USEC_PER_SEC)

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
        const struct recorded_client *client = recording_client(&bench->recording, name);
        struct store_agent *agent = NULL;
        int code = store_read_agent(bench->store, id_of(client), &bench->arena, &agent, NULL);
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
    const struct recorded_client *client = client_of(bench, expected);
    CHECK(message_decode(message->raw, &sent) == 0);
    /* A number of the agent's own choice is recorded; without one, a random one. */
    const json_t *number = json_object_get(expected, "request_id");
    struct store_agent_id id = id_of(client);
    return memcmp(&id, &message->agent, sizeof id) == 0 &&
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
    for (size_t c = 0; c < bench->recording.client_count; c++) {
        const struct store_response_query query = {.agent = id_of(&bench->recording.clients[c]),
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
            SAME(bench, is_found || client_of(bench, expected) != &bench->recording.clients[c],
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
    for (size_t c = 0; c < bench->recording.client_count; c++) {
        const struct store_request_query query = {.agent = id_of(&bench->recording.clients[c]),
                                                  .limit = ROWS_MAX};
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
            if (client_of(bench, expected) != &bench->recording.clients[c]) {
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
            if (client_of(bench, expected) != &bench->recording.clients[c]) {
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

void recorded_expect_state(struct bench *bench, const json_t *state)
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

void recorded_expect_final_state(struct bench *bench, const json_t *state)
{
    look(bench, state, true);
}
