/* SPDX-License-Identifier: Apache-2.0 */
/* What a scenario answers once it is read. Everything of it lives in one arena. */
#include "scenario.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "scenario_read.h"

enum { ARENA_BLOCK = 16 << 10, ARENA_MAX = 32 << 20 };

struct owned {
    struct scenario scenario;
    struct arena arena;
    struct source source;
};

/* "conf/flood/steady.yaml" is "steady". */
static struct str base_name(struct str path)
{
    size_t begin = path.len;
    while (begin > 0 && path.data[begin - 1] != '/') {
        begin--;
    }
    struct str name = str_skip(path, begin);
    return str_ends_with(name, STR(".yaml")) ? str_first(name, name.len - 5) : name;
}

static int read_all(struct owned *owned, struct str text, const char *name,
                    struct problems *problems)
{
    struct scenario *scenario = &owned->scenario;
    const char *copy = arena_strdup(&owned->arena, text);
    scenario->path = arena_strdup(&owned->arena, str_from(name));
    scenario->name = arena_strdup(&owned->arena, base_name(str_from(name)));
    if (copy == NULL || scenario->path == NULL || scenario->name == NULL) {
        return -ENOMEM;
    }
    size_t before = problems_errors(problems);
    const struct node *root = NULL;
    owned->source = (struct source){
        .kind = SOURCE_FILE, .name = scenario->path, .text = str_make(copy, text.len)};
    int code = yaml_parse(&owned->source, &owned->arena, problems, &root);
    if (code == 0) {
        code = scenario_read(&owned->source, root, &owned->arena, problems, scenario);
    }
    return code == 0 && problems_errors(problems) > before ? -EINVAL : code;
}

int scenario_parse(struct str text, const char *name, struct problems *problems,
                   struct scenario **scenario)
{
    struct owned *owned = calloc(1, sizeof *owned);
    if (owned == NULL) {
        return -ENOMEM;
    }
    arena_init(&owned->arena, ARENA_BLOCK, ARENA_MAX);
    int code = read_all(owned, text, name, problems);
    if (code == 0) {
        *scenario = &owned->scenario;
    } else {
        scenario_free(&owned->scenario);
    }
    return code;
}

void scenario_free(struct scenario *scenario)
{
    if (scenario != NULL) {
        struct owned *owned = CONTAINER_OF(scenario, struct owned, scenario);
        arena_done(&owned->arena);
        free(owned);
    }
}

void scenario_stretch(struct scenario *scenario, usec_t duration)
{
    double factor = (double)duration / (double)scenario->duration;
    scenario->duration = 0;
    for (size_t i = 0; i < scenario->phase_count; i++) {
        struct scenario_phase *phase = &scenario->phases[i];
        usec_t stretched = (usec_t)llround((double)phase->duration * factor);
        phase->duration = stretched < USEC_PER_MSEC ? USEC_PER_MSEC : stretched;
        scenario->duration += phase->duration;
    }
}

const struct scenario_phase *scenario_phase_at(const struct scenario *scenario, usec_t elapsed,
                                               usec_t *begin)
{
    usec_t at = 0;
    for (size_t i = 0; i < scenario->phase_count; i++) {
        const struct scenario_phase *phase = &scenario->phases[i];
        if (elapsed < at + phase->duration) {
            *begin = at;
            return phase;
        }
        at += phase->duration;
    }
    return NULL;
}

double curve_at(const struct curve *curve, usec_t elapsed, usec_t duration, double base)
{
    double way = duration <= 0 ? 1 : (double)elapsed / (double)duration;
    double share = way < 0 ? 0 : way > 1 ? 1 : way;
    double value = curve->from + (curve->to - curve->from) * share;
    return curve->is_relative ? value * base : value;
}

uint64_t scenario_group_size(const struct scenario_group *group, double draw)
{
    CHECK(group->size_count > 0);
    double sum = 0;
    for (size_t i = 0; i + 1 < group->size_count; i++) {
        sum += group->sizes[i].share;
        if (draw < sum) {
            return group->sizes[i].bytes;
        }
    }
    return group->sizes[group->size_count - 1].bytes;
}

struct event {
    const char *name, *words;
};

static const struct event events[] = {
    {NULL, NULL},
#define EVENT(identifier, name, words) {name, words},
#include "scenario_events.def"
#undef EVENT
};

const char *scenario_event_name(enum scenario_event event)
{
    return events[event].name;
}

const char *scenario_event_words(enum scenario_event event)
{
    return events[event].words;
}

enum scenario_event scenario_event_find(struct str name)
{
    for (size_t i = 1; i < ARRAY_LEN(events); i++) {
        if (str_equal(name, str_from(events[i].name))) {
            return (enum scenario_event)i;
        }
    }
    return EVENT_NONE;
}
