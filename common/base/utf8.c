/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 4 has it. */
#include "base/utf8.h"

#include <stdbool.h>

static size_t length_from_first(unsigned char first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0; /* a continuation, or the start of something overlong or too large */
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_sequence(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t len = text.len == 0 ? 0 : length_from_first(bytes[0]);
    if (len > text.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if (len < 3) {
        return len;
    }
    bool is_overlong =
        (bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xf0 && bytes[1] < 0x90);
    bool is_surrogate = bytes[0] == 0xed && bytes[1] > 0x9f;
    bool is_beyond = bytes[0] == 0xf4 && bytes[1] > 0x8f;
    return is_overlong || is_surrogate || is_beyond ? 0 : len;
}

bool utf8_steers_terminal(const unsigned char *bytes)
{
    if (bytes[0] == 0xc2) {
        return bytes[1] < 0xa0;
    }
    if (bytes[0] != 0xe2) {
        return false;
    }
    if (bytes[1] == 0x80) {
        return bytes[2] == 0x8e || bytes[2] == 0x8f || (bytes[2] >= 0xa8 && bytes[2] <= 0xae);
    }
    return bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9;
}
