/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario from any bytes. What is accepted keeps what the header promises; what is refused was
 * explained. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "scenario.h"

static void check_group(const struct scenario_group *group)
{
    CHECK(group->name != NULL && group->share > 0 && group->share <= 1);
    CHECK(group->curve.from >= 0 && group->curve.to >= 0 && group->poll.min <= group->poll.max);
    CHECK(group->size_count > 0 && group->messages_per_poll >= 0);
    double sum = 0;
    for (size_t i = 0; i < group->size_count; i++) {
        sum += group->sizes[i].share;
        CHECK(group->sizes[i].bytes > 0 && group->sizes[i].bytes <= SCENARIO_MESSAGE_MAX_BYTES);
    }
    CHECK(sum > 0.999 && sum < 1.001);
    CHECK(scenario_group_size(group, 0.5) > 0);
}

static void check_scenario(const struct scenario *scenario)
{
    usec_t duration = 0;
    CHECK(scenario->phase_count > 0 && scenario->about != NULL);
    for (size_t i = 0; i < scenario->phase_count; i++) {
        const struct scenario_phase *phase = &scenario->phases[i];
        CHECK(phase->duration > 0 && phase->name != NULL);
        CHECK(phase->is_outage == (phase->group_count == 0));
        for (size_t j = 0; j < phase->group_count; j++) {
            check_group(&phase->groups[j]);
        }
        duration += phase->duration;
    }
    CHECK(duration == scenario->duration);
}

static void print_all(struct problems *problems)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CHECK(out != NULL);
    problems_print(problems, out);
    fclose(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems *problems = problems_new(20);
    struct scenario *scenario = NULL;
    CHECK(problems != NULL);
    int code = scenario_parse(str_make((const char *)data, size), "fuzz.yaml", problems, &scenario);
    CHECK((code == 0) == (scenario != NULL));
    CHECK(code != -EINVAL || problems_errors(problems) > 0);
    if (code == 0) {
        check_scenario(scenario);
        scenario_stretch(scenario, USEC_PER_SEC);
    }
    print_all(problems);
    scenario_free(scenario);
    problems_free(problems);
    return 0;
}
