/* SPDX-License-Identifier: Apache-2.0 */
/* From options to numbers. The control thread makes rules, workers read them. */
#include "rules.h"

#include <errno.h>
#include <stdlib.h>

/* Each is compared with each peer that says something about others. */
enum { TRUSTED_MAX = 4096 };

static int read_trusted(struct rules *rules, const struct config *config, struct error *error)
{
    struct option_list list = config_list(config, "Balancer.trusted_proxies");
    if (list.count == 0) {
        return 0;
    }
    if (list.count > TRUSTED_MAX) {
        return error_set(error, -EINVAL, "Balancer.trusted_proxies has more than %d entries",
                         TRUSTED_MAX);
    }
    struct network *networks = calloc(list.count, sizeof *networks);
    if (networks == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot keep Balancer.trusted_proxies");
    }
    rules->trusted = networks;
    for (; rules->trusted_count < list.count; rules->trusted_count++) {
        int code = network_parse(str_from(list.items[rules->trusted_count]),
                                 &networks[rules->trusted_count], error);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static void read_limits(struct rules *rules, const struct config *config)
{
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.head_bytes = (uint32_t)config_size(config, "Balancer.max_head");
    limits.target_bytes = (uint32_t)config_size(config, "Balancer.max_target");
    limits.fields = (uint32_t)config_int(config, "Balancer.max_fields");
    rules->request_limits = rules->response_limits = limits;
    rules->buffer_bytes = config_size(config, "Balancer.buffer");
    rules->max_body_bytes = config_size(config, "Balancer.max_body");
    if (rules->max_body_bytes == 0) {
        rules->max_body_bytes = UINT64_MAX;
    }
    rules->body_min_rate = config_size(config, "Balancer.body_min_rate");
    rules->default_host = str_from(config_str(config, "Balancer.default_host"));
    rules->logs_access = config_str(config, "Balancer.access_log")[0] != '\0';
    rules->proxy_protocol = config_bool(config, "Balancer.proxy_protocol");
}

static void read_times(struct rules *rules, const struct config *config)
{
    rules->first_byte = config_usec(config, "Balancer.first_byte_timeout");
    rules->head = config_usec(config, "Balancer.head_timeout");
    rules->body = config_usec(config, "Balancer.body_timeout");
    rules->tls = config_usec(config, "Balancer.tls_timeout");
    rules->queue = config_usec(config, "Balancer.queue_timeout");
    rules->connect = config_usec(config, "Balancer.connect_timeout");
    rules->response = config_usec(config, "Balancer.response_timeout");
    rules->write = config_usec(config, "Balancer.write_timeout");
    rules->idle = config_usec(config, "Balancer.idle_timeout");
    rules->drain = config_usec(config, "Balancer.drain_timeout");
    rules->member_idle = config_usec(config, "Balancer.member_idle_timeout");
    rules->retry_after = config_usec(config, "Balancer.retry_after");
    rules->refusal_delay = config_usec(config, "Balancer.refusal_delay");
    rules->eject = config_usec(config, "Balancer.eject_time");
}

static unsigned count_of(const struct config *config, const char *key)
{
    return (unsigned)config_int(config, key);
}

static void read_counts(struct rules *rules, const struct config *config)
{
    rules->max_connections = count_of(config, "Balancer.max_connections");
    rules->max_connections_per_address = count_of(config, "Balancer.max_connections_per_address");
    rules->member_in_flight = count_of(config, "Balancer.member_in_flight");
    rules->member_idle_connections = count_of(config, "Balancer.member_idle_connections");
    rules->queue_size = count_of(config, "Balancer.queue_size");
    rules->eject_failures = count_of(config, "Balancer.eject_failures");
}

struct rules *rules_new(struct config *config, struct error *error)
{
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL) {
        error_set_errno(error, -ENOMEM, "cannot read the balancer's rules");
        return NULL;
    }
    atomic_init(&rules->refs, 1);
    rules->config = config_ref(config);
    rules->repeat_paths = config_list(config, "Balancer.repeat_paths");
    read_limits(rules, config);
    read_times(rules, config);
    read_counts(rules, config);
    if (read_trusted(rules, config, error) < 0) {
        rules_unref(rules);
        return NULL;
    }
    return rules;
}

struct rules *rules_ref(struct rules *rules)
{
    atomic_fetch_add_explicit(&rules->refs, 1, memory_order_relaxed);
    return rules;
}

void rules_unref(struct rules *rules)
{
    if (rules != NULL && atomic_fetch_sub_explicit(&rules->refs, 1, memory_order_acq_rel) == 1) {
        config_unref(rules->config);
        free(rules->trusted);
        free(rules);
    }
}

bool rules_trust(const struct rules *rules, const struct ip *ip)
{
    for (size_t i = 0; i < rules->trusted_count; i++) {
        if (network_contains(&rules->trusted[i], ip)) {
            return true;
        }
    }
    return false;
}

/* "/prefix/control" ends in "/control"; "/mycontrol" does not. */
static bool path_ends_in(struct str path, struct str end)
{
    if (end.len == 0 || !str_ends_with(path, end)) {
        return false;
    }
    return end.data[0] == '/' || path.len == end.len || path.data[path.len - end.len - 1] == '/';
}

bool rules_may_repeat(const struct rules *rules, enum http1_method method, struct str target)
{
    switch (method) {
    case HTTP1_GET:
    case HTTP1_HEAD:
    case HTTP1_PUT:
    case HTTP1_DELETE:
    case HTTP1_OPTIONS:
        return true;
    default:
        break;
    }
    struct str path = str_first(target, str_find(target, '?'));
    for (size_t i = 0; i < rules->repeat_paths.count; i++) {
        if (path_ends_in(path, str_from(rules->repeat_paths.items[i]))) {
            return true;
        }
    }
    return false;
}
