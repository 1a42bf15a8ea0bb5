/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager does for the balancer and wants of it: sockets that outlive it, signs of
 * life, words. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"
#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MEMBERS = 2, RESTARTS = 5, CONNECTIONS = 64, THREADS_MAX = 64 };

#define PATIENCE (20 * USEC_PER_SEC)

static struct backends *backends;
static struct balancer_process balancer;
static int notifications = -1;

static void set_up(void)
{
    backends = backends_new(MEMBERS, false);
    recorder_keep(backends_recorder(backends), false);
    balancer_init(&balancer, backends);
}

static void tear_down(void)
{
    balancer_done(&balancer);
    backends_free(backends);
    for (unsigned i = 0; i < balancer.passed_count; i++) {
        close(balancer.passed[i]);
    }
    if (notifications >= 0) {
        close(notifications);
    }
}

TestSuite(balancer_systemd, .init = set_up, .fini = tear_down);

/* As portico-balancer.socket makes them. */
static uint16_t pass_socket(uint16_t port)
{
    const struct listen_options options = {
        .reuse_port = true, .no_delay = true, .defer_accept_seconds = 3};
    struct address address;
    struct error error;
    CHECK(address_parse(STR("127.0.0.1"), port, &address, &error) == 0);
    int fd = socket_listen(&address, &options, &error);
    CHECK(fd >= 0);
    CHECK(socket_local_address(fd, &address) == 0);
    balancer.passed[balancer.passed_count++] = fd;
    return address_port(&address);
}

static uint16_t serve_passed_socket(void)
{
    uint16_t port = pass_socket(0);
    balancer_set(&balancer, "Balancer.bind_port=%u", port);
    return port;
}

static bool log_says(const char *words)
{
    bool is_said = false;
    usec_t deadline = clock_monotonic(&clock_system) + PATIENCE;
    while (!is_said && clock_monotonic(&clock_system) < deadline) {
        char *log = balancer_log(&balancer);
        is_said = strstr(log, words) != NULL;
        free(log);
        sleep_for(is_said ? 0 : 10 * USEC_PER_MSEC);
    }
    return is_said;
}

/* ---- Sockets ---- */

Test(balancer_systemd, a_socket_that_was_passed_is_served)
{
    uint16_t port = serve_passed_socket();
    balancer_start_with(&balancer, MEMBERS);
    cr_expect_eq(balancer.port, port);
    cr_expect_eq(http_once(port, "GET", "/", NULL, NULL), 200);
    cr_expect_eq(balancer_stop(&balancer, PATIENCE), 0);
}

Test(balancer_systemd, connections_wait_in_the_socket_for_the_next_one)
{
    struct http_client client;
    struct http_answer answer;
    uint16_t port = serve_passed_socket();
    balancer_start_with(&balancer, MEMBERS);
    cr_expect_eq(balancer_stop(&balancer, PATIENCE), 0);
    http_connect(&client, port);
    cr_expect(http_send(&client, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    balancer_start_with(&balancer, MEMBERS);
    cr_assert(http_read(&client, false, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    http_close(&client);
}

Test(balancer_systemd, restarts_fail_no_new_connection)
{
    uint16_t port = serve_passed_socket();
    const struct load_plan plan = {.port = port,
                                   .threads = 4,
                                   .method = "POST",
                                   .path = "/upload", /* which nobody repeats */
                                   .body_bytes = 700,
                                   .pause = 500,
                                   .closes = true};
    balancer_start_with(&balancer, MEMBERS);
    struct load *load = load_start(&plan);
    for (unsigned i = 0; i < RESTARTS; i++) {
        uint64_t before = load_answered(load);
        while (load_answered(load) < before + 100) {
            sleep_for(10 * USEC_PER_MSEC);
        }
        cr_expect_eq(balancer_stop(&balancer, PATIENCE), 0);
        balancer_start(&balancer);
    }
    struct load_result result = load_stop(load);
    load_tell("restarts", &result);
    cr_expect_geq(result.answered, RESTARTS * 100);
    cr_expect_eq(result.answered, result.sent);
    cr_expect_eq(result.failed, 0);
}

/* The kernel spreads connections over both; one that nobody accepts on would keep half of them. */
Test(balancer_systemd, a_port_that_was_passed_twice_is_served_wholly)
{
    uint16_t port = serve_passed_socket();
    pass_socket(port);
    balancer_start_with(&balancer, MEMBERS);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        cr_assert_eq(http_once(port, "GET", "/", NULL, NULL), 200, "connection %u", i);
    }
}

Test(balancer_systemd, a_passed_port_that_nobody_wants_is_told)
{
    char words[32];
    snprintf(words, sizeof words, "port=%u", pass_socket(0));
    balancer_start_with(&balancer, MEMBERS);
    cr_expect_eq(http_once(balancer.port, "GET", "/", NULL, NULL), 200);
    cr_expect(log_says("nobody serves it"));
    cr_expect(log_says(words));
}

/* ---- Members that are restarted ---- */

#define TURNED_AWAY                                                                          \
    STR("HTTP/1.1 503 Service Unavailable\r\nX-Portico-Reason: stopping\r\nContent-Length: " \
        "0\r\n\r\n")

static void turn_away(unsigned member)
{
    backend_script(backends_at(backends, member), TURNED_AWAY, 0, 0, false);
    backend_behave(backends_at(backends, member), BACKEND_SCRIPT);
}

Test(balancer_systemd, a_poll_that_was_turned_away_goes_to_another_member)
{
    struct str body = STR("poll");
    balancer_start_with(&balancer, MEMBERS);
    turn_away(0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        cr_assert_eq(http_once(balancer.port, "POST", "/control?api=3", &body, NULL), 200);
    }
    cr_expect_geq(balancer_metric(&balancer, "portico_balancer_retries_total", NULL), 1);
}

Test(balancer_systemd, what_may_not_be_repeated_is_told_that_it_was_turned_away)
{
    struct str body = STR("upload");
    balancer_start_with(&balancer, MEMBERS);
    turn_away(0);
    turn_away(1);
    cr_expect_eq(http_once(balancer.port, "POST", "/upload", &body, NULL), 503);
    cr_expect_eq(balancer_metric(&balancer, "portico_balancer_retries_total", NULL), 0);
}

Test(balancer_systemd, a_poll_that_all_turn_away_waits_for_who_comes_back)
{
    struct str body = STR("poll");
    struct http_client client;
    struct http_answer answer;
    balancer_start_with(&balancer, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++) {
        turn_away(i);
        backend_include_probes(backends_at(backends, i), true);
    }
    http_connect(&client, balancer.port);
    cr_expect(http_send(&client, STR("POST /control?api=3 HTTP/1.1\r\nHost: a\r\n"
                                     "Content-Length: 4\r\n\r\n")));
    cr_expect(http_send(&client, body));
    sleep_for(200 * USEC_PER_MSEC);
    backends_behave(backends, BACKEND_NORMAL);
    cr_assert(http_read(&client, false, &answer));
    cr_expect_eq(answer.status, 200);
    http_answer_done(&answer);
    http_close(&client);
}

/* ---- Signs of life ---- */

/* Before the balancer starts. */
static void listen_for_notifications(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", balancer.directory);
    notifications = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(notifications >= 0);
    CHECK(bind(notifications, (const struct sockaddr *)&address, sizeof address) == 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

/* Whether one with these words is there, or comes in time; those before it are dropped. */
static bool is_told(const char *words, usec_t patience)
{
    char text[4096];
    usec_t deadline = clock_monotonic(&clock_system) + patience;
    do {
        ssize_t len = recv(notifications, text, sizeof text - 1, 0);
        text[len < 0 ? 0 : len] = '\0';
        if (len > 0 && strstr(text, words) != NULL) {
            return true;
        }
        sleep_for(len > 0 ? 0 : 5 * USEC_PER_MSEC);
    } while (clock_monotonic(&clock_system) < deadline);
    return false;
}

static void forget_notifications(void)
{
    char text[4096];
    while (recv(notifications, text, sizeof text, 0) >= 0) {
    }
}

/* All threads but the first, which is the one that gives signs of life. How many. */
static unsigned find_workers(pid_t threads[THREADS_MAX])
{
    char path[64];
    unsigned count = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)balancer.process.pid);
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != balancer.process.pid && count < THREADS_MAX) {
            threads[count++] = thread;
        }
    }
    closedir(directory);
    return count;
}

/* Threads stop one by one only for a debugger. */
static void freeze(const pid_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (ptrace(PTRACE_SEIZE, threads[i], NULL, NULL) < 0) {
            cr_skip_test("no ptrace here: %s", strerror(errno));
        }
        CHECK(ptrace(PTRACE_INTERRUPT, threads[i], NULL, NULL) == 0);
        CHECK(waitpid(threads[i], NULL, __WALL) == threads[i]);
    }
}

static void thaw(const pid_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        CHECK(ptrace(PTRACE_DETACH, threads[i], NULL, NULL) == 0);
    }
}

Test(balancer_systemd, gives_signs_of_life_only_while_its_workers_live)
{
    pid_t threads[THREADS_MAX];
    listen_for_notifications();
    setenv("WATCHDOG_USEC", "1500000", 1);
    balancer_start_with(&balancer, MEMBERS);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect(is_told("WATCHDOG=1", PATIENCE));
    }
    unsigned count = find_workers(threads);
    cr_assert_geq(count, 2);
    freeze(threads, count);
    cr_expect(log_says("a worker is stuck"));
    forget_notifications();
    cr_expect_not(is_told("WATCHDOG=1", 2 * USEC_PER_SEC));
    thaw(threads, count);
    cr_expect(is_told("WATCHDOG=1", PATIENCE));
}

/* Its housekeeping is then due all the time, in the last turn of its loop, too, where it once met
 * freed memory (sanitizers tell). */
Test(balancer_systemd, ends_well_whatever_is_due_at_the_end)
{
    setenv("WATCHDOG_USEC", "3", 1);
    balancer_start_with(&balancer, MEMBERS);
    cr_expect_eq(http_once(balancer.port, "GET", "/", NULL, NULL), 200);
    cr_expect_eq(balancer_stop(&balancer, PATIENCE), 0);
}

Test(balancer_systemd, a_service_manager_is_told_everything)
{
    listen_for_notifications();
    balancer_start_with(&balancer, MEMBERS);
    cr_expect(is_told("READY=1\nSTATUS=serving on 127.0.0.1:", PATIENCE));
    cr_expect(is_told("STATUS=0 connections, 2 of 2 members usable", PATIENCE));
    balancer_signal(&balancer, SIGHUP);
    cr_expect(is_told("RELOADING=1\nMONOTONIC_USEC=", PATIENCE));
    cr_expect(is_told("READY=1", PATIENCE));
    cr_expect_eq(balancer_stop(&balancer, PATIENCE), 0);
    cr_expect(is_told("EXTEND_TIMEOUT_USEC=6000000", PATIENCE)); /* drain_timeout and 5 s */
}
