/* SPDX-License-Identifier: Apache-2.0 */
/* A test agent to watch an instance with: enrols when it has to, polls the given addresses in turn,
 * answers what it is asked to do with an echo, and says what happened.
 *
 *     test-agent [--key FILE] [--polls N] [--pause MILLISECONDS] ADDRESS:PORT ... */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "support/agent_client.h"
#include "support/support.h"

struct options {
    const char *key_file;
    unsigned polls;
    unsigned pause_ms;
};

static struct rsa_key *read_or_make_key(const char *path)
{
    struct rsa_key *key = NULL;
    size_t len;
    char *text = path == NULL ? NULL : read_file(path, &len);
    if (text != NULL) {
        CHECK(rsa_private_from_pem(str_make(text, len), NULL, &key) == 0);
        free(text);
        return key;
    }
    CHECK(rsa_generate(2048, NULL, &key) == 0);
    if (path != NULL) {
        struct buffer pem;
        buffer_init(&pem, RSA_PEM_BYTES_MAX);
        CHECK(rsa_private_to_pem(key, &pem) == 0);
        FILE *file = fopen(path, "wxe");
        CHECK(file != NULL && fwrite(pem.data, 1, pem.end, file) == pem.end);
        CHECK(fclose(file) == 0);
        buffer_done(&pem);
    }
    return key;
}

/* Answer each request with its own name. */
static void answer_requests(const struct bundle *bundle, struct buffer *list)
{
    struct str rest = bundle->list;
    struct message request;
    while (message_next(&rest, &request) > 0) {
        printf("  asked: %.*s, request %llu of %.*s\n", STR_ARG(request.name),
               (unsigned long long)request.request_id, STR_ARG(request.session_id));
        agent_client_append_answers(list, &request, request.name, "RDFString");
    }
}

static void poll_once(struct agent_client *client, const struct address *server,
                      struct buffer *list)
{
    struct bundle bundle;
    char text[ADDRESS_TEXT_SIZE];
    bundle_init(&bundle, &client->limits);
    int status = agent_client_poll(client, server, buffer_view(list), &bundle);
    printf("%s polls %s: %d%s%s, %u requests\n", agent_client_id(client),
           address_format(server, text), status, status < 0 ? " " : "",
           status < 0 ? wire_reason_code(client->lie) : "", bundle.count);
    if (status == 200) {
        buffer_clear(list);
        answer_requests(&bundle, list);
    } else if (status == 406) {
        buffer_clear(list);
        agent_client_append_enrol(client, list);
    }
    bundle_done(&bundle);
}

static int run(const struct options *options, char **servers, int count)
{
    struct agent_client client;
    struct buffer list;
    agent_client_init(&client, read_or_make_key(options->key_file));
    client.closes = true;
    buffer_init(&list, 64 << 20);
    for (unsigned i = 0; i < options->polls; i++) {
        struct address server;
        struct error error;
        if (address_parse(str_from(servers[i % (unsigned)count]), 8080, &server, &error) < 0) {
            fprintf(stderr, "test-agent: %s\n", error.message);
            return 2;
        }
        if (client.server == NULL && agent_client_meet(&client, &server) != 200) {
            fprintf(stderr, "test-agent: no /server.pem at %s\n", servers[i % (unsigned)count]);
            return 1;
        }
        poll_once(&client, &server, &list);
        usleep(options->pause_ms * 1000);
    }
    buffer_done(&list);
    agent_client_done(&client);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"key", required_argument, NULL, 'k'},
                                                 {"polls", required_argument, NULL, 'n'},
                                                 {"pause", required_argument, NULL, 'p'},
                                                 {NULL, 0, NULL, 0}};
    struct options options = {.polls = 4};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (option) {
        case 'k':
            options.key_file = optarg;
            break;
        case 'n':
            options.polls = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            options.pause_ms = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            return 2;
        }
    }
    if (optind == argc) {
        fputs("usage: test-agent [--key FILE] [--polls N] [--pause MS] ADDRESS:PORT ...\n", stderr);
        return 2;
    }
    return run(&options, argv + optind, argc - optind);
}
