/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting and printing problems. One thread. */
#include "config/problem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX_BYTES = 1024 * 1024, /* of all that is kept */
    LINE_SHOWN = 120,             /* characters of a source line */
    LEAD_SHOWN = 60,              /* of them, before the caret when the line is cut in front */
    KEY_MATERIAL_MIN = 40,        /* base64 characters without a break: a line of a PEM block */
};

struct problem {
    enum severity severity;
    unsigned order, line, column; /* sorts by these */
    size_t number;                /* then by the order of discovery */
    const char *place;            /* ready to print */
    const char *message;
    const char *hint;    /* NULL: none */
    const char *excerpt; /* the source line and the line with the caret; NULL: none */
};

struct problems {
    struct arena arena;
    struct problem *list;
    size_t count, max, left_out;
    size_t errors, warnings;
};

struct problems *problems_new(size_t max)
{
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        return NULL;
    }
    problems->list = calloc(max, sizeof *problems->list);
    if (problems->list == NULL) {
        free(problems);
        return NULL;
    }
    problems->max = max;
    arena_init(&problems->arena, 4096, TEXT_MAX_BYTES);
    return problems;
}

void problems_free(struct problems *problems)
{
    if (problems != NULL) {
        arena_done(&problems->arena);
        free(problems->list);
        free(problems);
    }
}

size_t problems_errors(const struct problems *problems)
{
    return problems->errors;
}

size_t problems_warnings(const struct problems *problems)
{
    return problems->warnings;
}

static bool is_base64(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=';
}

static bool is_key_material(struct str line)
{
    struct str text = str_trim(line);
    size_t run = 0;
    while (run < text.len && is_base64(text.data[run])) {
        run++;
    }
    return run >= KEY_MATERIAL_MIN || (run > 0 && run == text.len && text.data[run - 1] == '=');
}

/* The name before the colon (or equals sign) says that what follows is nobody's business. */
static bool names_secret(struct str name)
{
    static const char *const words[] = {"password", "secret", "private", "_key", "token"};
    char copy[128];
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(name));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasestr(copy, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* What of a source line may be shown. */
static struct str public_part(struct str line)
{
    if (line.len == 0) {
        return line; /* memmem() wants a pointer */
    }
    size_t colon = str_find(line, ':');
    size_t equals = str_find(line, '=');
    size_t end = colon < equals ? colon : equals;
    if (memmem(line.data, line.len, "-----BEGIN", 10) != NULL || is_key_material(line)) {
        return str_first(line, end == line.len ? 0 : end + 1);
    }
    return end < line.len && names_secret(str_first(line, end)) ? str_first(line, end + 1) : line;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Drop what stands far before the caret, so that it is seen. The number of characters dropped. */
static unsigned cut_front(struct str *line, unsigned column)
{
    unsigned dropped = 0;
    while (column - dropped > LINE_SHOWN - LEAD_SHOWN && line->len > 0) {
        size_t len = 1;
        while (len < line->len && is_continuation(line->data[len])) {
            len++;
        }
        *line = str_skip(*line, len);
        dropped++;
    }
    return dropped;
}

/* One character, readable on a terminal; a tab becomes a space so that the caret stays right. The
 * number of columns it takes. */
static unsigned put_character(FILE *out, char c)
{
    if (c == '\t') {
        fputc(' ', out);
        return 1;
    }
    if ((unsigned char)c < 0x20 || c == 0x7f) {
        return (unsigned)fprintf(out, "\\x%02x", (unsigned char)c);
    }
    fputc(c, out);
    return is_continuation(c) ? 0 : 1;
}

/* C1 control characters are two bytes in UTF-8 and steer some terminals. */
static bool is_c1(struct str text)
{
    return text.len >= 2 && (unsigned char)text.data[0] == 0xc2 &&
           (unsigned char)text.data[1] < 0xa0;
}

/* The line from `text` on; `caret` (characters from 0) becomes a column of the output. */
static unsigned put_line(FILE *out, struct str text, unsigned caret, bool is_utf8)
{
    unsigned characters = 0;
    unsigned columns = 0;
    unsigned caret_column = 0;
    for (; text.len > 0 && columns < LINE_SHOWN; text = str_skip(text, 1)) {
        if (characters == caret && !is_continuation(text.data[0])) {
            caret_column = columns;
        }
        characters += !is_utf8 || !is_continuation(text.data[0]);
        if (is_c1(text) || (!is_utf8 && (unsigned char)text.data[0] >= 0x80)) {
            columns += (unsigned)fprintf(out, "\\x%02x", (unsigned char)text.data[0]);
            if (is_utf8) {
                columns += (unsigned)fprintf(out, "\\x%02x", (unsigned char)text.data[1]);
                text = str_skip(text, 1);
            }
            continue;
        }
        columns += put_character(out, text.data[0]);
    }
    while (text.len > 0 && is_continuation(text.data[0]) && is_utf8) {
        fputc(text.data[0], out);
        text = str_skip(text, 1);
    }
    fputs(text.len > 0 ? "...\n" : "\n", out);
    return caret >= characters ? columns : caret_column;
}

static const char *excerpt_make(struct arena *arena, struct place place)
{
    if (place.source == NULL || place.line == 0 || place.column == 0) {
        return NULL;
    }
    struct str line = public_part(source_line(place.source, place.line));
    const struct source alone = {.text = line};
    struct place unused;
    bool is_utf8 = source_check_utf8(&alone, &unused) == 0;
    unsigned dropped = cut_front(&line, place.column);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "    %s", dropped > 0 ? "..." : "");
    unsigned caret = put_line(out, line, place.column - 1 - dropped, is_utf8);
    fprintf(out, "    %*s^\n", (int)(caret + (dropped > 0 ? 3 : 0)), "");
    const char *kept = fclose(out) == 0 ? arena_strdup(arena, str_make(text, size)) : NULL;
    free(text);
    return kept;
}

/* Names and messages quote what the user wrote: no control character reaches the terminal. */
static char *printable(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, 4 * strlen(text) + 1);
    if (copy == NULL) {
        return NULL;
    }
    char *end = copy;
    for (struct str rest = str_from(text); rest.len > 0; rest = str_skip(rest, 1)) {
        unsigned char c = (unsigned char)rest.data[0];
        bool is_control = c < 0x20 || c == 0x7f || is_c1(rest);
        end += is_control ? sprintf(end, "\\x%02x", c) : (*end = (char)c, 1);
        if (is_c1(rest)) {
            rest = str_skip(rest, 1);
            end += sprintf(end, "\\x%02x", (unsigned char)rest.data[0]);
        }
    }
    *end = '\0';
    return copy;
}

static const char *place_make(struct arena *arena, struct place place)
{
    if (place.source == NULL) {
        return "portico";
    }
    char *name = printable(arena, place.source->name);
    if (name == NULL || place.line == 0) {
        return name;
    }
    return arena_printf(arena, "%s:%u:%u", name, place.line, place.column);
}

static bool is_known(const struct problems *problems, const char *place, const char *message)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (strcmp(problems->list[i].place, place) == 0 &&
            strcmp(problems->list[i].message, message) == 0) {
            return true;
        }
    }
    return false;
}

static void keep(struct problems *problems, enum severity severity, struct place place,
                 const char *hint, const char *message)
{
    struct arena *arena = &problems->arena;
    struct problem problem = {
        .severity = severity,
        .order = place.source == NULL ? 0 : place.source->order,
        .line = place.line,
        .column = place.column,
        .number = problems->count,
        .place = place_make(arena, place),
        .message = printable(arena, message),
        .hint = hint == NULL ? NULL : printable(arena, hint),
    };
    if (problem.place == NULL || problem.message == NULL || problems->count == problems->max) {
        problems->left_out++;
    } else if (!is_known(problems, problem.place, problem.message)) {
        problem.excerpt = excerpt_make(arena, place);
        problems->list[problems->count++] = problem;
    } else {
        return;
    }
    *(severity == SEVERITY_ERROR ? &problems->errors : &problems->warnings) += 1;
}

void problem_add(struct problems *problems, enum severity severity, struct place place,
                 const char *hint, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    int needed = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (needed >= (int)sizeof message) {
        memcpy(message + sizeof message - 4, "...", 4);
    }
    keep(problems, severity, place, hint, message);
}

static int compare(const void *left, const void *right)
{
    const struct problem *a = left;
    const struct problem *b = right;
    if (a->order != b->order) {
        return a->order < b->order ? -1 : 1;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    if (a->column != b->column) {
        return a->column < b->column ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

static void sort(struct problems *problems)
{
    if (problems->count > 0) {
        qsort(problems->list, problems->count, sizeof *problems->list, compare);
    }
}

void problems_each(struct problems *problems,
                   void (*tell)(void *context, const struct problem_view *problem), void *context)
{
    sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        const struct problem_view view = {problem->severity, problem->place, problem->message,
                                          problem->hint};
        tell(context, &view);
    }
}

void problems_print(struct problems *problems, FILE *out)
{
    sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        fprintf(out, "%s: %s: %s\n%s", problem->place,
                problem->severity == SEVERITY_ERROR ? "error" : "warning", problem->message,
                problem->excerpt == NULL ? "" : problem->excerpt);
        if (problem->hint != NULL) {
            fprintf(out, "    hint: %s\n", problem->hint);
        }
    }
    if (problems->left_out > 0) {
        fprintf(out, "%zu more problems are not shown\n", problems->left_out);
    }
}
