/* SPDX-License-Identifier: Apache-2.0 */
/* Members on two machines, which are network namespaces: the balancer and its clients are in one,
 * each machine is another, with a cable between. One of them is unplugged and plugged in again.
 * Needs the right to make namespaces. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "support/backend.h"
#include "support/balancer_process.h"
#include "support/http_client.h"
#include "support/load.h"
#include "support/support.h"

enum { MACHINES = 2, PORTS = 2, FIRST_PORT = 8080, EACH = 50, CLIENTS = 4 };

#define RESPONSE_TIMEOUT (4 * USEC_PER_SEC)

static struct {
    int home; /* namespace of the balancer and of the clients */
    struct {
        int namespace;
        struct backends *backends;
    } machines[MACHINES];
    struct balancer_process balancer;
} site;

static int this_namespace(void)
{
    /* Not close-on-exec: ip gets it by its number. */
    // NOLINTNEXTLINE(android-cloexec-open)
    int fd = open("/proc/thread-self/ns/net", O_RDONLY);
    CHECK(fd >= 0);
    return fd;
}

PRINTF_LIKE(1, 2) static bool run(const char *format, ...)
{
    char command[256];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    return system(command) == 0; // NOLINT(cert-env33-c): our own words
}

static void enter(int namespace)
{
    CHECK(setns(namespace, CLONE_NEWNET) == 0);
}

/* A cable from here to machine `i`, which has members on the same ports as the other one. */
static bool connect_machine(int i)
{
    CHECK(unshare(CLONE_NEWNET) == 0);
    site.machines[i].namespace = this_namespace();
    enter(site.home);
    if (!run("ip link add to%d type veth peer name eth0 netns /proc/self/fd/%d", i,
             site.machines[i].namespace) ||
        !run("ip address add 10.66.%d.1/24 dev to%d && ip link set to%d up", i, i, i)) {
        return false;
    }
    enter(site.machines[i].namespace);
    bool is_up = run("ip address add 10.66.%d.2/24 dev eth0 && ip link set eth0 up && "
                     "ip link set lo up",
                     i);
    site.machines[i].backends = backends_new_everywhere(PORTS, FIRST_PORT);
    recorder_keep(backends_recorder(site.machines[i].backends), false);
    enter(site.home);
    return is_up;
}

/* False: this machine does not let us. */
static bool build(void)
{
    if (geteuid() != 0 || !run("command -v ip >/dev/null") || unshare(CLONE_NEWNET) != 0) {
        return false;
    }
    site.home = this_namespace();
    CHECK(run("ip link set lo up"));
    return connect_machine(0) && connect_machine(1);
}

static void start_balancer(void)
{
    balancer_init(&site.balancer, site.machines[0].backends);
    balancer_set(&site.balancer, "Balancer.hosts=10.66.0.2,10.66.1.2");
    balancer_set(&site.balancer, "Balancer.response_timeout=%lldus", (long long)RESPONSE_TIMEOUT);
    balancer_start_with(&site.balancer, MACHINES * PORTS);
}

static void end(void)
{
    balancer_done(&site.balancer);
    for (int i = 0; i < MACHINES; i++) {
        backends_free(site.machines[i].backends);
        close(site.machines[i].namespace);
    }
    close(site.home);
}

static unsigned requests_of(int i)
{
    unsigned sum = 0;
    for (unsigned j = 0; j < PORTS; j++) {
        sum += backend_requests(backends_at(site.machines[i].backends, j));
    }
    return sum;
}

static void plug(int i, bool is_in)
{
    /* At the far end: here the address stays, and packets go nowhere, as with a real cable. */
    enter(site.machines[i].namespace);
    CHECK(run("ip link set eth0 %s", is_in ? "up" : "down"));
    enter(site.home);
}

static struct load *poll_with(const char *method)
{
    const struct load_plan plan = {.port = site.balancer.port,
                                   .threads = CLIENTS,
                                   .method = method,
                                   .path = "/control?api=3",
                                   .body_bytes = 600,
                                   .pause = 5000};
    return load_start(&plan);
}

/* What the machine had in hand when it was unplugged is silent until Balancer.response_timeout and
 * then answered 504: one request of each client, and one more where another kept connection was
 * left. Further ones need a new connection, whose time runs out sooner, and are then sent
 * elsewhere. All others are answered. */
static void judge(struct load *load, const char *what)
{
    struct load_result result = load_stop(load);
    load_tell(what, &result);
    cr_expect_eq(result.answered + result.statuses[504], result.sent);
    cr_expect_leq(result.statuses[504], 2 * CLIENTS, "%llu of %llu %s",
                  (unsigned long long)result.statuses[504], (unsigned long long)result.sent, what);
    cr_expect_lt(result.longest, RESPONSE_TIMEOUT + 2 * USEC_PER_SEC, "%lld us",
                 (long long)result.longest);
}

Test(balancer_machines, all_ports_of_two_machines_get_their_exact_share, .timeout = 60)
{
    if (!build()) {
        SKIP_TEST("no right to make network namespaces");
    }
    start_balancer();
    const struct load_plan plan = {.port = site.balancer.port,
                                   .threads = CLIENTS,
                                   .method = "GET",
                                   .path = "/x",
                                   .limit = EACH * MACHINES * PORTS / CLIENTS};
    struct load_result result = load_finish(load_start(&plan));
    cr_expect_eq(result.answered, EACH * MACHINES * PORTS);
    for (int i = 0; i < MACHINES; i++) {
        for (unsigned j = 0; j < PORTS; j++) {
            unsigned got = backend_requests(backends_at(site.machines[i].backends, j));
            cr_expect_eq(got, EACH, "machine %d, port %u: %u", i, FIRST_PORT + j, got);
        }
    }
    end();
}

Test(balancer_machines, one_is_unplugged_and_only_what_it_had_fails_and_it_comes_back_by_itself,
     .timeout = 100)
{
    if (!build()) {
        SKIP_TEST("no right to make network namespaces");
    }
    start_balancer();
    struct load *gets = poll_with("GET");
    struct load *posts = poll_with("POST");
    sleep_for(USEC_PER_SEC);
    cr_assert_gt(requests_of(1), 0);
    plug(1, false);
    cr_expect(balancer_await_members(&site.balancer, PORTS, 20 * USEC_PER_SEC),
              "it is not noticed that a machine is gone");
    unsigned before = requests_of(0);
    sleep_for(USEC_PER_SEC);
    cr_expect_gt(requests_of(0), before, "the other one carries all");
    before = requests_of(1);
    plug(1, true);
    cr_expect(balancer_await_members(&site.balancer, MACHINES * PORTS, 20 * USEC_PER_SEC),
              "it does not come back");
    sleep_for(USEC_PER_SEC);
    cr_expect_gt(requests_of(1), before, "it is back and gets nothing");
    judge(gets, "GET");
    judge(posts, "POST");
    end();
}
