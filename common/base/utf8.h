/* SPDX-License-Identifier: Apache-2.0 */
/* What of a run of bytes is UTF-8 (RFC 3629). Pure functions, any thread. */
#ifndef PORTICO_BASE_UTF8_H
#define PORTICO_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Length of the well-formed sequence of one to four bytes at the front of `text`, 0 when there is
 * none: empty, cut short, overlong, a surrogate, or beyond U+10FFFF. */
size_t utf8_sequence(struct str text);

/* Whether the well-formed sequence at `bytes`, beyond ASCII, does something to a terminal instead
 * of showing: C1 controls (U+0080 to U+009F), and marks and overrides of direction (U+200E, U+200F,
 * U+2028 to U+202E, U+2066 to U+2069), with which text can be made to read as another. */
bool utf8_steers_terminal(const unsigned char *bytes);

#endif
