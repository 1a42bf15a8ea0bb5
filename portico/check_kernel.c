/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: the kernel's limits for networking, and the clock. One thread. */
#include <string.h>

#include "check.h"
#include "config/config.h"
#include "table.h"

enum {
    BACKLOG = 4096, /* what our listeners ask for */
    SYN_BACKLOG = 1024,
    /* 2025-01-01: before that there was no such program. */
    EARLIEST_SECONDS = 1735689600,
};

/* Agents' packets carry times, and certificates end before this: 2100-01-01. */
#define LATEST_SECONDS INT64_C(4102444800)

/* ---- The network ---- */

static void tell_sysctl(struct check_report *report, bool is_enough, const char *name,
                        unsigned long long value, unsigned long long wanted, const char *why)
{
    if (!is_enough) {
        check_report_why(report, "%s", why);
        check_report_mend(report, "sysctl -w %s=%llu, and put it into /etc/sysctl.d/portico.conf",
                          name, wanted);
    }
    check_report_tell(report, is_enough ? FINDING_OK : FINDING_WARNING, "kernel",
                      "%s is %llu; %llu are wanted", name, value, wanted);
}

static void check_queues(struct check_report *report, const struct check_scene *scene)
{
    unsigned long long value;
    unsigned long long cookies = 0;
    if (check_read_number(scene, "/proc/sys/net/core/somaxconn", &value)) {
        tell_sysctl(report, value >= BACKLOG, "net.core.somaxconn", value, BACKLOG,
                    "connections that come together beyond it wait for a second, or are lost");
    } else {
        check_report_tell(report, FINDING_UNSEEN, "kernel", "net.core.somaxconn: not visible here");
    }
    if (check_read_number(scene, "/proc/sys/net/ipv4/tcp_max_syn_backlog", &value)) {
        bool has_cookies = check_read_number(scene, "/proc/sys/net/ipv4/tcp_syncookies", &cookies);
        tell_sysctl(report, value >= SYN_BACKLOG || (has_cookies && cookies > 0),
                    "net.ipv4.tcp_max_syn_backlog", value, SYN_BACKLOG,
                    "without syncookies, connections beyond it are lost while they are made");
    }
}

static bool read_local_ports(const struct check_scene *scene, unsigned *first, unsigned *last)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/sys/net/ipv4/ip_local_port_range", scene->root);
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && fscanf(file, "%u %u", first, last) == 2 && *first <= *last;
    if (file != NULL) {
        fclose(file);
    }
    return is_read;
}

/* "8080,9000-9100" */
static bool is_reserved(const struct check_scene *scene, unsigned first, unsigned last)
{
    char path[PATH_MAX];
    char line[4096] = "";
    struct str rest;
    struct str part;
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/sys/net/ipv4/ip_local_reserved_ports", scene->root);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        line[0] = '\0';
    }
    if (file != NULL) {
        fclose(file);
    }
    rest = str_trim(str_from(line));
    while (rest.len > 0 && str_split(&rest, ',', &part)) {
        uint64_t from = 0;
        uint64_t to = 0;
        size_t dash = str_find(part, '-');
        bool is_number = str_to_uint64(str_first(part, dash), &from) == 0;
        bool is_range = dash < part.len && str_to_uint64(str_skip(part, dash + 1), &to) == 0;
        found = found || (is_number && from <= first && (is_range ? to : from) >= last);
    }
    return found;
}

/* Connections that this machine opens take local ports, which then cannot be listened on. */
static void check_overlap(struct check_report *report, const struct check_scene *scene,
                          unsigned local_first, unsigned local_last)
{
    struct port_range range = config_frontend_range(scene->config);
    if (range.last < local_first || range.first > local_last ||
        is_reserved(scene, range.first, range.last)) {
        return;
    }
    check_report_why(report, "any outgoing connection may take one before its instance does");
    check_report_mend(report,
                      "sysctl -w net.ipv4.ip_local_reserved_ports=%u-%u, and put it into "
                      "/etc/sysctl.d/portico.conf",
                      range.first, range.last);
    check_report_tell(
        report, FINDING_WARNING, "kernel",
        "the ports of the instances, %u-%u, are among those for outgoing connections, "
        "%u-%u",
        range.first, range.last, local_first, local_last);
}

static void check_local_ports(struct check_report *report, const struct check_scene *scene)
{
    unsigned first = 0;
    unsigned last = 0;
    if (!read_local_ports(scene, &first, &last)) {
        check_report_tell(report, FINDING_UNSEEN, "kernel",
                          "net.ipv4.ip_local_port_range: not visible here");
        return;
    }
    /* To each member anew: a connection is known by both ends. */
    unsigned long long here = last - first + 1ULL;
    unsigned long long flying =
        (unsigned long long)config_int(scene->config, "Balancer.member_in_flight");
    unsigned long long kept =
        (unsigned long long)config_int(scene->config, "Balancer.member_idle_connections");
    unsigned long long needed = flying + 64 * kept; /* workers, on a large machine */
    if (here < needed) {
        check_report_why(report, "the balancer cannot open more connections to a member");
        check_report_mend(report, "sysctl -w net.ipv4.ip_local_port_range='16384 60999', and put "
                                  "it into /etc/sysctl.d/portico.conf");
    }
    check_report_tell(report, here < needed ? FINDING_WARNING : FINDING_OK, "kernel",
                      "net.ipv4.ip_local_port_range has %llu ports; %llu connections to one member "
                      "are the most",
                      here, needed);
    check_overlap(report, scene, first, last);
}

/* Only when the module is there; without it nothing is tracked. */
static void check_tracking(struct check_report *report, const struct check_scene *scene)
{
    unsigned long long most;
    unsigned long long now = 0;
    if (!check_read_number(scene, "/proc/sys/net/netfilter/nf_conntrack_max", &most)) {
        return;
    }
    bool is_known = check_read_number(scene, "/proc/sys/net/netfilter/nf_conntrack_count", &now);
    unsigned long long needed =
        2 * (unsigned long long)config_int(scene->config, "Balancer.max_connections");
    bool is_full = is_known && now > most - most / 5;
    if (is_full || most < needed) {
        check_report_why(report, "packets of connections beyond it are dropped");
        check_report_mend(report,
                          "sysctl -w net.netfilter.nf_conntrack_max=%llu, and put it into "
                          "/etc/sysctl.d/portico.conf",
                          needed > 2 * most ? needed : 2 * most);
    }
    check_report_tell(report,
                      is_full         ? FINDING_PROBLEM
                      : most < needed ? FINDING_WARNING
                                      : FINDING_OK,
                      "kernel",
                      "nf_conntrack_max is %llu, %llu are in use; %llu are wanted (2 x "
                      "Balancer.max_connections)",
                      most, now, needed);
}

void check_kernel(struct check_report *report, const struct check_scene *scene)
{
    check_queues(report, scene);
    check_local_ports(report, scene);
    check_tracking(report, scene);
}

/* ---- The clock ---- */

/* Containers and some virtual machines are not told, so this is no problem. */
static bool is_synchronised(const struct check_scene *scene)
{
    struct timex state = {.modes = 0};
    int r = scene->adjust(&state);
    return r >= 0 && r != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

void check_clock(struct check_report *report, const struct check_scene *scene)
{
    char text[TIME_TEXT_SIZE];
    usec_t now = clock_wall(scene->clock);
    if (now < EARLIEST_SECONDS * USEC_PER_SEC || now > LATEST_SECONDS * USEC_PER_SEC) {
        check_report_why(report, "agents' packets and certificates count as too old or too new");
        check_report_mend(report, "timedatectl set-ntp true");
        check_report_tell(report, FINDING_PROBLEM, "clock", "it is %s, says this machine",
                          time_format(now, text));
    } else if (!is_synchronised(scene)) {
        check_report_why(report, "packets count by their time; a clock that runs away makes agents "
                                 "look old");
        check_report_mend(report, "timedatectl set-ntp true");
        check_report_tell(report, FINDING_WARNING, "clock",
                          "it is %s, but nothing keeps the clock right", time_format(now, text));
    } else {
        check_report_tell(report, FINDING_OK, "clock", "it is %s, kept right by a time service",
                          time_format(now, text));
    }
}
