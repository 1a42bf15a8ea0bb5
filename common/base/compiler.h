/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler can check for us, under names that read well. GCC and Clang. */
#ifndef PORTICO_BASE_COMPILER_H
#define PORTICO_BASE_COMPILER_H

#include <stddef.h>

/* The result says whether it worked; ignoring it is a bug. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Argument number `template` is a printf format for the arguments from number `first` on. */
#define PRINTF_LIKE(template, first) __attribute__((format(printf, template, first)))

#define NO_RETURN __attribute__((noreturn))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Elements of a true array; a pointer does not compile. */
#define ARRAY_LEN(array)                                                                           \
    (sizeof(array) / sizeof((array)[0]) +                                                          \
     0 * sizeof(struct {                                                                           \
         _Static_assert(!__builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0])), \
                        "ARRAY_LEN wants an array");                                               \
         int unused;                                                                               \
     }))

/* The struct of type `type` whose member `member` `pointer` points to. */
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
