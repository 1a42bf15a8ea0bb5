/* SPDX-License-Identifier: Apache-2.0 */
/* The whole search, against a server that refuses what is beyond its capacity. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "flood_server.h"
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

static int search(uint16_t port, const char *directory, const char *keys, char *said)
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
                           "--json",
                           json};
    char *argv[ARRAY_LEN(words) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        argv[i] = (char *)(uintptr_t)words[i];
    }
    FILE *out = fmemopen(said, SAID_MAX, "w");
    FILE *err = fopen("/dev/null", "w");
    CHECK(out != NULL && err != NULL);
    int status = flood_run(ARRAY_LEN(words), argv, out, err);
    fclose(out);
    fclose(err);
    return status;
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
    int status = search(flood_server_port(server), directory, keys, said);
    const char *found = strstr(said, "capacity: ");
    cr_assert_not_null(found, "%s", said);
    double rate = 0;
    /* Status 3 and "at least": the machine is too busy for the generator. */
    if (status == 0 && sscanf(found, "capacity: %lf/s meets", &rate) == 1) {
        cr_expect(rate >= 50 && rate <= 1.1 * CAPACITY, "%s", said);
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
    flood_server_stop(server);
    identities_free(identities);
    remove_temporary_directory(directory);
}
