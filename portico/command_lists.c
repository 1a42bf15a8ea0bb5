/* SPDX-License-Identifier: Apache-2.0 */
/* portico requests, responses, messages: lists of what went to agents and came from them. One
 * thread.
 *
 * All three are read page by page; a page ends early when its rows are large. The array is opened
 * once the first page is there, so that an error at the start leaves nothing that looks like an
 * answer; one that comes later leaves the array open, which no reader takes for whole. */
#include <errno.h>

#include "base/arena.h"
#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "table.h"
#include "wire/name.h"

enum {
    PAGE_ROWS = 500,
    PAGE_BLOCK_BYTES = 256 * 1024,
    /* One row may have this much: the message as it came, and its payload where that is apart. */
    PAGE_BYTES_MAX = 2 * STORE_BYTES_MAX + (1 << 20),
};

struct listing {
    const struct operation *operation;
    struct store *store;
    struct store_agent_id agent;
    struct str flow, handler; /* empty: all */
    struct arena arena;
    struct json_writer json; /* this or */
    struct table table;      /* that */
    /* Behind which row the next page begins; the flow is kept in `after_flow`. */
    char after_flow[STORE_NAME_MAX + 1];
    size_t after_flow_len;
    uint64_t after, after_response;
    bool is_open; /* the array */
};

struct listing_kind {
    const char *const *titles;
    size_t columns;
    const char *none;
    /* Read and print a page. The number of rows, 0: that was all, or an error of the store. */
    int (*page)(struct listing *listing, struct error *error);
};

static struct str after_flow(const struct listing *listing)
{
    return str_make(listing->after_flow, listing->after_flow_len);
}

static void go_behind(struct listing *listing, struct str flow, uint64_t number, uint64_t response)
{
    listing->after_flow_len = flow.len < STORE_NAME_MAX ? flow.len : STORE_NAME_MAX;
    memcpy(listing->after_flow, flow.data, listing->after_flow_len);
    listing->after = number;
    listing->after_response = response;
}

/* A page could be read: 0, or what reading it returned. */
static int begin_page(struct listing *listing, int result)
{
    if (result == 0 && listing->operation->is_json && !listing->is_open) {
        json_open(&listing->json, NULL, '[');
        listing->is_open = true;
    }
    return result;
}

/* ---- requests ---- */

static const char *request_state_name(enum store_request_state state)
{
    switch (state) {
    case STORE_QUEUED:
        return "queued";
    case STORE_EXPIRED:
        return "expired";
    case STORE_FINISHED:
        return "finished";
    }
    return "?";
}

static void put_request(struct json_writer *json, const struct store_request *request)
{
    json_open(json, NULL, '{');
    json_put_str(json, "flow_id", request->flow);
    json_put_uint(json, "request_id", request->request);
    json_put_str(json, "action", request->action);
    json_put_uint(json, "deliveries", request->deliveries);
    json_put_time(json, "leased_until_us", request->leased_until);
    json_put_time(json, "created_us", request->created);
    json_put_str(json, "state", str_from(request_state_name(request->state)));
    json_put_known(json, "args_type", request->args_type);
    json_put_hex(json, "args_hex", request->args);
    json_put_uint(json, "responses_received", request->received);
    if (request->expected == 0) {
        json_put_null(json, "responses_expected");
    } else {
        json_put_uint(json, "responses_expected", request->expected);
    }
    json_close(json, '}');
}

static void put_request_row(struct table *table, const struct store_request *request)
{
    table_put(table, request->flow);
    table_printf(table, "%llu", (unsigned long long)request->request);
    table_put(table, request->action);
    table_put(table, str_from(request_state_name(request->state)));
    table_printf(table, "%u", request->deliveries);
    if (request->expected == 0) {
        table_printf(table, "%llu of ?", (unsigned long long)request->received);
    } else {
        table_printf(table, "%llu of %llu", (unsigned long long)request->received,
                     (unsigned long long)request->expected);
    }
    table_put_time(table, request->leased_until);
    table_put_time(table, request->created);
}

static int requests_page(struct listing *listing, struct error *error)
{
    const struct store_request_query query = {
        .agent = listing->agent,
        .after_flow = after_flow(listing),
        .after_request = listing->after,
        .limit = PAGE_ROWS,
    };
    struct store_request *request = NULL;
    int rows = store_list_requests(listing->store, &query, &listing->arena, &request, error);
    rows = begin_page(listing, rows);
    for (; rows >= 0 && request != NULL; request = request->next, rows++) {
        if (listing->operation->is_json) {
            put_request(&listing->json, request);
        } else {
            put_request_row(&listing->table, request);
        }
        go_behind(listing, request->flow, request->request, 0);
    }
    return rows;
}

/* ---- responses ---- */

static const char *response_kind_name(enum store_response_kind kind)
{
    switch (kind) {
    case STORE_MESSAGE:
        return "message";
    case STORE_STATUS:
        return "status";
    case STORE_ITERATOR:
        return "iterator";
    }
    return "?";
}

static void put_response(struct json_writer *json, const struct store_response *response)
{
    json_open(json, NULL, '{');
    json_put_str(json, "flow_id", response->flow);
    json_put_uint(json, "request_id", response->request);
    json_put_uint(json, "response_id", response->response);
    json_put_str(json, "kind", str_from(response_kind_name(response->kind)));
    json_put_known(json, "args_type", response->args_type);
    json_put_hex(json, "args_hex", response->args);
    json_put_time(json, "received_us", response->received);
    json_close(json, '}');
}

static void put_response_row(struct table *table, const struct store_response *response)
{
    table_put(table, response->flow);
    table_printf(table, "%llu", (unsigned long long)response->request);
    table_printf(table, "%llu", (unsigned long long)response->response);
    table_put(table, str_from(response_kind_name(response->kind)));
    table_put_time(table, response->received);
    table_put(table, response->args_type);
    table_put_bytes(table, response->args);
}

static int responses_page(struct listing *listing, struct error *error)
{
    const struct store_response_query query = {
        .agent = listing->agent,
        .flow = listing->flow,
        .after_flow = after_flow(listing),
        .after_request = listing->after,
        .after_response = listing->after_response,
        .limit = PAGE_ROWS,
    };
    struct store_response *response = NULL;
    int rows = store_list_responses(listing->store, &query, &listing->arena, &response, error);
    rows = begin_page(listing, rows);
    for (; rows >= 0 && response != NULL; response = response->next, rows++) {
        if (listing->operation->is_json) {
            put_response(&listing->json, response);
        } else {
            put_response_row(&listing->table, response);
        }
        go_behind(listing, response->flow, response->request, response->response);
    }
    return rows;
}

/* ---- messages ---- */

static void put_message(struct json_writer *json, const struct store_message *message)
{
    char id[STORE_AGENT_ID_TEXT];
    store_agent_id_format(message->agent, id);
    json_open(json, NULL, '{');
    json_put_str(json, "client_id", str_from(id));
    json_put_str(json, "handler", message->handler);
    json_put_uint(json, "message_id", message->id);
    json_put_known(json, "args_type", message->args_type);
    json_put_hex(json, "args_hex", message->args);
    json_put_time(json, "received_us", message->received);
    json_close(json, '}');
}

static void put_message_row(struct table *table, const struct store_message *message)
{
    char id[STORE_AGENT_ID_TEXT];
    store_agent_id_format(message->agent, id);
    table_printf(table, "%llu", (unsigned long long)message->id);
    table_put(table, str_from(id));
    table_put(table, message->handler);
    table_put_time(table, message->received);
    table_put(table, message->args_type);
    table_put_bytes(table, message->args);
}

static int messages_page(struct listing *listing, struct error *error)
{
    const struct store_message_query query = {
        .handler = listing->handler,
        .after = listing->after,
        .limit = PAGE_ROWS,
    };
    struct store_message *message = NULL;
    int rows = store_list_messages(listing->store, &query, &listing->arena, &message, error);
    rows = begin_page(listing, rows);
    for (; rows >= 0 && message != NULL; message = message->next, rows++) {
        if (listing->operation->is_json) {
            put_message(&listing->json, message);
        } else {
            put_message_row(&listing->table, message);
        }
        listing->after = message->id;
    }
    return rows;
}

/* ---- all of them ---- */

static int print_pages(struct listing *listing, const struct listing_kind *kind,
                       struct error *error)
{
    int rows;
    do {
        rows = kind->page(listing, error);
        arena_reset(&listing->arena);
    } while (rows > 0 && !ferror(listing->operation->out));
    if (rows == 0 && listing->operation->is_json) {
        json_close(&listing->json, ']');
    }
    return rows < 0 ? rows : 0;
}

static int list(struct listing *listing, const struct listing_kind *kind)
{
    const struct operation *operation = listing->operation;
    struct error error = {.line = 0};
    int r = 0;
    arena_init(&listing->arena, PAGE_BLOCK_BYTES, PAGE_BYTES_MAX);
    json_begin(&listing->json, operation->out);
    if (!operation->is_json) {
        r = table_begin(&listing->table, operation->out, kind->titles, kind->columns);
    }
    r = r < 0 ? r : print_pages(listing, kind, &error);
    if (!operation->is_json) {
        int ended = table_end(&listing->table, r < 0 ? "" : kind->none);
        r = r < 0 ? r : ended;
    }
    arena_done(&listing->arena);
    return r < 0 ? operation_fail_store(operation, r, &error) : EXIT_STATUS_FINE;
}

static int list_of_agent(const struct operation *operation, const char *flow,
                         const struct listing_kind *kind)
{
    struct listing listing = {.operation = operation, .flow = str_from(flow)};
    int status = operation_open_agent(operation, &listing.store, &listing.agent);
    status = status != 0 ? status : list(&listing, kind);
    store_free(listing.store);
    return status;
}

int command_requests(const struct operation *operation)
{
    static const char *const titles[] = {"FLOW",       "REQUEST",   "ACTION",       "STATE",
                                         "DELIVERIES", "RESPONSES", "LEASED UNTIL", "CREATED"};
    static const struct listing_kind kind = {titles, ARRAY_LEN(titles),
                                             "Nothing was queued for this agent.", requests_page};
    return list_of_agent(operation, NULL, &kind);
}

int command_responses(const struct operation *operation)
{
    static const char *const titles[] = {"FLOW",     "REQUEST", "RESPONSE", "KIND",
                                         "RECEIVED", "TYPE",    "BYTES"};
    static const struct listing_kind kind = {
        titles, ARRAY_LEN(titles), "The agent has answered nothing here.", responses_page};
    const char *flow = command_line_flag(operation->line, "flow");
    if (flow != NULL && flow[0] == '\0') {
        return operation_misuse(operation, "--flow is empty");
    }
    return list_of_agent(operation, flow, &kind);
}

/* A misspelt name would pass for a handler to which nobody wrote. */
static int check_handler(const struct operation *operation, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 5;
    for (unsigned i = 0; i < WIRE_HANDLER_COUNT; i++) {
        const char *known = wire_handler_name((enum wire_handler)i);
        if (known[0] == '\0') {
            continue;
        }
        if (strcmp(known, name) == 0) {
            return 0;
        }
        unsigned distance = str_distance(str_from(name), str_from(known), best_distance);
        best = distance < best_distance ? known : best;
        best_distance = distance < best_distance ? distance : best_distance;
    }
    return operation_misuse(operation, "there is no handler \"%s\"%s%s%s", name,
                            best == NULL ? "" : "; did you mean ", best == NULL ? "" : best,
                            best == NULL ? "" : "?");
}

int command_messages(const struct operation *operation)
{
    static const char *const titles[] = {"MESSAGE",  "AGENT", "HANDLER",
                                         "RECEIVED", "TYPE",  "BYTES"};
    static const struct listing_kind kind = {titles, ARRAY_LEN(titles), "There are no messages.",
                                             messages_page};
    const char *handler = command_line_flag(operation->line, "handler");
    struct listing listing = {.operation = operation, .handler = str_from(handler)};
    int status = handler == NULL ? 0 : check_handler(operation, handler);
    status = status != 0 ? status : operation_open_store(operation, &listing.store);
    status = status != 0 ? status : list(&listing, &kind);
    store_free(listing.store);
    return status;
}
