/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood keys: identities, made once. */
#include <unistd.h>

#include "commands.h"
#include "identities.h"

int command_keys(const struct arguments *arguments)
{
    struct identities *identities = NULL;
    struct error error = {.line = 0};
    uint64_t agents = 0;
    const char *path = arguments_text(arguments, "output");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t threads = cpus > 0 ? (uint64_t)cpus : 1;
    int status = arguments_number(arguments, "agents", 1, IDENTITIES_MAX, &agents);
    status = status != 0 ? status : arguments_number(arguments, "threads", 1, 256, &threads);
    if (status != 0) {
        return status;
    }
    if (agents == 0 || path == NULL) {
        return arguments_misuse(arguments, "--agents and -o are needed");
    }
    if (access(path, F_OK) == 0) {
        return arguments_fail(arguments, "%s is there already", path);
    }
    usec_t begin = clock_monotonic(&clock_system);
    int code = identities_make(agents, (unsigned)threads, &identities, &error);
    code = code < 0 ? code : identities_save(identities, path, &error);
    if (code < 0) {
        identities_free(identities);
        return arguments_fail(arguments, "%s", error.message);
    }
    fprintf(arguments->out,
            "%s: %llu identities from %zu primes, made in %.1f s.\n"
            "Their moduli share primes: whoever has two of them can take both apart. They are for "
            "load tests only.\n",
            path, (unsigned long long)agents, identities_primes(identities),
            (double)(clock_monotonic(&clock_system) - begin) / (double)USEC_PER_SEC);
    identities_free(identities);
    return EXIT_STATUS_FINE;
}
