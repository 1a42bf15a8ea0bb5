/* SPDX-License-Identifier: Apache-2.0 */
/* See site.h. */
#include "support/site.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "support/support.h"
#include "wire/rsa.h"

enum {
    FIRST_PORT = 11000, /* below those of other tests and of clients */
    PORT_STARTS = 8000,
    ARGUMENTS_MAX = 2 * SITE_PARAMETERS + 8,
};

/* ---- Ports ---- */

int site_hold_port(uint16_t port)
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
    for (unsigned i = 0; i < SITE_CHILDREN; i++) {
        int fd = site_hold_port((uint16_t)(first + i));
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
        at += SITE_CHILDREN;
    } while (!are_free((uint16_t)(FIRST_PORT + at % PORT_STARTS)));
    return (uint16_t)(FIRST_PORT + at % PORT_STARTS);
}

uint16_t site_balancer_port(const struct site *site)
{
    return site->first_port + SITE_FRONTENDS;
}

/* ---- The program ---- */

void site_set(struct site *site, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    CHECK(site->parameter_count < SITE_PARAMETERS);
    vsnprintf(site->parameters[site->parameter_count++], SITE_PARAMETER_SIZE, format, arguments);
    va_end(arguments);
}

void site_init(struct site *site)
{
    *site = (struct site){.supervisor = 0};
    CHECK(rsa_generate(1024, NULL, &site->server_key) == 0);
    instance_keys_make(site->server_key, &site->keys);
    instance_init(&site->place, &site->keys);
    site->first_port = find_ports();
    site_set(site, "Frontend.bind_port=%u", site->first_port);
    site_set(site, "Frontend.port_max=%u", site->first_port + SITE_FRONTENDS - 1);
    site_set(site, "Balancer.bind_address=127.0.0.1");
    site_set(site, "Balancer.bind_port=%u", site_balancer_port(site));
    site_set(site, "Balancer.admin_port=0");
    site_set(site, "Balancer.threads=1");
}

void site_done(struct site *site)
{
    if (site->supervisor > 0) {
        kill(site->supervisor, SIGKILL);
        site_wait(site, SITE_PATIENCE);
    }
    instance_done(&site->place);
    instance_keys_free(&site->keys);
    rsa_key_free(site->server_key);
}

static void become(const struct site *site, const char *const *arguments)
{
    char path[512];
    snprintf(path, sizeof path, "%s/log", site->place.directory);
    int output = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(99);
}

void site_run(struct site *site, const char *const *arguments)
{
    site->supervisor = fork();
    CHECK(site->supervisor >= 0);
    if (site->supervisor == 0) {
        become(site, arguments);
    }
}

void site_launch(struct site *site)
{
    char file[512];
    const char *arguments[ARGUMENTS_MAX] = {PORTICO_BINARY, "run", "-c", file};
    unsigned n = 4;
    snprintf(file, sizeof file, "%s/portico.yaml", site->place.directory);
    for (unsigned i = 0; i < site->parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = site->parameters[i];
    }
    site_run(site, arguments);
}

void site_start(struct site *site)
{
    site_launch(site);
    site_wait_until_said(site, "all serve after");
}

bool site_has_said(const struct site *site, const char *words)
{
    char *log = instance_log(&site->place);
    bool is_there = strstr(log, words) != NULL;
    free(log);
    return is_there;
}

void site_wait_until_said(const struct site *site, const char *words)
{
    usec_t deadline = clock_monotonic(&clock_system) + SITE_PATIENCE;
    while (!site_has_said(site, words)) {
        if (clock_monotonic(&clock_system) > deadline) {
            char *log = instance_log(&site->place);
            fprintf(stderr, "nobody said \"%s\":\n%s\n", words, log);
            free(log);
            abort();
        }
        sleep_for(10 * USEC_PER_MSEC);
    }
}

int site_wait(struct site *site, usec_t patience)
{
    usec_t deadline = clock_monotonic(&clock_system) + patience;
    int status = 0;
    while (waitpid(site->supervisor, &status, WNOHANG) == 0) {
        if (clock_monotonic(&clock_system) > deadline) {
            return -1;
        }
        sleep_for(5 * USEC_PER_MSEC);
    }
    site->supervisor = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- Its children ---- */

/* Whether the process is the program with `word` among its arguments; NULL: any. */
static bool runs(pid_t pid, const char *program, const char *word)
{
    char path[64];
    size_t len;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    char *line = read_file(path, &len);
    bool is_program = line != NULL && strstr(line, program) != NULL;
    bool has_word = word == NULL;
    for (size_t at = 0; is_program && word != NULL && at < len; at += strlen(line + at) + 1) {
        has_word |= strcmp(line + at, word) == 0;
    }
    free(line);
    return is_program && has_word;
}

pid_t site_child(const struct site *site, unsigned child)
{
    char path[64];
    char port[16];
    pid_t pid;
    pid_t found = 0;
    bool is_balancer = child == SITE_FRONTENDS;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)site->supervisor,
             (int)site->supervisor);
    snprintf(port, sizeof port, "%u", site->first_port + child);
    FILE *children = fopen(path, "re");
    while (children != NULL && found == 0 && fscanf(children, "%d", &pid) == 1) {
        bool is_it =
            is_balancer ? runs(pid, "portico-balancer", NULL) : runs(pid, "portico-frontend", port);
        found = is_it ? pid : 0;
    }
    if (children != NULL) {
        fclose(children);
    }
    return found;
}

void site_kill(const struct site *site, unsigned child)
{
    pid_t pid = site_child(site, child);
    CHECK(pid > 0); /* 0 would be this process and all beside it */
    kill(pid, SIGKILL);
}
