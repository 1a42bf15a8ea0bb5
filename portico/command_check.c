/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: what would keep this machine from serving. Begins with the configuration, without
 * which little else can be looked at. One thread. */
#include <errno.h>
#include <stdlib.h>

#include "check_report.h"
#include "commands.h"
#include "operation.h"

enum { PROBLEMS_SHOWN = 100 };

/* What problems_print() prints, without the last line's end; the caller frees. NULL: no memory. */
static char *print_problems(struct problems *problems)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL) {
        return NULL;
    }
    problems_print(problems, memory);
    fclose(memory);
    while (text != NULL && size > 0 && text[size - 1] == '\n') {
        text[--size] = '\0';
    }
    return text;
}

static void tell_problems(struct check_report *report, struct problems *problems)
{
    char *text = print_problems(problems);
    bool is_usable = problems_errors(problems) == 0;
    if (!is_usable) {
        check_report_mend(report, "correct what is marked; portico --help-config explains options");
    }
    check_report_tell(report, is_usable ? FINDING_WARNING : FINDING_ERROR, "configuration", "%s",
                      text == NULL ? "out of memory" : text);
    free(text);
}

static void check_configuration(const struct operation *operation, struct check_report *report,
                                struct config **config)
{
    struct problems *problems = problems_new(PROBLEMS_SHOWN);
    int r = problems == NULL ? -ENOMEM : command_line_load(operation->line, problems, config);
    if (r == -ENOMEM) {
        check_report_tell(report, FINDING_ERROR, "configuration", "out of memory");
    } else if (problems_errors(problems) + problems_warnings(problems) > 0) {
        tell_problems(report, problems);
    } else if (config_file_count(*config) == 0) {
        check_report_mend(report, "portico init, then name its file: portico check -c FILE");
        check_report_tell(report, FINDING_WARNING, "configuration", "no file was named with -c");
    } else {
        check_report_tell(report, FINDING_OK, "configuration", "%zu file%s, %zu options set",
                          config_file_count(*config), config_file_count(*config) == 1 ? "" : "s",
                          config_set_count(*config));
    }
    problems_free(problems);
}

int command_check(const struct operation *operation)
{
    struct check_report report;
    struct config *config = NULL;
    check_report_begin(&report, operation->out, operation->is_json);
    check_configuration(operation, &report, &config);
    if (config != NULL) {
        check_keys(&report, config);
        check_permissions(&report, config);
        check_directories(&report, config);
        check_store_health(&report, config);
        check_ports(&report, config);
        check_file_limit(&report, config);
        config_unref(config);
    }
    check_clock(&report);
    return check_report_end(&report);
}
