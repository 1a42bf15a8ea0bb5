/* SPDX-License-Identifier: Apache-2.0 */
/* The option table for readers: docs/configuration.md. Any thread. */
#include <string.h>

#include "config/describe.h"

static const char introduction[] =
    "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
    "<!-- Written by portico-options from common/config/options.def; edit that. -->\n"
    "# Configuration\n"
    "\n"
    "All programs read the same YAML files, in the format of GRR's servers: a `grr-server.yaml` "
    "with its\n"
    "`server.local.yaml` beside it loads unchanged. No file is needed: defaults and `-p` serve.\n"
    "\n"
    "```yaml\n"
    "Frontend.bind_port: 8080      # dotted keys,\n"
    "Balancer:                     # or nested: this is Balancer.bind_port\n"
    "  bind_port: 8000\n"
    "HTTPServer Context:           # applies where that context is active\n"
    "  Frontend.port_max: 8089\n"
    "```\n"
    "\n"
    "`portico --check-config -c FILE` tells every mistake with its place; `--show-config` tells "
    "each value and\n"
    "where it comes from; `--help-config` prints the tables below. `conf/portico.schema.json` is "
    "for editors.\n"
    "\n"
    "## Which value counts\n"
    "\n"
    "Later wins:\n"
    "\n"
    "1. the built-in default\n"
    "2. the top level of the files: each `--config` in order, key by key. `Config.includes` names "
    "more files,\n"
    "   relative to the file that has it, which override that file\n"
    "3. the deepest block whose contexts are all active; at equal depth the context that stands "
    "later in the list\n"
    "4. the top level of the writeback file (`Config.writeback`), which may be missing\n"
    "5. `-p Key=value`\n"
    "\n"
    "`null` means *not set here*. A file may set a key once, in one of its two forms. Keys of "
    "sections that are not\n"
    "listed here are accepted and counted; an unknown key in a section that is listed is an "
    "error.\n"
    "\n"
    "Active contexts, in order: `HTTPServer Context` (frontend), `Commandline Context` and "
    "`HTTPServer Context`\n"
    "(balancer and portico, which have to see the instances' ports as the instances do), "
    "`PoolClient Context`\n"
    "(flood); then `Platform:Linux`, `Arch:amd64` or what the machine is, and those of "
    "`--context a,b`.\n"
    "\n"
    "## Values\n"
    "\n"
    "| type | looks like |\n"
    "|---|---|\n"
    "| bool | `true` `yes` `y` `on`, `false` `no` `n` `off`, in any case |\n"
    "| int, port | `8080`, `0x1f90`; no leading zero |\n"
    "| size | `65536`, `64KiB`, `1.5MiB`, `1GiB` |\n"
    "| duration | `10` and `10s` are ten seconds; `500ms`, `2h`, `1.5d`; us ms s m h d w |\n"
    "| address | `127.0.0.1`, `::1`; names are not looked up |\n"
    "| pem | a PEM block, or `\"%(/etc/portico/server.pem\\|file)\"` |\n"
    "| list, networks | a YAML list, or a text with commas |\n"
    "\n"
    "## References and filters\n"
    "\n"
    "| written | means |\n"
    "|---|---|\n"
    "| `%(Section.key)` | the value of that option, nothing when it is not set; `%(key)`: of the "
    "same section |\n"
    "| `%(PATH\\|file)` | what the file holds; relative to the file that says so |\n"
    "| `%(PATH\\|optionalfile)` | the same, nothing when it cannot be read |\n"
    "| `%(NAME\\|env)` | the environment variable |\n"
    "| `%(text\\|lower)`, `upper`, `literal`, `expand`, `fixpathsep` | the text changed; "
    "`%(text\\|lower,env)`: one after the other |\n"
    "| `%{text}` | the text as it is |\n"
    "| `\\%` `\\(` `\\)` `\\{` `\\}` `\\\\|` `\\\\` | the character itself; before any other a "
    "backslash is a backslash |\n"
    "\n"
    "Expressions nest, the innermost is done first. The filters `flags`, `resource` and "
    "`module_path` need an\n"
    "installed GRR: they may stand in foreign sections, whose values are never evaluated, but not "
    "in these.\n";

/* A bar would end the cell. */
static void put_cell(FILE *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        fprintf(out, *c == '|' ? "\\%c" : "%c", *c);
    }
}

static void markdown_option(FILE *out, const struct option *option)
{
    char text[256];
    fprintf(out, "| `%s` | %s", option->key, option_type_name(option->type));
    if (describe_choices(option, "`, `", text, sizeof text) > 0) {
        fprintf(out, " `%s`", text);
    }
    if (describe_range(option, text, sizeof text) > 0) {
        fprintf(out, ", %s", text);
    }
    fputs(" | ", out);
    if (option->initial != NULL) {
        fputs("`", out);
        put_cell(out, option->initial);
        fputs("`", out);
    }
    describe_programs(option, text, sizeof text);
    bool has_effect = (option->flags & OPTION_NO_EFFECT) == 0;
    fprintf(out, " | %s | %s | ", has_effect ? text : "none",
            !has_effect                                ? ""
            : (option->flags & OPTION_RELOAD) != 0     ? "yes"
            : option_reloads(option, PROGRAM_BALANCER) ? "balancer"
                                                       : "no");
    put_cell(out, option->meaning);
    fprintf(out, "%s%s |\n", (option->flags & OPTION_SECRET) != 0 ? " Never shown." : "",
            has_effect ? "" : " Accepted, without effect.");
}

void describe_markdown(FILE *out)
{
    fputs(introduction, out);
    for (size_t i = 0; i < section_count(); i++) {
        const struct section *section = section_at(i);
        fprintf(out,
                "\n## %s\n\n%s\n\n| option | type and range | default | used by | reload | meaning "
                "|\n|---|---|---|---|---|---|\n",
                section->name, section->meaning);
        for (size_t j = 0; j < option_count(); j++) {
            if (option_is_in(option_at(j), section)) {
                markdown_option(out, option_at(j));
            }
        }
    }
}
