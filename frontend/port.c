/* SPDX-License-Identifier: Apache-2.0 */
/* Ports: taking one, and finding out who has it. */
#include "port.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"

int port_take(const char *host, uint16_t first, uint16_t last, struct address *address,
              struct error *error)
{
    const struct listen_options options = {.no_delay = true};
    for (unsigned port = first; port <= last; port++) {
        int result = address_from_host(str_from(host), (uint16_t)port, address, error);
        if (result < 0) {
            return result;
        }
        result = socket_listen(address, &options, error);
        if (result != -EADDRINUSE) {
            return result;
        }
    }
    return error_set(error, -EADDRINUSE,
                     first == last ? "port %u is taken" : "all ports from %u to %u are taken",
                     (unsigned)first, (unsigned)last);
}

/* The inode of the socket that listens on `port`, 0 when none does, from one of /proc/net/tcp*. */
static unsigned long long listener_inode(const char *table, unsigned port)
{
    char line[512];
    unsigned long long found = 0;
    FILE *file = fopen(table, "re");
    while (file != NULL && found == 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned local_port;
        unsigned state;
        unsigned long long inode;
        /* sl local:port remote:port state queues timer retransmits uid timeout inode */
        if (sscanf(line, "%*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %llu",
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == 0x0a) {
            found = inode;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static bool holds(const char *process, unsigned long long inode)
{
    char path[300];
    char wanted[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.16s/fd", process);
    snprintf(wanted, sizeof wanted, "socket:[%llu]", inode);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        char link[64];
        ssize_t len = readlinkat(dirfd(directory), entry->d_name, link, sizeof link);
        found = len == (ssize_t)strlen(wanted) && memcmp(link, wanted, (size_t)len) == 0;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return found;
}

static void read_command(const char *process, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.16s/comm", process);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(out, (int)size, file) == NULL) {
        snprintf(out, size, "?");
    }
    out[strcspn(out, "\n")] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

static bool print_holder(unsigned port, unsigned long long inode, FILE *out)
{
    bool found = false;
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes != NULL && !found && (entry = readdir(processes)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && holds(entry->d_name, inode)) {
            char command[64];
            read_command(entry->d_name, command, sizeof command);
            fprintf(out, "    port %u: process %s (%s)\n", port, entry->d_name, command);
            found = true;
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return found;
}

void port_print_holders(uint16_t first, uint16_t last, FILE *out)
{
    for (unsigned port = first; port <= last; port++) {
        unsigned long long inode = listener_inode("/proc/net/tcp", port);
        if (inode == 0) {
            inode = listener_inode("/proc/net/tcp6", port);
        }
        if (inode == 0) {
            fprintf(out, "    port %u: nobody listens; it may be in use otherwise\n", port);
        } else if (!print_holder(port, inode, out)) {
            fprintf(out, "    port %u: a process that this user may not look at\n", port);
        }
    }
}
