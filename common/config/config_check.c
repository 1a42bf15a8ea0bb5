/* SPDX-License-Identifier: Apache-2.0 */
/* Checks over several options. What an option says wrongly by itself was reported before and is
 * left out here. Runs on the thread that loads. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config_internal.h"
#include "config/key_check.h"

#define ENGINE "SqliteDataStore"

struct checker {
    const struct config *config;
    struct problems *problems;
};

/* Used by this program and free of problems, so that it can be asked for. */
static bool is_usable(const struct checker *checker, const char *key)
{
    const struct evaluated *evaluated = config_evaluated(checker->config, key);
    return evaluated->is_used && !evaluated->is_broken;
}

static bool is_usable_and_set(const struct checker *checker, const char *key)
{
    return is_usable(checker, key) && config_is_set(checker->config, key);
}

/* Where a person would look: the option that a file or -p sets, the first if both. */
static struct place place_of(const struct checker *checker, const char *key, const char *other)
{
    struct place place = config_evaluated(checker->config, key)->place;
    return place.source != NULL ? place : config_evaluated(checker->config, other)->place;
}

static void check_range(const struct checker *checker, const char *first, const char *last)
{
    if (!is_usable_and_set(checker, first) || !is_usable_and_set(checker, last)) {
        return;
    }
    int64_t low = config_int(checker->config, first);
    int64_t high = config_int(checker->config, last);
    if (low != 0 && high < low) {
        problem_add(checker->problems, SEVERITY_ERROR, place_of(checker, last, first),
                    "it is the last port of the range", "%s %lld is below %s %lld", last,
                    (long long)high, first, (long long)low);
    }
}

/* What one program of this machine listens on. */
struct listener {
    const char *what;
    const char *key; /* of its port */
    const char *address;
    unsigned first, last;
};

enum { LISTENERS_MAX = 5 };

static bool is_wildcard(const char *address)
{
    return strcmp(address, "::") == 0 || strcmp(address, "0.0.0.0") == 0;
}

static bool is_ipv4(const char *address)
{
    return strchr(address, ':') == NULL;
}

/* :: takes IPv4 as well, so it meets everything. */
static bool addresses_meet(const char *a, const char *b)
{
    unsigned char x[16];
    unsigned char y[16];
    if (strcmp(a, "::") == 0 || strcmp(b, "::") == 0) {
        return true;
    }
    if (is_ipv4(a) != is_ipv4(b)) {
        return false;
    }
    int family = is_ipv4(a) ? AF_INET : AF_INET6;
    return is_wildcard(a) || is_wildcard(b) ||
           (inet_pton(family, a, x) == 1 && inet_pton(family, b, y) == 1 &&
            memcmp(x, y, family == AF_INET ? 4 : 16) == 0);
}

static void add_listener(const struct checker *checker, struct listener *listeners, size_t *count,
                         const char *what, const char *address_key, const char *port_key)
{
    const struct config *config = checker->config;
    if (!is_usable(checker, address_key) || !is_usable_and_set(checker, port_key) ||
        config_int(config, port_key) == 0) {
        return;
    }
    unsigned port = (unsigned)config_int(config, port_key);
    listeners[(*count)++] =
        (struct listener){what, port_key, config_str(config, address_key), port, port};
}

static void set_range(struct listener *listeners, size_t count, const char *key,
                      struct port_range range)
{
    if (count > 0 && strcmp(listeners[count - 1].key, key) == 0 && range.last >= range.first) {
        listeners[count - 1].last = range.last;
    }
}

/* When no member is on this machine, its ports are free for the balancer. */
static bool has_local_member(const struct checker *checker)
{
    if (!is_usable(checker, "Balancer.hosts")) {
        return true;
    }
    struct option_list hosts = config_list(checker->config, "Balancer.hosts");
    for (size_t i = 0; i < hosts.count; i++) {
        if (strcmp(hosts.items[i], "localhost") == 0 || strcmp(hosts.items[i], "::1") == 0 ||
            strncmp(hosts.items[i], "127.", 4) == 0) {
            return true;
        }
    }
    return hosts.count == 0;
}

static size_t list_listeners(const struct checker *checker, struct listener *listeners)
{
    size_t count = 0;
    bool has_range =
        is_usable(checker, "Frontend.bind_port") && is_usable(checker, "Frontend.port_max");
    if (has_range && has_local_member(checker)) {
        add_listener(checker, listeners, &count, "the instances", "Frontend.bind_address",
                     "Frontend.bind_port");
        set_range(listeners, count, "Frontend.bind_port", config_frontend_range(checker->config));
        add_listener(checker, listeners, &count, "the instances' metrics",
                     "Monitoring.http_address", "Monitoring.http_port");
        if (is_usable(checker, "Monitoring.http_port") &&
            is_usable(checker, "Monitoring.http_port_max")) {
            set_range(listeners, count, "Monitoring.http_port",
                      config_monitoring_range(checker->config));
        }
    }
    add_listener(checker, listeners, &count, "the balancer", "Balancer.bind_address",
                 "Balancer.bind_port");
    add_listener(checker, listeners, &count, "the balancer's TLS", "Balancer.bind_address",
                 "Balancer.tls_bind_port");
    add_listener(checker, listeners, &count, "the balancer's administration",
                 "Balancer.admin_address", "Balancer.admin_port");
    return count;
}

static void describe(const struct listener *listener, char *out, size_t size)
{
    if (listener->first == listener->last) {
        snprintf(out, size, "%s (port %u)", listener->what, listener->first);
    } else {
        snprintf(out, size, "%s (ports %u-%u)", listener->what, listener->first, listener->last);
    }
}

static void check_listeners(const struct checker *checker)
{
    struct listener listeners[LISTENERS_MAX];
    size_t count = list_listeners(checker, listeners);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            const struct listener *a = &listeners[i];
            const struct listener *b = &listeners[j];
            if (a->first > b->last || b->first > a->last ||
                !addresses_meet(a->address, b->address)) {
                continue;
            }
            char one[96];
            char two[96];
            describe(a, one, sizeof one);
            describe(b, two, sizeof two);
            problem_add(checker->problems, SEVERITY_ERROR, place_of(checker, b->key, a->key),
                        "each port can be listened on once", "%s and %s overlap", two, one);
        }
    }
}

/* True when the certificate is there and fine. */
static bool check_certificate(const struct checker *checker, const char *key, bool wants_one_name)
{
    struct error error;
    if (!is_usable_and_set(checker, key)) {
        return false;
    }
    const char *pem = config_str(checker->config, key);
    int code = key_check_certificate(pem, &error);
    if (code == 0 && wants_one_name) {
        code = key_check_common_name(pem, &error);
    }
    if (code < 0) {
        problem_add(checker->problems, SEVERITY_ERROR,
                    config_evaluated(checker->config, key)->place, NULL, "%s: %s", key,
                    error.message);
    }
    return code == 0;
}

static bool check_key(const struct checker *checker, const char *key)
{
    struct error error;
    if (!is_usable_and_set(checker, key)) {
        return false;
    }
    int code = key_check(config_str(checker->config, key), &error);
    if (code < 0) {
        problem_add(checker->problems, SEVERITY_ERROR,
                    config_evaluated(checker->config, key)->place,
                    code == -EACCES ? "write it without passphrase: openssl pkey -in FILE" : NULL,
                    "%s: %s", key, error.message);
    }
    return code == 0;
}

static void check_pair(const struct checker *checker, const char *certificate, const char *key,
                       bool wants_one_name)
{
    struct error error;
    bool has_certificate = check_certificate(checker, certificate, wants_one_name);
    bool has_key = check_key(checker, key);
    if (has_certificate && has_key &&
        key_check_pair(config_str(checker->config, certificate), config_str(checker->config, key),
                       &error) < 0) {
        problem_add(checker->problems, SEVERITY_ERROR, place_of(checker, key, certificate),
                    "take both from the same place", "%s does not belong to %s", key, certificate);
    }
}

/* Old files name engines that GRR had; later GRR ignored the option. Neither reason to refuse a
 * file that served for years, nor to keep silent about where its data will be. */
static void check_engine(const struct checker *checker)
{
    const char *key = "Datastore.implementation";
    if (!is_usable(checker, key) || strcmp(config_str(checker->config, key), ENGINE) == 0) {
        return;
    }
    problem_add(checker->problems, SEVERITY_WARNING, config_evaluated(checker->config, key)->place,
                "write " ENGINE ", or leave the option out", "%s %s is not known; %s is used", key,
                config_str(checker->config, key), ENGINE);
}

void config_check(const struct config *config, struct problems *problems)
{
    const struct checker checker = {config, problems};
    check_range(&checker, "Frontend.bind_port", "Frontend.port_max");
    check_range(&checker, "Monitoring.http_port", "Monitoring.http_port_max");
    check_listeners(&checker);
    check_pair(&checker, "Frontend.certificate", "PrivateKeys.server_key", true);
    check_pair(&checker, "CA.certificate", "PrivateKeys.ca_key", false);
    check_engine(&checker);
}
