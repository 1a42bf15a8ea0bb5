/* SPDX-License-Identifier: Apache-2.0 */
/* portico-flood run: agents against a target. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buffer.h"
#include "commands.h"
#include "config/config.h"
#include "config/source.h"
#include "engine.h"
#include "identities.h"
#include "ledger.h"
#include "net/tls_context.h"
#include "page.h"
#include "progress.h"
#include "reaction.h"
#include "schedule.h"
#include "search.h"
#include "slo.h"
#include "target.h"
#include "wire/certificate.h"
#include "wire/cipher.h"

enum {
    SPARE_DESCRIPTORS = 64,
    THREADS_MAX = 256,
    WARM_UP_RATE = 500,
    PROBLEMS_MAX = 20,
    REACTIONS_MAX = 16,
    TRIAL_MESSAGES_MAX = 1 << 26 /* of an agent */
};

static_assert((uint64_t)FINDING_TRIALS_MAX * TRIAL_MESSAGES_MAX <= UINT32_MAX,
              "the numbers of all trials' messages");

struct run {
    const struct arguments *arguments;
    struct run_plan plan;
    struct fleet fleet;
    struct target target;
    struct scenario *loaded; /* owned; NULL: `simple` is the scenario */
    struct scenario simple;
    struct scenario_phase phase;
    struct scenario_group group;
    struct identities *identities;
    struct ledger *ledger;
    struct engine_watch watch;
    struct reaction reactions[REACTIONS_MAX];
    struct slo slo;
    usec_t duration;
};

/* ---- Options ---- */

static uint64_t connections_at_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 512;
    }
    /* What the user may have anyway. */
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 1u << 20) {
        return 1u << 20;
    }
    return limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? limit.rlim_cur - SPARE_DESCRIPTORS
                                                  : SPARE_DESCRIPTORS;
}

static int take_numbers(struct run *run)
{
    const struct arguments *arguments = run->arguments;
    struct run_plan *plan = &run->plan;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t agents = 100;
    uint64_t threads = cpus > 0 ? (uint64_t)cpus : 1;
    uint64_t connections = connections_at_most();
    int status = arguments_number(arguments, "agents", 1, IDENTITIES_MAX, &agents);
    status =
        status != 0 ? status : arguments_number(arguments, "threads", 1, THREADS_MAX, &threads);
    status = status != 0 ? status
                         : arguments_number(arguments, "connections", 1, connections, &connections);
    status = status != 0 ? status : arguments_number(arguments, "seed", 0, UINT64_MAX, &plan->seed);
    status = status != 0 ? status : arguments_real(arguments, "rate", &plan->rate);
    status = status != 0 ? status : arguments_duration(arguments, "period", &plan->period);
    status = status != 0 ? status : arguments_duration(arguments, "timeout", &plan->timeout);
    status = status != 0 ? status : arguments_duration(arguments, "closing", &plan->grace);
    status = status != 0 ? status : arguments_duration(arguments, "duration", &run->duration);
    plan->agents = agents;
    plan->threads = (unsigned)(threads < agents ? threads : agents);
    plan->connections_max = connections;
    plan->closes = arguments_have(arguments, "close");
    plan->resumes = !arguments_have(arguments, "no-resumption");
    if (status == 0 && plan->rate > 0 && plan->period > 0) {
        return arguments_misuse(arguments, "either --rate or --period");
    }
    return status;
}

static int take_slo(struct run *run)
{
    struct error error = {.line = 0};
    const char *text = arguments_text(run->arguments, "slo");
    if (text != NULL && slo_parse(str_from(text), fault_names(), &run->slo, &error) < 0) {
        return arguments_misuse(run->arguments, "--slo, column %u: %s", error.column,
                                error.message);
    }
    return 0;
}

/* EVENT=COMMAND */
static int take_reaction(struct run *run, const char *text)
{
    struct str name = str_first(str_from(text), str_find(str_from(text), '='));
    enum scenario_event event = scenario_event_find(name);
    if (event == EVENT_NONE || text[name.len] != '=') {
        return arguments_misuse(run->arguments, "--on wants EVENT=COMMAND; \"%.*s\" is no event",
                                STR_ARG(name));
    }
    if (run->watch.reaction_count == REACTIONS_MAX) {
        return arguments_misuse(run->arguments, "--on comes at most %d times", REACTIONS_MAX);
    }
    run->reactions[run->watch.reaction_count++] =
        (struct reaction){.event = event, .command = text + name.len + 1};
    return 0;
}

static int take_reactions(struct run *run)
{
    int status = 0;
    const char *text;
    run->watch.reactions = run->reactions;
    for (size_t i = 0; status == 0 && (text = arguments_text_at(run->arguments, "on", i)) != NULL;
         i++) {
        status = take_reaction(run, text);
    }
    return status;
}

/* ---- The scenario ---- */

/* Without --scenario: one phase, one group, by --rate, --period, or as real agents do. */
static int make_simple(struct run *run)
{
    struct scenario_group *group = &run->group;
    double messages = 0;
    uint64_t bytes = 256;
    int status = arguments_real(run->arguments, "messages", &messages);
    status = status != 0 ? status : arguments_size(run->arguments, "message-bytes", &bytes);
    bytes = bytes < SCENARIO_MESSAGE_MAX_BYTES ? bytes : SCENARIO_MESSAGE_MAX_BYTES;
    *group = (struct scenario_group){
        .name = "all",
        .share = 1,
        .timing = TIMING_DEFAULT,
        .poll = {.min = 200 * USEC_PER_MSEC, .max = 600 * USEC_PER_SEC, .slew = 1.15},
        .messages_per_poll = messages,
        .sizes = {{.bytes = bytes, .share = 1}},
        .size_count = 1,
    };
    run->phase = (struct scenario_phase){.name = "run",
                                         .duration = run->duration,
                                         .start = START_SPREAD,
                                         .groups = group,
                                         .group_count = 1};
    run->simple = (struct scenario){.name = "",
                                    .path = "",
                                    .about = "",
                                    .phases = &run->phase,
                                    .phase_count = 1,
                                    .duration = run->duration};
    run->plan.scenario = &run->simple;
    return status;
}

static int load_scenario(struct run *run, const char *name)
{
    struct problems *problems = problems_new(PROBLEMS_MAX);
    if (problems == NULL) {
        return arguments_fail(run->arguments, "no memory");
    }
    int code = scenario_load(name, problems, &run->loaded);
    problems_print(problems, run->arguments->err);
    problems_free(problems);
    if (code < 0) {
        return EXIT_STATUS_USAGE;
    }
    if (arguments_have(run->arguments, "duration")) {
        scenario_stretch(run->loaded, run->duration);
    }
    run->plan.scenario = run->loaded;
    return 0;
}

static bool uses_relative(const struct scenario *scenario, enum timing timing)
{
    for (size_t i = 0; i < scenario->phase_count; i++) {
        for (size_t k = 0; k < scenario->phases[i].group_count; k++) {
            const struct scenario_group *group = &scenario->phases[i].groups[k];
            if (group->timing == timing && group->curve.is_relative) {
                return true;
            }
        }
    }
    return false;
}

static int take_scenario(struct run *run)
{
    const char *name = arguments_text(run->arguments, "scenario");
    int status = name == NULL ? make_simple(run) : load_scenario(run, name);
    if (status != 0) {
        return status;
    }
    if (run->plan.rate <= 0 && uses_relative(run->plan.scenario, TIMING_RATE)) {
        return arguments_misuse(run->arguments, "this scenario goes by shares of --rate");
    }
    if (run->plan.period <= 0 && uses_relative(run->plan.scenario, TIMING_PERIOD)) {
        return arguments_misuse(run->arguments, "this scenario goes by shares of --period");
    }
    return 0;
}

/* ---- Identities ---- */

static int take_identities(struct run *run)
{
    struct error error = {.line = 0};
    const char *path = arguments_text(run->arguments, "keys");
    size_t wanted = plan_identities(run->plan.scenario, run->plan.agents);
    int code = path != NULL ? identities_open(path, &run->identities, &error)
                            : identities_make(wanted, run->plan.threads, &run->identities, &error);
    if (code < 0) {
        return arguments_fail(run->arguments, "%s", error.message);
    }
    if (identities_count(run->identities) < wanted) {
        return arguments_fail(run->arguments, "%s holds %zu identities, %zu are needed", path,
                              identities_count(run->identities), wanted);
    }
    run->fleet.identities = run->identities;
    return 0;
}

static int read_authority(struct run *run, struct str pem, const char *where)
{
    enum wire_reason reason = WIRE_NO_REASON;
    return certificate_read_key(pem, &run->fleet.authority, &reason) < 0
               ? arguments_fail(run->arguments, "%s: %s", where, wire_reason_sentence(reason))
               : 0;
}

/* Real agents have the authority in their configuration. */
static int take_authority(struct run *run)
{
    const struct arguments *arguments = run->arguments;
    const char *path = arguments_text(arguments, "server-ca");
    struct file_facts facts;
    struct buffer pem;
    if (path == NULL) {
        return config_is_set(arguments->config, "CA.certificate")
                   ? read_authority(run, str_from(config_str(arguments->config, "CA.certificate")),
                                    "CA.certificate")
                   : 0;
    }
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    int code = config_system_real.read_file(NULL, path, RSA_PEM_BYTES_MAX, &pem, &facts);
    int status = code < 0 ? arguments_fail(arguments, "%s: %s", path, strerrordesc_np(-code))
                          : read_authority(run, buffer_view(&pem), path);
    buffer_done(&pem);
    return status;
}

/* Once, before the run: the words are about what it is worth. */
static void tell_stranger(const struct run *run)
{
    if (run->fleet.authority == NULL) {
        fprintf(run->arguments->err,
                "portico-flood run: the certificate of \"%s\", serial number %llu, is believed as "
                "it is; --server-ca or -c tells whose signature to ask for\n",
                run->fleet.server_name, (unsigned long long)run->fleet.server_serial);
    }
}

static int meet_server(struct run *run)
{
    struct error error = {.line = 0};
    run->plan.fleet = &run->fleet;
    run->plan.target = &run->target;
    if (cipher_random(&run->fleet.run, sizeof run->fleet.run) < 0 ||
        engine_meet_server(&run->target, run->plan.tls, run->plan.timeout, &run->fleet, &error) <
            0) {
        return arguments_fail(run->arguments, "%s", error.message);
    }
    tell_stranger(run);
    return 0;
}

static int ledger_path(const struct run *run, char *path, size_t size)
{
    const char *json = arguments_text(run->arguments, "json");
    if (json == NULL) {
        return 0;
    }
    snprintf(path, size, "%s.ledger", json);
    return 1;
}

static int take_ledger(struct run *run)
{
    struct error error = {.line = 0};
    char path[4096];
    if (!ledger_path(run, path, sizeof path)) {
        return arguments_have(run->arguments, "verify")
                   ? arguments_misuse(run->arguments, "--verify needs --json: the ledger is beside "
                                                      "the report")
                   : 0;
    }
    if (ledger_new(path, run->fleet.run, &run->ledger, &error) < 0) {
        return arguments_fail(run->arguments, "%s", error.message);
    }
    run->plan.ledger = run->ledger;
    return 0;
}

/* ---- Running ---- */

static void describe(const struct run *run, struct results *results)
{
    struct run_description *about = &results->run;
    const struct run_plan *plan = &run->plan;
    run_describe_machine(about);
    RUN_TEXT(about->mode, "run");
    RUN_TEXT(about->url, arguments_text(run->arguments, "url"));
    RUN_TEXT(about->scenario, plan->scenario->name);
    arguments_join(run->arguments, about->command_line, sizeof about->command_line);
    snprintf(about->identities, sizeof about->identities,
             "%zu from %zu primes: moduli share primes, which is fine for load tests only",
             identities_count(run->identities), identities_primes(run->identities));
    RUN_TEXT(about->connections, plan->closes ? "new" : "keep-alive");
    if (arguments_have(run->arguments, "slo")) {
        RUN_TEXT(about->slo, arguments_text(run->arguments, "slo"));
    }
    about->tls = run->target.is_tls;
    about->threads = plan->threads;
    about->agents = plan->agents;
    about->seed = plan->seed;
    about->rate_wanted = plan->rate;
}

static int run_once(struct run *run, struct results *results)
{
    struct error error = {.line = 0};
    const struct progress_style style = progress_style_of(run->arguments->err);
    describe(run, results);
    run->watch.progress = progress_new(run->arguments->err, &style);
    int code = engine_run(&run->plan, &run->watch, results, &error);
    progress_free(run->watch.progress);
    run->watch.progress = NULL;
    if (code < 0) {
        return arguments_fail(run->arguments, "%s", error.message);
    }
    engine_judge(results);
    return 0;
}

static int close_ledger(struct run *run)
{
    struct ledger *ledger = run->ledger;
    run->ledger = NULL;
    run->plan.ledger = NULL;
    return ledger_close(ledger) < 0
               ? arguments_fail(run->arguments, "the ledger could not be written")
               : 0;
}

static int run_and_conclude(struct run *run)
{
    char path[4096];
    struct results *results = results_new();
    if (results == NULL) {
        return arguments_fail(run->arguments, "no memory");
    }
    int status = run_once(run, results);
    status = status != 0 ? status : close_ledger(run);
    if (status == 0 && arguments_have(run->arguments, "verify") &&
        ledger_path(run, path, sizeof path)) {
        status = verify_ledger(run->arguments, path, results);
    }
    status = status != 0 ? status : conclude(run->arguments, results);
    results_free(results);
    return status;
}

/* ---- The search for capacity ---- */

/* All trials are one run for the store, in which no two messages may have the same number. */
static int run_trial(void *context, double rate, struct results *results)
{
    struct run *run = context;
    run->plan.rate = rate;
    int status = run_once(run, results);
    run->plan.first_sequence += TRIAL_MESSAGES_MAX;
    return status;
}

/* Agents make their ciphers, which takes RSA at both ends, before a trial is measured: each polls
 * once, no faster than two processors do it. A scenario has warm-ups of its own, or none. */
static int find_capacity(struct run *run)
{
    const struct search search = {.arguments = run->arguments,
                                  .slo = &run->slo,
                                  .start = run->plan.rate,
                                  .run = run_trial,
                                  .context = run};
    usec_t warm_up = run->duration / 4 + (usec_t)run->plan.agents * (USEC_PER_SEC / WARM_UP_RATE);
    struct scenario_group group = run->group;
    group.timing = TIMING_PERIOD;
    group.messages_per_poll = 0;
    group.curve = (struct curve){.from = (double)warm_up, .to = (double)warm_up};
    struct scenario_phase phases[] = {{.name = "warm-up",
                                       .duration = warm_up,
                                       .is_unmeasured = true,
                                       .groups = &group,
                                       .group_count = 1},
                                      run->phase};
    struct scenario warmed = run->simple;
    if (run->loaded == NULL) {
        warmed.phases = phases;
        warmed.phase_count = ARRAY_LEN(phases);
        warmed.duration += warm_up;
        run->plan.scenario = &warmed;
    }
    int status = search_capacity(&search);
    run->plan.scenario = NULL;
    return status;
}

static int check_search(const struct run *run)
{
    if (!arguments_have(run->arguments, "find-capacity")) {
        return 0;
    }
    if (run->plan.rate <= 0 || run->slo.count == 0) {
        return arguments_misuse(run->arguments, "--find-capacity needs --slo and a --rate to begin "
                                                "with");
    }
    if (arguments_have(run->arguments, "verify")) {
        return arguments_misuse(run->arguments, "--verify is not for --find-capacity; use verify");
    }
    return 0;
}

int command_run(const struct arguments *arguments)
{
    struct run run = {
        .arguments = arguments,
        .plan = {.seed = 1, .timeout = 30 * USEC_PER_SEC, .grace = 5 * USEC_PER_SEC},
        .duration = 10 * USEC_PER_SEC,
    };
    int status = take_numbers(&run);
    status = status != 0 ? status : take_slo(&run);
    status = status != 0 ? status : take_reactions(&run);
    status = status != 0 ? status : take_scenario(&run);
    status = status != 0 ? status : check_search(&run);
    status = status != 0 ? status : take_target(arguments, &run.target, &run.plan.tls);
    status = status != 0 ? status : take_identities(&run);
    status = status != 0 ? status : take_authority(&run);
    status = status != 0 ? status : meet_server(&run);
    status = status != 0 ? status : take_ledger(&run);
    if (status == 0) {
        status = arguments_have(arguments, "find-capacity") ? find_capacity(&run)
                                                            : run_and_conclude(&run);
    }
    if (ledger_close(run.ledger) < 0 && status == 0) {
        status = EXIT_STATUS_FAILED;
    }
    page_forget(&run.fleet);
    rsa_key_free(run.fleet.authority);
    identities_free(run.identities);
    scenario_free(run.loaded);
    tls_context_unref(run.plan.tls);
    return status;
}
