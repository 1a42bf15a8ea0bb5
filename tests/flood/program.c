/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to a command of portico-flood. The thread of main(). */
#include "program.h"

#include <string.h>

#include "commands.h"
#include "scenario.h"

static const struct flag flags[] = {
    {"url", 0, "URL", "run, raw: whom to load, http://HOST:PORT/ or https://..."},
    {"agents", 0, "N", "run, keys: how many agents (run: 100)"},
    {"rate", 0, "R", "requests per second in all"},
    {"period", 0, "S", "run: each agent polls every so often; without both: as real agents do"},
    {"duration", 0, "S", "how long (10s); a scenario is stretched to it"},
    {"scenario", 0, "NAME", "run: a shipped scenario, or a YAML file"},
    {"messages", 0, "M", "run: messages that a poll brings, on average (0)"},
    {"message-bytes", 0, "SIZE", "run: how large they are (256)"},
    {"keys", 0, "FILE", "run: identities that portico-flood keys made"},
    {"output", 'o', "FILE", "keys: where to write them"},
    {"close", 0, NULL, "a new connection for each request, as real agents do"},
    {"connections", 0, "N", "at most so many at a time (raw: exactly, 50)"},
    {"no-resumption", 0, NULL, "TLS: a full handshake on every connection"},
    {"ca", 0, "FILE", "TLS: authorities that the server's certificate must be from"},
    {"server-ca", 0, "FILE", "run: who must have signed /server.pem (CA.certificate of -c)"},
    {"body-bytes", 0, "SIZE", "raw: POST so many bytes instead of GET"},
    {"timeout", 0, "S", "for one request (30s)"},
    {"closing", 0, "S", "run: how long polls and what agents owe may take at the end (5s)"},
    {"threads", 0, "N", "of the generator (one for each CPU)"},
    {"seed", 0, "N", "decides the schedule (1)"},
    {"slo", 0, "EXPR", "what must be met: \"p99<50ms,errors=0,lost=0\""},
    {"find-capacity", 0, NULL, "run: search the highest rate that meets --slo"},
    {"json", 0, "FILE", "write the report; the ledger goes beside it, to FILE.ledger"},
    {"html", 0, "FILE", "write the report as a page"},
    {"verify", 0, NULL, "run: then look for every acknowledged message in the store of -c"},
    {"report", 0, "FILE", "verify: what run --json wrote"},
    {"on", 0, "EVENT=COMMAND", "run: what to run at an event of the scenario; repeatable"},
    {"i-own-this-target", 0, NULL, "load an address that is not a private one"},
    {NULL, 0, NULL, NULL},
};

static const struct command commands[] = {
    {"run", "simulated agents poll a server"},
    {"raw", "plain HTTP requests to any server"},
    {"keys", "make identities for agents, once"},
    {"verify", "look for every acknowledged message in the store"},
    {"compare", "two reports beside each other"},
    {NULL, NULL},
};

static const struct {
    const char *name, *flags; /* those that it takes, each between spaces */
    int (*run)(const struct arguments *arguments);
} kinds[] = {
    {"run",
     " url agents rate period duration scenario messages message-bytes keys close connections "
     "no-resumption ca server-ca timeout closing threads seed slo find-capacity json html verify "
     "on "
     "i-own-this-target ",
     command_run},
    {"raw",
     " url rate duration close connections no-resumption ca body-bytes timeout threads seed slo "
     "json html i-own-this-target ",
     command_raw},
    {"keys", " agents threads output ", command_keys},
    {"verify", " report ", command_verify},
    {"compare", " ", command_compare},
};

static const struct program_usage usage = {
    .name = "portico-flood",
    .program = PROGRAM_FLOOD,
    .meaning =
        "Loads a server with simulated agents that check every answer, and tells what it saw.\n"
        "Exit status: 0 the run was valid and met its --slo; 1 not; 2 wrong usage; 3 the "
        "generator\n"
        "itself was the bottleneck, so there is no verdict.",
    .arguments = "COMMAND ...",
    .flags = flags,
    .commands = commands,
};

static int check_flags(const struct arguments *arguments, const char *taken)
{
    char text[64];
    for (const struct flag *flag = flags; flag->name != NULL; flag++) {
        snprintf(text, sizeof text, " %s ", flag->name);
        if (arguments_have(arguments, flag->name) && strstr(taken, text) == NULL) {
            return arguments_misuse(arguments, "it takes no --%s", flag->name);
        }
    }
    size_t words = strcmp(arguments->command, "compare") == 0 ? 3 : 1;
    const char *rest = command_line_word(arguments->line, words);
    return rest == NULL ? 0 : arguments_misuse(arguments, "\"%s\" is one word too many", rest);
}

static int run_command(struct arguments *arguments)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, arguments->command) == 0) {
            int status = check_flags(arguments, kinds[i].flags);
            return status != 0 ? status : kinds[i].run(arguments);
        }
    }
    return EXIT_STATUS_USAGE; /* command_line_parse() knows the same words */
}

static int run(struct arguments *arguments)
{
    struct config *config = NULL;
    int status = command_line_begin(arguments->line, arguments->out, arguments->err, &config);
    if (status >= 0) {
        if (command_line_wants_help(arguments->line)) {
            fputs("\nScenarios:\n", arguments->out);
            scenario_list(arguments->out);
        }
        return status;
    }
    arguments->command = command_line_word(arguments->line, 0);
    arguments->config = config;
    if (arguments->command == NULL) {
        fputs("portico-flood: what shall be done? Try portico-flood --help.\n", arguments->err);
        status = EXIT_STATUS_USAGE;
    } else {
        status = run_command(arguments);
    }
    config_unref(config);
    return status;
}

int flood_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct command_line *line = NULL;
    if (command_line_parse(&usage, argc, argv, err, &line) < 0) {
        return EXIT_STATUS_USAGE;
    }
    struct arguments arguments = {.line = line, .out = out, .err = err, .argc = argc, .argv = argv};
    int status = run(&arguments);
    command_line_free(line);
    /* A full disk or a closed pipe is a failure like any other. */
    if ((fflush(out) != 0 || ferror(out)) && status == EXIT_STATUS_FINE) {
        fputs("portico-flood: cannot write the output\n", err);
        return EXIT_STATUS_FAILED;
    }
    return status;
}
