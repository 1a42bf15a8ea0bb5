/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a program that found itself in an impossible state. Any thread. */
#include "base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*_Atomic state_dump)(int fd);

void check_set_dump(void (*dump)(int fd))
{
    atomic_store(&state_dump, dump);
}

void check_failed(const char *condition, const char *file, int line, const char *function)
{
    /* No streams, no heap: either may be what broke. The place comes first, for a long condition
     * may be cut. */
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: %s(): CHECK failed: %s\n", file, line, function,
                       condition);
    size_t size = len < 0 ? 0 : (size_t)len;
    if (size >= sizeof text) {
        size = sizeof text - 1;
        text[size - 1] = '\n';
    }
    bool is_written = write(STDERR_FILENO, text, size) >= 0;
    /* Only once: the dump may fail a CHECK of its own, and another thread may fail meanwhile. */
    void (*dump)(int fd) = atomic_exchange(&state_dump, NULL);
    if (is_written && dump != NULL) {
        dump(STDERR_FILENO);
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
    if (UNLIKELY(pointer == NULL || found != magic)) {
        char condition[128];
        snprintf(condition, sizeof condition, "%s expected, magic 0x%08x found", type, found);
        check_failed(condition, file, line, function);
    }
    return pointer;
}
