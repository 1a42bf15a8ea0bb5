/* SPDX-License-Identifier: Apache-2.0 */
/* Interpolation by recursive descent; the depth is INTERPOLATE_NESTING_MAX. One thread. */
#include "config/interpolate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ARGUMENT_MAX_BYTES = 4096 }; /* of a path, a variable's or an option's name */

struct scan {
    struct interpolation *in;
    struct str section;
    struct str text;
    size_t at;
    size_t expression; /* where the expression being read starts, for messages */
    unsigned nesting;
    struct error *error;
};

static int scan_text(struct scan *scan, bool in_expression, struct buffer *out);

static int put(struct scan *scan, struct buffer *out, struct str bytes)
{
    int code = buffer_append(out, bytes);
    return code == -ENOBUFS ? error_set(scan->error, -EFBIG, "the interpolated value is too long")
                            : code;
}

static bool looking_at(const struct scan *scan, const char *text)
{
    return str_starts_with(str_skip(scan->text, scan->at), str_from(text));
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A backslash takes the meaning from the characters that have one. Before any other it stands for
 * itself, so that paths of Windows survive. */
static int scan_escape(struct scan *scan, struct buffer *out)
{
    struct str rest = str_skip(scan->text, scan->at);
    bool is_special = rest.len > 1 && is_one_of(rest.data[1], "\\(){}%|");
    scan->at += is_special ? 2 : 1;
    return put(scan, out, is_special ? str_make(rest.data + 1, 1) : str_first(rest, 1));
}

/* Within %{...} only braces can be escaped; all else is as it is. */
static int scan_literal(struct scan *scan, struct buffer *out)
{
    scan->expression = scan->at;
    scan->at += 2;
    while (scan->at < scan->text.len) {
        char c = scan->text.data[scan->at];
        if (c == '}') {
            scan->at++;
            return 0;
        }
        bool is_escape = looking_at(scan, "\\{") || looking_at(scan, "\\}");
        scan->at += is_escape;
        int code = put(scan, out, str_make(scan->text.data + scan->at, 1));
        if (code < 0) {
            return code;
        }
        scan->at++;
    }
    scan->at = scan->expression;
    return error_set(scan->error, -EINVAL, "%%{ without its }");
}

/* The names between | and ) when that is what follows; otherwise the | is a character. */
static bool scan_filters(struct scan *scan, struct str *filters)
{
    struct str rest = str_skip(scan->text, scan->at + 1);
    size_t len = 0;
    while (len < rest.len &&
           (rest.data[len] == '_' || rest.data[len] == '-' || rest.data[len] == ',' ||
            ((rest.data[len] | 0x20) >= 'a' && (rest.data[len] | 0x20) <= 'z'))) {
        len++;
    }
    if (len == 0 || len == rest.len || rest.data[len] != ')') {
        return false;
    }
    *filters = str_first(rest, len);
    scan->at += 1 + len;
    return true;
}

/* The argument as a C string of bounded length. */
static int argument_text(struct scan *scan, const struct buffer *argument, char **text)
{
    struct str view = buffer_view(argument);
    if (view.len > ARGUMENT_MAX_BYTES || (view.len > 0 && memchr(view.data, '\0', view.len))) {
        return error_set(scan->error, -EINVAL, "the argument of a filter is too long or binary");
    }
    *text = str_dup(view);
    return *text == NULL ? -ENOMEM : 0;
}

static void change_case(struct buffer *argument, char first, char last)
{
    if (argument->data == NULL) {
        return;
    }
    char *data = argument->data + argument->start;
    for (size_t i = 0; i < buffer_size(argument); i++) {
        if (data[i] >= first && data[i] <= last) {
            data[i] ^= 0x20;
        }
    }
}

static int filter_lower(struct scan *scan, struct buffer *argument)
{
    (void)scan;
    change_case(argument, 'A', 'Z');
    return 0;
}

static int filter_upper(struct scan *scan, struct buffer *argument)
{
    (void)scan;
    change_case(argument, 'a', 'z');
    return 0;
}

static int filter_literal(struct scan *scan, struct buffer *argument)
{
    (void)scan;
    (void)argument;
    return 0;
}

/* Separators are right already where this program runs; GRR turns those of Windows around. */
static int filter_fixpathsep(struct scan *scan, struct buffer *argument)
{
    (void)scan;
    if (argument->data == NULL) {
        return 0;
    }
    char *data = argument->data + argument->start;
    for (size_t i = 0; i < buffer_size(argument); i++) {
        data[i] = data[i] == '\\' ? '/' : data[i];
    }
    return 0;
}

static int read_file(struct scan *scan, struct buffer *argument, bool is_optional)
{
    char *path = NULL;
    int code = argument_text(scan, argument, &path);
    if (code < 0) {
        return code;
    }
    struct error why = {.message = ""};
    buffer_clear(argument);
    code = scan->in->file(scan->in->context, path, argument, &why);
    if (code < 0 && is_optional && code != -ENOMEM && code != -EFBIG) {
        buffer_clear(argument);
        code = 0;
    } else if (code < 0 && why.message[0] != '\0') {
        error_set(scan->error, code, "%s", why.message);
    } else if (code == -EFBIG) {
        error_set(scan->error, code, "file %s is too large", path);
    } else if (code < 0) {
        error_set_errno(scan->error, code, "cannot read file %s", path);
    }
    free(path);
    return code;
}

static int filter_file(struct scan *scan, struct buffer *argument)
{
    return read_file(scan, argument, false);
}

static int filter_optionalfile(struct scan *scan, struct buffer *argument)
{
    return read_file(scan, argument, true);
}

static int filter_env(struct scan *scan, struct buffer *argument)
{
    char *name = NULL;
    change_case(argument, 'a', 'z');
    int code = argument_text(scan, argument, &name);
    if (code == 0) {
        const char *value = scan->in->environment(scan->in->context, name);
        buffer_clear(argument);
        code = put(scan, argument, str_from(value));
    }
    free(name);
    return code;
}

static int filter_expand(struct scan *scan, struct buffer *argument)
{
    char *copy = str_dup(buffer_view(argument));
    if (copy == NULL) {
        return -ENOMEM;
    }
    struct scan inner = {
        .in = scan->in,
        .section = scan->section,
        .text = {copy, buffer_size(argument)},
        .nesting = scan->nesting,
        .error = scan->error,
    };
    buffer_clear(argument);
    int code = scan_text(&inner, false, argument);
    free(copy);
    return code;
}

static const struct filter {
    const char *name;
    int (*apply)(struct scan *scan, struct buffer *argument); /* NULL: only GRR itself has it */
} filters[] = {
    {"literal", filter_literal},
    {"lower", filter_lower},
    {"upper", filter_upper},
    {"file", filter_file},
    {"optionalfile", filter_optionalfile},
    {"env", filter_env},
    {"expand", filter_expand},
    {"fixpathsep", filter_fixpathsep},
    {"flags", NULL},
    {"resource", NULL},
    {"module_path", NULL},
};

static int unknown_filter(struct scan *scan, struct str name)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        unsigned distance = str_distance(name, str_from(filters[i].name), best_distance);
        if (distance < best_distance) {
            best = filters[i].name;
            best_distance = distance;
        }
    }
    return error_set(scan->error, -EINVAL, "there is no filter \"%.*s\"%s%s%s",
                     (int)str_first(name, 40).len, name.data, best == NULL ? "" : "; did you mean ",
                     best == NULL ? "" : best, best == NULL ? "" : "?");
}

static int apply_filter(struct scan *scan, struct str name, struct buffer *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        if (!str_equal(name, str_from(filters[i].name))) {
            continue;
        }
        if (filters[i].apply == NULL) {
            return error_set(scan->error, -EINVAL,
                             "the filter \"%s\" needs an installed GRR; write the value itself",
                             filters[i].name);
        }
        return filters[i].apply(scan, argument);
    }
    return unknown_filter(scan, name);
}

static int expand_name(struct scan *scan, const struct buffer *argument, struct buffer *out)
{
    struct str name = buffer_view(argument);
    struct buffer key;
    buffer_init(&key, ARGUMENT_MAX_BYTES);
    int code = 0;
    if (str_find(name, '.') == name.len && scan->section.len > 0) {
        code = buffer_append(&key, scan->section);
        code = code < 0 ? code : buffer_append(&key, STR("."));
    }
    code = code < 0 ? code : buffer_append(&key, name);
    if (code == -ENOBUFS) {
        code = error_set(scan->error, -EINVAL, "the name of an option is too long");
    } else if (code == 0) {
        code = scan->in->lookup(scan->in->context, buffer_view(&key), out, scan->error);
    }
    buffer_done(&key);
    return code == -ENOBUFS ? error_set(scan->error, -EFBIG, "the interpolated value is too long")
                            : code;
}

/* The argument is complete and `at` stands on what ends it: `)` or `|`. */
static int finish_expression(struct scan *scan, struct str names, struct buffer *argument,
                             struct buffer *out)
{
    if (names.data == NULL) {
        return expand_name(scan, argument, out);
    }
    struct str name;
    while (str_split(&names, ',', &name)) {
        int code = apply_filter(scan, str_trim(name), argument);
        if (code < 0) {
            return code;
        }
    }
    return put(scan, out, buffer_view(argument));
}

static int scan_expression(struct scan *scan, struct buffer *out)
{
    size_t start = scan->at;
    if (scan->nesting == INTERPOLATE_NESTING_MAX || scan->in->budget == 0) {
        return error_set(scan->error, -ELOOP, "%s",
                         scan->in->budget == 0 ? "the value refers to too many others"
                                               : "expressions are nested too deeply");
    }
    struct buffer argument;
    struct str names = {NULL, 0};
    buffer_init(&argument, INTERPOLATE_OUTPUT_MAX);
    scan->in->budget--;
    scan->nesting++;
    scan->at += 2;
    int code = scan_text(scan, true, &argument);
    if (code == 0 && scan->at == scan->text.len) {
        code = error_set(scan->error, -EINVAL, "%%( without its )");
        scan->at = start;
    } else if (code == 0) {
        if (scan->text.data[scan->at] == '|') {
            CHECK(scan_filters(scan, &names)); /* scan_text() stops at nothing else */
        }
        size_t end = scan->at + 1;
        scan->at = start;
        code = finish_expression(scan, names, &argument, out);
        scan->at = code < 0 ? start : end;
    }
    scan->nesting--;
    buffer_done(&argument);
    return code;
}

/* Within an expression, stop at the `)` or the filters that end it. */
static bool ends_expression(const struct scan *scan)
{
    struct scan ahead = *scan;
    struct str filters_ahead;
    return looking_at(scan, ")") || (looking_at(scan, "|") && scan_filters(&ahead, &filters_ahead));
}

static int scan_text(struct scan *scan, bool in_expression, struct buffer *out)
{
    while (scan->at < scan->text.len) {
        int code;
        if (in_expression && ends_expression(scan)) {
            return 0;
        }
        if (looking_at(scan, "\\")) {
            code = scan_escape(scan, out);
        } else if (looking_at(scan, "%{")) {
            code = scan_literal(scan, out);
        } else if (looking_at(scan, "%(")) {
            code = scan_expression(scan, out);
        } else if (looking_at(scan, ")")) {
            code =
                error_set(scan->error, -EINVAL, ") without its %%(; for the character write \\)");
        } else {
            /* As far as nothing can have a meaning, but at least the character here. */
            size_t len = 1;
            struct str rest = str_skip(scan->text, scan->at);
            while (len < rest.len && !is_one_of(rest.data[len], "\\%|)")) {
                len++;
            }
            code = put(scan, out, str_first(rest, len));
            scan->at += code < 0 ? 0 : len;
        }
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

int interpolate(struct interpolation *interpolation, struct str section, struct str text,
                struct buffer *out, size_t *offset, struct error *error)
{
    struct scan scan = {.in = interpolation, .section = section, .text = text, .error = error};
    int code = scan_text(&scan, false, out);
    if (code < 0 && offset != NULL) {
        *offset = scan.at;
    }
    return code;
}
