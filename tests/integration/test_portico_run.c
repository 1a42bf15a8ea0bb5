/* SPDX-License-Identifier: Apache-2.0 */
/* portico run with the real frontends and the real balancer. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "net/address.h"
#include "support/agent_client.h"
#include "support/http_client.h"
#include "support/instance.h"
#include "support/support.h"
#include "wire/rsa.h"

enum {
    FRONTENDS = 3,
    PORTS = FRONTENDS + 1, /* and the balancer */
    FIRST_PORT = 11000,    /* below those of other tests and of clients */
    PORT_STARTS = 8000,
    POLLERS = 3,
    ARGUMENTS_MAX = 32,
};

/* Sanitizers make starting slow, and so do other tests beside this one. */
#define PATIENCE (60 * USEC_PER_SEC)

static struct rsa_key *server_key;
static struct instance_keys keys;
static struct instance site; /* its directory and configuration; it is not started itself */
static uint16_t first_port;
static pid_t supervisor;
static char parameters[16][128];
static unsigned parameter_count;

/* ---- Ports ---- */

static int hold_port(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool are_free(uint16_t first)
{
    for (unsigned i = 0; i < PORTS; i++) {
        int fd = hold_port((uint16_t)(first + i));
        if (fd < 0) {
            return false;
        }
        close(fd);
    }
    return true;
}

static uint16_t find_ports(void)
{
    unsigned at = (unsigned)getpid() * 53;
    do {
        at += PORTS;
    } while (!are_free((uint16_t)(FIRST_PORT + at % PORT_STARTS)));
    return (uint16_t)(FIRST_PORT + at % PORT_STARTS);
}

static uint16_t balancer_port(void)
{
    return first_port + FRONTENDS;
}

/* ---- The program ---- */

PRINTF_LIKE(1, 2) static void set(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    CHECK(parameter_count < ARRAY_LEN(parameters));
    vsnprintf(parameters[parameter_count++], sizeof parameters[0], format, arguments);
    va_end(arguments);
}

static void begin(void)
{
    CHECK(rsa_generate(1024, NULL, &server_key) == 0);
    instance_keys_make(server_key, &keys);
    instance_init(&site, &keys);
    first_port = find_ports();
    set("Frontend.bind_port=%u", first_port);
    set("Frontend.port_max=%u", first_port + FRONTENDS - 1);
    set("Balancer.bind_address=127.0.0.1");
    set("Balancer.bind_port=%u", balancer_port());
    set("Balancer.admin_port=0");
    set("Balancer.threads=1");
}

static void become(const char *const *arguments)
{
    char path[512];
    snprintf(path, sizeof path, "%s/log", site.directory);
    int output = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(PORTICO_BINARY, (char *const *)(uintptr_t)arguments);
    _exit(99);
}

static void launch(void)
{
    char file[512];
    const char *arguments[ARGUMENTS_MAX + 8] = {PORTICO_BINARY, "run", "-c", file};
    unsigned n = 4;
    snprintf(file, sizeof file, "%s/portico.yaml", site.directory);
    for (unsigned i = 0; i < parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = parameters[i];
    }
    supervisor = fork();
    CHECK(supervisor >= 0);
    if (supervisor == 0) {
        become(arguments);
    }
}

static bool has_said(const char *words)
{
    char *log = instance_log(&site);
    bool is_there = strstr(log, words) != NULL;
    free(log);
    return is_there;
}

static void wait_until_said(const char *words)
{
    usec_t deadline = clock_monotonic(&clock_system) + PATIENCE;
    while (!has_said(words)) {
        char *log = clock_monotonic(&clock_system) < deadline ? NULL : instance_log(&site);
        cr_assert_null(log, "nobody said \"%s\":\n%s", words, log);
        sleep_for(10 * USEC_PER_MSEC);
    }
}

/* 128 + signal, -1: not in time. */
static int wait_for_end(usec_t patience)
{
    usec_t deadline = clock_monotonic(&clock_system) + patience;
    int status = 0;
    while (waitpid(supervisor, &status, WNOHANG) == 0) {
        if (clock_monotonic(&clock_system) > deadline) {
            return -1;
        }
        sleep_for(5 * USEC_PER_MSEC);
    }
    supervisor = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void start(void)
{
    launch();
    wait_until_said("all serve after");
}

static void expect_end(int status)
{
    int got = wait_for_end(PATIENCE);
    char *log = instance_log(&site);
    cr_expect_eq(got, status, "status %d: %s", got, log);
    free(log);
}

static void stop(void)
{
    kill(supervisor, SIGTERM);
    expect_end(0);
}

static void end(void)
{
    if (supervisor > 0) {
        kill(supervisor, SIGKILL);
        wait_for_end(PATIENCE);
    }
    instance_done(&site);
    instance_keys_free(&keys);
    rsa_key_free(server_key);
}

TestSuite(portico_run, .init = begin, .fini = end, .timeout = 240);

/* ---- Its children ---- */

/* The one with `port` among its arguments, for 0 the balancer; 0: none. */
static pid_t child_of(pid_t parent, uint16_t port)
{
    char path[64];
    char text[16];
    pid_t pid;
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    snprintf(text, sizeof text, "%u", port);
    FILE *children = fopen(path, "re");
    while (children != NULL && found == 0 && fscanf(children, "%d", &pid) == 1) {
        size_t len;
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        char *line = read_file(path, &len);
        bool is_frontend = line != NULL && strstr(line, "portico-frontend") != NULL;
        bool is_balancer = line != NULL && strstr(line, "portico-balancer") != NULL;
        for (size_t at = 0; is_frontend && port != 0 && at < len; at += strlen(line + at) + 1) {
            found = strcmp(line + at, text) == 0 ? pid : found;
        }
        found = is_balancer && port == 0 ? pid : found;
        free(line);
    }
    if (children != NULL) {
        fclose(children);
    }
    return found;
}

static void take_pids(pid_t pids[PORTS])
{
    for (unsigned i = 0; i < PORTS; i++) {
        pids[i] = child_of(supervisor, i < FRONTENDS ? (uint16_t)(first_port + i) : 0);
        cr_assert_gt(pids[i], 0);
    }
}

static unsigned get(uint16_t port, const char *path)
{
    struct http_client client;
    if (http_try_connect(&client, port) < 0) {
        return 0;
    }
    http_close(&client);
    return http_once(port, "GET", path, NULL, NULL);
}

/* ---- Tests ---- */

Test(portico_run, all_serve_and_end_cleanly)
{
    start();
    for (unsigned i = 0; i < FRONTENDS; i++) {
        cr_expect_eq(get(first_port + i, "/healthz"), 200);
    }
    cr_expect_eq(get(balancer_port(), "/server.pem"), 200);
    char name[64];
    snprintf(name, sizeof name, "frontend:%u | ", first_port);
    cr_expect(has_said(name));
    cr_expect(has_said("balancer       | portico-balancer: serving on "));
    stop();
    cr_expect(has_said("all ended"));
    cr_expect_eq(get(first_port, "/healthz"), 0);
}

Test(portico_run, n_says_how_many)
{
    set("Logging.level=error");
    launch();
    wait_until_said("starting 3 frontends");
    stop();
    char many[] = "-n";
    const char *arguments[] = {PORTICO_BINARY, "run", many, "2", "-p", parameters[0], NULL};
    supervisor = fork();
    if (supervisor == 0) {
        become(arguments);
    }
    expect_end(2); /* without Frontend.port_max the range is one port */
    cr_expect(has_said("the range has 1 port "));
}

Test(portico_run, a_killed_frontend_comes_back)
{
    start();
    pid_t before = child_of(supervisor, first_port + 1);
    cr_assert_gt(before, 0);
    kill(before, SIGKILL);
    wait_until_said("serves again");
    pid_t after = child_of(supervisor, first_port + 1);
    cr_expect_gt(after, 0);
    cr_expect_neq(before, after);
    cr_expect_eq(get(first_port + 1, "/healthz"), 200);
    stop();
}

Test(portico_run, a_killed_balancer_comes_back)
{
    start();
    kill(child_of(supervisor, 0), SIGKILL);
    wait_until_said("balancer serves again");
    cr_expect_eq(get(balancer_port(), "/server.pem"), 200);
    stop();
}

Test(portico_run, children_do_not_outlive_a_killed_supervisor)
{
    pid_t pids[PORTS];
    start();
    take_pids(pids);
    kill(supervisor, SIGKILL);
    expect_end(128 + SIGKILL);
    sleep_for(USEC_PER_SEC);
    for (unsigned i = 0; i < PORTS; i++) {
        char path[64];
        char state = 'Z';
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pids[i]);
        FILE *file = fopen(path, "re");
        if (file != NULL) { /* it may wait for its new parent */
            cr_expect_eq(fscanf(file, "%*d %*s %c", &state), 1);
            fclose(file);
        }
        cr_expect_eq(state, 'Z', "child %u is %c", i, state);
    }
    cr_expect_eq(get(balancer_port(), "/server.pem"), 0);
}

/* ---- Rolling restarts ---- */

static atomic_bool is_over;
static atomic_uint polls, failures;
static char failure[64];

/* Even ones keep their connection, odd ones make a new one for each poll, as real agents do. */
static void *keep_polling(void *number)
{
    struct agent_client client;
    struct rsa_key *key;
    struct buffer list;
    struct address balancer;
    CHECK(rsa_generate(1024, NULL, &key) == 0);
    CHECK(address_from_host(STR("127.0.0.1"), balancer_port(), &balancer, NULL) == 0);
    agent_client_init(&client, key);
    buffer_init(&list, 1 << 20);
    client.closes = *(unsigned *)number % 2 == 1;
    CHECK(agent_client_meet(&client, &balancer) == 200);
    bool is_enrolled = false;
    while (!atomic_load(&is_over)) {
        struct bundle bundle;
        bundle_init(&bundle, &client.limits);
        buffer_clear(&list);
        if (!is_enrolled) {
            agent_client_append_enrol(&client, &list);
        }
        int status = agent_client_poll(&client, &balancer, buffer_view(&list), &bundle);
        bundle_done(&bundle);
        if (status == 200) {
            is_enrolled = true;
            atomic_fetch_add(&polls, 1);
        } else if (is_enrolled || status != 406) {
            snprintf(failure, sizeof failure, "%d after %u polls", status, atomic_load(&polls));
            atomic_fetch_add(&failures, 1);
        }
        sleep_for(2 * USEC_PER_MSEC);
    }
    buffer_done(&list);
    agent_client_done(&client);
    return NULL;
}

Test(portico_run, a_rolling_restart_fails_no_request)
{
    pthread_t threads[POLLERS];
    unsigned numbers[POLLERS];
    pid_t before[PORTS];
    pid_t after[PORTS];
    start();
    take_pids(before);
    for (unsigned i = 0; i < POLLERS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_polling, &numbers[i]), 0);
    }
    while (atomic_load(&polls) < 50) {
        sleep_for(USEC_PER_MSEC);
    }
    kill(supervisor, SIGHUP);
    wait_until_said("rolling restart: done");
    unsigned then = atomic_load(&polls);
    while (atomic_load(&polls) < then + 50) {
        sleep_for(USEC_PER_MSEC);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < POLLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    take_pids(after);
    cr_expect_eq(atomic_load(&failures), 0, "%u failures: %s", atomic_load(&failures), failure);
    for (unsigned i = 0; i < FRONTENDS; i++) {
        cr_expect_neq(before[i], after[i]);
    }
    cr_expect_eq(before[FRONTENDS], after[FRONTENDS], "the balancer stays");
    wait_until_said("event=reloaded");
    stop();
}

static void append_to_configuration(const char *line)
{
    char path[512];
    snprintf(path, sizeof path, "%s/portico.yaml", site.directory);
    FILE *file = fopen(path, "ae");
    CHECK(file != NULL && fputs(line, file) >= 0 && fclose(file) == 0);
}

Test(portico_run, a_wrong_configuration_is_not_rolled_out)
{
    pid_t before[PORTS];
    pid_t after[PORTS];
    start();
    take_pids(before);
    append_to_configuration("Frontend.enrolment: perhaps\n");
    kill(supervisor, SIGHUP);
    wait_until_said("no rolling restart: the configuration has 1 error;");
    take_pids(after);
    cr_expect_arr_eq(before, after, sizeof before);
    stop();
}

/* What no check of the configuration can see. */
static void spoil_store(void)
{
    char path[512];
    size_t len;
    snprintf(path, sizeof path, "%s/portico.yaml", site.directory);
    char *text = read_file(path, &len);
    CHECK(text != NULL);
    char *location = strstr(text, "Datastore.location: /");
    CHECK(location != NULL);
    for (size_t i = 0; i < strlen("/proc"); i++) {
        location[strlen("Datastore.location: ") + i] = "/proc"[i];
    }
    FILE *file = fopen(path, "we");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    free(text);
}

Test(portico_run, a_rolling_restart_ends_at_the_first_that_cannot_start)
{
    pid_t before[PORTS];
    start();
    take_pids(before);
    spoil_store();
    kill(supervisor, SIGHUP);
    wait_until_said("rolling restart: aborted at frontend:");
    sleep_for(3 * USEC_PER_SEC); /* long enough to give up on it, if it were not spared */
    cr_expect_eq(child_of(supervisor, first_port + 1), before[1]);
    cr_expect_eq(child_of(supervisor, first_port + 2), before[2]);
    cr_expect_eq(get(balancer_port(), "/server.pem"), 200);
    stop();
}

/* ---- What goes wrong ---- */

Test(portico_run, what_keeps_dying_ends_all_with_its_last_words)
{
    set("Datastore.location=/proc/nowhere");
    launch();
    expect_end(1);
    cr_expect(has_said("kept dying, so everything was stopped. Its last lines:"));
    cr_expect(has_said("portico run    |   portico-frontend: "));
    cr_expect(has_said("/proc/nowhere"));
}

Test(portico_run, a_wrong_configuration_starts_nothing)
{
    append_to_configuration("Frontend.enrolment: perhaps\n");
    launch();
    expect_end(1);
    cr_expect(has_said("Frontend.enrolment"));
    cr_expect_not(has_said("starting"));
}

Test(portico_run, a_taken_port_is_told_with_its_holder)
{
    char words[128];
    int held = hold_port(first_port + 1);
    cr_assert_geq(held, 0);
    launch();
    expect_end(1);
    close(held);
    snprintf(words, sizeof words, "port %u, which frontend:%u needs, is held by ", first_port + 1,
             first_port + 1);
    cr_expect(has_said(words));
    cr_expect_not(has_said("starting"));
}

Test(portico_run, a_second_signal_does_not_wait_for_answers)
{
    struct http_client client;
    start();
    /* The balancer would wait for the rest of this request. */
    http_connect(&client, balancer_port());
    cr_assert(http_send(&client, STR("POST /control HTTP/1.1\r\nHost: x\r\n"
                                     "Content-Length: 1000000\r\n\r\nabc")));
    sleep_for(200 * USEC_PER_MSEC);
    kill(supervisor, SIGTERM);
    wait_until_said("stopping: the balancer finishes");
    sleep_for(300 * USEC_PER_MSEC);
    cr_expect_not(has_said("all ended"));
    kill(supervisor, SIGTERM);
    cr_expect_eq(wait_for_end(5 * USEC_PER_SEC), 0);
    http_close(&client);
}
