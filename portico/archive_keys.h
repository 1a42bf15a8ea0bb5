/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a backup: which option is in which file below keys/. A constant table. */
#ifndef PORTICO_COMMAND_ARCHIVE_KEYS_H
#define PORTICO_COMMAND_ARCHIVE_KEYS_H

enum { ARCHIVE_KEYS = 4 };

static const struct archive_key {
    const char *key, *file;
} archive_keys[ARCHIVE_KEYS] = {
    {"CA.certificate", "ca.pem"},
    {"PrivateKeys.ca_key", "ca_key.pem"},
    {"Frontend.certificate", "server.pem"},
    {"PrivateKeys.server_key", "server_key.pem"},
};

#endif
