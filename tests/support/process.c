/* SPDX-License-Identifier: Apache-2.0 */
/* Children through pidfds. */
#include "support/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "support/support.h"

enum { PATH_SIZE = 512 };

/* ---- Its life ---- */

/* In the child. */
static void become(const struct process_start *start, int output, pid_t parent)
{
    char log[PATH_SIZE];
    snprintf(log, sizeof log, "%s/log", start->directory);
    int errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (errors < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0 ||
        getppid() != parent) {
        _exit(99);
    }
    if (start->prepare != NULL) {
        start->prepare(start->context);
    }
    execv(start->arguments[0], (char *const *)(uintptr_t)start->arguments);
    _exit(99);
}

void process_launch(struct process *process, const struct process_start *start)
{
    int pipes[2];
    pid_t parent = getpid();
    CHECK(process->pid == 0);
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    process->pid = fork();
    CHECK(process->pid >= 0);
    if (process->pid == 0) {
        become(start, pipes[1], parent);
    }
    close(pipes[1]);
    process->output = pipes[0];
    process->pid_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    CHECK(process->pid_fd >= 0);
}

bool process_await_line(const struct process *process, char *line, size_t size)
{
    size_t len = 0;
    usec_t deadline = clock_monotonic(&clock_system) + PROCESS_START_PATIENCE;
    bool is_there = true;
    while (is_there && len < size - 1 && (len == 0 || line[len - 1] != '\n')) {
        struct pollfd pollfd = {.fd = process->output, .events = POLLIN};
        usec_t left = deadline - clock_monotonic(&clock_system);
        is_there = left > 0 && poll(&pollfd, 1, (int)(left / USEC_PER_MSEC) + 1) > 0 &&
                   read(process->output, line + len, 1) == 1;
        len += is_there;
    }
    line[len] = '\0';
    return is_there;
}

int process_wait(struct process *process, usec_t patience)
{
    struct pollfd pollfd = {.fd = process->pid_fd, .events = POLLIN};
    int status = 0;
    CHECK(process->pid > 0);
    bool ended = poll(&pollfd, 1, (int)(patience / USEC_PER_MSEC)) > 0;
    if (!ended) {
        kill(process->pid, SIGKILL);
    }
    CHECK(waitpid(process->pid, &status, 0) == process->pid);
    close(process->pid_fd);
    close(process->output);
    *process = PROCESS_NONE;
    if (!ended) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_signal(const struct process *process, int number)
{
    CHECK(process->pid > 0);
    kill(process->pid, number);
}

bool process_is_alive(const struct process *process)
{
    struct pollfd pollfd = {.fd = process->pid_fd, .events = POLLIN};
    return process->pid > 0 && poll(&pollfd, 1, 0) == 0;
}

/* ---- What it wrote ---- */

char *process_file(const char *directory, const char *name)
{
    char path[PATH_SIZE];
    size_t len;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    char *text = read_file(path, &len);
    return text != NULL ? text : strdup("");
}

void process_show_reports(const char *directory)
{
    char *said = process_file(directory, "log");
    if (strstr(said, "runtime error:") != NULL || strstr(said, "Sanitizer") != NULL ||
        strstr(said, "CHECK") != NULL) {
        fprintf(stderr, "%s\n", said);
    }
    free(said);
}

/* ---- What it takes ---- */

uint64_t process_memory_kib(const struct process *process, const char *what)
{
    char path[64];
    char line[256];
    uint64_t found = 0;
    size_t len = strlen(what);
    snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
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

unsigned process_descriptors(const struct process *process)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)process->pid);
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

usec_t process_cpu(const struct process *process)
{
    char path[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fgets(line, sizeof line, file) != NULL);
    fclose(file);
    const char *end = strrchr(line, ')');
    CHECK(end != NULL && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &system) == 2);
    return (usec_t)(user + system) * USEC_PER_SEC / sysconf(_SC_CLK_TCK);
}
