/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded parties. */
#include "support/recording.h"

#include <string.h>

#include "base/check.h"
#include "wire/answer.h"

bool recording_open(struct recording *recording)
{
    const char *name;
    json_t *client;
    memset(recording, 0, sizeof *recording);
    recording->keys = vectors_load("keys.json");
    recording->requests = vectors_load("requests.json");
    if (recording->keys == NULL || recording->requests == NULL) {
        json_decref(recording->keys);
        json_decref(recording->requests);
        return false;
    }
    recording->limits = PACKET_LIMITS_DEFAULT;
    CHECK(wire_tools_init(&recording->tools) == 0);
    CHECK(rsa_private_from_pem(vectors_text(recording->keys, "server_key_pem"), NULL,
                               &recording->server) == 0);
    json_object_foreach(json_object_get(recording->keys, "clients"), name, client)
    {
        CHECK(recording->client_count < RECORDED_CLIENTS_MAX);
        struct recorded_client *known = &recording->clients[recording->client_count++];
        *known = (struct recorded_client){.name = name, .keys = client};
        CHECK(rsa_private_from_pem(vectors_text(client, "private_key_pem"), NULL, &known->key) ==
              0);
    }
    bundle_init(&recording->bundle, &recording->limits);
    return true;
}

void recording_close(struct recording *recording)
{
    for (size_t i = 0; i < recording->client_count; i++) {
        rsa_key_free(recording->clients[i].key);
    }
    rsa_key_free(recording->server);
    wire_tools_done(&recording->tools);
    bundle_done(&recording->bundle);
    json_decref(recording->requests);
    json_decref(recording->keys);
}

struct recorded_client *recording_client(struct recording *recording, const char *name)
{
    for (size_t i = 0; name != NULL && i < recording->client_count; i++) {
        if (strcmp(recording->clients[i].name, name) == 0) {
            return &recording->clients[i];
        }
    }
    return NULL;
}

struct recorded_client *recording_client_of_id(struct recording *recording, const char *id)
{
    for (size_t i = 0; i < recording->client_count; i++) {
        if (strcmp(rsa_key_client_id(recording->clients[i].key)->text, id) == 0) {
            return &recording->clients[i];
        }
    }
    return NULL;
}

enum wire_reason recording_open_answer(struct recording *recording, struct recorded_client *client,
                                       struct str body, uint64_t nonce)
{
    const struct answer_expectation expectation = {
        .own = client->key,
        .server = recording->server,
        .server_name = STR("grr"),
        .nonce = nonce,
    };
    enum wire_reason reason = WIRE_NO_REASON;
    int code = answer_open(&recording->tools, body, &expectation, &recording->limits,
                           &client->answers, &recording->bundle, &reason);
    CHECK((code == 0) == (reason == WIRE_NO_REASON));
    return reason;
}
