/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch, and the commands that need no worker. */
#include "admin_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin_call.h"
#include "base/check.h"
#include "base/log.h"
#include "status_page.h"

enum { CALL_MAGIC = 0x61646d63 };

static void (*const commands[])(struct admin_call *call) = {
#define ADMIN_COMMAND(words, least, most, synopsis, meaning, function) admin_##function,
#include "admin_commands.def"
#undef ADMIN_COMMAND
};

/* ---- A call ---- */

static void free_call(struct admin_call *call)
{
    admin_done(&call->answer);
    if (call->range != NULL) {
        range_unref(call->range);
    }
    free(call->pooled);
    free(call->request);
    free(call->errors);
    call->magic = 0;
    free(call);
}

static void end_call(struct admin_call *call)
{
    admin_finish(&call->answer);
    if (call->done != NULL) {
        call->done(call->context, &call->answer);
    }
    free_call(call);
}

static void visit(struct worker *worker, struct question *question)
{
    struct admin_call *call = CONTAINER_OF(question, struct admin_call, question);
    call->report->visit(call, worker);
}

static void visited_all(struct question *question)
{
    struct admin_call *call = MAGIC_CAST(struct admin_call, CALL_MAGIC,
                                         CONTAINER_OF(question, struct admin_call, question));
    call->is_asking = false;
    if (!call->answer.is_error && call->done != NULL) {
        call->report->write(call);
    }
    if (!call->is_beginning) {
        end_call(call);
    }
}

void admin_call_ask(struct admin_call *call, const struct report *report)
{
    call->report = report;
    call->is_asking = true;
    call->question = (struct question){.visit = visit, .done = visited_all};
    balancer_ask(call->balancer, &call->question);
}

static void run(struct admin_call *call, struct str text)
{
    if (text.len > sizeof call->text) {
        admin_fail(&call->answer, "the command is too long");
        return;
    }
    if (text.len > 0) {
        memcpy(call->text, text.data, text.len);
    }
    int code = admin_line_parse(&call->line, str_make(call->text, text.len));
    call->answer.is_json = call->line.is_json;
    if (code < 0) {
        admin_fail(&call->answer, "%s", call->line.problem);
        return;
    }
    commands[call->line.command](call);
}

static void fail_without_memory(admin_done_function *done, void *context)
{
    struct admin_answer answer;
    admin_init(&answer, false);
    admin_fail(&answer, "there is no memory");
    admin_finish(&answer);
    done(context, &answer);
    admin_done(&answer);
}

/* NULL: no memory, and `done` knows. */
static struct admin_call *new_call(struct balancer *balancer, admin_done_function *done,
                                   void *context)
{
    struct admin_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        fail_without_memory(done, context);
        return NULL;
    }
    call->magic = CALL_MAGIC;
    call->balancer = balancer;
    call->done = done;
    call->context = context;
    call->is_beginning = true;
    admin_init(&call->answer, false);
    return call;
}

/* The call while it waits for the workers, else NULL. */
static struct admin_call *has_begun(struct admin_call *call)
{
    call->is_beginning = false;
    if (call->is_asking) {
        return call;
    }
    end_call(call);
    return NULL;
}

struct admin_call *admin_call(struct balancer *balancer, struct str text, admin_done_function *done,
                              void *context)
{
    struct admin_call *call = new_call(balancer, done, context);
    if (call == NULL) {
        return NULL;
    }
    run(call, text);
    return has_begun(call);
}

struct admin_call *admin_call_page(struct balancer *balancer, const struct history *history,
                                   admin_done_function *done, void *context)
{
    struct admin_call *call = new_call(balancer, done, context);
    if (call == NULL) {
        return NULL;
    }
    call->history = history;
    status_page_begin(call);
    return has_begun(call);
}

void admin_call_cancel(struct admin_call *call)
{
    if (call != NULL) {
        MAGIC_CAST(struct admin_call, CALL_MAGIC, call)->done = NULL;
    }
}

int admin_call_number(struct admin_call *call, size_t initial, size_t most, size_t *number)
{
    uint64_t value = initial;
    struct str text = call->line.arguments[0];
    if (call->line.argument_count > 0 &&
        (str_to_uint64(text, &value) < 0 || value == 0 || value > most)) {
        admin_fail(&call->answer, "\"%.*s\" is no number from 1 to %zu", STR_ARG(text), most);
        return -EINVAL;
    }
    *number = (size_t)value;
    return 0;
}

/* ---- What can be told at once ---- */

void admin_command_help(struct admin_call *call)
{
    struct admin_answer *answer = &call->answer;
    admin_list_begin(answer, NULL);
    for (enum admin_command i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        char text[128];
        const char *synopsis = admin_command_synopsis(i);
        snprintf(text, sizeof text, "%s%s%s", admin_command_words(i),
                 synopsis[0] == '\0' ? "" : " ", synopsis);
        admin_object_begin(answer);
        admin_text(answer, "command", str_from(text));
        admin_text(answer, "meaning", str_from(admin_command_meaning(i)));
        admin_object_end(answer);
    }
    admin_list_end(answer, "");
    if (!answer->is_json) {
        admin_printf(answer, "With --json behind it, or json before it, the answer is JSON.\n");
    }
}

static void write_reload(struct admin_answer *answer, const struct balancer_reloaded *reloaded)
{
    if (reloaded->wall > 0) {
        admin_time(answer, "last_reload", reloaded->wall);
        admin_text(answer, "last_reload_failure",
                   reloaded->code < 0 ? str_from(reloaded->words) : STR(""));
    }
}

void admin_write_info(struct admin_call *call)
{
    struct admin_answer *answer = &call->answer;
    struct range *range = balancer_range(call->balancer);
    admin_text(answer, "version", STR(PORTICO_VERSION));
    admin_number(answer, "pid", getpid());
    admin_duration(answer, "uptime", balancer_uptime(call->balancer));
    admin_number(answer, "workers", balancer_workers(call->balancer));
    admin_number(answer, "members", (int64_t)range_count(range));
    admin_number(answer, "members_usable", (int64_t)range_usable(range));
    admin_bool(answer, "stopping", balancer_is_stopping(call->balancer));
    write_reload(answer, balancer_reloaded(call->balancer));
}

void admin_command_info(struct admin_call *call)
{
    admin_object_begin(&call->answer);
    admin_write_info(call);
    admin_object_end(&call->answer);
}

/* As much of it as fits; nobody has lists that long. */
static struct str join_list(struct option_list list, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < list.count && len < size; i++) {
        int n = snprintf(out + len, size - len, "%s%s", i == 0 ? "" : ", ", list.items[i]);
        len += n > 0 ? (size_t)n : 0;
    }
    return str_from(out);
}

static void write_option(struct admin_answer *answer, const struct config *config,
                         const struct option *option)
{
    char origin[512];
    char list[2048];
    const struct value *value = config_value(config, option);
    struct str text = str_from(value->text);
    if (!value->is_set) {
        text = STR("");
    } else if ((option->flags & OPTION_SECRET) != 0 || option->type == OPTION_PEM) {
        text = STR("(not shown)");
    } else if (option_is_list(option)) {
        text = join_list(value->list, list, sizeof list);
    }
    config_origin(config, option->key, origin, sizeof origin);
    admin_object_begin(answer);
    admin_text(answer, "key", str_from(option->key));
    admin_text(answer, "value", text);
    admin_text(answer, "origin", str_from(origin));
    admin_object_end(answer);
}

void admin_command_config(struct admin_call *call)
{
    const struct config *config = balancer_config(call->balancer);
    admin_list_begin(&call->answer, NULL);
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if ((option->programs & config_program(config)) != 0 &&
            (option->flags & OPTION_NO_EFFECT) == 0) {
            write_option(&call->answer, config, option);
        }
    }
    admin_list_end(&call->answer, "There are no options.");
}

/* ---- What changes something ---- */

static void tell(const struct admin_call *call)
{
    struct str argument = call->line.arguments[0];
    log_info("told by an administrator",
             LOG_TEXT("command", admin_command_words(call->line.command)),
             LOG_STR(argument.len > 0 ? "argument" : NULL, argument));
}

static void wish(struct admin_call *call, enum wish wish, const char *done)
{
    struct str host;
    uint16_t port;
    struct str place = call->line.arguments[0];
    if (admin_place_parse(place, &host, &port) < 0) {
        admin_fail(&call->answer, "\"%.*s\" is neither PORT nor HOST:PORT", STR_ARG(place));
        return;
    }
    size_t count = balancer_wish(call->balancer, host, port, wish);
    if (count == 0) {
        admin_fail(&call->answer, "there is no member at %.*s", STR_ARG(place));
        return;
    }
    tell(call);
    admin_object_begin(&call->answer);
    admin_number(&call->answer, done, (int64_t)count);
    admin_object_end(&call->answer);
}

void admin_command_drain(struct admin_call *call)
{
    wish(call, WISH_DRAINED, "members_drained");
}

void admin_command_enable(struct admin_call *call)
{
    wish(call, WISH_ENABLED, "members_enabled");
}

void admin_command_disable(struct admin_call *call)
{
    wish(call, WISH_DISABLED, "members_disabled");
}

static void write_done(struct admin_call *call, const char *name)
{
    admin_object_begin(&call->answer);
    admin_bool(&call->answer, name, true);
    admin_object_end(&call->answer);
}

void admin_command_reload(struct admin_call *call)
{
    struct error error = {.line = 0};
    char text[768];
    tell(call);
    if (balancer_reload(call->balancer, &error) < 0) {
        error_format(&error, text, sizeof text);
        admin_fail(&call->answer, "nothing was changed: %s", text);
        return;
    }
    write_done(call, "reloaded");
}

void admin_command_stop(struct admin_call *call)
{
    tell(call);
    balancer_stop(call->balancer);
    write_done(call, "stopping");
}
