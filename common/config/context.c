/* SPDX-License-Identifier: Apache-2.0 */
/* The contexts that exist. Any thread. */
#include "config/context.h"

#include <errno.h>

#include "base/check.h"

/* All that GRR has, for its files use them freely. */
static const char *const known[] = {
    "AdminUI Context",
    "Benchmark Context",
    "Client Context",
    "ClientBuilder Context",
    "Commandline Context",
    "ConfigUpdater Context",
    "Console Context",
    "Debug Context",
    "DebugClientBuild Context",
    "Demo Context",
    "EntryPoint Context",
    "ExportTool Context",
    "FleetspeakFrontend Context",
    "Global Install Context",
    "HTTPServer Context",
    "Installer Context",
    "MySQLDataStore",
    "PoolClient Context",
    "Test Context",
    "Worker Context",
    "Platform:Darwin",
    "Platform:Linux",
    "Platform:Windows",
    "Arch:aarch64",
    "Arch:amd64",
    "Arch:i386",
    "Arch:ppc64le",
    "Target:Darwin",
    "Target:Linux",
    "Target:LinuxDeb",
    "Target:LinuxRpm",
    "Target:Windows",
};

/* Names of these forms are known whatever follows: they grow with every new machine. */
static const char *const prefixes[] = {"Platform:", "Arch:", "Target:"};

#if defined(__x86_64__)
#define ARCH_CONTEXT "Arch:amd64"
#elif defined(__aarch64__)
#define ARCH_CONTEXT "Arch:aarch64"
#elif defined(__i386__)
#define ARCH_CONTEXT "Arch:i386"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCH_CONTEXT "Arch:ppc64le"
#else
#define ARCH_CONTEXT "Arch:other"
#endif

struct contexts contexts_of_program(enum program program)
{
    struct contexts contexts = {.count = 0};
    if (program == PROGRAM_BALANCER || program == PROGRAM_PORTICO) {
        contexts.names[contexts.count++] = "Commandline Context";
    }
    /* The balancer and the operator's command must see the Frontend range as the instances do, and
     * files set it in this context; it comes later and so wins. */
    contexts.names[contexts.count++] =
        program == PROGRAM_FLOOD ? "PoolClient Context" : "HTTPServer Context";
    contexts.names[contexts.count++] = "Platform:Linux";
    contexts.names[contexts.count++] = ARCH_CONTEXT;
    return contexts;
}

int contexts_add(struct contexts *contexts, const char *name)
{
    if (!context_is_known(str_from(name))) {
        return -EINVAL;
    }
    if (contexts_position(contexts, str_from(name)) >= 0) {
        return 0;
    }
    if (contexts->count == CONTEXTS_MAX) {
        return -E2BIG;
    }
    contexts->names[contexts->count++] = name;
    return 0;
}

int contexts_position(const struct contexts *contexts, struct str name)
{
    for (size_t i = 0; i < contexts->count; i++) {
        if (str_equal(name, str_from(contexts->names[i]))) {
            return (int)i;
        }
    }
    return -1;
}

bool context_is_known(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct str prefix = str_from(prefixes[i]);
        if (str_starts_with(name, prefix) && name.len > prefix.len) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_equal(name, str_from(known[i]))) {
            return true;
        }
    }
    return false;
}

bool context_is_like(struct str name)
{
    return str_find(name, ' ') < name.len || str_find(name, ':') < name.len;
}

const char *context_suggest(struct str name)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (name.len + best_distance < strlen(known[i])) {
            continue; /* too short to be close */
        }
        unsigned distance = str_distance(name, str_from(known[i]), best_distance);
        if (distance < best_distance) {
            best = known[i];
            best_distance = distance;
        }
    }
    return best;
}
