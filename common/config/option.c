/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options, finding and suggesting in it. Any thread. */
#include "config/option.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"

#define RELOAD OPTION_RELOAD
#define RELOAD_B OPTION_RELOAD_BALANCER
#define SECRET OPTION_SECRET
#define NO_EFFECT OPTION_NO_EFFECT

static const struct option options[] = {
#define SECTION(name, sentence)
#define OPTION(key, type, choices, min, max, initial, programs, flags, sentence) \
    {key, OPTION_##type, choices, min, max, initial, programs, flags, sentence},
#include "config/options.def"
#undef SECTION
#undef OPTION
};

static const struct section sections[] = {
#define SECTION(name, sentence) {name, sentence},
#define OPTION(...)
#include "config/options.def"
#undef SECTION
#undef OPTION
};

/* Sections of GRR whose names are close enough to ours to be taken for a misspelling, and the
 * others that a real file has. */
static const char *const foreign_sections[] = {
    "ACL",    "API",     "AdminUI",       "Artifacts", "Blobstore",      "Client",
    "Cloud",  "Cron",    "ClientBuilder", "Database",  "ClientRepacker", "ConfigUpdater",
    "Email",  "Flow",    "DualBlobStore", "Hunt",      "Fleetspeak",     "Mysql",
    "Nanny",  "Network", "Osquery",       "Output",    "PyInstaller",    "Rekall",
    "Server", "Source",  "StatsHunt",     "Template",  "Threadpool",     "Timeline",
    "Users",  "Worker",
};

static const char *const type_names[] = {
#define X(type, name, words) name,
    OPTION_TYPES(X)
#undef X
};

static const char *const type_words[] = {
#define X(type, name, words) words,
    OPTION_TYPES(X)
#undef X
};

size_t option_count(void)
{
    return ARRAY_LEN(options);
}

const struct option *option_at(size_t index)
{
    CHECK(index < ARRAY_LEN(options));
    return &options[index];
}

size_t option_index(const struct option *option)
{
    return (size_t)(option - options);
}

size_t section_count(void)
{
    return ARRAY_LEN(sections);
}

const struct section *section_at(size_t index)
{
    CHECK(index < ARRAY_LEN(sections));
    return &sections[index];
}

/* O(n), n is about a hundred; it runs when a file is loaded and a component set up, not later. */
const struct option *option_find(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (str_equal(key, str_from(options[i].key))) {
            return &options[i];
        }
    }
    return NULL;
}

struct str key_section(struct str key)
{
    size_t dot = str_find(key, '.');
    return str_first(key, dot == key.len ? 0 : dot);
}

static struct str key_name(struct str key)
{
    size_t dot = str_find(key, '.');
    return dot == key.len ? key : str_skip(key, dot + 1);
}

bool section_is_ours(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (str_equal(name, str_from(sections[i].name))) {
            return true;
        }
    }
    return false;
}

static bool section_is_known_foreign(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign_sections); i++) {
        if (str_equal(name, str_from(foreign_sections[i]))) {
            return true;
        }
    }
    return false;
}

/* One mistake in short names, up to three in long ones. */
static unsigned tolerance(struct str text)
{
    return text.len < 5 ? 1 : text.len < 10 ? 2 : 3;
}

/* Texts whose lengths differ by more are farther apart; telling so first keeps files with thousands
 * of unknown keys quick. */
static bool may_be_close(struct str a, struct str b, unsigned limit)
{
    return (a.len > b.len ? a.len - b.len : b.len - a.len) <= limit;
}

const struct option *option_suggest(struct str key)
{
    const struct option *best = NULL;
    struct str section = key_section(key);
    unsigned best_distance = tolerance(key_name(key)) + 1;
    if (section_is_known_foreign(section)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct str candidate = str_from(options[i].key);
        candidate = section.len == 0 ? key_name(candidate) : candidate;
        if (!may_be_close(key, candidate, best_distance)) {
            continue;
        }
        unsigned distance = str_distance(key, candidate, best_distance);
        if (distance < best_distance) {
            best = &options[i];
            best_distance = distance;
        }
    }
    return best;
}

const struct option *option_in_misspelt_section(struct str key)
{
    struct str section = key_section(key);
    if (section_is_ours(section) || section_is_known_foreign(section)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct str candidate = str_from(options[i].key);
        unsigned limit = tolerance(key_section(candidate));
        if (str_equal(key_name(key), key_name(candidate)) &&
            str_distance(section, key_section(candidate), limit) <= limit) {
            return &options[i];
        }
    }
    return NULL;
}

const char *option_type_name(enum option_type type)
{
    return type_names[type];
}

const char *option_type_words(enum option_type type)
{
    return type_words[type];
}

bool option_is_list(const struct option *option)
{
    return option->type == OPTION_LIST || option->type == OPTION_NETWORKS;
}

bool option_reloads(const struct option *option, enum program program)
{
    return (option->flags & OPTION_RELOAD) != 0 ||
           ((option->flags & OPTION_RELOAD_BALANCER) != 0 && program == PROGRAM_BALANCER);
}

struct str option_choice(const struct option *option, size_t index)
{
    struct str rest = str_from(option->choices);
    struct str part = {NULL, 0};
    for (size_t i = 0; i <= index; i++) {
        if (!str_split(&rest, '|', &part)) {
            return (struct str){"", 0};
        }
    }
    return part;
}
