/* SPDX-License-Identifier: Apache-2.0 */
/* The prober's rules from the configuration. Pure. */
#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "prober.h"

/* Nothing that could end the request line or begin a field. */
static bool is_target(const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '#') {
            return false;
        }
    }
    return path[0] == '/' || path[0] == '\0';
}

int prober_rules_read(const struct config *config, struct prober_rules *rules, struct error *error)
{
    const char *path = config_str(config, "Balancer.probe_path");
    if (!is_target(path) || strlen(path) >= sizeof rules->path) {
        error_set_key(error, "Balancer.probe_path");
        return error_set(error, -EINVAL,
                         "a path begins with / and holds only visible ASCII but #, below %zu "
                         "characters; empty: connect only",
                         sizeof rules->path);
    }
    *rules = (struct prober_rules){
        .interval = config_usec(config, "Balancer.probe_interval"),
        .timeout = config_usec(config, "Balancer.probe_timeout"),
        .eject_time = config_usec(config, "Balancer.eject_time"),
        .rise = (unsigned)config_int(config, "Balancer.probe_rise"),
        .fall = (unsigned)config_int(config, "Balancer.probe_fall"),
    };
    memcpy(rules->path, path, strlen(path) + 1);
    return 0;
}
