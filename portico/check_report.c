/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping findings and telling them, for people and as JSON. One thread. */
#include "check_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "config/command_line.h"
#include "json_write.h"
#include "table.h"

enum {
    INDENT = 24, /* of the messages */
    TEXTS = 4,   /* of an item */
};

static const char *const names[] = {"ok", "unseen", "warning", "problem"};

void check_report_init(struct check_report *report)
{
    *report = (struct check_report){.relay = -1};
    report->end = &report->first;
}

static void free_item(struct check_item *item)
{
    free(item->what);
    free(item->message);
    free(item->why);
    free(item->mend);
    free(item);
}

void check_report_done(struct check_report *report)
{
    while (report->first != NULL) {
        struct check_item *item = report->first;
        report->first = item->next;
        free_item(item);
    }
    check_report_init(report);
}

void check_report_why(struct check_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->why, sizeof report->why, format, arguments);
    va_end(arguments);
}

void check_report_mend(struct check_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->mend, sizeof report->mend, format, arguments);
    va_end(arguments);
}

/* ---- Between processes: a digit, then the texts, each with its NUL ---- */

static void relay(const struct check_report *report, const struct check_item *item)
{
    const char *texts[TEXTS] = {item->what, item->message, item->why, item->mend};
    FILE *file = fdopen(dup(report->relay), "w");
    if (file == NULL) {
        return; /* who waits for it will see that the end is missing */
    }
    fputc('0' + (int)item->finding, file);
    for (size_t i = 0; i < TEXTS; i++) {
        fwrite(texts[i], 1, strlen(texts[i]) + 1, file);
    }
    fclose(file);
}

static void add(struct check_report *report, enum finding finding, const char *const texts[TEXTS])
{
    struct check_item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        abort(); /* a command that only tells can do nothing better */
    }
    item->finding = finding;
    item->what = strdup(texts[0]);
    item->message = strdup(texts[1]);
    item->why = strdup(texts[2]);
    item->mend = strdup(texts[3]);
    if (item->what == NULL || item->message == NULL || item->why == NULL || item->mend == NULL) {
        abort();
    }
    *report->end = item;
    report->end = &item->next;
    report->counts[finding]++;
    if (report->relay >= 0) {
        relay(report, item);
    }
}

/* The bytes of one whole item, 0: it is not whole yet. */
static size_t take_item(struct check_report *report, struct str bytes)
{
    const char *texts[TEXTS];
    struct str rest = str_skip(bytes, 1);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t len = str_find(rest, '\0');
        if (len == rest.len) {
            return 0;
        }
        texts[i] = rest.data;
        rest = str_skip(rest, len + 1);
    }
    add(report, (enum finding)(bytes.data[0] - '0'), texts);
    return bytes.len - rest.len;
}

long check_report_take(struct check_report *report, struct str bytes)
{
    struct str rest = bytes;
    while (rest.len > 0) {
        if (rest.data[0] < '0' + FINDING_OK || rest.data[0] > '0' + FINDING_PROBLEM) {
            return -EBADMSG;
        }
        size_t taken = take_item(report, rest);
        if (taken == 0) {
            break;
        }
        rest = str_skip(rest, taken);
    }
    return (long)(bytes.len - rest.len);
}

void check_report_tell(struct check_report *report, enum finding finding, const char *what,
                       const char *format, ...)
{
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&message, format, arguments);
    va_end(arguments);
    const char *texts[TEXTS] = {what, len < 0 ? "out of memory" : message, report->why,
                                report->mend};
    add(report, finding, texts);
    report->why[0] = report->mend[0] = '\0';
    if (len >= 0) {
        free(message);
    }
}

/* ---- Telling ---- */

static void print_lines(FILE *out, const char *text)
{
    struct str rest = str_from(text);
    struct str line;
    for (bool is_first = true; str_split(&rest, '\n', &line); is_first = false) {
        fprintf(out, "%*s", is_first ? 0 : INDENT, "");
        text_print(out, line);
        fputc('\n', out);
    }
}

static void print_remark(FILE *out, const char *title, const char *text)
{
    if (text[0] != '\0') {
        fprintf(out, "%*s%s: ", INDENT, "", title);
        print_lines(out, text);
    }
}

static void print_item(const struct check_item *item, FILE *out)
{
    fprintf(out, "%-8s %-14s ", names[item->finding], item->what);
    print_lines(out, item->message);
    print_remark(out, "why", item->why);
    print_remark(out, "mend", item->mend);
}

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

static void print_summary(const struct check_report *report, bool is_verbose, FILE *out)
{
    unsigned problems = report->counts[FINDING_PROBLEM];
    unsigned warnings = report->counts[FINDING_WARNING];
    unsigned unseen = report->counts[FINDING_UNSEEN];
    unsigned fine = report->counts[FINDING_OK];
    if (problems + warnings + unseen == 0) {
        fprintf(out, "Everything is fine: %u thing%s looked at", fine, plural(fine));
    } else {
        fprintf(out, "%u problem%s, %u warning%s", problems, plural(problems), warnings,
                plural(warnings));
        if (unseen > 0) {
            fprintf(out, ", %u not looked at", unseen);
        }
        fprintf(out, "; %u thing%s fine", fine, fine == 1 ? " is" : "s are");
    }
    fputs(is_verbose || fine == 0 ? ".\n" : " (-v shows them).\n", out);
}

void check_report_print(const struct check_report *report, bool is_verbose, FILE *out)
{
    for (int finding = FINDING_PROBLEM; finding >= (is_verbose ? FINDING_OK : FINDING_UNSEEN);
         finding--) {
        for (const struct check_item *item = report->first; item != NULL; item = item->next) {
            if ((int)item->finding == finding) {
                print_item(item, out);
            }
        }
    }
    print_summary(report, is_verbose, out);
}

static void put_item(struct json_writer *json, const struct check_item *item)
{
    json_open(json, NULL, '{');
    json_put_str(json, "check", str_from(item->what));
    json_put_str(json, "status", str_from(names[item->finding]));
    json_put_str(json, "message", str_from(item->message));
    json_put_known(json, "why", str_from(item->why));
    json_put_known(json, "mend", str_from(item->mend));
    json_close(json, '}');
}

void check_report_print_json(const struct check_report *report, FILE *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open(&json, NULL, '[');
    for (int finding = FINDING_PROBLEM; finding >= FINDING_OK; finding--) {
        for (const struct check_item *item = report->first; item != NULL; item = item->next) {
            if ((int)item->finding == finding) {
                put_item(&json, item);
            }
        }
    }
    json_close(&json, ']');
}

int check_report_status(const struct check_report *report)
{
    return report->counts[FINDING_PROBLEM] == 0 ? EXIT_STATUS_FINE : EXIT_STATUS_FAILED;
}
