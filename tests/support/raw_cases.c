/* SPDX-License-Identifier: Apache-2.0 */
/* Raw messages from a file of JSON lines, which hold no escapes where we look. */
#include "support/raw_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/support.h"

#define CASES "tests/data/http1_cases.jsonl"

/* The value of a string member, to be freed; NULL: there is none. */
static char *member(const char *line, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\": \"", name);
    const char *start = strstr(line, key);
    if (start == NULL) {
        return NULL;
    }
    start += strlen(key);
    return strndup(start, strcspn(start, "\""));
}

static struct str from_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        bytes[i] = (char)byte;
    }
    return str_make(bytes, len);
}

static void visit_line(const char *line, const char *side, unsigned *count,
                       void (*visit)(const struct raw_case *c, void *context), void *context)
{
    struct raw_case c = {.raw = {NULL, 0}};
    char *id = member(line, "id");
    char *whose = member(line, "side");
    char *hex = member(line, "raw_hex");
    CHECK(id != NULL && whose != NULL);
    snprintf(c.id, sizeof c.id, "%s", id);
    snprintf(c.side, sizeof c.side, "%s", whose);
    c.required = member(line, "required");
    if (hex != NULL && hex[0] != '\0') {
        c.raw = from_hex(hex);
    }
    if (side == NULL || strcmp(side, whose) == 0) {
        (*count)++;
        visit(&c, context);
    }
    free((void *)(uintptr_t)c.raw.data);
    free(c.required);
    free(id);
    free(whose);
    free(hex);
}

unsigned raw_cases_visit(const char *side, void (*visit)(const struct raw_case *c, void *context),
                         void *context)
{
    size_t len;
    unsigned count = 0;
    char *file = read_file(CASES, &len);
    CHECK(file != NULL);
    struct str rest = str_make(file, len);
    struct str line;
    while (str_split(&rest, '\n', &line)) {
        if (line.len > 0) {
            char *text = str_dup(line);
            visit_line(text, side, &count, visit, context);
            free(text);
        }
    }
    free(file);
    return count;
}
