/* SPDX-License-Identifier: Apache-2.0 */
/* The summary on the terminal. */

#include "report.h"
#include "slo.h"
#include "words.h"

static void print_histogram(const char *name, const struct histogram *histogram, FILE *out)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    usec_t values[ARRAY_LEN(quantiles)];
    if (histogram_count(histogram) == 0) {
        return;
    }
    histogram_quantiles(histogram, quantiles, ARRAY_LEN(quantiles), values);
    fprintf(out, "%-12s", name);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        char text[WORDS_SIZE];
        words_duration((double)values[i], text, sizeof text);
        fprintf(out, "%10s", text);
    }
    fputc('\n', out);
}

static void print_phase(const struct phase_result *phase, FILE *out)
{
    const usec_t times[] = {phase->p50, phase->p99, phase->max};
    char rate[WORDS_SIZE];
    char failed[WORDS_SIZE];
    double seconds = (double)phase->duration / USEC_PER_SEC;
    words_number(seconds > 0 ? (double)phase->ok / seconds : 0, rate, sizeof rate);
    words_count(phase->failed, failed, sizeof failed);
    fprintf(out, "%-16.16s%10s%10s", phase->name, rate, failed);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char text[WORDS_SIZE];
        words_duration((double)times[i], text, sizeof text);
        fprintf(out, "%10s", phase->ok > 0 ? text : "-");
    }
    fprintf(out, "%9.1f us%s\n", phase->ok > 0 ? (double)phase->cpu / (double)phase->ok : 0,
            phase->is_measured ? "" : "   (not measured)");
}

/* One phase is the whole run, which is told anyway. */
static void print_phases(const struct results *results, FILE *out)
{
    if (results->phase_count < 2) {
        return;
    }
    fprintf(out, "\n%-16s%10s%10s%10s%10s%10s%12s\n", "phase", "per sec", "failed", "p50", "p99",
            "max", "own CPU");
    for (size_t i = 0; i < results->phase_count; i++) {
        print_phase(&results->phases[i], out);
    }
}

static void print_count(const char *name, uint64_t count, FILE *out)
{
    char text[WORDS_SIZE];
    words_count(count, text, sizeof text);
    fprintf(out, "  %14s  %s\n", text, name);
}

static void print_traffic(const struct results *results, FILE *out)
{
    char rate[WORDS_SIZE];
    char span[WORDS_SIZE];
    char sent[WORDS_SIZE];
    char received[WORDS_SIZE];
    char count[WORDS_SIZE];
    words_number(results_rate(results), rate, sizeof rate);
    words_span(results->run.duration, span, sizeof span);
    words_bytes((double)results->totals.bytes_sent, sent, sizeof sent);
    words_bytes((double)results->totals.bytes_received, received, sizeof received);
    words_count(results->totals.ok, count, sizeof count);
    fprintf(out, "%s answers in %s, %s per second; %s sent, %s received\n", count, span, rate, sent,
            received);
}

static void print_totals(const struct results *results, FILE *out)
{
    for (size_t i = 0; i < total_count(); i++) {
        const struct total *total = total_at(i);
        uint64_t value = total_get(&results->totals, total);
        bool is_of_bytes = str_starts_with(str_from(total->name), STR("bytes_"));
        bool is_of_ledger = results->ledger_is_checked &&
                            (total->offset == offsetof(struct totals, messages_lost) ||
                             total->offset == offsetof(struct totals, messages_duplicated));
        if (!is_of_bytes && (value > 0 || is_of_ledger)) {
            print_count(total->words, value, out);
        }
    }
}

static void print_failures(const struct results *results, FILE *out)
{
    print_count(results_failed(results) == 0 ? "failures" : "failures:", results_failed(results),
                out);
    for (size_t i = 0; i < results->failure_count; i++) {
        const struct failure *failure = &results->failures[i];
        char text[WORDS_SIZE];
        words_count(failure->count, text, sizeof text);
        fprintf(out, "    %14s  %s%s%s\n", text, failure->name,
                failure->words[0] == '\0' ? "" : ": ", failure->words);
    }
}

static void print_events(const struct results *results, FILE *out)
{
    for (size_t i = 0; i < results->event_count; i++) {
        const struct event_outcome *event = &results->events[i];
        char at[WORDS_SIZE];
        words_span(event->at, at, sizeof at);
        fprintf(out, "%s at %s: \"%s\" %s\n", event->event, at, event->command, event->outcome);
    }
}

static void print_cost(const struct results *results, FILE *out)
{
    usec_t cpu = results->run.cpu_user + results->run.cpu_system;
    if (cpu > 0 && results->totals.ok > 0) {
        char rss[WORDS_SIZE];
        words_bytes((double)results->run.rss_bytes, rss, sizeof rss);
        fprintf(out, "generator: %.1f us of CPU for each answer, %s of memory\n",
                (double)cpu / (double)results->totals.ok, rss);
    }
}

static void print_slo(const struct results *results, FILE *out)
{
    struct slo slo;
    struct slo_outcome outcomes[SLO_CLAUSES_MAX];
    if (results->run.slo[0] != '\0' &&
        slo_parse(str_from(results->run.slo), NULL, &slo, NULL) == 0) {
        (void)slo_evaluate(&slo, results, outcomes);
        fputc('\n', out);
        slo_print(&slo, outcomes, out);
    }
}

void report_write_text(const struct results *results, FILE *out)
{
    print_traffic(results, out);
    fprintf(out, "\n%-12s%10s%10s%10s%10s%10s\n", "", "p50", "p90", "p99", "p99.9", "max");
    print_histogram("latency", &results->latency, out);
    print_histogram("service", &results->service, out);
    print_histogram("enrolment", &results->enrolment, out);
    print_histogram("lateness", &results->lateness, out);
    print_phases(results, out);
    fputc('\n', out);
    print_totals(results, out);
    print_failures(results, out);
    print_events(results, out);
    print_cost(results, out);
    print_slo(results, out);
    if (!results_events_are_well(results)) {
        fputs("\nNot well: what was to be done to the servers was not done, see above\n", out);
    }
    if (!results->is_valid) {
        fprintf(out, "\nThis run is INVALID and says nothing about the server: %s\n",
                results->invalid_reason);
    }
}
