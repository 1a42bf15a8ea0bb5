/* SPDX-License-Identifier: Apache-2.0 */
/* YAML nodes into a scenario. Settings of the file hold for all phases, those of a phase for all of
 * its groups, so each level begins as a copy of the one around it. Every mistake is told at its
 * place, and reading goes on behind it. One thread. */
#include "scenario_read.h"

#include <errno.h>
#include <stdio.h>

#include "scenario_value.h"

enum level { LEVEL_FILE = 1, LEVEL_PHASE = 2, LEVEL_GROUP = 4, LEVEL_ALL = 7 };

/* What one map says, with what it was given from the level around it. */
struct block {
    enum level level;
    struct scenario_group group;
    struct scenario_phase phase;
    const char *about;
    const struct node *phases, *groups; /* read when all else is known */
    const struct entry *timing;         /* the key that said when to poll */
    bool has_duration;
};

struct key {
    const char *name;
    unsigned levels;
    void (*read)(struct reader *reader, const struct entry *entry, struct block *block);
};

/* ---- Keys of phases and of the file ---- */

static void read_about(struct reader *reader, const struct entry *entry, struct block *block)
{
    const char *text = reader_text(reader, entry);
    block->about = text == NULL ? "" : text;
}

static void read_name(struct reader *reader, const struct entry *entry, struct block *block)
{
    const char *text = reader_text(reader, entry);
    if (text != NULL && (text[0] == '\0' || strlen(text) > 60)) {
        reader_complain(reader, entry->value->place, NULL, "a name has 1 to 60 bytes");
    } else if (text != NULL && block->level == LEVEL_PHASE) {
        block->phase.name = text;
    } else if (text != NULL) {
        block->group.name = text;
    }
}

static void read_duration(struct reader *reader, const struct entry *entry, struct block *block)
{
    block->has_duration = true; /* even if it is wrong: that was told */
    (void)reader_quantity(reader, "duration", entry->value, OPTION_DURATION, USEC_PER_MSEC,
                          7 * USEC_PER_DAY, &block->phase.duration);
}

static void read_start(struct reader *reader, const struct entry *entry, struct block *block)
{
    static const char *const words[] = {"spread", "together"};
    int index = reader_word(reader, entry, words, ARRAY_LEN(words));
    block->phase.start = index == 1 ? START_TOGETHER : START_SPREAD;
}

static void read_outage(struct reader *reader, const struct entry *entry, struct block *block)
{
    reader_bool(reader, entry, &block->phase.is_outage);
}

static void read_measured(struct reader *reader, const struct entry *entry, struct block *block)
{
    bool is_measured = true;
    reader_bool(reader, entry, &is_measured);
    block->phase.is_unmeasured = !is_measured;
}

static void read_event(struct reader *reader, const struct entry *entry, struct block *block)
{
    static const char *const words[] = {
#define EVENT(identifier, name, meaning) name,
#include "scenario_events.def"
#undef EVENT
    };
    int index = reader_word(reader, entry, words, ARRAY_LEN(words));
    block->phase.event = (enum scenario_event)(index + 1);
}

static void keep_phases(struct reader *reader, const struct entry *entry, struct block *block)
{
    (void)reader;
    block->phases = entry->value;
}

static void keep_groups(struct reader *reader, const struct entry *entry, struct block *block)
{
    (void)reader;
    block->groups = entry->value;
}

/* ---- When agents poll ---- */

/* One level says it once. */
static bool take_timing(struct reader *reader, const struct entry *entry, struct block *block,
                        enum timing timing)
{
    if (block->timing != NULL) {
        reader_complain(reader, entry->place, "rate, period and poll exclude each other",
                        "%s contradicts %s in line %u", entry->key.data, block->timing->key.data,
                        block->timing->place.line);
        return false;
    }
    block->timing = entry;
    block->group.timing = timing;
    return true;
}

static bool read_point(struct reader *reader, const char *key, enum timing timing,
                       const struct node *node, double *value, bool *is_relative)
{
    int64_t period = 0;
    bool is_number = node->kind == NODE_SCALAR && number_parse(node->text, value, is_relative);
    if (timing == TIMING_PERIOD && !(is_number && *is_relative)) {
        *is_relative = false;
        bool is_fine = reader_quantity(reader, key, node, OPTION_DURATION, USEC_PER_MSEC,
                                       30 * USEC_PER_DAY, &period);
        *value = (double)period;
        return is_fine;
    }
    if (!is_number || *value > (*is_relative ? 1e3 : 1e8)) {
        reader_complain(
            reader, node->place, NULL,
            "%s wants requests per second, such as 500, or a share of --rate, such as 50%%", key);
        return false;
    }
    if (timing == TIMING_PERIOD && *value <= 0) {
        reader_complain(reader, node->place, NULL, "%s must be more than 0%%", key);
        return false;
    }
    return true;
}

static bool read_ramp(struct reader *reader, const struct entry *entry, enum timing timing,
                      struct curve *curve)
{
    static const char *const words[] = {"from", "to"};
    const struct node *from = node_get(entry->value, "from");
    const struct node *to = node_get(entry->value, "to");
    bool is_relative_to = false;
    if (!reader_check_map(reader, entry->value, words, ARRAY_LEN(words))) {
        return false;
    }
    if (from == NULL || to == NULL) {
        reader_complain(reader, entry->place, "write {from: 10%, to: 100%}",
                        "a ramp wants from and to");
        return false;
    }
    if (!read_point(reader, "from", timing, from, &curve->from, &curve->is_relative) ||
        !read_point(reader, "to", timing, to, &curve->to, &is_relative_to)) {
        return false;
    }
    if (curve->is_relative != is_relative_to) {
        reader_complain(reader, to->place, "both as shares, or neither",
                        "a ramp cannot go from a share to a fixed value");
        return false;
    }
    return true;
}

static void read_curve(struct reader *reader, const struct entry *entry, struct block *block,
                       enum timing timing)
{
    struct curve curve = {0, 0, false};
    bool is_fine = entry->value->kind == NODE_MAP
                       ? read_ramp(reader, entry, timing, &curve)
                       : read_point(reader, entry->key.data, timing, entry->value, &curve.from,
                                    &curve.is_relative);
    if (take_timing(reader, entry, block, timing) && is_fine) {
        curve.to = entry->value->kind == NODE_MAP ? curve.to : curve.from;
        block->group.curve = curve;
    }
}

static void read_rate(struct reader *reader, const struct entry *entry, struct block *block)
{
    read_curve(reader, entry, block, TIMING_RATE);
}

static void read_period(struct reader *reader, const struct entry *entry, struct block *block)
{
    read_curve(reader, entry, block, TIMING_PERIOD);
}

static void read_slew(struct reader *reader, const struct node *node, double *slew)
{
    double value = 0;
    if (node->kind != NODE_SCALAR || !number_parse(node->text, &value, NULL) || value < 1 ||
        value > 100) {
        reader_complain(reader, node->place, "real agents have 1.15",
                        "slew wants a number from 1 to 100");
    } else {
        *slew = value;
    }
}

static void read_poll(struct reader *reader, const struct entry *entry, struct block *block)
{
    static const char *const words[] = {"min", "max", "slew"};
    struct scenario_group *group = &block->group;
    const struct node *value = entry->value;
    if (!take_timing(reader, entry, block, TIMING_AGENT)) {
        return;
    }
    if (value->kind == NODE_SCALAR && str_equal(value->text, STR("agent"))) {
        return;
    }
    if (value->kind != NODE_MAP) {
        reader_want(reader, entry, "agent, or a map such as {min: 0.2s, max: 10m, slew: 1.15}");
        return;
    }
    if (!reader_check_map(reader, value, words, ARRAY_LEN(words))) {
        return;
    }
    const struct node *min = node_get(value, "min");
    const struct node *max = node_get(value, "max");
    const struct node *slew = node_get(value, "slew");
    if (min != NULL) {
        (void)reader_quantity(reader, "min", min, OPTION_DURATION, USEC_PER_MSEC, USEC_PER_DAY,
                              &group->poll.min);
    }
    if (max != NULL) {
        (void)reader_quantity(reader, "max", max, OPTION_DURATION, USEC_PER_MSEC, 30 * USEC_PER_DAY,
                              &group->poll.max);
    }
    if (slew != NULL) {
        read_slew(reader, slew, &group->poll.slew);
    }
    if (group->poll.min > group->poll.max) {
        reader_complain(reader, value->place, NULL, "min is longer than max");
    }
}

/* ---- What else groups do ---- */

static void read_share(struct reader *reader, const struct entry *entry, struct block *block)
{
    bool is_share = false;
    double share = 0;
    if (entry->value->kind != NODE_SCALAR || !number_parse(entry->value->text, &share, &is_share) ||
        share <= 0 || share > 1) {
        reader_want(reader, entry, "a share of the agents, such as 10% or 0.1");
    } else {
        block->group.share = share;
    }
}

static void read_connections(struct reader *reader, const struct entry *entry, struct block *block)
{
    static const char *const words[] = {"default", "new", "keep-alive"};
    int index = reader_word(reader, entry, words, ARRAY_LEN(words));
    block->group.connections = index < 0 ? CONNECTIONS_DEFAULT : (enum connections)index;
}

static void read_messages(struct reader *reader, const struct entry *entry, struct block *block)
{
    double count = 0;
    if (entry->value->kind != NODE_SCALAR || !number_parse(entry->value->text, &count, NULL) ||
        count > 1000) {
        reader_want(reader, entry, "messages for each poll, such as 2 or 0.1, at most 1000");
    } else {
        block->group.messages_per_poll = count;
    }
}

static bool read_size(struct reader *reader, const struct node *node, uint64_t *bytes)
{
    int64_t number = 0;
    if (!reader_quantity(reader, "size", node, OPTION_SIZE, 1, (int64_t)SCENARIO_MESSAGE_MAX_BYTES,
                         &number)) {
        return false;
    }
    *bytes = (uint64_t)number;
    return true;
}

/* 600B, or {size: 600B, weight: 90} */
static bool read_size_item(struct reader *reader, const struct node *node, struct size_weight *size)
{
    static const char *const words[] = {"size", "weight"};
    size->share = 1;
    if (node->kind != NODE_MAP) {
        return read_size(reader, node, &size->bytes);
    }
    const struct node *bytes = node_get(node, "size");
    const struct node *weight = node_get(node, "weight");
    if (!reader_check_map(reader, node, words, ARRAY_LEN(words))) {
        return false;
    }
    if (bytes == NULL) {
        reader_complain(reader, node->place, "write {size: 600B, weight: 90}",
                        "the size is missing");
        return false;
    }
    if (weight != NULL && (weight->kind != NODE_SCALAR ||
                           !number_parse(weight->text, &size->share, NULL) || size->share <= 0)) {
        reader_complain(reader, weight->place, NULL, "weight wants a number above 0");
        return false;
    }
    return read_size(reader, bytes, &size->bytes);
}

static void read_sizes(struct reader *reader, const struct entry *entry, struct block *block)
{
    struct size_weight sizes[SCENARIO_SIZES_MAX];
    size_t count = 0;
    double sum = 0;
    bool is_list = entry->value->kind == NODE_LIST;
    const struct node *first = is_list ? entry->value->first : entry->value;
    for (const struct node *node = first; node != NULL; node = is_list ? node->next : NULL) {
        if (count == SCENARIO_SIZES_MAX) {
            reader_complain(reader, node->place, NULL, "more than %d sizes", SCENARIO_SIZES_MAX);
            return;
        }
        if (!read_size_item(reader, node, &sizes[count])) {
            return;
        }
        sum += sizes[count++].share;
    }
    if (count == 0) {
        reader_want(reader, entry, "a size such as 600B, or a list of {size: 600B, weight: 90}");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        block->group.sizes[i] = (struct size_weight){sizes[i].bytes, sizes[i].share / sum};
    }
    block->group.size_count = count;
}

static void read_speed(struct reader *reader, const struct entry *entry, struct block *block)
{
    int64_t speed = 0;
    if (reader_quantity(reader, "speed", entry->value, OPTION_SIZE, 1, (int64_t)1 << 40, &speed)) {
        block->group.bytes_per_second = (uint64_t)speed;
    }
}

static void read_fresh(struct reader *reader, const struct entry *entry, struct block *block)
{
    reader_bool(reader, entry, &block->group.is_fresh);
}

static const struct key keys[] = {
    {"about", LEVEL_FILE, read_about},
    {"phases", LEVEL_FILE, keep_phases},
    {"name", LEVEL_PHASE | LEVEL_GROUP, read_name},
    {"duration", LEVEL_PHASE, read_duration},
    {"start", LEVEL_PHASE, read_start},
    {"outage", LEVEL_PHASE, read_outage},
    {"measured", LEVEL_PHASE, read_measured},
    {"event", LEVEL_PHASE, read_event},
    {"groups", LEVEL_PHASE, keep_groups},
    {"share", LEVEL_PHASE | LEVEL_GROUP, read_share},
    {"rate", LEVEL_ALL, read_rate},
    {"period", LEVEL_ALL, read_period},
    {"poll", LEVEL_ALL, read_poll},
    {"connections", LEVEL_ALL, read_connections},
    {"messages", LEVEL_ALL, read_messages},
    {"sizes", LEVEL_ALL, read_sizes},
    {"speed", LEVEL_ALL, read_speed},
    {"fresh", LEVEL_ALL, read_fresh},
};

/* ---- Levels ---- */

static const struct key *find_key(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (str_equal(name, str_from(keys[i].name))) {
            return &keys[i];
        }
    }
    return NULL;
}

static void complain_of_key(struct reader *reader, const struct entry *entry, enum level level,
                            const struct key *key)
{
    static const char *const words[] = {
        [LEVEL_FILE] = "the file", [LEVEL_PHASE] = "a phase", [LEVEL_GROUP] = "a group"};
    char hint[100] = "";
    if (key != NULL) {
        bool is_of_phases = (key->levels & LEVEL_PHASE) != 0;
        snprintf(hint, sizeof hint, "it belongs to %s",
                 words[is_of_phases ? LEVEL_PHASE : LEVEL_FILE]);
        reader_complain(reader, entry->place, hint, "%s has no \"%s\"", words[level], key->name);
        return;
    }
    const char *names[ARRAY_LEN(keys)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if ((keys[i].levels & level) != 0) {
            names[count++] = keys[i].name;
        }
    }
    const char *close = word_suggest(entry->key, names, count);
    snprintf(hint, sizeof hint, "did you mean %s?", close == NULL ? "" : close);
    reader_complain(reader, entry->place, close == NULL ? NULL : hint, "unknown key \"%.60s\"",
                    entry->key.data);
}

static void read_block(struct reader *reader, const struct node *map, struct block *block)
{
    for (const struct entry *entry = map->entries; entry != NULL; entry = entry->next) {
        const struct key *key = find_key(entry->key);
        if (key == NULL || (key->levels & block->level) == 0) {
            complain_of_key(reader, entry, block->level, key);
        } else if (node_get(map, entry->key.data) != entry->value) {
            reader_complain(reader, entry->place, NULL, "a second \"%s\"", key->name);
        } else {
            key->read(reader, entry, block);
        }
    }
}

/* The maps of a list, counted; 0: it is no such list, which was told. */
static size_t count_maps(struct reader *reader, const struct node *list, const char *what,
                         size_t max)
{
    size_t count = 0;
    if (list->kind != NODE_LIST || list->first == NULL) {
        reader_complain(reader, list->place, "write lines such as \"- duration: 10s\"",
                        "%s is a list of maps, with at least one", what);
        return 0;
    }
    for (const struct node *item = list->first; item != NULL; item = item->next) {
        if (item->kind != NODE_MAP) {
            reader_complain(reader, item->place, NULL, "%s is a list of maps, this is %s", what,
                            node_words(item));
            return 0;
        }
        if (count++ == max) {
            reader_complain(reader, item->place, NULL, "%s has more than %zu", what, max);
            return 0;
        }
    }
    return count;
}

static void *allocate(struct reader *reader, size_t count, size_t size)
{
    void *memory = arena_calloc(reader->arena, count, size);
    reader->is_out_of_memory |= memory == NULL;
    return memory;
}

static void read_groups(struct reader *reader, const struct node *list, const struct block *around,
                        struct scenario_phase *phase)
{
    size_t count = list == NULL ? 1 : count_maps(reader, list, "groups", SCENARIO_GROUPS_MAX);
    phase->groups = allocate(reader, count, sizeof *phase->groups);
    if (phase->groups == NULL || count == 0) {
        return;
    }
    phase->group_count = count;
    phase->groups[0] = around->group;
    double sum = 0;
    size_t i = 0;
    for (const struct node *item = list == NULL ? NULL : list->first; item != NULL;
         item = item->next) {
        struct block block = {.level = LEVEL_GROUP, .group = around->group};
        block.group.name = arena_printf(reader->arena, "group %zu", i + 1);
        read_block(reader, item, &block);
        phase->groups[i++] = block.group;
        sum += block.group.share;
        reader->is_out_of_memory |= block.group.name == NULL;
    }
    if (list != NULL && sum > 1 + 1e-9) {
        reader_complain(reader, list->place, "what is missing to 100% is idle; more cannot be",
                        "the shares of the groups add up to %.6g%%", sum * 100);
    }
}

static void read_phase(struct reader *reader, const struct node *map, const struct block *around,
                       size_t number, struct scenario_phase *phase)
{
    struct block block = {.level = LEVEL_PHASE, .group = around->group};
    block.phase.name = arena_printf(reader->arena, "phase %zu", number);
    block.phase.duration = USEC_PER_SEC;
    reader->is_out_of_memory |= block.phase.name == NULL;
    read_block(reader, map, &block);
    *phase = block.phase;
    if (!block.has_duration) {
        reader_complain(reader, map->place, "write duration: 10s", "the phase has no duration");
    }
    if (!block.phase.is_outage) {
        read_groups(reader, block.groups, &block, phase);
    } else if (block.groups != NULL || block.timing != NULL) {
        reader_complain(reader, block.groups != NULL ? block.groups->place : block.timing->place,
                        NULL, "in an outage nobody polls");
    }
}

static void read_phases(struct reader *reader, const struct block *block, struct scenario *scenario)
{
    size_t count = count_maps(reader, block->phases, "phases", SCENARIO_PHASES_MAX);
    bool is_measured = false;
    scenario->phases = allocate(reader, count, sizeof *scenario->phases);
    if (count == 0 || scenario->phases == NULL) {
        return;
    }
    for (const struct node *item = block->phases->first; item != NULL; item = item->next) {
        struct scenario_phase *phase = &scenario->phases[scenario->phase_count++];
        read_phase(reader, item, block, scenario->phase_count, phase);
        scenario->duration += phase->duration;
        is_measured |= !phase->is_unmeasured;
    }
    if (!is_measured) {
        reader_complain(reader, block->phases->place,
                        "leave \"measured: false\" out of one of them", "no phase is measured");
    }
}

int scenario_read(const struct source *source, const struct node *root, struct arena *arena,
                  struct problems *problems, struct scenario *scenario)
{
    struct reader reader = {arena, problems, source, false};
    struct block block = {
        .level = LEVEL_FILE,
        .about = "",
        .group = {.name = "all",
                  .share = 1,
                  .poll = {200 * USEC_PER_MSEC, 600 * USEC_PER_SEC, 1.15},
                  .sizes = {{600, 1}},
                  .size_count = 1},
    };
    if (root != NULL) {
        read_block(&reader, root, &block);
    }
    if (block.phases == NULL) {
        reader_complain(&reader, (struct place){source, 0, 0},
                        "write phases: and lines such as "
                        "\"- duration: 10s\" below it",
                        "the scenario has no phases");
    } else {
        read_phases(&reader, &block, scenario);
    }
    scenario->about = block.about;
    return reader.is_out_of_memory ? -ENOMEM : 0;
}
