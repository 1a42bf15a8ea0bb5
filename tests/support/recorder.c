/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as members see them. */
#include "support/recorder.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/compiler.h"

enum { KEPT_MAX = 16384, COMPLAINTS_MAX = 16384 };

struct recorder {
    pthread_mutex_t lock;
    bool keeps, allows_smuggled;
    unsigned count, kept;
    struct recorded *requests[KEPT_MAX];
    char complaints[COMPLAINTS_MAX];
    size_t complained;
    atomic_uchar seen[TAG_NUMBERS];
};

struct recorder *recorder_new(void)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    CHECK(recorder != NULL);
    CHECK(pthread_mutex_init(&recorder->lock, NULL) == 0);
    recorder->keeps = true;
    return recorder;
}

static void drop(struct recorded *request)
{
    free(request->head);
    free(request->body);
    free(request);
}

void recorder_clear(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    for (unsigned i = 0; i < recorder->kept; i++) {
        drop(recorder->requests[i]);
    }
    recorder->kept = recorder->count = 0;
    recorder->complained = 0;
    recorder->complaints[0] = '\0';
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_free(struct recorder *recorder)
{
    recorder_clear(recorder);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder);
}

void recorder_keep(struct recorder *recorder, bool keeps)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->keeps = keeps;
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_allow_smuggled(struct recorder *recorder, bool allows)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->allows_smuggled = allows;
    pthread_mutex_unlock(&recorder->lock);
}

PRINTF_LIKE(3, 4)
static void complain(struct recorder *recorder, const struct recorded *request, const char *format,
                     ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    size_t room = sizeof recorder->complaints - recorder->complained;
    int n = snprintf(recorder->complaints + recorder->complained, room, "%s in: %.300s\n", what,
                     request->head);
    recorder->complained += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL) {
            return false;
        }
    }
    return len > 0;
}

bool recorded_field(const struct recorded *request, const char *name, char value[256])
{
    size_t len = strlen(name);
    const char *line = request->head;
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *start = line + len + 1;
            start += strspn(start, " ");
            if (value != NULL) {
                snprintf(value, 256, "%.*s", (int)strcspn(start, "\r"), start);
            }
            return true;
        }
    }
    return false;
}

unsigned recorded_fields(const struct recorded *request, const char *name)
{
    size_t len = strlen(name);
    unsigned count = 0;
    const char *line = request->head;
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        count += strncasecmp(line, name, len) == 0 && line[len] == ':';
    }
    return count;
}

static void judge_bytes(struct recorder *recorder, const struct recorded *request)
{
    for (size_t i = 0; i < request->head_len; i++) {
        unsigned char byte = (unsigned char)request->head[i];
        bool ends = byte == '\r' && request->head[i + 1] == '\n';
        bool ended = byte == '\n' && i > 0 && request->head[i - 1] == '\r';
        if ((byte < 0x20 && byte != '\t' && !ends && !ended) || byte == 0x7f) {
            complain(recorder, request, "byte %u at %zu", byte, i);
            return;
        }
    }
}

static void judge_lines(struct recorder *recorder, const struct recorded *request)
{
    const char *line = strstr(request->head, "\r\n");
    size_t method = strcspn(request->head, " ");
    size_t start_len = line == NULL ? 0 : (size_t)(line - request->head);
    if (start_len < 14 || memcmp(line - 9, " HTTP/1.1", 9) != 0 ||
        !is_token(request->head, method)) {
        complain(recorder, request, "start line");
        return;
    }
    while ((line = strstr(line, "\r\n")) != NULL && line[2] != '\r') {
        line += 2;
        size_t name = strcspn(line, ":\r");
        if (line[name] != ':' || !is_token(line, name) || line[name + 1] != ' ') {
            complain(recorder, request, "field line %.40s", line);
            return;
        }
    }
}

static void judge_framing(struct recorder *recorder, const struct recorded *request)
{
    char value[256];
    unsigned lengths = recorded_fields(request, "Content-Length");
    unsigned codings = recorded_fields(request, "Transfer-Encoding");
    if (lengths + codings > 1) {
        complain(recorder, request, "%u lengths and %u codings", lengths, codings);
    }
    if (recorded_field(request, "Content-Length", value)) {
        bool is_canonical = value[0] != '\0' && strspn(value, "0123456789") == strlen(value) &&
                            (value[0] != '0' || value[1] == '\0');
        if (!is_canonical) {
            complain(recorder, request, "length %s", value);
        }
    }
    if (recorded_field(request, "Transfer-Encoding", value) && strcmp(value, "chunked") != 0) {
        complain(recorder, request, "coding %s", value);
    }
}

static void judge(struct recorder *recorder, const struct recorded *request)
{
    static const char *const never[] = {"Keep-Alive", "Proxy-Connection", "TE",
                                        "Trailer",    "Upgrade",          "Expect",
                                        "Proxy",      "HTTP2-Settings"};
    char value[256];
    judge_bytes(recorder, request);
    judge_lines(recorder, request);
    judge_framing(recorder, request);
    if (recorded_fields(request, "Host") != 1) {
        complain(recorder, request, "%u Host fields", recorded_fields(request, "Host"));
    }
    if (recorded_field(request, "Connection", value) && strcasecmp(value, "close") != 0) {
        complain(recorder, request, "Connection: %s", value);
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        if (recorded_field(request, never[i], NULL)) {
            complain(recorder, request, "hop-by-hop %s", never[i]);
        }
    }
    size_t method = strcspn(request->head, " ");
    if (!recorder->allows_smuggled && strncmp(request->head + method, " /smuggled", 10) == 0) {
        complain(recorder, request, "smuggled");
    }
}

void recorder_add(struct recorder *recorder, struct recorded *request)
{
    char *end;
    unsigned long number = strtoul(request->tag, &end, 10);
    if (request->tag[0] != '\0' && *end == '\0' && number < TAG_NUMBERS) {
        atomic_fetch_add(&recorder->seen[number], 1);
    }
    pthread_mutex_lock(&recorder->lock);
    judge(recorder, request);
    recorder->count++;
    if (recorder->keeps && recorder->kept < KEPT_MAX) {
        struct recorded *copy = malloc(sizeof *copy);
        CHECK(copy != NULL);
        *copy = *request;
        recorder->requests[recorder->kept++] = copy;
    } else {
        free(request->head);
        free(request->body);
    }
    pthread_mutex_unlock(&recorder->lock);
    request->head = request->body = NULL;
}

unsigned recorder_count(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    unsigned count = recorder->count;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

const struct recorded *recorder_at(struct recorder *recorder, unsigned index)
{
    pthread_mutex_lock(&recorder->lock);
    CHECK(index < recorder->kept);
    const struct recorded *request = recorder->requests[index];
    pthread_mutex_unlock(&recorder->lock);
    return request;
}

char *recorder_complaints(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    char *copy = strdup(recorder->complaints);
    pthread_mutex_unlock(&recorder->lock);
    CHECK(copy != NULL);
    return copy;
}

unsigned recorder_seen(struct recorder *recorder, unsigned number)
{
    CHECK(number < TAG_NUMBERS);
    return atomic_load(&recorder->seen[number]);
}

uint64_t bytes_hash(uint64_t hash, struct str bytes)
{
    if (hash == 0) {
        hash = 0xcbf29ce484222325ULL;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ (unsigned char)bytes.data[i]) * 0x100000001b3ULL;
    }
    return hash;
}
