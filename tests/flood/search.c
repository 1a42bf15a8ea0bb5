/* SPDX-License-Identifier: Apache-2.0 */
/* See search.h. */
#include "search.h"

#include "capacity.h"
#include "commands.h"
#include "engine.h"
#include "words.h"

#define PRECISION 0.05

struct hunt {
    const struct search *search;
    struct trial trials[FINDING_TRIALS_MAX];
    struct finding finding;
    struct results *best; /* owned; NULL: no trial yet */
};

static enum trial_verdict judge_trial(const struct search *search, const struct results *results)
{
    if (!results->is_valid) {
        return TRIAL_INVALID;
    }
    return slo_evaluate(search->slo, results, NULL) == SLO_MET ? TRIAL_MET : TRIAL_MISSED;
}

/* "p99 < 50 ms: 61 ms"; of the first clause that was not met. */
static void describe_miss(const struct search *search, const struct results *results, char *out,
                          size_t size)
{
    struct slo_outcome outcomes[SLO_CLAUSES_MAX];
    (void)slo_evaluate(search->slo, results, outcomes);
    for (size_t i = 0; i < search->slo->count; i++) {
        if (outcomes[i].verdict != SLO_MET) {
            char clause[SLO_METRIC_MAX + WORDS_SIZE];
            char actual[WORDS_SIZE];
            slo_clause_format(&search->slo->clauses[i], clause, sizeof clause);
            slo_actual_format(&search->slo->clauses[i], &outcomes[i], actual, sizeof actual);
            snprintf(out, size, "%s was %s", clause, actual);
            return;
        }
    }
}

static void note_trial(struct hunt *hunt, double rate, const struct results *results)
{
    struct finding *finding = &hunt->finding;
    struct trial *trial = &hunt->trials[finding->count];
    struct finding_trial *note = &finding->trials[finding->count++];
    *trial = (struct trial){.rate = rate, .verdict = judge_trial(hunt->search, results)};
    *note = (struct finding_trial){.rate = rate,
                                   .p99 = histogram_quantile(&results->latency, 0.99),
                                   .failed = results_failed(results)};
    switch (trial->verdict) {
    case TRIAL_MET:
        RUN_TEXT(note->verdict, "met");
        break;
    case TRIAL_MISSED:
        RUN_TEXT(note->verdict, "missed");
        describe_miss(hunt->search, results, note->why, sizeof note->why);
        break;
    case TRIAL_INVALID:
        RUN_TEXT(note->verdict, "invalid");
        RUN_TEXT(note->why, results->invalid_reason);
        break;
    }
    FILE *out = hunt->search->arguments->out;
    fprintf(out, "%.0f/s: %s (p99 %.1f ms, %llu failed)%s%s\n", rate, note->verdict,
            (double)note->p99 / 1000, (unsigned long long)note->failed,
            note->why[0] == '\0' ? "" : ": ", note->why);
    fflush(out);
}

/* One that met the SLO gives way only to one that did so at no lower a rate, until a rate is missed
 * after all. */
static void keep_best(struct hunt *hunt, struct results **results)
{
    struct finding *finding = &hunt->finding;
    bool is_met = hunt->trials[finding->count - 1].verdict == TRIAL_MET;
    double rate = finding->trials[finding->count - 1].rate;
    if (!is_met && rate <= finding->best_met) {
        finding->best_met = 0;
    }
    if (hunt->best == NULL || (is_met && (finding->best_met == 0 || rate >= finding->best_met)) ||
        (!is_met && finding->best_met == 0)) {
        results_free(hunt->best);
        hunt->best = *results;
        *results = NULL;
        finding->best_met = is_met ? rate : 0;
    }
}

static int try_rate(struct hunt *hunt, double rate)
{
    struct results *results = results_new();
    if (results == NULL) {
        return arguments_fail(hunt->search->arguments, "no memory");
    }
    int status = hunt->search->run(hunt->search->context, rate, results);
    if (status == 0 && !engine_was_interrupted()) {
        note_trial(hunt, rate, results);
        keep_best(hunt, &results);
    }
    results_free(results);
    return status;
}

/* What the lowest rate that was not met says. */
static void find_limit(struct finding *finding, double above)
{
    for (size_t i = 0; i < finding->count; i++) {
        if (finding->trials[i].rate == above && finding->trials[i].why[0] != '\0') {
            RUN_TEXT(finding->limit, finding->trials[i].why);
        }
    }
}

static void tell(struct finding *finding, const struct capacity_step *step, FILE *out)
{
    finding->above = step->above;
    finding->rate = step->state == CAPACITY_NONE ? 0 : step->rate;
    find_limit(finding, step->above);
    switch (step->state) {
    case CAPACITY_FOUND:
        RUN_TEXT(finding->outcome, "found");
        fprintf(out, "capacity: %.0f/s meets the SLO, twice", step->rate);
        break;
    case CAPACITY_NONE:
        RUN_TEXT(finding->outcome, "none");
        fputs("capacity: even the lowest rate misses the SLO", out);
        break;
    case CAPACITY_GENERATOR:
        RUN_TEXT(finding->outcome, "generator");
        fputs("capacity: the generator can do no more", out);
        if (step->rate > 0) {
            fprintf(out, ", at least %.0f/s", step->rate);
        }
        break;
    case CAPACITY_UNSETTLED:
    case CAPACITY_TRY:
        RUN_TEXT(finding->outcome, "unsettled");
        if (step->rate > 0) {
            fprintf(out, "capacity: %.0f/s or more", step->rate);
        } else {
            fputs("capacity: not known", out);
        }
        break;
    }
    if (step->above > 0 && step->state != CAPACITY_NONE) {
        fprintf(out, "; %.0f/s does not%s%s", step->above, finding->limit[0] == '\0' ? "" : ": ",
                finding->limit);
    }
    fputs("\n\n", out);
}

static int leave_report(struct hunt *hunt, enum capacity_state state)
{
    hunt->best->finding = hunt->finding;
    int status = conclude(hunt->search->arguments, hunt->best);
    switch (state) {
    case CAPACITY_NONE:
    case CAPACITY_TRY:
        return EXIT_STATUS_FAILED;
    case CAPACITY_GENERATOR:
        return EXIT_STATUS_INVALID;
    default:
        return status;
    }
}

int search_capacity(const struct search *search)
{
    struct hunt hunt = {.search = search};
    const struct capacity_limits limits = {.start = search->start,
                                           .min = 1,
                                           .max = 10e6,
                                           .precision = PRECISION,
                                           .trials_max = FINDING_TRIALS_MAX};
    struct capacity_step step = {.state = CAPACITY_TRY, .rate = search->start};
    int status = 0;
    while (status == 0 && !engine_was_interrupted()) {
        step = capacity_next(&limits, hunt.trials, hunt.finding.count);
        if (step.state != CAPACITY_TRY || hunt.finding.count == FINDING_TRIALS_MAX) {
            break;
        }
        status = try_rate(&hunt, step.rate);
    }
    if (step.state == CAPACITY_TRY) {
        step.rate = hunt.finding.best_met; /* what is known when it was interrupted */
    }
    if (status == 0 && hunt.best != NULL) {
        tell(&hunt.finding, &step, search->arguments->out);
        status = leave_report(&hunt, step.state);
    } else if (status == 0) {
        status = EXIT_STATUS_FAILED;
    }
    results_free(hunt.best);
    return status;
}
