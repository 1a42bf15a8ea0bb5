/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and their raw values as files set them, one laid over the other, inside context blocks too.
 * Built by one thread, in the arena of a configuration; constant afterwards. */
#ifndef PORTICO_CONFIG_SETTINGS_H
#define PORTICO_CONFIG_SETTINGS_H

#include "config/config_yaml.h"
#include "config/context.h"

enum { SETTINGS_BUCKETS = 1024 };

/* A context block; the root has no name. */
struct layer {
    struct str name;
    const struct layer *parent;
    struct layer *children, *next;
    unsigned depth; /* 0: the root */
    bool is_active; /* with all above it */
    int position;   /* of its name among the active contexts */
};

struct setting {
    struct str key;
    const struct layer *layer;
    const struct node *value;    /* null values are kept: they hide what an earlier file set here */
    struct place place;          /* of the key */
    const struct option *option; /* NULL: foreign */
    struct setting *next;        /* in its bucket */
    struct setting *next_set;    /* in the order of first appearance */
};

struct settings {
    struct arena *arena;             /* borrowed */
    const struct contexts *contexts; /* borrowed */
    struct layer root;
    struct setting *buckets[SETTINGS_BUCKETS];
    struct setting *first, **tail;
};

void settings_init(struct settings *settings, struct arena *arena, const struct contexts *contexts);

/* Lay the tree of one file over what is there. Unknown keys, unknown contexts, keys that the file
 * sets twice go to `problems` (NULL: nobody listens) and are skipped. 0 or -ENOMEM. */
MUST_CHECK int settings_merge(struct settings *settings, const struct node *root,
                              struct problems *problems);

/* Set one top-level key. 0 or -ENOMEM. */
MUST_CHECK int settings_put(struct settings *settings, struct str key, const struct node *value,
                            struct place place);

/* The top-level setting of `key`, NULL: not set. */
const struct setting *settings_top(const struct settings *settings, struct str key);

/* The setting that counts in the active contexts: the deepest, else the top-level one, else NULL.
 * *rival (may be NULL): another one, of equal depth and different value, that lost; or NULL. */
const struct setting *settings_find(const struct settings *settings, struct str key,
                                    const struct setting **rival);

/* Say that `key` is none of ours, and what may have been meant. */
void report_unknown_key(struct problems *problems, struct place place, struct str key);

#endif
