/* SPDX-License-Identifier: Apache-2.0 */
/* The same functions that a start and a reload call: one truth about what is fine. */
#include "configuration.h"

#include "certificates.h"
#include "hosts.h"
#include "prober.h"
#include "rules.h"

static void tell(const struct config *config, struct problems *problems, const char *key,
                 const struct error *error)
{
    problem_add(problems, SEVERITY_ERROR, config_place(config, key), NULL, "%s%s%s: %s", key,
                error->file[0] == '\0' ? "" : ": ", error->file, error->message);
}

static void check_rules(struct config *config, struct problems *problems)
{
    struct error error = {.line = 0};
    struct rules *rules = rules_new(config, &error);
    if (rules == NULL) {
        tell(config, problems, "Balancer.trusted_proxies", &error);
    }
    rules_unref(rules);
}

static void check_hosts(const struct config *config, struct problems *problems)
{
    struct error error = {.line = 0};
    struct host_list hosts = {.count = 0};
    if (host_list_read(config, &hosts, &error) < 0) {
        tell(config, problems, "Balancer.hosts", &error);
    } else {
        host_list_done(&hosts);
    }
}

static void check_probes(const struct config *config, struct problems *problems)
{
    struct error error = {.line = 0};
    struct prober_rules rules;
    if (prober_rules_read(config, &rules, &error) < 0) {
        tell(config, problems, "Balancer.probe_path", &error);
    }
}

/* Without certificates, the port that wants them is to blame. */
static void check_certificates(const struct config *config, struct problems *problems)
{
    struct error error = {.line = 0};
    struct tls_context *context = NULL;
    bool has_any = config_list(config, "Balancer.tls_certificates").count > 0;
    if (certificates_load(config, NULL, &context, &error) < 0) {
        tell(config, problems, has_any ? "Balancer.tls_certificates" : "Balancer.tls_bind_port",
             &error);
    }
    tls_context_unref(context);
}

void configuration_check(struct config *config, struct problems *problems)
{
    check_rules(config, problems);
    check_hosts(config, problems);
    check_probes(config, problems);
    check_certificates(config, problems);
}
