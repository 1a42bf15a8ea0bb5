/* SPDX-License-Identifier: Apache-2.0 */
/* A small agent for tests. */
#include "support/agent_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "support/support.h"
#include "wire/certificate.h"
#include "wire/enrolment.h"
#include "wire/payload.h"
#include "wire/seal.h"

enum { PACKET_MAX = 256 << 20, STATUS_MAX = 4096 };

static usec_t wall(void)
{
    return clock_wall(&clock_system);
}

/* ---- Life ---- */

void agent_client_init(struct agent_client *client, struct rsa_key *key)
{
    *client = (struct agent_client){.key = key, .limits = PACKET_LIMITS_DEFAULT};
    CHECK(wire_tools_init(&client->tools) == 0);
}

void agent_client_hang_up(struct agent_client *client)
{
    if (client->is_connected) {
        http_close(&client->http);
        client->is_connected = false;
    }
}

void agent_client_done(struct agent_client *client)
{
    agent_client_hang_up(client);
    rsa_key_free(client->key);
    rsa_key_free(client->met);
    wire_tools_done(&client->tools);
    free_str(client->body);
}

const char *agent_client_id(const struct agent_client *client)
{
    return rsa_key_client_id(client->key)->text;
}

void agent_client_renew(struct agent_client *client)
{
    enum wire_reason reason;
    CHECK(sealing_make(&client->tools, client->key, client->server,
                       str_from(agent_client_id(client)), wall(), &client->sealing, &reason) == 0);
}

void agent_client_trust(struct agent_client *client, const struct rsa_key *server, const char *name)
{
    client->server = server;
    snprintf(client->server_name, sizeof client->server_name, "%s", name);
    memset(&client->session, 0, sizeof client->session);
    agent_client_renew(client);
}

/* ---- Talking ---- */

/* The status; 0 without a whole answer. */
static int take_answer(struct agent_client *client, struct http_answer *answer)
{
    free_str(client->body);
    client->body = answer->body;
    answer->body = str_make(NULL, 0);
    snprintf(client->refusal, sizeof client->refusal, "%.63s",
             http_field(answer, "X-Portico-Reason"));
    if (answer->closes || client->closes) {
        agent_client_hang_up(client);
    }
    int status = (int)answer->status;
    http_answer_done(answer);
    return status;
}

static int exchange(struct agent_client *client, const struct address *server, const char *method,
                    const char *path, const struct str *body)
{
    struct http_answer answer;
    if (!client->is_connected && http_dial(&client->http, server) < 0) {
        return 0;
    }
    client->is_connected = true;
    client->http.closes = client->closes;
    if (!http_request(&client->http, method, path, body, &answer)) {
        agent_client_hang_up(client);
        return 0;
    }
    return take_answer(client, &answer);
}

int agent_client_post(struct agent_client *client, const struct address *server, struct str body)
{
    return exchange(client, server, "POST", "/control?api=3", &body);
}

int agent_client_meet(struct agent_client *client, const struct address *server)
{
    struct certificate_facts facts;
    struct rsa_key *key = NULL;
    enum wire_reason reason;
    int status = exchange(client, server, "GET", "/server.pem", NULL);
    if (status != 200) {
        return status;
    }
    if (certificate_read(client->body, NULL, &key, &facts, &reason) < 0) {
        return 0;
    }
    rsa_key_free(client->met);
    client->met = key;
    agent_client_trust(client, key, facts.common_name);
    return status;
}

void agent_client_seal(struct agent_client *client, struct str list, struct buffer *out)
{
    uint64_t now = (uint64_t)wall();
    client->nonce = now > client->nonce ? now : client->nonce + 1;
    const struct seal_content content = {.list = list,
                                         .timestamp = client->nonce,
                                         .compress_from = SEAL_COMPRESS_FROM,
                                         .is_poll = true};
    CHECK(seal_packet(&client->tools, &client->sealing, &content, out) == 0);
}

bool agent_client_open(struct agent_client *client, struct str body, struct bundle *bundle)
{
    const struct answer_expectation expectation = {.own = client->key,
                                                   .server = client->server,
                                                   .server_name = str_from(client->server_name),
                                                   .nonce = client->nonce};
    return answer_open(&client->tools, body, &expectation, &client->limits, &client->session,
                       bundle, &client->lie) == 0;
}

int agent_client_poll(struct agent_client *client, const struct address *server, struct str list,
                      struct bundle *bundle)
{
    struct buffer packet;
    buffer_init(&packet, PACKET_MAX);
    agent_client_seal(client, list, &packet);
    int status = agent_client_post(client, server, buffer_view(&packet));
    buffer_done(&packet);
    return status != 200 || agent_client_open(client, client->body, bundle) ? status : -1;
}

/* ---- Messages ---- */

void agent_client_append_message(struct buffer *list, const char *session_id, struct str args,
                                 const char *args_type)
{
    const struct message message = {
        .session_id = str_from(session_id), .args = args, .args_type = str_from(args_type)};
    CHECK(message_list_append(list, &message) == 0);
}

void agent_client_append_enrol(struct agent_client *client, struct buffer *list)
{
    struct buffer pem;
    struct buffer args;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    buffer_init(&args, RSA_PEM_BYTES_MAX);
    CHECK(csr_make(client->key, &pem) == 0);
    CHECK(payload_write_csr(buffer_view(&pem), &args) == 0);
    agent_client_append_message(list, wire_handler_session(WIRE_HANDLER_ENROL), buffer_view(&args),
                                "Certificate");
    buffer_done(&pem);
    buffer_done(&args);
}

/* `message` with its numbers. */
static void append_numbered(struct buffer *list, struct message *message, uint64_t request,
                            uint64_t response)
{
    message->request_id = request;
    message->response_id = response;
    message->has_request_id = message->has_response_id = true;
    CHECK(message_list_append(list, message) == 0);
}

static void append_status(struct buffer *list, const struct message *origin, uint64_t request,
                          uint64_t response)
{
    struct buffer args;
    struct message message = *origin;
    buffer_init(&args, STATUS_MAX);
    CHECK(payload_write_status(&(struct status_payload){.code = STATUS_OK}, &args) == 0);
    message.args = buffer_size(&args) > 0 ? buffer_view(&args) : STR("");
    message.args_type = STR("GrrStatus");
    message.type = MESSAGE_STATUS;
    message.has_type = true;
    append_numbered(list, &message, request, response);
    buffer_done(&args);
}

void agent_client_append_response(struct buffer *list, const char *session_id, uint64_t request,
                                  uint64_t response, struct str args, const char *args_type)
{
    struct message message = {
        .session_id = str_from(session_id), .args = args, .args_type = str_from(args_type)};
    append_numbered(list, &message, request, response);
}

void agent_client_append_status(struct buffer *list, const char *session_id, uint64_t request,
                                uint64_t response)
{
    append_status(list, &(struct message){.session_id = str_from(session_id)}, request, response);
}

void agent_client_append_answers(struct buffer *list, const struct message *request,
                                 struct str args, const char *args_type)
{
    const struct message origin = {
        .session_id = request->session_id, .task_id = request->task_id, .has_task_id = true};
    struct message message = origin;
    message.args = args;
    message.args_type = str_from(args_type);
    append_numbered(list, &message, request->request_id, 1);
    append_status(list, &origin, request->request_id, 2);
}
