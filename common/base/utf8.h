/* SPDX-License-Identifier: Apache-2.0 */
/* What of a run of bytes is UTF-8 (RFC 3629). Pure functions, any thread. */
#ifndef PORTICO_BASE_UTF8_H
#define PORTICO_BASE_UTF8_H

#include <stddef.h>

#include "base/str.h"

/* Length of the well-formed sequence of one to four bytes at the front of `text`, 0 when there is
 * none: empty, cut short, overlong, a surrogate, or beyond U+10FFFF. */
size_t utf8_sequence(struct str text);

#endif
