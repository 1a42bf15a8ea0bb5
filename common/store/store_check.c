/* SPDX-License-Identifier: Apache-2.0 */
/* Which arguments the store takes. Pure functions, any thread. */
#include "store/store_check.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

int store_check_name(const char *what, struct str name, bool may_be_empty, struct error *error)
{
    if (name.len == 0 && !may_be_empty) {
        return error_set(error, -EINVAL, "%s is missing", what);
    }
    if (name.len > STORE_NAME_MAX) {
        return error_set(error, -EINVAL, "%s is longer than %d bytes", what, STORE_NAME_MAX);
    }
    /* They are shown to people and handed on as C strings. */
    if (name.len > 0 && memchr(name.data, '\0', name.len) != NULL) {
        return error_set(error, -EINVAL, "%s contains a NUL", what);
    }
    return 0;
}

int store_check_number(const char *what, uint64_t number, struct error *error)
{
    return number <= INT64_MAX ? 0 : error_set(error, -EINVAL, "%s is out of range", what);
}

int store_check_bytes(const char *what, struct str bytes, size_t max, struct error *error)
{
    return bytes.len <= max ? 0 : error_set(error, -EINVAL, "%s: more than %zu bytes", what, max);
}

int store_check_limit(size_t limit, struct error *error)
{
    return limit >= 1 && limit <= STORE_PAGE_MAX
               ? 0
               : error_set(error, -EINVAL, "limit is outside 1-%d", STORE_PAGE_MAX);
}

int store_check_time(const char *what, usec_t time, struct error *error)
{
    return time >= 0 ? 0 : error_set(error, -EINVAL, "%s is negative", what);
}

int store_check_response(const struct store_response *response, struct error *error)
{
    int r = store_check_name("flow", response->flow, false, error);
    r = r < 0 ? r : store_check_number("request id", response->request, error);
    r = r < 0 ? r : store_check_number("response id", response->response, error);
    r = r < 0 ? r : store_check_name("type", response->args_type, true, error);
    r = r < 0 ? r : store_check_bytes("raw message", response->raw, STORE_BYTES_MAX, error);
    r = r < 0 ? r : store_check_bytes("args", response->args, STORE_BYTES_MAX, error);
    if (r == 0 && (response->kind < STORE_MESSAGE || response->kind > STORE_ITERATOR)) {
        r = error_set(error, -EINVAL, "there is no such kind of response");
    }
    return r;
}

int store_check_message(const struct store_message *message, struct error *error)
{
    int r = store_check_name("handler", message->handler, false, error);
    r = r < 0 ? r : store_check_number("packet timestamp", message->packet_timestamp, error);
    r = r < 0 ? r : store_check_name("type", message->args_type, true, error);
    r = r < 0 ? r : store_check_bytes("raw message", message->raw, STORE_BYTES_MAX, error);
    return r < 0 ? r : store_check_bytes("args", message->args, STORE_BYTES_MAX, error);
}

static int check_bundle(const struct store_bundle *bundle, struct error *error)
{
    const struct store_sighting *sighting = &bundle->sighting;
    int r = store_check_time("time of sighting", sighting->at, error);
    r = r < 0 ? r : store_check_time("clock", sighting->clock, error);
    r = r < 0 ? r : store_check_name("address", sighting->address, true, error);
    if (bundle->response_count > STORE_BUNDLE_MAX || bundle->message_count > STORE_BUNDLE_MAX) {
        r = error_set(error, -EINVAL, "bundle of more than %d messages", STORE_BUNDLE_MAX);
    }
    for (size_t i = 0; r == 0 && i < bundle->response_count; i++) {
        r = store_check_response(&bundle->responses[i], error);
    }
    for (size_t i = 0; r == 0 && i < bundle->message_count; i++) {
        r = store_check_message(&bundle->messages[i], error);
    }
    return r;
}

int store_check_lease(const struct store_lease *lease, const struct arena *arena,
                      struct error *error)
{
    if (lease->limit == 0) {
        return 0;
    }
    if (arena == NULL || lease->time <= 0 || lease->max_deliveries == 0) {
        return error_set(error, -EINVAL, "a lease needs an arena, a time and deliveries");
    }
    return store_check_limit(lease->limit, error);
}

int store_check_commit(const struct store_commit *commit, struct error *error)
{
    int r = check_bundle(commit->bundle, error);
    return r < 0 ? r : store_check_lease(&commit->lease, commit->arena, error);
}

int store_check_enrolment(const struct store_enrolment *enrolment, struct error *error)
{
    if (enrolment->key.len == 0) {
        return error_set(error, -EINVAL, "an agent cannot enrol without a key");
    }
    if (enrolment->state != STORE_ENROLLED && enrolment->state != STORE_PENDING) {
        return error_set(error, -EINVAL, "an agent enrols as enrolled or pending");
    }
    int r = store_check_bytes("key", enrolment->key, STORE_KEY_MAX, error);
    return r < 0 ? r
                 : store_check_bytes("certificate", enrolment->certificate, STORE_KEY_MAX, error);
}

int store_check_request(const struct store_request *request, struct error *error)
{
    int r = store_check_name("flow", request->flow, true, error);
    r = r < 0 ? r : store_check_name("action", request->action, false, error);
    r = r < 0 ? r : store_check_name("type", request->args_type, true, error);
    r = r < 0 ? r : store_check_bytes("args", request->args, STORE_BYTES_MAX, error);
    r = r < 0 ? r : store_check_number("request id", request->request, error);
    r = r < 0 ? r : store_check_number("network limit", request->network_limit, error);
    r = r < 0 ? r : store_check_time("CPU limit", request->cpu_limit, error);
    r = r < 0 ? r : store_check_time("run time limit", request->runtime_limit, error);
    if (r == 0 && request->flow.len == 0 && request->request != 0) {
        r = error_set(error, -EINVAL, "a request id needs a flow");
    }
    return r;
}
