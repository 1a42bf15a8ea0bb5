/* SPDX-License-Identifier: Apache-2.0 */
/* Balancers as processes. */
#include "support/balancer_process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "support/backend.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/support.h"

enum { PATH_SIZE = 512, ARGUMENTS = 2 * BALANCER_PARAMETERS + 8 };

/* Sanitizers make starting slow, and so do other tests beside this one. */
#define START_PATIENCE (60 * USEC_PER_SEC)

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
    *balancer = (struct balancer_process){.output = -1, .pid_fd = -1};
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
static void pass_sockets(const struct balancer_process *balancer)
{
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

/* In the child. */
static void become(const struct balancer_process *balancer, const char *const *arguments,
                   int output, pid_t parent)
{
    char log[PATH_SIZE];
    snprintf(log, sizeof log, "%s/log", balancer->directory);
    int errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (errors < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0 ||
        getppid() != parent) {
        _exit(99);
    }
    if (balancer->passed_count > 0) {
        pass_sockets(balancer);
    }
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(99);
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
    int pipes[2];
    unsigned n = 1;
    pid_t parent = getpid();
    snprintf(file, sizeof file, "%s/portico.yaml", balancer->directory);
    if (access(file, R_OK) == 0) {
        arguments[n++] = "-c";
        arguments[n++] = file;
    }
    for (unsigned i = 0; i < balancer->parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = balancer->parameters[i];
    }
    CHECK(balancer->pid == 0);
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    balancer->pid = fork();
    CHECK(balancer->pid >= 0);
    if (balancer->pid == 0) {
        become(balancer, arguments, pipes[1], parent);
    }
    close(pipes[1]);
    balancer->output = pipes[0];
    balancer->pid_fd = (int)syscall(SYS_pidfd_open, balancer->pid, 0);
    CHECK(balancer->pid_fd >= 0);
}

/* "portico-balancer: serving on ADDR:PORT, members HOST:PORT-PORT" */
static bool await_line(struct balancer_process *balancer)
{
    static const char start[] = "portico-balancer: serving on ";
    char *line = balancer->said;
    size_t len = 0;
    usec_t deadline = clock_monotonic(&clock_system) + START_PATIENCE;
    while (len < sizeof balancer->said - 1 && (len == 0 || line[len - 1] != '\n')) {
        struct pollfd pollfd = {.fd = balancer->output, .events = POLLIN};
        usec_t left = deadline - clock_monotonic(&clock_system);
        if (left <= 0 || poll(&pollfd, 1, (int)(left / USEC_PER_MSEC) + 1) <= 0 ||
            read(balancer->output, line + len, 1) != 1) {
            return false;
        }
        len++;
    }
    line[len] = '\0';
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
    return await_line(balancer) ? 0 : balancer_wait(balancer, START_PATIENCE);
}

void balancer_start_with(struct balancer_process *balancer, unsigned members)
{
    balancer_start(balancer);
    CHECK(balancer_await_members(balancer, members, START_PATIENCE));
}

void balancer_signal(const struct balancer_process *balancer, int number)
{
    CHECK(balancer->pid > 0);
    kill(balancer->pid, number);
}

int balancer_wait(struct balancer_process *balancer, usec_t patience)
{
    struct pollfd pollfd = {.fd = balancer->pid_fd, .events = POLLIN};
    int status = 0;
    CHECK(balancer->pid > 0);
    bool ended = poll(&pollfd, 1, (int)(patience / USEC_PER_MSEC)) > 0;
    if (!ended) {
        kill(balancer->pid, SIGKILL);
    }
    CHECK(waitpid(balancer->pid, &status, 0) == balancer->pid);
    close(balancer->pid_fd);
    close(balancer->output);
    balancer->pid = 0;
    balancer->pid_fd = balancer->output = -1;
    if (!ended) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int balancer_stop(struct balancer_process *balancer, usec_t patience)
{
    balancer_signal(balancer, SIGTERM);
    return balancer_wait(balancer, patience);
}

bool balancer_is_alive(const struct balancer_process *balancer)
{
    struct pollfd pollfd = {.fd = balancer->pid_fd, .events = POLLIN};
    return balancer->pid > 0 && poll(&pollfd, 1, 0) == 0;
}

char *balancer_file(const struct balancer_process *balancer, const char *name)
{
    char path[PATH_SIZE];
    size_t len;
    snprintf(path, sizeof path, "%s/%s", balancer->directory, name);
    char *text = read_file(path, &len);
    return text != NULL ? text : strdup("");
}

char *balancer_log(const struct balancer_process *balancer)
{
    return balancer_file(balancer, "log");
}

/* ctest looks for a sanitizer's report in what the test says, not in what its balancers do. */
static void show_reports(const struct balancer_process *balancer)
{
    char *said = balancer_log(balancer);
    if (strstr(said, "runtime error:") != NULL || strstr(said, "Sanitizer") != NULL ||
        strstr(said, "CHECK") != NULL) {
        fprintf(stderr, "%s\n", said);
    }
    free(said);
}

void balancer_done(struct balancer_process *balancer)
{
    if (balancer->pid > 0) {
        balancer_stop(balancer, 20 * USEC_PER_SEC); /* leaks are told at an orderly end only */
    }
    show_reports(balancer);
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

uint64_t balancer_memory_kib(const struct balancer_process *balancer, const char *what)
{
    char path[64];
    char line[256];
    uint64_t found = 0;
    size_t len = strlen(what);
    snprintf(path, sizeof path, "/proc/%d/status", (int)balancer->pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, what, len) == 0 && line[len] == ':') {
            found = strtoull(line + len + 1, NULL, 10);
        }
    }
    fclose(file);
    return found;
}

unsigned balancer_descriptors(const struct balancer_process *balancer)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)balancer->pid);
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

usec_t balancer_cpu(const struct balancer_process *balancer)
{
    char path[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)balancer->pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fgets(line, sizeof line, file) != NULL);
    fclose(file);
    const char *end = strrchr(line, ')');
    CHECK(end != NULL && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &system) == 2);
    return (usec_t)(user + system) * USEC_PER_SEC / sysconf(_SC_CLK_TCK);
}
