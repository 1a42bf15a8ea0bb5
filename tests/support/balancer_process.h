/* SPDX-License-Identifier: Apache-2.0 */
/* A real portico-balancer in a directory of its own. It is ended by its pid, at the latest by the
 * kernel when the test ends. Failures of the surroundings abort: a test cannot go on. */
#ifndef PORTICO_TESTS_BALANCER_PROCESS_H
#define PORTICO_TESTS_BALANCER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "support/process.h"

struct backends;
struct certificate;

enum { BALANCER_PARAMETERS = 40, BALANCER_PARAMETER_SIZE = 256, BALANCER_PASSED = 8 };

struct balancer_process {
    char *directory;
    char parameters[BALANCER_PARAMETERS][BALANCER_PARAMETER_SIZE]; /* "Key=value" */
    unsigned parameter_count;
    int passed[BALANCER_PASSED]; /* sockets that it is started with, as by systemd; borrowed */
    unsigned passed_count;
    struct process process;
    uint16_t port, tls_port, admin_port; /* tls_port: 0 when it has no certificate */
    char said[256];                      /* its line */
};

/* A fresh directory and the parameters that all tests need, with these members on 127.0.0.1.
 * Nothing runs yet. */
void balancer_init(struct balancer_process *balancer, const struct backends *backends);
/* Ends it if need be, and shows what sanitizers reported. */
void balancer_done(struct balancer_process *balancer);

/* -p `parameter`, from the next start on; a later one of the same key wins. */
PRINTF_LIKE(2, 3) void balancer_set(struct balancer_process *balancer, const char *format, ...);
/* Serve HTTPS too, with this certificate. */
void balancer_certify(struct balancer_process *balancer, const struct certificate *certificate);
/* DIRECTORY/portico.yaml: what is not given by balancer_set(), so that a reload can change it. */
void balancer_configure(struct balancer_process *balancer, const char *yaml);

/* Start and wait until it serves; aborts, with what it said, when it does not. */
void balancer_start(struct balancer_process *balancer);
/* 0 when it serves, else its exit status. */
int balancer_try_start(struct balancer_process *balancer);
/* The same, and wait until `members` may be used. */
void balancer_start_with(struct balancer_process *balancer, unsigned members);
void balancer_signal(const struct balancer_process *balancer, int number);
/* Its exit status, or -1 when it does not end within `patience` (then it is killed), or 128 +
 * signal. */
int balancer_wait(struct balancer_process *balancer, usec_t patience);
int balancer_stop(struct balancer_process *balancer, usec_t patience); /* with SIGTERM */

/* What it wrote to standard error, and to a file in its directory; to be freed. */
char *balancer_log(const struct balancer_process *balancer);
char *balancer_file(const struct balancer_process *balancer, const char *name);

/* The sum of all series of /metrics whose line starts with `name` and holds `label` (NULL: any). */
double balancer_metric(const struct balancer_process *balancer, const char *name,
                       const char *label);
/* Requests refused for this reason. */
unsigned balancer_rejections(const struct balancer_process *balancer, const char *reason);
/* Wait until so many members may be used; false: they are not within `patience`. */
bool balancer_await_members(const struct balancer_process *balancer, unsigned members,
                            usec_t patience);
/* What the admin socket answers to a command; to be freed. */
char *balancer_command(const struct balancer_process *balancer, const char *command);

/* A port on which nobody listens now. */
uint16_t free_port(void);

#endif
