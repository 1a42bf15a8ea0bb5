/* SPDX-License-Identifier: Apache-2.0 */
/* TLS connections as transports. All of it on the loop's thread; nothing blocks, nothing raises
 * SIGPIPE, and OpenSSL's error queue is empty between calls. */
#ifndef PORTICO_NET_TLS_H
#define PORTICO_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "net/tls_context.h"
#include "net/transport.h"

/* A session a client may resume. Owned; tls_session_free(). */
struct tls_session;

/* Be the server on `fd`. 0, and then the descriptor is taken, or -ENOMEM. A reference to `context`
 * is held until transport_close(), so a reload may drop its own. */
MUST_CHECK int tls_accept(struct transport *transport, struct tls_context *context, int fd);

/* Be the client on `fd`, which may still be connecting. `name` is who must be at the other end: a
 * host name, or an IP address. `session` resumes one (borrowed), NULL does not. As above. */
MUST_CHECK int tls_connect(struct transport *transport, struct tls_context *context, int fd,
                           const char *name, const struct tls_session *session);

/* The rest is for transports made above, once their handshake is done. Texts live as long as the
 * connection. */

bool tls_is_resumed(const struct transport *transport);
const char *tls_version(const struct transport *transport);     /* "TLSv1.3" */
const char *tls_cipher(const struct transport *transport);      /* OpenSSL's name */
const char *tls_server_name(const struct transport *transport); /* asked for, or NULL */
bool tls_chose_http1(const struct transport *transport);        /* by ALPN */

/* The handshake failed, and for want of trust in the peer's certificate. */
bool tls_distrusts_peer(const struct transport *transport);

/* SHA-256 of the peer's verified certificate; false when it showed none. */
bool tls_peer_fingerprint(const struct transport *transport, uint8_t fingerprint[32]);

/* What the server gave to come back with; NULL when there is nothing (yet: with TLS 1.3 it arrives
 * with the first bytes read). */
struct tls_session *tls_take_session(const struct transport *transport);
void tls_session_free(struct tls_session *session);

#endif
