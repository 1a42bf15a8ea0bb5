/* SPDX-License-Identifier: Apache-2.0 */
/* Adding up. */
#include "account.h"

#include "base/log.h"

static usec_t now(const struct account *account)
{
    return clock_monotonic(account->clock);
}

void account_begin(struct account *account, const struct clock *clock)
{
    *account = (struct account){.clock = clock};
    account->began = now(account);
    for (int i = 0; i < PHASE_COUNT; i++) {
        account->spent[i] = -1;
    }
}

void account_receive(struct account *account, size_t bytes)
{
    account->received = now(account);
    account->bytes_in = bytes;
}

void account_begin_step(struct account *account)
{
    account->step_began = now(account);
}

void account_end_step(struct account *account, enum phase phase)
{
    usec_t before = account->spent[phase] < 0 ? 0 : account->spent[phase];
    account->spent[phase] = before + now(account) - account->step_began;
}

void account_count(const struct account *account, struct stats *stats)
{
    static const enum stats_item items[PHASE_COUNT] = {STAT_PARSE, STAT_RSA, STAT_STORE};
    usec_t end = now(account);
    for (int i = 0; i < PHASE_COUNT; i++) {
        if (account->spent[i] >= 0) {
            stats_time(stats, items[i], account->spent[i]);
        }
    }
    stats_time(stats, STAT_TOTAL, end - account->began);
    if (account->received > 0) {
        stats_time(stats, STAT_HANDLE_TIME, end - account->received);
        stats_add(stats, STAT_HANDLE_NUM, 1);
        stats_add(stats, STAT_IN_BYTES, account->bytes_in);
    }
    stats_add(stats, STAT_OUT_BYTES, account->bytes_out);
}

static struct log_field phase_field(const struct account *account, const char *name,
                                    enum phase phase)
{
    if (account->spent[phase] < 0) {
        return (struct log_field){.key = NULL};
    }
    return LOG_INT(name, account->spent[phase]);
}

static struct log_field name_field(const char *key, const char *name)
{
    if (name == NULL || name[0] == '\0') {
        return (struct log_field){.key = NULL};
    }
    return LOG_TEXT(key, name);
}

void account_log(const struct account *account, const char *agent, const char *claimed,
                 const char *peer, enum reason reason)
{
    log_info("poll", name_field("agent", agent), name_field("claimed", claimed),
             LOG_TEXT("peer", peer), LOG_UINT("status", reason_status(reason)),
             LOG_TEXT("reason", reason_code(reason)), LOG_UINT("bytes_in", account->bytes_in),
             LOG_UINT("bytes_out", account->bytes_out), LOG_UINT("messages", account->messages),
             LOG_UINT("requests", account->requests), phase_field(account, "parse_us", PHASE_PARSE),
             phase_field(account, "rsa_us", PHASE_RSA),
             phase_field(account, "store_us", PHASE_STORE),
             LOG_INT("total_us", now(account) - account->began));
}
