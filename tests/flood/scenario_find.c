/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios by name: where they are shipped, what there is, what was probably meant. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "scenario.h"

enum { SCENARIO_FILE_MAX_BYTES = 256 << 10, NAMES_MAX = 64 };

/* Names without ".yaml", sorted; each once, from the first directory that has it. */
struct names {
    char items[NAMES_MAX][64];
    size_t count;
};

/* `relative` to the directory of the program. Too long a path names no directory. */
static const char *beside_program(const char *relative, char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    size_t used = len > 0 ? (size_t)len : 0;
    snprintf(path + used, PATH_MAX - used, "%s", relative);
    return path;
}

const char *const *scenario_directories(void)
{
    static const char *directories[5];
    if (directories[0] == NULL) {
        static char installed[PATH_MAX];
        static char source[PATH_MAX];
        size_t count = 0;
        const char *wish = getenv("PORTICO_FLOOD_SCENARIOS");
        if (wish != NULL && wish[0] != '\0') {
            directories[count++] = wish;
        }
        directories[count++] = beside_program("../share/portico/flood", installed);
        directories[count++] = beside_program(PORTICO_SCENARIOS_SOURCE, source);
        directories[count++] = PORTICO_SCENARIOS_INSTALLED;
    }
    return directories;
}

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void gather_names(const char *directory, struct names *names)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        struct str file = str_from(entry->d_name);
        char name[64];
        bool fits = file.len < sizeof name && names->count < NAMES_MAX;
        if (fits && str_ends_with(file, STR(".yaml")) && file.data[0] != '.') {
            snprintf(name, sizeof name, "%.*s", (int)file.len - 5, file.data);
            if (!has_name(names, name)) {
                snprintf(names->items[names->count++], sizeof name, "%s", name);
            }
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_names(struct names *names)
{
    names->count = 0;
    for (const char *const *directory = scenario_directories(); *directory != NULL; directory++) {
        gather_names(*directory, names);
    }
    qsort(names->items, names->count, sizeof names->items[0], compare_names);
}

static void complain(struct problems *problems, const char *name)
{
    struct names names;
    char hint[1024] = "give the path of a file, with a / or the ending .yaml";
    find_names(&names);
    size_t used = 0;
    for (size_t i = 0; i < names.count && used < sizeof hint; i++) {
        bool is_close = str_distance(str_from(name), str_from(names.items[i]), 2) <= 2;
        if (is_close) {
            snprintf(hint, sizeof hint, "did you mean %s?", names.items[i]);
            break;
        }
        used += (size_t)snprintf(hint + used, sizeof hint - used, "%s%s",
                                 i == 0 ? "there are " : ", ", names.items[i]);
    }
    problem_add(problems, SEVERITY_ERROR, (struct place){NULL, 0, 0}, hint,
                "there is no scenario \"%.100s\"", name);
}

static int load_file(const char *path, struct problems *problems, struct scenario **scenario)
{
    struct buffer text;
    struct file_facts facts;
    struct source source = {.kind = SOURCE_FILE, .name = path};
    buffer_init(&text, SCENARIO_FILE_MAX_BYTES + 1);
    int code = config_system_real.read_file(config_system_real.context, path,
                                            SCENARIO_FILE_MAX_BYTES, &text, &facts);
    if (code == 0) {
        code = scenario_parse(buffer_view(&text), path, problems, scenario);
    } else if (code != -ENOMEM) {
        problem_add(problems, SEVERITY_ERROR, (struct place){&source, 0, 0}, (const char *)NULL,
                    "cannot read the scenario: %s", strerror(-code));
        code = -EINVAL;
    }
    buffer_done(&text);
    return code;
}

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || str_ends_with(str_from(name), STR(".yaml"));
}

/* False: no directory has it. */
static bool find_path(const char *name, char *path, size_t size)
{
    for (const char *const *directory = scenario_directories(); *directory != NULL; directory++) {
        int len = snprintf(path, size, "%s/%s.yaml", *directory, name);
        if (len > 0 && (size_t)len < size && access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

int scenario_load(const char *name, struct problems *problems, struct scenario **scenario)
{
    char path[PATH_MAX];
    if (is_path(name)) {
        return load_file(name, problems, scenario);
    }
    if (name[0] == '\0' || !find_path(name, path, sizeof path)) {
        complain(problems, name);
        return -EINVAL;
    }
    return load_file(path, problems, scenario);
}

void scenario_list(FILE *out)
{
    struct names names;
    find_names(&names);
    for (size_t i = 0; i < names.count; i++) {
        struct scenario *scenario = NULL;
        struct problems *problems = problems_new(1);
        if (problems != NULL && scenario_load(names.items[i], problems, &scenario) == 0) {
            fprintf(out, "  %-22s %.*s\n", names.items[i], (int)strcspn(scenario->about, "\n"),
                    scenario->about);
            scenario_free(scenario);
        }
        problems_free(problems);
    }
}
