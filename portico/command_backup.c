/* SPDX-License-Identifier: Apache-2.0 */
/* portico backup and portico verify. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "archive_keys.h"
#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "owner.h"
#include "progress.h"
#include "table.h"

static int fail(const struct operation *operation, int code, const struct error *error)
{
    operation_fail(operation, "%s", error->message);
    switch (code) {
    case -EEXIST:
        fputs("    hint: choose another directory, or replace that backup with --force\n",
              operation->err);
        break;
    case -ENOTDIR:
        fputs("    hint: choose a directory that does not exist yet\n", operation->err);
        break;
    case -ENOSPC:
        fputs("    hint: nothing is left of it; choose a larger disk\n", operation->err);
        break;
    case -EACCES:
        fprintf(operation->err,
                "    hint: the store's owner must be able to write there: install -d -o %u -m 0700 "
                "PARENT\n",
                (unsigned)geteuid());
        break;
    default:
        break;
    }
    return EXIT_STATUS_FAILED;
}

/* ---- What goes into it ---- */

static int add_store(const struct operation *operation, struct archive *archive,
                     struct store *store, struct store_inspection *found, struct error *error)
{
    char place[PATH_MAX];
    struct progress progress;
    int r = archive_place(archive, ARCHIVE_STORE, place, error);
    if (r < 0) {
        return r;
    }
    progress_begin(&progress, "copying the store", operation->err);
    struct store_progress watch = progress_watch(&progress);
    r = store_backup(store, place, &watch, error);
    progress_end(&progress);
    const struct store_inspect_settings settings = {
        .file = place, .is_copy = true, .patience = USEC_NEVER};
    return r < 0 ? r : store_inspect(&settings, found, error);
}

/* "configuration/3-portico.yaml": the number makes it the only one. */
static int add_copy(struct archive *archive, const char *folder, const char *source,
                    struct error *error)
{
    char name[ARCHIVE_NAME_SIZE];
    const char *slash = strrchr(source, '/');
    snprintf(name, sizeof name, "%s/%zu-%.60s", folder, archive->count,
             slash == NULL ? source : slash + 1);
    for (char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '\\') {
            *c = '_';
        }
    }
    return archive_copy(archive, name, source, error);
}

static int add_configuration(struct archive *archive, const struct config *config,
                             struct error *error)
{
    int r = 0;
    for (const struct config_file *file = config_files(config); file != NULL && r == 0;
         file = file->next) {
        r = add_copy(archive, "configuration", file->path, error);
    }
    struct option_list list = config_list(config, "Balancer.tls_certificates");
    for (size_t i = 0; i < list.count && r == 0; i++) {
        r = add_copy(archive, "tls", list.items[i], error);
    }
    if (r == 0 && config_is_set(config, "Balancer.tls_client_ca")) {
        r = add_copy(archive, "tls", config_str(config, "Balancer.tls_client_ca"), error);
    }
    return r;
}

static int add_keys(struct archive *archive, const struct config *config, struct error *error)
{
    int r = 0;
    for (size_t i = 0; i < ARCHIVE_KEYS && r == 0; i++) {
        char name[ARCHIVE_NAME_SIZE];
        snprintf(name, sizeof name, "keys/%s", archive_keys[i].file);
        if (config_is_set(config, archive_keys[i].key)) {
            r = archive_put(archive, name, str_from(config_str(config, archive_keys[i].key)),
                            error);
        }
    }
    return r;
}

static int make(const struct operation *operation, struct archive *archive, struct store *store,
                struct store_inspection *found, struct error *error)
{
    const struct config *config = operation->config;
    bool is_store_only = command_line_flag(operation->line, "store-only") != NULL;
    usec_t now = clock_wall(&clock_system);
    int r = archive_begin(archive, operation->arguments[0],
                          command_line_flag(operation->line, "force") != NULL, error);
    r = r < 0 ? r : add_store(operation, archive, store, found, error);
    if (!is_store_only) {
        r = r < 0 ? r : add_configuration(archive, config, error);
        r = r < 0 ? r : add_keys(archive, config, error);
    }
    return r < 0 ? r : archive_publish(archive, found, now, error);
}

/* ---- Telling ---- */

static void put_counts(struct json_writer *json, const struct store_statistics *counts)
{
    json_put_uint(json, "agents", counts->agents[0]);
    json_put_uint(json, "requests", counts->requests);
    json_put_uint(json, "responses", counts->responses);
    json_put_uint(json, "messages", counts->messages);
    json_put_uint(json, "bytes", counts->bytes);
}

static void tell(const struct operation *operation, const struct archive *archive,
                 const struct store_inspection *found)
{
    const struct store_statistics *counts = &found->counts;
    struct json_writer json;
    if (operation->is_json) {
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        json_open(&json, NULL, '{');
        json_put_str(&json, "directory", str_from(archive->path));
        json_put_uint(&json, "files", archive->count);
        put_counts(&json, counts);
        json_close(&json, '}');
        json_close(&json, ']');
        return;
    }
    fprintf(operation->out,
            "Wrote %s: %zu file%s, %llu agents, %llu requests, %llu responses, %llu messages, %llu "
            "MiB.\n",
            archive->path, archive->count, archive->count == 1 ? "" : "s",
            (unsigned long long)counts->agents[0], (unsigned long long)counts->requests,
            (unsigned long long)counts->responses, (unsigned long long)counts->messages,
            (unsigned long long)(counts->bytes >> 20));
    if (archive->count > 1) {
        fputs("It holds private keys: keep it where only you can read it.\n", operation->out);
    }
}

int command_backup(const struct operation *operation)
{
    struct archive *archive = calloc(1, sizeof *archive);
    struct store *store = NULL;
    struct store_inspection found;
    struct progress_hold hold;
    struct error error = {.line = 0};
    if (archive == NULL) {
        return operation_fail(operation, "out of memory");
    }
    int status = operation_open_store(operation, &store);
    progress_hold(&hold); /* half of one would leave keys lying about */
    if (status == 0) {
        int r = make(operation, archive, store, &found, &error);
        status = r < 0 ? fail(operation, r, &error) : 0;
    }
    if (status == 0) {
        tell(operation, archive, &found);
    }
    archive_done(archive);
    progress_release(&hold);
    free(archive);
    store_free(store);
    return status;
}

/* ---- Verifying ---- */

int command_verify(const struct operation *operation)
{
    const char *path = operation->arguments[0];
    struct archive_facts facts;
    struct error error = {.line = 0};
    if (archive_verify(path, USEC_NEVER, &facts, &error) < 0) {
        operation_fail(operation, "%s", error.message);
        fputs("    hint: use another backup\n", operation->err);
        return EXIT_STATUS_FAILED;
    }
    const struct store_statistics *counts = &facts.store.counts;
    if (operation->is_json) {
        struct json_writer json;
        json_begin(&json, operation->out);
        json_open(&json, NULL, '[');
        json_open(&json, NULL, '{');
        json_put_str(&json, "directory", str_from(path));
        json_put_str(&json, "made", str_from(facts.made));
        json_put_uint(&json, "files", facts.files);
        json_put_bool(&json, "has_keys", facts.has_keys);
        json_put_uint(&json, "schema", (uint64_t)facts.store.schema);
        put_counts(&json, counts);
        json_close(&json, '}');
        json_close(&json, ']');
    } else {
        fprintf(operation->out,
                "%s is whole: made %s, %zu file%s%s, schema %lld, %llu agents, %llu requests, %llu "
                "responses, %llu messages.\n",
                path, facts.made, facts.files, facts.files == 1 ? "" : "s",
                facts.has_keys ? " with keys" : "", (long long)facts.store.schema,
                (unsigned long long)counts->agents[0], (unsigned long long)counts->requests,
                (unsigned long long)counts->responses, (unsigned long long)counts->messages);
    }
    return EXIT_STATUS_FINE;
}
