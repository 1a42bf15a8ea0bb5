/* SPDX-License-Identifier: Apache-2.0 */
/* Records are gathered by each thread and appended in one call, so they never mix. */
#include "ledger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 2048, VERSION = 1 };

static const char file_magic[8] = "PORTLDG";

struct header {
    char magic[8];
    uint32_t version;
    uint32_t record_bytes;
    uint64_t run;
    uint64_t unused;
};
static_assert(sizeof(struct header) == sizeof(struct ledger_record), "records stay aligned");

struct ledger {
    int fd;
    atomic_bool failed;
};

struct ledger_writer {
    struct ledger *ledger;
    size_t count;
    struct ledger_record records[BATCH];
};

/* FNV-1a. */
uint64_t ledger_flow(struct str flow)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < flow.len; i++) {
        hash = (hash ^ (uint8_t)flow.data[i]) * 0x100000001b3;
    }
    return hash;
}

int ledger_new(const char *path, uint64_t run, struct ledger **ledger, struct error *error)
{
    struct header header = {
        .version = VERSION, .record_bytes = sizeof(struct ledger_record), .run = run};
    memcpy(header.magic, file_magic, sizeof header.magic);
    struct ledger *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    made->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made->fd < 0 || write(made->fd, &header, sizeof header) != sizeof header) {
        int code = error_set_errno(error, -errno, "cannot write %s", path);
        if (made->fd >= 0) {
            close(made->fd);
        }
        free(made);
        return code;
    }
    *ledger = made;
    return 0;
}

int ledger_close(struct ledger *ledger)
{
    if (ledger == NULL) {
        return 0;
    }
    bool is_whole = !atomic_load(&ledger->failed) && fsync(ledger->fd) == 0;
    is_whole &= close(ledger->fd) == 0;
    free(ledger);
    return is_whole ? 0 : -EIO;
}

struct ledger_writer *ledger_writer_new(struct ledger *ledger)
{
    struct ledger_writer *writer = calloc(1, sizeof *writer);
    if (writer != NULL) {
        writer->ledger = ledger;
    }
    return writer;
}

static void flush(struct ledger_writer *writer)
{
    size_t bytes = writer->count * sizeof writer->records[0];
    if (bytes > 0 && write(writer->ledger->fd, writer->records, bytes) != (ssize_t)bytes) {
        atomic_store(&writer->ledger->failed, true);
    }
    writer->count = 0;
}

void ledger_write(struct ledger_writer *writer, const struct ledger_record *record)
{
    if (writer->ledger == NULL) {
        return;
    }
    writer->records[writer->count++] = *record;
    if (writer->count == BATCH) {
        flush(writer);
    }
}

void ledger_writer_free(struct ledger_writer *writer)
{
    if (writer != NULL) {
        flush(writer);
        free(writer);
    }
}

static int map(const char *path, struct ledger_view *view)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int code = fstat(fd, &status) < 0 ? -errno : status.st_size == 0 ? -EBADMSG : 0;
    if (code == 0) {
        view->mapped_bytes = (size_t)status.st_size;
        view->mapped = mmap(NULL, view->mapped_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        code = view->mapped == MAP_FAILED ? -errno : 0;
    }
    close(fd);
    return code;
}

int ledger_open(const char *path, struct ledger_view *view, struct error *error)
{
    struct ledger_view opened = {.run = 0};
    int code = map(path, &opened);
    if (code < 0) {
        return error_set_errno(error, code, "cannot read %s", path);
    }
    const struct header *header = opened.mapped;
    if (opened.mapped_bytes < sizeof *header ||
        opened.mapped_bytes % sizeof(struct ledger_record) != 0 ||
        memcmp(header->magic, file_magic, sizeof file_magic) != 0 || header->version != VERSION ||
        header->record_bytes != sizeof(struct ledger_record)) {
        ledger_view_done(&opened);
        return error_set(error, -EBADMSG, "%s is no ledger, or was cut short", path);
    }
    opened.run = header->run;
    opened.records = (const struct ledger_record *)(header + 1);
    opened.count = opened.mapped_bytes / sizeof(struct ledger_record) - 1;
    *view = opened;
    return 0;
}

void ledger_view_done(struct ledger_view *view)
{
    if (view->mapped != NULL) {
        munmap(view->mapped, view->mapped_bytes);
    }
    *view = (struct ledger_view){.run = 0};
}
