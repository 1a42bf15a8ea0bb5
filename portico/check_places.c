/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: Runtime.directory, Datastore.location and the disk below it. Run as the one who
 * serves, so that what may be written here may be written by the services. One thread. */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"

#define MIB (UINT64_C(1) << 20)
#define FREE_NEEDED (64 * MIB)   /* below that a day's log or a burst of polls fills it */
#define FREE_WANTED (1024 * MIB) /* and below that somebody should look */
#define LOG_WANTED (256 * MIB)   /* SQLite's log; it is shortened at 64 MiB as a rule */

enum { FILES_NEEDED = 64 };

/* ---- Runtime.directory ---- */

static void check_runtime_directory(struct check_report *report, const struct check_scene *scene,
                                    const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        char owner[CHECK_OWNER_SIZE];
        check_report_mend(report, "install -d -m 0700%s %s", check_scene_owner(scene, owner), path);
        check_report_tell(report, FINDING_PROBLEM, "sockets", "there is no directory %s", path);
    } else if (!S_ISDIR(status.st_mode)) {
        check_report_mend(report, "choose another Runtime.directory");
        check_report_tell(report, FINDING_PROBLEM, "sockets", "%s is no directory", path);
    } else if (access(path, W_OK | X_OK) < 0) {
        if (errno == EROFS) {
            check_report_mend(report, "mount -o remount,rw %s", path);
        } else {
            check_report_mend(report, "chown %s: %s", scene->user, path);
        }
        check_report_tell(report, FINDING_PROBLEM, "sockets", "%s may not be written by user %s",
                          path, scene->user);
    } else {
        check_report_tell(report, FINDING_OK, "sockets", "%s may be written by user %s", path,
                          scene->user);
    }
}

/* The kernel's limit is low, and a deep directory soon meets it. */
static void check_socket_path(struct check_report *report, const char *key, const char *path)
{
    const size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (strlen(path) > max) {
        check_report_mend(report, "choose a shorter Runtime.directory, such as /run/portico");
        check_report_tell(report, FINDING_PROBLEM, "sockets",
                          "%s %s is longer than the %zu bytes "
                          "that a socket's path may have",
                          key, path, max);
    }
}

/* It is a file of the machine, made when the first instance begins. */
static void check_session_cache(struct check_report *report, const struct check_scene *scene,
                                const char *path)
{
    struct statfs disk;
    uint64_t wanted = config_size(scene->config, "Frontend.session_cache");
    if (statfs(path, &disk) < 0) {
        return;
    }
    uint64_t all = (uint64_t)disk.f_blocks * (uint64_t)disk.f_bsize;
    if (all < wanted) {
        check_report_why(report, "instances do not begin to serve without it");
        check_report_mend(report, "lower Frontend.session_cache, or choose another "
                                  "Runtime.directory");
        check_report_tell(report, FINDING_PROBLEM, "sockets",
                          "%s has room for %llu MiB in all, the session cache wants %llu MiB", path,
                          (unsigned long long)(all / MIB), (unsigned long long)(wanted / MIB));
    }
}

void check_runtime(struct check_report *report, const struct check_scene *scene)
{
    const struct config *config = scene->config;
    const char *path = config_str(config, "Runtime.directory");
    check_runtime_directory(report, scene, path);
    check_session_cache(report, scene, path);
    check_socket_path(report, "Balancer.admin_socket", config_str(config, "Balancer.admin_socket"));
    check_socket_path(report, "Balancer.registration_socket",
                      config_str(config, "Balancer.registration_socket"));
}

/* ---- Datastore.location ---- */

/* The store, or what it will be made in. */
static void choose_existing(const char *location, char existing[PATH_MAX])
{
    snprintf(existing, PATH_MAX, "%s", location);
    if (access(location, F_OK) == 0 || errno != ENOENT) {
        return;
    }
    char *slash = strrchr(existing, '/');
    if (slash == NULL) {
        snprintf(existing, PATH_MAX, ".");
    } else {
        slash[slash == existing ? 1 : 0] = '\0';
    }
}

static void check_writable(struct check_report *report, const struct check_scene *scene,
                           const char *location, const char *existing)
{
    char owner[CHECK_OWNER_SIZE];
    bool is_there = strcmp(location, existing) == 0;
    if (access(existing, W_OK | X_OK) == 0) {
        return;
    }
    if (errno == EROFS) {
        check_report_mend(report, "mount -o remount,rw %s", existing);
    } else if (is_there) {
        check_report_mend(report, "chown -R %s: %s", scene->user, location);
    } else {
        check_report_mend(report, "install -d -m 0700%s %s", check_scene_owner(scene, owner),
                          location);
    }
    check_report_tell(report, FINDING_PROBLEM, "disk", "%s: nothing can be made in %s by user %s",
                      location, existing, scene->user);
}

static void check_file_system(struct check_report *report, const char *path, long type)
{
    switch (type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        check_report_why(report, "all that agents were told is stored is lost with the machine's "
                                 "next start");
        check_report_mend(report, "set Datastore.location to a directory on a disk");
        check_report_tell(report, FINDING_WARNING, "disk", "the store in %s is in memory only",
                          path);
        break;
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
        check_report_why(report, "its instances share memory and locks that no network gives");
        check_report_mend(report,
                          "set Datastore.location to a directory on a disk of this machine");
        check_report_tell(report, FINDING_PROBLEM, "disk", "the store in %s is on the network",
                          path);
        break;
    default:
        break;
    }
}

static void check_room(struct check_report *report, const char *path, const struct statfs *disk)
{
    uint64_t room = (uint64_t)disk->f_bavail * (uint64_t)disk->f_bsize;
    bool is_out_of_files = disk->f_files > 0 && disk->f_ffree < FILES_NEEDED;
    if (room < FREE_WANTED || is_out_of_files) {
        check_report_why(report, "polls that bring something are answered 503 when it is full");
        check_report_mend(report,
                          "see what is there: du -xh --max-depth 2 %s; or give it a larger "
                          "disk",
                          path);
    }
    check_report_tell(report,
                      room < FREE_NEEDED || is_out_of_files ? FINDING_PROBLEM
                      : room < FREE_WANTED                  ? FINDING_WARNING
                                                            : FINDING_OK,
                      "disk", "%llu MiB and %llu files are free for the store in %s",
                      (unsigned long long)(room / MIB), (unsigned long long)disk->f_ffree, path);
}

static void check_log(struct check_report *report, const char *location)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/portico.db-wal", location);
    if (stat(path, &status) == 0 && (uint64_t)status.st_size > LOG_WANTED) {
        check_report_why(report, "somebody reads the store for long, a backup perhaps; it grows "
                                 "until then");
        check_report_mend(report, "see who: fuser -v %s", path);
        check_report_tell(report, FINDING_WARNING, "disk", "%s has grown to %llu MiB", path,
                          (unsigned long long)status.st_size / MIB);
    }
}

void check_disk(struct check_report *report, const struct check_scene *scene)
{
    const char *location = config_str(scene->config, "Datastore.location");
    char existing[PATH_MAX];
    struct statfs disk;
    choose_existing(location, existing);
    check_writable(report, scene, location, existing);
    if (statfs(existing, &disk) == 0) {
        check_file_system(report, existing, (long)disk.f_type);
        check_room(report, existing, &disk);
    }
    check_log(report, location);
}
