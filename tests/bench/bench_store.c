/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedded store costs and how fast it is: alone, batched, and with several processes
 * writing. Commits are durable, so the disk below $TMPDIR decides most of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "bench/measure.h"
#include "store/store_sqlite.h"
#include "support/support.h"

enum { AGENTS = 1000, BATCH = 64, RAW_BYTES = 200, WRITERS_MAX = 4, RATE_SECONDS = 1 };

static char raw[RAW_BYTES];
static uint64_t next_timestamp = 1;
static struct store *store;
static struct arena arena;

static struct store_agent_id agent_of(uint64_t number)
{
    struct store_agent_id id = {{0}};
    number = number * 0x9e3779b97f4a7c15ULL;
    memcpy(id.bytes, &number, sizeof id.bytes);
    return id;
}

static void open_store(const char *directory)
{
    struct error error;
    if (store_sqlite_open(directory, &clock_system, &store, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
}

static void enrol_all(void)
{
    for (uint64_t i = 0; i < AGENTS; i++) {
        struct store_enrolment enrolment = {
            .agent = agent_of(i), .key = STR("key"), .state = STORE_ENROLLED};
        CHECK(store_enrol_agent(store, &enrolment, NULL, NULL) == 1);
    }
}

/* `count` bundles of one message each, of agents far apart, in one transaction. */
static void commit_bundles(size_t count, bool with_sighting)
{
    struct store_message messages[BATCH];
    struct store_bundle bundles[BATCH];
    struct store_commit commits[BATCH];
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct store_message){.handler = STR("StatsHandler"),
                                             .packet_timestamp = next_timestamp++,
                                             .args_type = STR("ClientStats"),
                                             .raw = str_make(raw, sizeof raw),
                                             .args = str_make(raw + 20, sizeof raw - 20)};
        bundles[i] = (struct store_bundle){.agent = agent_of(next_timestamp % AGENTS),
                                           .messages = &messages[i],
                                           .message_count = 1};
        if (with_sighting) {
            bundles[i].sighting = (struct store_sighting){(usec_t)next_timestamp,
                                                          (usec_t)next_timestamp, STR("192.0.2.1")};
        }
        commits[i] = (struct store_commit){.bundle = &bundles[i]};
    }
    CHECK(store_commit(store, commits, count, STORE_DURABLE, NULL) == 0);
}

/* ---- rates: by the wall clock, since the disk is what takes time ---- */

static double seconds_since(usec_t start)
{
    return (double)(clock_monotonic(&clock_system) - start) / (double)USEC_PER_SEC;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure_rate(const struct measure_options *options, const char *name, size_t batch,
                         bool with_sighting)
{
    double rates[5] = {0};
    int rounds = options->check ? 1 : 5;
    int commits = options->check ? 5 : 2000;
    for (int round = 0; round < rounds; round++) {
        usec_t start = clock_monotonic(&clock_system);
        int done = 0;
        while (done < commits && (done == 0 || seconds_since(start) < RATE_SECONDS)) {
            commit_bundles(batch, with_sighting);
            done++;
        }
        rates[round] = done / seconds_since(start);
    }
    qsort(rates, (size_t)rounds, sizeof rates[0], compare_doubles);
    printf("%-44s %10.0f commits/s  %8.0f rows/s\n", name, rates[rounds / 2],
           rates[rounds / 2] * (double)batch);
}

/* ---- polls without anything to do ---- */

static void lease_nothing(void *context, uint64_t count)
{
    const struct store_lease lease = {10, USEC_PER_MINUTE, 5};
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        struct store_request *requests = NULL;
        CHECK(store_lease_requests(store, agent_of(i % AGENTS), &lease, &arena, &requests, NULL) ==
              0);
        CHECK(requests == NULL);
    }
}

static void ask_hint(void *context, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        CHECK(!store_may_have_queued(store, agent_of(i % AGENTS)));
    }
}

static void read_agents(void *context, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++) {
        struct store_agent *agent = NULL;
        CHECK(store_read_agent(store, agent_of(i % AGENTS), &arena, &agent, NULL) == 0);
        arena_reset(&arena);
    }
}

/* ---- several processes ---- */

struct shared {
    double times[WRITERS_MAX][100000]; /* milliseconds of each commit */
    int counts[WRITERS_MAX];
};

static void write_for(const char *directory, struct shared *shared, int writer, usec_t length)
{
    open_store(directory);
    next_timestamp = (uint64_t)getpid() << 32;
    usec_t end = clock_monotonic(&clock_system) + length;
    int count = 0;
    usec_t start;
    while ((start = clock_monotonic(&clock_system)) < end && count < 100000) {
        commit_bundles(8, true);
        shared->times[writer][count++] = seconds_since(start) * 1000;
    }
    shared->counts[writer] = count;
    store_free(store);
    _exit(0);
}

static void report(const struct shared *shared, int writers, double seconds)
{
    static double all[WRITERS_MAX * 100000];
    size_t count = 0;
    int least = shared->counts[0];
    int most = shared->counts[0];
    for (int i = 0; i < writers; i++) {
        memcpy(all + count, shared->times[i], (size_t)shared->counts[i] * sizeof all[0]);
        count += (size_t)shared->counts[i];
        least = shared->counts[i] < least ? shared->counts[i] : least;
        most = shared->counts[i] > most ? shared->counts[i] : most;
    }
    qsort(all, count, sizeof all[0], compare_doubles);
    printf(
        "%d writing, 8 bundles a commit %6.0f commits/s   median %6.2f  p99 %6.2f  worst %7.2f ms"
        "   commits of one: %d to %d\n",
        writers, (double)count / seconds, all[count / 2], all[count * 99 / 100], all[count - 1],
        least, most);
}

static void measure_writers(const struct measure_options *options, const char *directory,
                            int writers)
{
    usec_t length = options->check ? 50 * USEC_PER_MSEC : 5 * USEC_PER_SEC;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    fflush(stdout);
    for (int i = 0; i < writers; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            write_for(directory, shared, i, length);
        }
    }
    for (int i = 0; i < writers; i++) {
        int status = -1;
        CHECK(wait(&status) > 0 && status == 0);
    }
    report(shared, writers, (double)length / (double)USEC_PER_SEC);
    munmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    struct measure_options options =
        measure_options(argc, argv, "The embedded store: rates, query costs, fairness of writers.");
    char *directory = make_temporary_directory();
    arena_init(&arena, 65536, 1 << 20);
    open_store(directory);
    enrol_all();
    measure_rate(&options, "one bundle a commit, durable", 1, false);
    measure_rate(&options, "one bundle with sighting a commit, durable", 1, true);
    measure_rate(&options, "64 bundles a commit, durable", BATCH, false);
    measure_rate(&options, "64 bundles with sightings a commit, durable", BATCH, true);
    measure(&options, "empty lease query", lease_nothing, NULL, 200000);
    measure(&options, "hint: nothing is queued", ask_hint, NULL, 5000000);
    measure(&options, "read an agent", read_agents, NULL, 200000);
    store_free(store);
    measure_writers(&options, directory, 1);
    measure_writers(&options, directory, 2);
    measure_writers(&options, directory, 4);
    arena_done(&arena);
    remove_temporary_directory(directory);
    return 0;
}
