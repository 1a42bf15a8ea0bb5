/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a real portico-frontend: for each agent that polled, and for each idle connection.
 *
 *     bench_frontend_memory [--check] [--agents N] [--idle N]
 *
 * Agents have keys of 2048 bits out of shared primes and are put into the store directly; each then
 * polls once. The server's key has 1024 bits, for time: what is kept of an agent does not depend on
 * it. With $TMPDIR in memory the store is filled much faster. What the kernel keeps for sockets is
 * not counted. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "bench/contestant.h"
#include "store/store.h"
#include "support/agent_client.h"
#include "support/identities.h"

struct options {
    unsigned agents;
    unsigned idle;
};

struct bench {
    struct options options;
    struct identities *identities;
    struct rsa_key *server;
    struct contestant frontend;
};

static void enrol(struct store *store, const struct rsa_key *key)
{
    struct store_enrolment enrolment = {.state = STORE_ENROLLED};
    struct buffer pem;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    CHECK(rsa_public_to_pem(key, &pem) == 0);
    CHECK(store_agent_id_parse(str_from(rsa_key_client_id(key)->text), &enrolment.agent) == 0);
    enrolment.key = buffer_view(&pem);
    enrolment.certificate = STR("-");
    CHECK(store_enrol_agent(store, &enrolment, NULL, NULL) == 1);
    buffer_done(&pem);
}

static void fill_store(struct bench *bench)
{
    struct store *store = instance_store(&bench->frontend.instance);
    for (unsigned i = 0; i < bench->options.agents; i++) {
        struct rsa_key *key = identities_key(bench->identities, i);
        enrol(store, key);
        rsa_key_free(key);
    }
    store_free(store);
}

static void poll_once(struct bench *bench, unsigned i)
{
    struct agent_client agent;
    struct buffer packet;
    buffer_init(&packet, 1 << 16);
    agent_client_init(&agent, identities_key(bench->identities, i));
    agent_client_trust(&agent, bench->server, "grr");
    agent.closes = true;
    agent_client_seal(&agent, STR(""), &packet);
    CHECK(agent_client_post(&agent, &bench->frontend.address, buffer_view(&packet)) == 200);
    agent_client_done(&agent);
    buffer_done(&packet);
}

/* Memory of its own, KiB; beside it, the pages of files that it shares with others. */
struct footprint {
    uint64_t own;
    uint64_t shared;
};

static struct footprint take(const struct bench *bench)
{
    const struct instance *instance = &bench->frontend.instance;
    return (struct footprint){.own = process_memory_kib(&instance->process, "RssAnon"),
                              .shared = process_memory_kib(&instance->process, "RssFile") +
                                        process_memory_kib(&instance->process, "RssShmem")};
}

static void print_growth(const char *what, struct footprint from, struct footprint to,
                         unsigned count)
{
    printf("%-44s %9llu KiB own %9llu KiB shared   %8.0f bytes own each\n", what,
           (unsigned long long)to.own, (unsigned long long)to.shared,
           1024 * ((double)to.own - (double)from.own) / count);
}

static void measure_agents(struct bench *bench)
{
    struct footprint before = take(bench);
    printf("%-44s %9llu KiB own %9llu KiB shared\n", "started", (unsigned long long)before.own,
           (unsigned long long)before.shared);
    usec_t start = clock_monotonic(&clock_system);
    for (unsigned i = 0; i < bench->options.agents; i++) {
        poll_once(bench, i);
    }
    char what[64];
    snprintf(what, sizeof what, "%u agents polled once", bench->options.agents);
    print_growth(what, before, take(bench), bench->options.agents);
    printf("(%.1f s)\n", (double)(clock_monotonic(&clock_system) - start) / USEC_PER_SEC);
}

static void ask_health(struct http_client *client)
{
    struct http_answer answer;
    CHECK(http_request(client, "GET", "/healthz", NULL, &answer) && answer.status == 200);
    http_answer_done(&answer);
}

static void measure_idle(struct bench *bench)
{
    unsigned count = bench->options.idle;
    struct http_client *clients = calloc(count, sizeof *clients);
    CHECK(clients != NULL);
    struct footprint before = take(bench);
    for (unsigned i = 0; i < count; i++) {
        http_connect(&clients[i], address_port(&bench->frontend.address));
        ask_health(&clients[i]);
        buffer_done(&clients[i].in);
    }
    char what[64];
    snprintf(what, sizeof what, "%u idle connections, one request each", count);
    print_growth(what, before, take(bench), count);
    for (unsigned i = 0; i < count; i++) {
        http_close(&clients[i]);
    }
    free(clients);
}

static struct options parse(int argc, char **argv)
{
    static const struct option long_options[] = {{"check", no_argument, NULL, 'c'},
                                                 {"agents", required_argument, NULL, 'a'},
                                                 {"idle", required_argument, NULL, 'i'},
                                                 {NULL, 0, NULL, 0}};
    struct options options = {.agents = 100000, .idle = 10000};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            options = (struct options){.agents = 5, .idle = 20};
            break;
        case 'a':
            options.agents = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'i':
            options.idle = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
    CHECK(options.agents > 0 && options.idle > 0);
    return options;
}

/* This process and the frontend hold an end of each connection. */
static void allow_files(void)
{
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
}

int main(int argc, char **argv)
{
    struct bench bench = {.options = parse(argc, argv)};
    struct instance_keys keys;
    allow_files();
    setvbuf(stdout, NULL, _IOLBF, 0); /* it takes long: show what is there */
    CHECK(rsa_generate(1024, NULL, &bench.server) == 0);
    instance_keys_make(bench.server, &keys);
    bench.identities = identities_new(2048, bench.options.agents);
    contestant_prepare(&bench.frontend, &(struct contestant_wish){.keys = &keys});
    fill_store(&bench);
    contestant_start(&bench.frontend);
    measure_agents(&bench);
    measure_idle(&bench);
    contestant_end(&bench.frontend);
    identities_free(bench.identities);
    instance_keys_free(&keys);
    rsa_key_free(bench.server);
    return 0;
}
