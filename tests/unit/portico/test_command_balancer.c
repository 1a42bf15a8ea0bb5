/* SPDX-License-Identifier: Apache-2.0 */
/* portico balancer against a socket that answers what the test says. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "runner.h"
#include "support/support.h"

static char *directory;
static char path[256];
static char parameter[300];
static pthread_t thread;
static int listener = -1;
static const char *reply;
static char heard[8192];

static void set_up(void)
{
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/balancer.sock", directory);
    snprintf(parameter, sizeof parameter, "Balancer.admin_socket=%s", path);
}

static void tear_down(void)
{
    if (listener >= 0) {
        close(listener);
    }
    remove_temporary_directory(directory);
}

TestSuite(command_balancer, .init = set_up, .fini = tear_down, .timeout = 60);

static void await(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    poll(&poll_fd, 1, 10000);
}

/* One conversation: hear everything, say `reply`, close. */
static void *serve(void *unused)
{
    size_t len = 0;
    size_t count;
    enum io io;
    await(listener, POLLIN);
    int fd = socket_accept(listener, NULL);
    do {
        await(fd, POLLIN);
        io = socket_read(fd, heard + len, sizeof heard - 1 - len, &count);
        len += io == IO_OK ? count : 0;
    } while (io == IO_OK || io == IO_AGAIN);
    for (struct str rest = str_from(reply); rest.len > 0;) {
        io = socket_write(fd, rest.data, rest.len, &count);
        rest = io == IO_OK ? str_skip(rest, count) : rest;
        if (io == IO_AGAIN) {
            await(fd, POLLOUT);
        }
    }
    close(fd);
    return unused;
}

static void begin(const char *text)
{
    struct error error;
    reply = text;
    listener = socket_listen_unix(path, SOCK_STREAM, 0600, &error);
    cr_assert_geq(listener, 0, "%s", error.message);
    pthread_create(&thread, NULL, serve, NULL);
}

#define BALANCER(...) PORTICO("-p", parameter, "balancer", __VA_ARGS__)

Test(command_balancer, a_command_goes_there_and_its_answer_comes_back)
{
    begin("MEMBER  HEALTH\nx:1     up\n\n");
    RUN run = BALANCER("show", "connections", "5");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_str_eq(heard, "show connections 5\n");
    cr_expect_str_eq(run.out, "MEMBER  HEALTH\nx:1     up\n");
}

Test(command_balancer, json_is_asked_for_and_passed_through)
{
    begin("[{\"member\":\"x:1\"}]\n\n");
    RUN run = BALANCER("show", "members", "--json");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_str_eq(heard, "json show members\n");
    json_t *array = run_array(&run);
    expect_keys(array, 0, "member");
    json_decref(array);
}

Test(command_balancer, an_error_is_a_failure)
{
    begin("error: there is no member at 1\n\n");
    RUN run = BALANCER("drain", "1");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 1);
    cr_expect_str_eq(run.out, "");
    cr_expect_str_eq(run.err, "portico balancer: there is no member at 1\n");
}

Test(command_balancer, an_error_in_json_is_a_failure_too)
{
    begin("{\"error\":\"no\"}\n\n");
    RUN run = BALANCER("drain", "1", "--json");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 1);
    cr_expect_str_eq(run.out, "");
    cr_expect_str_eq(run.err, "{\"error\":\"no\"}\n");
}

Test(command_balancer, a_cut_answer_is_a_failure)
{
    begin("MEMBER  HEA");
    RUN run = BALANCER("show", "members");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 1);
    cr_expect_str_eq(run.out, "");
    cr_expect_not_null(strstr(run.err, "in the middle of its answer"), "%s", run.err);
}

Test(command_balancer, a_large_answer_is_printed_whole)
{
    static char text[3000003];
    memset(text, 'a', 3000000);
    strcpy(text + 3000000, "\n\n");
    begin(text);
    RUN run = BALANCER("show", "connections");
    pthread_join(thread, NULL);
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_eq(strlen(run.out), 3000001);
}

Test(command_balancer, nobody_listening_is_told_with_the_path)
{
    RUN run = BALANCER("show", "info");
    cr_expect_eq(run.status, 1);
    cr_expect_not_null(strstr(run.err, path), "%s", run.err);
    cr_expect_not_null(strstr(run.err, "is portico-balancer running?"), "%s", run.err);
}

Test(command_balancer, words_that_would_be_two_commands_are_refused)
{
    RUN run = BALANCER("show", "info\nstop");
    cr_expect_eq(run.status, 2, "%s", run.err);
    RUN empty = BALANCER("drain", "");
    cr_expect_eq(empty.status, 2, "%s", empty.err);
    RUN none = PORTICO("balancer");
    cr_expect_eq(none.status, 2, "%s", none.err);
    cr_expect_not_null(strstr(none.err, "portico balancer CMD"), "%s", none.err);
}

Test(command_balancer, help_is_there)
{
    RUN run = PORTICO("balancer", "--help");
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_not_null(strstr(run.out, "explain REQUEST_ID"), "%s", run.out);
}
