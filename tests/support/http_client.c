/* SPDX-License-Identifier: Apache-2.0 */
/* A raw client. */
#include "support/http_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/address.h"
#include "support/support.h"

enum { PATIENCE_SECONDS = 10, ANSWER_MAX = 256 << 20, READ_SIZE = 65536 };

/* `source` may be NULL. */
static int connect_from(int fd, const struct address *source, const struct address *target)
{
    if (source != NULL && bind(fd, &source->any, source->len) != 0) {
        return -errno;
    }
    return connect(fd, &target->any, target->len) == 0 ? 0 : -errno;
}

static int dial_from(struct http_client *client, const struct address *source,
                     const struct address *server)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const int on = 1;
    client->closes = false;
    client->fd = socket(server->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client->fd >= 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    buffer_init(&client->in, ANSWER_MAX);
    int code = connect_from(client->fd, source, server);
    if (code < 0) {
        http_close(client);
    }
    return code;
}

int http_dial(struct http_client *client, const struct address *server)
{
    return dial_from(client, NULL, server);
}

int http_try_connect_to(struct http_client *client, const char *source, const char *target,
                        uint16_t port)
{
    struct address own;
    struct address server;
    CHECK(source == NULL || address_from_host(str_from(source), 0, &own, NULL) == 0);
    CHECK(address_from_host(str_from(target), port, &server, NULL) == 0);
    return dial_from(client, source == NULL ? NULL : &own, &server);
}

int http_try_connect(struct http_client *client, uint16_t port)
{
    return http_try_connect_to(client, NULL, "127.0.0.1", port);
}

void http_connect(struct http_client *client, uint16_t port)
{
    CHECK(http_try_connect(client, port) == 0);
}

void http_close(struct http_client *client)
{
    close(client->fd);
    client->fd = -1;
    buffer_done(&client->in);
}

bool http_send(struct http_client *client, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

void http_finish(struct http_client *client)
{
    shutdown(client->fd, SHUT_WR);
}

/* 1: more came; 0: the end; -1: broken, or nothing for too long. */
static int receive(struct http_client *client)
{
    CHECK(buffer_reserve(&client->in, READ_SIZE) == 0);
    ssize_t n;
    do {
        n = recv(client->fd, buffer_tail(&client->in), READ_SIZE, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        buffer_commit(&client->in, (size_t)n);
    }
    return n > 0 ? 1 : (int)n;
}

const char *http_field(const struct http_answer *answer, const char *name)
{
    static _Thread_local char value[1024];
    size_t len = strlen(name);
    const char *line = answer->head;
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            line += strspn(line, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
            return value;
        }
    }
    return "";
}

static bool read_head(struct http_client *client, struct http_answer *answer)
{
    for (;;) {
        struct str in = buffer_view(&client->in);
        const char *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
        if (end != NULL) {
            size_t len = (size_t)(end - in.data) + 4;
            answer->head = str_dup(str_first(in, len));
            buffer_consume(&client->in, len);
            return sscanf(answer->head, "HTTP/1.%*u %3u ", &answer->status) == 1;
        }
        if (receive(client) <= 0) {
            return false;
        }
    }
}

/* Wait for `n` bytes. */
static bool await_bytes(struct http_client *client, size_t n)
{
    while (buffer_size(&client->in) < n) {
        if (receive(client) <= 0) {
            return false;
        }
    }
    return true;
}

/* The size line of a chunk with its CRLF. */
static bool read_chunk_size(struct http_client *client, size_t *size)
{
    struct str in;
    const char *end;
    for (;;) {
        in = buffer_view(&client->in);
        end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n", 2);
        if (end != NULL) {
            break;
        }
        if (receive(client) <= 0) {
            return false;
        }
    }
    char *behind;
    *size = strtoull(in.data, &behind, 16);
    bool is_well = behind == end && behind != in.data;
    buffer_consume(&client->in, (size_t)(end - in.data) + 2);
    return is_well;
}

/* A chunked body without extensions and trailers: we let neither through. */
static bool read_chunks(struct http_client *client, struct http_answer *answer)
{
    struct buffer body;
    size_t size = 1;
    bool is_whole = false;
    buffer_init(&body, ANSWER_MAX);
    while (size > 0 && read_chunk_size(client, &size) && await_bytes(client, size + 2)) {
        struct str in = buffer_view(&client->in);
        CHECK(in.data != NULL);
        if (memcmp(in.data + size, "\r\n", 2) != 0) {
            break;
        }
        CHECK(buffer_append(&body, str_first(in, size)) == 0);
        buffer_consume(&client->in, size + 2);
        is_whole = size == 0;
    }
    if (buffer_size(&body) > 0) {
        answer->body = str_make(str_dup(buffer_view(&body)), buffer_size(&body));
    }
    buffer_done(&body);
    return is_whole;
}

bool http_read(struct http_client *client, bool is_head, struct http_answer *answer)
{
    *answer = (struct http_answer){.status = 0};
    do { /* an interim answer is not the answer */
        free(answer->head);
        answer->head = NULL;
        if (!read_head(client, answer)) {
            http_answer_done(answer);
            return false;
        }
    } while (answer->status / 100 == 1);
    answer->closes = strcasecmp(http_field(answer, "Connection"), "close") == 0;
    bool has_body = !is_head && answer->status != 204 && answer->status != 304;
    if (has_body && strcasecmp(http_field(answer, "Transfer-Encoding"), "chunked") == 0) {
        if (!read_chunks(client, answer)) {
            http_answer_done(answer);
            return false;
        }
        return true;
    }
    size_t length = has_body ? strtoull(http_field(answer, "Content-Length"), NULL, 10) : 0;
    while (buffer_size(&client->in) < length) {
        if (receive(client) <= 0) {
            http_answer_done(answer);
            return false;
        }
    }
    if (length > 0) {
        answer->body = str_make(str_dup(str_first(buffer_view(&client->in), length)), length);
        buffer_consume(&client->in, length);
    }
    return true;
}

void http_answer_done(struct http_answer *answer)
{
    free(answer->head);
    free_str(answer->body);
    *answer = (struct http_answer){.status = 0};
}

struct str http_rest(struct http_client *client)
{
    int code;
    errno = 0;
    while ((code = receive(client)) > 0) {
    }
    if (code < 0 && errno == EAGAIN) {
        return str_make(NULL, 0);
    }
    struct str rest = buffer_view(&client->in);
    char *copy = rest.len == 0 ? strdup("") : str_dup(rest);
    CHECK(copy != NULL);
    return str_make(copy, rest.len);
}

bool http_is_closed(struct http_client *client)
{
    errno = 0;
    return buffer_size(&client->in) == 0 && receive(client) <= 0 && errno != EAGAIN;
}

bool http_request(struct http_client *client, const char *method, const char *path,
                  const struct str *body, struct http_answer *answer)
{
    char head[1024];
    char length[64] = "";
    if (body != NULL) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body->len);
    }
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: binary/octet-stream\r\n%s%s\r\n",
                       method, path, client->closes ? "Connection: close\r\n" : "", length);
    CHECK(len > 0 && (size_t)len < sizeof head);
    /* Whoever refuses early closes early: what it said is still to be read. */
    if (http_send(client, str_make(head, (size_t)len)) && body != NULL) {
        bool unused = http_send(client, *body);
        (void)unused;
    }
    return http_read(client, strcmp(method, "HEAD") == 0, answer);
}

unsigned http_once(uint16_t port, const char *method, const char *path, const struct str *body,
                   struct http_answer *answer)
{
    struct http_client client;
    struct http_answer own;
    http_connect(&client, port);
    bool is_answered = http_request(&client, method, path, body, &own);
    http_close(&client);
    unsigned status = is_answered ? own.status : 0;
    if (answer != NULL) {
        *answer = own;
    } else if (is_answered) {
        http_answer_done(&own);
    }
    return status;
}
