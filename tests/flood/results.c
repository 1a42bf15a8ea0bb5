/* SPDX-License-Identifier: Apache-2.0 */
/* Plain values with bounds. Whoever fills them owns them. */
#include "results.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"

static const struct total totals_table[] = {
#define TOTAL(name, better, words) {#name, words, BETTER_##better, offsetof(struct totals, name)},
#include "results_totals.def"
#undef TOTAL
};

size_t total_count(void)
{
    return ARRAY_LEN(totals_table);
}

const struct total *total_at(size_t index)
{
    CHECK(index < ARRAY_LEN(totals_table));
    return &totals_table[index];
}

const struct total *total_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(totals_table); i++) {
        if (str_equal(name, str_from(totals_table[i].name))) {
            return &totals_table[i];
        }
    }
    return NULL;
}

uint64_t total_get(const struct totals *totals, const struct total *total)
{
    uint64_t value;
    memcpy(&value, (const char *)totals + total->offset, sizeof value);
    return value;
}

void total_set(struct totals *totals, const struct total *total, uint64_t value)
{
    memcpy((char *)totals + total->offset, &value, sizeof value);
}

struct results *results_new(void)
{
    struct results *results = calloc(1, sizeof *results);
    if (results != NULL) {
        results->is_valid = true;
    }
    return results;
}

void results_free(struct results *results)
{
    if (results != NULL) {
        free(results->seconds);
        free(results);
    }
}

int results_add_second(struct results *results, const struct second *second)
{
    if (results->second_count == RESULTS_SECONDS_MAX) {
        return 0;
    }
    if (results->second_count == results->second_room) {
        size_t room = results->second_room == 0 ? 64 : 2 * results->second_room;
        struct second *seconds = reallocarray(results->seconds, room, sizeof *seconds);
        if (seconds == NULL) {
            return -ENOMEM;
        }
        results->seconds = seconds;
        results->second_room = room;
    }
    results->seconds[results->second_count++] = *second;
    return 0;
}

static struct failure *find_failure(struct results *results, const char *name)
{
    for (size_t i = 0; i < results->failure_count; i++) {
        if (strcmp(results->failures[i].name, name) == 0) {
            return &results->failures[i];
        }
    }
    return NULL;
}

static struct failure *add_failure(struct results *results, const char *name, const char *words)
{
    struct failure *failure = &results->failures[results->failure_count++];
    bool is_last = results->failure_count == RESULTS_FAILURES_MAX;
    RUN_TEXT(failure->name, is_last ? "other" : name);
    RUN_TEXT(failure->words, is_last ? "failures of all other kinds" : words);
    return failure;
}

void results_add_failures(struct results *results, const char *name, const char *words,
                          uint64_t count)
{
    char cut[sizeof results->failures[0].name];
    RUN_TEXT(cut, name);
    struct failure *failure = find_failure(results, cut);
    if (count == 0) {
        return;
    }
    if (failure == NULL) {
        failure = results->failure_count == RESULTS_FAILURES_MAX
                      ? &results->failures[RESULTS_FAILURES_MAX - 1]
                      : add_failure(results, cut, words);
    }
    failure->count += count;
}

uint64_t results_failed(const struct results *results)
{
    uint64_t count = 0;
    for (size_t i = 0; i < results->failure_count; i++) {
        count += results->failures[i].count;
    }
    return count;
}

uint64_t results_failures(const struct results *results, struct str name)
{
    for (size_t i = 0; i < results->failure_count; i++) {
        if (str_equal(name, str_from(results->failures[i].name))) {
            return results->failures[i].count;
        }
    }
    return 0;
}

bool results_events_are_well(const struct results *results)
{
    for (size_t i = 0; i < results->event_count; i++) {
        if (!results->events[i].is_well) {
            return false;
        }
    }
    return true;
}

void results_invalidate(struct results *results, const char *format, ...)
{
    if (results->is_valid) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(results->invalid_reason, sizeof results->invalid_reason, format, arguments);
        va_end(arguments);
        results->is_valid = false;
    }
}

double results_rate(const struct results *results)
{
    uint64_t ok = 0;
    usec_t duration = 0;
    bool leaves_out = false;
    for (size_t i = 0; i < results->phase_count; i++) {
        const struct phase_result *phase = &results->phases[i];
        leaves_out |= !phase->is_measured;
        ok += phase->is_measured ? phase->ok : 0;
        duration += phase->is_measured ? phase->duration : 0;
    }
    if (!leaves_out) {
        ok = results->totals.ok;
        duration = results->run.duration;
    }
    return duration <= 0 ? 0 : (double)ok * USEC_PER_SEC / (double)duration;
}

void run_text(char *out, size_t size, const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) { /* not within a character */
            len--;
        }
    }
    if (len > 0) {
        memmove(out, text, len);
    }
    out[len] = '\0';
}

/* The first "model name" of /proc/cpuinfo; other machines than x86 may have none. */
static void describe_cpu(char *out, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];
    run_text(out, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            char copy[sizeof line];
            snprintf(copy, sizeof copy, "%.*s", STR_ARG(str_trim(str_from(colon + 1))));
            run_text(out, size, copy);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

void run_describe_machine(struct run_description *run)
{
    struct utsname names;
    if (uname(&names) == 0) {
        char kernel[sizeof names.sysname + sizeof names.release + sizeof names.machine];
        snprintf(kernel, sizeof kernel, "%s %s %s", names.sysname, names.release, names.machine);
        RUN_TEXT(run->kernel, kernel);
        RUN_TEXT(run->host, names.nodename);
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    run->cpus = cpus > 0 ? (unsigned)cpus : 1;
    describe_cpu(run->cpu, sizeof run->cpu);
    RUN_TEXT(run->version, PORTICO_VERSION);
    RUN_TEXT(run->openssl, OpenSSL_version(OPENSSL_VERSION));
}
