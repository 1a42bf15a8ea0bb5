/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that accepts, and one for each connection. */
#include "support/odd_member.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "support/support.h"

enum { HEAD_MAX = 65536 };

struct odd_member {
    odd_member_function *serve;
    pthread_t acceptor;
    int listener;
    atomic_uint open;
};

struct connection {
    struct odd_member *odd;
    int fd;
};

void odd_member_say(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes = str_skip(bytes, (size_t)n);
    }
}

/* The bytes up to a head's end at least; 0: the connection ended before. */
static size_t read_head(int fd, char head[HEAD_MAX])
{
    size_t len = 0;
    while (len < HEAD_MAX) {
        ssize_t n = recv(fd, head + len, HEAD_MAX - len, 0);
        if (n <= 0) {
            return 0;
        }
        len += (size_t)n;
        if (memmem(head, len, "\r\n\r\n", 4) != NULL) {
            return len;
        }
    }
    return 0;
}

static void *converse(void *context)
{
    struct connection *connection = context;
    char *head = malloc(HEAD_MAX);
    size_t len;
    CHECK(head != NULL);
    while ((len = read_head(connection->fd, head)) > 0) {
        if (str_starts_with(str_make(head, len), STR("GET /healthz "))) {
            odd_member_say(connection->fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        } else {
            connection->odd->serve(connection->fd, str_make(head, len));
        }
    }
    free(head);
    close(connection->fd);
    atomic_fetch_sub(&connection->odd->open, 1);
    free(connection);
    return NULL;
}

static void *accept_all(void *context)
{
    struct odd_member *odd = context;
    int fd;
    while ((fd = accept4(odd->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        pthread_t thread;
        struct connection *connection = malloc(sizeof *connection);
        CHECK(connection != NULL);
        *connection = (struct connection){.odd = odd, .fd = fd};
        atomic_fetch_add(&odd->open, 1);
        CHECK(pthread_create(&thread, NULL, converse, connection) == 0);
        pthread_detach(thread);
    }
    return NULL;
}

struct odd_member *odd_member_new(uint16_t port, odd_member_function *serve)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    struct odd_member *odd = calloc(1, sizeof *odd);
    CHECK(odd != NULL);
    odd->serve = serve;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    odd->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(odd->listener >= 0);
    setsockopt(odd->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK(bind(odd->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(odd->listener, 64) == 0);
    CHECK(pthread_create(&odd->acceptor, NULL, accept_all, odd) == 0);
    return odd;
}

void odd_member_free(struct odd_member *odd)
{
    if (odd == NULL) {
        return;
    }
    shutdown(odd->listener, SHUT_RDWR);
    pthread_join(odd->acceptor, NULL);
    close(odd->listener);
    while (atomic_load(&odd->open) > 0) { /* the balancer is gone, so they end */
        sleep_for(10 * USEC_PER_MSEC);
    }
    free(odd);
}
