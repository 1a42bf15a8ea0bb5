/* SPDX-License-Identifier: Apache-2.0 */
/* What a server asks of an agent, section 8. Pure functions, any thread. */
#include "wire/request.h"

#include <stdio.h>

#include "base/check.h"
#include "wire/field.h"
#include "wire/message.h"

enum { TASK_TIME_MASK = 0x1FFFFFFF, FIXED_PARTS_MAX = 512 };

uint64_t request_task_id(usec_t now, uint32_t counter)
{
    uint64_t time = (uint64_t)(now / USEC_PER_MSEC) & TASK_TIME_MASK;
    uint64_t id = time << 32 | counter;
    return id == 0 ? 1 : id;
}

uint32_t request_counter_step(uint16_t random)
{
    return random == 0 ? 1 : random;
}

static int put_names(struct buffer *out, const struct request *request)
{
    char session[sizeof "aff4://" + CLIENT_ID_LEN + FLOW_ID_BYTES_MAX];
    CHECK(request->flow.len > 0 && request->flow.len <= FLOW_ID_BYTES_MAX);
    int len = snprintf(session, sizeof session, "aff4:/%s/%.*s", request->client.text,
                       STR_ARG(request->flow));
    int error = field_put_bytes(out, 1, str_make(session, (size_t)len));
    if (error < 0 || (error = field_put_uint64(out, 2, request->request_id)) < 0) {
        return error;
    }
    return field_put_bytes(out, 4, request->action);
}

static int put_limits(struct buffer *out, const struct request *request)
{
    char queue[sizeof "aff4:/" + CLIENT_ID_LEN];
    int error;
    int len = snprintf(queue, sizeof queue, "aff4:/%s", request->client.text);
    if ((error = field_put_float(out, 12, (float)((double)request->cpu_limit_ms / 1000))) < 0) {
        return error;
    }
    if (request->args.data != NULL && (error = field_put_bytes(out, 14, request->args_type)) < 0) {
        return error;
    }
    if ((error = field_put_uint64(out, 15, request->task_id)) < 0 ||
        (error = field_put_bytes(out, 17, str_make(queue, (size_t)len))) < 0 ||
        (error = field_put_uint64(out, 21, request->network_bytes_limit)) < 0) {
        return error;
    }
    return request->runtime_limit_us == 0 ? 0
                                          : field_put_uint64(out, 23, request->runtime_limit_us);
}

int request_append(struct buffer *list, const struct request *request)
{
    struct buffer raw;
    int error;
    buffer_init(&raw,
                request->action.len + request->args.len + request->args_type.len + FIXED_PARTS_MAX);
    if ((error = put_names(&raw, request)) == 0 &&
        (request->args.data == NULL || (error = field_put_bytes(&raw, 5, request->args)) == 0) &&
        (error = put_limits(&raw, request)) == 0) {
        error = message_list_append_raw(list, buffer_view(&raw));
    }
    buffer_done(&raw);
    return error;
}
