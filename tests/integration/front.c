/* SPDX-License-Identifier: Apache-2.0 */
/* One instance. */
#include "front.h"

#include <criterion/criterion.h>

#include "base/check.h"
#include "support/http_client.h"

struct front front;

void front_prepare(void)
{
    CHECK(rsa_generate(1024, NULL, &front.server) == 0);
    instance_keys_make(front.server, &front.keys);
    instance_init(&front.instance, &front.keys);
}

void front_start(void)
{
    front_prepare();
    instance_start(&front.instance);
}

void front_end(void)
{
    if (front.instance.directory != NULL) {
        instance_done(&front.instance);
        instance_keys_free(&front.keys);
        rsa_key_free(front.server);
    }
}

void front_expect_stop(struct instance *instance)
{
    cr_expect_eq(instance_stop(instance, STOP_PATIENCE), 0);
}

unsigned front_get(const char *path)
{
    return http_once(front.instance.port, "GET", path, NULL, NULL);
}

uint64_t front_allowed_kib(uint64_t kib)
{
    return IS_SANITIZED ? 8 * kib : kib;
}
