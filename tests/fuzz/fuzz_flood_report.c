/* SPDX-License-Identifier: Apache-2.0 */
/* A report from any bytes; what is accepted can be written again in every form. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {.line = 0};
    struct results *results = NULL;
    char *text = NULL;
    size_t text_size;
    if (report_parse_json(str_make((const char *)data, size), "fuzz.json", &results, &error) < 0) {
        CHECK(results == NULL && error.message[0] != '\0');
        return 0;
    }
    FILE *out = open_memstream(&text, &text_size);
    CHECK(out != NULL && report_write_json(results, out) == 0);
    report_write_html(results, out);
    report_write_text(results, out);
    fclose(out);
    free(text);
    results_free(results);
    return 0;
}
