/* SPDX-License-Identifier: Apache-2.0 */
/* SLO expressions from any bytes: mistakes have a place within the text, and what is accepted can
 * be judged and told. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "slo.h"

static void check_clause(const struct slo_clause *clause, const struct slo_outcome *outcome)
{
    char text[256];
    CHECK(clause->metric != NULL && isfinite(clause->limit) && clause->limit >= 0);
    CHECK(slo_clause_format(clause, text, sizeof text) > 0);
    CHECK(slo_actual_format(clause, outcome, text, sizeof text) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const reasons[] = {"timeout", "wrong-nonce", NULL};
    static struct results *results;
    static struct slo slo;
    struct slo_outcome outcomes[SLO_CLAUSES_MAX];
    struct error error = {.line = 0};
    if (results == NULL) {
        results = results_new();
        CHECK(results != NULL);
        histogram_record(&results->latency, 1000);
        results->totals.ok = 1;
    }
    struct str text = str_make((const char *)data, size);
    if (slo_parse(text, size % 2 == 0 ? reasons : NULL, &slo, &error) < 0) {
        CHECK(error.column <= size + 1 && error.message[0] != '\0');
        return 0;
    }
    CHECK(slo.count > 0 && slo.count <= SLO_CLAUSES_MAX);
    (void)slo_evaluate(&slo, results, outcomes);
    for (size_t i = 0; i < slo.count; i++) {
        check_clause(&slo.clauses[i], &outcomes[i]);
    }
    return 0;
}
