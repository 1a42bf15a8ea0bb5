/* SPDX-License-Identifier: Apache-2.0 */
/* The whole search, against a server that refuses what is beyond its capacity. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flood_server.h"
#include "ledger.h"
#include "program.h"
#include "support/support.h"

enum {
    AGENTS = 4,
    RATE = 100,
    BURST = 30,
    SAID_MAX = 16384,
    /* What half a second can bring without a refusal: 100/s, and the burst. */
    CAPACITY = RATE + 2 * BURST
};

/* `more`: one word, or NULL. */
static int search(uint16_t port, const char *directory, const char *keys, const char *more,
                  char *said)
{
    char url[64];
    char json[512];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    snprintf(json, sizeof json, "%s/report.json", directory);
    const char *words[] = {"portico-flood",
                           "run",
                           "--url",
                           url,
                           "--keys",
                           keys,
                           "--agents",
                           "4",
                           "--rate",
                           "50",
                           "--duration",
                           "500ms",
                           "--slo",
                           "errors=0",
                           "--find-capacity",
                           "--threads",
                           "1",
                           "--messages",
                           "1",
                           "--json",
                           json,
                           more};
    char *argv[ARRAY_LEN(words) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        argv[i] = (char *)(uintptr_t)words[i];
    }
    FILE *out = fmemopen(said, SAID_MAX, "w");
    FILE *err = fopen("/dev/null", "w");
    CHECK(out != NULL && err != NULL);
    int count = (int)ARRAY_LEN(words) - (more == NULL);
    int status = flood_run(count, argv, out, err);
    fclose(out);
    fclose(err);
    return status;
}

static int order(const void *left, const void *right)
{
    const struct ledger_record *a = left;
    const struct ledger_record *b = right;
    if (a->agent != b->agent) {
        return a->agent < b->agent ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

/* No message of one trial has the number of another's: the store could not tell them apart. */
static void expect_no_number_twice(const char *directory)
{
    char path[512];
    struct ledger_view view;
    snprintf(path, sizeof path, "%s/report.json.ledger", directory);
    cr_assert_eq(ledger_open(path, &view, NULL), 0);
    struct ledger_record *records = calloc(view.count + 1, sizeof *records);
    cr_assert_not_null(records);
    cr_expect_gt(view.count, AGENTS);
    memcpy(records, view.records, view.count * sizeof *records);
    qsort(records, view.count, sizeof *records, order);
    for (size_t i = 1; i < view.count; i++) {
        cr_assert_neq(order(&records[i - 1], &records[i]), 0, "number %u", records[i].number);
    }
    free(records);
    ledger_view_done(&view);
}

Test(search, is_not_verified_in_passing)
{
    static char said[SAID_MAX];
    cr_expect_eq(search(9, "/nowhere", "/nowhere/keys", "--verify", said), 2);
}

Test(search, finds_what_a_server_can_do, .timeout = 100)
{
    static char said[SAID_MAX];
    char keys[512];
    struct identities *identities = NULL;
    char *directory = make_temporary_directory();
    snprintf(keys, sizeof keys, "%s/keys", directory);
    CHECK(identities_make(AGENTS, 2, &identities, NULL) == 0);
    CHECK(identities_save(identities, keys, NULL) == 0);
    const struct flood_server_options options = {
        .identities = identities, .lie = LIE_NONE, .rate = RATE, .burst = BURST};
    struct flood_server *server = flood_server_start(&options);
    int status = search(flood_server_port(server), directory, keys, NULL, said);
    const char *found = strstr(said, "capacity: ");
    cr_assert_not_null(found, "%s", said);
    double rate = 0;
    /* Status 3 and "at least": the machine is too busy for the generator. */
    if (status == 0 && sscanf(found, "capacity: %lf/s meets", &rate) == 1) {
        cr_expect(rate > 0 && rate <= 1.1 * CAPACITY, "%s", said);
        cr_expect_not_null(strstr(found, "errors = 0 was "), "%s", said);
    } else {
        cr_expect_eq(status, 3, "%s", said);
    }
    size_t len;
    char path[512];
    snprintf(path, sizeof path, "%s/report.json", directory);
    char *report = read_file(path, &len);
    cr_expect_not_null(strstr(report, "\"capacity\": {\"outcome\""));
    free(report);
    expect_no_number_twice(directory);
    flood_server_stop(server);
    identities_free(identities);
    remove_temporary_directory(directory);
}
