/* SPDX-License-Identifier: Apache-2.0 */
/* Loading configurations from texts in memory. Tests only; one thread. */
#ifndef PORTICO_TESTS_MEMORY_FILES_H
#define PORTICO_TESTS_MEMORY_FILES_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

struct memory_file {
    const char *path; /* NULL ends a table */
    const char *text;
    unsigned mode; /* 0: 0600 */
};

static int memory_read(void *context, const char *path, size_t max, struct buffer *out,
                       struct file_facts *facts)
{
    for (const struct memory_file *file = context; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            *facts = (struct file_facts){.mode = file->mode == 0 ? 0600 : file->mode};
            return strlen(file->text) > max ? -EFBIG : buffer_append(out, str_from(file->text));
        }
    }
    return -ENOENT;
}

static const char *memory_environment(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "COLOUR") == 0 ? "green" : NULL;
}

struct loaded {
    int code;
    struct config *config; /* NULL: it failed */
    char *told;            /* the problems as text */
};

static inline struct loaded load_request(struct config_request request,
                                         const struct memory_file *files)
{
    const struct config_system system = {memory_read, memory_environment, (void *)(uintptr_t)files};
    struct problems *problems = problems_new(50);
    struct loaded loaded = {.config = NULL};
    size_t size;
    request.system = &system;
    loaded.code = config_load(&request, problems, &loaded.config);
    FILE *out = open_memstream(&loaded.told, &size);
    problems_print(problems, out);
    fclose(out);
    problems_free(problems);
    return loaded;
}

/* Load the first of the files for the operator's command, with -p `parameter` unless NULL. */
static inline struct loaded load_files(const struct memory_file *files, const char *parameter)
{
    const char *path = files[0].path;
    return load_request((struct config_request){.program = PROGRAM_PORTICO,
                                                .files = &path,
                                                .file_count = path == NULL ? 0 : 1,
                                                .parameters = &parameter,
                                                .parameter_count = parameter == NULL ? 0 : 1},
                        files);
}

static inline struct loaded load_text(const char *text)
{
    const struct memory_file files[] = {{"t.yaml", text, 0}, {NULL, NULL, 0}};
    return load_files(files, NULL);
}

static inline void loaded_done(struct loaded *loaded)
{
    config_unref(loaded->config);
    free(loaded->told);
}

#define LOADED __attribute__((cleanup(loaded_done))) struct loaded

#endif
