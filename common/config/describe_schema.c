/* SPDX-License-Identifier: Apache-2.0 */
/* The option table as a JSON schema. Every value may also be null (not set) or a text with %(...),
 * which no schema can look into. Any thread. */
#include <string.h>

#include "config/describe.h"

static void put_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    fputc('"', out);
}

static void put_type(FILE *out, const struct option *option)
{
    char choices[256];
    switch (option->type) {
    case OPTION_BOOL:
        fputs("\"type\": [\"boolean\", \"string\", \"null\"]", out);
        return;
    case OPTION_INT:
    case OPTION_PORT:
        fputs("\"type\": [\"integer\", \"string\", \"null\"]", out);
        if (option->min != 0 || option->max != 0) {
            fprintf(out, ", \"minimum\": %lld, \"maximum\": %lld", (long long)option->min,
                    (long long)option->max);
        }
        return;
    case OPTION_SIZE:
    case OPTION_DURATION:
        fputs("\"type\": [\"number\", \"string\", \"null\"], \"minimum\": 0", out);
        return;
    case OPTION_LIST:
    case OPTION_NETWORKS:
        fputs("\"type\": [\"array\", \"string\", \"null\"], "
              "\"items\": {\"type\": [\"string\", \"number\"]}",
              out);
        return;
    case OPTION_ENUM:
        describe_choices(option, "|", choices, sizeof choices);
        for (char *c = choices; (c = strchr(c, '.')) != NULL; c++) {
            *c = '?'; /* a dot means any character in a pattern, and ? is put right below */
        }
        fputs("\"type\": [\"string\", \"number\", \"null\"], \"pattern\": \"^(", out);
        for (const char *c = choices; *c != '\0'; c++) {
            fputs(*c == '?' ? "\\\\." : (const char[]){*c, '\0'}, out);
        }
        fputs(")$|%\\\\(\"", out);
        return;
    case OPTION_ADDRESS:
    case OPTION_PATH:
    case OPTION_PEM:
    case OPTION_STRING:
        fputs("\"type\": [\"string\", \"number\", \"boolean\", \"null\"]", out);
        return;
    }
}

static void put_option(FILE *out, const struct option *option, const char *name, bool is_last,
                       int indent)
{
    fprintf(out, "%*s", indent, "");
    put_json(out, name);
    fputs(": {", out);
    put_type(out, option);
    fputs(", \"description\": ", out);
    put_json(out, option->meaning);
    if (option->initial != NULL) {
        fputs(", \"default\": ", out);
        put_json(out, option->initial);
    }
    fprintf(out, "}%s\n", is_last ? "" : ",");
}

/* The nested form: Frontend: {bind_port: 8080}. Options of a section stand together in the table.
 */
static void put_section(FILE *out, const struct section *section)
{
    fputs("    ", out);
    put_json(out, section->name);
    fputs(": {\n      \"type\": [\"object\", \"null\"],\n      \"additionalProperties\": false,\n"
          "      \"description\": ",
          out);
    put_json(out, section->meaning);
    fputs(",\n      \"properties\": {\n", out);
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option_is_in(option, section)) {
            bool is_last = i + 1 == option_count() || !option_is_in(option_at(i + 1), section);
            put_option(out, option, strchr(option->key, '.') + 1, is_last, 8);
        }
    }
    fputs("      }\n    },\n", out);
}

/* Keys of our sections must be known; all others are somebody else's. */
static void put_names(FILE *out)
{
    fputs("  \"propertyNames\": {\n    \"if\": {\"pattern\": \"^(", out);
    for (size_t i = 0; i < section_count(); i++) {
        fprintf(out, "%s%s", i == 0 ? "" : "|", section_at(i)->name);
    }
    fputs(")\\\\.\"},\n    \"then\": {\"enum\": [\n", out);
    for (size_t i = 0; i < option_count(); i++) {
        fputs("      ", out);
        put_json(out, option_at(i)->key);
        fputs(i + 1 == option_count() ? "\n" : ",\n", out);
    }
    fputs("    ]}\n  },\n", out);
}

void describe_schema(FILE *out)
{
    fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
          "  \"title\": \"Configuration of Portico\",\n"
          "  \"description\": \"Made from the option table of the programs.\",\n"
          "  \"type\": [\"object\", \"null\"],\n",
          out);
    put_names(out);
    fputs("  \"patternProperties\": {\n"
          "    \"^(.* Context|Platform:.+|Arch:.+|Target:.+|MySQLDataStore)$\": {\"$ref\": "
          "\"#\"}\n  },\n  \"properties\": {\n",
          out);
    for (size_t i = 0; i < section_count(); i++) {
        put_section(out, section_at(i));
    }
    for (size_t i = 0; i < option_count(); i++) {
        put_option(out, option_at(i), option_at(i)->key, i + 1 == option_count(), 4);
    }
    fputs("  }\n}\n", out);
}
