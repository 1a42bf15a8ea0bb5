/* SPDX-License-Identifier: Apache-2.0 */
/* portico backup, verify and restore. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive.h"
#include "progress.h"
#include "runner.h"
#include "support/support.h"

static char file[512];
static char copy[512];

static void set_up(void)
{
    site_set_up();
    snprintf(file, sizeof file, "%s/portico.local.yaml", site.directory);
    snprintf(copy, sizeof copy, "%s/copy", site.directory);
    RUN run = PORTICO("init", "--directory", site.directory);
    cr_assert_eq(run.status, 0, "%s", run.err);
    site_open_store();
    site_agent(1, STORE_ENROLLED);
    site_agent(2, STORE_PENDING);
    site_close_store();
}

TestSuite(command_backup, .init = set_up, .fini = site_tear_down);

#define FLEET(...) PORTICO("-c", file, __VA_ARGS__)

static void expect_done(struct run run)
{
    cr_assert_eq(run.status, 0, "%s%s", run.out, run.err);
    run_done(&run);
}

static void expect_refused(struct run run, const char *why)
{
    cr_expect_eq(run.status, 1, "%s%s", run.out, run.err);
    cr_expect_not_null(strstr(run.err, why), "%s", run.err);
    run_done(&run);
}

/* What stands in the directory, hidden names aside. */
static unsigned count_names(const char *path, const char *part)
{
    unsigned count = 0;
    const struct dirent *entry;
    DIR *directory = opendir(path);
    cr_assert_not_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.' && strstr(entry->d_name, part) != NULL;
    }
    closedir(directory);
    return count;
}

static void expect_mode(const char *name, unsigned mode)
{
    char path[1024];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", copy, name);
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    cr_expect_eq(status.st_mode & 07777, mode, "%s", path);
}

Test(command_backup, a_backup_has_all_that_a_site_needs)
{
    expect_done(FLEET("backup", copy));
    expect_mode("", 0700);
    expect_mode("/portico.db", 0600);
    expect_mode("/MANIFEST", 0600);
    expect_mode("/keys", 0700);
    expect_mode("/keys/server_key.pem", 0600);
    expect_mode("/keys/ca_key.pem", 0600);
    expect_mode("/configuration/1-portico.local.yaml", 0600);
    cr_expect_eq(count_names(site.directory, ".new"), 0);
    RUN run = FLEET("verify", copy);
    cr_expect_eq(run.status, 0, "%s", run.err);
    cr_expect_not_null(strstr(run.out, "with keys, schema 1, 2 agents"), "%s", run.out);
}

Test(command_backup, the_manifest_tells_where_files_were)
{
    size_t len;
    char path[1024];
    char line[1024];
    expect_done(FLEET("backup", copy));
    snprintf(path, sizeof path, "%s/MANIFEST", copy);
    char *text = read_file(path, &len);
    cr_assert_not_null(text);
    snprintf(line, sizeof line, "# from configuration/1-portico.local.yaml %s\n", file);
    cr_expect_not_null(strstr(text, line), "%s", text);
    cr_expect_null(strstr(text, "PRIVATE KEY"));
    free(text);
}

Test(command_backup, files_that_values_are_in_are_taken_along)
{
    char over[600];
    free(write_file(site.directory, "queue.txt", STR("77")));
    char *other = write_file(site.directory, "other.yaml",
                             STR("Frontend.max_queue_size: \"%(queue.txt|file)\"\n"));
    expect_done(FLEET("-c", other, "backup", copy));
    snprintf(over, sizeof over, "%s/configuration", copy);
    cr_expect_eq(count_names(over, "queue.txt"), 1);
    cr_expect_eq(count_names(over, "other.yaml"), 1);
    free(other);
}

Test(command_backup, the_store_alone_holds_no_keys)
{
    expect_done(FLEET("backup", copy, "--store-only"));
    cr_expect_eq(count_names(copy, ""), 2);
    expect_done(FLEET("verify", copy));
}

Test(command_backup, an_older_backup_stays_unless_told)
{
    expect_done(FLEET("backup", copy));
    expect_refused(FLEET("backup", copy), "there already");
    site_open_store();
    site_agent(3, STORE_ENROLLED);
    site_close_store();
    expect_done(FLEET("backup", copy, "--force"));
    RUN run = FLEET("verify", copy);
    cr_expect_not_null(strstr(run.out, "3 agents"), "%s", run.out);
    cr_expect_eq(count_names(site.directory, ".new"), 0);
}

Test(command_backup, what_is_no_backup_is_never_replaced)
{
    cr_assert_eq(mkdir(copy, 0700), 0);
    char *path = write_file(copy, "precious", STR("!"));
    expect_refused(FLEET("backup", copy, "--force"), "is no backup");
    free(write_file(copy, "MANIFEST", STR("include README.md\n")));
    expect_refused(FLEET("backup", copy, "--force"), "is no backup");
    cr_expect_eq(access(path, F_OK), 0);
    free(path);
}

/* As file systems do that know only plain renaming. */
static void refuse_flags(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {ARRAY_LEN(code), code};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        SKIP_TEST("system calls cannot be refused here");
    }
    errno = 0;
    cr_assert(renameat2(AT_FDCWD, copy, AT_FDCWD, copy, RENAME_NOREPLACE) < 0 && errno == EINVAL);
}

Test(command_backup, plain_renaming_is_enough)
{
    refuse_flags();
    expect_done(FLEET("backup", copy));
    expect_refused(FLEET("backup", copy), "there already");
    expect_done(FLEET("backup", copy, "--force"));
    expect_done(FLEET("verify", copy));
    cr_expect_eq(count_names(site.directory, "copy"), 1);
    expect_done(FLEET("restore", copy, "--force"));
    cr_expect_eq(count_names(site.location, "replaced-"), 1);
}

Test(command_backup, a_full_disk_leaves_nothing)
{
    char disk[600];
    char place[700];
    snprintf(disk, sizeof disk, "%s/disk", site.directory);
    snprintf(place, sizeof place, "%s/copy", disk);
    cr_assert_eq(mkdir(disk, 0700), 0);
    /* A view of our own, so that it ends with the test. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", disk, "tmpfs", 0, "size=64k") < 0) {
        SKIP_TEST("mounting takes root");
    }
    expect_refused(FLEET("backup", place), "hint: nothing is left of it");
    cr_expect_eq(count_names(disk, ""), 0);
    cr_assert_eq(umount2(disk, MNT_DETACH), 0);
}

static void change_byte(const char *name, off_t at)
{
    char path[1024];
    char byte;
    snprintf(path, sizeof path, "%s/%s", copy, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

Test(command_backup, a_changed_backup_is_told_and_not_restored)
{
    expect_done(FLEET("backup", copy));
    change_byte("portico.db", 5000);
    expect_refused(FLEET("verify", copy), "portico.db is not as it was written");
    expect_refused(FLEET("restore", copy, "--force"), "portico.db is not as it was written");
    RUN run = FLEET("agents", "list", "--json");
    cr_expect_eq(run.status, 0, "%s", run.err);
}

Test(command_backup, a_lost_file_is_told)
{
    char path[1024];
    expect_done(FLEET("backup", copy));
    snprintf(path, sizeof path, "%s/keys/ca.pem", copy);
    cr_assert_eq(unlink(path), 0);
    expect_refused(FLEET("verify", copy), "keys/ca.pem");
}

Test(command_backup, a_manifest_does_not_lead_elsewhere)
{
    char text[256];
    cr_assert_eq(mkdir(copy, 0700), 0);
    snprintf(text, sizeof text, "# portico backup 1\n%064d  ../../etc/passwd\n", 0);
    free(write_file(copy, "MANIFEST", str_from(text)));
    expect_refused(FLEET("verify", copy), "a line that is none of ours");
}

Test(command_backup, a_manifest_that_was_cut_short_is_told)
{
    char path[1024];
    size_t len;
    expect_done(FLEET("backup", copy));
    snprintf(path, sizeof path, "%s/MANIFEST", copy);
    char *text = read_file(path, &len);
    cr_assert_not_null(text);
    while (len > 1 && text[len - 2] != '\n') {
        len--;
    }
    cr_assert_eq(truncate(path, (off_t)len - 1), 0);
    free(text);
    expect_refused(FLEET("verify", copy), "MANIFEST has lost lines");
}

Test(command_backup, a_name_may_have_dots_in_it)
{
    char *other = write_file(site.directory, "site..yaml", STR("Frontend.max_queue_size: 77\n"));
    expect_done(FLEET("-c", other, "backup", copy));
    expect_done(FLEET("verify", copy));
    free(other);
}

Test(command_backup, after_a_signal_no_backup_gets_its_name)
{
    static struct archive archive;
    const struct store_inspection inspection = {.schema = 1};
    struct progress_hold hold;
    struct error error = {.line = 0};
    progress_hold(&hold);
    cr_assert_eq(archive_begin(&archive, copy, false, &error), 0, "%s", error.message);
    cr_assert_eq(archive_put(&archive, "keys/ca.pem", STR("!"), &error), 0);
    cr_assert_eq(raise(SIGHUP), 0);
    cr_expect_eq(archive_publish(&archive, &inspection, 0, &error), -ECANCELED);
    archive_done(&archive);
    progress_release(&hold);
    cr_expect_eq(count_names(site.directory, "copy"), 0);
}

Test(command_backup, what_is_no_backup_is_not_verified)
{
    expect_refused(FLEET("verify", site.directory), "MANIFEST");
}

Test(command_backup, a_store_that_is_there_is_moved_aside_only_when_told)
{
    expect_done(FLEET("backup", copy));
    site_open_store();
    site_agent(3, STORE_ENROLLED);
    site_close_store();
    expect_refused(FLEET("restore", copy), "there is a store in ");
    RUN run = FLEET("restore", copy, "--force");
    cr_assert_eq(run.status, 0, "%s", run.err);
    cr_expect_not_null(strstr(run.out, "2 agents"), "%s", run.out);
    cr_expect_eq(count_names(site.location, "replaced-"), 1);
    cr_expect_eq(count_names(site.location, ".new"), 0);
    RUN list = FLEET("agents", "list", "--json");
    json_t *array = run_array(&list);
    cr_expect_eq(json_array_size(array), 2);
    json_decref(array);
}

Test(command_backup, a_log_without_its_store_is_moved_aside)
{
    char path[1024];
    expect_done(FLEET("backup", copy));
    snprintf(path, sizeof path, "%s/portico.db", site.location);
    cr_assert_eq(unlink(path), 0);
    free(write_file(site.location, "portico.db-wal", STR("garbage")));
    RUN run = FLEET("restore", copy, "--json");
    json_t *array = run_array(&run);
    snprintf(path, sizeof path, "%s/portico.db-wal",
             json_string_value(run_member(array, 0, "replaced")));
    size_t len = 0;
    char *text = read_file(path, &len);
    cr_expect_eq(len, 7, "%s", path);
    free(text);
    json_decref(array);
    expect_done(FLEET("agents", "list"));
}

Test(command_backup, what_cannot_be_moved_aside_wholly_comes_back)
{
    char path[1024];
    expect_done(FLEET("backup", copy));
    free(write_file(site.location, "portico.db-wal", STR("")));
    free(write_file(site.location, "portico.db-shm", STR("")));
    snprintf(path, sizeof path, "%s/portico.db-shm", site.location);
    /* A file that something is mounted on keeps its name. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(path, path, NULL, MS_BIND, NULL) < 0) {
        SKIP_TEST("mounting takes root");
    }
    expect_refused(FLEET("restore", copy, "--force"), "cannot move ");
    cr_expect_eq(count_names(site.location, "replaced-"), 0);
    cr_expect_eq(count_names(site.location, ".new"), 0);
    cr_expect_eq(count_names(site.location, "portico.db-wal"), 1);
    cr_assert_eq(umount2(path, MNT_DETACH), 0);
    expect_done(FLEET("agents", "list"));
}

Test(command_backup, a_store_in_use_is_not_replaced)
{
    expect_done(FLEET("backup", copy));
    site_open_store();
    site_agent(3, STORE_ENROLLED); /* and it stays open */
    expect_refused(FLEET("restore", copy, "--force"), "is in use");
    cr_expect_eq(count_names(site.location, "replaced-"), 0);
}

enum { SERVICE = 64990 };

static void give(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s", copy, name);
    cr_assert_eq(chown(path, SERVICE, SERVICE), 0);
}

/* A machine with a user portico, as far as this test sees. */
static bool make_user(void)
{
    char *path =
        write_file(site.directory, "passwd",
                   STR("root:x:0:0::/:/bin/sh\nportico:x:64990:64990::/:/usr/sbin/nologin\n"));
    bool is_made = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   chmod(path, 0644) == 0 && mount(path, "/etc/passwd", NULL, MS_BIND, NULL) == 0;
    free(path);
    return is_made;
}

Test(command_backup, a_store_on_a_new_machine_is_the_services)
{
    char parameter[700];
    char place[600];
    struct stat status;
    expect_done(FLEET("backup", copy, "--store-only"));
    if (!make_user()) {
        SKIP_TEST("mounting takes root");
    }
    snprintf(place, sizeof place, "%s/fresh", site.directory);
    snprintf(parameter, sizeof parameter, "Datastore.location=%s", place);
    cr_assert_eq(chmod(site.directory, 0711), 0);
    expect_refused(FLEET("-p", parameter, "restore", copy), "able to read it: chown -R 64990: ");
    give("");
    give("/MANIFEST");
    give("/portico.db");
    expect_done(FLEET("-p", parameter, "restore", copy));
    cr_assert_eq(stat(place, &status), 0);
    cr_expect_eq(status.st_uid, SERVICE);
    snprintf(place, sizeof place, "%s/fresh/portico.db", site.directory);
    cr_assert_eq(stat(place, &status), 0);
    cr_expect_eq(status.st_uid, SERVICE);
}

Test(command_backup, a_backup_without_keys_says_nothing_of_them)
{
    expect_done(FLEET("backup", copy, "--store-only"));
    RUN run = FLEET("restore", copy, "--force", "--json");
    json_t *array = run_array(&run);
    cr_expect(json_is_null(run_member(array, 0, "same_keys")));
    json_decref(array);
}

Test(command_backup, other_keys_are_told)
{
    char other[600];
    char parameter[700];
    snprintf(other, sizeof other, "%s/other", site.directory);
    expect_done(FLEET("backup", copy));
    expect_done(PORTICO("init", "--directory", other));
    snprintf(parameter, sizeof parameter, "%s/portico.local.yaml", other);
    RUN run = PORTICO("-c", parameter, "restore", copy, "--json");
    json_t *array = run_array(&run);
    cr_expect(json_is_false(run_member(array, 0, "same_keys")));
    cr_expect_eq(json_integer_value(run_member(array, 0, "agents")), 2);
    cr_expect_not_null(strstr(run.err, "PrivateKeys.server_key is not the one of the backup"), "%s",
                       run.err);
    json_decref(array);
}
