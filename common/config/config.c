/* SPDX-License-Identifier: Apache-2.0 */
/* Life and getters of a loaded configuration. Any thread. */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/config_internal.h"

struct config *config_ref(struct config *config)
{
    atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config *config)
{
    if (config != NULL &&
        atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel) == 1) {
        arena_done(&config->arena);
        config->magic = 0;
        free(config);
    }
}

const struct setting *config_lookup(const struct config *config, struct str key,
                                    const struct setting **rival)
{
    const struct setting *setting = settings_top(&config->parameters, key);
    if (setting == NULL) {
        setting = settings_top(&config->writeback, key);
    }
    if (setting != NULL) {
        if (rival != NULL) {
            *rival = NULL;
        }
        return setting;
    }
    return settings_find(&config->merged, key, rival);
}

const struct evaluated *config_evaluated(const struct config *config, const char *key)
{
    const struct option *option = option_find(str_from(key));
    CHECK(option != NULL);
    return &config->values[option_index(option)];
}

static const struct value *value_of(const struct config *config, const char *key, unsigned types)
{
    const struct option *option = option_find(str_from(key));
    CHECK(option != NULL);
    CHECK((types & 1U << option->type) != 0);
    const struct evaluated *evaluated = &config->values[option_index(option)];
    CHECK(evaluated->is_used);
    return &evaluated->value;
}

#define TYPE(type) (1U << OPTION_##type)
#define TYPES_LIST (TYPE(LIST) | TYPE(NETWORKS))
#define TYPES_ANY (~0U)

bool config_is_set(const struct config *config, const char *key)
{
    return value_of(config, key, TYPES_ANY)->is_set;
}

bool config_bool(const struct config *config, const char *key)
{
    return value_of(config, key, TYPE(BOOL))->number != 0;
}

int64_t config_int(const struct config *config, const char *key)
{
    return value_of(config, key, TYPE(INT) | TYPE(PORT))->number;
}

uint64_t config_size(const struct config *config, const char *key)
{
    return (uint64_t)value_of(config, key, TYPE(SIZE))->number;
}

usec_t config_usec(const struct config *config, const char *key)
{
    return value_of(config, key, TYPE(DURATION))->number;
}

unsigned config_enum(const struct config *config, const char *key)
{
    return (unsigned)value_of(config, key, TYPE(ENUM))->number;
}

const char *config_str(const struct config *config, const char *key)
{
    return value_of(config, key, ~TYPES_LIST)->text;
}

struct option_list config_list(const struct config *config, const char *key)
{
    return value_of(config, key, TYPES_LIST)->list;
}

struct port_range config_frontend_range(const struct config *config)
{
    int64_t first = config_int(config, "Frontend.bind_port");
    int64_t last = config_int(config, "Frontend.port_max");
    return (struct port_range){(uint16_t)first, (uint16_t)(last == 0 ? first : last)};
}

struct port_range config_monitoring_range(const struct config *config)
{
    struct port_range members = config_frontend_range(config);
    int64_t first = config_int(config, "Monitoring.http_port");
    int64_t last = config_int(config, "Monitoring.http_port_max");
    if (first == 0) {
        return (struct port_range){0, 0};
    }
    if (last == 0) {
        last = first + members.last - members.first;
    }
    return (struct port_range){(uint16_t)first, (uint16_t)(last > UINT16_MAX ? UINT16_MAX : last)};
}

struct place config_place(const struct config *config, const char *key)
{
    return config_evaluated(config, key)->place;
}

static bool lists_are_equal(const struct option_list *a, const struct option_list *b)
{
    bool are_equal = a->count == b->count;
    for (size_t i = 0; are_equal && i < a->count; i++) {
        are_equal = strcmp(a->items[i], b->items[i]) == 0;
    }
    return are_equal;
}

static bool is_changed(const struct option *option, const struct config *before,
                       const struct config *after)
{
    const struct value *a = config_value(before, option);
    const struct value *b = config_value(after, option);
    if (option_is_list(option)) {
        return !lists_are_equal(&a->list, &b->list);
    }
    return a->is_set != b->is_set || a->number != b->number || strcmp(a->text, b->text) != 0;
}

const struct option *config_next_restart(const struct config *before, const struct config *after,
                                         size_t *at)
{
    enum program program = config_program(after);
    while (*at < option_count()) {
        const struct option *option = option_at((*at)++);
        if ((option->programs & program) != 0 && !option_reloads(option, program) &&
            is_changed(option, before, after)) {
            return option;
        }
    }
    return NULL;
}

int config_origin(const struct config *config, const char *key, char *out, size_t size)
{
    const struct place *place = &config_evaluated(config, key)->place;
    if (place->source == NULL) {
        return snprintf(out, size, "default");
    }
    if (place->source->kind == SOURCE_PARAMETER) {
        return snprintf(out, size, "-p");
    }
    return snprintf(out, size, "%s%s:%u",
                    place->source->kind == SOURCE_WRITEBACK ? "writeback " : "",
                    place->source->name, place->line);
}

const struct value *config_value(const struct config *config, const struct option *option)
{
    const struct evaluated *evaluated = &config->values[option_index(option)];
    CHECK(evaluated->is_used);
    return &evaluated->value;
}

enum program config_program(const struct config *config)
{
    return config->program;
}

int config_note_file(struct config *config, const char *path, bool is_configuration)
{
    for (const struct config_file *file = config->files; file != NULL; file = file->next) {
        if (strcmp(file->path, path) == 0) {
            return 0;
        }
    }
    struct config_file *file = arena_calloc(&config->arena, 1, sizeof *file);
    if (file == NULL) {
        return -ENOMEM;
    }
    *file = (struct config_file){config->files, path, is_configuration};
    config->files = file;
    return 0;
}

const struct config_file *config_files(const struct config *config)
{
    return config->files;
}

size_t config_file_count(const struct config *config)
{
    return config->file_count;
}

size_t config_set_count(const struct config *config)
{
    return config->set_count;
}

size_t config_foreign_count(const struct config *config)
{
    return config->foreign_count;
}

const char *config_foreign_sections(const struct config *config)
{
    return config->foreign_sections;
}
