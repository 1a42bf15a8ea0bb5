/* SPDX-License-Identifier: Apache-2.0 */
/* Administrators' command lines, of any bytes: either a command of the table with as many arguments
 * as it takes, which are parts of the line, or a problem in words. */
#include <stdint.h>
#include <string.h>

#include "admin_command.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_arguments(const struct admin_line *line, struct str text)
{
    struct str host;
    uint16_t port;
    CHECK(line->argument_count <= ADMIN_WORDS_MAX);
    for (size_t i = 0; i < line->argument_count; i++) {
        struct str argument = line->arguments[i];
        CHECK(argument.len > 0 && argument.data >= text.data);
        CHECK(argument.data + argument.len <= text.data + text.len);
        CHECK(str_find(argument, ' ') == argument.len);
        if (admin_place_parse(argument, &host, &port) == 0) {
            CHECK(port > 0);
            CHECK(host.len < argument.len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct admin_line line;
    if (admin_line_parse(&line, text) == 0) {
        CHECK(line.command < ADMIN_COMMAND_COUNT);
        CHECK(line.problem[0] == '\0');
        check_arguments(&line, text);
        return 0;
    }
    CHECK(line.command == ADMIN_NONE);
    CHECK(line.problem[0] != '\0');
    CHECK(memchr(line.problem, '\n', sizeof line.problem) == NULL);
    return 0;
}
