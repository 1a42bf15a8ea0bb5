/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: whether the store is whole and can be written, who may read it, and what it tells
 * about the clock. Run as the one who serves, so that nothing is left behind that belongs to root.
 * One thread. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"
#include "store/store_inspect.h"
#include "store/store_sqlite.h"

#define EXAMINE_PATIENCE (5 * USEC_PER_SEC)
#define FRESH USEC_PER_HOUR             /* agents that were seen since then tell about the clock */
#define CLOCK_TOLERANCE USEC_PER_MINUTE /* half of the agents are not so far off */

/* Of the session cache, with what is lost to agents that share a place: see the sizes in
 * docs/operations.md. */
enum { SESSION_CACHE_BYTES_PER_AGENT = 1229 };

static void check_mode(struct check_report *report, const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0 || (status.st_mode & 077) == 0) {
        return;
    }
    check_report_why(report, "it holds what agents sent");
    check_report_mend(report, "chmod %s %s", S_ISDIR(status.st_mode) ? "700" : "600", path);
    check_report_tell(report, FINDING_PROBLEM, "permissions",
                      "store %s has mode %04o: others than its owner may use it", path,
                      status.st_mode & 07777U);
}

static void check_modes(struct check_report *report, const char *location)
{
    static const char *const files[] = {"portico.db", "portico.db-wal", "portico.db-shm"};
    char path[PATH_MAX];
    check_mode(report, location);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", location, files[i]);
        check_mode(report, path);
    }
}

static void mend(struct check_report *report, const struct check_scene *scene, int code)
{
    const char *location = config_str(scene->config, "Datastore.location");
    switch (code) {
    case -EACCES:
    case -EROFS:
        check_report_mend(report, "chown -R %s: %s", scene->user, location);
        break;
    case -EUCLEAN:
        check_report_mend(report, "stop the frontends, then put a backup in its place: portico "
                                  "restore DIR --force");
        break;
    case -EBUSY:
        check_report_mend(report, "see who has it open: fuser -v %s/*", location);
        break;
    case -ENOTSUP:
        check_report_mend(report, "install the version that wrote it, or a newer one");
        break;
    default:
        check_report_mend(report, "remove the cause; nothing has to be restarted then");
    }
}

static void tell_failure(struct check_report *report, const struct check_scene *scene, int code,
                         const struct error *error)
{
    mend(report, scene, code);
    check_report_tell(report, FINDING_PROBLEM, "store", "%s", error->message);
}

/* Opening takes the right to write, for a moment. */
static int check_lock(struct check_report *report, const struct check_scene *scene)
{
    struct store *store = NULL;
    struct error error = {.line = 0};
    const struct store_sqlite_settings settings = {
        .directory = config_str(scene->config, "Datastore.location"),
        .clock = &clock_system,
        .must_exist = true,
        .busy_timeout = config_usec(scene->config, "Datastore.busy_timeout"),
    };
    int r = store_sqlite_open_with(&settings, &store, &error);
    if (r == 0) {
        r = store_check(store, &error);
        store_free(store);
    }
    if (r == -ENOENT) {
        check_report_tell(report, FINDING_OK, "store",
                          "%s: none yet, the first portico-frontend makes it", settings.directory);
    } else if (r < 0) {
        tell_failure(report, scene, r, &error);
    }
    return r;
}

static void compare_clocks(struct check_report *report, const struct store_inspection *found)
{
    long long minutes = (long long)(llabs(found->ahead) / USEC_PER_MINUTE);
    const char *direction = found->ahead > 0 ? "ahead of" : "behind";
    if (found->compared == 0) {
        return;
    }
    if (llabs(found->ahead) > CLOCK_TOLERANCE) {
        check_report_why(report, "agents and this server sort out old packets and certificates by "
                                 "time");
        check_report_mend(report, "compare this machine's clock with another one's: date -u; then "
                                  "timedatectl set-ntp true");
        check_report_tell(report, FINDING_WARNING, "clock",
                          "half of the %llu agents seen within the last hour are %lld min or more "
                          "%s this machine",
                          (unsigned long long)found->compared, minutes, direction);
    } else {
        check_report_tell(report, FINDING_OK, "clock",
                          "that of %llu agents agrees (their median is %lld s %s ours)",
                          (unsigned long long)found->compared,
                          (long long)(llabs(found->ahead) / USEC_PER_SEC), direction);
    }
}

static void tell_health(struct check_report *report, const struct store_inspection *found)
{
    const struct store_statistics *s = &found->counts;
    check_report_tell(report, FINDING_OK, "store",
                      "schema %lld, %llu agents (%llu pending, %llu forgotten), %llu requests "
                      "queued, %llu responses, %llu messages, %llu MiB",
                      (long long)found->schema, (unsigned long long)s->agents[0],
                      (unsigned long long)s->agents[STORE_PENDING],
                      (unsigned long long)s->agents[STORE_FORGOTTEN],
                      (unsigned long long)s->requests_queued, (unsigned long long)s->responses,
                      (unsigned long long)s->messages, (unsigned long long)(s->bytes >> 20));
    if (found->is_examined) {
        check_report_tell(report, FINDING_OK, "store", "every page of it can be read");
    } else {
        check_report_mend(report, "portico backup DIR, then portico verify DIR, which takes its "
                                  "time");
        check_report_tell(report, FINDING_UNSEEN, "store",
                          "not looked at in full: it is too large to read within %lld s",
                          (long long)(EXAMINE_PATIENCE / USEC_PER_SEC));
    }
}

static void compare_with_session_cache(struct check_report *report, const struct check_scene *scene,
                                       const struct store_inspection *found)
{
    uint64_t agents = found->counts.agents[STORE_ENROLLED];
    uint64_t bytes = config_size(scene->config, "Frontend.session_cache");
    uint64_t wanted = agents * SESSION_CACHE_BYTES_PER_AGENT;
    unsigned long long mib = (wanted >> 20) + 1;
    if (wanted > bytes) {
        check_report_why(report, "agents push each other out of it, and then their polls cost "
                                 "private RSA operations, dozens of times what others cost");
        check_report_mend(report,
                          "set Frontend.session_cache: %lluMiB, then restart the frontends "
                          "one after the other",
                          mib);
        check_report_tell(report, FINDING_WARNING, "session cache",
                          "%llu agents are enrolled, Frontend.session_cache has room for about "
                          "%llu",
                          (unsigned long long)agents,
                          (unsigned long long)(bytes / SESSION_CACHE_BYTES_PER_AGENT));
    }
}

static void check_content(struct check_report *report, const struct check_scene *scene)
{
    char file[PATH_MAX];
    struct error error = {.line = 0};
    struct store_inspection found;
    snprintf(file, sizeof file, "%s/portico.db", config_str(scene->config, "Datastore.location"));
    const struct store_inspect_settings settings = {
        .file = file,
        .patience = EXAMINE_PATIENCE,
        .seen_since = clock_wall(scene->clock) - FRESH,
    };
    int r = store_inspect(&settings, &found, &error);
    if (r < 0) {
        tell_failure(report, scene, r, &error);
        return;
    }
    tell_health(report, &found);
    compare_clocks(report, &found);
    compare_with_session_cache(report, scene, &found);
}

void check_store(struct check_report *report, const struct check_scene *scene)
{
    check_modes(report, config_str(scene->config, "Datastore.location"));
    if (check_lock(report, scene) == 0) {
        check_content(report, scene);
    }
}
