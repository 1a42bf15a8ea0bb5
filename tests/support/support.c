/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers that several tests need; they abort on failure, for a test cannot go on. */
#include "support/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

struct guarded guarded_copy(struct str bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (bytes.len + page - 1) / page * page;
    struct guarded guarded = {.len = bytes.len, .mapping_size = room + page};
    guarded.mapping = mmap(NULL, guarded.mapping_size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guarded.mapping != MAP_FAILED);
    CHECK(mprotect((char *)guarded.mapping + room, page, PROT_NONE) == 0);
    guarded.data = (char *)guarded.mapping + room - bytes.len;
    if (bytes.len > 0) {
        memcpy(guarded.data, bytes.data, bytes.len);
    }
    return guarded;
}

void guarded_free(struct guarded *guarded)
{
    munmap(guarded->mapping, guarded->mapping_size);
    *guarded = (struct guarded){0};
}

char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return NULL;
    }
    char *data = NULL;
    size_t size = 0;
    FILE *copy = open_memstream(&data, &size);
    CHECK(copy != NULL);
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        CHECK(fwrite(block, 1, n, copy) == n);
    }
    fclose(file);
    fclose(copy);
    *len = size;
    return data;
}

char *make_temporary_directory(void)
{
    const char *parent = getenv("TMPDIR");
    char *path = NULL;
    CHECK(asprintf(&path, "%s/portico-test-XXXXXX", parent == NULL ? "/tmp" : parent) > 0);
    CHECK(mkdtemp(path) != NULL);
    return path;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void remove_temporary_directory(char *path)
{
    if (path != NULL) {
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(path);
    }
}

char *write_file(const char *directory, const char *name, struct str content)
{
    char *path = NULL;
    CHECK(asprintf(&path, "%s/%s", directory, name) > 0);
    FILE *file = fopen(path, "wbe");
    CHECK(file != NULL);
    CHECK(content.len == 0 || fwrite(content.data, 1, content.len, file) == content.len);
    CHECK(fclose(file) == 0);
    return path;
}

void free_str(struct str bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

void sleep_for(usec_t time)
{
    const struct timespec span = {.tv_sec = time / USEC_PER_SEC,
                                  .tv_nsec = time % USEC_PER_SEC * 1000};
    nanosleep(&span, NULL);
}

uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}
