/*
 * A depth-first walk over the aliases. The chain of names that led to the current one is a list on
 * the stack of the walk: it is the whole memory that loop detection needs, and its length is the
 * depth.
 */
#include "lookup/expand.h"

#include "util/base/hash.h"
#include "util/base/log.h"
#include "util/mail/mailbox_path.h"
#include "util/mail/route.h"

/* One name on the way from the asked address to the current one. */
struct step {
    const struct step *before;
    struct span key;
    unsigned depth;
};

/* One expansion: where it looks, and what it has found. */
struct walk {
    const struct expand_tables *tables;
    struct arena *arena;
    struct expansion *out;
    uint64_t *hashes; /* of the keys of out->recipients */
    size_t room;      /* of both lists */
    size_t visited;   /* names, each time that the way led to one */
    size_t refused;   /* recipients that nothing will be delivered to */
};

/* An honest list visits hardly more names than it has recipients. One whose members lead to each
 * other's visits thousands and finds the same few again and again: the depth alone is no bound. */
enum { VISITS_A_RECIPIENT = 4 };

static enum resolve_status walk_address(struct walk *walk, const struct address *address,
                                        const struct step *before);

/* ---- final recipients ---- */

/* A walk: an expansion is bounded by alias_expansion. The same mailbox through two aliases gets
 * one letter. Hashes first: to compare the names of a thousand members with each other takes longer
 * than all their lookups, and everybody waits meanwhile. */
static bool is_known(const struct walk *walk, uint64_t hash, struct span address,
                     struct span transport)
{
    const struct final_recipient *recipients = walk->out->recipients;
    bool ours = span_equal(transport, SPAN("local"));

    for (size_t i = 0; i < walk->out->count; i++)
        if (walk->hashes[i] == hash && address_is_same(recipients[i].address, address, ours) &&
            span_equal(recipients[i].transport, transport))
            return true;
    return false;
}

/* Doubling: the lists left behind in the arena are together no longer than the last ones. */
static void grow(struct walk *walk)
{
    struct expansion *out = walk->out;
    size_t room = walk->room ? walk->room * 2 : 4;
    struct final_recipient *recipients = arena_alloc(walk->arena, room * sizeof(*recipients));
    uint64_t *hashes = arena_alloc(walk->arena, room * sizeof(*hashes));

    if (out->count) {
        memcpy(recipients, out->recipients, out->count * sizeof(*recipients));
        memcpy(hashes, walk->hashes, out->count * sizeof(*hashes));
    }
    out->recipients = recipients;
    walk->hashes = hashes;
    walk->room = room;
}

/* What is remembered lives in the arena: the walk's own texts are on its stack. */
static enum resolve_status add_final(struct walk *walk, const struct address *address,
                                     struct span transport, struct span nexthop)
{
    struct expansion *out = walk->out;
    char text[ADDRESS_TEXT_MAX], key_text[ADDRESS_TEXT_MAX];
    struct span name = address_text(address, text);
    struct span key = address_key(address, key_text);
    uint64_t hash = hash_bytes(key.data, key.len);

    if (is_known(walk, hash, name, transport))
        return RESOLVE_OK;
    if (out->count >= walk->tables->conf->limits.alias_expansion)
        return RESOLVE_TOO_MANY;
    if (!walk->hashes || out->count == walk->room)
        grow(walk);
    walk->hashes[out->count] = hash;
    out->recipients[out->count++] = (struct final_recipient){
        .address = arena_copy(walk->arena, name),
        .transport = transport,
        .nexthop = arena_copy(walk->arena, nexthop),
    };
    walk->refused += span_equal(transport, SPAN("error"));
    return RESOLVE_OK;
}

/* ---- mailboxes ---- */

/* The users entry of `key`: its mailbox. A path that could leave the mail root is no mailbox. */
static enum resolve_status mailbox_of(const struct expand_tables *tables, struct arena *arena,
                                      struct span key, struct span *path)
{
    size_t at = span_find_last(key, '@');
    enum table_result result = table_get(tables->users, arena, key, path);

    if (result != TABLE_FOUND)
        return result == TABLE_ERROR ? RESOLVE_TEMPORARY : RESOLVE_UNKNOWN_USER;
    *path = span_trim(*path);
    if (path->len == 0) {
        /* No path given: domain/user. A '/' in the local part would make a directory of half a
         * name. */
        struct span local = span_first(key, at), domain = span_skip(key, at + 1);

        if (span_find(local, '/') != local.len)
            return RESOLVE_UNKNOWN_USER;
        *path = arena_printf(arena, "%.*s/%.*s", SPAN_ARG(domain), SPAN_ARG(local));
    }
    if (mailbox_path_is_sound(*path))
        return RESOLVE_OK;
    log_event(LOG_WARN, "mailbox-path-refused", LOG_SPAN("user", key), LOG_SPAN("path", *path));
    *path = SPAN(""); /* it may be too long for an answer */
    return RESOLVE_UNKNOWN_USER;
}

/* No aliases here: a login is to a mailbox, not to a list. */
enum resolve_status expand_mailbox(const struct expand_tables *tables, struct arena *arena,
                                   struct span user, struct span *path)
{
    struct address address;
    char key[ADDRESS_TEXT_MAX];

    if (address_parse(user, &address) != ADDRESS_OK)
        return RESOLVE_UNKNOWN_USER;
    return mailbox_of(tables, arena, address_key(&address, key), path);
}

/* ---- aliases ---- */

/* The chain is as long as the walk is deep. */
static bool in_chain(const struct step *step, struct span key)
{
    for (; step; step = step->before)
        if (span_equal(step->key, key))
            return true;
    return false;
}

/* What may not be the member of an alias: commands, files, includes. */
static bool is_special(struct span member)
{
    if (member.len && member.data[0] == '"')
        member = span_skip(member, 1);
    return member.len && (member.data[0] == '|' || member.data[0] == '/' || member.data[0] == ':');
}

/* One member of the alias at `step`; a bare name belongs to the alias's domain. */
static enum resolve_status walk_member(struct walk *walk, struct span member, struct span domain,
                                       const struct step *step)
{
    struct address address;
    struct span rest;

    if (is_special(member)) {
        log_event(LOG_WARN, "alias-member-refused", LOG_SPAN("alias", step->key),
                  LOG_SPAN("member", member));
        return RESOLVE_DENIED;
    }
    /* A typing error is ours, not the sender's: mail waits until the table is mended. */
    if (address_parse_path(member, domain, &address, &rest) != ADDRESS_OK || rest.len) {
        log_event(LOG_ERROR, "alias-member-bad", LOG_SPAN("alias", step->key),
                  LOG_SPAN("member", member));
        return RESOLVE_TEMPORARY;
    }
    return walk_address(walk, &address, step);
}

/* Cuts one member off the list: up to a comma that is not within quotes. */
static bool next_member(struct span *rest, struct span *member)
{
    bool quoted = false;
    size_t i = 0;

    if (rest->len == 0)
        return false;
    for (; i < rest->len && (quoted || rest->data[i] != ','); i++) {
        if (rest->data[i] == '"')
            quoted = !quoted;
        else if (rest->data[i] == '\\' && i + 1 < rest->len)
            i++;
    }
    *member = span_trim(span_first(*rest, i));
    /* The comma goes with the member. */
    *rest = span_skip(*rest, i + 1);
    return true;
}

/* The first member that is refused refuses the alias: half a list would be worse than an error. */
static enum resolve_status walk_members(struct walk *walk, struct span members, struct span domain,
                                        const struct step *step)
{
    struct span member;
    enum resolve_status status = RESOLVE_OK;
    bool any = false;

    while (status == RESOLVE_OK && next_member(&members, &member)) {
        /* Two commas in a row, or one at the end: people write such lists. */
        if (member.len == 0)
            continue;
        any = true;
        status = walk_member(walk, member, domain, step);
    }
    /* An alias with no members at all leads nowhere. */
    return any ? status : RESOLVE_UNKNOWN_USER;
}

/* The whole address first: it is the more specific. */
static enum table_result find_alias(struct walk *walk, struct span key, struct span *members)
{
    struct span local = span_first(key, span_find_last(key, '@'));
    enum table_result result = table_get(walk->tables->aliases, walk->arena, key, members);

    /* A quoted local part may look like a whole address; it must not pass for that one. */
    if (result == TABLE_NOT_FOUND && span_find(local, '@') == local.len)
        result = table_get(walk->tables->aliases, walk->arena, local, members);
    return result;
}

/* ---- the walk ---- */

/* Nobody has this name: the asked one is refused, the member of an alias is told of in a bounce. */
static enum resolve_status unknown_user(struct walk *walk, const struct address *address,
                                        const struct step *step)
{
    if (!step->before)
        return RESOLVE_UNKNOWN_USER;
    return add_final(walk, address, SPAN("error"), SPAN("5.1.1 user unknown"));
}

/* RFC 5321 §4.5.1: postmaster exists in every domain of ours; where nobody says otherwise it is the
 * first domain's. */
static enum resolve_status walk_postmaster(struct walk *walk, const struct address *address,
                                           const struct step *step)
{
    const struct conf_spans *domains = &walk->tables->conf->domains;
    struct address first = *address;

    if (!span_equal_nocase(address_local(address), SPAN("postmaster")) || domains->count == 0 ||
        span_equal(address_domain(address), domains->items[0]))
        return RESOLVE_UNKNOWN_USER;
    /* The first domain's own postmaster does not come here: he was not found a moment ago. */
    first.domain_len = (uint16_t)domains->items[0].len;
    memcpy(first.domain, domains->items[0].data, first.domain_len);
    return walk_address(walk, &first, step);
}

/* A member that exists nowhere becomes a recipient that fails; the asked address itself is
 * refused instead. */
static enum resolve_status deliver_here(struct walk *walk, const struct address *address,
                                        const struct step *step)
{
    /* Our domains may be routed away from local: the users table still says who exists. */
    struct route route = route_find(walk->tables->conf, address);
    struct span path;
    enum resolve_status status = mailbox_of(walk->tables, walk->arena, step->key, &path);

    if (status == RESOLVE_UNKNOWN_USER)
        status = walk_postmaster(walk, address, step);
    else if (status == RESOLVE_OK && span_equal(route.transport, SPAN("local")))
        return add_final(walk, address, route.transport, path);
    else if (status == RESOLVE_OK)
        return add_final(walk, address, route.transport, route.nexthop);
    return status == RESOLVE_UNKNOWN_USER ? unknown_user(walk, address, step) : status;
}

/* Depth and chain are looked at before the table: what is a loop asks no more questions. */
static enum resolve_status walk_local(struct walk *walk, const struct address *address,
                                      const struct step *before)
{
    char text[ADDRESS_TEXT_MAX];
    struct span members = {0};
    enum resolve_status status;
    struct step step = {.before = before,
                        .key = address_key(address, text),
                        .depth = before ? before->depth + 1 : 1};

    if (step.depth > walk->tables->conf->limits.alias_depth)
        return RESOLVE_LOOP;
    if (in_chain(before, step.key)) {
        /* An alias that names itself means the mailbox; a longer way back is a loop. */
        return span_equal(before->key, step.key) ? deliver_here(walk, address, &step)
                                                 : RESOLVE_LOOP;
    }
    switch (find_alias(walk, step.key, &members)) {
    case TABLE_FOUND:
        status = walk_members(walk, members, address_domain(address), &step);
        return status == RESOLVE_UNKNOWN_USER ? unknown_user(walk, address, &step) : status;
    case TABLE_NOT_FOUND:
        return deliver_here(walk, address, &step);
    /* A table that can not be read says nothing about the user: never a 5yz for that. */
    case TABLE_ERROR:
        break;
    }
    return RESOLVE_TEMPORARY;
}

/* The host's own name stands for the first domain. */
static struct address in_our_domain(const struct conf *conf, const struct address *address)
{
    struct address ours = *address;

    if (conf->domains.count == 0 || conf_has_domain(&conf->domains, address_domain(address)))
        return ours;
    /* An address literal of this host is such a name, too (RFC 5321 §4.1.3). */
    ours.domain_is_literal = false;
    ours.domain_len = (uint16_t)conf->domains.items[0].len;
    memcpy(ours.domain, conf->domains.items[0].data, ours.domain_len);
    return ours;
}

/* Ours is walked on, everything else is final: aliases exist in our domains only. */
static enum resolve_status walk_address(struct walk *walk, const struct address *address,
                                        const struct step *before)
{
    const struct conf *conf = walk->tables->conf;
    const struct conf_limits *limits = &conf->limits;

    /* Counted before the class is known: members that lead out of our domains cost a visit as
     * well. */
    if (walk->visited++ >= limits->alias_depth + VISITS_A_RECIPIENT * limits->alias_expansion)
        return RESOLVE_TOO_MANY;
    if (route_class_of(conf, address) == ROUTE_LOCAL) {
        struct address ours = in_our_domain(conf, address);

        return walk_local(walk, &ours, before);
    }
    struct route route = route_find(conf, address);

    return add_final(walk, address, route.transport, route.nexthop);
}

/* RFC 5321 §3.6.2: who may relay is decided on the asked address; where aliases lead is the
 * owner's wish. */
struct expansion expand_address(const struct expand_tables *tables, struct arena *arena,
                                const struct address *address, bool trusted)
{
    struct expansion out = {.status = RESOLVE_OK};
    struct walk walk = {.tables = tables, .arena = arena, .out = &out};

    if (!trusted && route_class_of(tables->conf, address) == ROUTE_REMOTE) {
        out.status = RESOLVE_RELAY_DENIED;
        return out;
    }
    out.status = walk_address(&walk, address, NULL);
    /* Mail that will reach nobody is refused while the client is there to hear it: a bounce would
     * go to whoever the sender claims to be. */
    if (out.status == RESOLVE_OK && out.count == walk.refused)
        out.status = RESOLVE_UNKNOWN_USER;
    return out;
}
