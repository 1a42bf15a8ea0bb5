/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: whether what our programs listen on is free, or ours already. One thread. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check_report.h"
#include "config/config.h"
#include "net/port_holder.h"
#include "port_try.h"

struct listener {
    const char *what;    /* "ports of the instances" */
    const char *program; /* who is to have them */
    const char *address_key, *port_key;
    const char *address;
    struct port_range range;
};

struct census {
    unsigned vacant, ours, taken;
    unsigned kept; /* by systemd, for a service that does not run now */
    int error;     /* other than being taken; of the first port that had it */
};

static void tell_taken(struct check_report *report, const struct listener *listener, uint16_t port,
                       const struct port_holder *holder, bool is_known)
{
    char who[128] = "a program that is not shown to this user";
    if (is_known && holder->pid != 0) {
        snprintf(who, sizeof who, "%s (process %ld)", holder->name, holder->pid);
        check_report_mend(report, "stop it: kill %ld; or change %s", holder->pid,
                          listener->port_key);
    } else {
        check_report_mend(report, "find it: sudo ss -ltnp 'sport = :%u'; or change %s", port,
                          listener->port_key);
    }
    /* One port of many costs one instance. */
    bool is_one_of_many = listener->range.first != listener->range.last;
    check_report_tell(report, is_one_of_many ? FINDING_WARNING : FINDING_ERROR, "ports",
                      "port %u of %s is held by %s", port, listener->what, who);
}

/* Of portico-balancer.socket, most likely; whose port it is, its configuration cannot say. */
static bool is_kept_open(const struct listener *listener, const struct port_holder *holder)
{
    return holder->pid == 1 && strcmp(listener->program, "portico-balancer") == 0 &&
           access("/run/systemd/system", F_OK) == 0;
}

static void count_port(struct check_report *report, const struct listener *listener, uint16_t port,
                       struct census *census)
{
    struct port_holder holder = {.pid = 0};
    int r = port_try(listener->address, port);
    if (r == 0) {
        census->vacant++;
        return;
    }
    if (r != EADDRINUSE) {
        census->error = census->error == 0 ? r : census->error;
        return;
    }
    bool is_known = port_holder_find(port, &holder) > 0;
    if (is_known && strcmp(holder.name, listener->program) == 0) {
        census->ours++;
        return;
    }
    if (is_known && is_kept_open(listener, &holder)) {
        census->kept++;
        return;
    }
    census->taken++;
    tell_taken(report, listener, port, &holder, is_known);
}

static void tell_error(struct check_report *report, const struct listener *listener, int code)
{
    char words[128];
    switch (code) {
    case EADDRNOTAVAIL:
        check_report_mend(report, "choose an address of this machine (ip address), or \"::\"");
        break;
    case EACCES:
        check_report_mend(report,
                          "choose a port from 1024 on, or allow this one: sysctl "
                          "net.ipv4.ip_unprivileged_port_start=%u",
                          listener->range.first);
        break;
    case EAFNOSUPPORT:
        check_report_mend(report, "this machine has no IPv6: set %s to \"0.0.0.0\" or 127.0.0.1",
                          listener->address_key);
        break;
    default:
        check_report_mend(report, "change %s or %s", listener->address_key, listener->port_key);
    }
    check_report_tell(report, FINDING_ERROR, "ports", "%s: cannot listen on %s port %u: %s",
                      listener->what, listener->address, listener->range.first,
                      strerror_r(code, words, sizeof words));
}

static void check_listener(struct check_report *report, const struct listener *listener)
{
    struct census census = {.vacant = 0};
    unsigned first = listener->range.first;
    unsigned last = listener->range.last;
    for (unsigned port = first; port <= last && port != 0; port++) {
        count_port(report, listener, (uint16_t)port, &census);
    }
    if (census.error != 0) {
        tell_error(report, listener, census.error);
    } else if (census.kept > 0) {
        check_report_tell(report, FINDING_OK, "ports",
                          "%s: %u is kept open by systemd; systemctl list-sockets tells for whom",
                          listener->what, first);
    } else if (census.vacant + census.ours == 0 && first != last) {
        check_report_mend(report, "change %s", listener->port_key);
        check_report_tell(report, FINDING_ERROR, "ports", "%s: none of %u-%u is free",
                          listener->what, first, last);
    } else if (census.vacant + census.ours > 0 && first != last) {
        check_report_tell(report, FINDING_OK, "ports", "%s: %u-%u, %u free, %u served",
                          listener->what, first, last, census.vacant, census.ours);
    } else if (census.vacant + census.ours > 0) {
        check_report_tell(report, FINDING_OK, "ports", "%s: %u is %s", listener->what, first,
                          census.ours > 0 ? "served" : "free");
    }
}

static void check_one(struct check_report *report, const struct config *config,
                      struct listener listener)
{
    listener.address = config_str(config, listener.address_key);
    if (listener.range.first == 0) {
        listener.range.first = (uint16_t)config_int(config, listener.port_key);
        listener.range.last = listener.range.first;
    }
    if (listener.range.first != 0) {
        check_listener(report, &listener);
    }
}

void check_ports(struct check_report *report, const struct config *config)
{
    check_one(report, config,
              (struct listener){"the instances", "portico-frontend", "Frontend.bind_address",
                                "Frontend.bind_port", NULL, config_frontend_range(config)});
    check_one(report, config,
              (struct listener){"the instances' metrics", "portico-frontend",
                                "Monitoring.http_address", "Monitoring.http_port", NULL,
                                config_monitoring_range(config)});
    check_one(report, config,
              (struct listener){"the balancer",
                                "portico-balancer",
                                "Balancer.bind_address",
                                "Balancer.bind_port",
                                NULL,
                                {0, 0}});
    check_one(report, config,
              (struct listener){"the balancer's TLS",
                                "portico-balancer",
                                "Balancer.bind_address",
                                "Balancer.tls_bind_port",
                                NULL,
                                {0, 0}});
    check_one(report, config,
              (struct listener){"the balancer's administration",
                                "portico-balancer",
                                "Balancer.admin_address",
                                "Balancer.admin_port",
                                NULL,
                                {0, 0}});
}
