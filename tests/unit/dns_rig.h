/*
 * dns_rig - a DNS server for unit tests, in the loop of the test: a table of records, and what it
 * does wrong. It answers over UDP and TCP at one port of 127.0.0.1.
 *
 * A name that no row has does not exist (NXDOMAIN); one without rows of the type asked for has no
 * data. Both come with an SOA: negative answers may be kept for RIG_NEGATIVE_TTL seconds.
 */
#ifndef VEREDUS_TESTS_DNS_RIG_H
#define VEREDUS_TESTS_DNS_RIG_H

#include "util/base/buf.h"
#include "util/sys/dns.h"

enum { RIG_TTL = 300, RIG_NEGATIVE_TTL = 30, RIG_CNAME = 5 };

/* What is done with a question for a name; the octets are the rcode where there is one. */
enum rig_fault {
    RIG_GOOD,
    RIG_SERVFAIL,
    RIG_REFUSED,
    RIG_SILENT,
    RIG_TRUNCATED,  /* over UDP: TC without records */
    RIG_WRONG_ID,   /* first an answer with another id and 192.0.2.66, then the right one */
    RIG_WRONG_NAME, /* first an answer to another question, then the right one */
    RIG_GARBAGE,    /* octets at random behind the id, each time */
    RIG_EMPTY       /* first a datagram of no octets, then the right answer */
};

struct rig_row {
    const char *name;
    unsigned type;    /* enum dns_type or RIG_CNAME; 0: the row is about the fault alone */
    const char *data; /* "192.0.2.1", "10 mx.example.test", a text, a name; "raw:" and octets */
    enum rig_fault fault;
    uint32_t ttl;    /* 0: RIG_TTL */
    size_t data_len; /* of octets behind "raw:" */
};

/* The rows of most tables. */
#define ROW(host, kind, text)                                                                      \
    {                                                                                              \
        .name = (host), .type = (kind), .data = (text)                                             \
    }
#define FAULT(host, what)                                                                          \
    {                                                                                              \
        .name = (host), .fault = (what)                                                            \
    }
#define RAW(octets) .data = "raw:" octets, .data_len = sizeof(octets) - 1
#define END_OF_ROWS                                                                                \
    {                                                                                              \
        .name = NULL                                                                               \
    }

struct dns_rig {
    struct loop *loop;
    const struct rig_row *rows; /* ends with a row without name; may be changed at any time */
    union net_address address;
    struct io udp, listener, tcp;
    struct buf in;
    bool authentic; /* sets AD */
    unsigned udp_questions, tcp_questions;
    struct dns *dns; /* asks this server */
};

/* Starts the server and a resolver that asks it. */
void dns_rig_init(struct dns_rig *rig, const struct rig_row *rows);

/* The same for an unusual resolver; the servers of `options` are replaced. */
void dns_rig_init_with(struct dns_rig *rig, const struct rig_row *rows, struct dns_options options);

/* What dns_rig_init asks for. */
struct dns_options dns_rig_options(void);

void dns_rig_stop(struct dns_rig *rig);

/* Turns the loop until `*done`; fails the test after ten seconds. */
void dns_rig_until(struct dns_rig *rig, const bool *done);

/* Appends the answer to `query` as the rows give it, with more than 64 KiB cut off. For tests that
 * need no socket. */
void dns_rig_answer(const struct dns_rig *rig, struct span query, struct buf *out);

#endif
