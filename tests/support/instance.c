/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of the real binary. */
#include "support/instance.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "store/store_sqlite.h"
#include "support/support.h"
#include "wire/authority.h"
#include "wire/rsa.h"

enum {
    FIRST_PORT = 20000, /* below what the kernel gives to clients */
    PORT_STARTS = 11000,
    PORTS = 500,
    PATH_SIZE = 512,
    ARGUMENTS = 2 * INSTANCE_PARAMETERS + 16,
};

static struct str take(struct buffer *buffer)
{
    struct str view = buffer_view(buffer);
    char *copy = str_dup(view);
    CHECK(copy != NULL);
    buffer_done(buffer);
    return str_make(copy, view.len);
}

void instance_keys_make(const struct rsa_key *server, struct instance_keys *keys)
{
    struct rsa_key *key;
    struct authority *authority;
    struct buffer buffer;
    usec_t now = clock_wall(&clock_system);
    struct certificate_wish wish = {
        .common_name = "test authority",
        .serial = 1,
        .not_before = now - USEC_PER_DAY,
        .not_after = now + USEC_PER_DAY,
    };
    buffer_init(&buffer, 64 * 1024);
    CHECK(rsa_generate(1024, NULL, &key) == 0);
    CHECK(rsa_private_to_pem(key, &buffer) == 0);
    keys->ca_key = take(&buffer);
    CHECK(authority_make(key, &wish, &buffer) == 0);
    keys->ca_certificate = take(&buffer);
    CHECK(authority_open(key, keys->ca_certificate, &authority) == 0);
    CHECK(rsa_private_to_pem(server, &buffer) == 0);
    keys->server_key = take(&buffer);
    wish.common_name = "grr";
    wish.serial = 2;
    CHECK(authority_certify(authority, server, &wish, &buffer) == 0);
    keys->server_certificate = take(&buffer);
    authority_free(authority);
    rsa_key_free(key);
}

void instance_keys_free(struct instance_keys *keys)
{
    free_str(keys->ca_key);
    free_str(keys->ca_certificate);
    free_str(keys->server_key);
    free_str(keys->server_certificate);
}

static const char *binary_of(const struct instance *instance)
{
    return instance->binary != NULL ? instance->binary : PORTICO_FRONTEND;
}

static void write_configuration(const struct instance *instance)
{
    char *text;
    static unsigned count;
    /* Tests that run at the same time begin at different ports; that they meet is no harm. */
    unsigned first = FIRST_PORT + ((unsigned)getpid() * 37 + count++ * 101) % PORT_STARTS;
    int len = asprintf(&text,
                       "Frontend.bind_address: 127.0.0.1\n"
                       "Frontend.bind_port: %u\n"
                       "Frontend.port_max: %u\n"
                       "Frontend.threads: 2\n"
                       "Frontend.crypto_threads: 2\n"
                       "Frontend.session_cache: 1MiB\n"
                       "Frontend.certificate: \"%%(server.pem|file)\"\n"
                       "PrivateKeys.server_key: \"%%(server_key.pem|file)\"\n"
                       "PrivateKeys.ca_key: \"%%(ca_key.pem|file)\"\n"
                       "CA.certificate: \"%%(ca.pem|file)\"\n"
                       "Datastore.location: %s/store\n"
                       "Datastore.last_seen_interval: 1ms\n"
                       "Runtime.directory: %s/run\n",
                       first, first + PORTS - 1, instance->directory, instance->directory);
    CHECK(len > 0);
    free(write_file(instance->directory, "portico.yaml", str_make(text, (size_t)len)));
    free(text);
}

void instance_init(struct instance *instance, const struct instance_keys *keys)
{
    *instance = (struct instance){.process = PROCESS_NONE, .owns_directory = true};
    instance->directory = make_temporary_directory();
    free(write_file(instance->directory, "ca_key.pem", keys->ca_key));
    free(write_file(instance->directory, "ca.pem", keys->ca_certificate));
    free(write_file(instance->directory, "server_key.pem", keys->server_key));
    free(write_file(instance->directory, "server.pem", keys->server_certificate));
    write_configuration(instance);
}

void instance_join(struct instance *instance, const struct instance *first)
{
    *instance = *first;
    instance->owns_directory = false;
    instance->process = PROCESS_NONE;
}

void instance_set(struct instance *instance, const char *parameter)
{
    CHECK(instance->parameter_count < INSTANCE_PARAMETERS);
    char *slot = instance->parameters[instance->parameter_count++];
    CHECK(strlen(parameter) < INSTANCE_PARAMETER_SIZE);
    snprintf(slot, INSTANCE_PARAMETER_SIZE, "%s", parameter);
}

static void launch(struct instance *instance, const char *const *arguments)
{
    const struct process_start start = {.arguments = arguments, .directory = instance->directory};
    process_launch(&instance->process, &start);
}

void instance_launch(struct instance *instance, const char *port)
{
    const char *arguments[ARGUMENTS] = {binary_of(instance), "-c"};
    char file[PATH_SIZE];
    unsigned n = 2;
    snprintf(file, sizeof file, "%s/portico.yaml", instance->directory);
    arguments[n++] = file;
    for (unsigned i = 0; i < instance->parameter_count; i++) {
        arguments[n++] = "-p";
        arguments[n++] = instance->parameters[i];
    }
    if (port != NULL) {
        arguments[n++] = "--port";
        arguments[n++] = port;
    }
    launch(instance, arguments);
}

bool instance_await(struct instance *instance)
{
    char line[256];
    if (!process_await_line(&instance->process, line, sizeof line)) {
        return false;
    }
    const char *colon = strrchr(line, ':');
    if (strncmp(line, "portico-frontend: serving on ", 29) != 0 || colon == NULL) {
        return false;
    }
    instance->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

void instance_start(struct instance *instance)
{
    instance_launch(instance, NULL);
    if (!instance_await(instance)) {
        char *said = instance_log(instance);
        fprintf(stderr, "the instance does not serve: %s\n", said);
        free(said);
        instance_kill(instance);
        CHECK(!"an instance that serves");
    }
}

int instance_wait(struct instance *instance, usec_t patience)
{
    return process_wait(&instance->process, patience);
}

int instance_stop(struct instance *instance, usec_t patience)
{
    process_signal(&instance->process, SIGTERM);
    return instance_wait(instance, patience);
}

void instance_kill(struct instance *instance)
{
    process_signal(&instance->process, SIGKILL);
    instance_wait(instance, PROCESS_START_PATIENCE);
}

int instance_run(struct instance *instance, const char *const *arguments, char **said)
{
    const char *all[ARGUMENTS] = {binary_of(instance)};
    for (unsigned n = 1; *arguments != NULL; n++) {
        all[n] = *arguments++;
    }
    launch(instance, all);
    int status = instance_wait(instance, 20 * USEC_PER_SEC);
    *said = instance_log(instance);
    return status;
}

void instance_done(struct instance *instance)
{
    if (instance->process.pid > 0) {
        instance_kill(instance);
    }
    if (instance->owns_directory) {
        process_show_reports(instance->directory);
        remove_temporary_directory(instance->directory);
    }
    instance->directory = NULL;
}

char *instance_log(const struct instance *instance)
{
    return process_file(instance->directory, "log");
}

struct store *instance_store(const struct instance *instance)
{
    char path[PATH_SIZE];
    struct store *store;
    snprintf(path, sizeof path, "%s/store", instance->directory);
    CHECK(store_sqlite_open(path, &clock_system, &store, NULL) == 0);
    return store;
}
