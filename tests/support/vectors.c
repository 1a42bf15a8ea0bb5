/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded packets and test keys. */
#include "support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "support/support.h"

#define VECTORS "../shared/vectors/"

json_t *vectors_load(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s", name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return NULL;
    }
    json_t *json = json_loadf(file, JSON_ALLOW_NUL, NULL);
    fclose(file);
    CHECK(json != NULL);
    return json;
}

struct str vectors_text(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    CHECK(json_is_string(member));
    return str_make(json_string_value(member), json_string_length(member));
}

static unsigned digit(char c)
{
    CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

struct str vectors_hex(const json_t *object, const char *key)
{
    if (!json_is_string(json_object_get(object, key))) {
        return str_make(NULL, 0);
    }
    struct str hex = vectors_text(object, key);
    CHECK(hex.len % 2 == 0);
    char *bytes = malloc(hex.len / 2 + 1);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < hex.len / 2; i++) {
        bytes[i] = (char)(digit(hex.data[2 * i]) << 4 | digit(hex.data[2 * i + 1]));
    }
    return str_make(bytes, hex.len / 2);
}

bool vectors_hex_equals(const json_t *object, const char *key, struct str bytes)
{
    struct str expected = vectors_hex(object, key);
    bool equal = str_equal(expected, bytes);
    free_str(expected);
    return equal;
}
