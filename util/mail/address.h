/*
 * address - mail addresses, parsed once, in one form for everybody (RFC 5321 §4.1.2, §4.1.3, and
 * RFC 6531 §3.3 for those beyond ASCII).
 *
 * The parsed form is what policy and routing both see: the local part unquoted (its octets, without
 * the quotes and backslashes of the wire), the domain in lower case without a trailing dot and
 * always in ASCII (U-labels as A-labels), a source route dropped (RFC 5321 Appendix C: "SHOULD
 * ignore"). A local part beyond ASCII is valid UTF-8. No part ever holds a control octet.
 */
#ifndef VEREDUS_MAIL_ADDRESS_H
#define VEREDUS_MAIL_ADDRESS_H

#include "util/base/arena.h"

enum {
    ADDRESS_LOCAL_MAX = 64,   /* RFC 5321 §4.5.3.1.1 */
    ADDRESS_DOMAIN_MAX = 255, /* §4.5.3.1.2 */
    ADDRESS_PATH_MAX = 256,   /* §4.5.3.1.3, with the brackets */
    ADDRESS_TEXT_MAX = 2 * ADDRESS_LOCAL_MAX + 2 + 1 + ADDRESS_DOMAIN_MAX
};

/* Fixed size, owns its octets, can be copied by assignment. */
struct address {
    uint16_t local_len, domain_len;
    bool domain_is_literal; /* "[192.0.2.1]", kept with its brackets */
    char local[ADDRESS_LOCAL_MAX];
    char domain[ADDRESS_DOMAIN_MAX];
};

enum address_result {
    ADDRESS_OK,
    ADDRESS_EMPTY,    /* "<>": the null reverse-path */
    ADDRESS_SYNTAX,   /* 5.1.3 / 5.1.7 */
    ADDRESS_TOO_LONG, /* 5.1.3 / 5.1.7 */
    ADDRESS_NOT_UTF8  /* neither ASCII nor UTF-8: 5.6.7 */
};

static inline struct span address_local(const struct address *a)
{
    return (struct span){a->local, a->local_len};
}

static inline struct span address_domain(const struct address *a)
{
    return (struct span){a->domain, a->domain_len};
}

/*
 * Parses a path as it follows "MAIL FROM:" or "RCPT TO:": with or without angle brackets, with
 * leading blanks, with or without a source route. A local part alone is taken when `default_domain`
 * is not empty. On ADDRESS_OK and ADDRESS_EMPTY `*rest` is what follows the path, from its first
 * blank on (ESMTP parameters).
 */
enum address_result address_parse_path(struct span text, struct span default_domain,
                                       struct address *address, struct span *rest)
    __attribute__((warn_unused_result));

/* Parses a lone "local@domain" (a table's key, a command's argument): nothing may follow. */
enum address_result address_parse(struct span text, struct address *address)
    __attribute__((warn_unused_result));

/* The address as text, quoted where RFC 5321 §4.1.2 needs it; address_parse gives it back. */
struct span address_text(const struct address *address, char out[ADDRESS_TEXT_MAX]);

/* The key for lookups: unquoted local part in lower case, "@", domain. Ours is a host that
 * compares local parts without case (RFC 5321 §2.4 leaves that to the host). */
struct span address_key(const struct address *address, char out[ADDRESS_TEXT_MAX]);

/* The key of what somebody gives as a login: an address, or a local part of `default_domain`. What
 * can be neither is kept as it is, cut at the size of `out`: it is nobody's. */
struct span address_login(struct span given, struct span default_domain,
                          char out[ADDRESS_TEXT_MAX]);

/* True when both texts, as address_text gives them, name one mailbox. Where that is not `ours`,
 * case counts in its local part (RFC 5321 §2.4). */
bool address_is_same(struct span a, struct span b, bool ours);

/* True for a name of letters, digits, hyphens, dots in its right places (RFC 5321 §2.3.5). */
bool domain_is_valid(struct span domain);

#endif
