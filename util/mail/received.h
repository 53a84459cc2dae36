/*
 * received - the trace field (RFC 5321 §4.4), and dates (RFC 5322 §3.3).
 */
#ifndef VEREDUS_MAIL_RECEIVED_H
#define VEREDUS_MAIL_RECEIVED_H

#include "util/base/buf.h"

struct received {
    struct span helo;           /* as given; printed escaped */
    struct span client_name;    /* verified by forward lookup, or "unknown" */
    struct span client_address; /* "192.0.2.1", "2001:db8::1" */
    struct span local_user;     /* "uid 1000" of a client of this host; else empty */
    struct span by;             /* our host name */
    struct span protocol;       /* SMTP, ESMTP, ESMTPS, ESMTPSA ... (RFC 3848) */
    struct span tls;            /* "TLSv1.3 with cipher ..."; empty: in the clear */
    struct span id;             /* the queue id */
    struct span recipient;      /* "for <...>" when there is exactly one; else empty */
    uint64_t time_us;           /* arrival */
};

/* Appends the whole field, folded, each line ended by CR LF. No line is longer than 998 octets. */
void received_write(struct buf *out, const struct received *facts);

enum { DATE_TEXT_MAX = 40 };

/* "Mon, 02 Nov 2026 08:15:30 +0000"; returns its span. */
struct span date_write(uint64_t time_us, char out[DATE_TEXT_MAX]);

#endif
