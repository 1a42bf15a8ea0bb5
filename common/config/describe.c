/* SPDX-License-Identifier: Apache-2.0 */
/* --help-config and --show-config, and the words that the other descriptions share. Any thread. */
#include "config/describe.h"

#include <string.h>

enum { WRAP_COLUMN = 92 };

static const struct {
    enum program program;
    const char *name;
} programs[] = {
    {PROGRAM_FRONTEND, "frontend"},
    {PROGRAM_BALANCER, "balancer"},
    {PROGRAM_FLOOD, "flood"},
    {PROGRAM_PORTICO, "portico"},
};

int describe_range(const struct option *option, char *out, size_t size)
{
    char low[32];
    char high[32];
    if (option->min == 0 && option->max == 0) {
        return snprintf(out, size, "%s", "");
    }
    number_format(option, option->min, low, sizeof low);
    number_format(option, option->max, high, sizeof high);
    return snprintf(out, size, "%s to %s", low, high);
}

/* The operator's command is left out: it uses all. */
int describe_programs(const struct option *option, char *out, size_t size)
{
    int used = snprintf(out, size, "%s", "");
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if ((option->programs & programs[i].program) != 0 &&
            programs[i].program != PROGRAM_PORTICO && (size_t)used < size) {
            used += snprintf(out + used, size - (size_t)used, "%s%s", used == 0 ? "" : ", ",
                             programs[i].name);
        }
    }
    return used;
}

int describe_choices(const struct option *option, const char *separator, char *out, size_t size)
{
    int used = snprintf(out, size, "%s", "");
    struct str choice;
    for (size_t i = 0; option->choices != NULL && (choice = option_choice(option, i)).len > 0 &&
                       (size_t)used < size;
         i++) {
        used += snprintf(out + used, size - (size_t)used, "%s%.*s", i == 0 ? "" : separator,
                         STR_ARG(choice));
    }
    return used;
}

bool option_is_in(const struct option *option, const struct section *section)
{
    return str_equal(key_section(str_from(option->key)), str_from(section->name));
}

const char *describe_unit(const struct option *option)
{
    return option->type == OPTION_SIZE ? "bytes" : option->type == OPTION_DURATION ? "seconds" : "";
}

/* Words from `column` on, broken before WRAP_COLUMN and indented by `indent`. */
static void put_wrapped(FILE *out, const char *text, int indent)
{
    int column = WRAP_COLUMN;
    struct str rest = str_from(text);
    struct str word;
    while (str_split(&rest, ' ', &word)) {
        if (column + 1 + (int)word.len > WRAP_COLUMN) {
            fprintf(out, "%s%*s", column == WRAP_COLUMN ? "" : "\n", indent, "");
            column = indent;
        } else {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", STR_ARG(word));
        column += (int)word.len;
    }
    fputc('\n', out);
}

static void help_option(FILE *out, const struct option *option)
{
    char text[256];
    fprintf(out, "  %s: %s", option->key, option_type_name(option->type));
    if (describe_choices(option, " | ", text, sizeof text) > 0) {
        fprintf(out, " %s", text);
    }
    if (describe_range(option, text, sizeof text) > 0) {
        fprintf(out, ", %s", text);
    }
    if (describe_unit(option)[0] != '\0') {
        fprintf(out, ", in %s", describe_unit(option));
    }
    fprintf(out, ", default %s\n", option->initial == NULL ? "not set" : option->initial);
    put_wrapped(out, option->meaning, 6);
    if ((option->flags & OPTION_NO_EFFECT) != 0) {
        fputs("      Known to GRR; accepted, without effect.\n", out);
    } else {
        describe_programs(option, text, sizeof text);
        fprintf(out, "      Used by %s; %s\n", text[0] == '\0' ? "portico" : text,
                (option->flags & OPTION_RELOAD) != 0 ? "a reload applies it."
                : option_reloads(option, PROGRAM_BALANCER)
                    ? "a reload of the balancer applies it, an instance needs a restart."
                    : "needs a restart.");
    }
}

void describe_help(FILE *out, enum program program, const char *section)
{
    for (size_t i = 0; i < section_count(); i++) {
        const struct section *heading = section_at(i);
        bool is_first = true;
        if (section != NULL && strcmp(section, heading->name) != 0) {
            continue;
        }
        for (size_t j = 0; j < option_count(); j++) {
            const struct option *option = option_at(j);
            if ((option->programs & program) == 0 ||
                !str_equal(key_section(str_from(option->key)), str_from(heading->name))) {
                continue;
            }
            if (is_first) {
                fprintf(out, "%s: %s\n", heading->name, heading->meaning);
                is_first = false;
            }
            help_option(out, option);
        }
    }
}

/* One line, whatever is in it. */
static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '\n') {
            fputs("\\n", out);
        } else if (*c == '"' || *c == '\\') {
            fprintf(out, "\\%c", *c);
        } else if (*c < 0x20 || *c == 0x7f) {
            fprintf(out, "\\x%02x", *c);
        } else {
            fputc(*c, out);
        }
    }
    fputc('"', out);
}

static void put_list(FILE *out, const struct option_list *list)
{
    fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i == 0 ? "" : ", ", out);
        put_quoted(out, list->items[i]);
    }
    fputc(']', out);
}

static void put_value(FILE *out, const struct option *option, const struct value *value)
{
    char text[64];
    if (!value->is_set) {
        fputs("null", out);
        return;
    }
    if ((option->flags & OPTION_SECRET) != 0) {
        fputs("(set, not shown)", out);
        return;
    }
    switch (option->type) {
    case OPTION_BOOL:
        fputs(value->number != 0 ? "true" : "false", out);
        break;
    case OPTION_INT:
    case OPTION_PORT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        number_format(option, value->number, text, sizeof text);
        fputs(text, out);
        break;
    case OPTION_LIST:
    case OPTION_NETWORKS:
        put_list(out, &value->list);
        break;
    case OPTION_PEM:
        fprintf(out, "(PEM, %zu bytes)", strlen(value->text));
        break;
    case OPTION_ADDRESS:
    case OPTION_PATH:
    case OPTION_ENUM:
    case OPTION_STRING:
        put_quoted(out, value->text);
        break;
    }
}

void describe_values(FILE *out, const struct config *config)
{
    char origin[512];
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if ((option->programs & config_program(config)) == 0 ||
            (option->flags & OPTION_NO_EFFECT) != 0) {
            continue;
        }
        config_origin(config, option->key, origin, sizeof origin);
        fprintf(out, "%s: ", option->key);
        put_value(out, option, config_value(config, option));
        fprintf(out, "  # %s\n", origin);
    }
}
