/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads, strictly: RFC 9112 read in the one way that leaves a peer no room for a second.
 *
 * The parser is pure. It allocates nothing, keeps no copy, and answers with views into the caller's
 * bytes. It reads each line once: when bytes drip in, call it again with all of the head that has
 * come so far and it goes on where it stopped (the bytes may have moved meanwhile). A head is
 * either understood wholly, framing of its body included, or refused with a reason and a place.
 *
 * Any thread; one message is one thread's. The body: http1_chunked.h. Writing: http1_write.h. */
#ifndef PORTICO_NET_HTTP1_H
#define PORTICO_NET_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/str.h"

enum http1_reason {
    HTTP1_NO_REASON,
#define HTTP1_REASON(id, code, status, sentence) HTTP1_REASON_##id,
#include "net/http1_reasons.def"
#undef HTTP1_REASON
    HTTP1_REASON_COUNT
};

struct http1_refusal {
    enum http1_reason reason;
    size_t offset; /* of the first byte that is wrong, from the start of the input */
};

/* What a client is answered: 400, 413, 501 ... */
unsigned http1_reason_status(enum http1_reason reason);
/* Stable short name, "bare_lf"; for logs, metrics and the X-Portico-Reason header. */
const char *http1_reason_code(enum http1_reason reason);
/* For people. */
const char *http1_reason_sentence(enum http1_reason reason);

enum http1_field_id {
    HTTP1_OTHER,
#define HTTP1_FIELD(id, name, flags) HTTP1_##id,
#include "net/http1_fields.def"
#undef HTTP1_FIELD
    HTTP1_FIELD_ID_COUNT
};

enum http1_field_flags {
    HTTP1_HOP = 1,          /* one connection's; also what Connection names */
    HTTP1_OURS = 2,         /* the serialiser writes it from what the head means */
    HTTP1_FORWARDED_BY = 4, /* says who the client was: never to be believed from a stranger */
    HTTP1_PROTECTED = 8,    /* Connection may not name it */
    HTTP1_UNDERSCORE = 16,  /* has a _: CGI cannot tell it from -, so it is not forwarded */
};

struct http1_field {
    struct str name;  /* as received */
    struct str value; /* without the white space around it */
    uint8_t id;       /* enum http1_field_id */
    uint8_t flags;    /* enum http1_field_flags */
};

/* Which field that is, whatever its case; HTTP1_OTHER when we do not act on it. `name` is a token.
 */
enum http1_field_id http1_field_id(struct str name);

struct http1_limits {
    uint32_t head_bytes;   /* start line and fields, empty lines included */
    uint32_t target_bytes; /* request target */
    uint32_t name_bytes;   /* one field name */
    uint32_t fields;
    bool allow_get_body; /* GET and HEAD may have a body (it is framed exactly, then) */
    bool require_length; /* POST, PUT and PATCH without a length are 411, not empty */
};

#define HTTP1_LIMITS_DEFAULT \
    ((struct http1_limits){  \
        .head_bytes = 16 * 1024, .target_bytes = 8 * 1024, .name_bytes = 256, .fields = 100})

enum {
    /* At least as many field slots as limits.fields are needed; this many fit the default. */
    HTTP1_FIELDS_DEFAULT = 100,
    HTTP1_METHOD_BYTES_MAX = 32,
    HTTP1_CONNECTION_OPTIONS_MAX = 16,
};

/* How long the body is: the one answer for everybody (RFC 9112 6.3). */
enum http1_framing {
    HTTP1_BODY_NONE,        /* nothing follows the head */
    HTTP1_BODY_LENGTH,      /* body_bytes bytes follow; may be 0 */
    HTTP1_BODY_CHUNKED,     /* http1_chunked.h knows the end */
    HTTP1_BODY_UNTIL_CLOSE, /* responses only: all until the member closes */
};

/* What requests and responses have in common. Read it after parsing succeeded. */
struct http1_head {
    struct http1_field *fields; /* borrowed from the caller of _init() */
    uint32_t field_count;
    uint8_t minor;   /* of the HTTP version: 0 or 1 */
    bool keep_alive; /* this message lets the connection live on (RFC 9112 9.3) */
    enum http1_framing framing;
    uint64_t body_bytes; /* with HTTP1_BODY_LENGTH */

    /* The parser's own. */
    const char *base;  /* where the input was at the last call */
    uint32_t line;     /* offset of the line that is being read */
    uint32_t searched; /* input before this offset holds no end of that line */
    uint8_t phase;
    uint8_t coding; /* what Transfer-Encoding says */
    bool has_close, has_keep_alive, has_length;
    uint8_t option_count; /* Connection's options other than close and keep-alive */
    uint64_t length;
    uint32_t framing_at; /* offset of the last field that speaks of framing */
};

enum http1_method {
    HTTP1_METHOD_OTHER, /* unknown, or known in another case: methods are case-sensitive */
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_DELETE,
    HTTP1_OPTIONS,
    HTTP1_PATCH,
    HTTP1_CONNECT, /* refused */
    HTTP1_TRACE,   /* refused */
};

struct http1_request {
    struct http1_head head;
    struct str method;
    struct str received_target; /* as it stood on the line */
    /* Path and query, "*" for OPTIONS. From an absolute target it may be empty or start with '?';
     * the serialiser then puts the missing '/' before it. */
    struct str target;
    struct str host; /* the Host field, else the absolute target's authority; empty: none (1.0) */
    enum http1_method method_id;
    bool expect_continue; /* the client waits for 100 before it sends the body */
    int32_t max_forwards; /* -1: not given; as large as 2^31-1 at most */

    /* The parser's own: offsets until the head is whole. */
    uint32_t method_at, method_len, target_at, target_len;
    bool has_host, has_expect;
};

struct http1_response {
    struct http1_head head;
    uint16_t status;            /* 100 to 599 */
    struct str phrase;          /* may be empty */
    int32_t keep_alive_timeout; /* seconds that the peer announced, -1: it did not */

    /* The parser's own. */
    uint32_t phrase_at, phrase_len;
    enum http1_method method; /* of the request */
};

/* Ready for a new message. `fields` (borrowed until the message is done with) has room for
 * `limits.fields` elements of every later call. */
void http1_request_init(struct http1_request *request, struct http1_field *fields);
void http1_response_init(struct http1_response *response, struct http1_field *fields);

/* Read a request head from the front of `input`. One empty line before it is skipped (RFC
 * 9112 2.2).
 *
 * The head's length in bytes: all of it is understood, the body follows there. 0: more bytes are
 * needed; call again with the same bytes and more behind them. -EBADMSG: refused, *refusal says why
 * and where (untouched otherwise); the connection must end, since nobody knows where the next
 * message starts. */
MUST_CHECK ssize_t http1_request_parse(struct http1_request *request,
                                       const struct http1_limits *limits, struct str input,
                                       struct http1_refusal *refusal);

/* A head that was understood moved, with its buffer, to `base`: its views follow. `head_bytes` is
 * what http1_request_parse() returned. */
void http1_request_move(struct http1_request *request, size_t head_bytes, const char *base);

/* As http1_request_parse(), for a response to a request with method `method`, which decides about
 * the body. Interim answers (1xx) are responses without body; 101 is refused. */
MUST_CHECK ssize_t http1_response_parse(struct http1_response *response,
                                        const struct http1_limits *limits, enum http1_method method,
                                        struct str input, struct http1_refusal *refusal);

/* The first field of that kind, NULL when there is none. For HTTP1_OTHER: NULL. */
const struct http1_field *http1_find(const struct http1_head *head, enum http1_field_id id);

/* Whether that is a field line's name and value: a token, and no control character. For who gets
 * fields from elsewhere: another parser, or the configuration. */
bool http1_is_field(struct str name, struct str value);

/* Whether two authorities name one host: ASCII case and the scheme's default port aside. */
bool http1_same_authority(struct str a, struct str b, bool is_https);

#endif
