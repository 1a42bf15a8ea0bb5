/* SPDX-License-Identifier: Apache-2.0 */
/* Single values out of nodes, and what is said when they are wrong. One thread. */
#include "scenario_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Telling ---- */

void reader_complain(struct reader *reader, struct place place, const char *hint,
                     const char *format, ...)
{
    va_list arguments;
    char text[256];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    problem_add(reader->problems, SEVERITY_ERROR, place, hint, "%s", text);
}

void reader_want(struct reader *reader, const struct entry *entry, const char *what)
{
    const struct node *value = entry->value;
    if (value->kind != NODE_SCALAR) {
        reader_complain(reader, value->place, NULL, "%s wants %s, not %s", entry->key.data, what,
                        node_words(value));
    } else {
        reader_complain(reader, value->place, NULL, "%s wants %s, not \"%.60s\"", entry->key.data,
                        what, value->text.data);
    }
}

/* The word that was probably meant, NULL: nothing is close. */
const char *word_suggest(struct str word, const char *const *words, size_t count)
{
    const char *best = NULL;
    unsigned limit = 2;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = str_distance(word, str_from(words[i]), limit);
        if (distance <= limit && distance < word.len) {
            best = words[i];
            limit = distance == 0 ? 0 : distance - 1;
        }
    }
    return best;
}

/* ---- Values ---- */

/* A value as options of the configuration have it: one set of rules for durations and sizes. */
bool reader_quantity(struct reader *reader, const char *key, const struct node *node,
                     enum option_type type, int64_t min, int64_t max, int64_t *number)
{
    /* With a default, so that an empty value is a mistake and does not mean "unset". */
    const struct option option = {.key = key, .type = type, .initial = "", .min = min, .max = max};
    struct value value = {0};
    struct error error = {.line = 0};
    char hint[256] = "";
    if (node->kind != NODE_SCALAR) {
        reader_complain(reader, node->place, NULL, "%s wants %s, not %s", key,
                        option_type_words(type), node_words(node));
        return false;
    }
    int code = value_parse(&option, str_trim(node->text), reader->arena, &value, &error, hint);
    if (code < 0) {
        reader->is_out_of_memory |= code == -ENOMEM;
        reader_complain(reader, node->place, hint[0] == '\0' ? NULL : hint, "%s", error.message);
        return false;
    }
    *number = value.number;
    return true;
}

/* Digits with at most one point. */
static bool is_decimal(struct str text)
{
    size_t digits = 0;
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        digits += text.data[i] >= '0' && text.data[i] <= '9';
        points += text.data[i] == '.';
    }
    return digits > 0 && points <= 1 && digits + points == text.len && text.len < 20;
}

/* A number of 0 or more, or a percentage where `is_share` is not NULL. */
bool number_parse(struct str text, double *number, bool *is_share)
{
    struct str trimmed = str_trim(text);
    bool has_percent = is_share != NULL && str_ends_with(trimmed, STR("%"));
    struct str digits = str_trim(str_first(trimmed, trimmed.len - (has_percent ? 1 : 0)));
    char copy[32];
    if (!is_decimal(digits)) {
        return false;
    }
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(digits));
    *number = strtod(copy, NULL) / (has_percent ? 100 : 1);
    if (is_share != NULL) {
        *is_share = has_percent;
    }
    return true;
}

const char *reader_text(struct reader *reader, const struct entry *entry)
{
    if (entry->value->kind != NODE_SCALAR || node_is_null(entry->value)) {
        reader_want(reader, entry, "a text");
        return NULL;
    }
    return entry->value->text.data; /* the arena's */
}

/* The index of the word, -1: none of them, which was told. */
int reader_word(struct reader *reader, const struct entry *entry, const char *const *words,
                size_t count)
{
    char list[160] = "";
    for (size_t i = 0; i < count; i++) {
        if (entry->value->kind == NODE_SCALAR &&
            str_equal(entry->value->text, str_from(words[i]))) {
            return (int)i;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "one of " : ", ", words[i]);
    }
    const char *close =
        entry->value->kind == NODE_SCALAR ? word_suggest(entry->value->text, words, count) : NULL;
    char hint[200];
    snprintf(hint, sizeof hint, "%s%s%s%s", close == NULL ? "" : "did you mean ",
             close == NULL ? "" : close, close == NULL ? "" : "? It is ", list);
    reader_complain(reader, entry->value->place, hint, "%s is not \"%.60s\"", entry->key.data,
                    entry->value->kind == NODE_SCALAR ? entry->value->text.data
                                                      : node_words(entry->value));
    return -1;
}

void reader_bool(struct reader *reader, const struct entry *entry, bool *value)
{
    int64_t number = 0;
    if (reader_quantity(reader, entry->key.data, entry->value, OPTION_BOOL, 0, 0, &number)) {
        *value = number != 0;
    }
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (const struct entry *entry = map->entries; entry != NULL; entry = entry->next) {
        if (str_equal(entry->key, str_from(key))) {
            return entry->value;
        }
    }
    return NULL;
}

/* Only the named keys, each once. */
bool reader_check_map(struct reader *reader, const struct node *map, const char *const *words,
                      size_t count)
{
    bool is_fine = true;
    for (const struct entry *entry = map->entries; entry != NULL; entry = entry->next) {
        bool is_known = false;
        for (size_t i = 0; i < count; i++) {
            is_known |= str_equal(entry->key, str_from(words[i]));
        }
        bool is_first = node_get(map, entry->key.data) == entry->value;
        if (!is_known || !is_first) {
            const char *close = is_known ? NULL : word_suggest(entry->key, words, count);
            char hint[100];
            snprintf(hint, sizeof hint, "did you mean %s?", close == NULL ? "" : close);
            reader_complain(reader, entry->place, close == NULL ? NULL : hint, "%s \"%.60s\"",
                            is_known ? "a second" : "unknown key", entry->key.data);
            is_fine = false;
        }
    }
    return is_fine;
}
