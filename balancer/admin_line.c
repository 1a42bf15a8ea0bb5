/* SPDX-License-Identifier: Apache-2.0 */
/* From a line to a command of the table. Pure. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_command.h"
#include "base/check.h"

static const struct row {
    struct str words;
    size_t least, most;
    const char *synopsis, *meaning;
} rows[] = {
#define ADMIN_COMMAND(words, least, most, synopsis, meaning, function) \
    {STR(words), least, most, synopsis, meaning},
#include "admin_commands.def"
#undef ADMIN_COMMAND
};

const char *admin_command_words(enum admin_command command)
{
    CHECK(command < ADMIN_COMMAND_COUNT);
    return rows[command].words.data;
}

const char *admin_command_synopsis(enum admin_command command)
{
    CHECK(command < ADMIN_COMMAND_COUNT);
    return rows[command].synopsis;
}

const char *admin_command_meaning(enum admin_command command)
{
    CHECK(command < ADMIN_COMMAND_COUNT);
    return rows[command].meaning;
}

/* ---- Words ---- */

struct words {
    struct str at[ADMIN_WORDS_MAX];
    size_t count;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* False at the end. */
static bool next_word(struct str *rest, struct str *word)
{
    size_t len = 0;
    while (rest->len > 0 && is_blank(rest->data[0])) {
        *rest = str_skip(*rest, 1);
    }
    while (len < rest->len && !is_blank(rest->data[len])) {
        len++;
    }
    *word = str_first(*rest, len);
    *rest = str_skip(*rest, len);
    return len > 0;
}

static bool is_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes out what asks for JSON. False: there are too many words. */
static bool split_words(struct admin_line *line, struct str text, struct words *words)
{
    struct str word;
    bool is_first = true;
    while (next_word(&text, &word)) {
        bool asks = str_equal(word, STR("--json")) || (is_first && str_equal(word, STR("json")));
        is_first = false;
        line->is_json |= asks;
        if (!asks && words->count == ADMIN_WORDS_MAX) {
            return false;
        }
        if (!asks) {
            words->at[words->count++] = word;
        }
    }
    return true;
}

/* ---- Finding the command ---- */

enum { WORD_MAX = 24 }; /* longer than every word of a command */

/* How many of the words are the command's, 0: it is another one. */
static size_t match(struct str command, const struct words *words)
{
    struct str word;
    size_t count = 0;
    while (next_word(&command, &word)) {
        if (count == words->count || !str_equal(words->at[count], word)) {
            return 0;
        }
        count++;
    }
    return count;
}

/* The first words, as many as `command` has, with a space between. */
static struct str join(const struct words *words, struct str command, char *out, size_t size)
{
    bool is_pair = str_find(command, ' ') < command.len && words->count > 1;
    int len = is_pair
                  ? snprintf(out, size, "%.*s %.*s", STR_ARG(words->at[0]), STR_ARG(words->at[1]))
                  : snprintf(out, size, "%.*s", STR_ARG(words->at[0]));
    return str_make(out, len < (int)size ? (size_t)len : size - 1);
}

/* The one that was probably meant; also by its second word alone: "members". */
static const struct row *suggest(const struct words *words)
{
    const struct row *best = NULL;
    unsigned best_distance = 4;
    if (words->at[0].len > WORD_MAX) {
        return NULL; /* no slip of the finger, and comparing long words takes time */
    }
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        char text[128];
        struct str command = rows[i].words;
        size_t space = str_find(command, ' ');
        unsigned distance =
            str_distance(join(words, command, text, sizeof text), command, best_distance);
        unsigned second = str_distance(words->at[0], str_skip(command, space + 1), best_distance);
        distance = space < command.len && second < distance ? second : distance;
        if (distance < best_distance) {
            best = &rows[i];
            best_distance = distance;
        }
    }
    return best;
}

static int refuse_unknown(struct admin_line *line, const struct words *words)
{
    char text[64];
    const struct row *best = suggest(words);
    join(words, STR("two words"), text, sizeof text);
    snprintf(line->problem, sizeof line->problem, "there is no command \"%s\"%s%s%s; try help",
             text, best == NULL ? "" : ", did you mean ", best == NULL ? "" : best->words.data,
             best == NULL ? "" : "?");
    return -EINVAL;
}

static int refuse_arguments(struct admin_line *line, const struct row *row)
{
    snprintf(line->problem, sizeof line->problem, "that is not how it goes: %s%s%s",
             row->words.data, row->synopsis[0] == '\0' ? "" : " ", row->synopsis);
    return -EINVAL;
}

static int take_arguments(struct admin_line *line, const struct words *words, size_t used,
                          const struct row *row)
{
    line->argument_count = words->count - used;
    if (line->argument_count < row->least || line->argument_count > row->most) {
        return refuse_arguments(line, row);
    }
    for (size_t i = used; i < words->count; i++) {
        line->arguments[i - used] = words->at[i];
    }
    line->command = (enum admin_command)(row - rows);
    return 0;
}

static int find_command(struct admin_line *line, const struct words *words)
{
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        size_t used = match(rows[i].words, words);
        if (used > 0) {
            return take_arguments(line, words, used, &rows[i]);
        }
    }
    return refuse_unknown(line, words);
}

static int refuse(struct admin_line *line, const char *problem)
{
    snprintf(line->problem, sizeof line->problem, "%s", problem);
    return -EINVAL;
}

int admin_line_parse(struct admin_line *line, struct str text)
{
    struct words words = {.count = 0};
    memset(line, 0, sizeof *line);
    line->command = ADMIN_NONE;
    if (!is_text(text)) {
        return refuse(line, "the command holds a byte that is no printable ASCII");
    }
    if (!split_words(line, text, &words)) {
        return refuse(line, "these are too many words; try help");
    }
    if (words.count == 0) {
        return refuse(line, "what shall be done? Try help");
    }
    return find_command(line, &words);
}

/* ---- Places ---- */

static struct str without_brackets(struct str host)
{
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        return str_make(host.data + 1, host.len - 2);
    }
    return host;
}

int admin_place_parse(struct str text, struct str *host, uint16_t *port)
{
    uint64_t number;
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    struct str digits = str_skip(text, colon);
    struct str before = str_first(text, colon > 0 ? colon - 1 : 0);
    bool is_bare_ipv6 = str_find(before, ':') < before.len && before.data[0] != '[';
    if (str_to_uint64(digits, &number) < 0 || number == 0 || number > UINT16_MAX ||
        (colon > 0 && before.len == 0) || is_bare_ipv6) {
        return -EINVAL;
    }
    *host = without_brackets(before);
    *port = (uint16_t)number;
    return 0;
}
