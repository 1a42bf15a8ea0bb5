/* SPDX-License-Identifier: Apache-2.0 */
/* The option table as a manual page, docs/man/portico.yaml.5. Any thread. */
#include <string.h>

#include "config/describe.h"

static const char head[] =
    ".\\\" SPDX-License-Identifier: Apache-2.0\n"
    ".\\\" Written by portico-options from common/config/options.def; edit that.\n"
    ".Dd May 1, 2026\n"
    ".Dt PORTICO.YAML 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm portico.yaml\n"
    ".Nd configuration of Portico's programs\n"
    ".Sh DESCRIPTION\n"
    "All programs of Portico read the same YAML files, in the format of GRR's servers: a\n"
    ".Pa grr-server.yaml\n"
    "with its\n"
    ".Pa server.local.yaml\n"
    "beside it loads unchanged.\n"
    "No file is needed: built-in defaults and\n"
    ".Fl p Ar Key=value\n"
    "on the command line serve.\n"
    ".Pp\n"
    "Keys are dotted, or nested, which means the same.\n"
    "A top-level key that is the name of a context holds options for where that context is "
    "active:\n"
    ".Bd -literal -offset indent\n"
    "Frontend.bind_port: 8080      # dotted keys,\n"
    "Balancer:                     # or nested: this is Balancer.bind_port\n"
    "  bind_port: 8000\n"
    "HTTPServer Context:           # applies where that context is active\n"
    "  Frontend.port_max: 8089\n"
    ".Ed\n"
    ".Ss Which value counts\n"
    "Later wins:\n"
    ".Bl -enum -compact\n"
    ".It\n"
    "the built-in default\n"
    ".It\n"
    "the top level of the files: each\n"
    ".Fl -config\n"
    "in order, key by key.\n"
    ".Cm Config.includes\n"
    "names more files, which override the file that has it\n"
    ".It\n"
    "the deepest block whose contexts are all active\n"
    ".It\n"
    "the top level of the file\n"
    ".Cm Config.writeback ,\n"
    "which may be missing\n"
    ".It\n"
    ".Fl p Ar Key=value\n"
    ".El\n"
    ".Pp\n"
    ".Ql null\n"
    "means \\(lqnot set here\\(rq.\n"
    "Keys of sections that are not listed here are accepted and counted; an unknown key in a "
    "section\n"
    "that is listed is an error.\n"
    ".Fl -check-config\n"
    "tells every mistake with its file, line and column,\n"
    ".Fl -show-config\n"
    "each value and where it comes from.\n"
    ".Ss Values\n"
    ".Bl -tag -width networks -compact\n"
    ".It bool\n"
    "true, yes, y, on or false, no, n, off, in any case\n"
    ".It int, port\n"
    "8080 or 0x1f90; no leading zero\n"
    ".It size\n"
    "65536, 64KiB, 1.5MiB, 1GiB; a plain number counts bytes\n"
    ".It duration\n"
    "10s, 500ms, 2h, 1.5d; units are us, ms, s, m, h, d and w; a plain number counts seconds\n"
    ".It address\n"
    "127.0.0.1 or ::1; names are not looked up\n"
    ".It pem\n"
    "a PEM block, or a reference to a file that holds one\n"
    ".It list, networks\n"
    "a YAML list, or a text with commas\n"
    ".El\n"
    ".Ss References\n"
    ".Bl -tag -width Ds\n"
    ".It %( Ns Ar Section.key )\n"
    "The value of that option, nothing when it is not set.\n"
    "Without a section: of the same one.\n"
    ".It %( Ns Ar PATH Ns \\(bafile), %( Ns Ar PATH Ns \\(baoptionalfile)\n"
    "What the file holds; the second is nothing when it cannot be read.\n"
    "Paths are relative to the file that says so.\n"
    ".It %( Ns Ar NAME Ns \\(baenv)\n"
    "The environment variable.\n"
    ".It %{text}\n"
    "The text as it is.\n"
    "A backslash takes the meaning from %, parentheses, braces, the bar and itself.\n"
    ".El\n"
    ".Sh OPTIONS\n"
    "A reload, by\n"
    ".Dv SIGHUP ,\n"
    "applies options where it is said; the others need a restart.\n";

static const char tail[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/portico/portico.yaml\n"
    "What the package brings: defaults, and the options that sites change, explained.\n"
    ".It Pa /etc/portico/portico.local.yaml\n"
    "What\n"
    ".Xr portico 1\n"
    ".Cm init\n"
    "makes for this machine: keys, certificates, places.\n"
    "It holds secrets; only its owner may read it.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "Ten instances, and a balancer that speaks HTTPS as well:\n"
    ".Bd -literal -offset indent\n"
    "Frontend.bind_address: 127.0.0.1\n"
    "Frontend.bind_port: 8080\n"
    "Frontend.port_max: 8089\n"
    "Balancer.bind_port: 80\n"
    "Balancer.tls_bind_port: 443\n"
    "Balancer.tls_certificates: [/etc/portico/tls.pem]\n"
    "Frontend.certificate: \"%(/etc/portico/server.pem|file)\"\n"
    "PrivateKeys.server_key: \"%(/etc/portico/server_key.pem|file)\"\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr portico 1 ,\n"
    ".Xr portico-flood 1 ,\n"
    ".Xr portico-balancer 8 ,\n"
    ".Xr portico-frontend 8\n";

static bool begins_line_badly(const char *text)
{
    return text[0] == '.' || text[0] == '\'';
}

/* Text lines, a sentence on each as mdoc wants it. Escapes what roff would take for its own:
 * backslashes, and dots or quotes that begin a line. */
static void put_text(FILE *out, const char *text)
{
    bool is_line_begin = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (is_line_begin && begins_line_badly(c)) {
            fputs("\\&", out);
        }
        is_line_begin = c[0] == '.' && c[1] == ' ';
        fputs(*c == '\\' ? "\\e" : (const char[]){*c, '\0'}, out);
        if (is_line_begin) {
            fputc('\n', out);
            c++;
        }
    }
    fputc('\n', out);
}

static void put_effect(FILE *out, const struct option *option)
{
    char text[256];
    if ((option->flags & OPTION_NO_EFFECT) != 0) {
        fputs("Accepted, without effect.\n", out);
        return;
    }
    describe_programs(option, text, sizeof text);
    fprintf(out, "Used by %s%s.\n", text[0] == '\0' ? "portico" : text,
            (option->flags & OPTION_RELOAD) != 0       ? "; a reload applies it"
            : option_reloads(option, PROGRAM_BALANCER) ? "; a reload of the balancer applies it"
                                                       : "");
    if ((option->flags & OPTION_SECRET) != 0) {
        fputs("Never shown.\n", out);
    }
}

static void put_option(FILE *out, const struct option *option)
{
    char text[256];
    fprintf(out, ".It Cm %s\n", option->key);
    put_text(out, option->meaning);
    fprintf(out, "Type %s", option_type_name(option->type));
    if (describe_choices(option, ", ", text, sizeof text) > 0) {
        fprintf(out, " (%s)", text);
    }
    if (describe_range(option, text, sizeof text) > 0) {
        fprintf(out, ", %s", text);
    }
    fputs(option->initial == NULL ? "; not set by default.\n" : "; default\n", out);
    if (option->initial != NULL) {
        fprintf(out, ".Ql \"%s\" .\n", option->initial);
    }
    put_effect(out, option);
}

void describe_mdoc(FILE *out)
{
    fputs(head, out);
    for (size_t i = 0; i < section_count(); i++) {
        const struct section *section = section_at(i);
        fprintf(out, ".Ss %s\n", section->name);
        put_text(out, section->meaning);
        fputs(".Bl -tag -width Ds\n", out);
        for (size_t j = 0; j < option_count(); j++) {
            if (option_is_in(option_at(j), section)) {
                put_option(out, option_at(j));
            }
        }
        fputs(".El\n", out);
    }
    fputs(tail, out);
}
