/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from several threads to a file: none is lost, none is torn, nobody waits. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accesslog.h"
#include "base/log.h"
#include "net/loop.h"
#include "records.h"
#include "support/support.h"

static struct counters *counters;
static struct accesslog *accesslog;
static char *directory;
static char path[512];

static void set_up(void)
{
    struct error error;
    static const struct log_settings settings = {
        .fd = STDERR_FILENO, .level = LOG_LEVEL_ERROR, .format = LOG_FORMAT_KEY_VALUE};
    log_configure(&settings);
    counters = counters_new();
    accesslog = accesslog_new(&error);
    cr_assert_not_null(accesslog, "%s", error.message);
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/access.log", directory);
}

static void tear_down(void)
{
    accesslog_free(accesslog);
    counters_free(counters);
    remove_temporary_directory(directory);
}

TestSuite(accesslog, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_log(const char *name)
{
    struct error error;
    cr_assert_eq(accesslog_open(accesslog, name, ACCESSLOG_JSON, &error), 0, "%s", error.message);
}

/* The writer has done all that was asked before; it ends. */
static void finish(void)
{
    accesslog_free(accesslog);
    accesslog = NULL;
}

static int64_t dropped(void)
{
    return counters_value(counters, COUNTER_LOG_DROPPED);
}

/* One worker that writes `count` lines, number by number, turning its loop now and then. */
struct writer {
    pthread_t thread;
    uint64_t number, count;
    usec_t longest; /* call */
};

static void write_lines(struct accesslog_shard *shard, struct loop *loop, struct writer *writer)
{
    struct record record = make_record(NULL, NULL);
    record.connection = writer->number;
    for (uint64_t i = 0; i < writer->count; i++) {
        record.bytes_in = i;
        usec_t before = clock_monotonic(&clock_system);
        accesslog_write(shard, &record);
        usec_t took = clock_monotonic(&clock_system) - before;
        writer->longest = took > writer->longest ? took : writer->longest;
        if (i % 64 == 0) {
            cr_assert_eq(loop_turn(loop, 0), 0);
        }
    }
}

static void *run_writer(void *argument)
{
    struct error error;
    struct loop *loop = loop_new(&clock_system, &error);
    struct accesslog_shard *shard = accesslog_shard_new(accesslog, loop, counters_shard(counters));
    write_lines(shard, loop, argument);
    accesslog_shard_free(shard);
    loop_free(loop);
    return NULL;
}

static void run_writers(struct writer *writers, size_t count, uint64_t lines)
{
    for (size_t i = 0; i < count; i++) {
        writers[i] = (struct writer){.number = i, .count = lines};
        pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]);
    }
}

static void join_writers(struct writer *writers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pthread_join(writers[i].thread, NULL);
    }
}

/* Whole lines in the file; each writer's numbers rise. */
static uint64_t count_whole_lines(const char *name, uint64_t next[])
{
    size_t len;
    uint64_t count = 0;
    char *text = read_file(name, &len);
    struct str rest = str_make(text, len);
    struct str line;
    cr_assert_not_null(text);
    while (rest.len > 0 && str_split(&rest, '\n', &line)) {
        char copy[1024];
        unsigned long long number, bytes;
        snprintf(copy, sizeof copy, "%.*s", STR_ARG(line));
        const char *connection = strstr(copy, "\"connection\":");
        const char *bytes_in = strstr(copy, "\"bytes_in\":");
        cr_assert(str_starts_with(line, STR("{\"time\"")) && str_ends_with(line, STR("}")), "%s",
                  copy);
        cr_assert_eq(sscanf(connection, "\"connection\":%llu", &number), 1);
        cr_assert_eq(sscanf(bytes_in, "\"bytes_in\":%llu", &bytes), 1);
        cr_assert_geq(bytes, next[number]);
        next[number] = bytes + 1;
        count++;
    }
    free(text);
    return count;
}

Test(accesslog, lines_of_all_threads_are_written_whole_and_in_order)
{
    struct writer writers[3];
    uint64_t next[3] = {0};
    open_log(path);
    run_writers(writers, 3, 4000);
    join_writers(writers, 3);
    finish();
    cr_expect_eq(count_whole_lines(path, next) + (uint64_t)dropped(), 12000);
    cr_expect_gt(next[0], 0);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777 & ~0640, 0);
}

/* A worker of this thread. */
static struct loop *loop;
static struct accesslog_shard *shard;

static void begin_worker(void)
{
    struct error error;
    loop = loop_new(&clock_system, &error);
    shard = accesslog_shard_new(accesslog, loop, counters_shard(counters));
}

static void end_worker(void)
{
    accesslog_shard_free(shard);
    loop_free(loop);
}

static void write_some(uint64_t count)
{
    struct writer writer = {.count = count};
    write_lines(shard, loop, &writer);
    cr_expect_lt(writer.longest, USEC_PER_SEC, "a worker waited");
}

/* Turn the loop until `is_done`, for at most five seconds. */
static bool wait_until(bool (*is_done)(void))
{
    usec_t end = clock_monotonic(&clock_system) + 5 * USEC_PER_SEC;
    while (!is_done() && clock_monotonic(&clock_system) < end) {
        cr_assert_eq(loop_turn(loop, 10 * USEC_PER_MSEC), 0);
    }
    return is_done();
}

static bool file_has_something(void)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_size > 0;
}

Test(accesslog, a_single_line_is_written_soon)
{
    open_log(path);
    begin_worker();
    write_some(1);
    usec_t start = clock_monotonic(&clock_system);
    cr_expect(wait_until(file_has_something));
    cr_expect_lt(clock_monotonic(&clock_system) - start, USEC_PER_SEC);
    end_worker();
}

Test(accesslog, nothing_is_written_when_it_is_off)
{
    begin_worker();
    write_some(10);
    open_log(path);
    open_log("");
    write_some(10);
    end_worker();
    finish();
    cr_expect_not(file_has_something());
    cr_expect_eq(dropped(), 0);
}

Test(accesslog, a_moved_file_is_left_whole_and_a_new_one_begun)
{
    struct writer writers[2];
    uint64_t next[2] = {0};
    uint64_t count = 0;
    char moved[8][600];
    struct error error;
    open_log(path);
    run_writers(writers, 2, 3000);
    for (int i = 0; i < 8; i++) {
        snprintf(moved[i], sizeof moved[i], "%s.%d", path, i);
        sleep_for(2 * USEC_PER_MSEC);
        cr_assert_eq(rename(path, moved[i]), 0);
        cr_assert_eq(accesslog_reopen(accesslog, &error), 0);
    }
    join_writers(writers, 2);
    finish();
    for (int i = 0; i < 8; i++) {
        count += count_whole_lines(moved[i], next);
    }
    count += count_whole_lines(path, next);
    cr_expect_eq(count + (uint64_t)dropped(), 6000);
}

Test(accesslog, a_path_that_cannot_be_opened_changes_nothing)
{
    struct error error;
    uint64_t next[1] = {0};
    open_log(path);
    cr_expect_eq(accesslog_open(accesslog, "/nonexistent/x", ACCESSLOG_HUMAN, &error), -ENOENT);
    cr_expect_not_null(strstr(error.message, "/nonexistent/x"));
    cr_expect_eq(accesslog_open(accesslog, directory, ACCESSLOG_HUMAN, &error), -EISDIR);
    begin_worker();
    write_some(3);
    end_worker();
    finish();
    cr_expect_eq(count_whole_lines(path, next), 3);
}

static bool five_were_dropped(void)
{
    return dropped() == 5;
}

static bool something_was_dropped(void)
{
    return dropped() > 0;
}

Test(accesslog, a_full_disk_drops_and_counts_and_recovers)
{
    uint64_t next[1] = {0};
    open_log("/dev/full");
    begin_worker();
    write_some(5);
    cr_expect(wait_until(five_were_dropped), "%lld", (long long)dropped());
    open_log(path);
    write_some(4);
    end_worker();
    finish();
    cr_expect_eq(count_whole_lines(path, next), 4);
    cr_expect_eq(dropped(), 5);
}

/* The limit of file sizes stands for a disk; it ends in the middle of a line. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(accesslog, a_line_that_was_cut_by_a_full_disk_is_left_alone)
{
    uint64_t next[1] = {0};
    size_t len;
    open_log(path);
    begin_worker();
    limit_files(700);
    write_some(5);
    cr_expect(wait_until(something_was_dropped));
    limit_files(RLIM_INFINITY);
    write_some(2);
    end_worker();
    finish();
    char *text = read_file(path, &len);
    char *rest = text + 700;
    cr_expect_eq(*rest, '\n', "the rest of the cut line is a line");
    char *name = write_file(directory, "rest", str_from(rest + 1));
    cr_expect_eq(count_whole_lines(name, next), 2);
    cr_expect_eq(dropped(), 4, "%lld", (long long)dropped());
    free(name);
    free(text);
}

Test(accesslog, a_fifo_without_a_reader_blocks_nobody)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    open_log(path);
    begin_worker();
    usec_t start = clock_monotonic(&clock_system);
    write_some(5000);
    cr_expect_lt(clock_monotonic(&clock_system) - start, 5 * USEC_PER_SEC);
    cr_expect_gt(dropped(), 0, "there are only so many batches");
    end_worker();
    start = clock_monotonic(&clock_system);
    finish();
    cr_expect_lt(clock_monotonic(&clock_system) - start, 4 * USEC_PER_SEC);
}

static void *read_all(void *argument)
{
    char bytes[4096];
    int fd = *(int *)argument;
    uint64_t lines = 0;
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            lines += bytes[i] == '\n';
        }
        sleep_for(200);
    }
    *(int *)argument = (int)lines;
    return NULL;
}

Test(accesslog, a_slow_reader_gets_every_line_that_was_not_dropped)
{
    pthread_t reader;
    cr_assert_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    fcntl(fd, F_SETFL, 0);
    int lines = fd;
    open_log(path);
    pthread_create(&reader, NULL, read_all, &lines);
    begin_worker();
    write_some(2000);
    end_worker();
    finish();
    pthread_join(reader, NULL);
    close(fd);
    cr_expect_eq(lines + dropped(), 2000, "%d + %lld", lines, (long long)dropped());
}

Test(accesslog, a_stuck_reader_is_left_by_opening_another_file)
{
    char other[600];
    uint64_t next[2] = {0};
    struct writer last = {.number = 1, .count = 1};
    snprintf(other, sizeof other, "%s.2", path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    open_log(path);
    begin_worker();
    write_some(1000); /* more than a pipe holds */
    open_log(other);
    write_lines(shard, loop, &last);
    end_worker();
    finish();
    cr_expect_gt(count_whole_lines(other, next), 0);
}

Test(accesslog, standard_output_is_a_path_too)
{
    int pipe_fds[2];
    char bytes[2048];
    cr_assert_eq(pipe(pipe_fds), 0);
    int saved = dup(STDOUT_FILENO);
    dup2(pipe_fds[1], STDOUT_FILENO);
    open_log("-");
    dup2(saved, STDOUT_FILENO);
    begin_worker();
    write_some(1);
    end_worker();
    finish();
    ssize_t n = read(pipe_fds[0], bytes, sizeof bytes);
    cr_expect_gt(n, 100);
    cr_expect_eq(bytes[0], '{');
}

static int reader_end;

static bool pipe_has_bytes(void)
{
    char byte;
    return read(reader_end, &byte, 1) == 1;
}

Test(accesslog, a_reader_that_went_away_may_come_back)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    reader_end = open(path, O_RDONLY | O_NONBLOCK);
    open_log(path);
    close(reader_end);
    begin_worker();
    write_some(1);
    cr_expect(wait_until(something_was_dropped));
    reader_end = open(path, O_RDONLY | O_NONBLOCK);
    write_some(1);
    cr_expect(wait_until(pipe_has_bytes));
    close(reader_end);
    end_worker();
}
