/* SPDX-License-Identifier: Apache-2.0 */
/* portico restore: the store of a backup to its place, with nobody there. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive.h"
#include "archive_keys.h"
#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "owner.h"
#include "progress.h"

enum { KEY_BYTES_MAX = 64 * 1024 };

struct restoration {
    const struct operation *operation;
    const char *backup, *location;
    struct archive_facts facts;
    char file[PATH_MAX];     /* the store's, when all is done */
    char draft[PATH_MAX];    /* while it is copied; empty: there is none */
    char replaced[PATH_MAX]; /* where the one that was there went; empty: there was none */
    bool has_other_keys;
};

/* The log and its index belong to the store, which goes last, and comes back first. */
static const char *const endings[] = {"-wal", "-shm", ""};

/* ---- Before ---- */

static int refuse_use(const struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    int r = store_is_in_use(restoration->file);
    if (r == 0) {
        return 0;
    }
    if (r < 0) {
        return operation_fail(operation, "cannot see whether somebody uses %s: %s",
                              restoration->location, strerror(-r));
    }
    operation_fail(operation, "the store in %s is in use", restoration->location);
    fprintf(
        operation->err,
        "    hint: stop the frontends: systemctl stop portico.target; who else: fuser -v %s/*\n",
        restoration->location);
    return EXIT_STATUS_FAILED;
}

static int refuse_store(const struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    if (access(restoration->file, F_OK) < 0 ||
        command_line_flag(operation->line, "force") != NULL) {
        return 0;
    }
    operation_fail(operation, "there is a store in %s", restoration->location);
    fputs("    hint: --force moves it aside and deletes nothing\n", operation->err);
    return EXIT_STATUS_FAILED;
}

/* What root made there, its owner could not use. While there is no place yet, its owner is to be
 * the one whom packages made for it. */
static int become_owner(const struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    const char *location = restoration->location;
    struct owner owner;
    int r = 0;
    if (geteuid() == 0 && access(location, F_OK) < 0 && owner_find(SERVICE_USER, &owner) == 0) {
        r = mkdir(location, 0700) < 0 ? -errno : owner_give(location, &owner);
    }
    if (r < 0) {
        return operation_fail(operation, "cannot create %s: %s", location, strerror(-r));
    }
    r = owner_become(location);
    return r < 0 ? operation_fail(operation, "cannot become the owner of %s: %s", location,
                                  strerror(-r))
                 : 0;
}

/* Who was root a moment ago may wonder. */
static int fail_to_read(const struct restoration *restoration, int code, const struct error *error)
{
    const struct operation *operation = restoration->operation;
    operation_fail(operation, "%s", error->message);
    if (code == -EACCES) {
        fprintf(operation->err,
                "    hint: the store's owner must be able to read it: chown -R %u: %s\n",
                (unsigned)geteuid(), restoration->backup);
    }
    return EXIT_STATUS_FAILED;
}

/* ---- The copy ---- */

static int copy(struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    char source[PATH_MAX];
    struct error error = {.line = 0};
    struct progress progress;
    if (mkdir(restoration->location, 0700) < 0 && errno != EEXIST) {
        return operation_fail(operation, "cannot create %s: %s", restoration->location,
                              strerror(errno));
    }
    snprintf(source, sizeof source, "%.4000s/" ARCHIVE_STORE, restoration->backup);
    snprintf(restoration->draft, sizeof restoration->draft, "%.4000s.%ld.new", restoration->file,
             (long)getpid());
    progress_begin(&progress, "copying the store", operation->err);
    struct store_progress watch = progress_watch(&progress);
    int r = archive_copy_file(source, restoration->draft, &watch, &error);
    progress_end(&progress);
    if (r < 0) {
        restoration->draft[0] = '\0';
        return operation_fail(operation, "%s", error.message);
    }
    return 0;
}

/* ---- Changing places ---- */

static int make_aside(struct restoration *restoration)
{
    struct tm parts;
    time_t now = time(NULL);
    char text[32];
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts) == 0) {
        snprintf(text, sizeof text, "%lld", (long long)now);
    }
    snprintf(restoration->replaced, sizeof restoration->replaced, "%.4000s/replaced-%s",
             restoration->location, text);
    return mkdir(restoration->replaced, 0700) < 0
               ? operation_fail(restoration->operation, "cannot create %s: %s",
                                restoration->replaced, strerror(errno))
               : 0;
}

static void name_places(const struct restoration *restoration, const char *ending,
                        char here[PATH_MAX], char aside[PATH_MAX])
{
    snprintf(here, PATH_MAX, "%.4000s%s", restoration->file, ending);
    snprintf(aside, PATH_MAX, "%.4000s/" ARCHIVE_STORE "%s", restoration->replaced, ending);
}

/* Never over another one; where links are unknown, as far as can be seen. */
static int move(const char *from, const char *to)
{
    struct stat status;
    if (link(from, to) == 0) {
        (void)unlink(from);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) {
        return -errno;
    }
    if (lstat(to, &status) == 0) {
        return -EEXIST;
    }
    return rename(from, to) < 0 ? -errno : 0;
}

static void move_back(struct restoration *restoration)
{
    bool is_back = true;
    for (size_t i = ARRAY_LEN(endings); i-- > 0 && is_back;) {
        char here[PATH_MAX];
        char aside[PATH_MAX];
        name_places(restoration, endings[i], here, aside);
        int r = move(aside, here);
        is_back = r == 0 || r == -ENOENT;
    }
    if (!is_back || rmdir(restoration->replaced) < 0) {
        fprintf(restoration->operation->err, "    hint: what was there is in %s\n",
                restoration->replaced);
    }
}

/* A log without its store is moved as well: it would be read into the new one. The lock stays: it
 * is nobody's content. */
static bool is_there(const struct restoration *restoration)
{
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        char path[PATH_MAX];
        struct stat status;
        snprintf(path, sizeof path, "%.4000s%s", restoration->file, endings[i]);
        found = found || lstat(path, &status) == 0;
    }
    return found;
}

static int move_aside(struct restoration *restoration)
{
    if (make_aside(restoration) != 0) {
        return EXIT_STATUS_FAILED;
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        char here[PATH_MAX];
        char aside[PATH_MAX];
        name_places(restoration, endings[i], here, aside);
        if (rename(here, aside) < 0 && errno != ENOENT) {
            operation_fail(restoration->operation, "cannot move %s: %s", here, strerror(errno));
            move_back(restoration);
            return EXIT_STATUS_FAILED;
        }
    }
    return 0;
}

/* Where somebody has made a store meanwhile, the old log would be read into that. */
static int fail_to_place(struct restoration *restoration, int code)
{
    operation_fail(restoration->operation, "cannot name it %s: %s", restoration->file,
                   strerror(-code));
    if (restoration->replaced[0] != '\0' && code != -EEXIST) {
        move_back(restoration);
    } else if (restoration->replaced[0] != '\0') {
        fprintf(restoration->operation->err, "    hint: what was there is in %s\n",
                restoration->replaced);
    }
    return EXIT_STATUS_FAILED;
}

static int put_in_place(struct restoration *restoration)
{
    struct error error = {.line = 0};
    if (is_there(restoration) && move_aside(restoration) != 0) {
        return EXIT_STATUS_FAILED;
    }
    int r = move(restoration->draft, restoration->file);
    if (r < 0) {
        return fail_to_place(restoration, r);
    }
    restoration->draft[0] = '\0';
    return archive_flush_directory(restoration->location, &error) < 0
               ? operation_fail(restoration->operation, "%s", error.message)
               : 0;
}

/* ---- After ---- */

static bool is_same_key(const struct restoration *restoration, const struct archive_key *key)
{
    char path[PATH_MAX];
    char *bytes = malloc(KEY_BYTES_MAX);
    snprintf(path, sizeof path, "%.4000s/keys/%s", restoration->backup, key->file);
    FILE *file = fopen(path, "re");
    size_t len = file == NULL || bytes == NULL ? 0 : fread(bytes, 1, KEY_BYTES_MAX, file);
    bool is_same =
        len == 0 ||
        str_equal(str_trim(str_make(bytes, len)),
                  str_trim(str_from(config_str(restoration->operation->config, key->key))));
    if (file != NULL) {
        fclose(file);
    }
    if (bytes != NULL) {
        explicit_bzero(bytes, KEY_BYTES_MAX);
    }
    free(bytes);
    return is_same;
}

static void compare_keys(struct restoration *restoration)
{
    for (size_t i = 0; i < ARCHIVE_KEYS; i++) {
        if (!is_same_key(restoration, &archive_keys[i])) {
            restoration->has_other_keys = true;
            fprintf(restoration->operation->err,
                    "portico restore: warning: %s is not the one of the backup (keys/%s), which "
                    "its agents know\n",
                    archive_keys[i].key, archive_keys[i].file);
        }
    }
}

static void tell(const struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    const struct store_statistics *counts = &restoration->facts.store.counts;
    if (operation->is_json) {
        struct json_writer json;
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        json_open(&json, NULL, '{');
        json_put_str(&json, "location", str_from(restoration->location));
        json_put_known(&json, "replaced", str_from(restoration->replaced));
        if (restoration->facts.has_keys) {
            json_put_bool(&json, "same_keys", !restoration->has_other_keys);
        } else {
            json_put_known(&json, "same_keys", STR(""));
        }
        json_put_uint(&json, "agents", counts->agents[0]);
        json_put_uint(&json, "requests", counts->requests);
        json_put_uint(&json, "responses", counts->responses);
        json_put_uint(&json, "messages", counts->messages);
        json_put_uint(&json, "bytes", counts->bytes);
        json_close(&json, '}');
        json_close(&json, ']');
        return;
    }
    fprintf(operation->out,
            "Restored %s to %s: %llu agents, %llu requests, %llu responses, %llu messages.\n",
            restoration->backup, restoration->location, (unsigned long long)counts->agents[0],
            (unsigned long long)counts->requests, (unsigned long long)counts->responses,
            (unsigned long long)counts->messages);
    if (restoration->replaced[0] != '\0') {
        fprintf(operation->out, "What was there is in %s.\n", restoration->replaced);
    }
    fputs("Next: portico check, then start the frontends.\n", operation->out);
}

static int carry_out(struct restoration *restoration)
{
    const struct operation *operation = restoration->operation;
    struct error error = {.line = 0};
    snprintf(restoration->file, sizeof restoration->file, "%.4000s/portico.db",
             restoration->location);
    int status = become_owner(restoration);
    status = status != 0 ? status : refuse_store(restoration);
    status = status != 0 ? status : refuse_use(restoration);
    if (status != 0) {
        return status;
    }
    int r = archive_verify(restoration->backup, USEC_NEVER, &restoration->facts, &error);
    if (r < 0) {
        return fail_to_read(restoration, r, &error);
    }
    status = copy(restoration);
    status = status != 0 ? status : refuse_use(restoration); /* somebody may have started one */
    if (status == 0 && progress_is_interrupted()) {
        return operation_fail(operation, "the copy was given up");
    }
    return status != 0 ? status : put_in_place(restoration);
}

int command_restore(const struct operation *operation)
{
    struct restoration *restoration = calloc(1, sizeof *restoration);
    struct progress_hold hold;
    if (restoration == NULL) {
        return operation_fail(operation, "out of memory");
    }
    restoration->operation = operation;
    restoration->backup = operation->arguments[0];
    restoration->location = config_str(operation->config, "Datastore.location");
    progress_hold(&hold);
    int status = carry_out(restoration);
    if (status == 0) {
        compare_keys(restoration);
        tell(restoration);
    }
    if (restoration->draft[0] != '\0') {
        (void)unlink(restoration->draft);
    }
    progress_release(&hold);
    free(restoration);
    return status;
}
