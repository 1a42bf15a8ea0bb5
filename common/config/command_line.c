/* SPDX-License-Identifier: Apache-2.0 */
/* Reading argv. Not getopt_long(): it abbreviates flags, and cannot suggest. The thread that runs
 * main(). */
#include "config/command_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/describe.h"

enum { PROBLEMS_SHOWN = 100, OWN_FLAGS_MAX = 32 };

enum mode { MODE_RUN, MODE_CHECK, MODE_SHOW, MODE_HELP_CONFIG, MODE_VERSION, MODE_HELP };

enum argument { ARGUMENT_NONE, ARGUMENT_NEEDED, ARGUMENT_OPTIONAL };

/* Of a flag of the program itself that takes an argument. */
struct use {
    const struct flag *flag;
    const char *argument;
};

struct command_line {
    const struct program_usage *usage;
    const char **files, **parameters, **words; /* each has room for all of argv */
    size_t file_count, parameter_count, word_count;
    const char *context_argument;
    char *context_text; /* an owned copy of it, cut at commas */
    const char *contexts[CONTEXTS_MAX];
    size_t context_count;
    const char *values[OWN_FLAGS_MAX]; /* of the program's flags */
    struct use *uses;                  /* all of them; room as above */
    size_t use_count;
    enum mode mode;
    const char *section; /* --help-config=SECTION */
    bool is_verbose;
};

struct scan {
    struct command_line *line;
    char **argv;
    int argc, at;
    FILE *err;
};

typedef int (*handler)(struct scan *scan, const char *argument);

static int add_file(struct scan *scan, const char *argument)
{
    scan->line->files[scan->line->file_count++] = argument;
    return 0;
}

static int usage_error(const struct scan *scan)
{
    fprintf(scan->err, "Try %s --help.\n", scan->line->usage->name);
    return -EINVAL;
}

static int refuse_key(const struct scan *scan, struct str key, const struct option *near)
{
    fprintf(scan->err, "%s: -p %.*s: there is no option %.*s\n", scan->line->usage->name,
            STR_ARG(key), STR_ARG(key));
    if (near != NULL) {
        fprintf(scan->err, "    hint: did you mean -p %s=...?\n", near->key);
    }
    return usage_error(scan);
}

static int add_parameter(struct scan *scan, const char *argument)
{
    struct str text = str_from(argument);
    struct str key = str_trim(str_first(text, str_find(text, '=')));
    if (str_find(text, '=') == text.len || key.len == 0) {
        fprintf(scan->err, "%s: -p %s: write Key=value\n", scan->line->usage->name, argument);
        return usage_error(scan);
    }
    const struct option *misspelt = option_in_misspelt_section(key);
    bool is_ours = section_is_ours(key_section(key)) || key_section(key).len == 0;
    if ((is_ours && option_find(key) == NULL) || misspelt != NULL) {
        const struct option *near = option_suggest(key);
        return refuse_key(scan, key, near == NULL ? misspelt : near);
    }
    scan->line->parameters[scan->line->parameter_count++] = argument;
    return 0;
}

static int add_context(struct scan *scan, const char *name)
{
    struct command_line *line = scan->line;
    if (!context_is_known(str_from(name))) {
        const char *near = context_suggest(str_from(name));
        fprintf(scan->err, "%s: --context: there is no context \"%s\"\n", line->usage->name, name);
        if (near != NULL) {
            fprintf(scan->err, "    hint: did you mean \"%s\"?\n", near);
        }
        return usage_error(scan);
    }
    if (line->context_count == CONTEXTS_MAX / 2) {
        fprintf(scan->err, "%s: --context: too many contexts\n", line->usage->name);
        return usage_error(scan);
    }
    line->contexts[line->context_count++] = name;
    return 0;
}

/* The flag may come once; its list is cut in a copy that the command line owns. */
static int add_contexts(struct scan *scan, const char *argument)
{
    if (scan->line->context_text != NULL) {
        fprintf(scan->err, "%s: --context comes once, with a list: --context a,b\n",
                scan->line->usage->name);
        return usage_error(scan);
    }
    scan->line->context_argument = argument;
    scan->line->context_text = strdup(argument);
    if (scan->line->context_text == NULL) {
        return -ENOMEM;
    }
    char *save = NULL;
    for (char *name = strtok_r(scan->line->context_text, ",", &save); name != NULL;
         name = strtok_r(NULL, ",", &save)) {
        int code = add_context(scan, name);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int set_check(struct scan *scan, const char *argument)
{
    (void)argument;
    scan->line->mode = MODE_CHECK;
    return 0;
}

static int set_show(struct scan *scan, const char *argument)
{
    (void)argument;
    scan->line->mode = MODE_SHOW;
    return 0;
}

static int set_version(struct scan *scan, const char *argument)
{
    (void)argument;
    scan->line->mode = MODE_VERSION;
    return 0;
}

static int set_help(struct scan *scan, const char *argument)
{
    (void)argument;
    scan->line->mode = MODE_HELP;
    return 0;
}

static int set_verbose(struct scan *scan, const char *argument)
{
    (void)argument;
    scan->line->is_verbose = true;
    return 0;
}

static int set_help_config(struct scan *scan, const char *argument)
{
    scan->line->mode = MODE_HELP_CONFIG;
    scan->line->section = argument;
    if (argument == NULL || section_is_ours(str_from(argument))) {
        return 0;
    }
    fprintf(scan->err, "%s: --help-config: there is no section %s; there are",
            scan->line->usage->name, argument);
    for (size_t i = 0; i < section_count(); i++) {
        fprintf(scan->err, "%s %s", i == 0 ? "" : ",", section_at(i)->name);
    }
    fputc('\n', scan->err);
    return usage_error(scan);
}

static const struct common_flag {
    const char *name;
    char letter;
    enum argument kind;
    const char *argument;
    handler apply;
    const char *meaning;
} common_flags[] = {
    {"config", 'c', ARGUMENT_NEEDED, "FILE", add_file,
     "read FILE; repeatable, later files overlay earlier ones"},
    {"parameter", 'p', ARGUMENT_NEEDED, "Key=value", add_parameter,
     "set an option; repeatable, overrides any file"},
    {"context", 0, ARGUMENT_NEEDED, "A,B", add_contexts, "activate these contexts, too"},
    {"check-config", 't', ARGUMENT_NONE, NULL, set_check, "tell every problem, exit 0 or 1"},
    {"help-config", 0, ARGUMENT_OPTIONAL, "Section", set_help_config,
     "every option with type, unit, range, default and meaning"},
    {"show-config", 0, ARGUMENT_NONE, NULL, set_show,
     "the effective values and where each came from"},
    {"verbose", 'v', ARGUMENT_NONE, NULL, set_verbose, "say more"},
    {"version", 0, ARGUMENT_NONE, NULL, set_version, "print the version"},
    {"help", 'h', ARGUMENT_NONE, NULL, set_help, "print this"},
};

/* A flag of either table. */
struct found {
    const struct common_flag *common;
    const struct flag *own;
    enum argument kind;
};

static bool flag_is(struct str given, bool is_letter, const char *name, char letter)
{
    return is_letter ? letter != 0 && given.data[0] == letter : str_equal(given, str_from(name));
}

static bool find_flag(const struct program_usage *usage, struct str name, bool is_letter,
                      struct found *found)
{
    for (size_t i = 0; i < ARRAY_LEN(common_flags); i++) {
        if (flag_is(name, is_letter, common_flags[i].name, common_flags[i].letter)) {
            *found = (struct found){&common_flags[i], NULL, common_flags[i].kind};
            return true;
        }
    }
    for (const struct flag *flag = usage->flags; flag != NULL && flag->name != NULL; flag++) {
        if (flag_is(name, is_letter, flag->name, flag->letter)) {
            *found = (struct found){NULL, flag,
                                    flag->argument == NULL ? ARGUMENT_NONE : ARGUMENT_NEEDED};
            return true;
        }
    }
    return false;
}

static void consider(struct str given, const char *name, const char **best, unsigned *best_distance)
{
    unsigned distance = str_distance(given, str_from(name), *best_distance);
    if (distance < *best_distance) {
        *best = name;
        *best_distance = distance;
    }
}

static int refuse_flag(const struct scan *scan, struct str name, bool is_letter)
{
    const char *best = NULL;
    unsigned best_distance = name.len < 5 ? 2 : 4;
    fprintf(scan->err, "%s: there is no flag %s%.*s\n", scan->line->usage->name,
            is_letter ? "-" : "--", STR_ARG(name));
    for (size_t i = 0; i < ARRAY_LEN(common_flags) && !is_letter; i++) {
        consider(name, common_flags[i].name, &best, &best_distance);
    }
    const struct flag *flag = is_letter ? NULL : scan->line->usage->flags;
    for (; flag != NULL && flag->name != NULL; flag++) {
        consider(name, flag->name, &best, &best_distance);
    }
    if (best != NULL) {
        fprintf(scan->err, "    hint: did you mean --%s?\n", best);
    }
    return usage_error(scan);
}

static int apply_flag(struct scan *scan, const struct found *found, const char *argument)
{
    if (found->common != NULL) {
        return found->common->apply(scan, argument);
    }
    size_t index = (size_t)(found->own - scan->line->usage->flags);
    CHECK(index < OWN_FLAGS_MAX);
    scan->line->values[index] = argument == NULL ? "" : argument;
    if (argument != NULL) { /* letters without one may come more often than there is room for */
        scan->line->uses[scan->line->use_count++] = (struct use){found->own, argument};
    }
    return 0;
}

/* `attached`: what stood in the same argument, NULL: nothing. */
static int take_flag(struct scan *scan, struct str name, bool is_letter, const char *attached)
{
    struct found found;
    if (!find_flag(scan->line->usage, name, is_letter, &found)) {
        return refuse_flag(scan, name, is_letter);
    }
    if (attached != NULL && found.kind == ARGUMENT_NONE) {
        fprintf(scan->err, "%s: --%.*s takes no argument\n", scan->line->usage->name,
                STR_ARG(name));
        return usage_error(scan);
    }
    if (attached == NULL && found.kind == ARGUMENT_NEEDED) {
        if (scan->at == scan->argc) {
            fprintf(scan->err, "%s: %s%.*s wants an argument\n", scan->line->usage->name,
                    is_letter ? "-" : "--", STR_ARG(name));
            return usage_error(scan);
        }
        attached = scan->argv[scan->at++];
    }
    return apply_flag(scan, &found, attached);
}

/* --name, --name=argument */
static int take_long(struct scan *scan, const char *text)
{
    struct str rest = str_from(text);
    size_t equals = str_find(rest, '=');
    return take_flag(scan, str_first(rest, equals), false,
                     equals == rest.len ? NULL : text + equals + 1);
}

/* -v, -vt, -c FILE, -cFILE */
static int take_letters(struct scan *scan, const char *text)
{
    for (; *text != '\0'; text++) {
        struct found found;
        struct str name = str_make(text, 1);
        bool takes_rest = text[1] != '\0' && find_flag(scan->line->usage, name, true, &found) &&
                          found.kind != ARGUMENT_NONE;
        int code = take_flag(scan, name, true, takes_rest ? text + 1 : NULL);
        if (code < 0 || takes_rest) {
            return code;
        }
    }
    return 0;
}

static int take_all(struct scan *scan)
{
    bool flags_ended = false;
    while (scan->at < scan->argc) {
        const char *text = scan->argv[scan->at++];
        int code = 0;
        if (flags_ended || text[0] != '-' || text[1] == '\0') {
            scan->line->words[scan->line->word_count++] = text;
        } else if (strcmp(text, "--") == 0) {
            flags_ended = true;
        } else if (text[1] == '-') {
            code = take_long(scan, text + 2);
        } else {
            code = take_letters(scan, text + 1);
        }
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int refuse_word(const struct scan *scan, const char *word)
{
    const struct command *commands = scan->line->usage->commands;
    const char *best = NULL;
    unsigned best_distance = 3;
    fprintf(scan->err, "%s: there is no command \"%s\"", scan->line->usage->name, word);
    if (commands == NULL || commands->name == NULL) {
        fputs("; there are none yet, only flags\n", scan->err);
        return usage_error(scan);
    }
    for (const struct command *command = commands; command->name != NULL; command++) {
        fprintf(scan->err, "%s %s", command == commands ? "; there are" : ",", command->name);
        consider(str_from(word), command->name, &best, &best_distance);
    }
    fprintf(scan->err, "\n%s%s%s", best == NULL ? "" : "    hint: did you mean ",
            best == NULL ? "" : best, best == NULL ? "" : "?\n");
    return usage_error(scan);
}

static int check_command(const struct scan *scan)
{
    if (scan->line->word_count == 0) {
        return 0;
    }
    const struct command *command = scan->line->usage->commands;
    for (; command != NULL && command->name != NULL; command++) {
        if (strcmp(command->name, scan->line->words[0]) == 0) {
            return 0;
        }
    }
    return refuse_word(scan, scan->line->words[0]);
}

static struct command_line *command_line_new(const struct program_usage *usage, int argc)
{
    struct command_line *line = calloc(1, sizeof *line);
    if (line == NULL) {
        return NULL;
    }
    size_t room = (size_t)argc + 1;
    line->usage = usage;
    line->files = calloc(room, sizeof *line->files);
    line->parameters = calloc(room, sizeof *line->parameters);
    line->words = calloc(room, sizeof *line->words);
    line->uses = calloc(room, sizeof *line->uses);
    if (line->files == NULL || line->parameters == NULL || line->words == NULL ||
        line->uses == NULL) {
        command_line_free(line);
        return NULL;
    }
    return line;
}

void command_line_free(struct command_line *line)
{
    if (line != NULL) {
        free(line->files);
        free(line->parameters);
        free(line->words);
        free(line->uses);
        free(line->context_text);
        free(line);
    }
}

int command_line_parse(const struct program_usage *usage, int argc, char **argv, FILE *err,
                       struct command_line **line)
{
    struct scan scan = {command_line_new(usage, argc), argv, argc, argc > 0 ? 1 : 0, err};
    if (scan.line == NULL) {
        return -ENOMEM;
    }
    int code = take_all(&scan);
    if (code == 0 && scan.line->mode != MODE_HELP && scan.line->mode != MODE_VERSION) {
        code = check_command(&scan);
    }
    if (code < 0) {
        command_line_free(scan.line);
        return code;
    }
    *line = scan.line;
    return 0;
}

static void print_flag(FILE *out, char letter, const char *name, const char *argument,
                       bool is_optional, const char *meaning)
{
    char text[64];
    snprintf(text, sizeof text, "%c%c%c --%s%s%s%s", letter == 0 ? ' ' : '-',
             letter == 0 ? ' ' : letter, letter == 0 ? ' ' : ',', name,
             argument == NULL ? ""
             : is_optional    ? "[="
                              : " ",
             argument == NULL ? "" : argument, is_optional ? "]" : "");
    fprintf(out, "  %-28s  %s\n", text, meaning);
}

static void print_help(FILE *out, const struct program_usage *usage)
{
    fprintf(out, "usage: %s [OPTIONS]%s%s\n%s\n\n", usage->name,
            usage->arguments[0] == '\0' ? "" : " ", usage->arguments, usage->meaning);
    const struct command *command = usage->commands;
    for (; command != NULL && command->name != NULL; command++) {
        fprintf(out, "  %-28s  %s%s", command->name, command->meaning,
                command[1].name == NULL ? "\n\n" : "\n");
    }
    for (const struct flag *flag = usage->flags; flag != NULL && flag->name != NULL; flag++) {
        print_flag(out, flag->letter, flag->name, flag->argument, false, flag->meaning);
    }
    for (size_t i = 0; i < ARRAY_LEN(common_flags); i++) {
        const struct common_flag *flag = &common_flags[i];
        print_flag(out, flag->letter, flag->name, flag->argument, flag->kind == ARGUMENT_OPTIONAL,
                   flag->meaning);
    }
    fputs("\nExit status: 0 fine, 1 failed, 2 wrong usage.\n", out);
}

int command_line_load(const struct command_line *line, struct problems *problems,
                      struct config **config)
{
    const struct config_request request = {
        .program = line->usage->program,
        .files = line->files,
        .file_count = line->file_count,
        .parameters = line->parameters,
        .parameter_count = line->parameter_count,
        .contexts = line->contexts,
        .context_count = line->context_count,
    };
    struct config *loaded = NULL;
    int code = config_load(&request, problems, &loaded);
    if (code == 0 && line->usage->check != NULL) {
        line->usage->check(loaded, problems);
        code = problems_errors(problems) > 0 ? -EINVAL : 0;
    }
    if (code < 0) {
        config_unref(loaded);
        return code;
    }
    *config = loaded;
    return 0;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_verdict(FILE *out, const struct command_line *line, const struct config *config)
{
    size_t files = config_file_count(config);
    size_t set = config_set_count(config);
    size_t foreign = config_foreign_count(config);
    fprintf(out, "configuration ok: %zu file%s, %zu option%s set, %zu foreign option%s accepted\n",
            files, plural(files), set, plural(set), foreign, plural(foreign));
    if (line->is_verbose && foreign > 0) {
        fprintf(out, "foreign sections: %s\n", config_foreign_sections(config));
    }
}

static int load_and_print(const struct command_line *line, FILE *err, struct config **config)
{
    struct problems *problems = problems_new(PROBLEMS_SHOWN);
    int code = problems == NULL ? -ENOMEM : command_line_load(line, problems, config);
    if (code == -ENOMEM) {
        fprintf(err, "%s: out of memory\n", line->usage->name);
    } else {
        problems_print(problems, err);
    }
    if (code < 0 && code != -ENOMEM) {
        size_t errors = problems_errors(problems);
        size_t warnings = problems_warnings(problems);
        fprintf(err, "%s: the configuration has %zu error%s and %zu warning%s\n", line->usage->name,
                errors, plural(errors), warnings, plural(warnings));
    }
    problems_free(problems);
    return code;
}

int command_line_begin(const struct command_line *line, FILE *out, FILE *err,
                       struct config **config)
{
    struct config *loaded = NULL;
    switch (line->mode) {
    case MODE_HELP:
        print_help(out, line->usage);
        return EXIT_STATUS_FINE;
    case MODE_VERSION:
        fprintf(out, "%s %s\n", line->usage->name, PORTICO_VERSION);
        return EXIT_STATUS_FINE;
    case MODE_HELP_CONFIG:
        describe_help(out, line->usage->program, line->section);
        return EXIT_STATUS_FINE;
    case MODE_CHECK:
    case MODE_SHOW:
    case MODE_RUN:
        break;
    }
    if (load_and_print(line, err, &loaded) < 0) {
        return EXIT_STATUS_FAILED;
    }
    if (line->mode == MODE_RUN) {
        *config = loaded;
        return -1;
    }
    if (line->mode == MODE_CHECK) {
        print_verdict(out, line, loaded);
    } else {
        describe_values(out, loaded);
    }
    config_unref(loaded);
    return EXIT_STATUS_FINE;
}

bool command_line_wants_help(const struct command_line *line)
{
    return line->mode == MODE_HELP;
}

bool command_line_wants_nothing(const struct command_line *line)
{
    return line->mode == MODE_RUN;
}

const char *command_line_flag(const struct command_line *line, const char *name)
{
    for (const struct flag *flag = line->usage->flags; flag != NULL && flag->name != NULL; flag++) {
        if (strcmp(flag->name, name) == 0) {
            return line->values[flag - line->usage->flags];
        }
    }
    const bool is_flag_of_this_program = false;
    CHECK(is_flag_of_this_program);
    return NULL;
}

const char *command_line_flag_at(const struct command_line *line, const char *name, size_t index)
{
    for (size_t i = 0; i < line->use_count; i++) {
        if (strcmp(line->uses[i].flag->name, name) == 0 && index-- == 0) {
            return line->uses[i].argument;
        }
    }
    return NULL;
}

bool command_line_is_verbose(const struct command_line *line)
{
    return line->is_verbose;
}

struct passing {
    const char **arguments;
    size_t room, count;
};

static void pass(struct passing *passing, const char *argument)
{
    if (passing->count < passing->room) {
        passing->arguments[passing->count] = argument;
    }
    passing->count++;
}

static void pass_all(struct passing *passing, const char *flag, const char *const *values,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pass(passing, flag);
        pass(passing, values[i]);
    }
}

size_t command_line_pass_on(const struct command_line *line, const char **arguments, size_t room)
{
    struct passing passing = {arguments, room, 0};
    pass_all(&passing, "--config", line->files, line->file_count);
    pass_all(&passing, "--parameter", line->parameters, line->parameter_count);
    pass_all(&passing, "--context", &line->context_argument, line->context_argument != NULL);
    if (line->is_verbose) {
        pass(&passing, "--verbose");
    }
    return passing.count;
}

const char *command_line_word(const struct command_line *line, size_t index)
{
    return index < line->word_count ? line->words[index] : NULL;
}
