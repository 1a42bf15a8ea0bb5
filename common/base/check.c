/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a program that found itself in an impossible state. Any thread. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*state_dump)(int fd);

void check_set_dump(void (*dump)(int fd))
{
    state_dump = dump;
}

void check_failed(const char *condition, const char *file, int line, const char *function)
{
    /* No stdio, no heap: either may be what broke. */
    char text[512];
    int len = snprintf(text, sizeof text, "CHECK failed: %s at %s:%d in %s()\n", condition, file,
                       line, function);
    size_t size = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    if (write(STDERR_FILENO, text, size) >= 0 && state_dump != NULL) {
        state_dump(STDERR_FILENO);
    }
    abort();
}

void *magic_cast(void *pointer, uint32_t magic, const char *type, const char *file, int line,
                 const char *function)
{
    uint32_t found = 0;
    if (pointer != NULL) {
        memcpy(&found, pointer, sizeof found);
    }
    if (UNLIKELY(found != magic)) {
        char condition[128];
        snprintf(condition, sizeof condition, "%s expected, magic 0x%08x found", type, found);
        check_failed(condition, file, line, function);
    }
    return pointer;
}
