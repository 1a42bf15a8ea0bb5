/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: whether what our programs listen on is free, or ours already. One thread. */
#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "check.h"
#include "config/config.h"
#include "net/port_holder.h"
#include "port_try.h"

enum { ENTRY_BYTES = 16 * 1024 };

struct listener {
    const char *what;    /* "ports of the instances" */
    const char *program; /* who is to have them */
    const char *address_key, *port_key;
    const char *socket; /* systemd's unit that may hold them; NULL: none */
    const char *address;
    struct port_range range;
    unsigned long long needed; /* open files, of who listens there; 0: told elsewhere */
};

struct census {
    unsigned vacant, ours, taken, hidden;
    unsigned kept; /* of ours: by systemd, for a service that does not run now */
    uint16_t first_hidden;
    unsigned hidden_uid;
    int error; /* other than being taken; of the first port that had it */
};

static const char *name_user(unsigned uid, char text[CHECK_USER_SIZE])
{
    char entry[ENTRY_BYTES];
    struct passwd user;
    struct passwd *found = NULL;
    (void)getpwuid_r(uid, &user, entry, sizeof entry, &found);
    if (found != NULL) {
        snprintf(text, CHECK_USER_SIZE, "%s", user.pw_name);
    } else {
        snprintf(text, CHECK_USER_SIZE, "%u", uid);
    }
    return text;
}

static void tell_taken(struct check_report *report, const struct listener *listener, uint16_t port,
                       const struct port_holder *holder, bool is_known)
{
    char who[256] = "a program that is not shown to this user";
    if (is_known && holder->pid != 0) {
        char user[CHECK_USER_SIZE];
        snprintf(who, sizeof who, "%s (process %ld) of user %s", holder->name, holder->pid,
                 name_user(holder->uid, user));
        check_report_mend(report, "stop it: kill %ld; or change %s", holder->pid,
                          listener->port_key);
    } else {
        check_report_mend(report, "find it: sudo ss -ltnp 'sport = :%u'; or change %s", port,
                          listener->port_key);
    }
    /* One port of many costs one instance. */
    bool is_one_of_many = listener->range.first != listener->range.last;
    check_report_tell(report, is_one_of_many ? FINDING_WARNING : FINDING_PROBLEM, "ports",
                      "port %u of %s is held by %s", port, listener->what, who);
}

/* systemd holds the balancer's port for it, and passes it on. */
static bool is_ours(const struct listener *listener, const struct port_holder *holder)
{
    return strcmp(holder->name, listener->program) == 0 ||
           (holder->pid == 1 && listener->socket != NULL);
}

static void count_port(struct check_report *report, const struct check_scene *scene,
                       const struct listener *listener, uint16_t port, struct census *census)
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
    if (is_known && holder.pid != 0 && is_ours(listener, &holder)) {
        census->ours++;
        census->kept += holder.pid == 1;
        if (listener->needed > 0 && holder.pid != 1) {
            check_process(report, scene, holder.pid, holder.name, listener->needed);
        }
    } else if (is_known && holder.pid == 0 && !scene->is_root) {
        census->first_hidden = census->hidden++ == 0 ? port : census->first_hidden;
        census->hidden_uid = holder.uid;
    } else {
        census->taken++;
        tell_taken(report, listener, port, &holder, is_known);
    }
}

static void tell_hidden(struct check_report *report, const struct listener *listener,
                        const struct census *census)
{
    char user[CHECK_USER_SIZE];
    check_report_tell(report, FINDING_UNSEEN, "ports",
                      "%s: %u of the ports %u-%u (%u first) %s held by user %s; by which program "
                      "was not looked at: needs root",
                      listener->what, census->hidden, listener->range.first, listener->range.last,
                      census->first_hidden, census->hidden == 1 ? "is" : "are",
                      name_user(census->hidden_uid, user));
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
    check_report_tell(report, FINDING_PROBLEM, "ports", "%s: cannot listen on %s port %u: %s",
                      listener->what, listener->address, listener->range.first,
                      strerror_r(code, words, sizeof words));
}

static void check_listener(struct check_report *report, const struct check_scene *scene,
                           const struct listener *listener)
{
    struct census census = {.vacant = 0};
    unsigned first = listener->range.first;
    unsigned last = listener->range.last;
    for (unsigned port = first; port <= last && port != 0; port++) {
        count_port(report, scene, listener, (uint16_t)port, &census);
    }
    if (census.hidden > 0) {
        tell_hidden(report, listener, &census);
    }
    if (census.error != 0) {
        tell_error(report, listener, census.error);
    } else if (census.kept > 0) {
        check_report_tell(report, FINDING_OK, "ports",
                          "%s: %u is kept open by systemd; systemctl list-sockets tells for whom",
                          listener->what, first);
    } else if (census.vacant + census.ours + census.hidden == 0 && first != last) {
        check_report_mend(report, "change %s", listener->port_key);
        check_report_tell(report, FINDING_PROBLEM, "ports", "%s: none of %u-%u is free",
                          listener->what, first, last);
    } else if (census.vacant + census.ours > 0 && first != last) {
        check_report_tell(report, FINDING_OK, "ports", "%s: %u-%u, %u free, %u served",
                          listener->what, first, last, census.vacant, census.ours);
    } else if (census.vacant + census.ours > 0) {
        check_report_tell(report, FINDING_OK, "ports", "%s: %u is %s", listener->what, first,
                          census.ours > 0 ? "served" : "free");
    }
}

static void check_one(struct check_report *report, const struct check_scene *scene,
                      struct listener listener)
{
    listener.address = config_str(scene->config, listener.address_key);
    if (listener.range.first == 0) {
        listener.range.first = (uint16_t)config_int(scene->config, listener.port_key);
        listener.range.last = listener.range.first;
    }
    if (listener.range.first != 0) {
        check_listener(report, scene, &listener);
    }
}

void check_ports(struct check_report *report, const struct check_scene *scene)
{
    char sum[CHECK_SUM_SIZE];
    check_one(report, scene,
              (struct listener){.what = "the instances",
                                .program = "portico-frontend",
                                .address_key = "Frontend.bind_address",
                                .port_key = "Frontend.bind_port",
                                .range = config_frontend_range(scene->config),
                                .needed = check_frontend_needs(scene->config, sum)});
    check_one(report, scene,
              (struct listener){.what = "the instances' metrics",
                                .program = "portico-frontend",
                                .address_key = "Monitoring.http_address",
                                .port_key = "Monitoring.http_port",
                                .range = config_monitoring_range(scene->config)});
    check_one(report, scene,
              (struct listener){.what = "the balancer",
                                .program = "portico-balancer",
                                .address_key = "Balancer.bind_address",
                                .port_key = "Balancer.bind_port",
                                .socket = "portico-balancer.socket",
                                .needed = check_balancer_needs(scene->config, sum)});
    check_one(report, scene,
              (struct listener){.what = "the balancer's TLS",
                                .program = "portico-balancer",
                                .address_key = "Balancer.bind_address",
                                .port_key = "Balancer.tls_bind_port",
                                .socket = "portico-balancer.socket"});
    check_one(report, scene,
              (struct listener){.what = "the balancer's administration",
                                .program = "portico-balancer",
                                .address_key = "Balancer.admin_address",
                                .port_key = "Balancer.admin_port"});
}
