/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `portico check`, and what they look at: the machine itself, or what a test puts in
 * its place. Each is a function that tells its findings; none writes anything. One thread. */
#ifndef PORTICO_COMMAND_CHECK_H
#define PORTICO_COMMAND_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <sys/timex.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "check_report.h"
#include "owner.h"

struct config;

enum { CHECK_USER_SIZE = 64, CHECK_OWNER_SIZE = 160 };

struct check_scene {
    const struct config *config; /* borrowed */
    const char *root;            /* stands before /proc, /etc and /usr; "" is the machine */
    const struct clock *clock;
    int (*adjust)(struct timex *state); /* adjtimex(2) */
    bool is_root;
    struct owner service;       /* who serves, and whom the files are to belong to */
    char user[CHECK_USER_SIZE]; /* its name, or number */
};

/* This machine. `config` may be NULL, for what needs none. Who serves is the owner of the store;
 * while there is none the user portico, if there is one and root asks; else who asks. */
void check_scene_init(struct check_scene *scene, const struct config *config);

/* " -o portico -g portico" when what we make would not be the service's; else "". */
const char *check_scene_owner(const struct check_scene *scene, char text[CHECK_OWNER_SIZE]);

typedef void check_function(struct check_report *report, const struct check_scene *scene);

/* Run a check in a process of its own, as the one who serves when `as_service` and root asks. Disks
 * and names may keep it waiting for ever; this ends after `patience` and tells that `what` was not
 * looked at. */
void check_apart(struct check_report *report, const struct check_scene *scene, const char *what,
                 check_function *function, bool as_service, usec_t patience);

/* A number from a file such as /proc/sys/fs/nr_open. False: there is none. */
MUST_CHECK bool check_read_number(const struct check_scene *scene, const char *path,
                                  unsigned long long *number);

void check_keys(struct check_report *report, const struct check_scene *scene);
void check_tls(struct check_report *report, const struct check_scene *scene);
void check_key_files(struct check_report *report, const struct check_scene *scene);
void check_runtime(struct check_report *report, const struct check_scene *scene);
void check_disk(struct check_report *report, const struct check_scene *scene);
void check_store(struct check_report *report, const struct check_scene *scene);
void check_ports(struct check_report *report, const struct check_scene *scene);
void check_members(struct check_report *report, const struct check_scene *scene);
void check_admin(struct check_report *report, const struct check_scene *scene);
void check_open_files(struct check_report *report, const struct check_scene *scene);
void check_kernel(struct check_report *report, const struct check_scene *scene);
void check_clock(struct check_report *report, const struct check_scene *scene);

/* What a certificate's dates mean now; `name` is its key or file. For the checks above. */
void check_dates(struct check_report *report, const struct check_scene *scene, const char *name,
                 usec_t not_before, usec_t not_after, const char *facts);

/* A process that has one of our ports: its limit of open files against `needed`, and whether its
 * program was replaced since it began. */
void check_process(struct check_report *report, const struct check_scene *scene, long pid,
                   const char *name, unsigned long long needed);

/* Descriptors that one instance, or the balancer, needs when it is full, and how that is reckoned:
 * "10000 connections + 64 besides". */
enum { CHECK_SUM_SIZE = 256 };
unsigned long long check_frontend_needs(const struct config *config, char sum[CHECK_SUM_SIZE]);
unsigned long long check_balancer_needs(const struct config *config, char sum[CHECK_SUM_SIZE]);

#endif
