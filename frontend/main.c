/* SPDX-License-Identifier: Apache-2.0 */
/* portico-frontend: answers agents on one port. The main thread starts everything, reloads on
 * SIGHUP, tells the service manager how it goes, and ends everything on SIGTERM; the work is done
 * on other threads. */
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
#include "health.h"
#include "port.h"
#include "reload.h"
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
    const struct command_line *line;
    struct config *config; /* counted */
    char address[ADDRESS_TEXT_SIZE];
    usec_t watchdog; /* how often systemd wants a sign of life; 0: never */
    bool was_alive;
    usec_t told; /* when the status was told last; monotonic */
    int64_t polls_told;
};

#define STATUS_PERIOD (5 * USEC_PER_SEC)
/* What ending may take beside polls and the store. */
#define STOP_MARGIN (5 * USEC_PER_SEC)

static int fail(const struct error *error)
{
    char text[1024];
    error_format(error, text, sizeof text);
    fprintf(stderr, "portico-frontend: %s\n", text);
    return EXIT_STATUS_FAILED;
}

static void configure_log(const struct config *config, const struct command_line *line)
{
    const struct log_settings settings = {
        .fd = STDERR_FILENO,
        .level = reload_log_level(line, config),
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

static int start(struct instance *instance, uint16_t port)
{
    struct error error = {.line = 0};
    struct address address;
    const struct config *config = instance->config;
    if (frontend_open(&instance->frontend, config, reload_wants_verbose(instance->line, config),
                      &error) < 0) {
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
    printf("portico-frontend: serving on %s\n", address_format(&address, instance->address));
    fflush(stdout);
    sd_notifyf(0, "READY=1\nSTATUS=serving on %s", instance->address);
    return EXIT_STATUS_FINE;
}

/* ---- The end ---- */

static void give_up(int signal)
{
    static const char words[] = "portico-frontend: not finished in time, giving up\n";
    (void)signal;
    ssize_t unused = write(STDERR_FILENO, words, sizeof words - 1);
    (void)unused;
    _exit(EXIT_STATUS_FAILED);
}

/* Whatever hangs: a disk, a file system. */
static void bound_stop(usec_t patience)
{
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, give_up);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm((unsigned)(patience / USEC_PER_SEC) + 1);
}

static int stop(struct instance *instance)
{
    int status = EXIT_STATUS_FINE;
    usec_t timeout = config_usec(instance->config, "Frontend.stop_timeout");
    usec_t bound = 2 * timeout + STOP_MARGIN; /* polls, then the store */
    sd_notifyf(0, "STOPPING=1\nSTATUS=finishing polls\nEXTEND_TIMEOUT_USEC=%lld", (long long)bound);
    bound_stop(bound);
    int result = server_stop(instance->server, timeout);
    if (result < 0) {
        log_error("stopped before everything was finished");
        status = EXIT_STATUS_FAILED;
    }
    if (result == -ETIMEDOUT) {
        log_limits_flush();
        _exit(status); /* threads hang: nothing can be freed */
    }
    monitor_stop(instance->monitor);
    frontend_close(&instance->frontend);
    log_limits_flush();
    return status;
}

/* ---- Meanwhile ---- */

/* Operations on the store may take as long as the busy timeout each, and more than one may be
 * needed, without anybody being stuck. */
static usec_t life_patience(const struct instance *instance)
{
    usec_t busy = 2 * config_usec(instance->config, "Datastore.busy_timeout") + STOP_MARGIN;
    return instance->watchdog > busy ? instance->watchdog : busy;
}

/* A sign of life only when there is life: systemd ends who gives none and starts another. */
static void feed_watchdog(struct instance *instance)
{
    const char *culprit = "";
    bool is_alive = health_is_alive(instance->frontend.health, life_patience(instance), &culprit);
    if (is_alive && instance->watchdog > 0) {
        sd_notify(0, "WATCHDOG=1");
    }
    if (!is_alive && instance->was_alive) {
        log_error("stuck", LOG_TEXT("who", culprit));
    }
    instance->was_alive = is_alive;
}

static void tell_status(struct instance *instance)
{
    struct frontend *frontend = &instance->frontend;
    usec_t now = clock_monotonic(frontend->clock);
    usec_t passed = now - instance->told;
    if (passed < STATUS_PERIOD) {
        return;
    }
    int64_t polls = stats_value(frontend->stats, STAT_REQUESTS);
    double rate = instance->told == 0 ? 0
                                      : (double)(polls - instance->polls_told) /
                                            ((double)passed / (double)USEC_PER_SEC);
    sd_notifyf(0, "STATUS=serving on %s: %.1f polls/s, %u in flight, %lld so far%s",
               instance->address, rate, atomic_load(&frontend->in_flight), (long long)polls,
               frontend_is_well(frontend) ? "" : "; the store is gone");
    instance->told = now;
    instance->polls_told = polls;
}

/* sd_notify(3): systemd takes the reload for begun at that time, and for done at READY. */
static void handle_hangup(struct instance *instance)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               (long long)clock_monotonic(instance->frontend.clock));
    int result = reload(&instance->frontend, instance->line, &instance->config);
    sd_notifyf(0, "READY=1\nSTATUS=serving on %s%s", instance->address,
               result < 0 ? "; the last reload failed, see the log" : "");
}

static void wait_for_end(struct instance *instance, const sigset_t *signals)
{
    uint64_t watchdog = 0;
    struct timespec rest = {.tv_sec = 1};
    if (sd_watchdog_enabled(0, &watchdog) > 0) {
        instance->watchdog = (usec_t)watchdog;
        if (watchdog / 3 < (uint64_t)USEC_PER_SEC) {
            rest = (struct timespec){.tv_nsec = (long)(watchdog / 3 * 1000)};
        }
    }
    instance->was_alive = true;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &rest);
        if (signal == SIGTERM || signal == SIGINT) {
            return;
        }
        if (signal == SIGHUP) {
            handle_hangup(instance);
        }
        log_limits_flush();
        feed_watchdog(instance);
        tell_status(instance);
    }
}

static int serve(struct config *config, const struct command_line *line, uint16_t port)
{
    static struct instance instance;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    /* Before any thread starts, so that all of them leave the signals to this one. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    configure_log(config, line);
    instance.line = line;
    instance.config = config_ref(config);
    int status = start(&instance, port);
    if (status == EXIT_STATUS_FINE) {
        wait_for_end(&instance, &signals);
        status = stop(&instance);
    } else {
        frontend_close(&instance.frontend);
    }
    config_unref(instance.config);
    return status;
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
