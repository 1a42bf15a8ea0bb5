/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that ask every worker. Workers are visited one after the other, so what a visit
 * writes into the call needs no lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin_call.h"
#include "base/check.h"
#include "recent.h"
#include "worker.h"

enum {
    CONNECTIONS_SHOWN = 100,
    CONNECTIONS_MAX = 10000,
    ERRORS_SHOWN = 10,
    ERRORS_MAX = 1000,
    EXCERPT_BEFORE = 40, /* bytes shown around the place of an error */
    EXCERPT_AFTER = 40,
};

/* ---- Members and pools ---- */

/* `workers`: how many numbers for each member. */
static bool take_range(struct admin_call *call, size_t workers)
{
    call->range = range_ref(balancer_range(call->balancer));
    call->pooled = calloc(range_count(call->range) * workers + 1, sizeof *call->pooled);
    if (call->pooled == NULL) {
        admin_fail(&call->answer, "there is no memory");
    }
    return call->pooled != NULL;
}

static void visit_members(struct admin_call *call, struct worker *worker)
{
    for (size_t i = 0; i < range_count(call->range); i++) {
        call->pooled[i] += worker_pooled(worker, range_at(call->range, i));
    }
}

static void write_member_details(struct admin_call *call, const struct member *member)
{
    struct admin_answer *answer = &call->answer;
    usec_t now = loop_now(balancer_loop(call->balancer));
    usec_t since = member->changed_at > 0 ? now - member->changed_at : 0;
    admin_duration(answer, "in_health", since > 0 ? since : balancer_uptime(call->balancer));
    admin_duration(answer, "probe", member->probe_time);
    admin_number(answer, "refused", atomic_load(&member->outcomes[OUTCOME_REFUSED]));
    admin_number(answer, "unreached", atomic_load(&member->outcomes[OUTCOME_UNREACHED]));
    admin_number(answer, "broken", atomic_load(&member->outcomes[OUTCOME_BROKEN]));
    admin_number(answer, "silent", atomic_load(&member->outcomes[OUTCOME_SILENT]));
    admin_number(answer, "errors_5xx", atomic_load(&member->outcomes[OUTCOME_ERROR]));
}

static void write_member(struct admin_call *call, const struct member *member, size_t pooled)
{
    struct admin_answer *answer = &call->answer;
    struct metrics *metrics = counters_metrics(balancer_counters(call->balancer));
    admin_object_begin(answer);
    admin_text(answer, "member", str_from(member->name));
    admin_text(answer, "health", str_from(health_word(member_health(member))));
    admin_number(answer, "in_flight", (int64_t)atomic_load(&member->in_flight));
    admin_number(answer, "requests", metrics_value(metrics, member->counters.requests));
    admin_number(answer, "failures", metrics_value(metrics, member->counters.failures));
    admin_number(answer, "retries", metrics_value(metrics, member->counters.retries));
    admin_number(answer, "connects", metrics_value(metrics, member->counters.connects));
    admin_number(answer, "bytes_in", metrics_value(metrics, member->counters.bytes_in));
    admin_number(answer, "bytes_out", metrics_value(metrics, member->counters.bytes_out));
    admin_number(answer, "pooled", (int64_t)pooled);
    if (answer->is_json) { /* a table would become too wide */
        write_member_details(call, member);
    }
    admin_object_end(answer);
}

void admin_write_members(struct admin_call *call, const char *name)
{
    admin_list_begin(&call->answer, name);
    for (size_t i = 0; i < range_count(call->range); i++) {
        write_member(call, range_at(call->range, i), call->pooled[i]);
    }
    admin_list_end(&call->answer, "There are no members.");
}

static void write_members(struct admin_call *call)
{
    admin_write_members(call, NULL);
}

void admin_command_members(struct admin_call *call)
{
    static const struct report report = {visit_members, write_members};
    if (take_range(call, 1)) {
        admin_call_ask(call, &report);
    }
}

static void write_counters(struct admin_call *call)
{
    static const char *const names[] = {
#define COUNTER(id, kind, name, help) name,
#include "counters.def"
#undef COUNTER
    };
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        /* Without "portico_balancer_". */
        const char *name = strchr(strchr(names[i], '_') + 1, '_') + 1;
        admin_number(&call->answer, name, counters_value(balancer_counters(call->balancer), i));
    }
}

static void write_status(struct admin_call *call)
{
    admin_object_begin(&call->answer);
    admin_write_info(call);
    write_counters(call);
    admin_write_members(call, "member_list");
    admin_object_end(&call->answer);
}

void admin_command_status(struct admin_call *call)
{
    static const struct report report = {visit_members, write_status};
    if (take_range(call, 1)) {
        admin_call_ask(call, &report);
    }
}

/* `count`: workers visited so far. */
static void visit_pools(struct admin_call *call, struct worker *worker)
{
    size_t members = range_count(call->range);
    if (worker_number(worker) < call->total) {
        for (size_t i = 0; i < members; i++) {
            call->pooled[worker_number(worker) * members + i] =
                worker_pooled(worker, range_at(call->range, i));
        }
    }
}

static void write_pool(struct admin_answer *answer, const struct member *member, size_t worker,
                       size_t pooled)
{
    admin_object_begin(answer);
    admin_text(answer, "member", str_from(member->name));
    admin_number(answer, "worker", (int64_t)worker);
    admin_number(answer, "pooled", (int64_t)pooled);
    admin_object_end(answer);
}

static void write_pools(struct admin_call *call)
{
    size_t members = range_count(call->range);
    admin_list_begin(&call->answer, NULL);
    for (size_t i = 0; i < members; i++) {
        for (size_t worker = 0; worker < call->total; worker++) {
            size_t pooled = call->pooled[worker * members + i];
            if (pooled > 0) {
                write_pool(&call->answer, range_at(call->range, i), worker, pooled);
            }
        }
    }
    admin_list_end(&call->answer, "No connections are kept.");
}

void admin_command_pools(struct admin_call *call)
{
    static const struct report report = {visit_pools, write_pools};
    call->total = balancer_workers(call->balancer);
    if (take_range(call, call->total)) {
        admin_call_ask(call, &report);
    }
}

/* ---- Connections ---- */

/* Written as they are met: views into a worker do not outlive the visit. */
static void write_connection(const struct proxy_summary *summary, void *context)
{
    struct admin_call *call = context;
    struct admin_answer *answer = &call->answer;
    char peer[ADDRESS_TEXT_SIZE];
    call->total++;
    if (call->count == call->wanted) {
        return;
    }
    call->count++;
    admin_object_begin(answer);
    admin_number(answer, "connection", (int64_t)summary->id);
    admin_text(answer, "peer", str_from(address_format(summary->peer, peer)));
    admin_bool(answer, "tls", summary->is_tls);
    admin_text(answer, "state", str_from(summary->state));
    admin_duration(answer, "in_state", summary->in_state);
    admin_duration(answer, "age", summary->age);
    admin_number(answer, "requests", (int64_t)summary->requests);
    admin_text(answer, "member", str_from(summary->member));
    admin_text(answer, "request", summary->request);
    admin_object_end(answer);
}

static void visit_connections(struct admin_call *call, struct worker *worker)
{
    worker_each_proxy(worker, write_connection, call);
}

static void write_connections(struct admin_call *call)
{
    admin_list_end(&call->answer, "There are no connections.");
    if (!call->answer.is_json && call->total > call->count) {
        admin_printf(&call->answer, "... and %zu more.\n", call->total - call->count);
    }
}

void admin_command_connections(struct admin_call *call)
{
    static const struct report report = {visit_connections, write_connections};
    if (admin_call_number(call, CONNECTIONS_SHOWN, CONNECTIONS_MAX, &call->wanted) == 0) {
        admin_list_begin(&call->answer, NULL);
        admin_call_ask(call, &report);
    }
}

/* ---- Errors ---- */

static void visit_errors(struct admin_call *call, struct worker *worker)
{
    const struct recent *recent = worker_recent(worker);
    const struct recent_error *error;
    for (size_t age = 0; age < call->wanted && (error = recent_error_at(recent, age)) != NULL;
         age++) {
        if (call->count < call->total) {
            call->errors[call->count++] = *error;
        }
    }
}

static struct str excerpt_of(const struct recent_error *error)
{
    return str_make((const char *)error->excerpt, error->excerpt_len);
}

static size_t count_characters(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

/* The bytes around the place, and a caret below it. */
static void write_excerpt(struct admin_answer *answer, const struct recent_error *error)
{
    struct str excerpt = excerpt_of(error);
    size_t place = error->offset - error->excerpt_at;
    place = place < excerpt.len ? place : excerpt.len;
    size_t first = place > EXCERPT_BEFORE ? place - EXCERPT_BEFORE : 0;
    admin_printf(answer, "    ");
    size_t before = buffer_size(&answer->out);
    admin_escaped(answer, str_first(str_skip(excerpt, first), place - first));
    size_t width = count_characters(str_skip(buffer_view(&answer->out), before));
    admin_escaped(answer, str_first(str_skip(excerpt, place), EXCERPT_AFTER));
    admin_printf(answer, "\n    %*s^\n", (int)width, "");
}

static void write_error_for_people(struct admin_answer *answer, const struct recent_error *error)
{
    const struct recent_request *request = &error->request;
    admin_object_begin(answer);
    admin_time(answer, "time", request->wall);
    admin_text(answer, "client", str_from(request->client));
    admin_text(answer, "reason", str_from(reason_code(request->reason)));
    admin_text(answer, "sentence", str_from(reason_sentence(request->reason)));
    admin_number(answer, "offset", error->offset);
    admin_object_end(answer);
    write_excerpt(answer, error);
}

static void write_error_as_json(struct admin_answer *answer, const struct recent_error *error)
{
    const struct recent_request *request = &error->request;
    admin_object_begin(answer);
    admin_time(answer, "time", request->wall);
    admin_text(answer, "request_id", str_from(request->request_id));
    admin_text(answer, "client", str_from(request->client));
    admin_number(answer, "connection", (int64_t)request->connection);
    admin_text(answer, "request", str_from(request->text));
    admin_number(answer, "status", request->status);
    admin_text(answer, "reason", str_from(reason_code(request->reason)));
    admin_text(answer, "sentence", str_from(reason_sentence(request->reason)));
    admin_number(answer, "offset", error->offset);
    admin_number(answer, "excerpt_at", error->excerpt_at);
    admin_text(answer, "excerpt", excerpt_of(error));
    admin_object_end(answer);
}

static void write_errors_for_people(struct admin_call *call, size_t count)
{
    if (count == 0) {
        admin_printf(&call->answer, "Nothing was refused.\n");
    }
    for (size_t i = 0; i < count; i++) {
        write_error_for_people(&call->answer, &call->errors[i]);
    }
}

static void write_errors(struct admin_call *call)
{
    size_t count = call->count < call->wanted ? call->count : call->wanted;
    qsort(call->errors, call->count, sizeof *call->errors, recent_newest_first);
    if (!call->answer.is_json) {
        write_errors_for_people(call, count);
        return;
    }
    admin_list_begin(&call->answer, NULL);
    for (size_t i = 0; i < count; i++) {
        write_error_as_json(&call->answer, &call->errors[i]);
    }
    admin_list_end(&call->answer, "");
}

/* `total`: room in the array, for as many as the workers may have. */
void admin_command_errors(struct admin_call *call)
{
    static const struct report report = {visit_errors, write_errors};
    if (admin_call_number(call, ERRORS_SHOWN, ERRORS_MAX, &call->wanted) < 0) {
        return;
    }
    size_t each = call->wanted < RECENT_ERRORS ? call->wanted : RECENT_ERRORS;
    call->total = each * balancer_workers(call->balancer);
    call->errors = calloc(call->total + 1, sizeof *call->errors);
    if (call->errors == NULL) {
        admin_fail(&call->answer, "there is no memory");
        return;
    }
    admin_call_ask(call, &report);
}

/* ---- One request ---- */

static const struct recent_error *find_error(const struct recent *recent, const char *request_id)
{
    const struct recent_error *error;
    size_t age = 0;
    while ((error = recent_error_at(recent, age++)) != NULL) {
        if (strcmp(error->request.request_id, request_id) == 0) {
            return error;
        }
    }
    return NULL;
}

/* `count`: whether it was found; `total`: whether as an error, too. The room was made before. */
static void visit_explain(struct admin_call *call, struct worker *worker)
{
    const struct recent *recent = worker_recent(worker);
    const struct recent_request *request =
        call->count > 0 ? NULL : recent_find(recent, call->line.arguments[0]);
    if (request == NULL) {
        return;
    }
    const struct recent_error *error = find_error(recent, request->request_id);
    *call->request = *request;
    call->count = 1;
    if (error != NULL) {
        *call->errors = *error;
        call->total = 1;
    }
}

static void write_request(struct admin_answer *answer, const struct recent_request *request)
{
    admin_text(answer, "request_id", str_from(request->request_id));
    admin_time(answer, "time", request->wall);
    admin_text(answer, "client", str_from(request->client));
    admin_number(answer, "connection", (int64_t)request->connection);
    admin_text(answer, "request", str_from(request->text));
    admin_number(answer, "status", request->status);
    admin_text(answer, "member", str_from(request->member));
    admin_number(answer, "retries", request->retries);
    admin_number(answer, "bytes_in", (int64_t)request->bytes_in);
    admin_number(answer, "bytes_out", (int64_t)request->bytes_out);
    admin_duration(answer, "receive", request->receive);
    admin_duration(answer, "queue", request->queue);
    admin_duration(answer, "connect", request->connect);
    admin_duration(answer, "wait", request->wait);
    admin_duration(answer, "total", request->total);
    admin_text(answer, "reason", str_from(reason_code(request->reason)));
    admin_text(answer, "sentence", str_from(reason_sentence(request->reason)));
}

static void write_explanation(struct admin_call *call)
{
    struct admin_answer *answer = &call->answer;
    if (call->count == 0) {
        admin_fail(answer, "no worker remembers \"%.*s\"; each remembers its last %d requests",
                   STR_ARG(call->line.arguments[0]), RECENT_REQUESTS);
        return;
    }
    admin_object_begin(answer);
    write_request(answer, call->request);
    if (call->total > 0) {
        admin_number(answer, "offset", call->errors->offset);
        admin_number(answer, "excerpt_at", call->errors->excerpt_at);
        admin_text(answer, "excerpt", excerpt_of(call->errors));
    }
    admin_object_end(answer);
}

void admin_command_explain(struct admin_call *call)
{
    static const struct report report = {visit_explain, write_explanation};
    call->request = calloc(1, sizeof *call->request);
    call->errors = calloc(1, sizeof *call->errors);
    if (call->request == NULL || call->errors == NULL) {
        admin_fail(&call->answer, "there is no memory");
        return;
    }
    admin_call_ask(call, &report);
}
