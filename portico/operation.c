/* SPDX-License-Identifier: Apache-2.0 */
/* What commands have in common. One thread. */
#include "operation.h"

#include <errno.h>
#include <stdarg.h>

#include "base/arena.h"
#include "owner.h"
#include "store/store_sqlite.h"
#include "table.h"

enum { AGENT_BYTES_MAX = 256 * 1024 };

/* Escaped, for arguments come from anywhere. */
PRINTF_LIKE(2, 0)
static void say(const struct operation *operation, const char *format, va_list arguments)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(operation->err, "portico %s: ", operation->name);
    text_print(operation->err, str_from(text));
    fputc('\n', operation->err);
}

int operation_fail(const struct operation *operation, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(operation, format, arguments);
    va_end(arguments);
    return EXIT_STATUS_FAILED;
}

int operation_misuse(const struct operation *operation, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(operation, format, arguments);
    va_end(arguments);
    fprintf(operation->err, "Try portico %s --help.\n", operation->command);
    return EXIT_STATUS_USAGE;
}

static void print_hint(const struct operation *operation, int code)
{
    const char *location = config_str(operation->config, "Datastore.location");
    switch (code) {
    case -EBUSY:
        fprintf(operation->err, "    hint: try again, or see who has it open: fuser -v %s/*\n",
                location);
        break;
    case -EACCES:
    case -EROFS:
        fprintf(operation->err, "    hint: run it as the user to whom %s belongs\n", location);
        break;
    case -EUCLEAN:
        fputs("    hint: stop the frontends and put a backup in its place\n", operation->err);
        break;
    case -ENOTSUP:
        fputs("    hint: use the program that wrote it\n", operation->err);
        break;
    default:
        break;
    }
}

int operation_fail_store(const struct operation *operation, int code, const struct error *error)
{
    operation_fail(operation, "%s",
                   error->message[0] == '\0' ? "the store failed" : error->message);
    print_hint(operation, code);
    return EXIT_STATUS_FAILED;
}

int operation_open_store(const struct operation *operation, struct store **store)
{
    struct error error = {.line = 0};
    const char *location = config_str(operation->config, "Datastore.location");
    const struct store_sqlite_settings settings = {
        .directory = location,
        .clock = &clock_system,
        .must_exist = true,
        .busy_timeout = config_usec(operation->config, "Datastore.busy_timeout"),
    };
    /* What root made in the store, its owner could not use. */
    int r = owner_become(location);
    if (r < 0) {
        return operation_fail(operation, "cannot become the owner of %s: %s", location,
                              strerror(-r));
    }
    r = store_sqlite_open_with(&settings, store, &error);
    if (r == -ENOENT || r == -ENOTDIR) {
        operation_fail(operation, "there is no store in %s", location);
        fputs("    hint: the first portico-frontend that starts makes it; if one runs, name its "
              "configuration with -c\n",
              operation->err);
        return EXIT_STATUS_FAILED;
    }
    return r < 0 ? operation_fail_store(operation, r, &error) : 0;
}

int operation_read_id(const struct operation *operation, const char *text,
                      struct store_agent_id *id)
{
    if (store_agent_id_parse(str_from(text), id) < 0) {
        return operation_fail(operation,
                              "\"%s\" is no agent's id, which looks like C.0123456789abcdef "
                              "(lower-case)",
                              text);
    }
    return 0;
}

static int check_agent(const struct operation *operation, struct store *store,
                       struct store_agent_id id)
{
    struct arena arena;
    struct error error = {.line = 0};
    struct store_agent *agent = NULL;
    arena_init(&arena, 4096, AGENT_BYTES_MAX);
    int r = store_read_agent(store, id, &arena, &agent, &error);
    arena_done(&arena);
    if (r == -ENODATA) {
        return operation_fail(operation, "there is no agent %s", operation->arguments[0]);
    }
    return r < 0 ? operation_fail_store(operation, r, &error) : 0;
}

int operation_open_agent(const struct operation *operation, struct store **store,
                         struct store_agent_id *id)
{
    struct store *opened = NULL;
    int status = operation_read_id(operation, operation->arguments[0], id);
    status = status != 0 ? status : operation_open_store(operation, &opened);
    status = status != 0 ? status : check_agent(operation, opened, *id);
    if (status != 0) {
        store_free(opened);
        return status;
    }
    *store = opened;
    return 0;
}

int operation_read_number(const struct operation *operation, const char *flag, uint64_t *number)
{
    const char *text = command_line_flag(operation->line, flag);
    uint64_t value = 0;
    if (str_to_uint64(str_from(text), &value) < 0 || value == 0 || value > INT64_MAX) {
        return operation_misuse(operation, "--%s wants a number from 1 on, not \"%s\"", flag, text);
    }
    *number = value;
    return 0;
}
