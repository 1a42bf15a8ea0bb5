/* SPDX-License-Identifier: Apache-2.0 */
/* Writing answers. */
#include "handout.h"

#include <errno.h>
#include <stdatomic.h>

#include "wire/cipher.h"
#include "wire/request.h"
#include "wire/seal.h"

enum { LIST_BYTES_MAX = 128 << 20 };

/* Shared by all threads: task ids of one process never meet. */
static atomic_uint task_counter;

static int next_task_id(usec_t now, uint64_t *id)
{
    uint16_t random;
    if (cipher_random(&random, sizeof random) < 0) {
        return -EIO;
    }
    uint32_t step = request_counter_step(random);
    *id = request_task_id(now, atomic_fetch_add(&task_counter, step) + step);
    return 0;
}

static int append_request(struct buffer *list, const struct store_request *stored,
                          const struct handout *handout)
{
    struct request request = {
        .client = *handout->client,
        .flow = stored->flow,
        .request_id = stored->request,
        .action = stored->action,
        /* A request without payload has no type either; an empty payload has one (section 8). */
        .args = stored->args_type.len + stored->args.len > 0
                    ? (stored->args.len > 0 ? stored->args : STR(""))
                    : str_make(NULL, 0),
        .args_type = stored->args_type,
        .cpu_limit_ms = stored->cpu_limit == 0 ? REQUEST_CPU_LIMIT_MS
                                               : (uint64_t)(stored->cpu_limit / USEC_PER_MSEC),
        .network_bytes_limit =
            stored->network_limit == 0 ? REQUEST_NETWORK_BYTES_LIMIT : stored->network_limit,
        .runtime_limit_us = (uint64_t)stored->runtime_limit,
    };
    int result = next_task_id(handout->now, &request.task_id);
    return result < 0 ? result : request_append(list, &request);
}

int handout_write(struct wire_tools *tools, const struct sealing *sealing,
                  const struct handout *handout, struct buffer *out)
{
    struct buffer list;
    int count = 0;
    int result = 0;
    buffer_init(&list, LIST_BYTES_MAX);
    for (const struct store_request *request = handout->requests; request != NULL && result == 0;
         request = request->next) {
        result = append_request(&list, request, handout);
        count++;
    }
    if (result == 0) {
        const struct seal_content content = {
            .list = buffer_view(&list),
            .timestamp = handout->nonce,
            .compress_from = SEAL_COMPRESS_FROM,
        };
        result = seal_packet(tools, sealing, &content, out);
    }
    buffer_done(&list);
    return result < 0 ? result : count;
}
