/* SPDX-License-Identifier: Apache-2.0 */
/* Telling findings, for people and as JSON. One thread. */
#include "check_report.h"

#include <stdarg.h>
#include <stdlib.h>

#include "config/command_line.h"
#include "table.h"

enum { INDENT = 24 }; /* of the messages */

static const char *const names[] = {"ok", "warning", "error"};

void check_report_begin(struct check_report *report, FILE *out, bool is_json)
{
    *report = (struct check_report){.out = out, .is_json = is_json};
    json_begin(&report->json, out);
    if (is_json) {
        json_open(&report->json, NULL, '[');
    }
}

void check_report_mend(struct check_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->mend, sizeof report->mend, format, arguments);
    va_end(arguments);
}

static void put_json(struct check_report *report, const char *finding, const char *what,
                     const char *message)
{
    struct json_writer *json = &report->json;
    json_open(json, NULL, '{');
    json_put_str(json, "check", str_from(what));
    json_put_str(json, "status", str_from(finding));
    json_put_str(json, "message", str_from(message));
    json_put_known(json, "mend", str_from(report->mend));
    json_close(json, '}');
}

static void put_text(struct check_report *report, const char *finding, const char *what,
                     const char *message)
{
    struct str rest = str_from(message);
    struct str line;
    fprintf(report->out, "%-8s %-14s ", finding, what);
    for (bool is_first = true; str_split(&rest, '\n', &line); is_first = false) {
        fprintf(report->out, "%*s", is_first ? 0 : INDENT, "");
        text_print(report->out, line);
        fputc('\n', report->out);
    }
    if (report->mend[0] != '\0') {
        fprintf(report->out, "%*smend: %s\n", INDENT, "", report->mend);
    }
}

void check_report_tell(struct check_report *report, enum finding finding, const char *what,
                       const char *format, ...)
{
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&message, format, arguments);
    va_end(arguments);
    const char *shown = len < 0 ? "out of memory" : message;
    if (report->is_json) {
        put_json(report, names[finding], what, shown);
    } else {
        put_text(report, names[finding], what, shown);
    }
    report->counts[finding]++;
    report->mend[0] = '\0';
    if (len >= 0) {
        free(message);
    }
}

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

int check_report_end(struct check_report *report)
{
    unsigned errors = report->counts[FINDING_ERROR];
    unsigned warnings = report->counts[FINDING_WARNING];
    if (report->is_json) {
        json_close(&report->json, ']');
    } else if (errors + warnings == 0) {
        fputs("Everything is fine.\n", report->out);
    } else {
        fprintf(report->out, "%u error%s, %u warning%s.\n", errors, plural(errors), warnings,
                plural(warnings));
    }
    return errors == 0 ? EXIT_STATUS_FINE : EXIT_STATUS_FAILED;
}
