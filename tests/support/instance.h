/* SPDX-License-Identifier: Apache-2.0 */
/* A real portico-frontend in a directory of its own, with keys, configuration, store and runtime
 * directory inside. It is ended by its pid, at the latest by the kernel when the test ends.
 * Failures of the surroundings abort: a test cannot go on. */
#ifndef PORTICO_TESTS_INSTANCE_H
#define PORTICO_TESTS_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "support/process.h"

struct rsa_key;
struct store;

enum { INSTANCE_PARAMETERS = 16, INSTANCE_PARAMETER_SIZE = 128 };

struct instance {
    char *directory;
    bool owns_directory;
    char parameters[INSTANCE_PARAMETERS][INSTANCE_PARAMETER_SIZE]; /* "Key=value" */
    unsigned parameter_count;
    const char *binary; /* borrowed; NULL: the one that was built with the tests */
    struct process process;
    uint16_t port;
};

/* What an instance is configured with, as PEM. */
struct instance_keys {
    struct str ca_key, ca_certificate, server_key, server_certificate;
};

/* Fresh keys for a server with that RSA key. Free with instance_keys_free(). */
void instance_keys_make(const struct rsa_key *server, struct instance_keys *keys);
void instance_keys_free(struct instance_keys *keys);

/* A fresh directory with a configuration: a range of ports on 127.0.0.1 of which the instance takes
 * the first free one. Nothing runs yet. */
void instance_init(struct instance *instance, const struct instance_keys *keys);
/* Another one on the same configuration, store and runtime directory; to be done before the first.
 */
void instance_join(struct instance *instance, const struct instance *first);
/* Ends it if need be; the directory goes with its owner. */
void instance_done(struct instance *instance);

/* -p `parameter`, from the next start on; a later one of the same key wins. */
void instance_set(struct instance *instance, const char *parameter);

/* Start and wait until it serves; aborts, with what it said, when it does not. */
void instance_start(struct instance *instance);
/* Start without waiting; then wait for its line. */
void instance_launch(struct instance *instance, const char *port);
bool instance_await(struct instance *instance);

/* SIGTERM. The exit status, or -1 when it does not end within `patience` (then it is killed), or
 * 128 + signal. */
int instance_stop(struct instance *instance, usec_t patience);
/* SIGKILL, and gone when this returns. */
void instance_kill(struct instance *instance);
/* Wait until it ends by itself; result as instance_stop(). */
int instance_wait(struct instance *instance, usec_t patience);

/* Run with these arguments until it ends (at most 20 s) and give what it wrote to standard error,
 * to be freed. The exit status. */
int instance_run(struct instance *instance, const char *const *arguments, char **said);

/* What it has written to standard error so far, to be freed. */
char *instance_log(const struct instance *instance);

/* A store beside it, on the same files; store_free() it. Makes the files when there are none. */
struct store *instance_store(const struct instance *instance);

#endif
