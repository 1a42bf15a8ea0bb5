/* SPDX-License-Identifier: Apache-2.0 */
/* For scenario_read.c: single values out of nodes. What is wrong is told in reader->problems at its
 * place. Functions that return bool leave their output alone when they return false. */
#ifndef PORTICO_FLOOD_SCENARIO_VALUE_H
#define PORTICO_FLOOD_SCENARIO_VALUE_H

#include "base/arena.h"
#include "config/config_yaml.h"
#include "config/option.h"

struct reader {
    struct arena *arena;
    struct problems *problems;
    const struct source *source;
    bool is_out_of_memory;
};

PRINTF_LIKE(4, 5)
void reader_complain(struct reader *reader, struct place place, const char *hint,
                     const char *format, ...);

/* "KEY wants WHAT, not VALUE" */
void reader_want(struct reader *reader, const struct entry *entry, const char *what);

/* The word that was probably meant, NULL: nothing is close. */
const char *word_suggest(struct str word, const char *const *words, size_t count);

/* A value as options of the configuration have it: one set of rules for durations and sizes. */
bool reader_quantity(struct reader *reader, const char *key, const struct node *node,
                     enum option_type type, int64_t min, int64_t max, int64_t *number);

/* A number of 0 or more, or a percentage where `is_share` is not NULL. Tells nothing. */
bool number_parse(struct str text, double *number, bool *is_share);

/* The arena's, NULL: it is none. */
const char *reader_text(struct reader *reader, const struct entry *entry);

/* The index of the word, -1: none of them. */
int reader_word(struct reader *reader, const struct entry *entry, const char *const *words,
                size_t count);

void reader_bool(struct reader *reader, const struct entry *entry, bool *value);

/* NULL: the map has no such key. */
const struct node *node_get(const struct node *map, const char *key);

/* The map has only the named keys, each once. */
bool reader_check_map(struct reader *reader, const struct node *map, const char *const *words,
                      size_t count);

#endif
