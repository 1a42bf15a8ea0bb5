/* SPDX-License-Identifier: Apache-2.0 */
/* portico send: queue one request. One thread. */
#include <errno.h>
#include <stdlib.h>

#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "wire/name.h"
#include "wire/request.h"

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* *bytes is the caller's to free. */
static int read_hex(const struct operation *operation, const char *text, char **bytes, size_t *len)
{
    size_t digits = strlen(text);
    if (digits % 2 != 0) {
        return operation_misuse(operation, "--args-hex has an odd number of digits (%zu)", digits);
    }
    char *out = malloc(digits / 2 + 1);
    if (out == NULL) {
        return operation_fail(operation, "out of memory");
    }
    for (size_t i = 0; i < digits; i += 2) {
        int high = nibble(text[i]);
        int low = nibble(text[i + 1]);
        if (high < 0 || low < 0) {
            free(out);
            return operation_misuse(operation, "--args-hex: \"%c\", digit %zu, is not hexadecimal",
                                    text[high < 0 ? i : i + 1], high < 0 ? i + 1 : i + 2);
        }
        out[i / 2] = (char)(high << 4 | low);
    }
    *bytes = out;
    *len = digits / 2;
    return 0;
}

static int read_args(const struct operation *operation, struct store_request *request, char **bytes)
{
    const char *hex = command_line_flag(operation->line, "args-hex");
    const char *type = command_line_flag(operation->line, "args-type");
    if ((hex == NULL) != (type == NULL) || (type != NULL && type[0] == '\0')) {
        return operation_misuse(operation, "--args-hex and --args-type go together");
    }
    if (hex == NULL) {
        return 0;
    }
    request->args_type = str_from(type);
    int status = read_hex(operation, hex, bytes, &request->args.len);
    request->args.data = *bytes;
    return status;
}

/* Answers must find their way back, so the id has to survive being part of a session id. */
static bool can_be_addressed(const struct operation *operation, const char *flow)
{
    char session[URN_BYTES_MAX];
    struct recipient recipient;
    int len = snprintf(session, sizeof session, "aff4:/%s/%s", operation->arguments[0], flow);
    return strlen(flow) <= FLOW_ID_BYTES_MAX && (size_t)len < sizeof session &&
           recipient_parse(str_from(session), &recipient) == 0 && recipient.is_flow &&
           strcmp(recipient.flow, flow) == 0;
}

static int read_flow(const struct operation *operation, struct store_request *request)
{
    const char *flow = command_line_flag(operation->line, "flow");
    if (flow != NULL && !can_be_addressed(operation, flow)) {
        return operation_misuse(operation,
                                "--flow \"%s\" cannot be a flow's id: 1 to %d bytes without /",
                                flow, FLOW_ID_BYTES_MAX);
    }
    if (command_line_flag(operation->line, "request") != NULL) {
        if (flow == NULL) {
            return operation_misuse(operation, "--request needs --flow");
        }
        int status = operation_read_number(operation, "request", &request->request);
        if (status != 0) {
            return status;
        }
    }
    request->flow = str_from(flow);
    return 0;
}

static void tell(const struct operation *operation, const struct store_request_name *name)
{
    if (operation->is_json) {
        struct json_writer json;
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        json_open(&json, NULL, '{');
        json_put_str(&json, "client_id", str_from(operation->arguments[0]));
        json_put_str(&json, "flow_id", str_from(name->flow));
        json_put_uint(&json, "request_id", name->request);
        json_close(&json, '}');
        json_close(&json, ']');
    } else {
        fprintf(operation->out,
                "Queued for %s: flow %s, request %llu.\n"
                "Its answers: portico responses %s --flow %s\n",
                operation->arguments[0], name->flow, (unsigned long long)name->request,
                operation->arguments[0], name->flow);
    }
}

static int fail(const struct operation *operation, int code, const struct error *error)
{
    switch (code) {
    case -ENODATA:
        return operation_fail(operation, "there is no agent %s", operation->arguments[0]);
    case -EPERM:
        return operation_fail(operation,
                              "%s was forgotten and has to enrol again, which it does at its next "
                              "poll",
                              operation->arguments[0]);
    case -EEXIST:
        return operation_fail(operation, "flow %s: %s; leave out --request for the next one",
                              command_line_flag(operation->line, "flow"), error->message);
    default:
        return operation_fail_store(operation, code, error);
    }
}

static int queue(const struct operation *operation, const struct store_request *request)
{
    struct store *store = NULL;
    struct store_request_name name;
    struct error error = {.line = 0};
    int status = operation_open_store(operation, &store);
    if (status != 0) {
        return status;
    }
    int r = store_queue_request(store, request, &name, &error);
    store_free(store);
    if (r < 0) {
        return fail(operation, r, &error);
    }
    tell(operation, &name);
    return EXIT_STATUS_FINE;
}

int command_send(const struct operation *operation)
{
    char *bytes = NULL;
    struct store_request request = {
        .action = str_from(operation->arguments[1]),
        .cpu_limit = REQUEST_CPU_LIMIT_MS * USEC_PER_MSEC,
        .network_limit = REQUEST_NETWORK_BYTES_LIMIT,
    };
    int status = operation_read_id(operation, operation->arguments[0], &request.agent);
    if (status == 0 && request.action.len == 0) {
        status = operation_misuse(operation, "ACTION is empty");
    }
    status = status != 0 ? status : read_flow(operation, &request);
    status = status != 0 ? status : read_args(operation, &request, &bytes);
    status = status != 0 ? status : queue(operation, &request);
    free(bytes);
    return status;
}
