/* SPDX-License-Identifier: Apache-2.0 */
/* Balancers as processes. */
#include "support/balancer_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "support/backend.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/support.h"

enum { PATH_SIZE = 512, ARGUMENTS = 2 * BALANCER_PARAMETERS + 8 };

uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

void balancer_init(struct balancer_process *balancer, const struct backends *backends)
{
    *balancer = (struct balancer_process){.process = PROCESS_NONE};
    balancer->directory = make_temporary_directory();
    balancer->admin_port = free_port();
    balancer_set(balancer, "Balancer.bind_address=127.0.0.1");
    balancer_set(balancer, "Balancer.bind_port=0");
    balancer_set(balancer, "Balancer.hosts=127.0.0.1");
    balancer_set(balancer, "Frontend.bind_port=%u", backends_first_port(backends));
    balancer_set(balancer, "Frontend.port_max=%u", backends_last_port(backends));
    balancer_set(balancer, "Balancer.admin_port=%u", balancer->admin_port);
    balancer_set(balancer, "Runtime.directory=%s", balancer->directory);
    balancer_set(balancer, "Balancer.threads=2");
    balancer_set(balancer, "Balancer.drain_timeout=1s");
}

void balancer_set(struct balancer_process *balancer, const char *format, ...)
{
    va_list arguments;
    CHECK(balancer->parameter_count < BALANCER_PARAMETERS);
    char *slot = balancer->parameters[balancer->parameter_count++];
    va_start(arguments, format);
    int len = vsnprintf(slot, BALANCER_PARAMETER_SIZE, format, arguments);
    va_end(arguments);
    CHECK(len > 0 && len < BALANCER_PARAMETER_SIZE);
}

void balancer_certify(struct balancer_process *balancer, const struct certificate *certificate)
{
    char *pem;
    int len =
        asprintf(&pem, "%s%s", certificate_pem(certificate), certificate_key_pem(certificate));
    CHECK(len > 0);
    char *path = write_file(balancer->directory, "tls.pem", str_make(pem, (size_t)len));
    balancer->tls_port = free_port();
    balancer_set(balancer, "Balancer.tls_bind_port=%u", balancer->tls_port);
    balancer_set(balancer, "Balancer.tls_certificates=%s", path);
    free(path);
    free(pem);
}

void balancer_configure(struct balancer_process *balancer, const char *yaml)
{
    free(write_file(balancer->directory, "portico.yaml", str_from(yaml)));
}

/* In the child: descriptors from 3 on, sd_listen_fds(3). They are moved out of each other's way
 * first. */
static void pass_sockets(const void *context)
{
    const struct balancer_process *balancer = context;
    enum { FIRST = 3, ASIDE = 100 };
    char text[32];
    int aside[BALANCER_PASSED];
    for (unsigned i = 0; i < balancer->passed_count; i++) {
        aside[i] = fcntl(balancer->passed[i], F_DUPFD_CLOEXEC, ASIDE);
    }
    for (unsigned i = 0; i < balancer->passed_count; i++) {
        if (dup2(aside[i], FIRST + (int)i) < 0) {
            _exit(99);
        }
    }
    snprintf(text, sizeof text, "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof text, "%u", balancer->passed_count);
    setenv("LISTEN_FDS", text, 1);
}

/* Another program with the same command line may be put in its place, to try out the tests. */
static const char *program(void)
{
    const char *other = getenv("PORTICO_BALANCER");
    return other != NULL ? other : PORTICO_BALANCER;
}

static void launch(struct balancer_process *balancer)
{
    const char *arguments[ARGUMENTS] = {program()};
    char file[PATH_SIZE];
    unsigned n = 1;
    snprintf(file, sizeof file, "%s/portico.yaml", balancer->directory);
    if (access(file, R_OK) == 0) {
        arguments[n++] = "-c";
        arguments[n++] = file;
    }
    for (unsigned i = 0; i < balancer->parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = balancer->parameters[i];
    }
    const struct process_start start = {
        .arguments = arguments,
        .directory = balancer->directory,
        .prepare = balancer->passed_count > 0 ? pass_sockets : NULL,
        .context = balancer,
    };
    process_launch(&balancer->process, &start);
}

/* "portico-balancer: serving on ADDR:PORT, members HOST:PORT-PORT" */
static bool await_line(struct balancer_process *balancer)
{
    static const char start[] = "portico-balancer: serving on ";
    char *line = balancer->said;
    if (!process_await_line(&balancer->process, line, sizeof balancer->said)) {
        return false;
    }
    char *comma = strchr(line, ',');
    if (strncmp(line, start, sizeof start - 1) != 0 || comma == NULL) {
        return false;
    }
    char *colon = comma;
    while (*colon != ':') {
        colon--;
    }
    balancer->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

void balancer_start(struct balancer_process *balancer)
{
    launch(balancer);
    if (!await_line(balancer)) {
        char *said = balancer_log(balancer);
        fprintf(stderr, "the balancer does not serve: %s%s\n", balancer->said, said);
        free(said);
        balancer_done(balancer);
        CHECK(!"a balancer that serves");
    }
}

int balancer_try_start(struct balancer_process *balancer)
{
    launch(balancer);
    return await_line(balancer) ? 0 : balancer_wait(balancer, PROCESS_START_PATIENCE);
}

void balancer_start_with(struct balancer_process *balancer, unsigned members)
{
    balancer_start(balancer);
    CHECK(balancer_await_members(balancer, members, PROCESS_START_PATIENCE));
}

void balancer_signal(const struct balancer_process *balancer, int number)
{
    process_signal(&balancer->process, number);
}

int balancer_wait(struct balancer_process *balancer, usec_t patience)
{
    return process_wait(&balancer->process, patience);
}

int balancer_stop(struct balancer_process *balancer, usec_t patience)
{
    balancer_signal(balancer, SIGTERM);
    return balancer_wait(balancer, patience);
}

char *balancer_file(const struct balancer_process *balancer, const char *name)
{
    return process_file(balancer->directory, name);
}

char *balancer_log(const struct balancer_process *balancer)
{
    return balancer_file(balancer, "log");
}

void balancer_done(struct balancer_process *balancer)
{
    if (balancer->process.pid > 0) {
        balancer_stop(balancer, 20 * USEC_PER_SEC); /* leaks are told at an orderly end only */
    }
    process_show_reports(balancer->directory);
    remove_temporary_directory(balancer->directory);
    balancer->directory = NULL;
}

/* ---- What it tells ---- */

double balancer_metric(const struct balancer_process *balancer, const char *name, const char *label)
{
    struct http_answer answer;
    double sum = 0;
    size_t name_len = strlen(name);
    if (http_once(balancer->admin_port, "GET", "/metrics", NULL, &answer) != 200) {
        return -1;
    }
    struct str rest = answer.body;
    struct str line;
    while (str_split(&rest, '\n', &line)) {
        char *text = str_dup(line);
        const char *space = strrchr(text, ' ');
        if (strncmp(text, name, name_len) == 0 && strchr(" {", text[name_len]) != NULL &&
            space != NULL && (label == NULL || strstr(text, label) != NULL)) {
            sum += strtod(space + 1, NULL);
        }
        free(text);
    }
    http_answer_done(&answer);
    return sum;
}

unsigned balancer_rejections(const struct balancer_process *balancer, const char *reason)
{
    char label[128];
    snprintf(label, sizeof label, "reason=\"%s\"", reason);
    return (unsigned)balancer_metric(balancer, "portico_balancer_rejected_total", label);
}

/* /status.json tells each member's state as a word; only "up" ones are counted. */
static unsigned members_up(const struct balancer_process *balancer)
{
    struct http_answer answer;
    unsigned count = 0;
    if (http_once(balancer->admin_port, "GET", "/status.json", NULL, &answer) == 200) {
        const char *at = answer.body.data;
        while (at != NULL && (at = strstr(at, "\"up\"")) != NULL) {
            count++;
            at++;
        }
        http_answer_done(&answer);
    }
    return count;
}

bool balancer_await_members(const struct balancer_process *balancer, unsigned members,
                            usec_t patience)
{
    usec_t deadline = clock_monotonic(&clock_system) + patience;
    if (getenv("PEER") != NULL) {
        return true; /* another program (tests/scripts/peer), which does not tell */
    }
    while (members_up(balancer) != members) {
        if (clock_monotonic(&clock_system) > deadline) {
            return false;
        }
        sleep_for(10 * USEC_PER_MSEC);
    }
    return true;
}

char *balancer_command(const struct balancer_process *balancer, const char *command)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buffer in;
    ssize_t n;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/balancer.sock", balancer->directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* One that has no memory for us hangs up, perhaps before we have said anything. */
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) > 0) {
        (void)!send(fd, "\n", 1, MSG_NOSIGNAL);
    }
    shutdown(fd, SHUT_WR);
    buffer_init(&in, 1 << 20);
    do {
        CHECK(buffer_reserve(&in, 4096) == 0);
        n = recv(fd, buffer_tail(&in), 4096, 0);
        if (n > 0) {
            buffer_commit(&in, (size_t)n);
        }
    } while (n > 0);
    close(fd);
    char *said = str_dup(buffer_view(&in));
    buffer_done(&in);
    return said != NULL ? said : strdup("");
}
