/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of the real binary. */
#include "support/instance.h"

#include <errno.h>
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

#include "base/buffer.h"
#include "base/check.h"
#include "store/store_sqlite.h"
#include "support/support.h"
#include "wire/authority.h"
#include "wire/rsa.h"

enum {
    FIRST_PORT = 20000, /* below what the kernel gives to clients */
    PORT_STARTS = 11000,
    PORTS = 500,
    PATH_SIZE = 512,
    ARGUMENTS = 2 * INSTANCE_PARAMETERS + 16,
};

/* Sanitizers make starting slow, and so do other tests beside this one. */
#define START_PATIENCE (60 * USEC_PER_SEC)

static struct str take(struct buffer *buffer)
{
    struct str view = buffer_view(buffer);
    char *copy = str_dup(view);
    CHECK(copy != NULL);
    buffer_done(buffer);
    return str_make(copy, view.len);
}

void instance_keys_make(const struct rsa_key *server, struct instance_keys *keys)
{
    struct rsa_key *authority;
    struct buffer buffer;
    usec_t now = clock_wall(&clock_system);
    struct certificate_wish wish = {
        .common_name = "test authority",
        .serial = 1,
        .not_before = now - USEC_PER_DAY,
        .not_after = now + USEC_PER_DAY,
    };
    buffer_init(&buffer, 64 * 1024);
    CHECK(rsa_generate(1024, NULL, &authority) == 0);
    CHECK(rsa_private_to_pem(authority, &buffer) == 0);
    keys->ca_key = take(&buffer);
    CHECK(authority_make(authority, &wish, &buffer) == 0);
    keys->ca_certificate = take(&buffer);
    CHECK(rsa_private_to_pem(server, &buffer) == 0);
    keys->server_key = take(&buffer);
    wish.common_name = "grr";
    wish.serial = 2;
    CHECK(authority_certify(authority, keys->ca_certificate, server, &wish, &buffer) == 0);
    keys->server_certificate = take(&buffer);
    rsa_key_free(authority);
}

void instance_keys_free(struct instance_keys *keys)
{
    free_str(keys->ca_key);
    free_str(keys->ca_certificate);
    free_str(keys->server_key);
    free_str(keys->server_certificate);
}

static const char *binary_of(const struct instance *instance)
{
    return instance->binary != NULL ? instance->binary : PORTICO_FRONTEND;
}

static void write_configuration(const struct instance *instance)
{
    char *text;
    static unsigned count;
    /* Tests that run at the same time begin at different ports; that they meet is no harm. */
    unsigned first = FIRST_PORT + ((unsigned)getpid() * 37 + count++ * 101) % PORT_STARTS;
    int len = asprintf(&text,
                       "Frontend.bind_address: 127.0.0.1\n"
                       "Frontend.bind_port: %u\n"
                       "Frontend.port_max: %u\n"
                       "Frontend.threads: 2\n"
                       "Frontend.crypto_threads: 2\n"
                       "Frontend.session_cache: 1MiB\n"
                       "Frontend.certificate: \"%%(server.pem|file)\"\n"
                       "PrivateKeys.server_key: \"%%(server_key.pem|file)\"\n"
                       "PrivateKeys.ca_key: \"%%(ca_key.pem|file)\"\n"
                       "CA.certificate: \"%%(ca.pem|file)\"\n"
                       "Datastore.location: %s/store\n"
                       "Datastore.last_seen_interval: 1ms\n"
                       "Runtime.directory: %s/run\n",
                       first, first + PORTS - 1, instance->directory, instance->directory);
    CHECK(len > 0);
    free(write_file(instance->directory, "portico.yaml", str_make(text, (size_t)len)));
    free(text);
}

void instance_init(struct instance *instance, const struct instance_keys *keys)
{
    *instance = (struct instance){.output = -1, .pid_fd = -1, .owns_directory = true};
    instance->directory = make_temporary_directory();
    free(write_file(instance->directory, "ca_key.pem", keys->ca_key));
    free(write_file(instance->directory, "ca.pem", keys->ca_certificate));
    free(write_file(instance->directory, "server_key.pem", keys->server_key));
    free(write_file(instance->directory, "server.pem", keys->server_certificate));
    write_configuration(instance);
}

void instance_join(struct instance *instance, const struct instance *first)
{
    *instance = *first;
    instance->owns_directory = false;
    instance->pid = 0;
    instance->pid_fd = instance->output = -1;
}

void instance_set(struct instance *instance, const char *parameter)
{
    CHECK(instance->parameter_count < INSTANCE_PARAMETERS);
    char *slot = instance->parameters[instance->parameter_count++];
    CHECK(strlen(parameter) < INSTANCE_PARAMETER_SIZE);
    snprintf(slot, INSTANCE_PARAMETER_SIZE, "%s", parameter);
}

/* In the child. */
static void become(const struct instance *instance, const char *const *arguments, int output,
                   pid_t parent)
{
    char log[PATH_SIZE];
    snprintf(log, sizeof log, "%s/log", instance->directory);
    int errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (errors < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0 ||
        getppid() != parent) {
        _exit(99);
    }
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(99);
}

static void launch(struct instance *instance, const char *const *arguments)
{
    int pipes[2];
    pid_t parent = getpid();
    CHECK(instance->pid == 0);
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    instance->pid = fork();
    CHECK(instance->pid >= 0);
    if (instance->pid == 0) {
        become(instance, arguments, pipes[1], parent);
    }
    close(pipes[1]);
    instance->output = pipes[0];
    instance->pid_fd = (int)syscall(SYS_pidfd_open, instance->pid, 0);
    CHECK(instance->pid_fd >= 0);
}

void instance_launch(struct instance *instance, const char *port)
{
    const char *arguments[ARGUMENTS] = {binary_of(instance), "-c"};
    char file[PATH_SIZE];
    unsigned n = 2;
    snprintf(file, sizeof file, "%s/portico.yaml", instance->directory);
    arguments[n++] = file;
    for (unsigned i = 0; i < instance->parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = instance->parameters[i];
    }
    if (port != NULL) {
        arguments[n++] = "--port";
        arguments[n++] = port;
    }
    launch(instance, arguments);
}

bool instance_await(struct instance *instance)
{
    char line[256];
    size_t len = 0;
    usec_t deadline = clock_monotonic(&clock_system) + START_PATIENCE;
    while (len < sizeof line - 1 && (len == 0 || line[len - 1] != '\n')) {
        struct pollfd pollfd = {.fd = instance->output, .events = POLLIN};
        usec_t left = deadline - clock_monotonic(&clock_system);
        if (left <= 0 || poll(&pollfd, 1, (int)(left / USEC_PER_MSEC) + 1) <= 0 ||
            read(instance->output, line + len, 1) != 1) {
            return false;
        }
        len++;
    }
    line[len] = '\0';
    const char *colon = strrchr(line, ':');
    if (strncmp(line, "portico-frontend: serving on ", 29) != 0 || colon == NULL) {
        return false;
    }
    instance->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

void instance_start(struct instance *instance)
{
    instance_launch(instance, NULL);
    if (!instance_await(instance)) {
        char *said = instance_log(instance);
        fprintf(stderr, "the instance does not serve: %s\n", said);
        free(said);
        instance_kill(instance);
        CHECK(!"an instance that serves");
    }
}

int instance_wait(struct instance *instance, usec_t patience)
{
    struct pollfd pollfd = {.fd = instance->pid_fd, .events = POLLIN};
    int status = 0;
    CHECK(instance->pid > 0);
    bool ended = poll(&pollfd, 1, (int)(patience / USEC_PER_MSEC)) > 0;
    if (!ended) {
        kill(instance->pid, SIGKILL);
    }
    CHECK(waitpid(instance->pid, &status, 0) == instance->pid);
    close(instance->pid_fd);
    close(instance->output);
    instance->pid = 0;
    instance->pid_fd = instance->output = -1;
    if (!ended) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int instance_stop(struct instance *instance, usec_t patience)
{
    CHECK(instance->pid > 0);
    kill(instance->pid, SIGTERM);
    return instance_wait(instance, patience);
}

void instance_kill(struct instance *instance)
{
    CHECK(instance->pid > 0);
    kill(instance->pid, SIGKILL);
    instance_wait(instance, START_PATIENCE);
}

int instance_run(struct instance *instance, const char *const *arguments, char **said)
{
    const char *all[ARGUMENTS] = {binary_of(instance)};
    for (unsigned n = 1; *arguments != NULL; n++) {
        all[n] = *arguments++;
    }
    launch(instance, all);
    int status = instance_wait(instance, 20 * USEC_PER_SEC);
    *said = instance_log(instance);
    return status;
}

/* ctest looks for a sanitizer's report in what the test says, not in what its instances do. */
static void show_reports(const struct instance *instance)
{
    char *said = instance_log(instance);
    if (strstr(said, "runtime error:") != NULL || strstr(said, "Sanitizer:") != NULL) {
        fprintf(stderr, "%s\n", said);
    }
    free(said);
}

void instance_done(struct instance *instance)
{
    if (instance->pid > 0) {
        instance_kill(instance);
    }
    if (instance->owns_directory) {
        show_reports(instance);
        remove_temporary_directory(instance->directory);
    }
    instance->directory = NULL;
}

char *instance_log(const struct instance *instance)
{
    char path[PATH_SIZE];
    size_t len;
    snprintf(path, sizeof path, "%s/log", instance->directory);
    char *text = read_file(path, &len);
    return text != NULL ? text : strdup("");
}

struct store *instance_store(const struct instance *instance)
{
    char path[PATH_SIZE];
    struct store *store;
    snprintf(path, sizeof path, "%s/store", instance->directory);
    CHECK(store_sqlite_open(path, &clock_system, &store, NULL) == 0);
    return store;
}

uint64_t instance_memory_kib(const struct instance *instance, const char *what)
{
    char path[64];
    char line[256];
    uint64_t found = 0;
    size_t len = strlen(what);
    snprintf(path, sizeof path, "/proc/%d/status", (int)instance->pid);
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
