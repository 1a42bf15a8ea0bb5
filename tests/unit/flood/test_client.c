/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges over sockets of this machine, seen from the other end. */
#include "client.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/loop.h"
#include "target.h"

enum { EXCHANGES = 40, PORTS = 10 };

/* Answers one request on each of EXCHANGES connections, and remembers where they came from. */
struct greeter {
    int listener;
    uint16_t port;
    pthread_t thread;
    in_addr_t peers[EXCHANGES];
};

static void *greet(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct greeter *greeter = argument;
    for (int i = 0; i < EXCHANGES; i++) {
        char in[512];
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int fd = accept(greeter->listener, (struct sockaddr *)&peer, &len);
        CHECK(fd >= 0);
        greeter->peers[i] = peer.sin_addr.s_addr;
        if (recv(fd, in, sizeof in, 0) > 0) {
            (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static void greeter_start(struct greeter *greeter)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    greeter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(greeter->listener, (struct sockaddr *)&address, len) == 0);
    CHECK(listen(greeter->listener, 16) == 0);
    CHECK(getsockname(greeter->listener, (struct sockaddr *)&address, &len) == 0);
    greeter->port = ntohs(address.sin_port);
    CHECK(pthread_create(&greeter->thread, NULL, greet, greeter) == 0);
}

static size_t count_peers(const struct greeter *greeter)
{
    size_t count = 0;
    for (int i = 0; i < EXCHANGES; i++) {
        int k = 0;
        while (k < i && greeter->peers[k] != greeter->peers[i]) {
            k++;
        }
        count += k == i;
    }
    return count;
}

struct visit {
    struct exchange exchange;
    struct client *client;
    struct loop *loop;
    int left;
};

static void on_answer(struct exchange *exchange, enum fault fault)
{
    struct visit *visit = CONTAINER_OF(exchange, struct visit, exchange);
    cr_assert_eq(fault, FAULT_NONE, "%s", fault_name(fault));
    cr_assert_eq(exchange->status, 200);
    if (--visit->left > 0) {
        exchange_start(visit->client, exchange);
    } else {
        loop_stop(visit->loop);
    }
}

Test(client, many_connections_come_from_many_addresses, .timeout = 30)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct greeter greeter;
    struct target target;
    char url[64];
    greeter_start(&greeter);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", greeter.port);
    CHECK(target_parse(str_from(url), &target, NULL) == 0);
    struct visit visit = {.exchange = {.head = str_make(head, sizeof head - 1),
                                       .method = HTTP1_GET,
                                       .timeout = 20 * USEC_PER_SEC,
                                       .is_alone = true,
                                       .done = on_answer},
                          .loop = loop_new(&clock_system, NULL),
                          .left = EXCHANGES};
    const struct client_options options = {.loop = visit.loop,
                                           .target = &target,
                                           .connections_max = 4,
                                           .answer_max = 1024,
                                           .ports_of_address = PORTS};
    visit.client = client_new(&options);
    exchange_start(visit.client, &visit.exchange);
    cr_assert_eq(loop_run(visit.loop), 0);
    pthread_join(greeter.thread, NULL);
    cr_expect_eq(client_counters(visit.client)->connections, EXCHANGES);
    cr_expect_eq(count_peers(&greeter), EXCHANGES / PORTS);
    client_free(visit.client);
    loop_free(visit.loop);
    close(greeter.listener);
}
