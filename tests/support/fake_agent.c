/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the protocol. */
#include "support/fake_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/enrolment.h"
#include "wire/payload.h"

enum { LIST_MAX = 256 << 20, PEM_MAX = 64 * 1024 };

static void begin(struct fake_agent *agent, const struct rsa_key *server)
{
    agent->server = server;
    agent->limits = PACKET_LIMITS_DEFAULT;
    agent->nonce = (uint64_t)clock_wall(&clock_system);
    CHECK(wire_tools_init(&agent->tools) == 0);
    fake_agent_renew(agent);
    bundle_init(&agent->bundle, &agent->limits);
    buffer_init(&agent->list, LIST_MAX);
}

void fake_agent_init(struct fake_agent *agent, const struct rsa_key *server)
{
    memset(agent, 0, sizeof *agent);
    CHECK(rsa_generate(1024, NULL, &agent->key) == 0);
    begin(agent, server);
}

void fake_agent_twin(struct fake_agent *twin, const struct fake_agent *agent)
{
    struct buffer pem;
    memset(twin, 0, sizeof *twin);
    buffer_init(&pem, PEM_MAX);
    CHECK(rsa_private_to_pem(agent->key, &pem) == 0);
    CHECK(rsa_private_from_pem(buffer_view(&pem), NULL, &twin->key) == 0);
    buffer_done(&pem);
    begin(twin, agent->server);
}

void fake_agent_renew(struct fake_agent *agent)
{
    enum wire_reason reason;
    CHECK(sealing_make(&agent->tools, agent->key, agent->server, str_from(fake_agent_id(agent)),
                       clock_wall(&clock_system), &agent->sealing, &reason) == 0);
}

void fake_agent_done(struct fake_agent *agent)
{
    rsa_key_free(agent->key);
    wire_tools_done(&agent->tools);
    bundle_done(&agent->bundle);
    buffer_done(&agent->list);
}

const char *fake_agent_id(const struct fake_agent *agent)
{
    return rsa_key_client_id(agent->key)->text;
}

void fake_agent_say(struct fake_agent *agent, const char *session, const char *type,
                    struct str args)
{
    const struct message message = {
        .session_id = str_from(session), .args_type = str_from(type), .args = args};
    CHECK(message_list_append(&agent->list, &message) == 0);
}

void fake_agent_ask(struct fake_agent *agent)
{
    struct buffer pem;
    struct buffer args;
    buffer_init(&pem, PEM_MAX);
    buffer_init(&args, PEM_MAX);
    CHECK(csr_make(agent->key, &pem) == 0);
    CHECK(payload_write_csr(buffer_view(&pem), &args) == 0);
    fake_agent_say(agent, wire_handler_session(WIRE_HANDLER_ENROL), "Certificate",
                   buffer_view(&args));
    buffer_done(&pem);
    buffer_done(&args);
}

static void reply(struct fake_agent *agent, const char *flow, struct message *message)
{
    char session[128];
    snprintf(session, sizeof session, "aff4:/%s/%s", fake_agent_id(agent), flow);
    message->session_id = str_from(session);
    message->has_request_id = message->has_response_id = message->has_type = true;
    CHECK(message_list_append(&agent->list, message) == 0);
    message->session_id = str_make(NULL, 0);
}

void fake_agent_respond(struct fake_agent *agent, const char *flow, uint64_t request,
                        uint64_t response, struct str args)
{
    struct message message = {
        .request_id = request, .response_id = response, .args_type = STR("DataBlob"), .args = args};
    reply(agent, flow, &message);
}

void fake_agent_end(struct fake_agent *agent, const char *flow, uint64_t request, uint64_t response)
{
    const struct status_payload status = {.code = STATUS_OK};
    struct buffer args;
    buffer_init(&args, 4096);
    CHECK(payload_write_status(&status, &args) == 0);
    struct message message = {.request_id = request,
                              .response_id = response,
                              .type = MESSAGE_STATUS,
                              .args_type = STR("GrrStatus"),
                              .args = buffer_size(&args) > 0 ? buffer_view(&args) : STR("")};
    reply(agent, flow, &message);
    buffer_done(&args);
}

struct str fake_agent_packet(struct fake_agent *agent)
{
    struct buffer out;
    const struct seal_content content = {
        .list = buffer_view(&agent->list),
        .timestamp = ++agent->nonce,
        .compress_from = SEAL_COMPRESS_FROM,
        .is_poll = true,
    };
    buffer_init(&out, LIST_MAX);
    CHECK(seal_packet(&agent->tools, &agent->sealing, &content, &out) == 0);
    buffer_clear(&agent->list);
    struct str view = buffer_view(&out);
    struct str packet = str_make(str_dup(view), view.len);
    buffer_done(&out);
    CHECK(packet.data != NULL);
    return packet;
}

static void open_answer(struct fake_agent *agent, struct str body)
{
    const struct answer_expectation expectation = {
        .own = agent->key,
        .server = agent->server,
        .server_name = STR("grr"),
        .nonce = agent->nonce,
    };
    enum wire_reason reason = WIRE_NO_REASON;
    int code = answer_open(&agent->tools, body, &expectation, &agent->limits, &agent->answers,
                           &agent->bundle, &reason);
    if (code < 0) {
        fprintf(stderr, "the answer is refused: %s\n", wire_reason_code(reason));
    }
    CHECK(code == 0);
}

unsigned fake_agent_send(struct fake_agent *agent, struct http_client *client, const char *path,
                         struct str packet)
{
    struct http_answer answer;
    if (!http_request(client, "POST", path, &packet, &answer)) {
        return 0;
    }
    unsigned status = answer.status;
    snprintf(agent->reason, sizeof agent->reason, "%.63s", http_field(&answer, "X-Portico-Reason"));
    if (status == 200) {
        open_answer(agent, answer.body);
    }
    http_answer_done(&answer);
    return status;
}

unsigned fake_agent_poll(struct fake_agent *agent, struct http_client *client)
{
    struct str packet = fake_agent_packet(agent);
    unsigned status = fake_agent_send(agent, client, "/control?api=3", packet);
    free((void *)(uintptr_t)packet.data);
    return status;
}

unsigned fake_agent_poll_once(struct fake_agent *agent, uint16_t port)
{
    struct http_client client;
    http_connect(&client, port);
    unsigned status = fake_agent_poll(agent, &client);
    http_close(&client);
    return status;
}
