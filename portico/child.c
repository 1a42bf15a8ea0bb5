/* SPDX-License-Identifier: Apache-2.0 */
/* Processes through pidfds: no signal handler, no race for reused numbers. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lines.h"

enum {
    READ_BYTES = 16 * 1024,
    LAST_READS = 64, /* of READ_BYTES, once it has ended: whoever inherited the pipe may go on */
    EXEC_FAILED = 127,
};

struct child {
    struct loop *loop;
    const struct child_events *events;
    void *context;
    pid_t pid; /* 0: it was waited for */
    struct watch process, output;
    struct lines lines;
    struct garbage garbage;
};

/* ---- In the child ---- */

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

NO_RETURN static void become(const char *const *arguments, int output, pid_t parent)
{
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* Killed, not told: there is nobody left who would kill it if it did not listen. What was
     * acknowledged to an agent is on the disk. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || input < 0 ||
        setpgid(0, 0) < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0) {
        _exit(EXEC_FAILED);
    }
    reset_signals();
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    dprintf(STDERR_FILENO, "cannot execute %s: %s\n", arguments[0], strerror(errno));
    _exit(EXEC_FAILED);
}

/* ---- Its output ---- */

static void take_line(void *context, struct str line)
{
    const struct child *child = context;
    child->events->line(child->context, line);
}

static void close_output(struct child *child)
{
    if (child->output.fd >= 0) {
        watch_stop(child->loop, &child->output);
        close(child->output.fd);
        child->output.fd = -1;
    }
}

/* True: there may be more. At the end of the output it is closed. */
static bool read_some(struct child *child)
{
    char bytes[READ_BYTES];
    ssize_t count = read(child->output.fd, bytes, sizeof bytes);
    if (count > 0) {
        lines_feed(&child->lines, str_make(bytes, (size_t)count), take_line, child);
        return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_output(child);
    }
    return false;
}

static void output_ready(struct watch *watch, unsigned ready)
{
    struct child *child = CONTAINER_OF(watch, struct child, output);
    (void)ready;
    (void)read_some(child);
}

static void read_the_rest(struct child *child)
{
    for (int i = 0; i < LAST_READS && child->output.fd >= 0; i++) {
        if (!read_some(child)) {
            break;
        }
    }
    close_output(child);
    lines_end(&child->lines, take_line, child);
}

/* ---- Its end ---- */

/* Its number stays its own, and its group's, until it was waited for. */
static int reap(struct child *child)
{
    int status = 0;
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    child->pid = 0;
    watch_stop(child->loop, &child->process);
    close(child->process.fd);
    return status;
}

static void process_ready(struct watch *watch, unsigned ready)
{
    struct child *child = CONTAINER_OF(watch, struct child, process);
    (void)ready;
    read_the_rest(child);
    int status = reap(child);
    child->events->ended(child->context, status);
}

/* ---- Life ---- */

static void free_it(struct garbage *garbage)
{
    free(CONTAINER_OF(garbage, struct child, garbage));
}

void child_free(struct child *child)
{
    if (child == NULL) {
        return;
    }
    if (child->pid != 0) {
        kill(child->pid, SIGKILL);
        (void)reap(child);
    }
    close_output(child);
    loop_free_later(child->loop, &child->garbage, free_it);
}

/* With its pidfd in child->process. */
static int fork_it(struct child *child, const char *const *arguments, int output)
{
    pid_t parent = getpid();
    child->pid = fork();
    if (child->pid == 0) {
        become(arguments, output, parent);
    }
    if (child->pid < 0) {
        child->pid = 0;
        return -errno;
    }
    /* Here as well as in the child: whoever comes first. */
    (void)setpgid(child->pid, child->pid);
    watch_init(&child->process, (int)syscall(SYS_pidfd_open, child->pid, 0), process_ready);
    if (child->process.fd < 0) {
        int code = -errno;
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        child->pid = 0;
        return code;
    }
    int code = watch_set(child->loop, &child->process, WATCH_READ);
    return code == 0 ? watch_set(child->loop, &child->output, WATCH_READ) : code;
}

/* The end that we read must not block us; the child's may block the child. */
static int open_pipe(struct child *child, int *write_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    watch_init(&child->output, ends[0], output_ready);
    *write_end = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int child_start(struct loop *loop, const char *const *arguments, const struct child_events *events,
                void *context, struct child **child, struct error *error)
{
    struct child *made = calloc(1, sizeof *made);
    int output = -1;
    if (made == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot start %s", arguments[0]);
    }
    made->loop = loop;
    made->events = events;
    made->context = context;
    made->output.fd = -1;
    int code = open_pipe(made, &output);
    code = code < 0 ? code : fork_it(made, arguments, output);
    if (output >= 0) {
        close(output);
    }
    if (code < 0) {
        child_free(made);
        return error_set_errno(error, code, "cannot start %s", arguments[0]);
    }
    *child = made;
    return 0;
}

void child_signal(struct child *child, int signal)
{
    if (child->pid != 0) {
        kill(child->pid, signal);
    }
}

const char *child_describe_ending(int status, char text[CHILD_ENDING_SIZE])
{
    if (WIFSIGNALED(status)) {
        snprintf(text, CHILD_ENDING_SIZE, "was killed by signal %d (%s)", WTERMSIG(status),
                 sigdescr_np(WTERMSIG(status)) == NULL ? "?" : sigdescr_np(WTERMSIG(status)));
    } else {
        snprintf(text, CHILD_ENDING_SIZE, "ended with status %d", WEXITSTATUS(status));
    }
    return text;
}
