/* SPDX-License-Identifier: Apache-2.0 */
/* portico agents: who is known, letting in, forgetting. One thread. */
#include <errno.h>

#include "base/arena.h"
#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "table.h"

enum {
    PAGE_ROWS = 1000,
    /* Key and certificate come with each agent and have at most 16 KiB each; when they are that
     * large a page has fewer rows. */
    PAGE_BYTES_MAX = 16 << 20,
    PAGE_BLOCK_BYTES = 256 * 1024,
};

static const char *state_name(enum store_agent_state state)
{
    switch (state) {
    case STORE_ENROLLED:
        return "enrolled";
    case STORE_PENDING:
        return "pending";
    case STORE_FORGOTTEN:
        return "forgotten";
    }
    return "?";
}

static void put_id(struct json_writer *json, struct store_agent_id id)
{
    char text[STORE_AGENT_ID_TEXT];
    store_agent_id_format(id, text);
    json_put_str(json, "client_id", str_from(text));
}

static void put_agent(struct json_writer *json, const struct store_agent *agent)
{
    json_open(json, NULL, '{');
    put_id(json, agent->id);
    json_put_bool(json, "enrolled", agent->state == STORE_ENROLLED);
    json_put_time(json, "first_seen_us", agent->first_seen);
    json_put_time(json, "last_seen_us", agent->last_seen);
    json_put_time(json, "clock_us", agent->clock);
    json_put_known(json, "last_ip", agent->address);
    json_put_str(json, "state", str_from(state_name(agent->state)));
    json_close(json, '}');
}

static void put_row(struct table *table, const struct store_agent *agent)
{
    char text[STORE_AGENT_ID_TEXT];
    store_agent_id_format(agent->id, text);
    table_put(table, str_from(text));
    table_put(table, str_from(state_name(agent->state)));
    table_put_time(table, agent->first_seen);
    table_put_time(table, agent->last_seen);
    table_put_time(table, agent->clock);
    table_put(table, agent->address);
}

/* ---- list ---- */

static const char *const titles[] = {"ID", "STATE", "FIRST SEEN", "LAST SEEN", "CLOCK", "ADDRESS"};

/* One of the two is used. */
struct listing {
    const struct operation *operation;
    struct json_writer json;
    struct table table;
};

static void put_page(struct listing *listing, const struct store_agent *agent)
{
    for (; agent != NULL; agent = agent->next) {
        if (listing->operation->is_json) {
            put_agent(&listing->json, agent);
        } else {
            put_row(&listing->table, agent);
        }
    }
}

static struct store_agent_id last_of(const struct store_agent *agent)
{
    while (agent->next != NULL) {
        agent = agent->next;
    }
    return agent->id;
}

/* Page by page; the array is opened once the first one is there, so that an error at the start
 * leaves nothing that looks like an answer. One that comes later leaves the array open. */
static int list_pages(struct listing *listing, struct store *store, struct arena *arena,
                      struct error *error)
{
    struct store_agent_id last;
    struct store_agent_query query = {.limit = PAGE_ROWS};
    struct store_agent *page = NULL;
    int r = store_list_agents(store, &query, arena, &page, error);
    if (r == 0 && listing->operation->is_json) {
        json_open(&listing->json, NULL, '[');
    }
    while (r == 0 && page != NULL && !ferror(listing->operation->out)) {
        put_page(listing, page);
        last = last_of(page);
        query.after = &last;
        arena_reset(arena);
        page = NULL;
        r = store_list_agents(store, &query, arena, &page, error);
    }
    if (r == 0 && listing->operation->is_json) {
        json_close(&listing->json, ']');
    }
    return r;
}

static int list_store(const struct operation *operation, struct store *store)
{
    struct listing listing = {.operation = operation};
    struct error error = {.line = 0};
    struct arena arena;
    arena_init(&arena, PAGE_BLOCK_BYTES, PAGE_BYTES_MAX);
    json_begin(&listing.json, operation->out);
    int r = 0;
    if (!operation->is_json) {
        r = table_begin(&listing.table, operation->out, titles, ARRAY_LEN(titles));
    }
    r = r < 0 ? r : list_pages(&listing, store, &arena, &error);
    if (!operation->is_json) {
        int ended = table_end(&listing.table, r < 0 ? "" : "There are no agents yet.");
        r = r < 0 ? r : ended;
    }
    arena_done(&arena);
    return r < 0 ? operation_fail_store(operation, r, &error) : EXIT_STATUS_FINE;
}

int command_agents_list(const struct operation *operation)
{
    struct store *store = NULL;
    int status = operation_open_store(operation, &store);
    status = status != 0 ? status : list_store(operation, store);
    store_free(store);
    return status;
}

/* ---- show ---- */

static void print_time(FILE *out, const char *what, usec_t time)
{
    char text[TIME_TEXT_SIZE];
    fprintf(out, "%-12s%s", what, time_format(time, text));
    if (time > 0) {
        char distance[TIME_TEXT_SIZE];
        fprintf(out, " (%s)", time_format_distance(time, clock_wall(&clock_system), distance));
    }
    fputc('\n', out);
}

static void print_agent(FILE *out, const struct operation *operation,
                        const struct store_agent *agent)
{
    fprintf(out, "%-12s%s\n", "agent", operation->arguments[0]);
    fprintf(out, "%-12s%s%s\n", "state", state_name(agent->state),
            agent->state == STORE_PENDING ? " (let it in: portico agents approve ID)" : "");
    print_time(out, "first seen", agent->first_seen);
    print_time(out, "last seen", agent->last_seen);
    print_time(out, "clock", agent->clock);
    fprintf(out, "%-12s", "address");
    text_print(out, agent->address.len == 0 ? STR("-") : agent->address);
    fputc('\n', out);
}

static int show_agent(const struct operation *operation, struct store *store,
                      struct store_agent_id id)
{
    struct store_agent *agent = NULL;
    struct error error = {.line = 0};
    struct json_writer json;
    struct arena arena;
    arena_init(&arena, 4096, PAGE_BYTES_MAX);
    int r = store_read_agent(store, id, &arena, &agent, &error);
    if (r == 0 && operation->is_json) {
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        put_agent(&json, agent);
        json_close(&json, ']');
    } else if (r == 0) {
        print_agent(operation->out, operation, agent);
    }
    arena_done(&arena);
    return r < 0 ? operation_fail_store(operation, r, &error) : EXIT_STATUS_FINE;
}

int command_agents_show(const struct operation *operation)
{
    struct store *store = NULL;
    struct store_agent_id id;
    int status = operation_open_agent(operation, &store, &id);
    status = status != 0 ? status : show_agent(operation, store, id);
    store_free(store);
    return status;
}

/* ---- approve, forget ---- */

static void tell_change(const struct operation *operation, enum store_agent_state state,
                        bool is_changed)
{
    const char *id = operation->arguments[0];
    if (operation->is_json) {
        struct json_writer json;
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        json_open(&json, NULL, '{');
        json_put_str(&json, "client_id", str_from(id));
        json_put_str(&json, "state", str_from(state_name(state)));
        json_put_bool(&json, "changed", is_changed);
        json_close(&json, '}');
        json_close(&json, ']');
    } else {
        fprintf(operation->out, "%s is %s%s.\n", id, is_changed ? "now " : "",
                is_changed                ? state_name(state)
                : state == STORE_ENROLLED ? "enrolled already"
                                          : "forgotten already");
    }
}

static int change(const struct operation *operation, enum store_agent_state state)
{
    struct store *store = NULL;
    struct store_agent_id id;
    struct error error = {.line = 0};
    int status = operation_open_agent(operation, &store, &id);
    if (status != 0) {
        return status;
    }
    int r = store_set_state(store, id, state, &error);
    store_free(store);
    if (r == -EPERM) {
        return operation_fail(operation,
                              "%s was forgotten and has to enrol again, which it does at its next "
                              "poll",
                              operation->arguments[0]);
    }
    if (r < 0) {
        return operation_fail_store(operation, r, &error);
    }
    tell_change(operation, state, r > 0);
    return EXIT_STATUS_FINE;
}

int command_agents_approve(const struct operation *operation)
{
    return change(operation, STORE_ENROLLED);
}

int command_agents_forget(const struct operation *operation)
{
    return change(operation, STORE_FORGOTTEN);
}
