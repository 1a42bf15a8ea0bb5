/* SPDX-License-Identifier: Apache-2.0 */
/* Byte classes of HTTP/1.1 and loops over them, for the parser's files only.
 *
 * The value scan has a form for 16 bytes at once where SSE2 exists, which is every x86-64; a test
 * holds it equal to the scalar form. */
#ifndef PORTICO_NET_HTTP1_SCAN_H
#define PORTICO_NET_HTTP1_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum http1_class {
    HTTP1_IS_TOKEN = 1,  /* tchar, RFC 9110 5.6.2 */
    HTTP1_IS_TARGET = 2, /* may stand in a request target, see http1_scan.c */
    HTTP1_IS_VALUE = 4,  /* HTAB, SP, VCHAR, obs-text: RFC 9110 5.5 */
    HTTP1_IS_DIGIT = 8,
    HTTP1_IS_HOST = 16, /* reg-name without percent: RFC 3986 3.2.2 */
};

extern const uint8_t http1_classes[256];

static inline bool http1_is(char byte, enum http1_class class)
{
    return (http1_classes[(unsigned char)byte] & class) != 0;
}

/* The first byte of [p, end) that is not of `class`, or `end`. */
static inline const char *http1_skip(const char *p, const char *end, enum http1_class class)
{
    while (p < end && http1_is(*p, class)) {
        p++;
    }
    return p;
}

/* The same as http1_skip(p, end, HTTP1_IS_VALUE), faster where values are long. Never reads outside
 * [p, end). */
const char *http1_skip_value(const char *p, const char *end);

#endif
