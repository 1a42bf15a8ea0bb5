/* SPDX-License-Identifier: Apache-2.0 */
/* One thread's tools. */
#include "wire/tools.h"

#include <openssl/crypto.h>

#include "wire/cipher.h"
#include "wire/zip.h"

/* More than any list that the other end would take. */
enum { SCRATCH_BYTES_MAX = 256 << 20 };

int wire_tools_init(struct wire_tools *tools)
{
    struct wire_tools made = {.cipher = NULL};
    buffer_init(&made.plain, SCRATCH_BYTES_MAX);
    buffer_init(&made.packed, SCRATCH_BYTES_MAX);
    int error = cipher_new(&made.cipher);
    if (error < 0 || (error = zip_new(&made.zip)) < 0) {
        wire_tools_done(&made);
        return error;
    }
    *tools = made;
    return 0;
}

static void wipe(struct buffer *buffer)
{
    if (buffer->data != NULL) {
        OPENSSL_cleanse(buffer->data, buffer->capacity);
    }
    buffer_done(buffer);
}

void wire_tools_done(struct wire_tools *tools)
{
    cipher_free(tools->cipher);
    zip_free(tools->zip);
    wipe(&tools->plain);
    wipe(&tools->packed);
    *tools = (struct wire_tools){.cipher = NULL};
}
