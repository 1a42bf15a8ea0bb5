/* SPDX-License-Identifier: Apache-2.0 */
/* What was written is read, in whole records or not at all. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/check.h"
#include "ledger.h"
#include "support/support.h"

enum { THREADS = 4, RECORDS = 10000 };

static char *directory;
static char path[512];
static struct ledger *ledger;

static void set_up(void)
{
    directory = make_temporary_directory();
    snprintf(path, sizeof path, "%s/ledger", directory);
    CHECK(ledger_new(path, 99, &ledger, NULL) == 0);
}

static void tear_down(void)
{
    remove_temporary_directory(directory);
}

TestSuite(ledger, .init = set_up, .fini = tear_down);

static void *write_some(void *argument)
{
    struct ledger_writer *writer = ledger_writer_new(ledger);
    CHECK(writer != NULL);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const struct ledger_record record = {.kind = LEDGER_MESSAGE,
                                             .number = i,
                                             .agent = (uint64_t)(uintptr_t)argument,
                                             .a = (uint64_t)(uintptr_t)argument ^ i};
        ledger_write(writer, &record);
    }
    ledger_writer_free(writer);
    return NULL;
}

Test(ledger, threads_do_not_mix_records)
{
    pthread_t threads[THREADS];
    uint32_t next[THREADS] = {0};
    struct ledger_view view;
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, write_some, (void *)i) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(ledger_close(ledger), 0);
    cr_assert_eq(ledger_open(path, &view, NULL), 0);
    cr_expect_eq(view.run, 99);
    cr_assert_eq(view.count, THREADS * RECORDS);
    for (size_t i = 0; i < view.count; i++) {
        const struct ledger_record *record = &view.records[i];
        cr_assert_lt(record->agent, THREADS);
        cr_assert_eq(record->number, next[record->agent]++);
        cr_assert_eq(record->a, record->agent ^ record->number);
    }
    ledger_view_done(&view);
}

Test(ledger, one_that_was_cut_is_refused)
{
    struct ledger_view view;
    write_some(NULL);
    cr_assert_eq(ledger_close(ledger), 0);
    cr_assert_eq(truncate(path, 32 * 100 + 7), 0);
    cr_expect_eq(ledger_open(path, &view, NULL), -EBADMSG);
    cr_assert_eq(truncate(path, 0), 0);
    cr_expect_eq(ledger_open(path, &view, NULL), -EBADMSG);
}

Test(ledger, flows_are_told_apart)
{
    cr_expect_neq(ledger_flow(STR("0123456789ABCDEF")), ledger_flow(STR("0123456789ABCDEE")));
    cr_assert_eq(ledger_close(ledger), 0);
}
