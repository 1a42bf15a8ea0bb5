/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what is made from the option table, so that documents cannot drift from the programs:
 *     portico-options schema|markdown|mdoc [--check FILE]
 * With --check it compares FILE instead of writing. A tool of the build; not installed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/describe.h"

static const struct {
    const char *name;
    void (*write)(FILE *out);
} formats[] = {
    {"schema", describe_schema},
    {"markdown", describe_markdown},
    {"mdoc", describe_mdoc},
};

static int compare(const char *name, const char *path, const char *expected, size_t size)
{
    FILE *file = fopen(path, "rbe");
    char *found = malloc(size + 1);
    size_t len = file == NULL || found == NULL ? 0 : fread(found, 1, size + 1, file);
    bool is_same =
        file != NULL && found != NULL && len == size && memcmp(found, expected, size) == 0;
    if (file != NULL) {
        fclose(file);
    }
    free(found);
    if (!is_same) {
        fprintf(stderr,
                "%s is not what the option table says; write it anew:\n"
                "    build/dev/tools/portico-options %s > %s\n",
                path, name, path);
    }
    return is_same ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool is_check = argc == 4 && strcmp(argv[2], "--check") == 0;
    for (size_t i = 0; i < ARRAY_LEN(formats) && (argc == 2 || is_check); i++) {
        char *text = NULL;
        size_t size = 0;
        if (strcmp(argv[1], formats[i].name) != 0) {
            continue;
        }
        FILE *out = is_check ? open_memstream(&text, &size) : stdout;
        if (out == NULL) {
            perror("portico-options");
            return 1;
        }
        formats[i].write(out);
        int status = fclose(out) == 0 ? 0 : 1;
        status = is_check && status == 0 ? compare(argv[1], argv[3], text, size) : status;
        free(text);
        return status;
    }
    fputs("usage: portico-options schema|markdown|mdoc [--check FILE]\n", stderr);
    return 2;
}
