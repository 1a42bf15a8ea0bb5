/* SPDX-License-Identifier: Apache-2.0 */
/* The table of faults, and what maps to them. Any thread. */
#include "fault.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    const char *name, *words;
} faults[FAULT_COUNT] = {
    [FAULT_NONE] = {"none", "nothing is wrong"},
#define FAULT(id, name, words) [FAULT_##id] = {name, words},
#include "faults.def"
#undef FAULT
};

static const char *const names[] = {
#define FAULT(id, name, words) name,
#include "faults.def"
#undef FAULT
    NULL,
};

const char *fault_name(enum fault fault)
{
    return faults[fault].name;
}

const char *fault_words(enum fault fault)
{
    return faults[fault].words;
}

const char *const *fault_names(void)
{
    return names;
}

enum fault fault_of_status(unsigned status)
{
    switch (status) {
    case 400:
        return FAULT_HTTP_400;
    case 404:
        return FAULT_HTTP_404;
    case 406:
        return FAULT_NOT_ENROLLED;
    case 413:
        return FAULT_HTTP_413;
    case 500:
        return FAULT_HTTP_500;
    case 502:
        return FAULT_HTTP_502;
    case 503:
        return FAULT_HTTP_503;
    case 504:
        return FAULT_HTTP_504;
    default:
        break;
    }
    if (status < 400) {
        return FAULT_HTTP_OTHER;
    }
    return status < 500 ? FAULT_HTTP_4XX : FAULT_HTTP_5XX;
}

enum fault fault_of_wire(enum wire_reason reason)
{
    switch (reason) {
    case WIRE_REASON_HMAC_MISSING:
    case WIRE_REASON_HMAC_LENGTH:
    case WIRE_REASON_HMAC_MISMATCH:
        return FAULT_BAD_HMAC;
    case WIRE_REASON_SIGNATURE:
    case WIRE_REASON_SIGNATURE_MISSING:
        return FAULT_BAD_SIGNATURE;
    case WIRE_REASON_ANSWER_SOURCE:
    case WIRE_REASON_SOURCE_MALFORMED:
        return FAULT_WRONG_SOURCE;
    case WIRE_REASON_ANSWER_NONCE:
        return FAULT_WRONG_NONCE;
    case WIRE_REASON_NO_MEMORY:
    case WIRE_REASON_CRYPTO:
        return FAULT_GENERATOR;
    default:
        return FAULT_UNDECODABLE;
    }
}

enum fault fault_of_errno(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return FAULT_REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return FAULT_RESET;
    case ETIMEDOUT:
        return FAULT_TIMEOUT;
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return FAULT_NO_PORTS;
    case ENOMEM:
        return FAULT_GENERATOR;
    default:
        return FAULT_UNREACHABLE;
    }
}
