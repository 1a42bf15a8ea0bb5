/* SPDX-License-Identifier: Apache-2.0 */
/* A worker without a thread, whose clock stands still, and a listening socket. */
#ifndef PORTICO_TESTS_WORKER_SCENE_H
#define PORTICO_TESTS_WORKER_SCENE_H

#include <criterion/criterion.h>
#include <unistd.h>

#include "net/socket.h"
#include "rules_of.h"
#include "worker_internal.h"

struct scene {
    struct clock_fake clock;
    struct worker worker;
    struct shared shared;
    struct counters *counters;
    struct address address; /* of the socket */
    int listener;           /* -1: somebody else closes it */
};

/* `rules` are taken. */
__attribute__((unused)) static void begin(struct scene *scene, struct rules *rules)
{
    const struct listen_options options = {.reuse_port = false};
    struct error error = {.line = 0};
    struct worker *worker = &scene->worker;
    memset(scene, 0, sizeof *scene);
    clock_fake_init(&scene->clock, 1000 * USEC_PER_SEC, 0);
    scene->counters = counters_new();
    scene->shared.addresses = address_counts_new();
    worker->shared = &scene->shared;
    worker->rules = rules;
    worker->loop = loop_new(&scene->clock.clock, &error);
    worker->pools = pools_new();
    worker->counters = counters_shard(scene->counters);
    worker->recent = recent_new();
    scene->shared.accesslog = accesslog_new(&error);
    worker->log = accesslog_shard_new(scene->shared.accesslog, worker->loop, worker->counters);
    slab_pool_init(&worker->proxy_memory, sizeof(struct proxy));
    slab_pool_init(&worker->upstream_memory, sizeof(struct upstream));
    proxy_list_init(&worker->proxies);
    turn_list_init(&worker->idle);
    turn_list_init(&worker->queue);
    cr_assert_eq(address_from_host(STR("127.0.0.1"), 0, &scene->address, NULL), 0);
    scene->listener = socket_listen(&scene->address, &options, &error);
    cr_assert_geq(scene->listener, 0);
    cr_assert_eq(socket_local_address(scene->listener, &scene->address), 0);
}

__attribute__((unused)) static void end(struct scene *scene)
{
    struct worker *worker = &scene->worker;
    struct proxy *proxy;
    while ((proxy = proxy_list_first(&worker->proxies)) != NULL) {
        proxy_abort(proxy, REASON_STOPPING);
    }
    pools_free(worker->pools);
    exchange_pool_done(&worker->exchanges);
    accesslog_shard_free(worker->log);
    accesslog_free(scene->shared.accesslog);
    recent_free(worker->recent);
    loop_free(worker->loop);
    slab_pool_done(&worker->proxy_memory);
    slab_pool_done(&worker->upstream_memory);
    rules_unref(worker->rules);
    address_counts_free(scene->shared.addresses);
    counters_free(scene->counters);
    if (scene->listener >= 0) {
        close(scene->listener);
    }
}

__attribute__((unused)) static void turn(struct scene *scene)
{
    cr_assert_eq(loop_turn(scene->worker.loop, 0), 0);
}

#endif
