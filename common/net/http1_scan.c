/* SPDX-License-Identifier: Apache-2.0 */
/* The byte classes, and the value scan. Pure functions, any thread. */
#include "net/http1_scan.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    T = HTTP1_IS_TOKEN,
    U = HTTP1_IS_TARGET,
    V = HTTP1_IS_VALUE,
    H = HTTP1_IS_HOST,
    D = HTTP1_IS_DIGIT,
};

/* Targets: what RFC 3986 allows, and { } | ^ ` besides, which browsers send unescaped in queries.
 * Not: # (a fragment is never sent), \ (some servers read it as /), " < > and all above 0x7e. */
const uint8_t http1_classes[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | U | V | H,
    ['"'] = V,
    ['#'] = T | V,
    ['$'] = T | U | V | H,
    ['%'] = T | U | V,
    ['&'] = T | U | V | H,
    ['\''] = T | U | V | H,
    ['('] = U | V | H,
    [')'] = U | V | H,
    ['*'] = T | U | V | H,
    ['+'] = T | U | V | H,
    [','] = U | V | H,
    ['-'] = T | U | V | H,
    ['.'] = T | U | V | H,
    ['/'] = U | V,
    ['0' ... '9'] = T | U | V | H | D,
    [':'] = U | V,
    [';'] = U | V | H,
    ['<'] = V,
    ['='] = U | V | H,
    ['>'] = V,
    ['?'] = U | V,
    ['@'] = U | V,
    ['A' ... 'Z'] = T | U | V | H,
    ['['] = U | V,
    ['\\'] = V,
    [']'] = U | V,
    ['^'] = T | U | V,
    ['_'] = T | U | V | H,
    ['`'] = T | U | V,
    ['a' ... 'z'] = T | U | V | H,
    ['{'] = U | V,
    ['|'] = T | U | V,
    ['}'] = U | V,
    ['~'] = T | U | V | H,
    [0x80 ... 0xff] = V,
};

#if defined(__SSE2__)
/* A bit for each of 16 bytes that is below 0x20 or is 0x7f. HTAB counts too; it is rare in values,
 * so the caller looks at it again. */
static unsigned control_bits(const char *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i below = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(below, del));
}

const char *http1_skip_value(const char *p, const char *end)
{
    while (end - p >= 16) {
        unsigned bits = control_bits(p);
        if (bits == 0) {
            p += 16;
            continue;
        }
        p += __builtin_ctz(bits);
        if (*p != '\t') {
            return p;
        }
        p++;
    }
    return http1_skip(p, end, HTTP1_IS_VALUE);
}
#else
const char *http1_skip_value(const char *p, const char *end)
{
    return http1_skip(p, end, HTTP1_IS_VALUE);
}
#endif
