/* SPDX-License-Identifier: Apache-2.0 */
/* portico init: keys, certificates and the configuration that holds them. One thread. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "commands.h"
#include "json_write.h"
#include "operation.h"
#include "owner.h"
#include "private_file.h"
#include "wire/authority.h"
#include "wire/rsa.h"

#define DEFAULT_DIRECTORY "/etc/portico"
#define FILE_NAME "portico.local.yaml"

enum {
    KEY_BITS = 2048,
    PORTS = 10,
    PEM_BYTES_MAX = 64 * 1024,
    FILE_BYTES_MAX = 256 * 1024,
    AUTHORITY_SERIAL = 1, /* section 9 */
    SERVER_SERIAL = 2,
    DIRECTORY_MODE = 0755,
    PRIVATE_DIRECTORY_MODE = 0700,
};

#define AUTHORITY_NAME "portico_ca"
#define SERVER_NAME "grr" /* agents compare it with the one on our answers, and take any */
/* Some agents' clocks are slow. */
#define BACKDATED USEC_PER_DAY
#define LIFETIME (3650 * USEC_PER_DAY)

/* A key with its certificate, as PEM. */
struct identity {
    struct rsa_key *key;
    struct buffer key_pem, certificate;
};

struct plan {
    const struct operation *operation;
    char directory[PATH_MAX];
    char file[PATH_MAX];
    char temporary[PRIVATE_FILE_PATH_MAX];
    char store[PATH_MAX];
    char runtime[PATH_MAX];
    struct port_range range;
    struct owner owner;
    bool is_given; /* to `owner`; else it stays ours */
    struct identity authority, server;
    struct buffer text;
};

/* ---- where ---- */

/* Configuration text gives these a meaning. */
static int check_path(const struct operation *operation, const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f || strchr("\\\"%(){}|", *c) != NULL) {
            return operation_fail(operation,
                                  "%s: a configuration would misread that path; choose one "
                                  "without \\ \" %% ( ) { } |",
                                  path);
        }
    }
    return 0;
}

static int make_directory(const struct operation *operation, const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        char words[128];
        return operation_fail(operation, "cannot create %s: %s%s", path,
                              strerror_r(errno, words, sizeof words),
                              command_line_flag(operation->line, "directory") == NULL
                                  ? "; be root, or choose a place with --directory"
                                  : "");
    }
    return 0;
}

/* With its parents. */
static int make_directories(const struct operation *operation, const char *path, mode_t mode)
{
    char part[PATH_MAX];
    for (size_t i = 1; i < sizeof part && path[i] != '\0'; i++) {
        if (path[i] != '/') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        int status = make_directory(operation, part, DIRECTORY_MODE);
        if (status != 0) {
            return status;
        }
    }
    return make_directory(operation, path, mode);
}

static bool join(char out[PATH_MAX], const char *directory, const char *name)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    return len > 0 && len < PATH_MAX;
}

/* What -p says; else below the directory that was named; else where the system has such things. */
static bool choose_place(const struct plan *plan, const char *key, const char *name,
                         char out[PATH_MAX])
{
    const struct operation *operation = plan->operation;
    char origin[256];
    config_origin(operation->config, key, origin, sizeof origin);
    bool is_default = strcmp(origin, "default") == 0;
    if (is_default && command_line_flag(operation->line, "directory") != NULL) {
        return join(out, plan->directory, name);
    }
    int len = snprintf(out, PATH_MAX, "%s", config_str(operation->config, key));
    return len > 0 && len < PATH_MAX;
}

static int plan_places(struct plan *plan)
{
    const struct operation *operation = plan->operation;
    const char *directory = command_line_flag(operation->line, "directory");
    directory = directory == NULL ? DEFAULT_DIRECTORY : directory;
    if (directory[0] == '\0') {
        return operation_misuse(operation, "--directory is empty");
    }
    int status = make_directories(operation, directory, DIRECTORY_MODE);
    if (status != 0) {
        return status;
    }
    /* The file shall mean the same wherever a program is started. */
    if (realpath(directory, plan->directory) == NULL) {
        return operation_fail(operation, "cannot find %s", directory);
    }
    if (!join(plan->file, plan->directory, FILE_NAME) ||
        !choose_place(plan, "Datastore.location", "store", plan->store) ||
        !choose_place(plan, "Runtime.directory", "run", plan->runtime)) {
        return operation_fail(operation, "%s: the path is too long", directory);
    }
    status = check_path(operation, plan->store);
    return status != 0 ? status : check_path(operation, plan->runtime);
}

static void plan_ports(struct plan *plan)
{
    const struct config *config = plan->operation->config;
    plan->range = config_frontend_range(config);
    if (!config_is_set(config, "Frontend.port_max")) {
        unsigned last = plan->range.first + PORTS - 1U;
        plan->range.last = (uint16_t)(last > UINT16_MAX ? UINT16_MAX : last);
    }
}

static int plan_owner(struct plan *plan)
{
    const struct operation *operation = plan->operation;
    const char *name = command_line_flag(operation->line, "user");
    bool is_asked = name != NULL;
    if (!is_asked && (geteuid() != 0 || command_line_flag(operation->line, "directory") != NULL)) {
        return 0;
    }
    name = is_asked ? name : SERVICE_USER;
    int r = owner_find(name, &plan->owner);
    plan->is_given = r == 0;
    return r < 0 && is_asked ? operation_fail(operation, "there is no user %s", name) : 0;
}

static int give(const struct plan *plan, const char *path)
{
    int r = plan->is_given ? owner_give(path, &plan->owner) : 0;
    return r < 0 ? operation_fail(plan->operation, "cannot give %s to the user who serves: %s",
                                  path, strerror(-r))
                 : 0;
}

/* ---- keys ---- */

static void identity_init(struct identity *identity)
{
    buffer_init(&identity->key_pem, PEM_BYTES_MAX);
    buffer_init(&identity->certificate, PEM_BYTES_MAX);
}

/* Keys do not stay behind in freed memory. */
static void wipe(struct buffer *buffer)
{
    if (buffer->data != NULL) {
        explicit_bzero(buffer->data, buffer->capacity);
    }
    buffer_done(buffer);
}

static void identity_done(struct identity *identity)
{
    rsa_key_free(identity->key);
    wipe(&identity->key_pem);
    buffer_done(&identity->certificate);
}

static int make_key(struct identity *identity)
{
    int r = rsa_generate(KEY_BITS, NULL, &identity->key);
    return r < 0 ? r : rsa_private_to_pem(identity->key, &identity->key_pem);
}

static int make_identities(struct plan *plan)
{
    usec_t now = clock_wall(&clock_system);
    struct certificate_wish wish = {
        .common_name = AUTHORITY_NAME,
        .serial = AUTHORITY_SERIAL,
        .not_before = now - BACKDATED,
        .not_after = now + LIFETIME,
    };
    struct authority *authority = NULL;
    int r = make_key(&plan->authority);
    r = r < 0 ? r : authority_make(plan->authority.key, &wish, &plan->authority.certificate);
    r = r < 0 ? r : make_key(&plan->server);
    wish.common_name = SERVER_NAME;
    wish.serial = SERVER_SERIAL;
    r = r < 0 ? r
              : authority_open(plan->authority.key, buffer_view(&plan->authority.certificate),
                               &authority);
    r = r < 0 ? r
              : authority_certify(authority, plan->server.key, &wish, &plan->server.certificate);
    authority_free(authority);
    return r < 0 ? operation_fail(plan->operation, "cannot make keys and certificates: %s",
                                  strerror(-r))
                 : 0;
}

/* ---- the file ---- */

/* As a YAML block, each line indented. */
static int add_block(struct buffer *text, const char *key, const struct buffer *pem)
{
    struct str rest = str_trim(buffer_view(pem));
    struct str line;
    int r = buffer_printf(text, "%s: |\n", key);
    while (r == 0 && str_split(&rest, '\n', &line)) {
        r = buffer_printf(text, "  %.*s\n", STR_ARG(line));
    }
    return r;
}

static int write_text(struct plan *plan)
{
    struct buffer *text = &plan->text;
    int r = buffer_printf(
        text,
        "# What is particular to this site. It holds private keys: keep it to its owner (0600).\n"
        "# Every option: portico --help-config. Mistakes: portico check -c FILE.\n"
        "\n"
        "# The instances take the free ports of this range.\n"
        "Frontend.bind_port: %u\n"
        "Frontend.port_max: %u\n"
        "\n"
        "# Agents, requests, responses; sockets and the session cache.\n"
        "Datastore.location: \"%s\"\n"
        "Runtime.directory: \"%s\"\n"
        "\n"
        "# Agents have to be given this certificate: with it they know the server.\n",
        plan->range.first, plan->range.last, plan->store, plan->runtime);
    r = r < 0 ? r : add_block(text, "CA.certificate", &plan->authority.certificate);
    r = r < 0 ? r : add_block(text, "PrivateKeys.ca_key", &plan->authority.key_pem);
    r = r < 0 ? r : buffer_printf(text, "\n# Served as /server.pem.\n");
    r = r < 0 ? r : add_block(text, "Frontend.certificate", &plan->server.certificate);
    r = r < 0 ? r : add_block(text, "PrivateKeys.server_key", &plan->server.key_pem);
    return r < 0 ? operation_fail(plan->operation, "out of memory") : 0;
}

/* All programs shall take what we wrote. */
static int check_temporary(const struct plan *plan)
{
    const char *files[] = {plan->temporary};
    const struct config_request request = {
        .program = PROGRAM_PORTICO, .files = files, .file_count = 1};
    struct config *config = NULL;
    struct problems *problems = problems_new(10);
    int r = problems == NULL ? -ENOMEM : config_load(&request, problems, &config);
    if (problems != NULL) {
        problems_print(problems, plan->operation->err);
    }
    problems_free(problems);
    config_unref(config);
    return r;
}

static int refuse_existing(const struct plan *plan)
{
    operation_fail(plan->operation, "%s exists and was not touched", plan->file);
    fputs("    hint: agents know the server by the keys in it; to begin anew, move it away first, "
          "or\n"
          "    choose another place with --directory\n",
          plan->operation->err);
    return EXIT_STATUS_FAILED;
}

static int write_file(struct plan *plan)
{
    int r = private_file_write(plan->file, buffer_view(&plan->text), plan->temporary);
    if (r == 0) {
        r = plan->is_given ? owner_give(plan->temporary, &plan->owner) : 0;
        r = r < 0 ? r : check_temporary(plan);
        r = r < 0 ? private_file_drop(plan->temporary, r)
                  : private_file_publish(plan->temporary, plan->file);
    }
    if (r == -EEXIST) {
        return refuse_existing(plan);
    }
    return r < 0 ? operation_fail(plan->operation, "cannot write %s: %s", plan->file, strerror(-r))
                 : 0;
}

/* ---- telling ---- */

/* What root starts by hand would leave files there that the services cannot use. */
static bool is_for_services(const struct plan *plan)
{
    return plan->is_given && command_line_flag(plan->operation->line, "user") == NULL &&
           access("/run/systemd/system", F_OK) == 0;
}

static void tell(const struct plan *plan)
{
    FILE *out = plan->operation->out;
    fprintf(out,
            "Wrote %s, which only its owner may read:\n"
            "  authority   %s, RSA %d, serial %d\n"
            "  server      %s, RSA %d, serial %d\n"
            "  ports       %u-%u\n"
            "  store       %s\n"
            "  sockets     %s\n\n"
            "Next:\n"
            "  portico check -c %s\n",
            plan->file, AUTHORITY_NAME, KEY_BITS, AUTHORITY_SERIAL, SERVER_NAME, KEY_BITS,
            SERVER_SERIAL, plan->range.first, plan->range.last, plan->store, plan->runtime,
            plan->file);
    if (is_for_services(plan)) {
        fprintf(out,
                "  systemctl enable --now portico.target portico-balancer "
                "portico-frontend@{%u..%u}\n",
                plan->range.first, plan->range.last);
    } else {
        fprintf(out,
                "  portico-frontend -c %s\n"
                "  portico-balancer -c %s\n",
                plan->file, plan->file);
    }
}

static void tell_json(const struct plan *plan)
{
    struct json_writer json;
    json_begin(&json, plan->operation->out);
    json_open(&json, NULL, '[');
    json_open(&json, NULL, '{');
    json_put_str(&json, "file", str_from(plan->file));
    json_put_str(&json, "store", str_from(plan->store));
    json_put_str(&json, "runtime", str_from(plan->runtime));
    json_put_uint(&json, "first_port", plan->range.first);
    json_put_uint(&json, "last_port", plan->range.last);
    json_close(&json, '}');
    json_close(&json, ']');
}

static int carry_out(struct plan *plan)
{
    int status = plan_places(plan);
    if (status == 0 && access(plan->file, F_OK) == 0) {
        status = refuse_existing(plan); /* before a second is spent on keys */
    }
    if (status != 0) {
        return status;
    }
    plan_ports(plan);
    status = plan_owner(plan);
    status = status != 0 ? status : make_identities(plan);
    status = status != 0 ? status : write_text(plan);
    status = status != 0 ? status
                         : make_directories(plan->operation, plan->store, PRIVATE_DIRECTORY_MODE);
    status = status != 0 ? status
                         : make_directories(plan->operation, plan->runtime, PRIVATE_DIRECTORY_MODE);
    status = status != 0 ? status : give(plan, plan->store);
    status = status != 0 ? status : give(plan, plan->runtime);
    return status != 0 ? status : write_file(plan);
}

int command_init(const struct operation *operation)
{
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) {
        return operation_fail(operation, "out of memory");
    }
    plan->operation = operation;
    identity_init(&plan->authority);
    identity_init(&plan->server);
    buffer_init(&plan->text, FILE_BYTES_MAX);
    int status = carry_out(plan);
    if (status == 0 && operation->is_json) {
        tell_json(plan);
    } else if (status == 0) {
        tell(plan);
    }
    identity_done(&plan->authority);
    identity_done(&plan->server);
    wipe(&plan->text);
    free(plan);
    return status;
}
