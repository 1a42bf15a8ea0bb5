/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "base/utf8.h"
#include "support/support.h"

/* The definition, the other way round: encode every code point. */
static size_t encode(uint32_t code, unsigned char out[4])
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (unsigned char)(0xc0 | code >> 6);
        out[1] = (unsigned char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (unsigned char)(0xe0 | code >> 12);
        out[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | code >> 18);
    out[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (code & 0x3f));
    return 4;
}

Test(utf8, every_character_is_recognised_and_no_surrogate)
{
    for (uint32_t code = 0; code < 0x120000; code++) {
        unsigned char bytes[4];
        size_t len = encode(code, bytes);
        bool is_character = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        cr_assert_eq(utf8_sequence(str_make((const char *)bytes, len)), is_character ? len : 0,
                     "U+%04X", code);
    }
}

Test(utf8, nothing_else_is_a_sequence)
{
    static const struct str malformed[] = {
        {NULL, 0},
        STR("\x80"),             /* a continuation alone */
        STR("\xc0\x80"),         /* overlong NUL */
        STR("\xc1\xbf"),         /* overlong ASCII */
        STR("\xe0\x80\xaf"),     /* overlong slash */
        STR("\xe0\x9f\xbf"),     /* overlong U+07FF */
        STR("\xf0\x8f\xbf\xbf"), /* overlong U+FFFF */
        STR("\xf4\x90\x80\x80"), /* U+110000 */
        STR("\xf5\x80\x80\x80"),
        STR("\xff"),
        STR("\xc3"), /* cut short */
        STR("\xe2\x82"),
        STR("\xf0\x9f\x98"),
        STR("\xc3("), /* not continued */
        STR("\xe2\x82("),
        STR("\xe2(\xa1"),
        STR("\xf0\x9f\x98("),
    };
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct guarded text = guarded_copy(malformed[i]);
        cr_assert_eq(utf8_sequence(str_make(text.data, text.len)), 0, "case %zu", i);
        guarded_free(&text);
    }
}

Test(utf8, only_the_front_is_looked_at)
{
    cr_assert_eq(utf8_sequence(STR("a\xff")), 1);
    cr_assert_eq(utf8_sequence(STR("\xc3\xa4\xff")), 2);
}
