/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions for what cannot happen. They stay on in release builds: a wrong state found early is
 * a crash with a reason instead of a corrupted store. Never CHECK input, system calls or peers;
 * those fail in the ordinary way. */
#ifndef PORTICO_BASE_CHECK_H
#define PORTICO_BASE_CHECK_H

#include <stdint.h>

#include "base/compiler.h"

#define CHECK(condition)                                            \
    do {                                                            \
        if (UNLIKELY(!(condition))) {                               \
            check_failed(#condition, __FILE__, __LINE__, __func__); \
        }                                                           \
    } while (0)

/* A struct that travels through `void *` starts with `uint32_t magic`. MAGIC_CAST turns the
 * pointer back and crashes when it names something else, or something already freed. */
#define MAGIC_CAST(type, magic_value, pointer) \
    ((type *)magic_cast((pointer), (magic_value), #type, __FILE__, __LINE__, __func__))

NO_RETURN void check_failed(const char *condition, const char *file, int line,
                            const char *function);

void *magic_cast(void *pointer, uint32_t magic, const char *type, const char *file, int line,
                 const char *function);

/* Have `dump` write the program's state to a file descriptor before a failed CHECK aborts. It runs
 * on the failing thread, in any state: it may only write(). NULL: none. Set it before threads
 * start. */
void check_set_dump(void (*dump)(int fd));

#endif
