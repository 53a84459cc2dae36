/*
 * The process around the tables. Every question is answered within the callback that brought it;
 * the channels gather the answers of one turn into packets. An arena for all questions, reset after
 * each.
 */
#include "lookup/lookup.h"

#include <bsd/sys/queue.h>

#include "lookup/expand.h"
#include "util/base/panic.h"

struct lookup;

struct peer {
    struct lookup *lookup;
    struct channel *channel;
    LIST_ENTRY(peer) link;
};

struct lookup {
    struct daemon *daemon;
    struct expand_tables tables;
    struct arena arena; /* of the question at hand */
    LIST_HEAD(, peer) peers;
};

static struct table *open_table(struct lookup *lookup, const char *name)
{
    const struct conf *conf = lookup->daemon->conf;
    struct span path =
        arena_printf(&lookup->arena, "%.*s/%s", SPAN_ARG(conf->table_directory), name);
    struct table *table = table_open("db", path.data);

    require(table);
    arena_reset(&lookup->arena);
    return table;
}

/* ---- answers ---- */

/* A peer that does not read its answers has to ask again, on a new socket. */
static void answer(struct peer *peer, const struct ipc_type *type, const void *message)
{
    if (!channel_send(peer->channel, type, message, NULL))
        log_event(LOG_WARN, "answer-lost", LOG_STR("type", type->name));
}

static bool address_of(const struct resolve *question, struct address *address)
{
    *address = (struct address){0};
    if (question->local.len == 0 || question->local.len > ADDRESS_LOCAL_MAX ||
        question->domain.len == 0 || question->domain.len > ADDRESS_DOMAIN_MAX)
        return false;
    address->local_len = (uint16_t)question->local.len;
    address->domain_len = (uint16_t)question->domain.len;
    address->domain_is_literal = question->domain.data[0] == '[';
    memcpy(address->local, question->local.data, question->local.len);
    memcpy(address->domain, question->domain.data, question->domain.len);
    return true;
}

static void answer_resolve(struct peer *peer, const struct resolve *question)
{
    struct lookup *lookup = peer->lookup;
    struct expansion expansion = {.status = RESOLVE_UNKNOWN_USER};
    struct resolved reply = {.query = question->query};
    struct address address;

    if (address_of(question, &address))
        expansion = expand_address(&lookup->tables, &lookup->arena, &address,
                                   (question->flags & RESOLVE_TRUSTED) != 0);
    reply.status = (uint8_t)expansion.status;
    if (expansion.status != RESOLVE_OK)
        answer(peer, &ipc_resolved, &reply);
    for (size_t i = 0; expansion.status == RESOLVE_OK && i < expansion.count; i++) {
        reply.more = i + 1 < expansion.count;
        reply.address = expansion.recipients[i].address;
        reply.transport = expansion.recipients[i].transport;
        reply.nexthop = expansion.recipients[i].nexthop;
        answer(peer, &ipc_resolved, &reply);
    }
}

static void answer_mailbox(struct peer *peer, const struct mailbox_ask *question)
{
    struct lookup *lookup = peer->lookup;
    struct mailbox_answer reply = {.query = question->query};

    reply.status =
        (uint8_t)expand_mailbox(&lookup->tables, &lookup->arena, question->user, &reply.path);
    answer(peer, &ipc_mailbox_answer, &reply);
}

/* ---- peers ---- */

static void peer_message(void *arg, struct channel *channel, const struct ipc_type *type,
                         const void *message, struct fd_list *fds)
{
    struct peer *peer = arg;

    (void)channel;
    (void)fds;
    if (type == &ipc_resolve)
        answer_resolve(peer, message);
    else if (type == &ipc_mailbox_ask)
        answer_mailbox(peer, message);
    else
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
    arena_reset(&peer->lookup->arena);
    page_add(peer->lookup->daemon->page, PAGE_LOOKUPS, 1);
}

static void peer_closed(void *arg, struct channel *channel)
{
    struct peer *peer = arg;

    LIST_REMOVE(peer, link);
    channel_free(channel);
    mem_free(peer);
}

static void connect_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct lookup *lookup = daemon->state;
    struct peer *peer = mem_new(sizeof(*peer));

    (void)role;
    (void)index;
    peer->lookup = lookup;
    LIST_INSERT_HEAD(&lookup->peers, peer, link);
    peer->channel = channel_new(
        daemon->loop, fd,
        &(struct channel_calls){.message = peer_message, .closed = peer_closed, .arg = peer});
}

/* ---- life ---- */

static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct lookup *lookup = mem_new(sizeof(*lookup));

    lookup->daemon = daemon;
    lookup->tables.conf = daemon->conf;
    lookup->tables.users = open_table(lookup, "users");
    lookup->tables.aliases = open_table(lookup, "aliases");
    LIST_INIT(&lookup->peers);
    sandbox->readable[0] = daemon->conf->table_directory.data;
    daemon->state = lookup;
}

static void start(struct daemon *daemon)
{
    log_event(LOG_DEBUG, "lookup-started", LOG_UINT("generation", daemon->generation));
}

/* Nothing is ever left unanswered at the end of a turn; a peer that asks later asks the next one.
 */
static void drain(struct daemon *daemon)
{
    struct lookup *lookup = daemon->state;
    struct peer *peer;

    LIST_FOREACH (peer, &lookup->peers, link)
        channel_flush(peer->channel);
    daemon_exit(daemon);
}

const struct daemon_calls lookup_calls = {
    .role = ROLE_LOOKUP,
    .prepare = prepare,
    .start = start,
    .peer = connect_peer,
    .drain = drain,
};
