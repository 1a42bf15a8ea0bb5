/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds of runs do before and after: the target, the files, the verdict. */
#include <errno.h>

#include "commands.h"
#include "fault.h"
#include "net/tls_context.h"
#include "report.h"
#include "slo.h"
#include "target.h"

static int take_tls(const struct arguments *arguments, struct tls_context **tls)
{
    struct error error = {.line = 0};
    const struct tls_client_options options = {
        .authorities = {.file = arguments_text(arguments, "ca")},
        .alpn_http1 = true,
    };
    *tls = tls_client_context_new(&options, &error);
    return *tls == NULL ? arguments_fail(arguments, "%s", error.message) : 0;
}

int take_target(const struct arguments *arguments, struct target *target, struct tls_context **tls)
{
    struct error error = {.line = 0};
    const char *url = arguments_text(arguments, "url");
    *tls = NULL;
    if (url == NULL) {
        return arguments_misuse(arguments, "--url is needed: whom to load");
    }
    int code = target_parse(str_from(url), target, &error);
    if (code == -EINVAL) {
        return arguments_misuse(arguments, "--url: %s", error.message);
    }
    if (code < 0) {
        return arguments_fail(arguments, "--url: %s", error.message);
    }
    if (!target_is_ours(target) && !arguments_have(arguments, "i-own-this-target")) {
        return arguments_misuse(arguments,
                                "%s is neither a loopback nor a private address; if it is yours to "
                                "load, say --i-own-this-target",
                                target->host);
    }
    return target->is_tls ? take_tls(arguments, tls) : 0;
}

static int save(const struct arguments *arguments, const struct results *results)
{
    struct error error = {.line = 0};
    const char *json = arguments_text(arguments, "json");
    const char *html = arguments_text(arguments, "html");
    if ((json != NULL && report_save_json(results, json, &error) < 0) ||
        (html != NULL && report_save_html(results, html, &error) < 0)) {
        return arguments_fail(arguments, "%s", error.message);
    }
    return 0;
}

static int judge(const struct arguments *arguments, const struct results *results)
{
    struct slo slo = {.count = 0};
    const char *text = arguments_text(arguments, "slo");
    if (text == NULL) {
        return EXIT_STATUS_FINE;
    }
    if (slo_parse(str_from(text), fault_names(), &slo, NULL) < 0) {
        return EXIT_STATUS_USAGE; /* told before the run */
    }
    return slo_evaluate(&slo, results, NULL) == SLO_MET ? EXIT_STATUS_FINE : EXIT_STATUS_FAILED;
}

int conclude(const struct arguments *arguments, struct results *results)
{
    report_write_text(results, arguments->out);
    int saved = save(arguments, results);
    int judged = judge(arguments, results);
    /* First what failed for certain: scripts take an invalid run for a busy machine. */
    if (saved != 0 || !results_events_are_well(results)) {
        return EXIT_STATUS_FAILED;
    }
    return results->is_valid ? judged : EXIT_STATUS_INVALID;
}
