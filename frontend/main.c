/* SPDX-License-Identifier: Apache-2.0 */
/* portico-frontend: answers agents on one port. The main thread starts everything, waits for a
 * signal and ends everything; the work is done on other threads. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "config/command_line.h"
#include "frontend.h"
#include "port.h"
#include "server.h"

static const struct flag flags[] = {
    {"port", '\0', "N", "listen on port N instead of the first free one of the range"},
    {NULL, '\0', NULL, NULL},
};

static const struct program_usage usage = {
    .name = "portico-frontend",
    .program = PROGRAM_FRONTEND,
    .meaning = "Answers the polls of an agent fleet on one port of the range.",
    .arguments = "",
    .flags = flags,
};

/* Everything that runs, for one place to end it. */
struct instance {
    struct frontend frontend;
    struct server *server;
    struct monitor *monitor;
    usec_t stop_timeout;
};

static int fail(const struct error *error)
{
    char text[1024];
    error_format(error, text, sizeof text);
    fprintf(stderr, "portico-frontend: %s\n", text);
    return EXIT_STATUS_FAILED;
}

static void configure_log(const struct config *config, bool is_verbose)
{
    enum log_level level = (enum log_level)config_enum(config, "Logging.level");
    const struct log_settings settings = {
        .fd = STDERR_FILENO,
        .level = is_verbose && level < LOG_LEVEL_INFO ? LOG_LEVEL_INFO : level,
        .format = (enum log_format)config_enum(config, "Logging.format"),
    };
    log_configure(&settings);
}

static bool wanted_port(const struct command_line *line, uint16_t *port)
{
    const char *text = command_line_flag(line, "port");
    uint64_t number;
    if (text == NULL) {
        return true;
    }
    if (str_to_uint64(str_from(text), &number) < 0 || number == 0 || number > UINT16_MAX) {
        fprintf(stderr, "portico-frontend: --port wants a number from 1 to 65535, not \"%s\"\n",
                text);
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

static int listen_for_agents(const struct config *config, uint16_t port, struct address *address,
                             struct error *error)
{
    struct port_range range = config_frontend_range(config);
    if (port != 0) {
        range = (struct port_range){port, port};
    }
    int fd = port_take(config_str(config, "Frontend.bind_address"), range.first, range.last,
                       address, error);
    if (fd == -EADDRINUSE) {
        fail(error);
        port_print_holders(range.first, range.last, stderr);
    }
    return fd;
}

/* Without metrics agents are still served. */
static void start_monitor(struct instance *instance, const struct config *config)
{
    struct port_range range = config_monitoring_range(config);
    struct address address;
    struct error error = {.line = 0};
    if (range.first == 0) {
        return;
    }
    int fd = port_take(config_str(config, "Monitoring.http_address"), range.first, range.last,
                       &address, &error);
    if (fd < 0 || monitor_start(&instance->frontend, fd, &instance->monitor, &error) < 0) {
        log_error_value(LOG_LEVEL_WARNING, "no metrics", &error);
        return;
    }
    char text[ADDRESS_TEXT_SIZE];
    log_info("metrics", LOG_TEXT("address", address_format(&address, text)));
}

static int start(struct instance *instance, const struct config *config,
                 const struct command_line *line, uint16_t port)
{
    struct error error = {.line = 0};
    struct address address;
    bool is_verbose = command_line_is_verbose(line) || config_bool(config, "Logging.verbose");
    instance->stop_timeout = config_usec(config, "Frontend.stop_timeout");
    if (frontend_open(&instance->frontend, config, is_verbose, &error) < 0) {
        return fail(&error);
    }
    int fd = listen_for_agents(config, port, &address, &error);
    if (fd == -EADDRINUSE) {
        return EXIT_STATUS_FAILED; /* said already */
    }
    if (fd < 0 || server_start(&instance->frontend, config, fd, &instance->server, &error) < 0) {
        return fail(&error);
    }
    start_monitor(instance, config);
    char text[ADDRESS_TEXT_SIZE];
    printf("portico-frontend: serving on %s\n", address_format(&address, text));
    fflush(stdout);
    sd_notifyf(0, "READY=1\nSTATUS=serving on %s", text);
    return EXIT_STATUS_FINE;
}

static int stop(struct instance *instance)
{
    int status = EXIT_STATUS_FINE;
    sd_notify(0, "STOPPING=1\nSTATUS=finishing polls");
    if (instance->server != NULL && server_stop(instance->server, instance->stop_timeout) < 0) {
        log_error("stopped before everything was finished");
        status = EXIT_STATUS_FAILED;
    }
    monitor_stop(instance->monitor);
    frontend_close(&instance->frontend);
    log_limits_flush();
    return status;
}

/* Ask for a sign of life from the store as often as systemd wants one from us. */
static void wait_for_end(struct instance *instance, const sigset_t *signals)
{
    uint64_t watchdog = 0;
    struct timespec rest = {.tv_sec = 1};
    bool is_watched = sd_watchdog_enabled(0, &watchdog) > 0;
    int signal;
    if (is_watched && watchdog / 3 < (uint64_t)USEC_PER_SEC) {
        rest = (struct timespec){.tv_nsec = (long)(watchdog / 3 * 1000)};
    }
    do {
        signal = sigtimedwait(signals, NULL, &rest);
        log_limits_flush();
        if (is_watched && signal < 0) {
            sd_notify(0, "WATCHDOG=1");
        }
    } while (signal < 0 && (errno == EAGAIN || errno == EINTR));
    (void)instance;
}

static int serve(const struct config *config, const struct command_line *line, uint16_t port)
{
    static struct instance instance;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Before any thread starts, so that all of them leave the signals to this one. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    configure_log(config, command_line_is_verbose(line));
    int status = start(&instance, config, line, port);
    if (status != EXIT_STATUS_FINE) {
        frontend_close(&instance.frontend);
        return status;
    }
    wait_for_end(&instance, &signals);
    return stop(&instance);
}

int main(int argc, char **argv)
{
    struct command_line *line = NULL;
    struct config *config = NULL;
    uint16_t port = 0;
    if (command_line_parse(&usage, argc, argv, stderr, &line) < 0) {
        return EXIT_STATUS_USAGE;
    }
    int status = wanted_port(line, &port) ? -1 : EXIT_STATUS_USAGE;
    if (status < 0) {
        status = command_line_begin(line, stdout, stderr, &config);
    }
    if (status < 0) {
        status = serve(config, line, port);
        config_unref(config);
    }
    command_line_free(line);
    return status;
}
