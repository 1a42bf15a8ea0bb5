/* SPDX-License-Identifier: Apache-2.0 */
/* Records at their place in memory, or in a file without a name. */
#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { IN_MEMORY_MAX = 16 * 1024 }; /* agents of one thread: 16 MiB */

struct vault {
    struct vault_record *records; /* owned; NULL: they are in the file */
    size_t count;
    int fd;
};

static int open_nameless(const char *directory)
{
    char path[4096];
    int fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    /* Not every file system has O_TMPFILE. */
    snprintf(path, sizeof path, "%s/portico-flood.XXXXXX", directory);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static int open_file(struct vault *vault, struct error *error)
{
    const char *directory = getenv("TMPDIR");
    directory = directory == NULL || directory[0] == '\0' ? "/var/tmp" : directory;
    vault->fd = open_nameless(directory);
    return vault->fd >= 0 ? 0
                          : error_set_errno(error, -errno, "cannot make a file in %s", directory);
}

int vault_new(size_t count, struct vault **vault, struct error *error)
{
    struct vault *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return error_set(error, -ENOMEM, "no memory");
    }
    made->fd = -1;
    made->count = count;
    int code = 0;
    if (count > IN_MEMORY_MAX) {
        code = open_file(made, error);
    } else if ((made->records = calloc(count + 1, sizeof *made->records)) == NULL) {
        code = error_set(error, -ENOMEM, "no memory");
    }
    if (code < 0) {
        vault_free(made);
        return code;
    }
    *vault = made;
    return 0;
}

void vault_free(struct vault *vault)
{
    if (vault == NULL) {
        return;
    }
    if (vault->records != NULL) {
        explicit_bzero(vault->records, vault->count * sizeof *vault->records);
        free(vault->records);
    }
    if (vault->fd >= 0) {
        close(vault->fd);
    }
    free(vault);
}

static off_t place_of(size_t index)
{
    return (off_t)(index * sizeof(struct vault_record));
}

int vault_read(struct vault *vault, size_t index, struct vault_record *record)
{
    if (vault->records != NULL) {
        CHECK(index < vault->count);
        *record = vault->records[index];
        return 0;
    }
    ssize_t n = pread(vault->fd, record, sizeof *record, place_of(index));
    if (n < 0) {
        return -EIO;
    }
    memset((char *)record + n, 0, sizeof *record - (size_t)n);
    return 0;
}

int vault_write(struct vault *vault, size_t index, const struct vault_record *record)
{
    if (vault->records != NULL) {
        CHECK(index < vault->count);
        vault->records[index] = *record;
        return 0;
    }
    ssize_t n = pwrite(vault->fd, record, sizeof *record, place_of(index));
    if (n < 0) {
        return -errno;
    }
    return n == sizeof *record ? 0 : -ENOSPC;
}

bool vault_unpack(const struct vault_record *record, struct sealing *sealing)
{
    if (record->cipher_len == 0) {
        return false;
    }
    sealing->made = record->made;
    memcpy(sealing->key, record->key, sizeof sealing->key);
    memcpy(sealing->hmac_key, record->hmac_key, sizeof sealing->hmac_key);
    memcpy(sealing->peer, record->peer, sizeof sealing->peer);
    sealing->cipher_len = record->cipher_len;
    sealing->metadata_len = record->metadata_len;
    memcpy(sealing->cipher, record->cipher, record->cipher_len);
    memcpy(sealing->metadata, record->metadata, record->metadata_len);
    return true;
}

int vault_pack(const struct sealing *sealing, struct vault_record *record)
{
    if (sealing->cipher_len > VAULT_CIPHER_MAX || sealing->metadata_len > VAULT_METADATA_MAX) {
        return -EMSGSIZE;
    }
    memset(record, 0, sizeof *record);
    record->made = sealing->made;
    memcpy(record->key, sealing->key, sizeof record->key);
    memcpy(record->hmac_key, sealing->hmac_key, sizeof record->hmac_key);
    memcpy(record->peer, sealing->peer, sizeof record->peer);
    record->cipher_len = sealing->cipher_len;
    record->metadata_len = sealing->metadata_len;
    memcpy(record->cipher, sealing->cipher, sealing->cipher_len);
    memcpy(record->metadata, sealing->metadata, sealing->metadata_len);
    return 0;
}
