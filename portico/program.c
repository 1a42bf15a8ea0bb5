/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to a command: words, flags, help. The thread of main(). */
#include "program.h"

#include <string.h>

#include "commands.h"
#include "operation.h"

static const struct flag flags[] = {
    {"json", 0, NULL, "one JSON array instead of a table"},
    {"directory", 0, "DIR", "init: put everything below DIR"},
    {"user", 0, "NAME", "init: who serves and is to own all of it"},
    {"instances", 'n', "N", "run: how many frontends"},
    {"store-only", 0, NULL, "backup: without keys and configuration"},
    {"force", 0, NULL, "backup, restore: replace what is there"},
    {"flow", 0, "F", "send, responses: the flow's id"},
    {"request", 0, "N", "send: the request's number in its flow"},
    {"args-hex", 0, "HEX", "send: arguments, serialised, in hexadecimal"},
    {"args-type", 0, "NAME", "send: class of the arguments"},
    {"handler", 0, "NAME", "messages: only those for this handler"},
    {NULL, 0, NULL, NULL},
};

static const struct command commands[] = {
#define COMMAND(name, meaning, details) {name, meaning},
#include "commands.def"
    {NULL, NULL},
};

static const struct help {
    const char *command, *meaning, *details;
} helps[] = {
#define COMMAND(name, meaning, details) {name, meaning, details},
#include "commands.def"
};

enum {
    ARGUMENTS_MAX = 2,
    WORDS = 255, /* the command takes them from the command line itself */
};

static const struct kind {
    const char *command, *verb;
    size_t arguments;
    const char *synopsis, *flags;
    int (*run)(const struct operation *operation);
} kinds[] = {
#define OPERATION(command, verb, arguments, synopsis, flags, run) \
    {command, verb, arguments, synopsis, flags, run},
#include "commands.def"
};

static const struct program_usage usage = {
    .name = "portico",
    .program = PROGRAM_PORTICO,
    .meaning =
        "The operator's command of Portico: sets a machine up, checks it, and looks at agents.\n"
        "portico COMMAND --help tells more about a command.",
    .arguments = "COMMAND ...",
    .flags = flags,
    .commands = commands,
};

/* ---- help ---- */

static void print_synopsis(FILE *out, const struct kind *kind, const char *lead)
{
    fprintf(out, "%s portico [OPTIONS] %s%s%s%s%s%s\n", lead, kind->command,
            kind->verb == NULL ? "" : " ", kind->verb == NULL ? "" : kind->verb,
            kind->synopsis[0] == '\0' ? "" : " ", kind->synopsis,
            strstr(kind->flags, " json ") == NULL ? "" : " [--json]");
}

static bool takes_flag(const struct kind *kind, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, " %s ", name);
    return strstr(kind->flags, text) != NULL;
}

static bool command_takes_flag(const char *command, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].command, command) == 0 && takes_flag(&kinds[i], name)) {
            return true;
        }
    }
    return false;
}

/* "init: put everything ..." is for the list of all flags. */
static const char *meaning_alone(const char *meaning)
{
    const char *colon = strstr(meaning, ": ");
    return colon == NULL ? meaning : colon + 2;
}

static void print_command_help(FILE *out, const struct help *help)
{
    const char *lead = "usage:";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].command, help->command) == 0) {
            print_synopsis(out, &kinds[i], lead);
            lead = "      ";
        }
    }
    fprintf(out, "portico %s: %s.\n\n%s\n", help->command, help->meaning, help->details);
    for (const struct flag *flag = flags; flag->name != NULL; flag++) {
        if (command_takes_flag(help->command, flag->name)) {
            char text[64];
            snprintf(text, sizeof text, "%s%.1s%s--%s%s%s", flag->letter == 0 ? "" : "-",
                     &flag->letter, flag->letter == 0 ? "" : ", ", flag->name,
                     flag->argument == NULL ? "" : " ",
                     flag->argument == NULL ? "" : flag->argument);
            fprintf(out, "  %-22s  %s\n", text, meaning_alone(flag->meaning));
        }
    }
    fputs("\nOptions may stand before or after the command; portico --help has those of all "
          "commands,\namong them -c FILE for the configuration.\n"
          "Exit status: 0 fine, 1 failed, 2 wrong usage.\n",
          out);
}

/* False when no command's help was asked for. */
static bool help_with_command(const struct command_line *line, FILE *out)
{
    const char *word = command_line_word(line, 0);
    for (size_t i = 0; word != NULL && i < ARRAY_LEN(helps); i++) {
        if (strcmp(helps[i].command, word) == 0) {
            print_command_help(out, &helps[i]);
            return true;
        }
    }
    return false;
}

/* ---- finding the operation ---- */

static bool has_verbs(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].command, command) == 0) {
            return kinds[i].verb != NULL;
        }
    }
    return false;
}

static const struct kind *find_kind(const char *command, const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].command, command) == 0 &&
            (kinds[i].verb == NULL || (verb != NULL && strcmp(kinds[i].verb, verb) == 0))) {
            return &kinds[i];
        }
    }
    return NULL;
}

static int refuse_verb(const struct operation *operation, const char *verb)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    if (verb == NULL) {
        fprintf(operation->err, "portico %s: what shall be done? There are", operation->command);
    } else {
        fprintf(operation->err, "portico %s: there is no \"%s\"; there are", operation->command,
                verb);
    }
    const char *comma = " ";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].command, operation->command) != 0) {
            continue;
        }
        fprintf(operation->err, "%s%s", comma, kinds[i].verb);
        comma = ", ";
        unsigned distance =
            verb == NULL ? best_distance
                         : str_distance(str_from(verb), str_from(kinds[i].verb), best_distance);
        best = distance < best_distance ? kinds[i].verb : best;
        best_distance = distance < best_distance ? distance : best_distance;
    }
    fputc('\n', operation->err);
    if (best != NULL) {
        fprintf(operation->err, "    hint: did you mean portico %s %s?\n", operation->command,
                best);
    }
    fprintf(operation->err, "Try portico %s --help.\n", operation->command);
    return EXIT_STATUS_USAGE;
}

static int check_flags(const struct operation *operation, const struct kind *kind)
{
    for (const struct flag *flag = flags; flag->name != NULL; flag++) {
        if (command_line_flag(operation->line, flag->name) != NULL &&
            !takes_flag(kind, flag->name)) {
            return operation_misuse(operation, "it takes no --%s", flag->name);
        }
    }
    return 0;
}

static int take_arguments(const struct operation *operation, const struct kind *kind,
                          const char *arguments[ARGUMENTS_MAX])
{
    size_t at = kind->verb == NULL ? 1 : 2;
    if (kind->arguments == WORDS) {
        return command_line_word(operation->line, at) != NULL
                   ? 0
                   : operation_misuse(operation, "something is missing: portico %s %s",
                                      operation->name, kind->synopsis);
    }
    for (size_t i = 0; i < kind->arguments; i++) {
        arguments[i] = command_line_word(operation->line, at++);
        if (arguments[i] == NULL) {
            return operation_misuse(operation, "something is missing: portico %s %s",
                                    operation->name, kind->synopsis);
        }
    }
    const char *rest = command_line_word(operation->line, at);
    return rest == NULL ? 0 : operation_misuse(operation, "\"%s\" is one word too many", rest);
}

/* ---- running it ---- */

/* What tells about the configuration tells it itself. */
static bool loads_itself(const struct operation *operation)
{
    return strcmp(operation->command, "check") == 0;
}

static int run_kind(struct operation *operation, const struct kind *kind)
{
    int status = -1;
    if (!loads_itself(operation)) {
        status =
            command_line_begin(operation->line, operation->out, operation->err, &operation->config);
    }
    if (status < 0) {
        status = kind->run(operation);
    }
    config_unref(operation->config);
    return status;
}

static int run_command(const struct command_line *line, FILE *out, FILE *err)
{
    const char *arguments[ARGUMENTS_MAX];
    const char *verb = command_line_word(line, 1);
    char name[64];
    struct operation operation = {
        .name = command_line_word(line, 0),
        .command = command_line_word(line, 0),
        .arguments = arguments,
        .line = line,
        .out = out,
        .err = err,
        .is_json = command_line_flag(line, "json") != NULL,
    };
    const struct kind *kind = find_kind(operation.command, verb);
    if (kind == NULL) {
        return refuse_verb(&operation, verb);
    }
    if (has_verbs(operation.command)) {
        snprintf(name, sizeof name, "%s %s", operation.command, kind->verb);
        operation.name = name;
    }
    int status = check_flags(&operation, kind);
    status = status != 0 ? status : take_arguments(&operation, kind, arguments);
    return status != 0 ? status : run_kind(&operation, kind);
}

static int run(const struct command_line *line, FILE *out, FILE *err)
{
    struct config *config = NULL;
    if (command_line_wants_help(line) && help_with_command(line, out)) {
        return EXIT_STATUS_FINE;
    }
    if (command_line_word(line, 0) != NULL && command_line_wants_nothing(line)) {
        return run_command(line, out, err);
    }
    int status = command_line_begin(line, out, err, &config);
    if (status >= 0) {
        return status;
    }
    config_unref(config);
    fputs("portico: what shall be done? Try portico --help.\n", err);
    return EXIT_STATUS_USAGE;
}

int program_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct command_line *line = NULL;
    if (command_line_parse(&usage, argc, argv, err, &line) < 0) {
        return EXIT_STATUS_USAGE;
    }
    int status = run(line, out, err);
    command_line_free(line);
    /* A full disk or a closed pipe is a failure like any other. */
    if ((fflush(out) != 0 || ferror(out)) && status == EXIT_STATUS_FINE) {
        fputs("portico: cannot write the output\n", err);
        return EXIT_STATUS_FAILED;
    }
    return status;
}
