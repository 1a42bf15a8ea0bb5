/* SPDX-License-Identifier: Apache-2.0 */
/* What the loop costs: turns, wake-ups from another thread, lateness of deadlines, and the memory
 * of connections that wait. */
#include <malloc.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "net/loop.h"
#include "net/tls.h"
#include "support/certificates.h"

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void print(const char *what, int64_t start, size_t count)
{
    double each = (double)(nanoseconds() - start) / (double)count;
    printf("%-38s %9.0f ns %12.0f /s\n", what, each, 1e9 / each);
}

static struct loop *new_loop(void)
{
    struct loop *loop = loop_new(&clock_system, NULL);
    CHECK(loop != NULL);
    return loop;
}

/* ---- Turns ---- */

static size_t delivered;

static void count_ready(struct watch *watch, unsigned ready)
{
    (void)watch;
    (void)ready;
    delivered++;
}

static void measure_turns(size_t turns)
{
    int pair[2];
    struct watch watch;
    struct loop *loop = new_loop();
    int64_t start = nanoseconds();
    for (size_t i = 0; i < turns; i++) {
        CHECK(loop_turn(loop, 0) == 0);
    }
    print("turn without an event", start, turns);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    watch_init(&watch, pair[0], count_ready);
    CHECK(watch_set(loop, &watch, WATCH_WRITE) == 0);
    start = nanoseconds();
    for (size_t i = 0; i < turns; i++) {
        CHECK(loop_turn(loop, 0) == 0);
    }
    print("turn with one event", start, turns);
    CHECK(delivered == turns);
    watch_stop(loop, &watch);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}

/* ---- Wake-ups ---- */

struct player {
    struct task task;
    struct loop *loop;
    struct player *other;
    size_t left;
};

static void play(struct task *task)
{
    struct player *player = CONTAINER_OF(task, struct player, task);
    if (player->left > 0) {
        player->left--;
        loop_post(player->other->loop, &player->other->task);
    }
    if (player->left == 0) {
        loop_stop(player->loop);
    }
}

static void *run_player(void *context)
{
    struct player *player = context;
    CHECK(loop_run(player->loop) == 0);
    return NULL;
}

static void measure_wake_ups(size_t rounds)
{
    struct player players[2];
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        players[i] = (struct player){.loop = new_loop(), .other = &players[1 - i], .left = rounds};
        task_init(&players[i].task, play);
    }
    CHECK(pthread_create(&thread, NULL, run_player, &players[1]) == 0);
    int64_t start = nanoseconds();
    loop_post(players[0].loop, &players[0].task);
    run_player(&players[0]);
    print("wake-up of a sleeping thread", start, 2 * rounds);
    pthread_join(thread, NULL);
    loop_free(players[0].loop);
    loop_free(players[1].loop);
}

static size_t tasks_run;

static void count_task(struct task *task)
{
    (void)task;
    tasks_run++;
}

static void measure_tasks(size_t count)
{
    struct loop *loop = new_loop();
    struct task *tasks = calloc(count, sizeof *tasks);
    CHECK(tasks != NULL);
    int64_t start = nanoseconds();
    for (size_t i = 0; i < count; i++) {
        task_init(&tasks[i], count_task);
        loop_post(loop, &tasks[i]);
    }
    while (tasks_run < count) {
        CHECK(loop_turn(loop, 0) == 0);
    }
    print("task, posted in bulk and run", start, count);
    free(tasks);
    loop_free(loop);
}

/* ---- Lateness ---- */

struct alarm {
    struct timer timer;
    struct loop *loop;
    usec_t *late;
    size_t count, wanted;
    usec_t deadline;
};

static void alarm_fire(struct timer *timer, usec_t now)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    alarm->late[alarm->count++] = clock_monotonic(&clock_system) - alarm->deadline;
    alarm->deadline = now + 700 + (usec_t)(alarm->count % 977);
    loop_arm(alarm->loop, timer, alarm->deadline);
    if (alarm->count == alarm->wanted) {
        loop_stop(alarm->loop);
    }
}

static int compare(const void *a, const void *b)
{
    const usec_t *left = a;
    const usec_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void measure_lateness(size_t count)
{
    struct alarm alarm = {.loop = new_loop(), .wanted = count};
    alarm.late = calloc(count, sizeof *alarm.late);
    CHECK(alarm.late != NULL);
    alarm.deadline = loop_now(alarm.loop);
    timer_init(&alarm.timer, alarm_fire);
    loop_arm(alarm.loop, &alarm.timer, alarm.deadline);
    CHECK(loop_run(alarm.loop) == 0);
    qsort(alarm.late, count, sizeof *alarm.late, compare);
    printf("%-38s p50 %jd us, p99 %jd us, max %jd us\n", "lateness of a deadline",
           (intmax_t)alarm.late[count / 2], (intmax_t)alarm.late[count * 99 / 100],
           (intmax_t)alarm.late[count - 1]);
    free(alarm.late);
    loop_free(alarm.loop);
}

/* ---- Memory ---- */

/* As little as a server keeps of a connection that waits for the next request. */
struct idle {
    struct transport transport;
    struct watch watch; /* cppcheck-suppress unusedStructMember */
    struct timer timer; /* cppcheck-suppress unusedStructMember */
};

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void finish_handshake(struct transport *server, struct transport *client)
{
    enum io one = IO_AGAIN;
    enum io two = IO_AGAIN;
    char byte;
    size_t count;
    while (one == IO_AGAIN || two == IO_AGAIN) {
        two = transport_handshake(client);
        one = transport_handshake(server);
        CHECK(one != IO_FAIL && two != IO_FAIL);
    }
    CHECK(transport_write(client, "x", 1, &count) == IO_OK);
    CHECK(transport_read(server, &byte, 1, &count) == IO_OK);
    CHECK(transport_write(server, "x", 1, &count) == IO_OK);
    CHECK(transport_read(client, &byte, 1, &count) == IO_OK);
    CHECK(transport_read(server, &byte, 1, &count) == IO_AGAIN);
}

/* The clients are freed, but not closed: only the servers' ends count. */
static void measure_memory(const char *what, size_t count, struct tls_context *server,
                           struct tls_context *client)
{
    struct idle *idle = calloc(count, sizeof *idle);
    int *others = calloc(count, sizeof *others);
    CHECK(idle != NULL && others != NULL);
    size_t before = heap_in_use();
    for (size_t i = 0; i < count; i++) {
        int pair[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        others[i] = pair[1];
        if (server == NULL) {
            transport_init_plain(&idle[i].transport, pair[0]);
            continue;
        }
        struct transport transport;
        int duplicate = dup(pair[1]);
        CHECK(tls_accept(&idle[i].transport, server, pair[0]) == 0);
        CHECK(tls_connect(&transport, client, duplicate, "bench.test", NULL) == 0);
        finish_handshake(&idle[i].transport, &transport);
        transport_close(&transport);
    }
    printf("%-38s %9zu bytes\n", what, (heap_in_use() - before) / count + sizeof *idle);
    for (size_t i = 0; i < count; i++) {
        transport_close(&idle[i].transport);
        close(others[i]);
    }
    free(others);
    free(idle);
}

static void measure_tls_memory(size_t count)
{
    struct certificate *certificate = certificate_new(
        &(struct certificate_wish){.common_name = "bench.test", .is_authority = true});
    struct tls_pem pem = {.text = str_from(certificate_pem(certificate))};
    struct tls_identity identity = {pem, {.text = str_from(certificate_key_pem(certificate))}};
    struct tls_tickets *tickets = tls_tickets_new(&clock_system, TLS_TICKETS_PERIOD);
    struct tls_context *server = tls_server_context_new(
        &(struct tls_server_options){
            .identities = &identity, .identity_count = 1, .tickets = tickets},
        NULL);
    struct tls_context *client =
        tls_client_context_new(&(struct tls_client_options){.authorities = pem}, NULL);
    CHECK(server != NULL && client != NULL);
    measure_memory("idle TLS 1.3 connection", count, server, client);
    CHECK(SSL_CTX_set_max_proto_version(tls_context_ssl(client), TLS1_2_VERSION) == 1);
    measure_memory("idle TLS 1.2 connection", count, server, client);
    tls_context_unref(client);
    tls_context_unref(server);
    tls_tickets_unref(tickets);
    certificate_free(certificate);
}

int main(int count, char **arguments)
{
    bool check = count > 1 && strcmp(arguments[1], "--check") == 0;
    size_t scale = check ? 1 : 1000;
    printf("struct watch %zu, timer %zu, task %zu, transport %zu bytes\n", sizeof(struct watch),
           sizeof(struct timer), sizeof(struct task), sizeof(struct transport));
    measure_turns(1000 * scale);
    measure_tasks(1000 * scale);
    measure_wake_ups(100 * scale);
    measure_lateness(5 * scale);
    measure_memory("idle plain connection", 5 * scale, NULL, NULL);
    measure_tls_memory(2 * scale);
    return 0;
}
