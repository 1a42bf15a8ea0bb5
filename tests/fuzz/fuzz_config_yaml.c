/* SPDX-License-Identifier: Apache-2.0 */
/* A whole configuration from any bytes: YAML, overlay, interpolation, values, checks, and what is
 * told about it. The bytes are the only file there is; nothing touches the file system. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config.h"
#include "config/describe.h"

struct input {
    struct str bytes;
};

static int read_input(void *context, const char *path, size_t max, struct buffer *out,
                      struct file_facts *facts)
{
    const struct input *input = context;
    *facts = (struct file_facts){.mode = 0644};
    if (strcmp(path, "fuzz.yaml") != 0) {
        return -ENOENT;
    }
    return input->bytes.len > max ? -EFBIG : buffer_append(out, input->bytes);
}

static const char *environment(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOME") == 0 ? "/root" : NULL;
}

/* Printed to memory, so that the sanitizers see it, and thrown away. */
static void print_all(struct problems *problems, const struct config *config)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CHECK(out != NULL);
    problems_print(problems, out);
    if (config != NULL) {
        describe_values(out, config);
    }
    fclose(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {{(const char *)data, size}};
    const struct config_system system = {read_input, environment, &input};
    const char *path = "fuzz.yaml";
    const struct config_request request = {
        .program = PROGRAM_PORTICO, .files = &path, .file_count = 1, .system = &system};
    struct problems *problems = problems_new(20);
    struct config *config = NULL;
    CHECK(problems != NULL);
    int code = config_load(&request, problems, &config);
    CHECK((code == 0) == (config != NULL));
    CHECK(code == 0 || (code == -EINVAL && problems_errors(problems) > 0));
    print_all(problems, config);
    config_unref(config);
    problems_free(problems);
    return 0;
}
