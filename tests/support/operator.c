/* SPDX-License-Identifier: Apache-2.0 */
/* Running the operator's command. */
#include "support/operator.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "support/instance.h"

enum { ARGUMENTS = 24, PATH_SIZE = 512 };

static void become(const struct instance *instance, const char *const *arguments, int out)
{
    char file[PATH_SIZE];
    const char *all[ARGUMENTS] = {PORTICO_BINARY, "-c", file, "--json"};
    snprintf(file, sizeof file, "%s/portico.yaml", instance->directory);
    for (unsigned n = 4; *arguments != NULL && n < ARGUMENTS - 1; n++) {
        all[n] = *arguments++;
    }
    if (dup2(out, STDOUT_FILENO) >= 0) {
        execv(PORTICO_BINARY, (char *const *)(uintptr_t)all);
    }
    _exit(99);
}

json_t *operator_run(const struct instance *instance, const char *const *arguments)
{
    int pipes[2];
    int status = 0;
    json_error_t error;
    CHECK(pipe2(pipes, 0) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        become(instance, arguments, pipes[1]);
    }
    close(pipes[1]);
    FILE *out = fdopen(pipes[0], "r");
    CHECK(out != NULL);
    json_t *said = json_loadf(out, 0, &error);
    fclose(out);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(said != NULL);
    return said;
}
