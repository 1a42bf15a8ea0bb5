/* SPDX-License-Identifier: Apache-2.0 */
/* portico-balancer: spreads requests over the range of instances. The main thread is the control
 * thread; the relaying is done by workers. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "balancer.h"
#include "base/log.h"
#include "config/command_line.h"
#include "configuration.h"

static const struct program_usage usage = {
    .name = "portico-balancer",
    .program = PROGRAM_BALANCER,
    .meaning = "Spreads requests round-robin over a range of ports, before any HTTP/1.1 server.",
    .arguments = "",
    .check = configuration_check,
};

static int fail(const struct error *error)
{
    char text[1024];
    error_format(error, text, sizeof text);
    fprintf(stderr, "portico-balancer: %s\n", text);
    return EXIT_STATUS_FAILED;
}

static void configure_log(const struct config *config, bool is_verbose)
{
    const struct log_settings settings = {
        .fd = STDERR_FILENO,
        .level =
            is_verbose ? LOG_LEVEL_DEBUG : (enum log_level)config_enum(config, "Logging.level"),
        .format = (enum log_format)config_enum(config, "Logging.format"),
    };
    log_configure(&settings);
}

/* A proxy needs two descriptors for each client; the usual soft limit is for programs that
 * select(). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Before any thread starts, so that all of them leave the signals to this one. */
static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(const struct command_line *line, struct config *config)
{
    struct error error = {.line = 0};
    block_signals();
    raise_descriptor_limit();
    configure_log(config, command_line_is_verbose(line) || config_bool(config, "Logging.verbose"));
    struct balancer *balancer = balancer_new(line, config, &error);
    if (balancer == NULL) {
        return fail(&error);
    }
    int code = balancer_run(balancer, &error);
    balancer_free(balancer);
    log_limits_flush();
    return code < 0 ? fail(&error) : EXIT_STATUS_FINE;
}

int main(int argc, char **argv)
{
    struct command_line *line = NULL;
    struct config *config = NULL;
    if (command_line_parse(&usage, argc, argv, stderr, &line) < 0) {
        return EXIT_STATUS_USAGE;
    }
    int status = command_line_begin(line, stdout, stderr, &config);
    if (status < 0) {
        status = serve(line, config);
        config_unref(config);
    }
    command_line_free(line);
    return status;
}
