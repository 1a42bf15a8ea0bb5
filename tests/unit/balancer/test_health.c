/* SPDX-License-Identifier: Apache-2.0 */
/* What the three axes come to, and how probes move one of them. */
#include <criterion/criterion.h>

#include "base/compiler.h"
#include "health.h"

static struct health make(unsigned presence, bool is_ejected, unsigned wish)
{
    return (struct health){(enum presence)presence, is_ejected, (enum wish)wish};
}

Test(health, survives_being_packed)
{
    uint32_t seen[18];
    size_t count = 0;
    for (unsigned i = 0; i < 18; i++) {
        struct health health = make(i % 3, i / 9 == 1, i / 3 % 3);
        struct health again = health_unpack(health_pack(health));
        cr_assert_eq(again.presence, health.presence);
        cr_assert_eq(again.is_ejected, health.is_ejected);
        cr_assert_eq(again.wish, health.wish);
        for (size_t j = 0; j < count; j++) {
            cr_assert_neq(seen[j], health_pack(health), "two healths are one number");
        }
        seen[count++] = health_pack(health);
    }
}

static const struct {
    enum presence presence;
    bool is_ejected;
    enum wish wish;
    enum usability usability;
    const char *word;
} combinations[] = {
    {PRESENCE_UP, false, WISH_ENABLED, USABLE, "up"},
    {PRESENCE_UP, true, WISH_ENABLED, LAST_RESORT, "ejected"},
    {PRESENCE_UP, false, WISH_DRAINED, UNUSABLE, "drained"},
    {PRESENCE_UP, true, WISH_DRAINED, UNUSABLE, "drained"},
    {PRESENCE_UP, false, WISH_DISABLED, UNUSABLE, "disabled"},
    {PRESENCE_UP, true, WISH_DISABLED, UNUSABLE, "disabled"},
    {PRESENCE_DOWN, false, WISH_ENABLED, LAST_RESORT, "down"},
    {PRESENCE_DOWN, true, WISH_ENABLED, LAST_RESORT, "down"},
    {PRESENCE_DOWN, false, WISH_DRAINED, UNUSABLE, "drained"},
    {PRESENCE_DOWN, false, WISH_DISABLED, UNUSABLE, "disabled"},
    {PRESENCE_ABSENT, false, WISH_ENABLED, UNUSABLE, "absent"},
    {PRESENCE_ABSENT, true, WISH_ENABLED, UNUSABLE, "absent"},
    {PRESENCE_ABSENT, false, WISH_DRAINED, UNUSABLE, "drained"},
    {PRESENCE_ABSENT, false, WISH_DISABLED, UNUSABLE, "disabled"},
};

Test(health, combines_its_axes)
{
    for (size_t i = 0; i < ARRAY_LEN(combinations); i++) {
        struct health health = {combinations[i].presence, combinations[i].is_ejected,
                                combinations[i].wish};
        cr_assert_eq(health_usability(health), combinations[i].usability, "row %zu", i);
        cr_assert_str_eq(health_word(health), combinations[i].word, "row %zu", i);
    }
}

/* Probes: g good, b bad, r refused, u unreached, x unknown. Presence after each: U, D, A. */
static const struct {
    enum presence start;
    unsigned rise, fall;
    const char *probes, *presences;
} walks[] = {
    {PRESENCE_ABSENT, 2, 3, "rrr", "AAA"},
    {PRESENCE_ABSENT, 2, 3, "g", "U"},
    {PRESENCE_ABSENT, 2, 3, "bgg", "DDU"},
    {PRESENCE_UP, 2, 3, "ggg", "UUU"},
    {PRESENCE_UP, 2, 3, "bbb", "UUD"},
    {PRESENCE_UP, 2, 3, "bbgbbb", "UUUUUD"},
    {PRESENCE_UP, 2, 3, "r", "A"},
    {PRESENCE_UP, 2, 3, "bbrg", "UUAU"},
    {PRESENCE_UP, 2, 3, "bbrgbb", "UUAUUU"},
    {PRESENCE_DOWN, 2, 3, "gg", "DU"},
    {PRESENCE_DOWN, 2, 3, "gbgbgg", "DDDDDU"},
    {PRESENCE_DOWN, 2, 3, "rg", "AU"},
    {PRESENCE_UP, 1, 1, "bgbg", "DUDU"},
    {PRESENCE_DOWN, 3, 1, "ggg", "DDU"},
    {PRESENCE_ABSENT, 2, 3, "uuuug", "AAAAU"},
    {PRESENCE_UP, 2, 3, "buuu", "UUDD"},
    {PRESENCE_UP, 2, 3, "xbxbxb", "UUUUUD"},
    {PRESENCE_DOWN, 2, 3, "gxg", "DDU"},
};

static enum probe_result result_of(char probe)
{
    static const char letters[] = {
        [PROBE_GOOD] = 'g',      [PROBE_BAD] = 'b',     [PROBE_REFUSED] = 'r',
        [PROBE_UNREACHED] = 'u', [PROBE_UNKNOWN] = 'x',
    };
    for (size_t i = 0; i < sizeof letters; i++) {
        if (letters[i] == probe) {
            return (enum probe_result)i;
        }
    }
    cr_assert_fail("%c", probe);
    return PROBE_UNKNOWN;
}

Test(health, rises_and_falls_by_probes_in_a_row)
{
    for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
        enum presence presence = walks[i].start;
        struct probe_history history = {0};
        for (size_t j = 0; walks[i].probes[j] != '\0'; j++) {
            enum probe_result result = result_of(walks[i].probes[j]);
            presence = health_after_probe(presence, &history, result, walks[i].rise, walks[i].fall);
            cr_assert_eq("ADU"[presence], walks[i].presences[j], "walk %zu, probe %zu", i, j);
            cr_assert(history.good == 0 || history.bad == 0);
        }
    }
}

Test(health, counts_long_rows_without_wrapping)
{
    struct probe_history history = {0};
    for (int i = 0; i < 1000; i++) {
        enum presence presence = health_after_probe(PRESENCE_DOWN, &history, PROBE_GOOD, 200, 200);
        cr_assert_eq(presence, i < 199 ? PRESENCE_DOWN : PRESENCE_UP, "probe %d", i);
    }
}
