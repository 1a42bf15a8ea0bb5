/* SPDX-License-Identifier: Apache-2.0 */
/* YAML by libyaml's events. The depth of recursion is YAML_DEPTH_MAX. One thread. */
#include "config/config_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { ANCHORS_MAX = 256 };

struct anchor {
    const char *name;
    const struct node *node; /* NULL: still being read, so an alias would contain itself */
};

struct reader {
    yaml_parser_t parser;
    const struct source *source;
    struct arena *arena;
    struct problems *problems;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t weight; /* nodes so far, aliases written out */
    unsigned depth;
};

static struct place mark_place(const struct reader *reader, yaml_mark_t mark)
{
    return (struct place){reader->source, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static int refuse(struct reader *reader, yaml_mark_t mark, const char *hint, const char *message)
{
    problem_add(reader->problems, SEVERITY_ERROR, mark_place(reader, mark), hint, "%s", message);
    return -EINVAL;
}

/* Column (from 1) of a tab in the white space that a line begins with, 0: there is none. */
static unsigned indentation_tab(struct str line)
{
    for (size_t i = 0; i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'); i++) {
        if (line.data[i] == '\t') {
            return (unsigned)i + 1;
        }
    }
    return 0;
}

/* Characters that YAML forbids are met while libyaml reads ahead: it knows their offset only. */
static struct place offset_place(const struct source *source, size_t offset)
{
    struct place place = {source, 1, 1};
    for (size_t i = 0; i < offset && i < source->text.len; i++) {
        char c = source->text.data[i];
        place.column = c == '\n' ? 1 : place.column + (((unsigned char)c & 0xc0) != 0x80);
        place.line += c == '\n';
    }
    return place;
}

/* libyaml's words are fine but for the most frequent mistake. */
static int explain_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    struct place place = mark_place(reader, parser->problem_mark);
    if (parser->error == YAML_MEMORY_ERROR) {
        return -ENOMEM;
    }
    if (parser->error == YAML_READER_ERROR) {
        place = offset_place(reader->source, parser->problem_offset);
    }
    unsigned tab = indentation_tab(source_line(reader->source, place.line));
    if (tab > 0) {
        place.column = tab;
        problem_add(reader->problems, SEVERITY_ERROR, place,
                    "indent with spaces; an editor can show tabs",
                    "the line is indented with a tab, which YAML does not allow");
        return -EINVAL;
    }
    char hint[160] = "";
    if (parser->context != NULL && parser->context_mark.line != parser->problem_mark.line) {
        snprintf(hint, sizeof hint, "%s that began in line %zu", parser->context,
                 parser->context_mark.line + 1);
    }
    problem_add(reader->problems, SEVERITY_ERROR, place, hint[0] == '\0' ? NULL : hint,
                "this is no YAML: %s", parser->problem == NULL ? "unknown" : parser->problem);
    return -EINVAL;
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event) == 1 ? 0 : explain_syntax(reader);
}

static int count_nodes(struct reader *reader, yaml_mark_t mark, size_t weight)
{
    reader->weight += weight;
    return reader->weight <= YAML_NODES_MAX
               ? 0
               : refuse(reader, mark, "aliases count with all that they stand for",
                        "the file has too many entries");
}

static int node_make(struct reader *reader, enum node_kind kind, yaml_mark_t mark,
                     struct node **node)
{
    int code = count_nodes(reader, mark, 1);
    if (code < 0) {
        return code;
    }
    *node = arena_calloc(reader->arena, 1, sizeof **node);
    if (*node == NULL) {
        return -ENOMEM;
    }
    (*node)->kind = kind;
    (*node)->place = mark_place(reader, mark);
    (*node)->weight = 1;
    return 0;
}

/* Only the tags of YAML itself, which name what the text is anyway. */
static int check_tag(struct reader *reader, const yaml_char_t *tag, yaml_mark_t mark)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    const char *text = (const char *)tag;
    if (tag == NULL || strcmp(text, "!") == 0) {
        return 0;
    }
    if (strncmp(text, prefix, sizeof prefix - 1) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            if (strcmp(text + sizeof prefix - 1, known[i]) == 0) {
                return 0;
            }
        }
    }
    return refuse(reader, mark, "leave the tag out", "tags such as this one mean nothing here");
}

static struct anchor *find_anchor(struct reader *reader, const yaml_char_t *name)
{
    for (size_t i = reader->anchor_count; i > 0; i--) {
        if (strcmp(reader->anchors[i - 1].name, (const char *)name) == 0) {
            return &reader->anchors[i - 1];
        }
    }
    return NULL;
}

/* *index: where anchor_close() finds it again; ANCHORS_MAX: the node has no anchor. */
static int anchor_open(struct reader *reader, const yaml_char_t *name, yaml_mark_t mark,
                       size_t *index)
{
    *index = ANCHORS_MAX;
    if (name == NULL) {
        return 0;
    }
    if (reader->anchor_count == ANCHORS_MAX) {
        return refuse(reader, mark, NULL, "the file has too many anchors");
    }
    const char *copy = arena_strdup(reader->arena, str_from((const char *)name));
    if (copy == NULL) {
        return -ENOMEM;
    }
    *index = reader->anchor_count++;
    reader->anchors[*index] = (struct anchor){copy, NULL};
    return 0;
}

static void anchor_close(struct reader *reader, size_t index, const struct node *node)
{
    if (index < ANCHORS_MAX) {
        reader->anchors[index].node = node;
    }
}

static int read_node(struct reader *reader, const yaml_event_t *event, struct node **node);

static int read_alias(struct reader *reader, const yaml_event_t *event, struct node **node)
{
    const struct anchor *anchor = find_anchor(reader, event->data.alias.anchor);
    if (anchor == NULL) {
        return refuse(reader, event->start_mark, "anchors come before their aliases",
                      "the alias names no anchor");
    }
    if (anchor->node == NULL) {
        return refuse(reader, event->start_mark, NULL, "the alias stands for itself");
    }
    int code = count_nodes(reader, event->start_mark, anchor->node->weight);
    if (code < 0) {
        return code;
    }
    /* A copy of the head, for it gets another neighbour; what is below is shared. */
    *node = arena_alloc(reader->arena, sizeof **node);
    if (*node == NULL) {
        return -ENOMEM;
    }
    **node = *anchor->node;
    (*node)->next = NULL;
    return 0;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, struct node **out)
{
    struct node *node = NULL;
    size_t anchor = ANCHORS_MAX;
    int code = node_make(reader, NODE_SCALAR, event->start_mark, &node);
    if (code == 0) {
        code = check_tag(reader, event->data.scalar.tag, event->start_mark);
    }
    if (code == 0) {
        code = anchor_open(reader, event->data.scalar.anchor, event->start_mark, &anchor);
    }
    if (code < 0) {
        return code;
    }
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const char *copy = arena_strdup(reader->arena, text);
    if (copy == NULL) {
        return -ENOMEM;
    }
    node->text = str_make(copy, text.len);
    node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    anchor_close(reader, anchor, node);
    *out = node;
    return 0;
}

static int read_list(struct reader *reader, struct node *list)
{
    struct node **tail = &list->first;
    for (;;) {
        yaml_event_t event;
        int code = next_event(reader, &event);
        if (code < 0) {
            return code;
        }
        bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
        struct node *item = NULL;
        code = is_end ? 0 : read_node(reader, &event, &item);
        yaml_event_delete(&event);
        if (item != NULL) {
            *tail = item;
            tail = &item->next;
            list->weight += item->weight;
        }
        if (code < 0 || is_end) {
            return code;
        }
    }
}

static int read_key(struct reader *reader, const yaml_event_t *event, struct entry **entry)
{
    struct str key = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (event->type != YAML_SCALAR_EVENT) {
        return refuse(reader, event->start_mark, NULL, "a key must be a word");
    }
    if (str_equal(key, STR("<<"))) {
        return refuse(reader, event->start_mark, "write the values out, or use Config.includes",
                      "merge keys are not supported");
    }
    if (key.len == 0 || key.len > 256 || memchr(key.data, '\0', key.len) != NULL) {
        return refuse(reader, event->start_mark, NULL, "this cannot be a key");
    }
    *entry = arena_calloc(reader->arena, 1, sizeof **entry);
    const char *copy = arena_strdup(reader->arena, key);
    if (*entry == NULL || copy == NULL) {
        return -ENOMEM;
    }
    (*entry)->key = str_make(copy, key.len);
    (*entry)->place = mark_place(reader, event->start_mark);
    return 0;
}

static int read_value(struct reader *reader, struct node **node)
{
    yaml_event_t event;
    int code = next_event(reader, &event);
    if (code < 0) {
        return code;
    }
    code = read_node(reader, &event, node);
    yaml_event_delete(&event);
    return code;
}

static int read_map(struct reader *reader, struct node *map)
{
    struct entry **tail = &map->entries;
    for (;;) {
        yaml_event_t event;
        struct entry *entry = NULL;
        struct node *value = NULL;
        int code = next_event(reader, &event);
        if (code < 0) {
            return code;
        }
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        code = is_end ? 0 : read_key(reader, &event, &entry);
        yaml_event_delete(&event);
        if (code < 0 || is_end) {
            return code;
        }
        code = read_value(reader, &value);
        if (value != NULL) {
            entry->value = value;
            *tail = entry;
            tail = &entry->next;
            map->weight += value->weight;
        }
        if (code < 0) {
            return code;
        }
    }
}

static int read_collection(struct reader *reader, const yaml_event_t *event, struct node **node)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *name =
        is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag =
        is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    size_t anchor = ANCHORS_MAX;
    if (reader->depth == YAML_DEPTH_MAX) {
        return refuse(reader, event->start_mark, NULL, "this is nested too deeply");
    }
    int code = check_tag(reader, tag, event->start_mark);
    if (code == 0) {
        code = anchor_open(reader, name, event->start_mark, &anchor);
    }
    struct node *made = NULL;
    if (code == 0) {
        code = node_make(reader, is_map ? NODE_MAP : NODE_LIST, event->start_mark, &made);
    }
    if (code < 0 || made == NULL) {
        return code;
    }
    reader->depth++;
    code = is_map ? read_map(reader, made) : read_list(reader, made);
    reader->depth--;
    anchor_close(reader, anchor, made);
    *node = made;
    return code;
}

/* *node may be set on failure, too: to what was read before it. */
static int read_node(struct reader *reader, const yaml_event_t *event, struct node **node)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(reader, event, node);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event, node);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return read_collection(reader, event, node);
    default:
        return refuse(reader, event->start_mark, NULL, "this is no YAML: a value is missing");
    }
}

static int read_root(struct reader *reader, const yaml_event_t *event, const struct node **root)
{
    struct node *node = NULL;
    int code = read_node(reader, event, &node);
    if (node == NULL || node_is_null(node)) {
        return code;
    }
    if (node->kind != NODE_MAP) {
        problem_add(reader->problems, SEVERITY_ERROR, node->place,
                    "write lines such as Frontend.bind_port: 8080",
                    "a configuration is a map of keys and values, not %s", node_words(node));
        return -EINVAL;
    }
    *root = node;
    return code;
}

static int read_document(struct reader *reader, const struct node **root)
{
    unsigned documents = 0;
    for (;;) {
        yaml_event_t event;
        int code = next_event(reader, &event);
        if (code < 0) {
            return code;
        }
        enum yaml_event_type_e type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && documents++ > 0) {
            code = refuse(reader, event.start_mark, "put it into a file of its own",
                          "a second document begins here");
        } else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                   type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
            code = read_root(reader, &event, root);
        }
        yaml_event_delete(&event);
        if (code < 0 || type == YAML_STREAM_END_EVENT) {
            return code;
        }
    }
}

static int check_encoding(const struct source *source, struct problems *problems)
{
    struct place place;
    if (source_check_utf8(source, &place) == 0) {
        return 0;
    }
    problem_add(problems, SEVERITY_ERROR, place, "save the file as UTF-8",
                "the file is not UTF-8 from here on");
    return -EINVAL;
}

int yaml_parse(const struct source *source, struct arena *arena, struct problems *problems,
               const struct node **root)
{
    struct reader reader = {.source = source, .arena = arena, .problems = problems};
    int code = check_encoding(source, problems);
    if (code < 0) {
        return code;
    }
    if (yaml_parser_initialize(&reader.parser) != 1) {
        return -ENOMEM;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)source->text.data,
                                 source->text.len);
    code = read_document(&reader, root);
    yaml_parser_delete(&reader.parser);
    return code;
}

bool node_is_null(const struct node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (node->kind == NODE_SCALAR && node->is_plain &&
            str_equal(node->text, str_from(words[i]))) {
            return true;
        }
    }
    return false;
}

const char *node_words(const struct node *node)
{
    return node->kind == NODE_LIST ? "a list" : node->kind == NODE_MAP ? "a map" : "a text";
}
