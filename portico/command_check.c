/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: what would keep this machine from serving. Begins with the configuration, without
 * which little else can be looked at. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
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
    bool is_hidden = text != NULL && strstr(text, strerror(EACCES)) != NULL && geteuid() != 0;
    if (!is_usable && is_hidden) {
        check_report_mend(report, "run it as root, or as the user who serves: sudo portico check "
                                  "-c FILE");
    } else if (!is_usable) {
        check_report_mend(report, "correct what is marked; portico --help-config explains options");
    }
    check_report_tell(report, is_usable ? FINDING_WARNING : FINDING_PROBLEM, "configuration", "%s",
                      text == NULL ? "out of memory" : text);
    free(text);
}

static void check_configuration(const struct operation *operation, struct check_report *report,
                                struct config **config)
{
    struct problems *problems = problems_new(PROBLEMS_SHOWN);
    int r = problems == NULL ? -ENOMEM : command_line_load(operation->line, problems, config);
    if (r == -ENOMEM) {
        check_report_tell(report, FINDING_PROBLEM, "configuration", "out of memory");
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

/* ---- Everything ---- */

#define PATIENCE (10 * USEC_PER_SEC)

static void look_around(struct check_report *report, const struct check_scene *scene)
{
    check_keys(report, scene);
    check_tls(report, scene);
    check_key_files(report, scene);
    check_apart(report, scene, "sockets", check_runtime, true, PATIENCE);
    check_apart(report, scene, "disk", check_disk, true, PATIENCE);
    check_apart(report, scene, "store", check_store, true,
                usec_add(PATIENCE, config_usec(scene->config, "Datastore.busy_timeout")));
    check_ports(report, scene);
    check_apart(report, scene, "members", check_members, false, 2 * PATIENCE);
    check_admin(report, scene);
    check_open_files(report, scene);
    check_kernel(report, scene);
}

int command_check(const struct operation *operation)
{
    struct check_report report;
    struct check_scene scene;
    struct config *config = NULL;
    check_report_init(&report);
    check_configuration(operation, &report, &config);
    check_scene_init(&scene, config);
    if (config != NULL) {
        look_around(&report, &scene);
    }
    check_clock(&report, &scene);
    if (operation->is_json) {
        check_report_print_json(&report, operation->out);
    } else {
        check_report_print(&report, command_line_is_verbose(operation->line), operation->out);
    }
    int status = check_report_status(&report);
    check_report_done(&report);
    config_unref(config);
    return status;
}
