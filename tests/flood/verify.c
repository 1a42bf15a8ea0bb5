/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood verify: what was acknowledged against what is in the store. One thread.
 *
 * The ledger is sorted in memory, 24 bytes for each record; then each row of the store is looked up
 * in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "commands.h"
#include "config/config.h"
#include "ledger.h"
#include "report.h"
#include "store/store.h"
#include "store/store_sqlite.h"
#include "wire/field.h"

enum {
    PAGE_ROWS = 1000,
    PAGE_BLOCK = 256 * 1024,
    PAGE_BYTES_MAX = 2 * STORE_BYTES_MAX + (1 << 20)
};

/* One thing that must be in the store once. */
struct claim_entry {
    uint64_t agent;
    uint64_t what; /* hash of the rest */
    uint32_t kind;
    uint32_t found;
};

struct verification {
    const struct arguments *arguments;
    struct store *store;
    struct ledger_view ledger;
    struct claim_entry *claims;
    size_t count;
    struct arena arena;
    struct error error;
    uint64_t foreign; /* rows of this run that the ledger does not know: sent, not acknowledged */
};

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t z = a * 0x9e3779b97f4a7c15 ^ (b + 0x7f4a7c15) * 0xbf58476d1ce4e5b9 ^
                 (c + 1) * 0x94d049bb133111eb;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    return z ^ (z >> 27);
}

static int order(const void *left, const void *right)
{
    const struct claim_entry *a = left;
    const struct claim_entry *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->agent != b->agent) {
        return a->agent < b->agent ? -1 : 1;
    }
    return a->what < b->what ? -1 : a->what > b->what;
}

/* A message that was acknowledged twice (its first answer was lost, say) is one claim. */
static void drop_doubles(struct verification *verification)
{
    size_t kept = 0;
    for (size_t i = 0; i < verification->count; i++) {
        if (kept == 0 || order(&verification->claims[kept - 1], &verification->claims[i]) != 0) {
            verification->claims[kept++] = verification->claims[i];
        }
    }
    verification->count = kept;
}

static int read_ledger(struct verification *verification)
{
    const struct ledger_view *ledger = &verification->ledger;
    verification->claims = calloc(ledger->count + 1, sizeof *verification->claims);
    if (verification->claims == NULL) {
        return error_set(&verification->error, -ENOMEM, "no memory for %zu records", ledger->count);
    }
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_record *record = &ledger->records[i];
        bool has_number = record->kind == LEDGER_MESSAGE || record->kind == LEDGER_RESPONSE;
        verification->claims[verification->count++] = (struct claim_entry){
            .agent = record->agent,
            .what = mix(record->a, record->b, has_number ? record->number : 0),
            .kind = record->kind,
        };
    }
    qsort(verification->claims, verification->count, sizeof *verification->claims, order);
    drop_doubles(verification);
    return 0;
}

static void found(struct verification *verification, uint32_t kind, uint64_t agent, uint64_t what)
{
    const struct claim_entry wanted = {.kind = kind, .agent = agent, .what = what};
    struct claim_entry *claim =
        bsearch(&wanted, verification->claims, verification->count, sizeof wanted, order);
    if (claim == NULL) {
        verification->foreign++;
    } else {
        claim->found++;
    }
}

static uint64_t number_of(struct store_agent_id id)
{
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        number = number << 8 | id.bytes[i];
    }
    return number;
}

static struct store_agent_id id_of(uint64_t number)
{
    struct store_agent_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)(number >> (8 * (sizeof id.bytes - 1 - i)));
    }
    return id;
}

/* ---- Messages ---- */

static void take_message(struct verification *verification, const struct store_message *message)
{
    struct {
        uint64_t run;
        uint32_t identity, sequence;
    } mark;
    struct str args = message->args;
    struct field field;
    if (field_next(&args, &field) <= 0 || field.type != FIELD_BYTES ||
        field.bytes.len < sizeof mark) {
        return;
    }
    memcpy(&mark, field.bytes.data, sizeof mark);
    if (mark.run == verification->ledger.run) {
        found(verification, LEDGER_MESSAGE, number_of(message->agent),
              mix(mark.run, 0, mark.sequence));
    }
}

static int read_messages(struct verification *verification)
{
    uint64_t after = 0;
    int rows;
    do {
        struct store_message *message = NULL;
        const struct store_message_query query = {
            .handler = STR("BlobHandler"), .after = after, .limit = PAGE_ROWS};
        arena_reset(&verification->arena);
        rows = store_list_messages(verification->store, &query, &verification->arena, &message,
                                   &verification->error);
        bool has_rows = message != NULL;
        for (; rows >= 0 && message != NULL; message = message->next) {
            take_message(verification, message);
            after = message->id;
        }
        rows = rows < 0 ? rows : has_rows;
    } while (rows > 0);
    return rows;
}

/* ---- Responses and requests ---- */

static int read_responses(struct verification *verification, uint64_t agent)
{
    char flow[STORE_NAME_MAX + 1];
    struct store_response_query query = {.agent = id_of(agent), .limit = PAGE_ROWS};
    int rows;
    do {
        struct store_response *response = NULL;
        arena_reset(&verification->arena);
        rows = store_list_responses(verification->store, &query, &verification->arena, &response,
                                    &verification->error);
        bool has_rows = response != NULL;
        for (; rows >= 0 && response != NULL; response = response->next) {
            found(
                verification, LEDGER_RESPONSE, agent,
                mix(ledger_flow(response->flow), response->request, (uint32_t)response->response));
            memcpy(flow, response->flow.data, response->flow.len);
            query.after_flow = str_make(flow, response->flow.len);
            query.after_request = response->request;
            query.after_response = response->response;
        }
        rows = rows < 0 ? rows : has_rows;
    } while (rows > 0);
    return rows;
}

/* A request counts as completed when the store says it is finished. */
static int read_requests(struct verification *verification, uint64_t agent)
{
    char flow[STORE_NAME_MAX + 1];
    struct store_request_query query = {
        .agent = id_of(agent), .state = STORE_FINISHED, .limit = PAGE_ROWS};
    int rows;
    do {
        struct store_request *request = NULL;
        arena_reset(&verification->arena);
        rows = store_list_requests(verification->store, &query, &verification->arena, &request,
                                   &verification->error);
        bool has_rows = request != NULL;
        for (; rows >= 0 && request != NULL; request = request->next) {
            found(verification, LEDGER_ANSWERED, agent,
                  mix(ledger_flow(request->flow), request->request, 0));
            memcpy(flow, request->flow.data, request->flow.len);
            query.after_flow = str_make(flow, request->flow.len);
            query.after_request = request->request;
        }
        rows = rows < 0 ? rows : has_rows;
    } while (rows > 0);
    return rows;
}

/* Claims are sorted by agent within a kind. */
static int read_agents(struct verification *verification)
{
    uint64_t former = 0;
    int code = 0;
    for (size_t i = 0; code == 0 && i < verification->count; i++) {
        const struct claim_entry *claim = &verification->claims[i];
        if (claim->kind == LEDGER_RESPONSE &&
            (claim->agent != former || i == 0 || claim[-1].kind != LEDGER_RESPONSE)) {
            former = claim->agent;
            code = read_responses(verification, former);
            code = code < 0 ? code : read_requests(verification, former);
        }
    }
    return code;
}

/* ---- The verdict ---- */

static void count_claims(const struct verification *verification, struct totals *totals)
{
    totals->messages_acknowledged = totals->messages_stored = 0;
    totals->messages_lost = totals->messages_duplicated = 0;
    totals->requests_delivered = totals->requests_answered = totals->requests_completed = 0;
    for (size_t i = 0; i < verification->count; i++) {
        const struct claim_entry *claim = &verification->claims[i];
        switch (claim->kind) {
        case LEDGER_DELIVERED:
            totals->requests_delivered++;
            break;
        case LEDGER_ANSWERED:
            totals->requests_answered++;
            totals->requests_completed += claim->found > 0;
            break;
        default:
            totals->messages_acknowledged++;
            totals->messages_stored += claim->found > 0;
            totals->messages_lost += claim->found == 0;
            totals->messages_duplicated += claim->found > 1;
            break;
        }
    }
}

static int open_both(struct verification *verification, const char *path)
{
    const char *location = config_str(verification->arguments->config, "Datastore.location");
    int code = ledger_open(path, &verification->ledger, &verification->error);
    return code < 0 ? code
                    : store_sqlite_open_existing(location, &clock_system, &verification->store,
                                                 &verification->error);
}

int verify_ledger(const struct arguments *arguments, const char *path, struct results *results)
{
    struct verification verification = {.arguments = arguments};
    arena_init(&verification.arena, PAGE_BLOCK, PAGE_BYTES_MAX);
    int code = open_both(&verification, path);
    code = code < 0 ? code : read_ledger(&verification);
    code = code < 0 ? code : read_messages(&verification);
    code = code < 0 ? code : read_agents(&verification);
    if (code == 0) {
        count_claims(&verification, &results->totals);
        results->ledger_is_checked = true;
    }
    arena_done(&verification.arena);
    store_free(verification.store);
    free(verification.claims);
    ledger_view_done(&verification.ledger);
    return code < 0 ? arguments_fail(arguments, "%s", verification.error.message) : 0;
}

int command_verify(const struct arguments *arguments)
{
    struct results *results = NULL;
    struct error error = {.line = 0};
    char path[4096];
    const char *report = arguments_text(arguments, "report");
    if (report == NULL) {
        return arguments_misuse(arguments, "--report is needed: what run --json wrote");
    }
    if (report_read_json(report, &results, &error) < 0) {
        return arguments_fail(arguments, "%s", error.message);
    }
    snprintf(path, sizeof path, "%s.ledger", report);
    int status = verify_ledger(arguments, path, results);
    bool is_done = status == 0;
    if (is_done) {
        const struct totals *totals = &results->totals;
        fprintf(arguments->out,
                "messages: %llu acknowledged, %llu stored once, %llu lost, %llu duplicated\n"
                "requests: %llu delivered, %llu answered, %llu completed\n",
                (unsigned long long)totals->messages_acknowledged,
                (unsigned long long)(totals->messages_stored - totals->messages_duplicated),
                (unsigned long long)totals->messages_lost,
                (unsigned long long)totals->messages_duplicated,
                (unsigned long long)totals->requests_delivered,
                (unsigned long long)totals->requests_answered,
                (unsigned long long)totals->requests_completed);
        bool is_clean = totals->messages_lost == 0 && totals->messages_duplicated == 0 &&
                        totals->requests_completed == totals->requests_answered;
        status = is_clean ? EXIT_STATUS_FINE : EXIT_STATUS_FAILED;
    }
    /* Bad news, too. */
    if (is_done && report_save_json(results, report, &error) < 0) {
        status = arguments_fail(arguments, "%s", error.message);
    }
    results_free(results);
    return status;
}
