/* SPDX-License-Identifier: Apache-2.0 */
/* What loading, evaluating and checking share; nobody else includes it. */
#ifndef PORTICO_CONFIG_CONFIG_INTERNAL_H
#define PORTICO_CONFIG_CONFIG_INTERNAL_H

#include <stdatomic.h>

#include "config/config.h"
#include "config/settings.h"

struct evaluated {
    struct value value;
    struct place place; /* of the value; no source: the default */
    bool is_used;       /* by this program */
    bool is_broken;     /* reported already: draw no conclusions from it */
};

struct config {
    uint32_t magic;
    atomic_uint references;
    struct arena arena; /* everything below lives here */
    enum program program;
    struct contexts contexts;
    const char *directory; /* of the first file; empty: there is none */
    struct settings merged, writeback, parameters;
    struct evaluated *values; /* by option_index() */
    size_t file_count, set_count, foreign_count;
    const char *foreign_sections;
    const struct config_file *files;
};

/* Remember that `path`, which lives in the arena, was read. 0 or -ENOMEM. */
MUST_CHECK int config_note_file(struct config *config, const char *path, bool is_configuration);

/* The setting of `key` that counts, NULL: the default. *rival as settings_find(). */
const struct setting *config_lookup(const struct config *config, struct str key,
                                    const struct setting **rival);

/* Interpolate the raw value of `option` and understand it; problems are reported. 0 or -ENOMEM. */
MUST_CHECK int config_evaluate(struct config *config, const struct option *option,
                               const struct config_system *system, struct problems *problems);

/* The same for a setting that is not the one that counts; NULL: for the default. */
MUST_CHECK int config_evaluate_setting(struct config *config, const struct option *option,
                                       const struct setting *setting,
                                       const struct config_system *system,
                                       struct problems *problems);

/* What no option can say alone: ranges, listeners, keys and certificates. */
void config_check(const struct config *config, struct problems *problems);

const struct evaluated *config_evaluated(const struct config *config, const char *key);

#endif
