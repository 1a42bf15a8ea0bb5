/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: after SIGUSR2 every FAILING_MALLOC-th allocation fails, until the next SIGUSR2.
 * For glibc, and not for sanitizers, which have allocators of their own. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
/* NOLINTEND(bugprone-reserved-identifier) */

static atomic_bool is_armed;
static atomic_uint calls;
static unsigned period;

static void toggle(int number)
{
    (void)number;
    atomic_store(&is_armed, !atomic_load(&is_armed));
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("FAILING_MALLOC");
    period = text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);
    if (period > 0) {
        struct sigaction action = {.sa_handler = toggle};
        sigaction(SIGUSR2, &action, NULL);
    }
}

static int fails(void)
{
    if (!atomic_load_explicit(&is_armed, memory_order_relaxed) ||
        atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % period != 0) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    return fails() ? NULL : __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}
