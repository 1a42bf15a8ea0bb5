/* SPDX-License-Identifier: Apache-2.0 */
/* Overlaying files and finding what counts. One thread builds, any thread reads. */
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>

struct merge {
    struct settings *settings;
    struct problems *problems; /* NULL: nobody listens */
};

void settings_init(struct settings *settings, struct arena *arena, const struct contexts *contexts)
{
    *settings = (struct settings){.arena = arena, .contexts = contexts};
    settings->root.is_active = true;
    settings->tail = &settings->first;
}

static unsigned bucket_of(struct str key)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * 16777619U;
    }
    return hash % SETTINGS_BUCKETS;
}

static struct setting *find_in_layer(const struct settings *settings, const struct layer *layer,
                                     struct str key)
{
    struct setting *setting = settings->buckets[bucket_of(key)];
    while (setting != NULL && (setting->layer != layer || !str_equal(setting->key, key))) {
        setting = setting->next;
    }
    return setting;
}

static struct layer *layer_get(struct settings *settings, struct layer *parent, struct str name)
{
    for (struct layer *child = parent->children; child != NULL; child = child->next) {
        if (str_equal(child->name, name)) {
            return child;
        }
    }
    struct layer *layer = arena_calloc(settings->arena, 1, sizeof *layer);
    if (layer == NULL) {
        return NULL;
    }
    layer->name = name; /* lives in the arena, as the tree that it comes from */
    layer->parent = parent;
    layer->depth = parent->depth + 1;
    layer->position = contexts_position(settings->contexts, name);
    layer->is_active = parent->is_active && layer->position >= 0;
    layer->next = parent->children;
    parent->children = layer;
    return layer;
}

static int report_duplicate(const struct merge *merge, struct str key, struct place place,
                            struct place before)
{
    char hint[64];
    snprintf(hint, sizeof hint, "it is set in line %u already", before.line);
    if (merge->problems != NULL) {
        problem_add(merge->problems, SEVERITY_ERROR, place, hint, "%.*s is set twice",
                    STR_ARG(key));
    }
    return 0;
}

static int put(const struct merge *merge, struct layer *layer, struct str key,
               const struct node *value, struct place place)
{
    struct settings *settings = merge->settings;
    struct setting *setting = find_in_layer(settings, layer, key);
    if (setting != NULL && setting->place.source == place.source) {
        return report_duplicate(merge, key, place, setting->place);
    }
    if (setting == NULL) {
        setting = arena_calloc(settings->arena, 1, sizeof *setting);
        if (setting == NULL) {
            return -ENOMEM;
        }
        setting->key = key;
        setting->layer = layer;
        setting->option = option_find(key);
        setting->next = settings->buckets[bucket_of(key)];
        settings->buckets[bucket_of(key)] = setting;
        *settings->tail = setting;
        settings->tail = &setting->next_set;
    }
    setting->value = value;
    setting->place = place;
    return 0;
}

int settings_put(struct settings *settings, struct str key, const struct node *value,
                 struct place place)
{
    const struct merge merge = {settings, NULL};
    return put(&merge, &settings->root, key, value, place);
}

void report_unknown_key(struct problems *problems, struct place place, struct str key)
{
    char hint[256];
    struct str section = key_section(key);
    const struct option *near = option_suggest(key);
    if (near == NULL) {
        near = option_in_misspelt_section(key);
    }
    if (near != NULL) {
        snprintf(hint, sizeof hint, "did you mean %s?", near->key);
    } else {
        snprintf(hint, sizeof hint, "--help-config%s%.*s lists them", section.len > 0 ? "=" : "",
                 STR_ARG(section));
    }
    if (problems != NULL && section.len > 0 && !section_is_ours(section)) {
        problem_add(problems, SEVERITY_ERROR, place, hint, "there is no section %.*s",
                    STR_ARG(section));
    } else if (problems != NULL) {
        problem_add(problems, SEVERITY_ERROR, place, hint, "there is no option %.*s", STR_ARG(key));
    }
}

/* One key with its section. Foreign ones are kept as well: values may refer to them. */
static int merge_key(const struct merge *merge, struct layer *layer, struct str key,
                     const struct entry *entry)
{
    struct str section = key_section(key);
    bool is_unknown = section_is_ours(section) ? option_find(key) == NULL
                                               : option_in_misspelt_section(key) != NULL;
    if (section.len == 0 || is_unknown) {
        report_unknown_key(merge->problems, entry->place, key);
        return 0;
    }
    return put(merge, layer, key, entry->value, entry->place);
}

/* Frontend: {bind_port: 8080} */
static int merge_section(const struct merge *merge, struct layer *layer, const struct entry *entry)
{
    for (const struct entry *e = entry->value->entries; e != NULL; e = e->next) {
        const char *key =
            arena_printf(merge->settings->arena, "%.*s.%.*s", STR_ARG(entry->key), STR_ARG(e->key));
        int code = key == NULL ? -ENOMEM : merge_key(merge, layer, str_from(key), e);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int merge_map(const struct merge *merge, struct layer *layer, const struct node *map);

static int merge_context(const struct merge *merge, struct layer *layer, const struct entry *entry)
{
    if (node_is_null(entry->value)) {
        return 0;
    }
    if (entry->value->kind != NODE_MAP && merge->problems != NULL) {
        problem_add(merge->problems, SEVERITY_ERROR, entry->value->place,
                    "indent the options of the context below it",
                    "%.*s is a context; it wants a map", STR_ARG(entry->key));
    }
    if (entry->value->kind != NODE_MAP) {
        return 0;
    }
    struct layer *child = layer_get(merge->settings, layer, entry->key);
    return child == NULL ? -ENOMEM : merge_map(merge, child, entry->value);
}

static int report_unknown_context(const struct merge *merge, const struct entry *entry)
{
    char hint[128];
    const char *near = context_suggest(entry->key);
    snprintf(hint, sizeof hint, "did you mean %s?", near == NULL ? "" : near);
    if (merge->problems != NULL) {
        problem_add(merge->problems, SEVERITY_ERROR, entry->place, near == NULL ? NULL : hint,
                    "there is no context \"%.*s\"", STR_ARG(entry->key));
    }
    return 0;
}

static int merge_entry(const struct merge *merge, struct layer *layer, const struct entry *entry)
{
    struct str key = entry->key;
    bool is_map = entry->value->kind == NODE_MAP;
    if (context_is_known(key)) {
        return merge_context(merge, layer, entry);
    }
    if (context_is_like(key) && (is_map || str_find(key, '.') == key.len)) {
        return report_unknown_context(merge, entry);
    }
    if (str_find(key, '.') < key.len) {
        return merge_key(merge, layer, key, entry);
    }
    if (is_map && !section_is_ours(key) && context_suggest(key) != NULL) {
        return report_unknown_context(merge, entry);
    }
    if (is_map) {
        return merge_section(merge, layer, entry);
    }
    /* A section with all its lines commented out. */
    if (node_is_null(entry->value) && option_suggest(key) == NULL) {
        return 0;
    }
    return merge_key(merge, layer, key, entry);
}

/* An earlier block of the same name in the same map. O(n) for each block; a file has a handful. */
static const struct entry *earlier_block(const struct node *map, const struct entry *entry)
{
    for (const struct entry *e = map->entries; e != entry; e = e->next) {
        if (e->value->kind == NODE_MAP && str_equal(e->key, entry->key)) {
            return e;
        }
    }
    return NULL;
}

/* As deep as the tree, which is YAML_DEPTH_MAX. */
static int merge_map(const struct merge *merge, struct layer *layer, const struct node *map)
{
    for (const struct entry *entry = map->entries; entry != NULL; entry = entry->next) {
        const struct entry *earlier =
            entry->value->kind == NODE_MAP ? earlier_block(map, entry) : NULL;
        int code = earlier == NULL
                       ? merge_entry(merge, layer, entry)
                       : report_duplicate(merge, entry->key, entry->place, earlier->place);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

int settings_merge(struct settings *settings, const struct node *root, struct problems *problems)
{
    const struct merge merge = {settings, problems};
    return merge_map(&merge, &settings->root, root);
}

static bool is_set(const struct setting *setting)
{
    return setting != NULL && !node_is_null(setting->value);
}

const struct setting *settings_top(const struct settings *settings, struct str key)
{
    const struct setting *setting = find_in_layer(settings, &settings->root, key);
    return is_set(setting) ? setting : NULL;
}

/* Of two layers of equal depth the one whose path has the later context at the first difference. */
static bool layer_wins(const struct layer *layer, const struct layer *other)
{
    int sign = 0;
    while (layer->depth > 0) {
        if (layer->position != other->position) {
            sign = layer->position - other->position; /* the one nearest to the root stays */
        }
        layer = layer->parent;
        other = other->parent;
    }
    return sign > 0;
}

static bool same_value(const struct node *a, const struct node *b)
{
    return a->kind == NODE_SCALAR && b->kind == NODE_SCALAR &&
           str_equal(str_trim(a->text), str_trim(b->text));
}

const struct setting *settings_find(const struct settings *settings, struct str key,
                                    const struct setting **rival)
{
    const struct setting *best = NULL;
    const struct setting *loser = NULL;
    for (const struct setting *s = settings->buckets[bucket_of(key)]; s != NULL; s = s->next) {
        if (!s->layer->is_active || !str_equal(s->key, key) || !is_set(s)) {
            continue;
        }
        if (best == NULL || s->layer->depth > best->layer->depth) {
            best = s;
            loser = NULL;
        } else if (s->layer->depth == best->layer->depth) {
            bool wins = layer_wins(s->layer, best->layer);
            loser = wins ? best : s;
            best = wins ? s : best;
        }
    }
    if (rival != NULL) {
        *rival = loser != NULL && !same_value(best->value, loser->value) ? loser : NULL;
    }
    return best;
}
