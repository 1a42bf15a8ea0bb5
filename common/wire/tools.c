/* SPDX-License-Identifier: Apache-2.0 */
/* One thread's tools. */
#include "wire/tools.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

#include "wire/cipher.h"
#include "wire/envelope.h"
#include "wire/zip.h"

/* More than any list that the other end would take. */
enum { SCRATCH_BYTES_MAX = 256 << 20 };

/* A buffer above this is not kept: polls are small, one of 40 MB is rare. */
enum { KEPT_BYTES_MAX = 256 << 10 };

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

int wire_tools_iv(struct wire_tools *tools, uint8_t *iv)
{
    static_assert(sizeof tools->ivs % WIRE_KEY_BYTES == 0, "whole IVs");
    if (tools->ivs_left == 0) {
        int error = cipher_random(tools->ivs, sizeof tools->ivs);
        if (error < 0) {
            return error;
        }
        tools->ivs_left = sizeof tools->ivs;
    }
    memcpy(iv, tools->ivs + sizeof tools->ivs - tools->ivs_left, WIRE_KEY_BYTES);
    tools->ivs_left = (uint16_t)(tools->ivs_left - WIRE_KEY_BYTES);
    return 0;
}

void wire_tools_reuse(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES_MAX) {
        buffer_done(buffer);
    } else {
        buffer_clear(buffer);
    }
}
