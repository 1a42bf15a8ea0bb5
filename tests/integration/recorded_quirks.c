/* SPDX-License-Identifier: Apache-2.0 */
/* Where we differ from the recording, or decided not to. docs/protocol.md has the same list. */
#include <criterion/criterion.h>
#include <string.h>

#include "recorded.h"
#include "wire/name.h"

static json_t *step_of(const json_t *scenario, size_t n)
{
    return json_array_get(json_object_get(scenario, "steps"), n);
}

json_t *recorded_expectation(const json_t *scenario, size_t n)
{
    json_t *step = step_of(scenario, n);
    json_t *expect = json_object_get(step, "expect");
    return expect != NULL ? expect : step;
}

static json_t *state_of(const json_t *scenario, size_t n)
{
    return json_object_get(recorded_expectation(scenario, n), "state_after");
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
    json_object_set_new(recorded_expectation(scenario, n), "http_status",
                        json_integer(500)); /* mapped */
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
    json_t *response = json_object_get(recorded_expectation(scenario, 0), "response");
    json_object_set(json_object_get(recorded_expectation(scenario, 1), "response"), "messages",
                    json_object_get(response, "messages"));
    set_refused(scenario, 0);
}

static void stale_gets_nothing(json_t *scenario)
{
    json_object_set_new(json_object_get(recorded_expectation(scenario, 0), "response"), "messages",
                        json_array());
    set_unleased(scenario, 0);
}

static void stored_as_sent(json_t *scenario)
{
    set_stored_as_sent(scenario, 0);
}

static void rest_is_kept(json_t *scenario)
{
    json_object_set_new(recorded_expectation(scenario, 0), "http_status", json_integer(200));
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
    json_object_set_new(recorded_expectation(scenario, 1), "http_status", json_integer(200));
    set_client(scenario, 1, "newbie", true, nonce_of(scenario, 1), true);
    set_client(scenario, 2, "newbie", true, nonce_of(scenario, 1), true);
    json_object_set_new(json_object_get(recorded_expectation(scenario, 3), "response"), "messages",
                        json_array()); /* nobody interrogates here */
    json_object_set_new(state_of(scenario, 3), "flow_requests", json_array());
    json_object_set_new(state_of(scenario, 3), "client_action_requests", json_array());
}

static void enrolled_with_its_messages(json_t *scenario)
{
    json_object_set_new(recorded_expectation(scenario, 0), "http_status", json_integer(200));
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

bool recorded_adjust(json_t *scenario)
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

void recorded_check_decisions(const json_t *scenarios)
{
    for (size_t q = 0; q < ARRAY_LEN(quirks); q++) {
        size_t i, found = 0;
        json_t *scenario;
        json_array_foreach(scenarios, i, scenario)
        {
            found += str_equal(vectors_text(scenario, "name"), str_from(quirks[q].scenario));
        }
        cr_expect_eq(found, 1, "%s: %s", quirks[q].scenario, quirks[q].decision);
    }
}
