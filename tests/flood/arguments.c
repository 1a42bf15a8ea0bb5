/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of flags to values, by the rules that configuration files have. */
#include "arguments.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"

PRINTF_LIKE(2, 0)
static void say(const struct arguments *arguments, const char *format, va_list list)
{
    fprintf(arguments->err, "portico-flood %s: ", arguments->command);
    vfprintf(arguments->err, format, list);
    fputc('\n', arguments->err);
}

int arguments_misuse(const struct arguments *arguments, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(arguments, format, list);
    va_end(list);
    fputs("Try portico-flood --help.\n", arguments->err);
    return EXIT_STATUS_USAGE;
}

int arguments_fail(const struct arguments *arguments, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(arguments, format, list);
    va_end(list);
    return EXIT_STATUS_FAILED;
}

bool arguments_have(const struct arguments *arguments, const char *flag)
{
    return command_line_flag(arguments->line, flag) != NULL;
}

const char *arguments_text(const struct arguments *arguments, const char *flag)
{
    return command_line_flag(arguments->line, flag);
}

const char *arguments_text_at(const struct arguments *arguments, const char *flag, size_t index)
{
    return command_line_flag_at(arguments->line, flag, index);
}

int arguments_number(const struct arguments *arguments, const char *flag, uint64_t min,
                     uint64_t max, uint64_t *value)
{
    const char *text = arguments_text(arguments, flag);
    uint64_t number;
    if (text == NULL) {
        return 0;
    }
    if (str_to_uint64(str_from(text), &number) < 0 || number < min || number > max) {
        return arguments_misuse(arguments, "--%s wants a number of %llu to %llu, not \"%s\"", flag,
                                (unsigned long long)min, (unsigned long long)max, text);
    }
    *value = number;
    return 0;
}

int arguments_real(const struct arguments *arguments, const char *flag, double *value)
{
    const char *text = arguments_text(arguments, flag);
    char *end;
    if (text == NULL) {
        return 0;
    }
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number <= 0) {
        return arguments_misuse(arguments, "--%s wants a number above 0, not \"%s\"", flag, text);
    }
    *value = number;
    return 0;
}

static int quantity(const struct arguments *arguments, const char *flag, enum option_type type,
                    int64_t min, int64_t *value)
{
    const struct option option = {.key = flag, .type = type, .min = min, .max = INT64_MAX / 4};
    const char *text = arguments_text(arguments, flag);
    struct value parsed;
    struct arena arena;
    struct error error = {.line = 0};
    char hint[256] = "";
    if (text == NULL) {
        return 0;
    }
    arena_init(&arena, 1024, 64 * 1024);
    int code = value_parse(&option, str_from(text), &arena, &parsed, &error, hint);
    arena_done(&arena);
    if (code < 0) {
        return arguments_misuse(arguments, "--%s: %s%s%s", flag, error.message,
                                hint[0] == '\0' ? "" : "; ", hint);
    }
    *value = parsed.number;
    return 0;
}

int arguments_duration(const struct arguments *arguments, const char *flag, usec_t *value)
{
    return quantity(arguments, flag, OPTION_DURATION, 1, value);
}

int arguments_size(const struct arguments *arguments, const char *flag, uint64_t *value)
{
    int64_t number = (int64_t)*value;
    int status = quantity(arguments, flag, OPTION_SIZE, 0, &number);
    *value = (uint64_t)number;
    return status;
}

void arguments_join(const struct arguments *arguments, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < arguments->argc && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i == 0 ? "" : " ", arguments->argv[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}
