/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML text as a tree with places, nothing interpreted: what a key means is decided above. The
 * tree is bounded in depth, in number of nodes (aliases count with all that they stand for) and by
 * the size of the file. It lives in the caller's arena; one thread. */
#ifndef PORTICO_CONFIG_CONFIG_YAML_H
#define PORTICO_CONFIG_CONFIG_YAML_H

#include "base/arena.h"
#include "base/compiler.h"
#include "config/problem.h"
#include "config/source.h"

enum {
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 20000,
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool is_plain; /* scalar without quotes: null, numbers and %-offsets are recognised */
    struct place place;
    struct str text;           /* scalar; NUL-terminated as well */
    struct entry *entries;     /* map, in the file's order */
    struct node *first, *next; /* list: its items; next: within its list */
    size_t weight;             /* nodes in it, aliases written out */
};

struct entry {
    struct str key;
    struct place place; /* of the key */
    const struct node *value;
    struct entry *next;
};

/* True for what YAML calls null: nothing, ~, null without quotes. */
bool node_is_null(const struct node *node);

/* "a list", "a map", "a text" */
const char *node_words(const struct node *node);

/* Parse the source into *root, NULL: the file holds nothing. Mistakes go to `problems`; what stands
 * before a mistake is in the tree nevertheless, so that more can be said about it.
 * 0, -EINVAL (there were problems) or -ENOMEM. */
MUST_CHECK int yaml_parse(const struct source *source, struct arena *arena,
                          struct problems *problems, const struct node **root);

#endif
