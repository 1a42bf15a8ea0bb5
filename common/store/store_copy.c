/* SPDX-License-Identifier: Apache-2.0 */
/* One function a type: copy the struct, then replace each view by one of its own. */
#include "store/store_copy.h"

#include "base/arena.h"

static bool copy_bytes(struct arena *arena, struct str *bytes)
{
    if (bytes->len == 0) {
        *bytes = STR("");
        return true;
    }
    char *data = arena_alloc(arena, bytes->len);
    if (data == NULL) {
        return false;
    }
    memcpy(data, bytes->data, bytes->len);
    bytes->data = data;
    return true;
}

static void *copy_struct(struct arena *arena, const void *source, size_t size)
{
    void *copy = arena_alloc(arena, size);
    return copy == NULL ? NULL : memcpy(copy, source, size);
}

bool store_is_part(struct str part, struct str whole, size_t *offset)
{
    uintptr_t begin = (uintptr_t)whole.data;
    uintptr_t at = (uintptr_t)part.data;
    if (part.len == 0 || part.len > whole.len || at < begin || at - begin > whole.len - part.len) {
        return false;
    }
    *offset = at - begin;
    return true;
}

static bool copy_raw_and_args(struct arena *arena, struct str *raw, struct str *args)
{
    size_t offset;
    bool is_part = store_is_part(*args, *raw, &offset);
    if (!copy_bytes(arena, raw)) {
        return false;
    }
    if (is_part) {
        args->data = raw->data + offset;
        return true;
    }
    return copy_bytes(arena, args);
}

struct store_agent *store_copy_agent(struct arena *arena, const struct store_agent *source)
{
    struct store_agent *agent = copy_struct(arena, source, sizeof *source);
    if (agent == NULL || !copy_bytes(arena, &agent->key) ||
        !copy_bytes(arena, &agent->certificate) || !copy_bytes(arena, &agent->address)) {
        return NULL;
    }
    agent->next = NULL;
    return agent;
}

struct store_request *store_copy_request(struct arena *arena, const struct store_request *source)
{
    struct store_request *request = copy_struct(arena, source, sizeof *source);
    if (request == NULL || !copy_bytes(arena, &request->flow) ||
        !copy_bytes(arena, &request->action) || !copy_bytes(arena, &request->args_type) ||
        !copy_bytes(arena, &request->args)) {
        return NULL;
    }
    request->next = NULL;
    return request;
}

struct store_response *store_copy_response(struct arena *arena, const struct store_response *source)
{
    struct store_response *response = copy_struct(arena, source, sizeof *source);
    if (response == NULL || !copy_bytes(arena, &response->flow) ||
        !copy_bytes(arena, &response->args_type) ||
        !copy_raw_and_args(arena, &response->raw, &response->args)) {
        return NULL;
    }
    response->next = NULL;
    return response;
}

struct store_message *store_copy_message(struct arena *arena, const struct store_message *source)
{
    struct store_message *message = copy_struct(arena, source, sizeof *source);
    if (message == NULL || !copy_bytes(arena, &message->handler) ||
        !copy_bytes(arena, &message->args_type) ||
        !copy_raw_and_args(arena, &message->raw, &message->args)) {
        return NULL;
    }
    message->next = NULL;
    return message;
}

struct store_work *store_copy_work(struct arena *arena, const struct store_work *source)
{
    struct store_work *work = copy_struct(arena, source, sizeof *source);
    if (work == NULL || !copy_bytes(arena, &work->flow) || !copy_bytes(arena, &work->handler)) {
        return NULL;
    }
    work->next = NULL;
    return work;
}
