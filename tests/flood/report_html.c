/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML report: one page that needs no script, font or picture from elsewhere. What charts show
 * is in tables as well. */
#include <inttypes.h>

#include "report.h"
#include "report_page.h"
#include "report_svg.h"
#include "slo.h"
#include "words.h"

enum { TABLE_ROWS_MAX = 120 };

/* ---- Head ---- */

struct judgement {
    struct slo slo;
    struct slo_outcome outcomes[SLO_CLAUSES_MAX];
    enum slo_verdict verdict;
    bool has_slo;
};

static void judge(const struct results *results, struct judgement *judgement)
{
    judgement->slo.count = 0;
    judgement->has_slo = results->run.slo[0] != '\0' &&
                         slo_parse(str_from(results->run.slo), NULL, &judgement->slo, NULL) == 0;
    judgement->verdict = slo_evaluate(&judgement->slo, results, judgement->outcomes);
}

static void put_badge(FILE *out, const char *style, const char *words)
{
    fprintf(out, "<span class=\"badge %s\">", style);
    html_text(out, words);
    fputs("</span>", out);
}

static void put_badges(const struct results *results, const struct judgement *judgement, FILE *out)
{
    static const char *const words[] = {[SLO_MET] = "\xe2\x9c\x93 SLO met",
                                        [SLO_MISSED] = "\xe2\x9c\x97 SLO missed",
                                        [SLO_UNKNOWN] = "? SLO not judged"};
    static const char *const styles[] = {
        [SLO_MET] = "good", [SLO_MISSED] = "bad", [SLO_UNKNOWN] = "warn"};
    const struct totals *totals = &results->totals;
    fputs("<div>", out);
    if (!results->is_valid) {
        put_badge(out, "bad", "\xe2\x9c\x97 invalid run");
    } else if (judgement->has_slo) {
        put_badge(out, styles[judgement->verdict], words[judgement->verdict]);
    } else {
        put_badge(out, "good", "\xe2\x9c\x93 valid run");
    }
    if (results->ledger_is_checked) {
        bool is_clean = totals->messages_lost == 0 && totals->messages_duplicated == 0;
        put_badge(out, is_clean ? "good" : "bad",
                  is_clean ? "\xe2\x9c\x93 every acknowledged message stored once"
                           : "\xe2\x9c\x97 messages lost or duplicated");
    }
    if (!results->is_valid) {
        fputs("<p class=\"reason\">The figures below say nothing about the server: ", out);
        html_text(out, results->invalid_reason);
        fputs(".</p>", out);
    }
    fputs("</div>\n", out);
}

static void put_header(const struct results *results, const struct judgement *judgement, FILE *out)
{
    const struct run_description *run = &results->run;
    char time[WORDS_SIZE];
    char span[WORDS_SIZE];
    char agents[WORDS_SIZE];
    words_time(run->started, time, sizeof time);
    words_span(run->duration, span, sizeof span);
    words_count(run->agents, agents, sizeof agents);
    fputs("<header><h1>", out);
    html_text(out, run->scenario[0] == '\0' ? "Load test" : run->scenario);
    fputs(" \xe2\x86\x92 ", out);
    html_text(out, run->url);
    fputs("</h1><p>", out);
    if (run->agents > 0) {
        fprintf(out, "%s agents for ", agents);
    }
    fprintf(out, "%s, started %s on ", span, time);
    html_text(out, run->host);
    fputs("</p>", out);
    put_badges(results, judgement, out);
    fputs("</header>\n", out);
}

static void put_tile(FILE *out, const char *name, const char *value, bool is_bad)
{
    fprintf(out, "<div class=\"tile\"><dt>%s</dt><dd%s>%s</dd></div>\n", name,
            is_bad ? " class=\"bad\"" : "", value);
}

static void put_tiles(const struct results *results, FILE *out)
{
    static const struct {
        const char *name;
        double quantile;
    } latencies[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"slowest", 1}};
    char text[WORDS_SIZE];
    char rate[WORDS_SIZE + 2];
    words_number(results_rate(results), text, sizeof text);
    snprintf(rate, sizeof rate, "%s/s", text);
    fputs("<dl class=\"tiles\">\n", out);
    put_tile(out, "rate", rate, false);
    words_count(results->totals.ok, text, sizeof text);
    put_tile(out, "answers", text, false);
    words_count(results_failed(results), text, sizeof text);
    put_tile(out, "failures", text, results_failed(results) > 0);
    for (size_t i = 0; i < ARRAY_LEN(latencies); i++) {
        html_duration((double)histogram_quantile(&results->latency, latencies[i].quantile), text,
                      sizeof text);
        put_tile(out, latencies[i].name, histogram_count(&results->latency) > 0 ? text : "-",
                 false);
    }
    fputs("</dl>\n", out);
}

/* ---- Tables ---- */

static void put_slo(const struct judgement *judgement, FILE *out)
{
    if (!judgement->has_slo) {
        return;
    }
    fputs("<section><h2>Service level objectives</h2><table><thead><tr><th scope=\"col\">clause"
          "</th><th scope=\"col\" class=\"n\">measured</th><th scope=\"col\" class=\"n\">verdict"
          "</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < judgement->slo.count; i++) {
        char clause[SLO_METRIC_MAX + WORDS_SIZE];
        char actual[WORDS_SIZE];
        const char *verdict = slo_verdict_words(judgement->outcomes[i].verdict);
        slo_clause_format(&judgement->slo.clauses[i], clause, sizeof clause);
        slo_actual_format(&judgement->slo.clauses[i], &judgement->outcomes[i], actual,
                          sizeof actual);
        fputs("<tr><th scope=\"row\">", out);
        html_text(out, clause);
        fprintf(out, "</th><td class=\"n\">%s</td><td class=\"n %s\">%s</td></tr>\n", actual,
                verdict, verdict);
    }
    fputs("</tbody></table></section>\n", out);
}

static void put_quantile_row(const char *name, const struct histogram *histogram, FILE *out)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    usec_t values[ARRAY_LEN(quantiles)];
    if (histogram_count(histogram) == 0) {
        return;
    }
    histogram_quantiles(histogram, quantiles, ARRAY_LEN(quantiles), values);
    fprintf(out, "<tr><th scope=\"row\">%s</th>", name);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        char text[WORDS_SIZE];
        html_duration((double)values[i], text, sizeof text);
        fprintf(out, "<td class=\"n\">%s</td>", text);
    }
    fputs("</tr>\n", out);
}

static void put_quantiles(const struct results *results, FILE *out)
{
    fputs("<section><h2>Times</h2><table><thead><tr><th scope=\"col\"></th>"
          "<th scope=\"col\" class=\"n\">p50</th><th scope=\"col\" class=\"n\">p90</th>"
          "<th scope=\"col\" class=\"n\">p99</th><th scope=\"col\" class=\"n\">p99.9</th>"
          "<th scope=\"col\" class=\"n\">max</th></tr></thead><tbody>\n",
          out);
    put_quantile_row("latency", &results->latency, out);
    put_quantile_row("service", &results->service, out);
    put_quantile_row("enrolment", &results->enrolment, out);
    put_quantile_row("lateness", &results->lateness, out);
    fputs("</tbody></table><p class=\"note\">Latency counts from the time at which the schedule "
          "wanted "
          "the request sent, service from when it was sent, lateness is what lies between: the "
          "generator's own.</p></section>\n",
          out);
}

static void put_phase(const struct phase_result *phase, FILE *out)
{
    const usec_t times[] = {phase->p50, phase->p99, phase->max, phase->late_p99};
    double seconds = (double)phase->duration / USEC_PER_SEC;
    char text[WORDS_SIZE];
    fputs("<tr><th scope=\"row\">", out);
    html_text(out, phase->name);
    fputs(phase->is_measured ? "" : " <span class=\"soft\">(not measured)</span>", out);
    words_span(phase->duration, text, sizeof text);
    fprintf(out, "</th><td class=\"n\">%s</td>", text);
    words_number(seconds > 0 ? (double)phase->ok / seconds : 0, text, sizeof text);
    fprintf(out, "<td class=\"n\">%s/s</td>", text);
    words_count(phase->failed, text, sizeof text);
    fprintf(out, "<td class=\"n\">%s</td>", text);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        html_duration((double)times[i], text, sizeof text);
        fprintf(out, "<td class=\"n\">%s</td>", phase->ok > 0 ? text : "-");
    }
    fputs("</tr>\n", out);
}

static void put_phases(const struct results *results, FILE *out)
{
    if (results->phase_count < 2) {
        return;
    }
    fputs("<section><h2>Phases</h2><table><thead><tr><th scope=\"col\"></th>"
          "<th scope=\"col\" class=\"n\">for</th><th scope=\"col\" class=\"n\">rate</th>"
          "<th scope=\"col\" class=\"n\">failed</th><th scope=\"col\" class=\"n\">p50</th>"
          "<th scope=\"col\" class=\"n\">p99</th><th scope=\"col\" class=\"n\">max</th>"
          "<th scope=\"col\" class=\"n\">late p99</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < results->phase_count; i++) {
        put_phase(&results->phases[i], out);
    }
    fputs("</tbody></table></section>\n", out);
}

static void put_failures(const struct results *results, FILE *out)
{
    if (results->failure_count == 0) {
        return;
    }
    fputs("<section><h2>Failures by reason</h2><table><tbody>\n", out);
    for (size_t i = 0; i < results->failure_count; i++) {
        const struct failure *failure = &results->failures[i];
        char count[WORDS_SIZE];
        words_count(failure->count, count, sizeof count);
        fputs("<tr><th scope=\"row\">", out);
        html_text(out, failure->name);
        fputs("</th><td class=\"soft\">", out);
        html_text(out, failure->words);
        fprintf(out, "</td><td class=\"n\">%s</td></tr>\n", count);
    }
    fputs("</tbody></table></section>\n", out);
}

static void put_events(const struct results *results, FILE *out)
{
    if (results->event_count == 0) {
        return;
    }
    fputs("<section><h2>Done to the servers</h2><table><tbody>\n", out);
    for (size_t i = 0; i < results->event_count; i++) {
        const struct event_outcome *event = &results->events[i];
        char at[WORDS_SIZE];
        words_span(event->at, at, sizeof at);
        fputs("<tr><th scope=\"row\">", out);
        html_text(out, event->event);
        fprintf(out, "</th><td class=\"n\">%s</td><td><code>", at);
        html_text(out, event->command);
        fputs("</code></td><td class=\"soft\">", out);
        html_text(out, event->outcome);
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></section>\n", out);
}

static void put_totals(const struct results *results, FILE *out)
{
    fputs("<section><h2>Counts</h2><table><tbody>\n", out);
    for (size_t i = 0; i < total_count(); i++) {
        const struct total *total = total_at(i);
        uint64_t value = total_get(&results->totals, total);
        char text[WORDS_SIZE];
        if (str_starts_with(str_from(total->name), STR("bytes_"))) {
            words_bytes((double)value, text, sizeof text);
        } else {
            words_count(value, text, sizeof text);
        }
        if (value > 0) {
            fprintf(out, "<tr><th scope=\"row\">%s</th><td class=\"n\">%s</td></tr>\n",
                    total->words, text);
        }
    }
    fputs("</tbody></table></section>\n", out);
}

static void put_fact(FILE *out, const char *name, const char *value)
{
    if (value[0] != '\0') {
        fprintf(out, "<tr><th scope=\"row\">%s</th><td>", name);
        html_text(out, value);
        fputs("</td></tr>\n", out);
    }
}

static void put_machine(const struct run_description *run, FILE *out)
{
    char text[RESULTS_TEXT + 64];
    put_fact(out, "host", run->host);
    put_fact(out, "kernel", run->kernel);
    snprintf(text, sizeof text, "%u \xc3\x97 %s", run->cpus, run->cpu);
    put_fact(out, "processors", text);
    snprintf(text, sizeof text, "portico-flood %s, %s", run->version, run->openssl);
    put_fact(out, "versions", text);
}

static void put_cost(const struct results *results, FILE *out)
{
    const struct run_description *run = &results->run;
    char text[4 * WORDS_SIZE];
    char cpu[WORDS_SIZE];
    char rss[WORDS_SIZE];
    usec_t sum = run->cpu_user + run->cpu_system;
    if (sum > 0 && results->totals.ok > 0) {
        html_duration((double)sum, cpu, sizeof cpu);
        words_bytes((double)run->rss_bytes, rss, sizeof rss);
        snprintf(text, sizeof text, "%s of CPU, %.1f \xc2\xb5s for each answer; %u threads, %s",
                 cpu, (double)sum / (double)results->totals.ok, run->threads, rss);
        put_fact(out, "generator", text);
    }
}

static void put_facts(const struct results *results, FILE *out)
{
    const struct run_description *run = &results->run;
    char text[WORDS_SIZE + 32];
    char number[WORDS_SIZE];
    fputs("<section><h2>The run</h2><table class=\"facts\"><tbody>\n", out);
    fputs("<tr><th scope=\"row\">command</th><td><code>", out);
    html_text(out, run->command_line);
    fputs("</code></td></tr>\n", out);
    snprintf(text, sizeof text, "%" PRIu64, run->seed);
    put_fact(out, "seed", text);
    if (run->rate_wanted > 0) {
        words_number(run->rate_wanted, number, sizeof number);
        snprintf(text, sizeof text, "%s per second", number);
        put_fact(out, "rate asked for", text);
    }
    snprintf(text, sizeof text, "%s%s", run->connections, run->tls ? ", TLS" : "");
    put_fact(out, "connections", text);
    put_fact(out, "identities", run->identities);
    put_cost(results, out);
    put_machine(run, out);
    fputs("</tbody></table></section>\n", out);
}

/* The charts' numbers for those who cannot see them; long runs in steps. */
static void put_series(const struct results *results, FILE *out)
{
    size_t count = results->second_count;
    size_t step = count / TABLE_ROWS_MAX + 1;
    if (count == 0) {
        return;
    }
    fputs("<section><details><summary>Numbers over time</summary><table><thead><tr>"
          "<th scope=\"col\">second</th><th scope=\"col\" class=\"n\">ok</th>"
          "<th scope=\"col\" class=\"n\">failed</th><th scope=\"col\" class=\"n\">p50</th>"
          "<th scope=\"col\" class=\"n\">p99</th><th scope=\"col\" class=\"n\">max</th>"
          "<th scope=\"col\" class=\"n\">in flight</th><th scope=\"col\" class=\"n\">enrolled</th>"
          "</tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < count; i += step) {
        const struct second *second = &results->seconds[i];
        char times[3][WORDS_SIZE];
        html_duration((double)second->p50, times[0], WORDS_SIZE);
        html_duration((double)second->p99, times[1], WORDS_SIZE);
        html_duration((double)second->max, times[2], WORDS_SIZE);
        fprintf(out,
                "<tr><th scope=\"row\">%zu</th><td class=\"n\">%" PRIu64
                "</td><td class=\"n\">%" PRIu64
                "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
                "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td></tr>\n",
                i + 1, second->ok, second->failed, times[0], times[1], times[2], second->in_flight,
                second->enrolled);
    }
    fputs("</tbody></table></details></section>\n", out);
}

void report_write_html(const struct results *results, FILE *out)
{
    struct judgement judgement;
    judge(results, &judgement);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\">\n<title>",
          out);
    html_text(out, results->run.scenario[0] == '\0' ? "Load test" : results->run.scenario);
    fputs(" \xe2\x80\x93 portico-flood</title>\n<style>\n", out);
    fputs(page_style, out);
    fputs("</style></head><body><main>\n", out);
    put_header(results, &judgement, out);
    put_tiles(results, out);
    fputs("<div class=\"grid2\">\n", out);
    page_charts(results, out);
    fputs("</div>\n<div class=\"cards\">\n", out);
    put_slo(&judgement, out);
    put_phases(results, out);
    put_failures(results, out);
    put_events(results, out);
    put_quantiles(results, out);
    put_totals(results, out);
    put_facts(results, out);
    fputs("</div>\n", out);
    put_series(results, out);
    fputs("<footer>Times are rounded by less than 0.4 %. portico-flood writes this page; the JSON "
          "report has all numbers.</footer>\n</main></body></html>\n",
          out);
}
