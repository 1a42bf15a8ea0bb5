/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood compare: two reports beside each other. */
#include <stdlib.h>

#include "commands.h"
#include "compare.h"
#include "report.h"

int command_compare(const struct arguments *arguments)
{
    struct results *sides[2] = {NULL, NULL};
    struct error error = {.line = 0};
    int status = EXIT_STATUS_FINE;
    for (size_t i = 0; status == EXIT_STATUS_FINE && i < 2; i++) {
        const char *path = command_line_word(arguments->line, i + 1);
        if (path == NULL) {
            status = arguments_misuse(arguments, "two reports are needed: A.json B.json");
        } else if (report_read_json(path, &sides[i], &error) < 0) {
            char text[1024];
            error_format(&error, text, sizeof text);
            status = arguments_fail(arguments, "%s", text);
        }
    }
    struct comparison *comparison = calloc(1, sizeof *comparison);
    if (status == EXIT_STATUS_FINE && comparison == NULL) {
        status = arguments_fail(arguments, "no memory");
    }
    if (status == EXIT_STATUS_FINE) {
        compare_results(sides[0], sides[1], comparison);
        comparison_print(comparison, sides[0], sides[1], arguments->out);
    }
    free(comparison);
    results_free(sides[0]);
    results_free(sides[1]);
    return status;
}
