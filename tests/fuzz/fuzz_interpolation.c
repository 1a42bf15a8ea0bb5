/* SPDX-License-Identifier: Apache-2.0 */
/* The %(...) language on any bytes. Names and files expand to pieces of the input itself, so that
 * what comes out of a callback is as hostile as what goes in. */
#include <errno.h>
#include <stdint.h>

#include "base/check.h"
#include "config/interpolate.h"

struct input {
    struct interpolation interpolation;
    struct str bytes;
    unsigned depth;
};

static int lookup(void *context, struct str key, struct buffer *out, struct error *error)
{
    struct input *input = context;
    if (input->depth == 4 || key.len == 0 || key.len > input->bytes.len) {
        return error_set(error, -ELOOP, "too deep");
    }
    input->depth++;
    int code = interpolate(&input->interpolation, STR("Section"), str_skip(input->bytes, key.len),
                           out, NULL, error);
    input->depth--;
    return code;
}

static int file(void *context, const char *path, struct buffer *out, struct error *error)
{
    const struct input *input = context;
    (void)error;
    return path[0] == '/' ? buffer_append(out, input->bytes) : -ENOENT;
}

static const char *environment(void *context, const char *name)
{
    (void)context;
    return name[0] == 'H' ? "%(value" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.bytes = {(const char *)data, size}};
    input.interpolation =
        (struct interpolation){lookup, file, environment, &input, INTERPOLATE_BUDGET / 10};
    struct error error = {.message = ""};
    struct buffer out;
    size_t offset = 0;
    buffer_init(&out, 65536);
    int code =
        interpolate(&input.interpolation, STR("Section"), input.bytes, &out, &offset, &error);
    CHECK(code <= 0);
    CHECK(code == 0 || error.message[0] != '\0');
    CHECK(offset <= size);
    CHECK(buffer_size(&out) <= 65536);
    buffer_done(&out);
    return 0;
}
