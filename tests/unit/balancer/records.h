/* SPDX-License-Identifier: Apache-2.0 */
/* A request to start from, for tests of who keeps or writes records. */
#ifndef PORTICO_TESTS_RECORDS_H
#define PORTICO_TESTS_RECORDS_H

#include "member.h"
#include "record.h"

/* 2026-05-01T12:34:56.123456Z */
#define RECORD_WALL INT64_C(1777638896123456)

static inline struct record make_record(const struct member *member, const struct address *peer)
{
    return (struct record){
        .request_id = "0123456789abcdef",
        .wall = RECORD_WALL,
        .peer = peer,
        .client = STR("10.1.2.3"),
        .connection = 812,
        .method = STR("POST"),
        .target = STR("/control?api=3"),
        .host = STR("front.example"),
        .user_agent = STR("agent/1.0"),
        .minor = 1,
        .is_reused = true,
        .status = 200,
        .member = member,
        .bytes_in = 1234,
        .bytes_out = 567,
        .receive = 10,
        .queue = 20,
        .connect = 30,
        .wait = 4000,
        .total = 5000,
    };
}

#endif
