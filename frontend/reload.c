/* SPDX-License-Identifier: Apache-2.0 */
/* Load, prepare, commit, tell. */
#include "reload.h"

#include <errno.h>

#include "base/log.h"
#include "config/command_line.h"

enum { PROBLEMS_MAX = 50 };

bool reload_wants_verbose(const struct command_line *line, const struct config *config)
{
    return command_line_is_verbose(line) || config_bool(config, "Logging.verbose");
}

enum log_level reload_log_level(const struct command_line *line, const struct config *config)
{
    return reload_wants_verbose(line, config)
               ? LOG_LEVEL_DEBUG
               : (enum log_level)config_enum(config, "Logging.level");
}

static void tell_problem(void *context, const struct problem_view *problem)
{
    enum log_level level =
        problem->severity == SEVERITY_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING;
    struct log_field hint = {.key = NULL};
    (void)context;
    if (problem->hint != NULL) {
        hint = LOG_TEXT("hint", problem->hint);
    }
    LOG_AT(level, NULL, "configuration", LOG_TEXT("place", problem->place),
           LOG_TEXT("problem", problem->message), hint);
}

/* What was changed and goes on as it was. */
static void tell_what_needs_a_restart(const struct config *before, const struct config *after)
{
    const struct option *option;
    size_t at = 0;
    while ((option = config_next_restart(before, after, &at)) != NULL) {
        log_warning("needs a restart", LOG_TEXT("option", option->key));
    }
}

static int load(const struct command_line *line, struct config **config)
{
    struct problems *problems = problems_new(PROBLEMS_MAX);
    int result = problems == NULL ? -ENOMEM : command_line_load(line, problems, config);
    if (problems != NULL) {
        problems_each(problems, tell_problem, NULL);
    }
    problems_free(problems);
    return result;
}

int reload(struct frontend *frontend, const struct command_line *line, struct config **config)
{
    struct config *wanted = NULL;
    struct error error = {.line = 0};
    int result = load(line, &wanted);
    if (result == 0) {
        result = frontend_reload(frontend, wanted, reload_wants_verbose(line, wanted), &error);
        if (result < 0) {
            log_error_value(LOG_LEVEL_ERROR, "configuration", &error);
        }
    }
    stats_add(frontend->stats, result < 0 ? STAT_RELOAD_FAILURES : STAT_RELOADS, 1);
    if (result < 0) {
        config_unref(wanted);
        log_error("reload failed, going on as before");
        return result;
    }
    log_set_level(reload_log_level(line, wanted));
    tell_what_needs_a_restart(*config, wanted);
    config_unref(*config);
    *config = wanted;
    log_info("reloaded");
    return 0;
}
