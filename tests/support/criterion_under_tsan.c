/* SPDX-License-Identifier: Apache-2.0 */
/* Lets Criterion run under ThreadSanitizer. Criterion shares memory with its test processes at an
 * address that it draws with rand_r() from 0x2000'0000'0000 on, in steps of 16 MiB. Most of that
 * range is ThreadSanitizer's own, where mapping fails. This rand_r(), found before libc's, draws
 * only from 0x5501'0000'0000 to 0x5541'0000'0000, which ThreadSanitizer leaves to programs and
 * where the kernel loads none. */
#include <stdlib.h>
#include <unistd.h>

/* NOLINTNEXTLINE(readability-non-const-parameter): the prototype is libc's. */
int rand_r(unsigned *seed)
{
    static int draws;
    (void)seed;
    return 0x350100 + ((int)(getpid() & 0x3f) << 8) + 16 * (draws++ & 0xf);
}
