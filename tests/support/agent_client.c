/* SPDX-License-Identifier: Apache-2.0 */
/* A small agent for tests. */
#include "support/agent_client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/http1.h"
#include "wire/certificate.h"
#include "wire/enrolment.h"
#include "wire/payload.h"
#include "wire/seal.h"

enum { ANSWER_MAX = 256 << 20, RECEIVE_SECONDS = 30 };

void agent_client_init(struct agent_client *client, struct rsa_key *key)
{
    *client = (struct agent_client){.key = key, .fd = -1, .limits = PACKET_LIMITS_DEFAULT};
    CHECK(wire_tools_init(&client->tools) == 0);
    buffer_init(&client->body, ANSWER_MAX);
}

static void hang_up(struct agent_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
}

void agent_client_done(struct agent_client *client)
{
    hang_up(client);
    rsa_key_free(client->key);
    rsa_key_free(client->server);
    wire_tools_done(&client->tools);
    buffer_done(&client->body);
}

const char *agent_client_id(const struct agent_client *client)
{
    return rsa_key_client_id(client->key)->text;
}

static bool dial(struct agent_client *client, const struct address *server)
{
    const struct timeval patience = {.tv_sec = RECEIVE_SECONDS};
    const int on = 1;
    client->fd = socket(server->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client->fd >= 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, &server->any, server->len) != 0) {
        hang_up(client);
        return false;
    }
    return true;
}

static bool send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

/* More bytes behind what the buffer holds; false at the end or after an error. */
static bool receive_more(struct agent_client *client)
{
    CHECK(buffer_reserve(&client->body, 4096) == 0);
    ssize_t n = recv(client->fd, buffer_tail(&client->body), buffer_room(&client->body), 0);
    if (n > 0) {
        buffer_commit(&client->body, (size_t)n);
    }
    return n > 0;
}

/* The status; the body alone is left in the buffer. 0 when no whole answer came. */
static int receive(struct agent_client *client)
{
    static const struct http1_limits limits = {
        .head_bytes = 16 * 1024, .name_bytes = 256, .fields = HTTP1_FIELDS_DEFAULT};
    struct http1_field fields[HTTP1_FIELDS_DEFAULT];
    struct http1_response response;
    struct http1_refusal refusal;
    ssize_t head;
    buffer_clear(&client->body);
    http1_response_init(&response, fields);
    while ((head = http1_response_parse(&response, &limits, HTTP1_POST, buffer_view(&client->body),
                                        &refusal)) == 0) {
        if (!receive_more(client)) {
            return 0;
        }
    }
    if (head < 0 || response.head.framing != HTTP1_BODY_LENGTH) {
        return 0;
    }
    bool lives_on = response.head.keep_alive;
    int status = response.status;
    uint64_t len = response.head.body_bytes;
    buffer_consume(&client->body, (size_t)head);
    while (buffer_size(&client->body) < len) {
        if (!receive_more(client)) {
            return 0;
        }
    }
    if (!lives_on || client->closes) {
        hang_up(client);
    }
    return status;
}

static int exchange(struct agent_client *client, const struct address *server, struct str head,
                    struct str body)
{
    bool was_kept = client->fd >= 0;
    if (!was_kept && !dial(client, server)) {
        return 0;
    }
    int status = 0;
    if (send_all(client->fd, head) && send_all(client->fd, body)) {
        status = receive(client);
    }
    if (status == 0) {
        hang_up(client);
    }
    return status;
}

int agent_client_post(struct agent_client *client, const struct address *server, struct str body)
{
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST /control?api=3 HTTP/1.1\r\nHost: test\r\n"
                     "Content-Type: binary/octet-stream\r\n%sContent-Length: %zu\r\n\r\n",
                     client->closes ? "Connection: close\r\n" : "", body.len);
    return exchange(client, server, str_make(head, (size_t)n), body);
}

static usec_t wall(void)
{
    return clock_wall(&clock_system);
}

int agent_client_meet(struct agent_client *client, const struct address *server)
{
    struct certificate_facts facts;
    enum wire_reason reason;
    int status =
        exchange(client, server, STR("GET /server.pem HTTP/1.1\r\nHost: test\r\n\r\n"), STR(""));
    if (status != 200) {
        return status;
    }
    rsa_key_free(client->server);
    client->server = NULL;
    if (certificate_read(buffer_view(&client->body), NULL, &client->server, &facts, &reason) < 0) {
        return 0;
    }
    snprintf(client->server_name, sizeof client->server_name, "%s", facts.common_name);
    memset(&client->session, 0, sizeof client->session);
    CHECK(sealing_make(&client->tools, client->key, client->server,
                       str_from(agent_client_id(client)), wall(), &client->sealing, &reason) == 0);
    return status;
}

int agent_client_poll(struct agent_client *client, const struct address *server, struct str list,
                      struct bundle *bundle)
{
    struct buffer packet;
    uint64_t now = (uint64_t)wall();
    client->nonce = now > client->nonce ? now : client->nonce + 1;
    const struct seal_content content = {.list = list,
                                         .timestamp = client->nonce,
                                         .compress_from = SEAL_COMPRESS_FROM,
                                         .is_poll = true};
    buffer_init(&packet, ANSWER_MAX);
    CHECK(seal_packet(&client->tools, &client->sealing, &content, &packet) == 0);
    int status = agent_client_post(client, server, buffer_view(&packet));
    buffer_done(&packet);
    if (status != 200) {
        return status;
    }
    const struct answer_expectation expectation = {.own = client->key,
                                                   .server = client->server,
                                                   .server_name = str_from(client->server_name),
                                                   .nonce = client->nonce};
    int code = answer_open(&client->tools, buffer_view(&client->body), &expectation,
                           &client->limits, &client->session, bundle, &client->lie);
    return code < 0 ? -1 : 200;
}

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
    agent_client_append_message(list, "aff4:/flows/E:Enrol", buffer_view(&args), "Certificate");
    buffer_done(&pem);
    buffer_done(&args);
}

void agent_client_append_answers(struct buffer *list, const struct message *request,
                                 struct str args, const char *args_type)
{
    struct buffer status;
    struct message message = {.session_id = request->session_id,
                              .args = args,
                              .args_type = str_from(args_type),
                              .request_id = request->request_id,
                              .has_request_id = true,
                              .response_id = 1,
                              .has_response_id = true,
                              .task_id = request->task_id,
                              .has_task_id = true};
    CHECK(message_list_append(list, &message) == 0);
    buffer_init(&status, 4096);
    CHECK(payload_write_status(&(struct status_payload){.code = STATUS_OK}, &status) == 0);
    message.args = buffer_view(&status);
    message.args_type = STR("GrrStatus");
    message.response_id = 2;
    message.type = MESSAGE_STATUS;
    message.has_type = true;
    CHECK(message_list_append(list, &message) == 0);
    buffer_done(&status);
}
