/* SPDX-License-Identifier: Apache-2.0 */
/* Summing up a file. */
#include "archive_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, SUM_BYTES = 32 };

static int read_all(int fd, EVP_MD_CTX *context)
{
    char *bytes = malloc(READ_BYTES);
    ssize_t n = bytes == NULL ? -1 : 1;
    int r = bytes == NULL ? -ENOMEM : 0;
    while (r == 0 && n > 0) {
        n = read(fd, bytes, READ_BYTES);
        if (n < 0) {
            r = -errno;
        } else if (EVP_DigestUpdate(context, bytes, (size_t)n) != 1) {
            r = -EIO;
        }
    }
    free(bytes);
    return r;
}

int archive_sum(const char *path, char sum[ARCHIVE_SUM_SIZE], struct error *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : context == NULL ? -ENOMEM : 0;
    if (r == 0 && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        r = -EIO;
    }
    r = r < 0 ? r : read_all(fd, context);
    if (r == 0 && EVP_DigestFinal_ex(context, digest, NULL) != 1) {
        r = -EIO;
    }
    EVP_MD_CTX_free(context);
    if (fd >= 0) {
        close(fd);
    }
    for (size_t i = 0; i < SUM_BYTES && r == 0; i++) {
        snprintf(sum + 2 * i, 3, "%02x", digest[i]);
    }
    return r < 0 ? error_set_errno(error, r, "cannot read %s", path) : 0;
}
