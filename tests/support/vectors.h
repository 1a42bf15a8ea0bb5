/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded packets and test keys, beside the project in ../shared/vectors; a checkout may lack
 * them. Tests are started in the project's root. Failures abort: a test cannot go on. */
#ifndef PORTICO_TESTS_VECTORS_H
#define PORTICO_TESTS_VECTORS_H

#include <jansson.h>

#include "base/str.h"

/* The file's JSON, NULL when the vectors are absent. json_decref() it. */
json_t *vectors_load(const char *name);

/* A member that must be there and a string; a view that lives as long as `object`. */
struct str vectors_text(const json_t *object, const char *key);

/* The bytes of a member in hex. The data is the caller's to free; NULL with length 0 when the
 * member is absent. */
struct str vectors_hex(const json_t *object, const char *key);

/* Whether the member `key` in hex is `bytes`. */
bool vectors_hex_equals(const json_t *object, const char *key, struct str bytes);

#endif
