/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force, and how it is replaced: prepare everything, then commit. */
#include "balancer_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "certificates.h"
#include "config/command_line.h"
#include "resolver.h"

enum { PROBLEMS_MAX = 100 };

/* ---- What is in force ---- */

/* A copy for one worker, with references of its own. NULL: no memory. */
static struct worker_update *copy_update(const struct worker_update *update)
{
    struct worker_update *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        copy->rules = rules_ref(update->rules);
        copy->range = range_ref(update->range);
        copy->tls = update->tls == NULL ? NULL : tls_context_ref(update->tls);
    }
    return copy;
}

/* A worker that misses one for want of memory gets all of it with the next. */
void balancer_post_updates(struct balancer *balancer)
{
    for (unsigned i = 0; i < balancer->worker_count; i++) {
        struct worker_update *update = copy_update(&balancer->now);
        if (update != NULL && !balancer->is_ended[i]) {
            worker_post_update(balancer->workers[i], update);
        } else {
            worker_update_free(update);
        }
    }
}

/* ---- Reload ---- */

void prepared_done(struct prepared *prepared)
{
    host_list_done(&prepared->hosts);
    tls_context_unref(prepared->tls);
    rules_unref(prepared->rules);
    config_unref(prepared->config);
}

int balancer_prepare(struct balancer *balancer, struct config *config, struct prepared *prepared,
                     struct error *error)
{
    prepared->rules = rules_new(config, error);
    if (prepared->rules == NULL) {
        return -EINVAL;
    }
    int code = certificates_load(config, balancer->tickets, &prepared->tls, error);
    if (code == 0) {
        code = prober_rules_read(config, &prepared->probes, error);
    }
    if (code == 0) {
        code = host_list_read(config, &prepared->hosts, error);
    }
    return code;
}

int balancer_open_log(struct balancer *balancer, const struct config *config, struct error *error)
{
    return accesslog_open(balancer->shared.accesslog, config_str(config, "Balancer.access_log"),
                          (enum accesslog_format)config_enum(config, "Balancer.access_log_format"),
                          error);
}

/* What was changed and goes on as it was. */
static void tell_what_needs_a_restart(const struct config *before, const struct config *after)
{
    const struct option *option;
    size_t at = 0;
    while ((option = config_next_restart(before, after, &at)) != NULL) {
        log_warning("needs a restart", LOG_TEXT("option", option->key));
    }
}

/* Nothing here can fail. */
static void commit(struct balancer *balancer, struct prepared *prepared)
{
    tell_what_needs_a_restart(balancer->now.rules->config, prepared->config);
    rules_unref(balancer->now.rules);
    balancer->now.rules = prepared->rules;
    prepared->rules = NULL;
    if (prepared->tls != NULL || balancer->tls.len == 0) { /* a TLS port cannot do without */
        tls_context_unref(balancer->now.tls);
        balancer->now.tls = prepared->tls;
        prepared->tls = NULL;
    }
    prober_set_rules(balancer->prober, &prepared->probes);
    balancer_post_updates(balancer);
}

static int load_config(struct balancer *balancer, struct config **config, struct error *error)
{
    struct problems *problems = problems_new(PROBLEMS_MAX);
    if (problems == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot reload");
    }
    int code = command_line_load(balancer->line, problems, config);
    if (code < 0) {
        problems_print(problems, stderr);
        error_set(error, code, "the configuration has %zu errors; nothing was changed",
                  problems_errors(problems));
    }
    problems_free(problems);
    return code;
}

static int reload(struct balancer *balancer, struct error *error)
{
    struct prepared prepared = {.config = NULL};
    int code = load_config(balancer, &prepared.config, error);
    if (code == 0) {
        code = balancer_prepare(balancer, prepared.config, &prepared, error);
    }
    if (code == 0) {
        code = balancer_open_log(balancer, prepared.config, error);
    }
    if (code == 0) {
        commit(balancer, &prepared);
        /* Last, since it may answer at once, with the new rules in force. */
        code = resolver_set(balancer->resolver, &prepared.hosts);
        if (code < 0) {
            error_set_errno(error, code, "the members stay as they were");
        }
    }
    prepared_done(&prepared);
    return code;
}

int balancer_reload(struct balancer *balancer, struct error *error)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic(&clock_system));
    int code = reload(balancer, error);
    counter_count(balancer->counters, code < 0 ? COUNTER_RELOADS_FAILED : COUNTER_RELOADS);
    if (code < 0) {
        log_error_value(LOG_LEVEL_ERROR, "not reloaded", error);
    } else {
        log_info("reloaded");
    }
    balancer->reloaded.wall = clock_wall(&clock_system);
    balancer->reloaded.code = code;
    error_format(code < 0 ? error : &(struct error){.line = 0}, balancer->reloaded.words,
                 sizeof balancer->reloaded.words);
    sd_notify(0, "READY=1");
    return code;
}
