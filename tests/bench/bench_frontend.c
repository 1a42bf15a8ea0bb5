/* SPDX-License-Identifier: Apache-2.0 */
/* CPU of the real portico-frontend for one poll, beside libmicrohttpd answering the same bytes with
 * no work at all, in one run, the contestants in turn; and beside other builds, to see what a
 * change brought. CPU is the server process's own time, all threads, divided by answers that were
 * checked.
 *
 *     bench_frontend [--check] [--rounds N] [--polls N] [--only LOAD] [--set KEY=VALUE]
 *                    [--frontend BINARY]...
 *
 * Warm: the agent's cipher is known. Cold: each poll comes with a cipher that nobody has seen.
 * Microseconds move with the machine, so goals are ratios: to libmicrohttpd in the same run, or to
 * the RSA operations that a poll costs. */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "bench/contestant.h"
#include "support/agent_client.h"
#include "support/identities.h"

enum { AGENTS = 64, ROUNDS_MAX = 25, CONTESTANTS_MAX = 5, POLL_BYTES = 634 };

struct options {
    unsigned rounds;
    unsigned polls;
    const char *only;      /* loads with this in their name; NULL: all */
    const char *parameter; /* of the frontends */
    bool check;
    const char *binaries[CONTESTANTS_MAX];
    unsigned binary_count;
};

/* ---- The agents ---- */

struct fleet {
    struct agent_client agents[AGENTS];
    size_t count;
};

static void poll_or_die(struct agent_client *agent, const struct address *server, struct str list)
{
    struct bundle bundle;
    bundle_init(&bundle, &agent->limits);
    CHECK(agent_client_poll(agent, server, list, &bundle) == 200);
    bundle_done(&bundle);
}

static void enrol(struct agent_client *agent, const struct address *server)
{
    struct buffer list;
    buffer_init(&list, RSA_PEM_BYTES_MAX);
    agent_client_append_enrol(agent, &list);
    CHECK(agent_client_meet(agent, server) == 200);
    poll_or_die(agent, server, buffer_view(&list));
    buffer_done(&list);
}

static void fleet_init(struct fleet *fleet, const struct identities *identities, size_t count,
                       const struct address *server)
{
    fleet->count = count;
    for (size_t i = 0; i < count; i++) {
        agent_client_init(&fleet->agents[i], identities_key(identities, i));
        enrol(&fleet->agents[i], server);
    }
}

static void fleet_hang_up(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++) {
        agent_client_hang_up(&fleet->agents[i]);
    }
}

static void fleet_done(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++) {
        agent_client_done(&fleet->agents[i]);
    }
}

/* ---- The loads: each makes `polls` checked polls ---- */

static void run_warm(struct fleet *fleet, const struct address *server, unsigned polls)
{
    fleet->agents[0].closes = false;
    for (unsigned i = 0; i < polls; i++) {
        poll_or_die(&fleet->agents[0], server, STR(""));
    }
}

static void run_new_connections(struct fleet *fleet, const struct address *server, unsigned polls)
{
    fleet->agents[0].closes = true;
    for (unsigned i = 0; i < polls; i++) {
        poll_or_die(&fleet->agents[0], server, STR(""));
    }
    fleet->agents[0].closes = false;
}

/* Sixty-four agents in flight, each its own thread, a message of 1 KiB in each poll. */
struct sender {
    struct agent_client *agent;
    const struct address *server;
    unsigned polls;
};

static void *send_messages(void *context)
{
    struct sender *sender = context;
    static const char bytes[1024] = "statistics";
    for (unsigned i = 0; i < sender->polls; i++) {
        struct buffer list;
        buffer_init(&list, 1 << 16);
        agent_client_append_message(&list, "aff4:/flows/S:Stats", str_make(bytes, sizeof bytes),
                                    "ClientStats");
        poll_or_die(sender->agent, sender->server, buffer_view(&list));
        buffer_done(&list);
    }
    return NULL;
}

static void run_messages(struct fleet *fleet, const struct address *server, unsigned polls)
{
    pthread_t threads[AGENTS];
    struct sender senders[AGENTS];
    for (size_t i = 0; i < fleet->count; i++) {
        senders[i] = (struct sender){&fleet->agents[i], server, polls / (unsigned)fleet->count + 1};
        CHECK(pthread_create(&threads[i], NULL, send_messages, &senders[i]) == 0);
    }
    for (size_t i = 0; i < fleet->count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void run_cold(struct fleet *fleet, const struct address *server, unsigned polls)
{
    struct agent_client *agent = &fleet->agents[0];
    for (unsigned i = 0; i < polls; i++) {
        agent_client_renew(agent);
        poll_or_die(agent, server, STR(""));
    }
}

/* The same bytes to libmicrohttpd alone. */
static void post_bytes(struct fleet *fleet, const struct address *server, unsigned polls,
                       bool closes)
{
    static const char bytes[POLL_BYTES];
    struct agent_client *agent = &fleet->agents[0];
    agent->closes = closes;
    for (unsigned i = 0; i < polls; i++) {
        CHECK(agent_client_post(agent, server, str_make(bytes, sizeof bytes)) == 200);
    }
    agent->closes = false;
}

static void run_bare(struct fleet *fleet, const struct address *server, unsigned polls)
{
    post_bytes(fleet, server, polls, false);
}

static void run_bare_new(struct fleet *fleet, const struct address *server, unsigned polls)
{
    post_bytes(fleet, server, polls, true);
}

enum yardstick { NONE, BARE, BARE_NEW, RSA };

static const struct load {
    const char *name;
    void (*run)(struct fleet *fleet, const struct address *server, unsigned polls);
    unsigned divisor;         /* slower ones make fewer */
    enum yardstick yardstick; /* NONE: it is libmicrohttpd's */
    double goal;              /* times the yardstick */
} loads[] = {
    {"libmicrohttpd, no work, keep-alive", run_bare, 1, NONE, 0},
    {"libmicrohttpd, no work, new connection", run_bare_new, 1, NONE, 0},
    /* The goals as they were set, in microseconds on one machine, where libmicrohttpd alone
     * took 7.4 and 30.5. */
    {"warm empty poll, keep-alive", run_warm, 1, BARE, 20 / 7.4},
    {"warm empty poll, new connection", run_new_connections, 1, BARE_NEW, 45 / 30.5},
    {"warm, 1 message committed, 64 in flight", run_messages, 1, BARE, 60 / 7.4},
    {"cold poll (decrypt + verify)", run_cold, 40, RSA, 1.05},
};

enum { LOADS = sizeof loads / sizeof loads[0] };

/* ---- Measuring ---- */

struct results {
    double us[ROUNDS_MAX];
    double rates[ROUNDS_MAX]; /* polls a second */
    double rsa_private;       /* operations a poll */
};

struct table {
    struct results results[CONTESTANTS_MAX][LOADS];
    double rsa; /* what the RSA of a cold poll costs in this process, microseconds */
};

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static double own_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* One decryption and one verification, as a cold poll needs them. */
static double measure_rsa(const struct rsa_key *key, unsigned count)
{
    uint8_t encrypted[RSA_BYTES_MAX];
    uint8_t signature[RSA_BYTES_MAX];
    uint8_t plain[RSA_BYTES_MAX];
    const struct str text = STR("0123456789abcdef0123456789abcdef0123456789abcdef");
    int len = rsa_encrypt(key, text, encrypted);
    int signed_len = rsa_sign(key, text, signature);
    CHECK(len > 0 && signed_len > 0);
    double before = own_cpu();
    for (unsigned i = 0; i < count; i++) {
        CHECK(rsa_decrypt(key, str_make((const char *)encrypted, (size_t)len), plain) > 0);
        CHECK(rsa_verify(key, text, str_make((const char *)signature, (size_t)signed_len)) == 0);
    }
    return (own_cpu() - before) / count;
}

static uint64_t private_operations(const struct contestant *contestant)
{
    return contestant->instance.process.pid == 0
               ? 0
               : contestant_metric(contestant, "portico_frontend_rsa_private_operations_total");
}

static void measure_load(const struct load *load, const struct contestant *contestant,
                         struct fleet *fleet, const struct options *options, unsigned round,
                         struct results *results)
{
    unsigned polls = options->polls / load->divisor + 1;
    uint64_t rsa = private_operations(contestant);
    fleet_hang_up(fleet); /* kept connections may lead to another contestant */
    double before = contestant_cpu(contestant);
    usec_t began = clock_monotonic(&clock_system);
    load->run(fleet, &contestant->address, polls);
    usec_t took = clock_monotonic(&clock_system) - began;
    results->us[round] = (contestant_cpu(contestant) - before) / polls;
    results->rates[round] = (double)polls * USEC_PER_SEC / (double)(took + 1);
    results->rsa_private +=
        (double)(private_operations(contestant) - rsa) / polls / options->rounds;
}

static bool is_wanted(const struct options *options, const struct load *load)
{
    return options->only == NULL || strstr(load->name, options->only) != NULL;
}

/* Contestant 0 is libmicrohttpd. */
static void measure_all(const struct contestant *contestants, struct fleet *fleets, unsigned count,
                        const struct options *options, struct table *table)
{
    for (unsigned round = 0; round < options->rounds; round++) {
        for (unsigned i = 0; i < LOADS; i++) {
            bool is_bare = loads[i].yardstick == NONE;
            for (unsigned c = is_bare ? 0 : 1; c < (is_bare ? 1 : count); c++) {
                if (is_bare || is_wanted(options, &loads[i])) {
                    measure_load(&loads[i], &contestants[c], &fleets[c == 0 ? 1 : c], options,
                                 round, &table->results[c][i]);
                }
            }
        }
    }
}

static double median(double *samples, unsigned rounds)
{
    qsort(samples, rounds, sizeof samples[0], compare);
    return samples[rounds / 2];
}

static void print_row(struct table *table, unsigned contestant, unsigned load, unsigned rounds)
{
    struct results *results = &table->results[contestant][load];
    double us = median(results->us, rounds);
    printf("%-42s %8.1f  %8.1f to %-8.1f", loads[load].name, us, results->us[0],
           results->us[rounds - 1]);
    printf(" %8.0f", median(results->rates, rounds));
    if (loads[load].yardstick != NONE) {
        const double units[] = {[BARE] = median(table->results[0][0].us, rounds),
                                [BARE_NEW] = median(table->results[0][1].us, rounds),
                                [RSA] = table->rsa};
        printf("  %6.2f  %6.2f  %11.3f", us / units[loads[load].yardstick], loads[load].goal,
               results->rsa_private);
    }
    printf("\n");
}

static void print_table(struct table *table, unsigned count, const struct options *options)
{
    printf("%-42s %8s  %20s %8s  %6s  %6s  %11s\n", "CPU of the server for one poll", "us",
           "range        ", "polls/s", "ratio", "goal", "RSA private");
    for (unsigned i = 0; i < LOADS; i++) {
        bool is_bare = loads[i].yardstick == NONE;
        for (unsigned c = is_bare ? 0 : 1; c < (is_bare ? 1 : count); c++) {
            if (is_bare || is_wanted(options, &loads[i])) {
                print_row(table, c, i, options->rounds);
            }
        }
    }
    printf(
        "RSA of a cold poll, alone: %.1f us. Ratios are to libmicrohttpd, of the cold poll to its "
        "RSA.\n",
        table->rsa);
    if (options->binary_count > 1) {
        printf("Several rows of one name: the frontends in the order of their options.\n");
    }
}

/* ---- The program ---- */

static struct options parse(int argc, char **argv)
{
    static const struct option long_options[] = {{"check", no_argument, NULL, 'c'},
                                                 {"rounds", required_argument, NULL, 'r'},
                                                 {"polls", required_argument, NULL, 'p'},
                                                 {"only", required_argument, NULL, 'o'},
                                                 {"set", required_argument, NULL, 's'},
                                                 {"frontend", required_argument, NULL, 'f'},
                                                 {NULL, 0, NULL, 0}};
    struct options options = {.rounds = 5, .polls = 20000};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            options.rounds = 1;
            options.polls = 40;
            options.check = true;
            break;
        case 'r':
            options.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            options.polls = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'o':
            options.only = optarg;
            break;
        case 's':
            options.parameter = optarg;
            break;
        case 'f':
            CHECK(options.binary_count < CONTESTANTS_MAX - 1);
            options.binaries[options.binary_count++] = optarg;
            break;
        default:
            exit(2);
        }
    }
    CHECK(options.rounds >= 1 && options.rounds <= ROUNDS_MAX && options.polls > 0);
    options.binary_count += options.binary_count == 0; /* the one that was built */
    return options;
}

static void print_load(const char *when)
{
    double average;
    CHECK(getloadavg(&average, 1) == 1);
    printf("load average %s: %.2f\n", when, average);
}

int main(int argc, char **argv)
{
    static struct fleet fleets[CONTESTANTS_MAX];
    static struct contestant contestants[CONTESTANTS_MAX];
    static struct table table;
    struct options options = parse(argc, argv);
    struct instance_keys keys;
    struct rsa_key *server = NULL;
    unsigned count = options.binary_count + 1;
    struct identities *identities = identities_new(2048, AGENTS);
    setvbuf(stdout, NULL, _IOLBF, 0); /* it takes long: show what is there */
    CHECK(rsa_generate(2048, NULL, &server) == 0);
    instance_keys_make(server, &keys);
    contestant_start_bare(&contestants[0]);
    for (unsigned c = 1; c < count; c++) {
        const char *const parameters[] = {options.parameter, NULL};
        const struct contestant_wish wish = {
            .binary = options.binaries[c - 1], .keys = &keys, .parameters = parameters};
        contestant_prepare(&contestants[c], &wish);
        contestant_start(&contestants[c]);
        fleet_init(&fleets[c], identities, options.check ? 2 : AGENTS, &contestants[c].address);
    }
    print_load("before");
    table.rsa = measure_rsa(server, options.check ? 2 : 300);
    measure_all(contestants, fleets, count, &options, &table);
    print_table(&table, count, &options);
    print_load("behind");
    for (unsigned c = 0; c < count; c++) {
        fleet_done(&fleets[c]);
        contestant_end(&contestants[c]);
    }
    identities_free(identities);
    instance_keys_free(&keys);
    rsa_key_free(server);
    return 0;
}
