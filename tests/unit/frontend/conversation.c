/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd between a test and a callback. */
#include "conversation.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"

enum { ANSWER_MAX = 1 << 16, PATIENCE_SECONDS = 10 };

struct conversation {
    answer_callback *answer;
    void *context;
};

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    const struct conversation *conversation = context;
    static int seen;
    (void)path;
    (void)method;
    (void)version;
    (void)data;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    *size = 0;
    return conversation->answer(connection, conversation->context);
}

enum MHD_Result answer_with_nothing(struct MHD_Connection *connection)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    CHECK(response != NULL);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static char *read_all(int fd)
{
    char *text = calloc(1, ANSWER_MAX);
    size_t used = 0;
    ssize_t n;
    CHECK(text != NULL);
    while (used < ANSWER_MAX - 1 && (n = recv(fd, text + used, ANSWER_MAX - 1 - used, 0)) > 0) {
        used += (size_t)n;
    }
    return text;
}

char *converse(const char *request, const struct address *peer, answer_callback *answer,
               void *context)
{
    struct conversation conversation = {answer, context};
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct address other;
    int fds[2];
    CHECK(address_from_host(STR("192.0.2.1"), 4711, &other, NULL) == 0);
    peer = peer == NULL ? &other : peer;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET,
                         0, NULL, NULL, handle, &conversation, MHD_OPTION_END);
    CHECK(daemon != NULL);
    CHECK(MHD_add_connection(daemon, fds[1], &peer->any, peer->len) == MHD_YES);
    CHECK(write(fds[0], request, strlen(request)) == (ssize_t)strlen(request));
    CHECK(shutdown(fds[0], SHUT_WR) == 0);
    char *text = read_all(fds[0]);
    MHD_stop_daemon(daemon);
    close(fds[0]);
    return text;
}
