/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes on one store. Children open it themselves and leave with _exit(). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"
#include "store/sqlite_engine.h"
#include "store/store_sqlite.h"
#include "support/support.h"

static char *directory;
static struct contract contract;

static void open_store(void)
{
    arena_init(&contract.arena, 65536, 64 << 20);
    int r = store_sqlite_open(directory, &clock_system, &contract.store, &contract.error);
    if (r < 0) {
        fprintf(stderr, "%s\n", contract.error.message);
        abort();
    }
}

static void close_store(void)
{
    store_free(contract.store);
    arena_done(&contract.arena);
}

static void set_up(void)
{
    directory = make_temporary_directory();
}

static void tear_down(void)
{
    remove_temporary_directory(directory);
}

TestSuite(store_sqlite_processes, .init = set_up, .fini = tear_down);

/* Children that get in each other's way start a thread each, which ThreadSanitizer cannot follow in
 * a process that was forked ("dup thread with used id"). */
#if defined(__SANITIZE_THREAD__)
#define CHILDREN_MAY_QUEUE false
#else
#define CHILDREN_MAY_QUEUE true
#endif
#define SKIP_UNLESS_CHILDREN_MAY_QUEUE()                             \
    if (!CHILDREN_MAY_QUEUE) {                                       \
        SKIP_TEST("ThreadSanitizer does not follow forked threads"); \
    }

/* What a child has been told is stored. */
struct acknowledged {
    uint64_t agent;
    uint64_t timestamp;
};

static int commit_one(uint64_t agent, uint64_t timestamp)
{
    struct store_message messages[] = {test_message(timestamp, 0), test_message(timestamp, 1)};
    struct store_bundle bundle = {
        .agent = test_agent(agent), .messages = messages, .message_count = 2};
    struct store_commit commit = {.bundle = &bundle};
    int r = store_commit(contract.store, &commit, 1, STORE_DURABLE, &contract.error);
    return r < 0 ? r : commit.result;
}

/* Commit `count` bundles, or until killed; say on `fd` which were acknowledged. */
static void write_bundles(uint64_t agent, uint64_t from, uint64_t count, int fd)
{
    open_store();
    for (uint64_t i = from; i < from + count; i++) {
        int r = commit_one(agent, i);
        struct acknowledged told = {agent, i};
        if (r < 0 || write(fd, &told, sizeof told) != sizeof told) {
            fprintf(stderr, "agent %d: %d %s\n", (int)agent, r, contract.error.message);
            _exit(1);
        }
    }
    close_store();
    _exit(0);
}

static pid_t start_writer(uint64_t agent, uint64_t from, uint64_t count, int fd)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        write_bundles(agent, from, count, fd);
    }
    return child;
}

static void enrol_agents(uint64_t count)
{
    open_store();
    for (uint64_t i = 1; i <= count; i++) {
        enrol(&contract, i);
    }
    close_store();
}

static void write_with(uint64_t processes)
{
    enum { EACH = 150 };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t children[4];
    enrol_agents(processes);
    for (uint64_t i = 0; i < processes; i++) {
        children[i] = start_writer(i + 1, 1, EACH, null);
    }
    for (uint64_t i = 0; i < processes; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        cr_assert_eq(status, 0); /* no error escaped, -EBUSY least of all */
    }
    open_store();
    for (uint64_t i = 1; i <= processes; i++) {
        cr_assert_eq(count_messages(&contract, i), 2 * EACH);
    }
    close_store();
    close(null);
}

Test(store_sqlite_processes, two_lose_nothing)
{
    SKIP_UNLESS_CHILDREN_MAY_QUEUE();
    write_with(2);
}

Test(store_sqlite_processes, four_lose_nothing)
{
    SKIP_UNLESS_CHILDREN_MAY_QUEUE();
    write_with(4);
}

/* ---- killing ---- */

enum { AGENTS = 2, TIMESTAMPS = 65536 };

static unsigned char told[AGENTS + 1][TIMESTAMPS];

static void read_told(int fd)
{
    struct acknowledged one;
    ssize_t n;
    while ((n = read(fd, &one, sizeof one)) == sizeof one) {
        cr_assert(one.agent <= AGENTS && one.timestamp < TIMESTAMPS);
        told[one.agent][one.timestamp]++;
    }
    cr_assert(n <= 0);
}

/* Every bundle that was acknowledged is there once and whole; others are there whole or not at all.
 */
static void check_stored(uint64_t agent)
{
    static unsigned char seen[TIMESTAMPS];
    struct store_agent_id id = test_agent(agent);
    struct store_message_query query = {.agent = &id, .limit = 500};
    struct store_message *page = NULL;
    memset(seen, 0, sizeof seen);
    do {
        arena_reset(&contract.arena);
        cr_assert_eq(
            store_list_messages(contract.store, &query, &contract.arena, &page, &contract.error), 0,
            "%s", contract.error.message);
        for (struct store_message *message = page; message; message = message->next) {
            query.after = message->id;
            unsigned char bit = (unsigned char)(1 << message->place);
            cr_assert_eq(seen[message->packet_timestamp] & bit, 0);
            seen[message->packet_timestamp] |= bit;
        }
    } while (page != NULL);
    for (size_t i = 0; i < TIMESTAMPS; i++) {
        cr_assert(seen[i] == 0 || seen[i] == 3);
        cr_assert(told[agent][i] == 0 || seen[i] == 3);
    }
}

/* 300 writers, two at a time, each killed at another moment of its life. */
Test(store_sqlite_processes, killed_writers_lose_nothing_that_was_acknowledged)
{
    SKIP_UNLESS_CHILDREN_MAY_QUEUE();
    enum { ROUNDS = 150, EACH = 400 };
    uint64_t random = 11;
    enrol_agents(AGENTS);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int ends[2];
        pid_t children[AGENTS];
        cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
        for (uint64_t i = 0; i < AGENTS; i++) {
            children[i] = start_writer(i + 1, 1 + round * EACH, EACH, ends[1]);
        }
        close(ends[1]);
        if (round % 2 == 0) {
            /* These die while they write; the others perhaps while they open the store. */
            poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 10000);
        }
        for (int i = 0; i < AGENTS; i++) {
            usleep((useconds_t)(next_random(&random) % 15000));
            kill(children[i], SIGKILL);
        }
        read_told(ends[0]);
        for (int i = 0; i < AGENTS; i++) {
            waitpid(children[i], NULL, 0);
        }
        close(ends[0]);
    }
    open_store();
    uint64_t acknowledged = 0;
    for (uint64_t i = 1; i <= AGENTS; i++) {
        check_stored(i);
        for (size_t at = 0; at < TIMESTAMPS; at++) {
            acknowledged += told[i][at];
        }
    }
    close_store();
    cr_log_info("%llu bundles were acknowledged", (unsigned long long)acknowledged);
    cr_assert_geq(acknowledged, ROUNDS / 2);
}

/* ---- what others did ---- */

static void in_child(void (*work)(void))
{
    pid_t child = fork();
    if (child == 0) {
        open_store();
        work();
        close_store();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
}

static void send_to_agent_1(void)
{
    (void)send_request(&contract, 1, "F", 0);
}

Test(store_sqlite_processes, a_request_of_another_process_is_known_within_half_a_second)
{
    enrol_agents(2);
    open_store();
    for (int round = 0; round < 3; round++) {
        cr_assert_not(store_may_have_queued(contract.store, test_agent(1)));
        close_store();
        in_child(send_to_agent_1);
        open_store();
        cr_assert(store_may_have_queued(contract.store, test_agent(1))); /* when it starts */
        cr_assert_eq(LENGTH(lease_all(&contract, 1)), 1);
        struct store_response status = test_status("F", (uint64_t)round + 1, 1);
        cr_assert_eq(store_responses(&contract, 1, &status, 1), 0);
        cr_assert_null(lease_all(&contract, 1));
    }
    close_store();
}

static uint64_t wait_for_hint(uint64_t agent)
{
    usec_t start = clock_monotonic(&clock_system);
    while (!store_may_have_queued(contract.store, test_agent(agent))) {
        usleep(5000);
        cr_assert_lt(clock_monotonic(&clock_system) - start, 30 * USEC_PER_SEC);
    }
    return (uint64_t)(clock_monotonic(&clock_system) - start);
}

static unsigned changed_agents;

static void note_changed(void *context, struct store_agent_id agent)
{
    (void)context;
    changed_agents |= 1U << agent.bytes[7];
}

/* The child outlives its fork() by opening a store of its own before this process has one. */
Test(store_sqlite_processes, a_running_process_hears_of_requests_and_agents)
{
    int go[2];
    int done[2];
    char byte = 0;
    enrol_agents(2);
    cr_assert_eq(pipe2(go, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(done, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        open_store();
        if (read(go[0], &byte, 1) != 1) {
            _exit(1);
        }
        send_to_agent_1();
        if (store_set_state(contract.store, test_agent(2), STORE_FORGOTTEN, NULL) != 1) {
            _exit(1);
        }
        (void)!write(done[1], &byte, 1);
        close_store();
        _exit(0);
    }
    open_store();
    store_watch_agents(contract.store, note_changed, NULL);
    cr_assert_not(store_may_have_queued(contract.store, test_agent(1)));
    cr_assert_eq(write(go[1], &byte, 1), 1);
    cr_assert_eq(read(done[0], &byte, 1), 1);
    cr_log_info("heard after %llu us", (unsigned long long)wait_for_hint(1));
    cr_assert_eq(changed_agents, 1U << 2);
    cr_assert_eq(LENGTH(lease_all(&contract, 1)), 1);
    waitpid(child, NULL, 0);
    close_store();
}

/* Four processes take the same work. */
Test(store_sqlite_processes, takers_never_get_the_same)
{
    SKIP_UNLESS_CHILDREN_MAY_QUEUE();
    enum { ITEMS = 300, TAKERS = 4 };
    int ends[2];
    uint64_t id;
    unsigned taken[ITEMS + 1] = {0};
    enrol_agents(1);
    open_store();
    for (uint64_t i = 1; i <= ITEMS; i++) {
        struct store_message message = test_message(i, 0);
        cr_assert_eq(store_messages(&contract, 1, &message, 1), 0);
    }
    close_store();
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < TAKERS; i++) {
        if (fork() == 0) {
            struct store_work *work = NULL;
            open_store();
            do {
                if (store_take_work(contract.store, 2, USEC_PER_MINUTE, &contract.arena, &work,
                                    NULL) < 0) {
                    _exit(1);
                }
                for (struct store_work *at = work; at; at = at->next) {
                    (void)!write(ends[1], &at->id, sizeof at->id);
                    if (store_acknowledge_work(contract.store, at->id, at->takes, NULL) < 0) {
                        _exit(1);
                    }
                }
            } while (work != NULL);
            close_store();
            _exit(0);
        }
    }
    close(ends[1]);
    while (read(ends[0], &id, sizeof id) == sizeof id) {
        taken[id]++;
    }
    for (int i = 0; i < TAKERS; i++) {
        int status = -1;
        wait(&status);
        cr_assert_eq(status, 0);
    }
    for (int i = 1; i <= ITEMS; i++) {
        cr_assert_eq(taken[i], 1);
    }
}

/* ---- a writer that was stopped ---- */

static int stop_here(struct store *store, struct sqlite_link *link, void *context)
{
    (void)store;
    (void)link;
    (void)context;
    raise(SIGSTOP);
    return 0;
}

/* A child that stands still in the middle of a transaction. */
static pid_t start_stopped_writer(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        open_store();
        int r = sqlite_write(contract.store, STORE_DURABLE, stop_here, NULL, &contract.error);
        _exit(r == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(status));
    return pid;
}

static void wake(pid_t pid)
{
    int status = 0;
    kill(pid, SIGCONT);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static usec_t now(void)
{
    return clock_monotonic(&clock_system);
}

#define PATIENCE (300 * USEC_PER_MSEC)
/* What other processes of a busy machine may add. */
#define SLACK (2 * USEC_PER_SEC)

Test(store_sqlite_processes, a_stopped_writer_blocks_nobody_for_longer_than_the_timeout)
{
    open_store();
    enrol(&contract, 1);
    store_set_busy_timeout(contract.store, PATIENCE);
    pid_t writer = start_stopped_writer();
    usec_t began = now();
    cr_assert_eq(commit_one(1, 1), -EBUSY);
    cr_expect_geq(now() - began, PATIENCE);
    cr_expect_lt(now() - began, PATIENCE + SLACK);
    cr_expect_not_null(strstr(contract.error.message, "busy_timeout"), "%s",
                       contract.error.message);
    cr_assert_eq(count_messages(&contract, 1), 0); /* readers are not kept waiting */
    cr_expect_eq(store_check(contract.store, &contract.error), -EBUSY);
    wake(writer);
    cr_assert_eq(commit_one(1, 2), 0, "%s", contract.error.message);
    cr_assert_eq(store_check(contract.store, &contract.error), 0);
    cr_assert_eq(count_messages(&contract, 1), 2);
    close_store();
}

Test(store_sqlite_processes, who_waited_in_vain_does_not_keep_the_others_out)
{
    open_store();
    enrol(&contract, 1);
    store_set_busy_timeout(contract.store, PATIENCE);
    pid_t writer = start_stopped_writer();
    cr_assert_eq(commit_one(1, 1), -EBUSY);
    wake(writer);
    sleep_for(100 * USEC_PER_MSEC); /* our place in the queue comes up now, and nobody wants it */
    pid_t other = fork();
    if (other == 0) {
        open_store();
        store_set_busy_timeout(contract.store, SLACK);
        _exit(commit_one(1, 3) == 0 ? 0 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(other, &status, 0), other);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close_store();
}

Test(store_sqlite_processes, after_the_first_the_others_learn_sooner_that_a_writer_is_stuck)
{
    open_store();
    enrol(&contract, 1);
    store_set_busy_timeout(contract.store, PATIENCE);
    pid_t writer = start_stopped_writer();
    cr_assert_eq(commit_one(1, 1), -EBUSY);
    usec_t began = now();
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(commit_one(1, 2 + i), -EBUSY);
    }
    cr_expect_lt(now() - began, 3 * PATIENCE);
    wake(writer);
    close_store();
}

Test(store_sqlite_processes, a_store_can_be_closed_while_it_waits)
{
    open_store();
    enrol(&contract, 1);
    store_set_busy_timeout(contract.store, PATIENCE);
    pid_t writer = start_stopped_writer();
    cr_assert_eq(commit_one(1, 1), -EBUSY);
    usec_t began = now();
    close_store();
    cr_expect_lt(now() - began, SLACK);
    wake(writer);
}

Test(store_sqlite_processes, opening_fails_in_time_when_a_writer_is_stopped)
{
    struct store *store = NULL;
    struct store_sqlite_settings settings = {
        .directory = directory, .clock = &clock_system, .busy_timeout = PATIENCE};
    open_store();
    close_store();
    pid_t writer = start_stopped_writer();
    usec_t began = now();
    cr_assert_eq(store_sqlite_open_with(&settings, &store, &contract.error), -EBUSY);
    cr_expect_lt(now() - began, PATIENCE + SLACK);
    wake(writer);
    cr_assert_eq(store_sqlite_open_with(&settings, &store, &contract.error), 0);
    store_free(store);
}

static atomic_int refused;

static void *commit_in_a_thread(void *context)
{
    struct error error = {.line = 0};
    struct store_message message = test_message(*(uint64_t *)context, 0);
    struct store_bundle bundle = {.agent = test_agent(1), .messages = &message, .message_count = 1};
    struct store_commit commit = {.bundle = &bundle};
    refused += store_commit(contract.store, &commit, 1, STORE_DURABLE, &error) == -EBUSY;
    return NULL;
}

Test(store_sqlite_processes, threads_wait_no_longer_than_the_timeout_either)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];
    open_store();
    enrol(&contract, 1);
    store_set_busy_timeout(contract.store, PATIENCE);
    pid_t writer = start_stopped_writer();
    usec_t began = now();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = (uint64_t)i + 1;
        cr_assert_eq(pthread_create(&threads[i], NULL, commit_in_a_thread, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_expect_eq(refused, THREADS);
    /* Not one after the other. */
    cr_expect_lt(now() - began, PATIENCE + SLACK);
    wake(writer);
    cr_assert_eq(commit_one(1, 100), 0);
    close_store();
}
