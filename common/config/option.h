/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options (options.def) and the values that they take. Constant data and pure
 * functions, any thread. */
#ifndef PORTICO_CONFIG_OPTION_H
#define PORTICO_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

enum program {
    PROGRAM_FRONTEND = 1,
    PROGRAM_BALANCER = 2,
    PROGRAM_FLOOD = 4,
    PROGRAM_PORTICO = 8, /* the operator's command: it uses and checks the options of all */
};

/* type, how a person would call it with its article */
#define OPTION_TYPES(X)                                           \
    X(BOOL, "bool", "true or false")                              \
    X(INT, "int", "a whole number")                               \
    X(SIZE, "size", "a size such as 64KiB")                       \
    X(DURATION, "duration", "a duration such as 10s")             \
    X(ADDRESS, "address", "an IP address")                        \
    X(PORT, "port", "a port")                                     \
    X(PATH, "path", "a path")                                     \
    X(PEM, "pem", "a PEM block")                                  \
    X(ENUM, "enum", "one of its words")                           \
    X(LIST, "list", "a list")                                     \
    X(NETWORKS, "networks", "a list of IP addresses or networks") \
    X(STRING, "string", "a text")

enum option_type {
#define X(type, name, words) OPTION_##type,
    OPTION_TYPES(X)
#undef X
};

enum {
    OPTION_RELOAD = 1,
    OPTION_SECRET = 2,
    OPTION_NO_EFFECT = 4,
    OPTION_RELOAD_BALANCER = 8,
};

enum { OPTION_LIST_MAX = 1024 }; /* items */

struct option {
    const char *key;
    enum option_type type;
    const char *choices; /* ENUM: "a|b|c" */
    int64_t min, max;
    const char *initial; /* the default, NULL: not set */
    unsigned programs;
    unsigned flags;
    const char *meaning;
};

struct section {
    const char *name;
    const char *meaning;
};

struct option_list {
    const char *const *items;
    size_t count;
};

struct value {
    bool is_set;
    int64_t number;   /* BOOL, INT, PORT; SIZE in bytes; DURATION in microseconds; ENUM: which */
    const char *text; /* everything but lists, as it was written; never NULL */
    struct option_list list; /* LIST, NETWORKS */
};

size_t option_count(void);
const struct option *option_at(size_t index);
size_t option_index(const struct option *option);
size_t section_count(void);
const struct section *section_at(size_t index);

/* NULL: there is none. Keys are compared as they are, case included. */
const struct option *option_find(struct str key);

/* What stands before the first dot; empty when there is none. */
struct str key_section(struct str key);
bool section_is_ours(struct str name);

/* The option that was probably meant, NULL: nothing is close. Also finds a key without section, and
 * a misspelt section unless it is the name of one of GRR's. */
const struct option *option_suggest(struct str key);

/* The key reads like one of ours with a misspelt section: every word but the section is right. */
const struct option *option_in_misspelt_section(struct str key);

const char *option_type_name(enum option_type type);
const char *option_type_words(enum option_type type);
bool option_is_list(const struct option *option);

/* Whether a reload of that program applies it. */
bool option_reloads(const struct option *option, enum program program);

/* Word number `index` of an ENUM; empty past the end. */
struct str option_choice(const struct option *option, size_t index);

/* Understand `text`, which was interpolated and trimmed. Texts of the value are copied to the
 * arena. 0; -EINVAL, -ERANGE with a message and maybe a hint (`hint`, 256 bytes, empty: none);
 * -ENOMEM. *value is untouched on failure. */
MUST_CHECK int value_parse(const struct option *option, struct str text, struct arena *arena,
                           struct value *value, struct error *error, char hint[256]);

/* As value_parse(), for the items of a YAML list. */
MUST_CHECK int value_from_items(const struct option *option, const struct str *items, size_t count,
                                struct arena *arena, struct value *value, struct error *error,
                                char hint[256]);

/* A number in the option's unit, as a person would write it: "64KiB", "1.5s". As snprintf(). */
int number_format(const struct option *option, int64_t number, char *out, size_t size);

#endif
