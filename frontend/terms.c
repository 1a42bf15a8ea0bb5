/* SPDX-License-Identifier: Apache-2.0 */
/* From a configuration to what polls need of it. Made by the main thread, dropped by whoever holds
 * the last reference. */
#include "terms.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "config/config.h"
#include "session_cache.h"

static int read_trusted(struct terms *terms, const struct config *config, struct error *error)
{
    struct option_list list = config_list(config, "Frontend.trusted_proxies");
    terms->trusted = calloc(list.count + 1, sizeof *terms->trusted);
    if (terms->trusted == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    for (size_t i = 0; i < list.count; i++) {
        int result = network_parse(str_from(list.items[i]), &terms->trusted[i], error);
        if (result < 0) {
            return error_wrap(error, result, "Frontend.trusted_proxies");
        }
        terms->trusted_count++;
    }
    return 0;
}

static int read_settings(struct terms *terms, const struct config *config, struct error *error)
{
    terms->max_body = config_size(config, "Frontend.max_body");
    terms->packet_limits = PACKET_LIMITS_DEFAULT;
    terms->packet_limits.zip.bytes = config_size(config, "Frontend.max_inflated");
    terms->max_queue_size = (unsigned)config_int(config, "Frontend.max_queue_size");
    terms->lease_time = config_usec(config, "Frontend.message_expiry_time");
    terms->max_deliveries = (unsigned)config_int(config, "Frontend.max_retransmission_time");
    terms->enrolment = (enum enrolment_policy)config_enum(config, "Frontend.enrolment");
    return read_trusted(terms, config, error);
}

/* Agents keep the highest serial number that they have seen, and refuse what is below. */
static int check_serial(const struct terms *terms, const struct terms *previous,
                        struct error *error)
{
    if (previous != NULL && terms->identity.serial < previous->identity.serial) {
        return error_set(error, -EINVAL,
                         "Frontend.certificate has serial number %llu; agents that know the one "
                         "that is served now (%llu) would refuse it",
                         (unsigned long long)terms->identity.serial,
                         (unsigned long long)previous->identity.serial);
    }
    return 0;
}

static bool is_same_server(const struct terms *terms, const struct terms *previous)
{
    return previous != NULL && memcmp(terms->identity.fingerprint, previous->identity.fingerprint,
                                      sizeof terms->identity.fingerprint) == 0;
}

/* Without the cache every instance pays RSA for itself; that is slow, and no reason not to serve.
 */
static void open_sessions(struct terms *terms, const struct config *config,
                          const struct terms *previous)
{
    struct error error = {.line = 0};
    char path[PATH_MAX];
    const char *directory = config_str(config, "Runtime.directory");
    if (is_same_server(terms, previous) && previous->sessions != NULL) {
        terms->sessions = session_cache_ref(previous->sessions);
        return;
    }
    snprintf(path, sizeof path, "%s/session-cache", directory);
    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        error_set_errno(&error, -errno, "cannot make %s", directory);
    } else if (session_cache_open(path, config_size(config, "Frontend.session_cache"),
                                  terms->identity.fingerprint, &terms->sessions, &error) == 0) {
        return;
    }
    log_error_value(LOG_LEVEL_WARNING, "serving without session cache", &error);
}

int terms_new(const struct config *config, bool is_verbose, const struct terms *previous,
              struct rsa_meter *meter, struct terms **out, struct error *error)
{
    struct terms *terms = calloc(1, sizeof *terms);
    if (terms == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    terms->references = 1;
    terms->is_verbose = is_verbose;
    int result = read_settings(terms, config, error);
    result = result < 0 ? result : identity_load(&terms->identity, config, meter, error);
    result = result < 0 ? result : check_serial(terms, previous, error);
    if (result == 0) {
        terms->replies = replies_new(str_from(terms->identity.certificate),
                                     config_usec(config, "Frontend.retry_after"));
        result = terms->replies == NULL ? error_set(error, -ENOMEM, "no memory") : 0;
    }
    if (result < 0) {
        terms_unref(terms);
        return result;
    }
    open_sessions(terms, config, previous);
    *out = terms;
    return 0;
}

struct terms *terms_ref(struct terms *terms)
{
    atomic_fetch_add_explicit(&terms->references, 1, memory_order_relaxed);
    return terms;
}

void terms_unref(struct terms *terms)
{
    if (terms == NULL || atomic_fetch_sub(&terms->references, 1) > 1) {
        return;
    }
    session_cache_close(terms->sessions);
    replies_free(terms->replies);
    identity_done(&terms->identity);
    free(terms->trusted);
    free(terms);
}
