/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: one process of ours that runs already, as /proc shows it. One thread. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

/* "Max open files  1024  524288  files"; false: not to be seen. */
static bool read_open_files(const struct check_scene *scene, long pid, unsigned long long *files)
{
    static const char title[] = "Max open files";
    char path[PATH_MAX];
    char line[256];
    char soft[32];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/%ld/limits", scene->root, pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, title, sizeof title - 1) == 0 &&
                sscanf(line + sizeof title - 1, "%31s", soft) == 1;
    }
    if (file != NULL) {
        fclose(file);
    }
    if (found) {
        *files = strcmp(soft, "unlimited") == 0 ? ULLONG_MAX : strtoull(soft, NULL, 10);
    }
    return found;
}

static void check_limit(struct check_report *report, const struct check_scene *scene, long pid,
                        const char *name, unsigned long long needed)
{
    unsigned long long files;
    if (read_open_files(scene, pid, &files) && files < needed) {
        check_report_why(report, "it takes fewer connections than it is configured for");
        check_report_mend(report, "raise LimitNOFILE= of its unit, or the limit of who started it, "
                                  "and restart it");
        check_report_tell(report, FINDING_WARNING, "open files",
                          "%s (process %ld) runs with %llu, and needs %llu", name, pid, files,
                          needed);
    }
}

static void check_program(struct check_report *report, const struct check_scene *scene, long pid,
                          const char *name)
{
    char path[PATH_MAX];
    char target[PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/%ld/exe", scene->root, pid);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0) {
        check_report_tell(report, FINDING_UNSEEN, "version",
                          "%s (process %ld): whether its program was replaced was not looked at: "
                          "needs root",
                          name, pid);
        return;
    }
    if (str_ends_with(str_make(target, (size_t)len), STR(" (deleted)"))) {
        check_report_why(report, "it is not the installed version that runs");
        check_report_mend(report, "systemctl restart 'portico-frontend@*' portico-balancer; with "
                                  "portico run: SIGHUP");
        check_report_tell(report, FINDING_WARNING, "version",
                          "%s (process %ld) runs a program that was replaced since it began", name,
                          pid);
    }
}

void check_process(struct check_report *report, const struct check_scene *scene, long pid,
                   const char *name, unsigned long long needed)
{
    check_limit(report, scene, pid, name, needed);
    check_program(report, scene, pid, name);
}
