/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded configuration: every option of one program, checked, with its value. It never changes; a
 * reload loads another one and swaps the two. Shared by reference count between threads; the
 * getters may be called from any of them.
 *
 * Later wins: built-in default; the files in order, with what they include; the deepest block whose
 * contexts are active; the top level of the writeback file; -p Key=value. */
#ifndef PORTICO_CONFIG_CONFIG_H
#define PORTICO_CONFIG_CONFIG_H

#include "base/clock.h"
#include "config/context.h"
#include "config/option.h"
#include "config/problem.h"

enum {
    CONFIG_FILES_MAX = 64, /* includes counted */
    CONFIG_INCLUDE_DEPTH = 8,
};

struct config;

/* All borrowed for the time of the call. */
struct config_request {
    enum program program;
    const char *const *files; /* as --config named them */
    size_t file_count;
    const char *const *parameters; /* "Key=value" as -p gave them */
    size_t parameter_count;
    const char *const *contexts; /* beyond those of the program; must be known */
    size_t context_count;
    const struct config_system *system; /* NULL: the real one */
};

/* Read, check, evaluate. Every problem of every file goes to `problems`. The caller holds the first
 * reference of *config.
 * 0; -EINVAL: `problems` has errors, *config is untouched; -ENOMEM. */
MUST_CHECK int config_load(const struct config_request *request, struct problems *problems,
                           struct config **config);

struct config *config_ref(struct config *config);
void config_unref(struct config *config);

/* Values. Asking for a key that is not in options.def, with the getter of another type, or for an
 * option that the loading program does not use, is a failed CHECK. An option that is not set gives
 * 0, "" or no items. Texts and lists live as long as the configuration.
 *
 * They search the table: read what a hot path needs into a struct of its own. */
bool config_is_set(const struct config *config, const char *key);
bool config_bool(const struct config *config, const char *key);
int64_t config_int(const struct config *config, const char *key);   /* int, port */
uint64_t config_size(const struct config *config, const char *key); /* bytes */
usec_t config_usec(const struct config *config, const char *key);
unsigned config_enum(const struct config *config, const char *key);   /* number of the word */
const char *config_str(const struct config *config, const char *key); /* all but lists */
struct option_list config_list(const struct config *config, const char *key);

/* The range of the instances; last == first when Frontend.port_max is not set. */
struct port_range {
    uint16_t first, last;
};
struct port_range config_frontend_range(const struct config *config);
/* That of their metrics listeners; {0, 0}: none. */
struct port_range config_monitoring_range(const struct config *config);

/* Where the value comes from: "default", "FILE:LINE", "-p", "writeback FILE:LINE". As snprintf().
 */
int config_origin(const struct config *config, const char *key, char *out, size_t size);

/* Where it was set, for problem_add(); without a source when it was not. Lives as long as the
 * configuration. */
struct place config_place(const struct config *config, const char *key);

/* The next option of the program, from index *at on, whose value differs between two
 * configurations although the program takes it up at its start only; *at goes behind it. NULL:
 * there is none. */
const struct option *config_next_restart(const struct config *before, const struct config *after,
                                         size_t *at);

/* For --show-config and --check-config. */
const struct value *config_value(const struct config *config, const struct option *option);
enum program config_program(const struct config *config);
size_t config_file_count(const struct config *config);
size_t config_set_count(const struct config *config); /* options of ours that are not defaults */
size_t config_foreign_count(const struct config *config); /* settings of foreign sections */

/* What was read: configuration files, and those that values take in with the filter "file", each
 * once, in no particular order. They live as long as the configuration. */
struct config_file {
    const struct config_file *next;
    const char *path; /* seen from where the program was started */
    bool is_configuration;
};
const struct config_file *config_files(const struct config *config);

/* "AdminUI (12), Mysql (5)"; borrowed, empty when there are none. */
const char *config_foreign_sections(const struct config *config);

#endif
