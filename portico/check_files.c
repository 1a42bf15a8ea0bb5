/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: keys and certificates, modes of files, directories, the store. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "check_report.h"
#include "config/config.h"
#include "store/store_sqlite.h"
#include "table.h"
#include "wire/certificate.h"

#define EXPIRES_SOON (30 * USEC_PER_DAY)

/* ---- keys and certificates ---- */

static bool has_all_keys(struct check_report *report, const struct config *config)
{
    static const char *const keys[] = {"CA.certificate", "PrivateKeys.ca_key",
                                       "Frontend.certificate", "PrivateKeys.server_key"};
    bool has_all = true;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!config_is_set(config, keys[i])) {
            check_report_mend(report, "name the file that portico init wrote with -c FILE, or make "
                                      "one: portico init --directory DIR");
            check_report_tell(report, FINDING_ERROR, "keys", "%s is not set", keys[i]);
            has_all = false;
        }
    }
    return has_all;
}

static void check_dates(struct check_report *report, const char *key,
                        const struct certificate_facts *facts)
{
    usec_t now = clock_wall(&clock_system);
    char text[TIME_TEXT_SIZE];
    if (now < facts->not_before) {
        check_report_mend(report, "set the clock of this machine, or make a new certificate");
        check_report_tell(report, FINDING_ERROR, "certificate", "%s is valid from %s on only", key,
                          time_format(facts->not_before, text));
    } else if (now > facts->not_after) {
        check_report_mend(report,
                          "make a new one with the same key of the authority; agents refuse "
                          "this one");
        check_report_tell(report, FINDING_ERROR, "certificate", "%s expired on %s", key,
                          time_format(facts->not_after, text));
    } else if (facts->not_after - now < EXPIRES_SOON) {
        check_report_mend(report, "make a new one in time");
        check_report_tell(report, FINDING_WARNING, "certificate", "%s expires on %s", key,
                          time_format(facts->not_after, text));
    } else {
        check_report_tell(report, FINDING_OK, "certificate", "%s: %s, serial %llu, until %s", key,
                          facts->common_name, (unsigned long long)facts->serial,
                          time_format(facts->not_after, text));
    }
}

/* The key of a certificate that the configuration has accepted already; NULL: it cannot be used. */
static struct rsa_key *read_certificate(struct check_report *report, const struct config *config,
                                        const char *key)
{
    struct certificate_facts facts;
    struct rsa_key *rsa = NULL;
    enum wire_reason reason = 0;
    if (certificate_read(str_from(config_str(config, key)), NULL, &rsa, &facts, &reason) < 0) {
        check_report_mend(report, "portico init makes one that agents understand");
        check_report_tell(report, FINDING_ERROR, "certificate",
                          "%s cannot be used: it needs an RSA key and one common name", key);
        return NULL;
    }
    check_dates(report, key, &facts);
    return rsa;
}

/* Dates were told before, so a moment within them is taken. */
static void check_signature(struct check_report *report, const struct config *config,
                            const struct rsa_key *authority)
{
    struct str pem = str_from(config_str(config, "Frontend.certificate"));
    struct certificate_facts facts;
    struct rsa_key *rsa = NULL;
    enum wire_reason reason = 0;
    int r = certificate_read(pem, NULL, &rsa, &facts, &reason);
    rsa_key_free(rsa);
    rsa = NULL;
    if (r == 0) {
        r = certificate_check(pem, authority, facts.not_before + USEC_PER_SEC, 0, NULL, &rsa,
                              &facts, &reason);
        rsa_key_free(rsa);
    }
    if (r < 0) {
        check_report_mend(report, "take both from the same place; agents refuse this server");
        check_report_tell(report, FINDING_ERROR, "certificate",
                          "Frontend.certificate is not signed with the key of CA.certificate");
    }
}

void check_keys(struct check_report *report, const struct config *config)
{
    if (!has_all_keys(report, config)) {
        return;
    }
    struct rsa_key *authority = read_certificate(report, config, "CA.certificate");
    struct rsa_key *server = read_certificate(report, config, "Frontend.certificate");
    if (authority != NULL && server != NULL) {
        check_signature(report, config, authority);
    }
    rsa_key_free(authority);
    rsa_key_free(server);
}

/* ---- modes ---- */

/* The file that sets `key`; false when none does. Keys that are read with the filter "file" stand
 * in another one, which is not looked at. */
static bool file_of(const struct config *config, const char *key, char *file, size_t size)
{
    static const char writeback[] = "writeback ";
    char origin[4096];
    config_origin(config, key, origin, sizeof origin);
    const char *name = origin;
    if (strncmp(origin, writeback, sizeof writeback - 1) == 0) {
        name += sizeof writeback - 1;
    }
    char *colon = strrchr(origin, ':');
    if (colon == NULL || strcmp(origin, "default") == 0 || strcmp(origin, "-p") == 0) {
        return false;
    }
    *colon = '\0';
    snprintf(file, size, "%s", name);
    return true;
}

static void check_mode(struct check_report *report, const char *path, const char *what)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return;
    }
    unsigned mode = status.st_mode & 07777;
    if ((mode & 077) != 0) {
        check_report_mend(report, "chmod %s %s", S_ISDIR(status.st_mode) ? "700" : "600", path);
        check_report_tell(report, FINDING_ERROR, "permissions", "%s %s has mode %04o: %s", what,
                          path, mode, "others than its owner may use it");
    } else {
        check_report_tell(report, FINDING_OK, "permissions", "%s %s has mode %04o", what, path,
                          mode);
    }
}

void check_permissions(struct check_report *report, const struct config *config)
{
    char first[4096];
    char second[4096];
    bool has_first = file_of(config, "PrivateKeys.ca_key", first, sizeof first);
    bool has_second = file_of(config, "PrivateKeys.server_key", second, sizeof second);
    if (has_first) {
        check_mode(report, first, "key file");
    }
    if (has_second && !(has_first && strcmp(first, second) == 0)) {
        check_mode(report, second, "key file");
    }
}

/* ---- directories ---- */

static void check_runtime(struct check_report *report, const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        check_report_mend(report, "install -d -m 0700 %s", path);
        check_report_tell(report, FINDING_ERROR, "sockets", "there is no directory %s", path);
    } else if (!S_ISDIR(status.st_mode)) {
        check_report_mend(report, "choose another Runtime.directory");
        check_report_tell(report, FINDING_ERROR, "sockets", "%s is no directory", path);
    } else if (access(path, W_OK | X_OK) < 0) {
        check_report_mend(report, "chown %u %s, or run this as the user that serves",
                          (unsigned)geteuid(), path);
        check_report_tell(report, FINDING_ERROR, "sockets", "%s may not be written", path);
    } else {
        check_report_tell(report, FINDING_OK, "sockets", "%s may be written", path);
    }
}

/* The kernel's limit is low, and a deep directory soon meets it. */
static void check_socket_path(struct check_report *report, const char *key, const char *path)
{
    const size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (strlen(path) > max) {
        check_report_mend(report, "choose a shorter Runtime.directory, such as /run/portico");
        check_report_tell(report, FINDING_ERROR, "sockets",
                          "%s %s is longer than the %zu bytes "
                          "that a socket's path may have",
                          key, path, max);
    }
}

void check_directories(struct check_report *report, const struct config *config)
{
    check_runtime(report, config_str(config, "Runtime.directory"));
    check_socket_path(report, "Balancer.admin_socket", config_str(config, "Balancer.admin_socket"));
    check_socket_path(report, "Balancer.registration_socket",
                      config_str(config, "Balancer.registration_socket"));
}

/* ---- the store ---- */

static void tell_statistics(struct check_report *report, struct store *store)
{
    struct store_statistics s;
    struct error error = {.line = 0};
    int r = store_check(store, &error);
    r = r < 0 ? r : store_read_statistics(store, &s, &error);
    if (r < 0) {
        check_report_mend(report, "%s",
                          r == -EUCLEAN ? "stop the frontends and put a backup in its "
                                          "place"
                                        : "remove the cause; nothing has to be "
                                          "restarted then");
        check_report_tell(report, FINDING_ERROR, "store", "%s", error.message);
        return;
    }
    check_report_tell(report, FINDING_OK, "store",
                      "%llu agents (%llu pending, %llu forgotten), %llu requests queued, %llu "
                      "responses, %llu messages, %llu MiB",
                      (unsigned long long)s.agents[0], (unsigned long long)s.agents[STORE_PENDING],
                      (unsigned long long)s.agents[STORE_FORGOTTEN],
                      (unsigned long long)s.requests_queued, (unsigned long long)s.responses,
                      (unsigned long long)s.messages, (unsigned long long)(s.bytes >> 20));
}

/* It is made by the first instance, as long as its parent is there. */
static void tell_missing(struct check_report *report, const char *location)
{
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", location);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    const char *where = access(location, F_OK) == 0 ? location : slash == NULL ? "." : parent;
    if (access(where, W_OK | X_OK) < 0) {
        check_report_mend(report, "install -d -m 0700 %s", location);
        check_report_tell(report, FINDING_ERROR, "store", "%s: nothing can be made in %s", location,
                          where);
    } else {
        check_report_tell(report, FINDING_OK, "store",
                          "%s: none yet, the first portico-frontend makes it", location);
    }
}

static void check_store_modes(struct check_report *report, const char *location)
{
    static const char *const files[] = {"portico.db", "portico.db-wal", "portico.db-shm"};
    char path[4096];
    struct stat status;
    check_mode(report, location, "store");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", location, files[i]);
        if (stat(path, &status) == 0 && (status.st_mode & 077) != 0) {
            check_mode(report, path, "store");
        }
    }
}

void check_store_health(struct check_report *report, const struct config *config)
{
    const char *location = config_str(config, "Datastore.location");
    struct store *store = NULL;
    struct error error = {.line = 0};
    const struct store_sqlite_settings settings = {
        .directory = location,
        .clock = &clock_system,
        .must_exist = true,
        .busy_timeout = config_usec(config, "Datastore.busy_timeout"),
    };
    int r = store_sqlite_open_with(&settings, &store, &error);
    check_store_modes(report, location);
    if (r == 0) {
        tell_statistics(report, store);
        store_free(store);
    } else if (r == -ENOENT) {
        tell_missing(report, location);
    } else {
        check_report_mend(report, "%s%s%s",
                          r == -EACCES || r == -EROFS
                              ? "run this as the user to whom the store belongs"
                          : r == -EUCLEAN ? "stop the frontends and put a backup in its place"
                          : r == -EBUSY   ? "see who has it open: fuser -v "
                                          : "remove the cause, or change Datastore.location",
                          r == -EBUSY ? location : "", r == -EBUSY ? "/*" : "");
        check_report_tell(report, FINDING_ERROR, "store", "%s", error.message);
    }
}
