/* SPDX-License-Identifier: Apache-2.0 */
/* Every recorded scenario against the real binary over real sockets: a fresh instance and store
 * each, its packets in order, then what came back and what is stored. Where we differ on purpose,
 * recorded_quirks.c says how and why.
 *
 * The recording's clock jumps; ours cannot, so leases are moved into the past instead. */
#include <criterion/criterion.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "recorded.h"
#include "support/http_client.h"
#include "support/support.h"
#include "wire/request.h"

enum { SHARDS = 4 };

#define STOP_PATIENCE (20 * USEC_PER_SEC)

/* ---- Surroundings ---- */

static bool bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    if (!recording_open(&bench->recording)) {
        return false;
    }
    arena_init(&bench->arena, 64 * 1024, 256 << 20);
    return true;
}

static void bench_done(struct bench *bench)
{
    recording_close(&bench->recording);
    arena_done(&bench->arena);
}

struct recorded_client *client_of(struct bench *bench, const json_t *object)
{
    return recording_client(&bench->recording,
                            json_string_value(json_object_get(object, "client")));
}

struct store_agent_id id_of(const struct recorded_client *client)
{
    struct store_agent_id id;
    CHECK(store_agent_id_parse(str_from(rsa_key_client_id(client->key)->text), &id) == 0);
    return id;
}

static void enrol(struct bench *bench, const json_t *entry)
{
    const struct recorded_client *client = client_of(bench, entry);
    const struct store_enrolment enrolment = {
        .agent = id_of(client),
        .key = vectors_text(client->keys, "public_key_pem"),
        .certificate = vectors_text(client->keys, "cert_pem"),
        .state = STORE_ENROLLED,
    };
    CHECK(store_enrol_agent(bench->store, &enrolment, NULL, NULL) == 1);
    if (!json_is_true(json_object_get(entry, "has_certificate"))) {
        /* A row without certificate: an agent that was forgotten. */
        CHECK(store_set_state(bench->store, id_of(client), STORE_FORGOTTEN, NULL) == 1);
    }
    if (json_is_integer(json_object_get(entry, "clock_us"))) {
        const struct store_bundle bundle = {
            .agent = id_of(client),
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
        .agent = id_of(client_of(bench, flow)),
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
        .ca_key = vectors_text(bench->recording.keys, "ca_key_pem"),
        .ca_certificate = vectors_text(bench->recording.keys, "ca_cert_pem"),
        .server_key = vectors_text(bench->recording.keys, "server_key_pem"),
        .server_certificate = vectors_text(bench->recording.keys, "server_cert_pem"),
    };
    size_t i, j;
    json_t *entry, *request;
    bench->scenario = json_string_value(json_object_get(scenario, "name"));
    for (i = 0; i < bench->recording.client_count; i++) {
        memset(&bench->recording.clients[i].answers, 0, sizeof bench->recording.clients[i].answers);
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
static enum wire_reason open_untimed(struct bench *bench, struct recorded_client *client,
                                     struct str body)
{
    struct packet packet;
    struct claim claim;
    enum wire_reason reason = WIRE_NO_REASON;
    if (packet_parse(&bench->recording.tools, body, WIRE_API_VERSION, &packet, &reason) == 0 &&
        packet_unwrap(&bench->recording.tools, &packet, client->key, PACKET_FROM_SERVER, &claim,
                      &reason) == 0 &&
        claim_verify(&claim, bench->recording.server, &client->answers, &reason) == 0 &&
        packet_open(&bench->recording.tools, &packet, &client->answers, &bench->recording.limits,
                    &bench->recording.bundle, &reason) == 0) {
        cr_expect_str_eq(client->answers.source, "grr");
        usec_t nonce = (usec_t)bench->recording.bundle.timestamp;
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
    struct recorded_client *client = client_of(bench, decoded);
    enum wire_reason reason = WIRE_NO_REASON;
    if (json_is_true(json_object_get(decoded, "timestamp_present"))) {
        reason = recording_open_answer(
            &bench->recording, client, body,
            (uint64_t)json_integer_value(json_object_get(decoded, "nonce_us")));
    } else {
        reason = open_untimed(bench, client, body);
    }
    cr_expect_eq(reason, WIRE_NO_REASON, "%s[%zu]: %s", bench->scenario, bench->step,
                 wire_reason_code(reason));
    const json_t *messages = json_object_get(response, "messages");
    cr_expect_eq(bench->recording.bundle.count, json_array_size(messages),
                 "%s[%zu]: %u requests instead of %zu", bench->scenario, bench->step,
                 bench->recording.bundle.count, json_array_size(messages));
    struct str list = bench->recording.bundle.list;
    struct message message;
    for (size_t i = 0; i < json_array_size(messages) && message_next(&list, &message) > 0; i++) {
        expect_request(bench, json_array_get(messages, i), &message);
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
    recorded_expect_state(bench, json_object_get(expect, "state_after"));
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
        recorded_expect_state(bench, json_object_get(step, "state_after"));
    }
}

static void run_scenario(struct bench *bench, json_t *scenario)
{
    size_t i;
    json_t *step;
    const json_t *state = NULL;
    begin_scenario(bench, scenario);
    cr_expect(recorded_adjust(scenario), "%s: nobody decided this quirk", bench->scenario);
    json_array_foreach(json_object_get(scenario, "steps"), i, step)
    {
        bench->step = i;
        run_step(bench, step);
        json_t *after = json_object_get(recorded_expectation(scenario, i), "state_after");
        state = after != NULL ? after : state;
    }
    /* Nothing came late: a stopped instance has written everything. */
    cr_expect_eq(instance_stop(&bench->instance, STOP_PATIENCE), 0, "%s", bench->scenario);
    recorded_expect_final_state(bench, state);
    end_scenario(bench);
}

/* One in SHARDS scenarios, so that ctest can run them side by side. */
static void run_shard(size_t shard)
{
    static struct bench bench;
    if (!bench_init(&bench)) {
        SKIP_TEST("../shared/vectors is absent");
    }
    size_t i, run = 0;
    json_t *scenario;
    const char *only = getenv("SCENARIO");
    json_array_foreach(json_object_get(bench.recording.requests, "scenarios"), i, scenario)
    {
        if (i % SHARDS == shard &&
            (only == NULL || str_equal(str_from(only), vectors_text(scenario, "name")))) {
            run_scenario(&bench, scenario);
            run++;
        }
    }
    cr_expect(only != NULL || run > 20);
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
    recorded_check_decisions(json_object_get(requests, "scenarios"));
    json_decref(requests);
}
