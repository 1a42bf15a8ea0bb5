/* SPDX-License-Identifier: Apache-2.0 */
/* A balancer that does not relay: what the administration asks for is set by the test, what it
 * tells is written down. Its workers have no threads; they are visited by tasks of the loop, a turn
 * later, as real ones are. */
#ifndef PORTICO_TESTS_FAKE_BALANCER_H
#define PORTICO_TESTS_FAKE_BALANCER_H

#include "balancer.h"
#include "member.h"

enum { FAKE_WORKERS = 2, FAKE_MEMBERS = 3, FAKE_MEMBERS_MAX = 1024, FAKE_PROXIES = 5 };

struct worker {
    unsigned number;
    struct recent *recent;
    struct proxy_summary proxies[FAKE_PROXIES];
    size_t proxy_count;
    size_t pooled[FAKE_MEMBERS_MAX];
};

struct balancer {
    struct loop *loop;
    struct counters *counters;
    struct counter_shard *shard;
    struct config *config;
    struct member members[FAKE_MEMBERS_MAX];
    size_t member_count;
    struct worker workers[FAKE_WORKERS];
    usec_t uptime;
    bool is_stopping;
    int reload_result;
    struct balancer_reloaded reloaded;
    size_t questions; /* asked so far */
    size_t asking;    /* now */
    struct {
        char host[64];
        uint16_t port;
        enum wish wish;
    } wished;
};

/* Members localhost:8080 to 8082: up, absent, drained. `clock` is the loop's. */
struct balancer *fake_balancer_new(const struct clock *clock);
void fake_balancer_free(struct balancer *balancer);

/* FAKE_MEMBERS_MAX of them, the further ones up. */
void fake_balancer_add_members(struct balancer *balancer);

/* Turn the loop until `is_done` says so, for at most five seconds. */
bool fake_balancer_turn(struct balancer *balancer, bool (*is_done)(void *context), void *context);

#endif
