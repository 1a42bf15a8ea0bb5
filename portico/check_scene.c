/* SPDX-License-Identifier: Apache-2.0 */
/* Who serves, and looking from a process of its own. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "check.h"
#include "config/config.h"

enum {
    ENTRY_BYTES = 16 * 1024,
    FINDINGS_BYTES_MAX = 1 << 20,
    READ_BYTES = 4096,
    OWNER_PATIENCE_MS = 5000,
};

/* ---- The scene ---- */

/* In the child: nothing is written when there is no such place. */
NO_RETURN static void tell_owner(const char *location, int out)
{
    struct stat status;
    struct owner owner;
    if (stat(location, &status) < 0) {
        _exit(1);
    }
    owner = (struct owner){status.st_uid, status.st_gid};
    _exit(write(out, &owner, sizeof owner) == (ssize_t)sizeof owner ? 0 : 1);
}

/* In a process of its own, since a dead disk never answers. False: there is no such place, or none
 * that answers. */
static bool find_owner(const char *location, struct owner *owner)
{
    int pipes[2];
    struct owner found;
    if (pipe2(pipes, O_CLOEXEC) < 0) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        tell_owner(location, pipes[1]);
    }
    close(pipes[1]);
    struct pollfd pollfd = {.fd = pipes[0], .events = POLLIN};
    bool is_over = child > 0 && poll(&pollfd, 1, OWNER_PATIENCE_MS) > 0;
    bool is_found = is_over && read(pipes[0], &found, sizeof found) == (ssize_t)sizeof found;
    close(pipes[0]);
    if (child > 0 && !is_over) {
        kill(child, SIGKILL);
    }
    if (child > 0) {
        (void)waitpid(child, NULL, is_over ? 0 : WNOHANG);
    }
    if (is_found) {
        *owner = found;
    }
    return is_found;
}

static void choose_service(struct check_scene *scene)
{
    const char *location =
        scene->config == NULL ? "" : config_str(scene->config, "Datastore.location");
    if (!scene->is_root) {
        scene->service = (struct owner){geteuid(), getegid()};
    } else if (!find_owner(location, &scene->service) &&
               owner_find(SERVICE_USER, &scene->service) < 0) {
        scene->service = (struct owner){0, 0};
    }
}

static void name_service(struct check_scene *scene)
{
    char entry[ENTRY_BYTES];
    struct passwd user;
    struct passwd *found = NULL;
    (void)getpwuid_r(scene->service.uid, &user, entry, sizeof entry, &found);
    if (found != NULL) {
        snprintf(scene->user, sizeof scene->user, "%s", user.pw_name);
    } else {
        snprintf(scene->user, sizeof scene->user, "%u", (unsigned)scene->service.uid);
    }
}

void check_scene_init(struct check_scene *scene, const struct config *config)
{
    *scene = (struct check_scene){
        .config = config,
        .root = "",
        .clock = &clock_system,
        .adjust = adjtimex,
        .is_root = geteuid() == 0,
    };
    choose_service(scene);
    name_service(scene);
}

const char *check_scene_owner(const struct check_scene *scene, char text[CHECK_OWNER_SIZE])
{
    char entry[ENTRY_BYTES];
    struct group group;
    struct group *found = NULL;
    text[0] = '\0';
    if (scene->service.uid == geteuid()) {
        return text;
    }
    (void)getgrgid_r(scene->service.gid, &group, entry, sizeof entry, &found);
    if (found != NULL) {
        snprintf(text, CHECK_OWNER_SIZE, " -o %s -g %s", scene->user, group.gr_name);
    } else {
        snprintf(text, CHECK_OWNER_SIZE, " -o %s -g %u", scene->user, (unsigned)scene->service.gid);
    }
    return text;
}

bool check_read_number(const struct check_scene *scene, const char *path,
                       unsigned long long *number)
{
    char full[PATH_MAX];
    char text[64] = "";
    snprintf(full, sizeof full, "%s%s", scene->root, path);
    FILE *file = fopen(full, "re");
    bool is_read = file != NULL && fgets(text, sizeof text, file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    char *end = text;
    unsigned long long value = strtoull(text, &end, 10);
    if (!is_read || end == text) {
        return false;
    }
    *number = value;
    return true;
}

/* ---- Apart ---- */

static int become_service(const struct check_scene *scene)
{
    const struct owner *owner = &scene->service;
    if (!scene->is_root || owner->uid == 0) {
        return 0;
    }
    /* With the groups that systemd would give, too. */
    if (initgroups(scene->user, owner->gid) < 0 ||
        setresgid(owner->gid, owner->gid, owner->gid) < 0 ||
        setresuid(owner->uid, owner->uid, owner->uid) < 0) {
        return -errno;
    }
    return 0;
}

/* In the child. */
NO_RETURN static void look(const struct check_scene *scene, check_function *function,
                           bool as_service, int relay, pid_t parent)
{
    struct check_report report;
    check_report_init(&report);
    report.relay = relay;
    if (as_service && become_service(scene) < 0) {
        _exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user would clear it */
    if (getppid() != parent) {
        _exit(1);
    }
    function(&report, scene);
    check_report_done(&report);
    _exit(0);
}

static int milliseconds_until(usec_t deadline)
{
    usec_t left = deadline - clock_monotonic(&clock_system);
    return left <= 0 ? 0 : (int)(left / USEC_PER_MSEC) + 1;
}

/* True when it came to its end. */
static bool listen_to(struct check_report *report, int relay, usec_t deadline)
{
    struct buffer bytes;
    bool is_over = false;
    buffer_init(&bytes, FINDINGS_BYTES_MAX);
    while (!is_over) {
        struct pollfd pollfd = {.fd = relay, .events = POLLIN};
        if (poll(&pollfd, 1, milliseconds_until(deadline)) <= 0 ||
            buffer_reserve(&bytes, READ_BYTES) < 0) {
            break;
        }
        ssize_t n = read(relay, buffer_tail(&bytes), buffer_room(&bytes));
        buffer_commit(&bytes, n < 0 ? 0 : (size_t)n);
        long taken = check_report_take(report, buffer_view(&bytes));
        if (n < 0 || taken < 0) {
            break;
        }
        buffer_consume(&bytes, (size_t)taken);
        is_over = n == 0;
    }
    buffer_done(&bytes);
    return is_over;
}

/* One that waits for a dead disk cannot be killed, and so is not waited for. */
static bool ended_well(pid_t child, bool is_over)
{
    int status = 0;
    if (!is_over) {
        kill(child, SIGKILL);
    }
    return waitpid(child, &status, is_over ? 0 : WNOHANG) == child && status == 0 && is_over;
}

void check_apart(struct check_report *report, const struct check_scene *scene, const char *what,
                 check_function *function, bool as_service, usec_t patience)
{
    int pipes[2];
    pid_t parent = getpid();
    if (pipe2(pipes, O_CLOEXEC) < 0) {
        check_report_tell(report, FINDING_UNSEEN, what, "not looked at: no pipe");
        return;
    }
    fflush(NULL); /* or the child would say it again */
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        look(scene, function, as_service, pipes[1], parent);
    }
    close(pipes[1]);
    usec_t deadline = usec_add(clock_monotonic(&clock_system), patience);
    bool is_over = child > 0 && listen_to(report, pipes[0], deadline);
    close(pipes[0]);
    if (child < 0) {
        check_report_tell(report, FINDING_UNSEEN, what, "not looked at: no process could be made");
    } else if (!ended_well(child, is_over) && is_over) {
        check_report_tell(report, FINDING_UNSEEN, what,
                          "not looked at in full: the process that looks has failed");
    } else if (!is_over) {
        check_report_why(report, "a disk, a name server or a lock does not answer");
        check_report_tell(report, FINDING_UNSEEN, what,
                          "not looked at in full: no answer within %lld s",
                          (long long)(patience / USEC_PER_SEC));
    }
}
