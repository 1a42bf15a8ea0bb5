/* SPDX-License-Identifier: Apache-2.0 */
/* portico balancer: passes a command on to the balancer's admin socket and prints the answer. What
 * commands there are, the balancer knows: a line goes there; what comes back ends with an empty
 * line and is an error when it begins with that word. One thread. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "commands.h"
#include "net/socket.h"
#include "operation.h"

enum {
    LINE_MAX_BYTES = 4096,
    ANSWER_MAX_BYTES = 64 << 20,
    READ_BYTES = 64 * 1024,
};
#define PATIENCE (30 * USEC_PER_SEC) /* without any progress */

struct conversation {
    const struct operation *operation;
    const char *path;
    int fd;
    struct buffer line, answer;
};

/* ---- The command ---- */

/* A line end in a word would begin another command. */
static bool is_word(struct str word)
{
    for (size_t i = 0; i < word.len; i++) {
        if ((unsigned char)word.data[i] <= ' ' || (unsigned char)word.data[i] >= 0x7f) {
            return false;
        }
    }
    return word.len > 0;
}

static int build_line(struct conversation *talk)
{
    int result = talk->operation->is_json ? buffer_append(&talk->line, STR("json")) : 0;
    const char *word;
    for (size_t i = 1; (word = command_line_word(talk->operation->line, i)) != NULL; i++) {
        if (!is_word(str_from(word))) {
            return operation_misuse(talk->operation, "\"%s\" is no word of a command", word);
        }
        result = result < 0 ? result
                            : buffer_printf(&talk->line, "%s%s",
                                            buffer_size(&talk->line) > 0 ? " " : "", word);
    }
    result = result < 0 ? result : buffer_append(&talk->line, STR("\n"));
    return result < 0 ? operation_misuse(talk->operation, "the command is too long") : 0;
}

/* ---- The conversation ---- */

static int fail_to_connect(const struct conversation *talk, int code, const struct error *error)
{
    if (code == -ENOENT || code == -ECONNREFUSED) {
        operation_fail(talk->operation, "nobody listens on %s: is portico-balancer running?",
                       talk->path);
        fputs("    hint: with another configuration, name it with -c, or the socket with\n"
              "    -p Balancer.admin_socket=PATH\n",
              talk->operation->err);
        return EXIT_STATUS_FAILED;
    }
    operation_fail(talk->operation, "%s", error->message);
    if (code == -EACCES) {
        fputs("    hint: run it as root, or as a member of the group to which it belongs\n",
              talk->operation->err);
    }
    return EXIT_STATUS_FAILED;
}

static int connect_to_balancer(struct conversation *talk)
{
    struct error error = {.line = 0};
    if (talk->path[0] == '\0') {
        return operation_fail(talk->operation, "Balancer.admin_socket is not set");
    }
    talk->fd = socket_connect_unix(talk->path, SOCK_STREAM, &error);
    return talk->fd < 0 ? fail_to_connect(talk, talk->fd, &error) : 0;
}

/* 0 when it is ready. */
static int wait_for(const struct conversation *talk, short events)
{
    struct pollfd poll_fd = {.fd = talk->fd, .events = events};
    int n;
    do {
        n = poll(&poll_fd, 1, (int)(PATIENCE / USEC_PER_MSEC));
    } while (n < 0 && errno == EINTR);
    return n > 0 ? 0 : operation_fail(talk->operation, "the balancer does not answer");
}

static int send_line(struct conversation *talk)
{
    int status = 0;
    while (status == 0 && buffer_size(&talk->line) > 0) {
        size_t count;
        struct str rest = buffer_view(&talk->line);
        enum io io = socket_write(talk->fd, rest.data, rest.len, &count);
        if (io == IO_OK) {
            buffer_consume(&talk->line, count);
        } else if (io == IO_AGAIN) {
            status = wait_for(talk, POLLOUT);
        } else {
            return 0; /* it may have said why before it closed */
        }
    }
    if (status == 0) {
        shutdown(talk->fd, SHUT_WR);
    }
    return status;
}

static int read_answer(struct conversation *talk)
{
    for (;;) {
        size_t count;
        if (buffer_reserve(&talk->answer, READ_BYTES) < 0) {
            return operation_fail(talk->operation, "the answer is too large");
        }
        enum io io =
            socket_read(talk->fd, buffer_tail(&talk->answer), buffer_room(&talk->answer), &count);
        if (io == IO_OK) {
            buffer_commit(&talk->answer, count);
        } else if (io == IO_AGAIN) {
            int status = wait_for(talk, POLLIN);
            if (status != 0) {
                return status;
            }
        } else {
            return 0;
        }
    }
}

/* ---- The answer ---- */

static int print_answer(const struct conversation *talk)
{
    const struct operation *operation = talk->operation;
    struct str answer = buffer_view(&talk->answer);
    if (!str_ends_with(answer, STR("\n\n"))) {
        return operation_fail(operation, "the balancer ended in the middle of its answer");
    }
    answer = str_first(answer, answer.len - 1);
    if (str_starts_with(answer, STR("error: "))) {
        return operation_fail(operation, "%.*s", STR_ARG(str_trim(str_skip(answer, 7))));
    }
    bool is_error = str_starts_with(answer, STR("{\"error\":"));
    fwrite(answer.data, 1, answer.len, is_error ? operation->err : operation->out);
    return is_error ? EXIT_STATUS_FAILED : EXIT_STATUS_FINE;
}

static int converse(struct conversation *talk)
{
    int status = build_line(talk);
    status = status != 0 ? status : connect_to_balancer(talk);
    status = status != 0 ? status : send_line(talk);
    status = status != 0 ? status : read_answer(talk);
    return status != 0 ? status : print_answer(talk);
}

int command_balancer(const struct operation *operation)
{
    struct conversation talk = {
        .operation = operation,
        .path = config_str(operation->config, "Balancer.admin_socket"),
        .fd = -1,
    };
    buffer_init(&talk.line, LINE_MAX_BYTES);
    buffer_init(&talk.answer, ANSWER_MAX_BYTES);
    int status = converse(&talk);
    if (talk.fd >= 0) {
        close(talk.fd);
    }
    buffer_done(&talk.line);
    buffer_done(&talk.answer);
    return status;
}
