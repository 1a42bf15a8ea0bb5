/* SPDX-License-Identifier: Apache-2.0 */
/* From raw text to a typed value: interpolation with everything that a value refers to. Runs on the
 * thread that loads. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/config_internal.h"
#include "config/interpolate.h"

enum {
    REFERENCES_MAX = 16, /* options that refer to each other in a row */
    VALUE_MAX_BYTES = 1 << 20,
};

struct evaluator {
    struct config *config;
    const struct config_system *system;
    struct problems *problems;
    struct interpolation interpolation;
    struct str stack[REFERENCES_MAX]; /* keys being evaluated, for cycles */
    size_t depth;
    const char *base;        /* file whose value is being interpolated: paths are relative to it */
    struct place failed_at;  /* innermost value that could not be interpolated */
    struct file_facts facts; /* of the last file that was read by a filter */
    const char *path;        /* its path; NULL: none was read */
};

static const char *source_path(const struct source *source)
{
    bool is_file = source->kind == SOURCE_FILE || source->kind == SOURCE_WRITEBACK;
    return is_file ? source->name : NULL;
}

static int read_for_filter(void *context, const char *path, struct buffer *out, struct error *error)
{
    struct evaluator *evaluator = context;
    (void)error;
    char *full = path_beside(&evaluator->config->arena, evaluator->base, str_from(path));
    if (full == NULL) {
        return -ENOMEM;
    }
    evaluator->path = full;
    int code = evaluator->system->read_file(evaluator->system->context, full, SOURCE_FILE_MAX_BYTES,
                                            out, &evaluator->facts);
    if (code < 0 && code != -EFBIG) {
        return error_set_errno(error, code, "cannot read %s", full);
    }
    return code < 0 ? code : config_note_file(evaluator->config, full, false);
}

static const char *environment_for_filter(void *context, const char *name)
{
    const struct evaluator *evaluator = context;
    return evaluator->system->environment(evaluator->system->context, name);
}

/* "A -> B -> A" from where the cycle begins. */
static int report_cycle(const struct evaluator *evaluator, struct str key, struct error *error)
{
    char path[400] = "";
    size_t used = 0;
    bool is_inside = false;
    for (size_t i = 0; i < evaluator->depth && used < sizeof path; i++) {
        is_inside = is_inside || str_equal(evaluator->stack[i], key);
        if (is_inside) {
            used += (size_t)snprintf(path + used, sizeof path - used, "%.*s -> ",
                                     STR_ARG(evaluator->stack[i]));
        }
    }
    return error_set(error, -ELOOP, "%.*s refers to itself: %s%.*s", STR_ARG(key), path,
                     STR_ARG(key));
}

static int enter(struct evaluator *evaluator, struct str key, struct error *error)
{
    for (size_t i = 0; i < evaluator->depth; i++) {
        if (str_equal(evaluator->stack[i], key)) {
            return report_cycle(evaluator, key, error);
        }
    }
    if (evaluator->depth == REFERENCES_MAX) {
        return error_set(error, -ELOOP, "too many options refer to each other in a row");
    }
    evaluator->stack[evaluator->depth++] = key;
    return 0;
}

/* A plain text of one line stands in the file as it is, so the offset is a column. */
static struct place failing_place(const struct node *node, size_t offset)
{
    struct place place = node->place;
    struct str line =
        place.source == NULL ? (struct str){NULL, 0} : source_line(place.source, place.line);
    if (node->kind == NODE_SCALAR && str_ends_with(str_trim(line), node->text)) {
        place.column += (unsigned)offset;
    }
    return place;
}

/* Append the interpolated text of one scalar, without white space around it. */
static int expand_scalar(struct evaluator *evaluator, struct str section, const struct node *node,
                         struct buffer *out, struct error *error)
{
    struct buffer text;
    size_t offset = 0;
    const char *outer = evaluator->base;
    buffer_init(&text, VALUE_MAX_BYTES);
    evaluator->base = node->place.source == NULL ? NULL : source_path(node->place.source);
    int code = interpolate(&evaluator->interpolation, section, node->text, &text, &offset, error);
    evaluator->base = outer;
    if (code == 0) {
        code = buffer_append(out, str_trim(buffer_view(&text)));
        code = code == -ENOBUFS ? error_set(error, -EFBIG, "the value is too long") : code;
    } else if (evaluator->failed_at.source == NULL) {
        evaluator->failed_at = failing_place(node, offset);
    }
    buffer_done(&text);
    return code;
}

/* A list within a text: its items with commas. */
static int expand_joined(struct evaluator *evaluator, struct str section, const struct node *list,
                         struct buffer *out, struct error *error)
{
    int code = 0;
    for (const struct node *item = list->first; item != NULL && code == 0; item = item->next) {
        if (item->kind != NODE_SCALAR) {
            return error_set(error, -EINVAL, "a list of lists or maps cannot be part of a text");
        }
        code = item == list->first ? 0 : buffer_append(out, STR(","));
        code = code < 0 ? code : expand_scalar(evaluator, section, item, out, error);
    }
    return code;
}

static int expand_node(struct evaluator *evaluator, struct str key, const struct node *node,
                       struct buffer *out, struct error *error)
{
    switch (node->kind) {
    case NODE_SCALAR:
        return expand_scalar(evaluator, key_section(key), node, out, error);
    case NODE_LIST:
        return expand_joined(evaluator, key_section(key), node, out, error);
    case NODE_MAP:
        break;
    }
    return error_set(error, -EINVAL, "%.*s is a map, which cannot be part of a text", STR_ARG(key));
}

/* The default as if it stood in a file. Config.directory has one that no table can know. */
static struct node default_node(const struct config *config, const struct option *option)
{
    const char *text = option->initial == NULL ? "" : option->initial;
    if (strcmp(option->key, "Config.directory") == 0) {
        text = config->directory;
    } else if (strcmp(option->key, "Config.writeback") == 0 && config->directory[0] == '\0' &&
               config_lookup(config, STR("Config.directory"), NULL) == NULL) {
        text = "";
    }
    return (struct node){.kind = NODE_SCALAR, .text = str_from(text)};
}

static int report_unknown_name(struct str key, struct error *error)
{
    const struct option *near = option_suggest(key);
    return error_set(error, -EINVAL, "there is no option %.*s%s%s%s", (int)str_first(key, 80).len,
                     key.data, near == NULL ? "" : "; did you mean ", near == NULL ? "" : near->key,
                     near == NULL ? "" : "?");
}

static void warn_unset(struct evaluator *evaluator, struct str key)
{
    if (evaluator->depth == 0) {
        return;
    }
    struct str user = evaluator->stack[evaluator->depth - 1];
    const struct setting *setting = config_lookup(evaluator->config, user, NULL);
    if (setting != NULL && option_find(user) != NULL) {
        problem_add(evaluator->problems, SEVERITY_WARNING, setting->value->place, NULL,
                    "%.*s refers to %.*s, which nothing sets; it is empty here", STR_ARG(user),
                    (int)str_first(key, 80).len, key.data);
    }
}

/* %(key): the callback of the interpolation. */
static int lookup(void *context, struct str key, struct buffer *out, struct error *error)
{
    struct evaluator *evaluator = context;
    const struct setting *setting = config_lookup(evaluator->config, key, NULL);
    const struct option *option = option_find(key);
    struct node fallback;
    if (setting == NULL && option == NULL) {
        if (section_is_ours(key_section(key)) || str_find(key, '.') == key.len) {
            return report_unknown_name(key, error);
        }
        warn_unset(evaluator, key);
        return 0;
    }
    int code = enter(evaluator, key, error);
    if (code < 0) {
        return code;
    }
    if (setting == NULL) {
        fallback = default_node(evaluator->config, option);
    }
    code = expand_node(evaluator, key, setting == NULL ? &fallback : setting->value, out, error);
    evaluator->depth--;
    return code;
}

static int parse_scalar(struct evaluator *evaluator, const struct option *option,
                        const struct node *node, struct evaluated *result, struct error *error,
                        char hint[256])
{
    struct buffer text;
    buffer_init(&text, VALUE_MAX_BYTES);
    int code = expand_scalar(evaluator, key_section(str_from(option->key)), node, &text, error);
    if (code == 0) {
        code = value_parse(option, buffer_view(&text), &evaluator->config->arena, &result->value,
                           error, hint);
    }
    buffer_done(&text);
    return code;
}

static int parse_list(struct evaluator *evaluator, const struct option *option,
                      const struct node *node, struct evaluated *result, struct error *error,
                      char hint[256])
{
    struct str items[OPTION_LIST_MAX];
    struct arena *arena = &evaluator->config->arena;
    size_t count = 0;
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        struct buffer text;
        if (item->kind != NODE_SCALAR || count == OPTION_LIST_MAX) {
            evaluator->failed_at = item->place;
            return error_set(error, -EINVAL,
                             item->kind != NODE_SCALAR ? "%s wants a list of texts"
                                                       : "%s has too many items",
                             option->key);
        }
        buffer_init(&text, VALUE_MAX_BYTES);
        int code = expand_scalar(evaluator, key_section(str_from(option->key)), item, &text, error);
        const char *copy = code < 0 ? NULL : arena_strdup(arena, buffer_view(&text));
        size_t len = buffer_size(&text);
        buffer_done(&text);
        if (copy == NULL) {
            return code < 0 ? code : -ENOMEM;
        }
        items[count++] = str_make(copy, len);
    }
    return value_from_items(option, items, count, arena, &result->value, error, hint);
}

static int parse_node(struct evaluator *evaluator, const struct option *option,
                      const struct node *node, struct evaluated *result, struct error *error,
                      char hint[256])
{
    if (node->kind == NODE_SCALAR) {
        return parse_scalar(evaluator, option, node, result, error, hint);
    }
    if (node->kind == NODE_LIST && option_is_list(option)) {
        return parse_list(evaluator, option, node, result, error, hint);
    }
    return error_set(error, -EINVAL, "%s wants %s, not %s", option->key,
                     option_type_words(option->type), node_words(node));
}

static void report(struct evaluator *evaluator, const struct option *option,
                   const struct node *node, const struct error *error, char hint[256])
{
    struct place place = evaluator->failed_at.source == NULL ? node->place : evaluator->failed_at;
    bool is_elsewhere = place.source != node->place.source || place.line != node->place.line;
    if (is_elsewhere && hint[0] == '\0' && node->kind == NODE_SCALAR) {
        snprintf(hint, 256, "%s needs it", option->key);
    }
    problem_add(evaluator->problems, SEVERITY_ERROR, place, hint[0] == '\0' ? NULL : hint, "%s",
                error->message);
}

/* A secret that everybody on the machine may read is none. */
static void check_secrecy(struct evaluator *evaluator, const struct option *option,
                          const struct evaluated *result)
{
    if ((option->flags & OPTION_SECRET) == 0 || !result->value.is_set ||
        result->place.source == NULL) {
        return;
    }
    bool is_file = evaluator->path != NULL;
    const struct file_facts *facts = is_file ? &evaluator->facts : &result->place.source->facts;
    if ((facts->mode & S_IRWXO) != 0) {
        char hint[256];
        const char *path = is_file ? evaluator->path : result->place.source->name;
        snprintf(hint, sizeof hint, "chmod o= %s", path);
        problem_add(evaluator->problems, SEVERITY_WARNING, result->place, hint,
                    "%s: everyone on this machine may read %s", option->key, path);
    }
}

static void warn_rival(struct problems *problems, const struct setting *setting,
                       const struct setting *rival)
{
    char hint[128];
    if (rival == NULL) {
        return;
    }
    snprintf(hint, sizeof hint, "the context %.*s wins", STR_ARG(setting->layer->name));
    problem_add(problems, SEVERITY_WARNING, rival->value->place, hint,
                "%.*s has another value in a context of equal depth, in line %u",
                STR_ARG(setting->key), setting->value->place.line);
}

int config_evaluate_setting(struct config *config, const struct option *option,
                            const struct setting *setting, const struct config_system *system,
                            struct problems *problems)
{
    struct evaluator evaluator = {.config = config, .system = system, .problems = problems};
    evaluator.interpolation = (struct interpolation){
        lookup, read_for_filter, environment_for_filter, &evaluator, INTERPOLATE_BUDGET};
    struct evaluated *result = &config->values[option_index(option)];
    struct node fallback = default_node(config, option);
    const struct node *node = setting == NULL ? &fallback : setting->value;
    struct error error = {.message = ""};
    char hint[256] = "";

    *result = (struct evaluated){.value.text = "", .place = node->place, .is_used = true};
    if (setting == NULL && node->text.len == 0) {
        return 0;
    }
    evaluator.stack[evaluator.depth++] = str_from(option->key);
    int code = parse_node(&evaluator, option, node, result, &error, hint);
    if (code == -ENOMEM) {
        return code;
    }
    if (code < 0) {
        result->is_broken = true;
        report(&evaluator, option, node, &error, hint);
    }
    check_secrecy(&evaluator, option, result);
    return 0;
}

int config_evaluate(struct config *config, const struct option *option,
                    const struct config_system *system, struct problems *problems)
{
    const struct setting *rival = NULL;
    const struct setting *setting = config_lookup(config, str_from(option->key), &rival);
    warn_rival(problems, setting, rival);
    return config_evaluate_setting(config, option, setting, system, problems);
}
