/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

static struct problems *problems;
static struct scenario *scenario;

static void setup(void)
{
    problems = problems_new(20);
    scenario = NULL;
    unsetenv("PORTICO_FLOOD_SCENARIOS");
}

static void teardown(void)
{
    scenario_free(scenario);
    problems_free(problems);
}

TestSuite(scenario, .init = setup, .fini = teardown);

static int parse(const char *text)
{
    scenario_free(scenario);
    scenario = NULL;
    return scenario_parse(str_from(text), "dir/t.yaml", problems, &scenario);
}

static const char *told(void)
{
    static char text[8192];
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    problems_print(problems, out);
    fclose(out);
    return text;
}

Test(scenario, phases_have_defaults_of_the_file_and_groups_of_the_phase)
{
    cr_assert_eq(parse("about: Two phases.\n"
                       "messages: 2\n"
                       "phases:\n"
                       "  - duration: 10s\n"
                       "  - name: second\n"
                       "    duration: 1m\n"
                       "    connections: keep-alive\n"
                       "    start: together\n"
                       "    groups:\n"
                       "      - {share: 99%, period: 10m}\n"
                       "      - {name: few, share: 0.01, period: 5s, messages: 0.5, fresh: yes}\n"),
                 0, "%s", told());
    cr_assert_str_eq(scenario->name, "t");
    cr_assert_str_eq(scenario->about, "Two phases.");
    cr_assert_eq(scenario->phase_count, 2);
    cr_assert_eq(scenario->duration, 70 * USEC_PER_SEC);
    const struct scenario_phase *first = &scenario->phases[0];
    cr_assert_str_eq(first->name, "phase 1");
    cr_assert_eq(first->group_count, 1);
    cr_assert_eq(first->groups[0].timing, TIMING_DEFAULT);
    cr_assert_eq(first->groups[0].messages_per_poll, 2);
    const struct scenario_phase *second = &scenario->phases[1];
    cr_assert_eq(second->start, START_TOGETHER);
    cr_assert_eq(second->group_count, 2);
    cr_assert_eq(second->groups[0].messages_per_poll, 2);
    cr_assert_eq(second->groups[0].curve.from, 600e6);
    cr_assert_eq(second->groups[0].connections, CONNECTIONS_KEEP_ALIVE);
    cr_assert_str_eq(second->groups[1].name, "few");
    cr_assert_float_eq(second->groups[1].share, 0.01, 1e-12);
    cr_assert_eq(second->groups[1].timing, TIMING_PERIOD);
    cr_assert_eq(second->groups[1].messages_per_poll, 0.5);
    cr_assert(second->groups[1].is_fresh && !second->groups[0].is_fresh);
}

Test(scenario, rates_are_fixed_or_shares_or_ramps)
{
    cr_assert_eq(parse("phases:\n"
                       "  - {duration: 1s, rate: 500}\n"
                       "  - {duration: 1s, rate: 50%}\n"
                       "  - {duration: 10s, rate: {from: 10%, to: 110%}}\n"
                       "  - {duration: 1s, period: 200%}\n"
                       "  - {duration: 1s, poll: {min: 1s, max: 5s, slew: 1.5}}\n"
                       "  - {duration: 1s, poll: agent}\n"),
                 0, "%s", told());
    const struct scenario_phase *phases = scenario->phases;
    cr_assert_eq(curve_at(&phases[0].groups[0].curve, 0, USEC_PER_SEC, 7), 500);
    cr_assert_eq(curve_at(&phases[1].groups[0].curve, 0, USEC_PER_SEC, 1000), 500);
    const struct curve *ramp = &phases[2].groups[0].curve;
    cr_assert_float_eq(curve_at(ramp, 0, 10, 1000), 100, 1e-6);
    cr_assert_float_eq(curve_at(ramp, 5, 10, 1000), 600, 1e-6);
    cr_assert_float_eq(curve_at(ramp, 99, 10, 1000), 1100, 1e-6);
    cr_assert_eq(phases[3].groups[0].timing, TIMING_PERIOD);
    cr_assert_eq(curve_at(&phases[3].groups[0].curve, 0, 1, 1e6), 2e6);
    cr_assert_eq(phases[4].groups[0].poll.max, 5 * USEC_PER_SEC);
    cr_assert_eq(phases[5].groups[0].timing, TIMING_AGENT);
    cr_assert_eq(phases[5].groups[0].poll.min, 200 * USEC_PER_MSEC);
    cr_assert_eq(phases[5].groups[0].poll.slew, 1.15);
}

Test(scenario, sizes_are_drawn_by_weight)
{
    cr_assert_eq(parse("phases:\n"
                       "  - duration: 1s\n"
                       "    sizes: [{size: 1KiB, weight: 3}, {size: 40MiB, weight: 1}]\n"),
                 0, "%s", told());
    const struct scenario_group *group = &scenario->phases[0].groups[0];
    cr_assert_eq(scenario_group_size(group, 0), 1024);
    cr_assert_eq(scenario_group_size(group, 0.74), 1024);
    cr_assert_eq(scenario_group_size(group, 0.76), 40 << 20);
    cr_assert_eq(scenario_group_size(group, 0.999999), 40 << 20);
}

Test(scenario, mistakes_are_told_with_place_caret_and_hint)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"phases:\n  - duratoin: 1s\n",
         "dir/t.yaml:2:5: error: unknown key \"duratoin\"\n"
         "      - duratoin: 1s\n        ^\n    hint: did you mean duration?"},
        {"phases:\n  - name: a\n", "dir/t.yaml:2:5: error: the phase has no duration"},
        {"phases:\n  - {duration: 1s, measured: false}\n", ":2:3: error: no phase is measured"},
        {"phases:\n  - {duration: }\n", "duration is empty; it wants"},
        {"phases:\n  - {duration: 1s, rate: fast}\n", ":2:26: error: rate wants requests per"},
        {"phases:\n  - {duration: 1s, rate: 1, period: 1s}\n",
         ":2:29: error: period contradicts rate in line 2"},
        {"phases:\n  - {duration: 1s, event: rolling-restrat}\n", "did you mean rolling-restart?"},
        {"phases:\n  - {duration: 0s}\n", ":2:16: error: duration: 0s is too small"},
        {"phases:\n  - {duration: 1s, sizes: 41MiB}\n", "size: 41MiB is too large"},
        {"phases:\n  - {duration: 1s, sizes: []}\n", "sizes wants a size such as"},
        {"phases:\n  - duration: 1s\n    groups: [{share: 60%}, {share: 50%}]\n",
         ":3:13: error: the shares of the groups add up to 110%"},
        {"phases:\n  - {duration: 1s, outage: true, rate: 5}\n", "in an outage nobody polls"},
        {"phases:\n  - {duration: 1s, rate: {from: 1}}\n", "a ramp wants from and to"},
        {"phases:\n  - {duration: 1s, rate: {from: 1, to: 10%}}\n", "from a share to a fixed"},
        {"phases:\n  - {duration: 1s, poll: {min: 5s, max: 1s}}\n", "min is longer than max"},
        {"phases:\n  - {duration: 1s, duration: 2s}\n", ":2:20: error: a second \"duration\""},
        {"phases: 3\n", ":1:9: error: phases is a list of maps"},
        {"phases: []\n", "phases is a list of maps, with at least one"},
        {"about: x\n", "dir/t.yaml: error: the scenario has no phases"},
        {"", "the scenario has no phases"},
        {"duration: 3s\nphases:\n  - duration: 1s\n", "it belongs to a phase"},
        {"phases:\n  - {duration: 1s, share: 150%}\n", "share wants a share of the agents"},
        {"phases:\n  - {duration: 1s, fresh: maybe}\n", "fresh wants true or false"},
        {"phases:\n  - {duration: 1s\n", "error: this is no YAML"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        problems_free(problems);
        problems = problems_new(20);
        cr_assert_eq(parse(cases[i].text), -EINVAL, "%s", cases[i].text);
        cr_assert_null(scenario);
        const char *text = told();
        cr_assert(strstr(text, cases[i].words) != NULL, "%s\ngives\n%s", cases[i].text, text);
    }
}

Test(scenario, every_shipped_one_loads_by_its_name)
{
    static const char *const names[] = {"steady",
                                        "ramp",
                                        "enrolment-wave",
                                        "herd-after-outage",
                                        "debug-poll-accident",
                                        "rolling-restart",
                                        "one-slow-instance",
                                        "slow-clients",
                                        "mixed-sizes"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        scenario_free(scenario);
        scenario = NULL;
        cr_assert_eq(scenario_load(names[i], problems, &scenario), 0, "%s: %s", names[i], told());
        cr_assert_str_eq(scenario->name, names[i]);
        cr_assert_neq(scenario->about[0], '\0');
        cr_assert_geq(scenario->duration, 30 * USEC_PER_SEC);
    }
}

Test(scenario, shipped_ones_are_what_their_names_say)
{
    cr_assert_eq(scenario_load("debug-poll-accident", problems, &scenario), 0);
    const struct scenario_group *few = &scenario->phases[1].groups[1];
    cr_assert_float_eq(few->share, 0.01, 1e-12);
    cr_assert_eq(few->curve.from, 5e6);
    scenario_free(scenario);
    cr_assert_eq(scenario_load("herd-after-outage", problems, &scenario), 0);
    cr_assert(scenario->phases[1].is_outage);
    cr_assert_eq(scenario->phases[2].start, START_TOGETHER);
    scenario_free(scenario);
    cr_assert_eq(scenario_load("rolling-restart", problems, &scenario), 0);
    cr_assert_eq(scenario->phases[1].event, EVENT_ROLLING_RESTART);
    scenario_free(scenario);
    cr_assert_eq(scenario_load("mixed-sizes", problems, &scenario), 0);
    cr_assert_eq(scenario_group_size(&scenario->phases[0].groups[0], 0.99999),
                 SCENARIO_MESSAGE_MAX_BYTES);
}

Test(scenario, a_list_names_each_shipped_one)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    scenario_list(out);
    fclose(out);
    cr_assert(strstr(text, "  steady  ") != NULL && strstr(text, "  mixed-sizes  ") != NULL, "%s",
              text);
    free(text);
}

Test(scenario, an_unknown_name_gets_a_suggestion)
{
    cr_assert_eq(scenario_load("stedy", problems, &scenario), -EINVAL);
    cr_assert(strstr(told(), "did you mean steady?") != NULL, "%s", told());
}

Test(scenario, a_missing_file_is_told)
{
    cr_assert_eq(scenario_load("/nonexistent/x.yaml", problems, &scenario), -EINVAL);
    cr_assert(strstr(told(), "/nonexistent/x.yaml: error: cannot read") != NULL, "%s", told());
}

Test(scenario, stretching_keeps_the_shares)
{
    cr_assert_eq(parse("phases: [{duration: 10s}, {duration: 30s}]\n"), 0);
    scenario_stretch(scenario, 8 * USEC_PER_SEC);
    cr_assert_eq(scenario->phases[0].duration, 2 * USEC_PER_SEC);
    cr_assert_eq(scenario->phases[1].duration, 6 * USEC_PER_SEC);
    cr_assert_eq(scenario->duration, 8 * USEC_PER_SEC);
}

Test(scenario, the_phase_at_a_time_is_found)
{
    usec_t begin = -1;
    cr_assert_eq(parse("phases: [{duration: 10s}, {duration: 30s}]\n"), 0);
    cr_assert_eq(scenario_phase_at(scenario, 0, &begin), &scenario->phases[0]);
    cr_assert_eq(scenario_phase_at(scenario, 10 * USEC_PER_SEC, &begin), &scenario->phases[1]);
    cr_assert_eq(begin, 10 * USEC_PER_SEC);
    cr_assert_null(scenario_phase_at(scenario, 40 * USEC_PER_SEC, &begin));
}

Test(scenario, events_go_by_their_names)
{
    cr_assert_eq(scenario_event_find(STR("slow-instance")), EVENT_SLOW_INSTANCE);
    cr_assert_str_eq(scenario_event_name(EVENT_SLOW_INSTANCE), "slow-instance");
    cr_assert_eq(scenario_event_find(STR("x")), EVENT_NONE);
    cr_assert_null(scenario_event_name(EVENT_NONE));
}
