/* SPDX-License-Identifier: Apache-2.0 */
/* portico check: keys and certificates, and the files that they are in. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"
#include "table.h"
#include "wire/certificate.h"

#define EXPIRES_SOON (30 * USEC_PER_DAY)

enum { KEY_FILE_BYTES_MAX = 1 << 20 };

/* ---- Dates ---- */

void check_dates(struct check_report *report, const struct check_scene *scene, const char *name,
                 usec_t not_before, usec_t not_after, const char *facts)
{
    usec_t now = clock_wall(scene->clock);
    char text[TIME_TEXT_SIZE];
    if (now < not_before) {
        check_report_mend(report, "set the clock of this machine (timedatectl), or make a new "
                                  "certificate");
        check_report_tell(report, FINDING_PROBLEM, "certificate", "%s is valid from %s on only",
                          name, time_format(not_before, text));
    } else if (now > not_after) {
        check_report_why(report, "agents refuse it");
        check_report_mend(report, "make a new one with the same key, put it in its place, then "
                                  "systemctl reload portico.target");
        check_report_tell(report, FINDING_PROBLEM, "certificate", "%s expired on %s", name,
                          time_format(not_after, text));
    } else if (not_after - now < EXPIRES_SOON) {
        check_report_why(report, "agents refuse it afterwards");
        check_report_mend(report, "make a new one with the same key, put it in its place, then "
                                  "systemctl reload portico.target");
        check_report_tell(report, FINDING_WARNING, "certificate", "%s expires in %lld days, on %s",
                          name, (long long)((not_after - now) / USEC_PER_DAY),
                          time_format(not_after, text));
    } else {
        check_report_tell(report, FINDING_OK, "certificate", "%s: %s, %lld more days, until %s",
                          name, facts, (long long)((not_after - now) / USEC_PER_DAY),
                          time_format(not_after, text));
    }
}

/* ---- What agents see ---- */

static bool has_all_keys(struct check_report *report, const struct config *config)
{
    static const char *const keys[] = {"CA.certificate", "PrivateKeys.ca_key",
                                       "Frontend.certificate", "PrivateKeys.server_key"};
    bool has_all = true;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!config_is_set(config, keys[i])) {
            check_report_mend(report, "name the file that portico init wrote with -c FILE, or make "
                                      "one: portico init --directory DIR");
            check_report_tell(report, FINDING_PROBLEM, "keys", "%s is not set", keys[i]);
            has_all = false;
        }
    }
    return has_all;
}

/* The key of a certificate that the configuration has accepted already; NULL: it cannot be used. */
static struct rsa_key *read_certificate(struct check_report *report,
                                        const struct check_scene *scene, const char *key)
{
    struct certificate_facts facts;
    struct rsa_key *rsa = NULL;
    enum wire_reason reason = 0;
    char words[128];
    if (certificate_read(str_from(config_str(scene->config, key)), NULL, &rsa, &facts, &reason) <
        0) {
        check_report_mend(report, "portico init makes one that agents understand");
        check_report_tell(report, FINDING_PROBLEM, "certificate",
                          "%s cannot be used: it needs an RSA key and one common name", key);
        return NULL;
    }
    snprintf(words, sizeof words, "%s, serial %llu", facts.common_name,
             (unsigned long long)facts.serial);
    check_dates(report, scene, key, facts.not_before, facts.not_after, words);
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
        check_report_why(report, "agents refuse this server");
        check_report_mend(report, "take both from the same place");
        check_report_tell(report, FINDING_PROBLEM, "certificate",
                          "Frontend.certificate is not signed with the key of CA.certificate");
    } else {
        check_report_tell(report, FINDING_OK, "certificate",
                          "Frontend.certificate is signed with the key of CA.certificate");
    }
}

void check_keys(struct check_report *report, const struct check_scene *scene)
{
    if (!has_all_keys(report, scene->config)) {
        return;
    }
    struct rsa_key *authority = read_certificate(report, scene, "CA.certificate");
    struct rsa_key *server = read_certificate(report, scene, "Frontend.certificate");
    if (authority != NULL && server != NULL) {
        check_signature(report, scene->config, authority);
    }
    rsa_key_free(authority);
    rsa_key_free(server);
}

/* ---- What TLS clients see ---- */

static usec_t time_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (usec_t)timegm(&parts) * USEC_PER_SEC : 0;
}

static void check_tls_certificate(struct check_report *report, const struct check_scene *scene,
                                  const char *path, X509 *certificate, const EVP_PKEY *key)
{
    char name[256] = "";
    char facts[300];
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    snprintf(facts, sizeof facts, "%s, for TLS", name[0] == '\0' ? "without a name" : name);
    check_dates(report, scene, path, time_of(X509_get0_notBefore(certificate)),
                time_of(X509_get0_notAfter(certificate)), facts);
    if (key == NULL || X509_check_private_key(certificate, key) != 1) {
        check_report_why(report, "the balancer does not start with it, or refuses the reload");
        check_report_mend(report,
                          "put certificate, chain and key of one and the same pair into it");
        check_report_tell(report, FINDING_PROBLEM, "certificate",
                          key == NULL ? "%s has no private key, or one with a password"
                                      : "%s: the key is not that of the certificate",
                          path);
    }
}

/* Nobody is there to type a password. The type is OpenSSL's. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int refuse_password(char *password, int size, int writing, void *context)
{
    (void)password;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static void check_tls_file(struct check_report *report, const struct check_scene *scene,
                           const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == EACCES && !scene->is_root) {
        check_report_tell(report, FINDING_UNSEEN, "certificate", "%s: not looked at: needs root",
                          path);
        return;
    }
    if (file == NULL) {
        char words[128];
        check_report_mend(report, "correct Balancer.tls_certificates, or put the file there");
        check_report_tell(report, FINDING_PROBLEM, "certificate", "%s cannot be read: %s", path,
                          strerror_r(errno, words, sizeof words));
        return;
    }
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    rewind(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, refuse_password, NULL);
    fclose(file);
    if (certificate == NULL) {
        check_report_mend(report, "put certificate, chain and key into it, as PEM");
        check_report_tell(report, FINDING_PROBLEM, "certificate", "%s has no certificate", path);
    } else {
        check_tls_certificate(report, scene, path, certificate, key);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void check_tls(struct check_report *report, const struct check_scene *scene)
{
    struct option_list list = config_list(scene->config, "Balancer.tls_certificates");
    for (size_t i = 0; i < list.count; i++) {
        check_tls_file(report, scene, list.items[i]);
    }
}

/* ---- Files ---- */

/* Whether it holds a secret; 0 when it cannot be read either. */
static bool holds_key(const char *path)
{
    char *bytes = malloc(KEY_FILE_BYTES_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = bytes == NULL || fd < 0 ? -1 : read(fd, bytes, KEY_FILE_BYTES_MAX);
    bool found = len > 0 && memmem(bytes, (size_t)len, "PRIVATE KEY-----", 16) != NULL;
    if (fd >= 0) {
        close(fd);
    }
    if (bytes != NULL) {
        explicit_bzero(bytes, KEY_FILE_BYTES_MAX);
    }
    free(bytes);
    return found;
}

static void check_key_owner(struct check_report *report, const struct check_scene *scene,
                            const char *path, const struct stat *status)
{
    if (status->st_uid == scene->service.uid) {
        check_report_tell(report, FINDING_OK, "permissions",
                          "key file %s has mode %04o and is %s's", path, status->st_mode & 07777U,
                          scene->user);
        return;
    }
    check_report_why(report, "who serves cannot read it");
    check_report_mend(report, "chown %s: %s", scene->user, path);
    check_report_tell(report, FINDING_PROBLEM, "permissions",
                      "key file %s belongs to user %u, and not to %s who serves", path,
                      (unsigned)status->st_uid, scene->user);
}

static void check_key_file(struct check_report *report, const struct check_scene *scene,
                           const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || !holds_key(path)) {
        return;
    }
    if ((status.st_mode & 077) != 0) {
        check_report_why(report, "with the keys anybody can speak as this server");
        check_report_mend(report, "chmod 600 %s", path);
        check_report_tell(report, FINDING_PROBLEM, "permissions",
                          "key file %s has mode %04o: others than its owner may use it", path,
                          status.st_mode & 07777U);
        return;
    }
    check_key_owner(report, scene, path, &status);
}

void check_key_files(struct check_report *report, const struct check_scene *scene)
{
    struct option_list list = config_list(scene->config, "Balancer.tls_certificates");
    for (const struct config_file *file = config_files(scene->config); file != NULL;
         file = file->next) {
        check_key_file(report, scene, file->path);
    }
    for (size_t i = 0; i < list.count; i++) {
        check_key_file(report, scene, list.items[i]);
    }
}
