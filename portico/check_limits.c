/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: open files. What the configuration needs, and what the programs get: from their
 * units where there are some, else from whoever starts them by hand. One thread. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"

enum {
    FILES_BESIDES = 64, /* store, logs, listeners, event queues */
    LINE_SIZE = 512,
    /* What systemd gives to a unit that does not say (systemd-system.conf(5)). */
    SYSTEMD_DEFAULT = 524288,
};

/* In the order in which systemd looks (systemd.unit(5)). */
static const char *const unit_directories[] = {
    "/etc/systemd/system",     "/run/systemd/system", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
};

struct limit {
    unsigned long long files; /* ULLONG_MAX: any number */
    char source[64];          /* "portico-balancer.service" */
    bool is_of_unit;
};

/* ---- What is needed ---- */

unsigned long long check_frontend_needs(const struct config *config, char sum[CHECK_SUM_SIZE])
{
    unsigned long long connections =
        (unsigned long long)config_int(config, "Frontend.connection_limit");
    snprintf(sum, CHECK_SUM_SIZE, "%llu connections + %d besides", connections, FILES_BESIDES);
    return connections + FILES_BESIDES;
}

static unsigned long long worker_count(const struct config *config)
{
    int64_t workers = config_int(config, "Balancer.threads");
    workers = workers == 0 ? sysconf(_SC_NPROCESSORS_ONLN) : workers;
    return workers < 1 ? 1 : (unsigned long long)workers;
}

unsigned long long check_balancer_needs(const struct config *config, char sum[CHECK_SUM_SIZE])
{
    struct port_range range = config_frontend_range(config);
    unsigned long long members =
        config_list(config, "Balancer.hosts").count * (range.last - range.first + 1ULL);
    unsigned long long clients = (unsigned long long)config_int(config, "Balancer.max_connections");
    unsigned long long flying =
        members * (unsigned long long)config_int(config, "Balancer.member_in_flight");
    unsigned long long each =
        (unsigned long long)config_int(config, "Balancer.member_idle_connections");
    unsigned long long idle = worker_count(config) * members * each;
    flying = flying > clients ? clients : flying;
    /* A request in flight may have a connection to its member and a pipe for its body. */
    snprintf(
        sum, CHECK_SUM_SIZE,
        "%llu clients + 3 x %llu in flight at members + %llu kept to %llu members + %d besides",
        clients, flying, idle, members, FILES_BESIDES);
    return clients + 3 * flying + idle + FILES_BESIDES;
}

/* ---- What units give ---- */

static bool read_limit(struct str value, unsigned long long *files)
{
    uint64_t number = 0;
    size_t colon = str_find(value, ':');
    struct str hard = str_trim(colon < value.len ? str_skip(value, colon + 1) : value);
    if (str_equal(hard, STR("infinity")) || str_equal(hard, STR("unlimited"))) {
        *files = ULLONG_MAX;
        return true;
    }
    if (str_to_uint64(hard, &number) < 0) {
        return false;
    }
    *files = number;
    return true;
}

/* The last "KEY=VALUE" of a file; false: there is no such file. */
static bool read_setting(const char *path, const char *key, unsigned long long *files)
{
    char line[LINE_SIZE];
    size_t len = strlen(key);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        struct str text = str_trim(str_from(line));
        if (str_starts_with(text, str_from(key)) && text.len > len && text.data[len] == '=') {
            (void)read_limit(str_skip(text, len + 1), files);
        }
    }
    fclose(file);
    return true;
}

static int is_drop_in(const struct dirent *entry)
{
    return str_ends_with(str_from(entry->d_name), STR(".conf"));
}

/* The drop-in whose name comes last counts, wherever it lies. */
static void read_drop_ins(const char *directory, char last[256], unsigned long long *files)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    int count = scandir(directory, &entries, is_drop_in, alphasort);
    for (int i = 0; i < count; i++) {
        unsigned long long found = 0;
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (strcmp(entries[i]->d_name, last) >= 0 && read_setting(path, "LimitNOFILE", &found) &&
            found != 0) {
            *files = found;
            snprintf(last, 256, "%s", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
}

static bool find_unit(const struct check_scene *scene, const char *unit, struct limit *limit)
{
    unsigned long long files = SYSTEMD_DEFAULT;
    char path[PATH_MAX];
    char last[256] = "";
    bool is_found = false;
    snprintf(path, sizeof path, "%s/etc/systemd/system.conf", scene->root);
    (void)read_setting(path, "DefaultLimitNOFILE", &files);
    for (size_t i = 0; i < ARRAY_LEN(unit_directories) && !is_found; i++) {
        snprintf(path, sizeof path, "%s%s/%s", scene->root, unit_directories[i], unit);
        is_found = read_setting(path, "LimitNOFILE", &files);
    }
    for (size_t left = ARRAY_LEN(unit_directories); is_found && left > 0; left--) {
        snprintf(path, sizeof path, "%s%s/%s.d", scene->root, unit_directories[left - 1], unit);
        read_drop_ins(path, last, &files);
    }
    if (is_found) {
        *limit = (struct limit){.files = files, .is_of_unit = true};
        snprintf(limit->source, sizeof limit->source, "%s", unit);
    }
    return is_found;
}

/* ---- What starting by hand gives ---- */

/* "portico hard nofile 65536" (limits.conf(5)). A line for the user itself beats one for all. */
static void read_login_file(const struct check_scene *scene, const char *path, bool *is_own,
                            struct limit *limit)
{
    char line[LINE_SIZE];
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char who[64];
        char kind[16];
        char item[32];
        char value[32];
        unsigned long long files;
        if (sscanf(line, " %63[^# \t] %15s %31s %31s", who, kind, item, value) != 4 ||
            strcmp(item, "nofile") != 0 || strcmp(kind, "soft") == 0 ||
            !read_limit(str_from(value), &files)) {
            continue;
        }
        bool is_ours = strcmp(who, scene->user) == 0;
        if (is_ours || (strcmp(who, "*") == 0 && !*is_own)) {
            limit->files = files;
            *is_own = is_ours;
            snprintf(limit->source, sizeof limit->source, "/etc/security/limits.conf");
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void find_login(const struct check_scene *scene, struct limit *limit)
{
    struct rlimit own = {.rlim_max = 0};
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    char directory[PATH_MAX];
    bool is_own = false;
    (void)getrlimit(RLIMIT_NOFILE, &own);
    *limit = (struct limit){
        .files = own.rlim_max == RLIM_INFINITY ? ULLONG_MAX : (unsigned long long)own.rlim_max};
    snprintf(limit->source, sizeof limit->source, "this session");
    if (!scene->is_root || scene->service.uid == 0) {
        return; /* the session has what those files say already */
    }
    snprintf(path, sizeof path, "%s/etc/security/limits.conf", scene->root);
    read_login_file(scene, path, &is_own, limit);
    snprintf(directory, sizeof directory, "%s/etc/security/limits.d", scene->root);
    int count = scandir(directory, &entries, is_drop_in, alphasort);
    for (int i = 0; i < count; i++) {
        if (snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name) <
            (int)sizeof path) {
            read_login_file(scene, path, &is_own, limit);
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- The comparison ---- */

static const char *format_limit(unsigned long long files, char text[32])
{
    snprintf(text, 32, files == ULLONG_MAX ? "any number" : "%llu", files);
    return text;
}

struct checked_program {
    const char *what, *unit, *key;
    enum finding too_few;
};

static void mend(struct check_report *report, const struct checked_program *program,
                 const struct limit *limit, unsigned long long needed)
{
    if (limit->is_of_unit) {
        check_report_mend(report,
                          "systemctl edit %s, with [Service] and LimitNOFILE=%llu, then restart "
                          "it; or lower %s",
                          program->unit, needed, program->key);
    } else {
        check_report_mend(report,
                          "ulimit -Hn %llu before it is started (LimitNOFILE=%llu in a unit); or "
                          "lower %s",
                          needed, needed, program->key);
    }
}

static void compare(struct check_report *report, const struct check_scene *scene,
                    const struct checked_program *program, unsigned long long needed,
                    const char *sum)
{
    struct limit limit;
    char text[32];
    if (!find_unit(scene, program->unit, &limit)) {
        find_login(scene, &limit);
    }
    bool is_enough = limit.files >= needed;
    if (!is_enough) {
        check_report_why(report, "connections beyond it are refused, or wait");
        mend(report, program, &limit, needed);
    }
    check_report_tell(report, is_enough ? FINDING_OK : program->too_few, "open files",
                      "%s needs %llu (%s), %s allows %s", program->what, needed, sum, limit.source,
                      format_limit(limit.files, text));
}

static void compare_machine(struct check_report *report, const struct check_scene *scene,
                            unsigned long long instance, unsigned long long balancer)
{
    struct port_range range = config_frontend_range(scene->config);
    unsigned long long instances = (range.last - range.first + 1ULL);
    unsigned long long needed = instances * instance + balancer;
    unsigned long long most = instance > balancer ? instance : balancer;
    unsigned long long limit;
    if (!check_read_number(scene, "/proc/sys/fs/file-max", &limit)) {
        check_report_tell(report, FINDING_UNSEEN, "kernel", "fs.file-max: not visible here");
    } else {
        if (limit < needed) {
            check_report_mend(report,
                              "sysctl -w fs.file-max=%llu, and put it into "
                              "/etc/sysctl.d/portico.conf",
                              needed);
        }
        check_report_tell(report, limit < needed ? FINDING_WARNING : FINDING_OK, "kernel",
                          "fs.file-max is %llu; all programs when full need %llu (%llu instances x "
                          "%llu + %llu of the balancer)",
                          limit, needed, instances, instance, balancer);
    }
    if (check_read_number(scene, "/proc/sys/fs/nr_open", &limit)) {
        if (limit < most) {
            check_report_why(report, "no LimitNOFILE= can be above it");
            check_report_mend(report,
                              "sysctl -w fs.nr_open=%llu, and put it into "
                              "/etc/sysctl.d/portico.conf",
                              most);
        }
        check_report_tell(report, limit < most ? FINDING_WARNING : FINDING_OK, "kernel",
                          "fs.nr_open is %llu; one process needs %llu at most", limit, most);
    }
}

void check_open_files(struct check_report *report, const struct check_scene *scene)
{
    static const struct checked_program frontend = {"an instance", "portico-frontend@.service",
                                                    "Frontend.connection_limit", FINDING_PROBLEM};
    /* It serves as many as it may, and nobody has a hundred thousand agents on the first day. */
    static const struct checked_program balancer = {"the balancer", "portico-balancer.service",
                                                    "Balancer.max_connections", FINDING_WARNING};
    char sum[CHECK_SUM_SIZE];
    unsigned long long instance_needs = check_frontend_needs(scene->config, sum);
    compare(report, scene, &frontend, instance_needs, sum);
    unsigned long long balancer_needs = check_balancer_needs(scene->config, sum);
    compare(report, scene, &balancer, balancer_needs, sum);
    compare_machine(report, scene, instance_needs, balancer_needs);
}
