/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, who is told why not, and who goes for whom. */
#include "listener.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "worker_scene.h"

static struct listener *open_listener(struct scene *scene)
{
    struct listener *listener = &scene->worker.listeners[0];
    cr_assert_eq(listener_open(listener, &scene->worker, scene->listener, false), 0);
    scene->listener = -1;
    return listener;
}

static int dial(struct scene *scene)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, &scene->address.any, scene->address.len), 0);
    return fd;
}

/* Connect, and have it accepted or refused. */
static int enter(struct scene *scene, const char *first)
{
    int fd = dial(scene);
    if (first != NULL) {
        cr_assert_eq(send(fd, first, strlen(first), 0), (ssize_t)strlen(first));
    }
    turn(scene);
    turn(scene);
    return fd;
}

static void assert_told(int fd, const char *status, const char *reason)
{
    char text[512] = "";
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    cr_assert_gt(n, 0);
    cr_assert_eq(strncmp(text, status, strlen(status)), 0, "%s", text);
    cr_assert_not_null(strstr(text, reason), "%s", text);
    cr_assert_not_null(strstr(text, "\r\nRetry-After: "), "%s", text);
    cr_assert_eq(recv(fd, text, sizeof text, 0), 0, "it is not closed");
    close(fd);
}

static void assert_open(int fd)
{
    char byte;
    cr_assert(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    close(fd);
}

#define HALF_A_HEAD "GET / HTTP/1.1\r\nHo"

Test(listener, tells_whom_it_has_no_room_for)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.max_connections=2"));
    struct listener *listener = open_listener(&scene);
    int one = enter(&scene, HALF_A_HEAD);
    int two = enter(&scene, HALF_A_HEAD);
    assert_told(enter(&scene, HALF_A_HEAD), "HTTP/1.1 503 ", "too_many_connections");
    cr_assert_eq(atomic_load(&scene.shared.connections), 2);
    assert_open(one);
    turn(&scene); /* it sees the end */
    turn(&scene);
    cr_assert_eq(atomic_load(&scene.shared.connections), 1);
    int three = enter(&scene, HALF_A_HEAD);
    assert_open(three);
    assert_open(two);
    listener_close(listener);
    end(&scene);
}

Test(listener, lets_the_longest_idle_one_go_for_a_new_one)
{
    struct scene scene;
    char byte;
    begin(&scene, RULES_OF("Balancer.max_connections=2"));
    struct listener *listener = open_listener(&scene);
    int first = enter(&scene, NULL);
    int second = enter(&scene, NULL);
    int third = enter(&scene, NULL);
    cr_assert_eq(recv(first, &byte, 1, 0), 0, "the longest idle one stays");
    close(first);
    assert_open(second);
    assert_open(third);
    listener_close(listener);
    end(&scene);
}

Test(listener, gives_an_address_no_more_than_its_share)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.max_connections_per_address=1"));
    struct listener *listener = open_listener(&scene);
    int one = enter(&scene, HALF_A_HEAD);
    assert_told(enter(&scene, HALF_A_HEAD), "HTTP/1.1 429 ", "address_connections");
    cr_assert_eq(atomic_load(&scene.shared.connections), 1);
    assert_open(one);
    turn(&scene);
    turn(&scene);
    assert_open(enter(&scene, HALF_A_HEAD));
    listener_close(listener);
    end(&scene);
}

Test(listener, trusted_proxies_have_no_share)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.max_connections_per_address=1",
                           "Balancer.trusted_proxies=127.0.0.0/8"));
    struct listener *listener = open_listener(&scene);
    int one = enter(&scene, HALF_A_HEAD);
    assert_open(enter(&scene, HALF_A_HEAD));
    assert_open(one);
    listener_close(listener);
    end(&scene);
}

Test(listener, takes_in_those_who_wait_before_it_closes)
{
    struct scene scene;
    begin(&scene, RULES_OF("Balancer.max_connections=10"));
    struct listener *listener = open_listener(&scene);
    int one = dial(&scene);
    int two = dial(&scene);
    listener_close(listener);
    cr_assert_eq(atomic_load(&scene.shared.connections), 2);
    assert_open(one);
    assert_open(two);
    listener_close(listener); /* once more is fine */
    end(&scene);
}
