/* SPDX-License-Identifier: Apache-2.0 */
/* Two rings in arrays. What was never written was never touched, so a worker that sees little keeps
 * little. The worker's thread. */
#include "recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "member.h"

struct recent {
    size_t requests_added, errors_added; /* in all; the rings hold the last ones */
    struct recent_request requests[RECENT_REQUESTS];
    struct recent_error errors[RECENT_ERRORS];
};

struct recent *recent_new(void)
{
    return calloc(1, sizeof(struct recent));
}

void recent_free(struct recent *recent)
{
    free(recent);
}

/* ---- Requests ---- */

/* As much as fits, terminated. */
static size_t copy(char *out, size_t size, struct str text)
{
    text = str_first(text, size - 1);
    if (text.len > 0) {
        memcpy(out, text.data, text.len);
    }
    out[text.len] = '\0';
    return text.len;
}

static void copy_text(char out[RECENT_TEXT], const struct record *record)
{
    size_t len = copy(out, RECENT_TEXT, record->method);
    if (record->target.len > 0 && len + 1 < RECENT_TEXT) {
        out[len++] = ' ';
        copy(out + len, RECENT_TEXT - len, record->target);
    }
}

static void fill(struct recent_request *request, const struct record *record)
{
    copy(request->request_id, sizeof request->request_id, str_from(record->request_id));
    copy(request->client, sizeof request->client, record->client);
    copy(request->member, sizeof request->member,
         record->member == NULL ? STR("") : str_from(record->member->name));
    copy_text(request->text, record);
    request->wall = record->wall;
    request->receive = record->receive;
    request->queue = record->queue;
    request->connect = record->connect;
    request->wait = record->wait;
    request->total = record->total;
    request->bytes_in = record->bytes_in;
    request->bytes_out = record->bytes_out;
    request->connection = record->connection;
    request->retries = record->retries;
    request->status = (uint16_t)record->status;
    request->reason = (uint16_t)record->reason;
}

void recent_add(struct recent *recent, const struct record *record)
{
    fill(&recent->requests[recent->requests_added++ % RECENT_REQUESTS], record);
}

const struct recent_request *recent_request_at(const struct recent *recent, size_t age)
{
    if (age >= recent->requests_added || age >= RECENT_REQUESTS) {
        return NULL;
    }
    return &recent->requests[(recent->requests_added - 1 - age) % RECENT_REQUESTS];
}

/* O(RECENT_REQUESTS); only administrators ask. */
const struct recent_request *recent_find(const struct recent *recent, struct str request_id)
{
    const struct recent_request *request;
    if (request_id.len == 0) {
        return NULL; /* those that were refused before they got one */
    }
    for (size_t age = 0; (request = recent_request_at(recent, age)) != NULL; age++) {
        if (str_equal(str_from(request->request_id), request_id)) {
            return request;
        }
    }
    return NULL;
}

/* ---- Errors ---- */

/* The line may be malformed in any way, that is why it is here: an alias with "_", a space or no
 * colon behind the name. */
static bool starts_with_name(struct str line, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = i < line.len ? line.data[i] : '\0';
        c = c == '_' ? '-' : c;
        if ((c | 0x20) != (name.data[i] | 0x20)) {
            return false;
        }
    }
    /* "Cookies" is another field. */
    char next = line.len > name.len ? line.data[name.len] : ':';
    bool goes_on = (next >= '0' && next <= '9') || ((next | 0x20) >= 'a' && (next | 0x20) <= 'z') ||
                   next == '-' || next == '_';
    return !goes_on;
}

/* Bytes at the front that may be shown; all of them when the line keeps no secret. `is_secret`: of
 * the line before, then of this one. */
static size_t public_part(struct str line, bool *is_secret)
{
    static const struct str names[] = {STR("Authorization"), STR("Proxy-Authorization"),
                                       STR("Cookie"), STR("Set-Cookie")};
    size_t indent = 0;
    while (indent < line.len && (line.data[indent] == ' ' || line.data[indent] == '\t')) {
        indent++;
    }
    if (indent > 0 && *is_secret) {
        return 0; /* folded: it goes on with the value */
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (starts_with_name(str_skip(line, indent), names[i])) {
            *is_secret = true;
            return indent + names[i].len;
        }
    }
    *is_secret = false;
    return line.len;
}

/* Up to a CR, a LF or the end. */
static struct str line_at(struct str input, size_t at)
{
    struct str rest = str_skip(input, at);
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '\r' && rest.data[len] != '\n') {
        len++;
    }
    return str_first(rest, len);
}

/* Put stars over what of input[from, to) the excerpt shows. */
static void blank(struct recent_error *error, size_t from, size_t to)
{
    size_t first = error->excerpt_at;
    size_t end = first + error->excerpt_len;
    from = from > first ? from : first;
    to = to < end ? to : end;
    if (from < to) {
        memset(error->excerpt + (from - first), '*', to - from);
    }
}

static void blank_secrets(struct recent_error *error, struct str input)
{
    size_t end = (size_t)error->excerpt_at + error->excerpt_len;
    bool is_secret = false;
    for (size_t at = 0; at < end;) {
        struct str line = line_at(input, at);
        /* Between a CR and its LF is no line. */
        size_t shown = line.len == 0 ? 0 : public_part(line, &is_secret);
        blank(error, at + shown, at + line.len);
        at += line.len + 1;
    }
}

void recent_add_error(struct recent *recent, const struct record *record, struct str input)
{
    struct recent_error *error = &recent->errors[recent->errors_added++ % RECENT_ERRORS];
    size_t offset = record->offset < input.len ? record->offset : input.len;
    size_t first = offset > RECENT_HEAD / 2 ? offset - RECENT_HEAD / 2 : 0;
    struct str excerpt = str_first(str_skip(input, first), RECENT_HEAD);
    memset(error, 0, sizeof *error);
    fill(&error->request, record);
    error->offset = record->offset;
    error->excerpt_at = (uint32_t)first;
    error->excerpt_len = (uint16_t)excerpt.len;
    if (excerpt.len > 0) {
        memcpy(error->excerpt, excerpt.data, excerpt.len);
        blank_secrets(error, input);
    }
}

const struct recent_error *recent_error_at(const struct recent *recent, size_t age)
{
    if (age >= recent->errors_added || age >= RECENT_ERRORS) {
        return NULL;
    }
    return &recent->errors[(recent->errors_added - 1 - age) % RECENT_ERRORS];
}

int recent_newest_first(const void *error, const void *other)
{
    usec_t at = ((const struct recent_error *)error)->request.wall;
    usec_t other_at = ((const struct recent_error *)other)->request.wall;
    return (at < other_at) - (at > other_at);
}
