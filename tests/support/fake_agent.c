/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says, and to whom the test likes. */
#include "support/fake_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/support.h"

enum { LIST_MAX = 256 << 20, SESSION_SIZE = 128 };

/* `key` is taken. */
static void begin(struct fake_agent *agent, struct rsa_key *key, const struct rsa_key *server)
{
    memset(agent, 0, sizeof *agent);
    agent_client_init(&agent->client, key);
    agent_client_trust(&agent->client, server, "grr");
    bundle_init(&agent->bundle, &agent->client.limits);
    buffer_init(&agent->list, LIST_MAX);
}

void fake_agent_init(struct fake_agent *agent, const struct rsa_key *server)
{
    struct rsa_key *key = NULL;
    CHECK(rsa_generate(1024, NULL, &key) == 0);
    begin(agent, key, server);
}

void fake_agent_twin(struct fake_agent *twin, const struct fake_agent *agent)
{
    struct rsa_key *key = NULL;
    struct buffer pem;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    CHECK(rsa_private_to_pem(agent->client.key, &pem) == 0);
    CHECK(rsa_private_from_pem(buffer_view(&pem), NULL, &key) == 0);
    buffer_done(&pem);
    begin(twin, key, agent->client.server);
}

void fake_agent_renew(struct fake_agent *agent)
{
    agent_client_renew(&agent->client);
}

void fake_agent_done(struct fake_agent *agent)
{
    agent_client_done(&agent->client);
    bundle_done(&agent->bundle);
    buffer_done(&agent->list);
}

const char *fake_agent_id(const struct fake_agent *agent)
{
    return agent_client_id(&agent->client);
}

void fake_agent_say(struct fake_agent *agent, const char *session, const char *type,
                    struct str args)
{
    agent_client_append_message(&agent->list, session, args, type);
}

void fake_agent_ask(struct fake_agent *agent)
{
    agent_client_append_enrol(&agent->client, &agent->list);
}

static const char *name_flow(const struct fake_agent *agent, const char *flow,
                             char session[SESSION_SIZE])
{
    snprintf(session, SESSION_SIZE, "aff4:/%s/%s", fake_agent_id(agent), flow);
    return session;
}

void fake_agent_respond(struct fake_agent *agent, const char *flow, uint64_t request,
                        uint64_t response, struct str args)
{
    char session[SESSION_SIZE];
    agent_client_append_response(&agent->list, name_flow(agent, flow, session), request, response,
                                 args, "DataBlob");
}

void fake_agent_end(struct fake_agent *agent, const char *flow, uint64_t request, uint64_t response)
{
    char session[SESSION_SIZE];
    agent_client_append_status(&agent->list, name_flow(agent, flow, session), request, response);
}

struct str fake_agent_packet(struct fake_agent *agent)
{
    struct buffer out;
    buffer_init(&out, LIST_MAX);
    agent_client_seal(&agent->client, buffer_view(&agent->list), &out);
    buffer_clear(&agent->list);
    struct str view = buffer_view(&out);
    struct str packet = str_make(str_dup(view), view.len);
    buffer_done(&out);
    CHECK(packet.data != NULL);
    return packet;
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
    if (status == 200 && !agent_client_open(&agent->client, answer.body, &agent->bundle)) {
        fprintf(stderr, "the answer is refused: %s\n", wire_reason_code(agent->client.lie));
        abort();
    }
    http_answer_done(&answer);
    return status;
}

unsigned fake_agent_poll(struct fake_agent *agent, struct http_client *client)
{
    struct str packet = fake_agent_packet(agent);
    unsigned status = fake_agent_send(agent, client, "/control?api=3", packet);
    free_str(packet);
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
