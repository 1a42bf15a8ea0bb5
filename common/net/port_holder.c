/* SPDX-License-Identifier: Apache-2.0 */
/* From a port to its socket's inode (proc(5), /proc/net/tcp), from there to a process that has it
 * open. Any thread. */
#include "net/port_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATE_LISTEN = 0x0a };

/* The inode of a listening socket, 0: none in this table. */
static unsigned long find_inode(const char *table, uint16_t port, unsigned *uid)
{
    char line[512];
    unsigned long found = 0;
    FILE *file = fopen(table, "re");
    while (file != NULL && found == 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned local = 0;
        unsigned state = 0;
        unsigned owner = 0;
        unsigned long inode = 0;
        /* sl local:port remote:port state queues timer retransmits uid timeout inode */
        if (sscanf(line, "%*s %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %u %*s %lu", &local, &state,
                   &owner, &inode) == 4 &&
            local == port && state == STATE_LISTEN) {
            found = inode;
            *uid = owner;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static bool process_has(const char *pid, const char *socket)
{
    char path[64];
    char target[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        ssize_t len = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            found = strcmp(target, socket) == 0;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return found;
}

/* The last part of argv[0]: /proc/PID/comm is cut after 15 bytes, which our names have more of. */
static void read_name(const char *pid, char *name, size_t size)
{
    char path[64];
    char text[1024] = "";
    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len < 0 ? 0 : len] = '\0';
    const char *slash = strrchr(text, '/');
    snprintf(name, size, "%s", slash == NULL ? text : slash + 1);
}

/* A service manager keeps sockets open that services use: who uses it is the better answer. */
static void find_process(unsigned long inode, struct port_holder *holder)
{
    char socket[64];
    snprintf(socket, sizeof socket, "socket:[%lu]", inode);
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory != NULL && holder->pid <= 1 && (entry = readdir(directory)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid > 0 && *end == '\0' && process_has(entry->d_name, socket)) {
            holder->pid = pid;
            read_name(entry->d_name, holder->name, sizeof holder->name);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

int port_holder_find(uint16_t port, struct port_holder *holder)
{
    unsigned uid = 0;
    unsigned long inode = find_inode("/proc/net/tcp", port, &uid);
    inode = inode != 0 ? inode : find_inode("/proc/net/tcp6", port, &uid);
    if (inode == 0) {
        return 0;
    }
    *holder = (struct port_holder){.uid = uid};
    find_process(inode, holder);
    return 1;
}
