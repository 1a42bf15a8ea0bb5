/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files with what they include, and putting a configuration together. Runs on the thread
 * that loads; nobody else sees the configuration before it is complete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/config_internal.h"

enum {
    CONFIG_MAGIC = 0x636f6e66,
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 256 * 1024 * 1024,
};

struct loader {
    struct config *config;
    const struct config_system *system;
    struct problems *problems;
    const struct source *chain[CONFIG_INCLUDE_DEPTH + 1]; /* files that are being read */
    size_t depth;
    unsigned sources;
};

static struct source *source_make(struct loader *loader, enum source_kind kind, const char *name)
{
    struct source *source = arena_calloc(&loader->config->arena, 1, sizeof *source);
    char *copy = source == NULL ? NULL : arena_strdup(&loader->config->arena, str_from(name));
    if (copy == NULL) {
        return NULL;
    }
    source->kind = kind;
    source->name = copy;
    source->order = ++loader->sources;
    return source;
}

/* 0; why it cannot be read; -ENOMEM. */
static int source_read(struct loader *loader, struct source *source)
{
    struct buffer bytes;
    /* Some room over the limit, so that "too large" is found by the reader and not by the buffer.
     */
    buffer_init(&bytes, SOURCE_FILE_MAX_BYTES + 65536);
    int code = loader->system->read_file(loader->system->context, source->name,
                                         SOURCE_FILE_MAX_BYTES, &bytes, &source->facts);
    if (code == 0) {
        const char *copy = arena_strdup(&loader->config->arena, buffer_view(&bytes));
        source->text = str_make(copy, buffer_size(&bytes));
        code = copy == NULL ? -ENOMEM : config_note_file(loader->config, source->name, true);
    }
    buffer_done(&bytes);
    return code;
}

static bool is_same_file(const struct source *a, const struct source *b)
{
    if (a->facts.inode != 0 && b->facts.inode != 0) {
        return a->facts.inode == b->facts.inode && a->facts.device == b->facts.device;
    }
    return strcmp(a->name, b->name) == 0;
}

static bool is_being_read(const struct loader *loader, const struct source *source)
{
    for (size_t i = 0; i < loader->depth; i++) {
        if (is_same_file(loader->chain[i], source)) {
            return true;
        }
    }
    return false;
}

static int report_unreadable(struct loader *loader, const struct source *source, int code,
                             struct place asked)
{
    char words[128];
    const char *reason =
        code == -EFBIG ? "it is larger than 1 MiB" : strerror_r(-code, words, sizeof words);
    problem_add(loader->problems, SEVERITY_ERROR, asked, NULL, "cannot read %s: %s", source->name,
                reason);
    return 0;
}

static int load_file(struct loader *loader, enum source_kind kind, const char *path,
                     struct place asked);

static int load_include(struct loader *loader, const struct source *from, const char *item,
                        struct place asked)
{
    const char *path =
        path_beside(&loader->config->arena, from == NULL ? NULL : from->name, str_from(item));
    return path == NULL ? -ENOMEM : load_file(loader, SOURCE_FILE, path, asked);
}

/* `setting` names files; they are read relative to `source`, NULL: to the current directory. */
static int load_list(struct loader *loader, const struct setting *setting,
                     const struct source *source)
{
    struct config *config = loader->config;
    const struct option *option = option_find(STR("Config.includes"));
    int code = config_evaluate_setting(config, option, setting, loader->system, loader->problems);
    struct option_list files = config->values[option_index(option)].value.list;
    for (size_t i = 0; i < files.count && code == 0; i++) {
        code = load_include(loader, source, files.items[i], setting->value->place);
    }
    return code;
}

/* A file's list is what the file itself says in the active contexts, whatever others say; its
 * items may refer to everything that was read so far. */
static int load_includes(struct loader *loader, const struct source *source,
                         const struct node *root)
{
    struct settings *own = arena_alloc(&loader->config->arena, sizeof *own);
    if (own == NULL) {
        return -ENOMEM;
    }
    settings_init(own, &loader->config->arena, &loader->config->contexts);
    int code = settings_merge(own, root, NULL);
    const struct setting *setting = settings_find(own, STR("Config.includes"), NULL);
    return code < 0 || setting == NULL ? code : load_list(loader, setting, source);
}

static int merge_source(struct loader *loader, const struct source *source)
{
    struct config *config = loader->config;
    const struct node *root = NULL;
    int code = yaml_parse(source, &config->arena, loader->problems, &root);
    if (code == -ENOMEM || root == NULL) {
        return code == -ENOMEM ? code : 0;
    }
    code = settings_merge(&config->merged, root, loader->problems);
    if (code == 0 && source->kind == SOURCE_WRITEBACK) {
        code = settings_merge(&config->writeback, root, NULL);
    }
    return code == 0 ? load_includes(loader, source, root) : code;
}

static int load_file(struct loader *loader, enum source_kind kind, const char *path,
                     struct place asked)
{
    struct source *source = source_make(loader, kind, path);
    if (source == NULL) {
        return -ENOMEM;
    }
    if (asked.source == NULL) {
        asked = (struct place){source, 0, 0};
    }
    if (loader->depth > CONFIG_INCLUDE_DEPTH || loader->config->file_count == CONFIG_FILES_MAX) {
        problem_add(loader->problems, SEVERITY_ERROR, asked, NULL, "%s",
                    loader->depth > CONFIG_INCLUDE_DEPTH ? "files include each other too deeply"
                                                         : "there are too many files");
        return 0;
    }
    int code = source_read(loader, source);
    if (code == -ENOMEM) {
        return code;
    }
    if (code < 0) {
        bool may_be_missing = kind == SOURCE_WRITEBACK && (code == -ENOENT || code == -ENOTDIR);
        return may_be_missing ? 0 : report_unreadable(loader, source, code, asked);
    }
    if (is_being_read(loader, source)) {
        problem_add(loader->problems, SEVERITY_ERROR, asked, NULL,
                    "%s includes itself, directly or through others", path);
        return 0;
    }
    loader->config->file_count++;
    loader->chain[loader->depth++] = source;
    code = merge_source(loader, source);
    loader->depth--;
    return code;
}

/* A secret does not become part of a place. */
static char *parameter_name(struct loader *loader, const char *parameter, struct str key)
{
    const struct option *option = option_find(key);
    bool is_secret = option != NULL && (option->flags & OPTION_SECRET) != 0;
    return is_secret ? arena_printf(&loader->config->arena, "-p %.*s=...", STR_ARG(key))
                     : arena_printf(&loader->config->arena, "-p %.200s", parameter);
}

static int add_parameter(struct loader *loader, const char *parameter)
{
    struct arena *arena = &loader->config->arena;
    struct str rest = str_from(parameter);
    struct str key = str_trim(str_first(rest, str_find(rest, '=')));
    char *name = parameter_name(loader, parameter, key);
    struct source *source = name == NULL ? NULL : source_make(loader, SOURCE_PARAMETER, name);
    struct node *node = arena_calloc(arena, 1, sizeof *node);
    const char *text = arena_strdup(arena, str_skip(rest, str_find(rest, '=') + 1));
    const char *kept_key = arena_strdup(arena, key);
    struct place unused;
    if (source == NULL || node == NULL || text == NULL || kept_key == NULL) {
        return -ENOMEM;
    }
    struct place place = {source, 0, 0};
    const struct source bytes = {.text = rest};
    if (str_find(rest, '=') == rest.len || source_check_utf8(&bytes, &unused) < 0) {
        problem_add(loader->problems, SEVERITY_ERROR, place, NULL,
                    "this is not Key=value in UTF-8");
        return 0;
    }
    bool is_unknown = section_is_ours(key_section(key))
                          ? option_find(key) == NULL
                          : key_section(key).len == 0 || option_in_misspelt_section(key);
    if (is_unknown) {
        report_unknown_key(loader->problems, place, key);
        return 0;
    }
    *node = (struct node){.kind = NODE_SCALAR, .text = str_from(text), .place = place, .weight = 1};
    return settings_put(&loader->config->parameters, str_from(kept_key), node, place);
}

static int load_parameters(struct loader *loader, const struct config_request *request)
{
    int code = 0;
    for (size_t i = 0; i < request->parameter_count && code == 0; i++) {
        code = add_parameter(loader, request->parameters[i]);
    }
    return code;
}

static const char *directory_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    return arena_strdup(arena, str_make(path, slash == path ? 1 : (size_t)(slash - path)));
}

static int load_writeback(struct loader *loader)
{
    const struct option *option = option_find(STR("Config.writeback"));
    int code = config_evaluate(loader->config, option, loader->system, loader->problems);
    const struct evaluated *path = &loader->config->values[option_index(option)];
    if (code < 0 || path->is_broken || path->value.text[0] == '\0') {
        return code;
    }
    return load_file(loader, SOURCE_WRITEBACK, path->value.text, path->place);
}

static int load_files(struct loader *loader, const struct config_request *request)
{
    struct config *config = loader->config;
    const struct place nowhere = {NULL, 0, 0};
    int code = 0;
    config->directory =
        request->file_count == 0 ? "" : directory_of(&config->arena, request->files[0]);
    if (config->directory == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < request->file_count && code == 0; i++) {
        code = load_file(loader, SOURCE_FILE, request->files[i], nowhere);
    }
    const struct setting *includes = settings_top(&config->parameters, STR("Config.includes"));
    if (code == 0 && includes != NULL) {
        code = load_list(loader, includes, NULL);
    }
    return code == 0 ? load_writeback(loader) : code;
}

static int evaluate_all(struct loader *loader)
{
    int code = 0;
    for (size_t i = 0; i < option_count() && code == 0; i++) {
        const struct option *option = option_at(i);
        bool is_used = (option->programs & loader->config->program) != 0;
        if (is_used && (option->flags & OPTION_NO_EFFECT) == 0) {
            code = config_evaluate(loader->config, option, loader->system, loader->problems);
        }
    }
    return code;
}

static size_t count_foreign(const struct settings *settings, struct str section)
{
    size_t count = 0;
    for (const struct setting *s = settings->first; s != NULL; s = s->next_set) {
        count += s->option == NULL && (section.len == 0 || str_equal(key_section(s->key), section));
    }
    return count;
}

/* "AdminUI (12), Mysql (5)" in the order of appearance. O(n²), but it stops with the text's room.
 */
static int list_foreign(struct config *config)
{
    char text[512] = "";
    size_t used = 0;
    for (const struct setting *s = config->merged.first; s != NULL; s = s->next_set) {
        struct str section = key_section(s->key);
        char name[80];
        if (s->option != NULL || section.len > 60) {
            continue;
        }
        snprintf(name, sizeof name, "%.*s (", STR_ARG(section));
        if (strstr(text, name) != NULL) {
            continue;
        }
        int needed = snprintf(text + used, sizeof text - used, "%s%s%zu)", used == 0 ? "" : ", ",
                              name, count_foreign(&config->merged, section));
        if (used + (size_t)needed >= sizeof text) {
            memcpy(text + sizeof text - 4, "...", 4);
            break;
        }
        used += (size_t)needed;
    }
    config->foreign_sections = arena_strdup(&config->arena, str_from(text));
    return config->foreign_sections == NULL ? -ENOMEM : 0;
}

static int count_all(struct config *config)
{
    for (size_t i = 0; i < option_count(); i++) {
        config->set_count += config_lookup(config, str_from(option_at(i)->key), NULL) != NULL;
    }
    config->foreign_count = count_foreign(&config->merged, (struct str){NULL, 0}) +
                            count_foreign(&config->parameters, (struct str){NULL, 0});
    return list_foreign(config);
}

static int load_all(struct loader *loader, const struct config_request *request)
{
    int code = load_parameters(loader, request);
    code = code < 0 ? code : load_files(loader, request);
    code = code < 0 ? code : evaluate_all(loader);
    code = code < 0 ? code : count_all(loader->config);
    if (code == 0) {
        config_check(loader->config, loader->problems);
    }
    return code;
}

static struct config *config_new(const struct config_request *request)
{
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        return NULL;
    }
    config->magic = CONFIG_MAGIC;
    atomic_init(&config->references, 1);
    arena_init(&config->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    config->program = request->program;
    config->contexts = contexts_of_program(request->program);
    settings_init(&config->merged, &config->arena, &config->contexts);
    settings_init(&config->writeback, &config->arena, &config->contexts);
    settings_init(&config->parameters, &config->arena, &config->contexts);
    config->values = arena_calloc(&config->arena, option_count(), sizeof *config->values);
    if (config->values == NULL) {
        config_unref(config);
        return NULL;
    }
    return config;
}

int config_load(const struct config_request *request, struct problems *problems,
                struct config **config)
{
    struct loader loader = {
        .config = config_new(request),
        .system = request->system == NULL ? &config_system_real : request->system,
        .problems = problems,
    };
    const struct place nowhere = {NULL, 0, 0};
    int code = loader.config == NULL ? -ENOMEM : 0;
    for (size_t i = 0; i < request->context_count && code == 0; i++) {
        /* The names are the caller's; blocks remember positions, not names. */
        code = contexts_add(&loader.config->contexts, request->contexts[i]);
        if (code < 0) {
            problem_add(problems, SEVERITY_ERROR, nowhere, NULL, "there is no context \"%s\"",
                        request->contexts[i]);
        }
    }
    size_t errors_before = problems_errors(problems);
    code = code < 0 ? code : load_all(&loader, request);
    if (code == 0 && problems_errors(problems) > errors_before) {
        code = -EINVAL;
    }
    if (code < 0) {
        config_unref(loader.config);
        return code;
    }
    loader.config->contexts.count = 0; /* names were borrowed for this call */
    *config = loader.config;
    return 0;
}
