/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's tools, made and released. */
#include "workbench.h"

#include <errno.h>
#include <stdlib.h>

enum { ARGS_MAX = 64 << 20 };

int workbench_init(struct workbench *bench)
{
    *bench = (struct workbench){.limits = PACKET_LIMITS_DEFAULT};
    bench->noise = malloc(WORKBENCH_NOISE);
    int code = bench->noise == NULL ? -ENOMEM : cipher_random(bench->noise, WORKBENCH_NOISE);
    code = code < 0 ? code : wire_tools_init(&bench->tools);
    if (code < 0) {
        free(bench->noise);
        return code;
    }
    bundle_init(&bench->bundle, &bench->limits);
    buffer_init(&bench->args, ARGS_MAX);
    buffer_init(&bench->pem, RSA_PEM_BYTES_MAX);
    return 0;
}

void workbench_done(struct workbench *bench)
{
    wire_tools_done(&bench->tools);
    bundle_done(&bench->bundle);
    buffer_done(&bench->args);
    buffer_done(&bench->pem);
    free(bench->noise);
}
