/* SPDX-License-Identifier: Apache-2.0 */
/* Planning a run. */
#include "run_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "net/port_holder.h"
#include "operation.h"
#include "port_try.h"

enum { ARGUMENTS_ADDED = 12 };

/* ---- Programs ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* Beside this very program, as it lies in a build tree or an installation. */
static bool find_beside(const char *name, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    while (len > 0 && self[len - 1] != '/') {
        len--;
    }
    int needed = len <= 0 ? -1 : snprintf(path, PATH_MAX, "%.*s%s", (int)len, self, name);
    return needed > 0 && needed < PATH_MAX && is_program(path);
}

static bool find_on_path(const char *name, char path[PATH_MAX])
{
    struct str rest = str_from(getenv("PATH"));
    struct str directory;
    while (rest.data != NULL && str_split(&rest, ':', &directory)) {
        int needed = snprintf(path, PATH_MAX, "%.*s/%s", STR_ARG(directory), name);
        if (directory.len > 0 && needed < PATH_MAX && is_program(path)) {
            return true;
        }
    }
    return false;
}

static int find_program(const struct operation *operation, const char *name, char path[PATH_MAX])
{
    return find_beside(name, path) || find_on_path(name, path)
               ? 0
               : operation_fail(operation,
                                "there is no %s beside this program, nor on the PATH: install it, "
                                "or build it",
                                name);
}

/* ---- How many ---- */

static int count_frontends(const struct operation *operation, unsigned *count)
{
    struct port_range range = config_frontend_range(operation->config);
    unsigned size = (unsigned)(range.last - range.first) + 1;
    const char *text = command_line_flag(operation->line, "instances");
    uint64_t wanted = size;
    if (text != NULL && (str_to_uint64(str_from(text), &wanted) < 0 || wanted == 0)) {
        return operation_misuse(operation, "-n wants a number from 1 on, not \"%s\"", text);
    }
    if (wanted > size) {
        return operation_misuse(operation,
                                "-n %s: the range has %u port%s (Frontend.bind_port %u, "
                                "Frontend.port_max %u); widen it with -p Frontend.port_max=...",
                                text == NULL ? "" : text, size, size == 1 ? "" : "s", range.first,
                                range.last);
    }
    if (wanted > RUN_FRONTENDS_MAX) {
        return operation_misuse(operation,
                                "the range has %u ports; choose with -n how many, up to %d", size,
                                RUN_FRONTENDS_MAX);
    }
    *count = (unsigned)wanted;
    return 0;
}

/* ---- Arguments ---- */

/* Where to ask a frontend that listens on `host`. */
static void choose_address(const char *host, uint16_t port, struct address *address)
{
    struct ip ip;
    static const struct ip any = {{0}};
    if (address_from_host(str_from(host), port, address, NULL) < 0 ||
        !address_to_ip(address, &ip)) {
        return;
    }
    bool is_any = memcmp(&ip, &any, sizeof ip) == 0 || strcmp(host, "0.0.0.0") == 0;
    if (is_any && address_from_host(STR("127.0.0.1"), port, address, NULL) < 0) {
        address->len = 0; /* cannot be: it is a constant */
    }
}

static void plan_metrics(const struct operation *operation, struct run_child *child, unsigned i)
{
    struct port_range metrics = config_monitoring_range(operation->config);
    if (metrics.first == 0 || metrics.first + i > metrics.last) {
        return;
    }
    /* A port of its own, so that it is the same one after a restart. */
    child->metrics_port = (uint16_t)(metrics.first + i);
    snprintf(child->metrics_first, sizeof child->metrics_first, "Monitoring.http_port=%u",
             child->metrics_port);
    snprintf(child->metrics_last, sizeof child->metrics_last, "Monitoring.http_port_max=%u",
             child->metrics_port);
}

/* On a terminal people read; through our pipe the programs cannot see that. */
static bool wants_human_log(const struct operation *operation)
{
    return isatty(fileno(operation->out)) &&
           config_enum(operation->config, "Logging.format") == LOG_FORMAT_AUTO;
}

static int plan_arguments(const struct operation *operation, const char *program, bool is_frontend,
                          struct run_child *child)
{
    size_t passed = command_line_pass_on(operation->line, NULL, 0);
    const char **arguments = calloc(passed + ARGUMENTS_ADDED, sizeof *arguments);
    size_t n = 0;
    if (arguments == NULL) {
        return operation_fail(operation, "out of memory");
    }
    arguments[n++] = program;
    n += command_line_pass_on(operation->line, arguments + n, passed);
    if (wants_human_log(operation)) {
        arguments[n++] = "--parameter";
        arguments[n++] = "Logging.format=human";
    }
    if (is_frontend) {
        arguments[n++] = "--port";
        arguments[n++] = child->port_text;
    }
    if (child->metrics_port != 0) {
        arguments[n++] = "--parameter";
        arguments[n++] = child->metrics_first;
        arguments[n++] = "--parameter";
        arguments[n++] = child->metrics_last;
    }
    child->arguments = arguments;
    return 0;
}

static int plan_frontend(const struct operation *operation, struct run_plan *plan, unsigned i)
{
    struct run_child *child = &plan->children[i];
    struct port_range range = config_frontend_range(operation->config);
    child->port = (uint16_t)(range.first + i);
    snprintf(child->name, sizeof child->name, "frontend:%u", child->port);
    snprintf(child->port_text, sizeof child->port_text, "%u", child->port);
    choose_address(config_str(operation->config, "Frontend.bind_address"), child->port,
                   &child->address);
    plan_metrics(operation, child, i);
    return plan_arguments(operation, plan->frontend_program, true, child);
}

static int plan_balancer(const struct operation *operation, struct run_plan *plan)
{
    struct run_child *child = &plan->children[plan->frontends];
    child->port = (uint16_t)config_int(operation->config, "Balancer.bind_port");
    snprintf(child->name, sizeof child->name, "balancer");
    return plan_arguments(operation, plan->balancer_program, false, child);
}

int run_plan_make(const struct operation *operation, struct run_plan *plan)
{
    *plan = (struct run_plan){.frontends = 0};
    unsigned count = 0;
    int status = count_frontends(operation, &count);
    status =
        status != 0 ? status : find_program(operation, "portico-frontend", plan->frontend_program);
    status =
        status != 0 ? status : find_program(operation, "portico-balancer", plan->balancer_program);
    if (status != 0) {
        return status;
    }
    plan->children = calloc(count + 1, sizeof *plan->children);
    plan->names = calloc(count + 1, sizeof *plan->names);
    if (plan->children == NULL || plan->names == NULL) {
        return operation_fail(operation, "out of memory");
    }
    plan->frontends = count;
    for (unsigned i = 0; i <= count; i++) {
        plan->names[i] = plan->children[i].name;
        status = i < count ? plan_frontend(operation, plan, i) : plan_balancer(operation, plan);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

void run_plan_done(struct run_plan *plan)
{
    for (unsigned i = 0; plan->children != NULL && i <= plan->frontends; i++) {
        free(plan->children[i].arguments);
    }
    free(plan->children);
    free(plan->names);
}

/* ---- Ports ---- */

static int refuse_port(const struct operation *operation, const char *name, const char *host,
                       uint16_t port, int code)
{
    struct port_holder holder;
    char words[128];
    if (code != EADDRINUSE) {
        return operation_fail(operation, "%s cannot listen on %s port %u: %s", name, host, port,
                              strerror_r(code, words, sizeof words));
    }
    if (port_holder_find(port, &holder) > 0 && holder.pid != 0) {
        return operation_fail(operation, "port %u, which %s needs, is held by %s (process %ld)",
                              port, name, holder.name, holder.pid);
    }
    return operation_fail(
        operation,
        "port %u, which %s needs, is held by a program that this user may not see "
        "(sudo ss -ltnp 'sport = :%u' tells)",
        port, name, port);
}

static int check_port(const struct operation *operation, const char *name, const char *address_key,
                      uint16_t port)
{
    const char *host = config_str(operation->config, address_key);
    int code = port == 0 ? 0 : port_try(host, port);
    return code == 0 ? 0 : refuse_port(operation, name, host, port, code);
}

static int worse(int status, int other)
{
    return status != 0 ? status : other;
}

int run_plan_check_ports(const struct operation *operation, const struct run_plan *plan)
{
    const struct config *config = operation->config;
    int status = 0;
    for (unsigned i = 0; i < plan->frontends; i++) {
        const struct run_child *child = &plan->children[i];
        status =
            worse(status, check_port(operation, child->name, "Frontend.bind_address", child->port));
    }
    status = worse(status, check_port(operation, "the balancer", "Balancer.bind_address",
                                      (uint16_t)config_int(config, "Balancer.bind_port")));
    status = worse(status, check_port(operation, "the balancer's TLS", "Balancer.bind_address",
                                      (uint16_t)config_int(config, "Balancer.tls_bind_port")));
    status = worse(status,
                   check_port(operation, "the balancer's administration", "Balancer.admin_address",
                              (uint16_t)config_int(config, "Balancer.admin_port")));
    if (status != 0) {
        fputs("    hint: stop them, or choose other ports: -p Frontend.bind_port=... "
              "-p Frontend.port_max=...\n"
              "    -p Balancer.bind_port=... -p Balancer.admin_port=...\n",
              operation->err);
    }
    return status;
}
