/* SPDX-License-Identifier: Apache-2.0 */
/* The report is a flat array of flat objects whose texts hold no braces: they are names of members
 * and words of ours. So no JSON parser is needed. */
#include "member_report.h"

#include <stdio.h>

/* What stands behind `"key":`, up to the comma or the end; empty when it is not there. */
static struct str value_of(struct str object, const char *key)
{
    char name[32];
    struct str rest = object;
    struct str part;
    snprintf(name, sizeof name, "\"%s\":", key);
    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (str_starts_with(part, str_from(name))) {
            return str_trim(str_skip(part, strlen(name)));
        }
    }
    return STR("");
}

static bool is_at_port(struct str member, uint16_t port)
{
    char end[16];
    snprintf(end, sizeof end, ":%u\"", port);
    return str_ends_with(member, str_from(end));
}

bool member_report_read(struct str json, uint16_t port, struct member_report *report)
{
    struct member_report found = {.is_up = true};
    size_t count = 0;
    struct str part;
    while (str_split(&json, '}', &part)) {
        struct str object = str_skip(part, str_find(part, '{') + 1);
        uint64_t in_flight = 0;
        if (!is_at_port(value_of(object, "member"), port) ||
            str_to_uint64(value_of(object, "in_flight"), &in_flight) < 0) {
            continue;
        }
        count++;
        found.in_flight += in_flight;
        found.is_up = found.is_up && str_equal(value_of(object, "health"), STR("\"up\""));
    }
    if (count > 0) {
        *report = found;
    }
    return count > 0;
}
