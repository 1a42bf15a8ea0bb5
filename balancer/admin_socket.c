/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to commands, and back. */
#include "admin_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin_server.h"
#include "net/socket.h"

struct admin_socket {
    struct admin_server *server;
    char *path;
};

static void answered(struct admin_stream *stream, const struct admin_answer *answer)
{
    admin_stream_put(stream, buffer_view(&answer->out));
    if (!stream->is_closed) {
        admin_stream_put(stream, STR("\n"));
    }
}

static enum admin_take refuse_line(struct admin_stream *stream)
{
    admin_stream_put(stream, STR("error: the line is longer than 4096 bytes\n\n"));
    stream->is_closing = true;
    return ADMIN_TAKEN;
}

/* The last line needs no LF. Empty ones are nothing. */
static enum admin_take take_line(struct admin_stream *stream)
{
    struct str in = buffer_view(&stream->in);
    size_t len = str_find(in, '\n');
    bool is_whole = len < in.len;
    if (len > ADMIN_LINE_MAX) {
        return refuse_line(stream);
    }
    if (!is_whole && !(stream->has_ended && len > 0)) {
        return ADMIN_MORE;
    }
    struct str line = str_trim(str_first(in, len));
    if (line.len > 0) {
        admin_stream_call(stream, line);
    }
    if (!stream->is_closed) {
        buffer_consume(&stream->in, is_whole ? len + 1 : len);
    }
    return ADMIN_TAKEN;
}

static const struct admin_protocol protocol = {
    .name = "admin socket",
    .in_max = ADMIN_LINE_MAX + 1024,
    .streams_max = ADMIN_SOCKET_CONNECTIONS,
    .idle_time = 5 * USEC_PER_MINUTE,
    .step_time = 30 * USEC_PER_SEC,
    .busy = {"error: there are too many connections\n\n", 39},
    .take = take_line,
    .answered = answered,
};

struct admin_socket *admin_socket_new(struct balancer *balancer, const char *path,
                                      struct error *error)
{
    struct admin_socket *admin = calloc(1, sizeof *admin);
    if (admin == NULL || (admin->path = str_dup(str_from(path))) == NULL) {
        error_set(error, -ENOMEM, "no memory for the admin socket");
        free(admin);
        return NULL;
    }
    int fd = socket_listen_unix(path, SOCK_STREAM, 0660, error);
    admin->server = fd < 0 ? NULL : admin_server_new(balancer, fd, &protocol, NULL, error);
    if (admin->server == NULL) {
        if (fd >= 0) {
            unlink(path);
        }
        free(admin->path);
        free(admin);
        return NULL;
    }
    return admin;
}

void admin_socket_free(struct admin_socket *admin)
{
    if (admin != NULL) {
        admin_server_free(admin->server);
        unlink(admin->path);
        free(admin->path);
        free(admin);
    }
}
