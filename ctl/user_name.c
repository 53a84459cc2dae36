/*
 * RFC 5321 §4.1.2 lets a local part hold nearly anything when it is quoted. A user's becomes the
 * first word of a line and the name of a directory, so what would mean something there is refused
 * here, where a person can still choose another.
 */
#include "ctl/user_name.h"

/* Blanks and # mean something in the text, : ends a key, a slash or a dot leads out of the mail
 * root; @ would make two readings of one key. */
static bool can_be_user(struct span local)
{
    for (size_t i = 0; i < local.len; i++) {
        if (strchr(" \t/\\\"#:,@|", local.data[i]))
            return false;
    }
    return local.data[0] != '.';
}

bool user_name_parse(struct ctl *ctl, struct span text, struct user_name *name)
{
    struct address address;
    /* A literal names a machine and not a domain; no mailbox lives in one. */
    if (address_parse(text, &address) != ADDRESS_OK || address.domain_is_literal) {
        ctl_say(ctl, "\"%.*s\" is no address; a user is LOCAL@DOMAIN", SPAN_ARG(text));
        return false;
    }
    /* In lower case, as the server looks it up: every spelling of an address is one user. */
    struct span key = address_key(&address, name->key);
    size_t at = span_find_last(key, '@');
    /* local and domain point into key, so the name can not be copied as a struct. */
    name->key[key.len] = '\0';
    name->local = span_first(key, at);
    name->domain = span_skip(key, at + 1);
    if (can_be_user(name->local))
        return true;
    ctl_say(ctl, "\"%s\" can not be a user: no quotes, blanks, slashes or # in it, no dot first",
            name->key);
    return false;
}
