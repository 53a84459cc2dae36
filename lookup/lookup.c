/*
 * The process around the tables. Every question is answered within the callback that brought it;
 * the channels gather the answers of one turn into packets. An arena for all questions, reset after
 * each.
 */
#include "lookup/lookup.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <sys/inotify.h>
#include <sysexits.h>
#include <unistd.h>

#include "lookup/expand.h"
#include "lookup/greylist.h"
#include "lookup/policy.h"
#include "util/base/clock.h"
#include "util/base/panic.h"

struct lookup;

/* Somebody who asks: one socket. */
struct peer {
    struct lookup *lookup;
    struct channel *channel;
    LIST_ENTRY(peer) link;
};

/* All that the process keeps. */
struct lookup {
    struct daemon *daemon;
    struct io changes; /* inotify on the directory of the tables */
    struct expand_tables tables;
    struct policy policy;
    struct greylist greylist;
    struct arena arena; /* of the question at hand */
    LIST_HEAD(, peer) peers;
};

/* Nothing is opened yet: the table may be built later than we start. */
static struct table *open_table(struct lookup *lookup, const char *name)
{
    const struct conf *conf = lookup->daemon->conf;
    struct span path =
        arena_printf(&lookup->arena, "%.*s/%s", SPAN_ARG(conf->table_directory), name);
    struct table *table = table_open("db", path.data);

    /* Open for as long as the process lives. */
    require(table);
    arena_reset(&lookup->arena);
    return table;
}

/* ---- changes ---- */

/* What the events are does not matter: whoever remembers answers (smtpd) has to ask again. The
 * tables themselves notice by their files, at the next lookup. */
static void on_change(void *arg, unsigned ready)
{
    struct lookup *lookup = arg;
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)ready;
    /* Emptied at once: a table built anew makes several events, and one count does for all. */
    while (read(lookup->changes.fd, events, sizeof(events)) > 0)
        continue;
    page_add(lookup->daemon->page, PAGE_TABLES, 1);
}

/* The directory and not the files: a table that is built anew is a new file, moved to its place. */
static void watch_tables(struct lookup *lookup)
{
    const char *directory = lookup->daemon->conf->table_directory.data;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0 || inotify_add_watch(fd, directory, IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) < 0)
        fatal(EX_NOINPUT, "cannot watch %s: %s", directory, log_errno_text(errno));
    io_init(&lookup->changes, lookup->daemon->loop, fd, on_change, lookup);
    io_want(&lookup->changes, IO_READ);
}

/* ---- answers ---- */

/* A large expansion may fill what the channel holds: then it goes out before the turn ends. */
static bool send_answer(struct peer *peer, const struct ipc_type *type, const void *message)
{
    if (channel_send(peer->channel, type, message, NULL))
        return true;
    channel_flush(peer->channel);
    return channel_send(peer->channel, type, message, NULL);
}

/* Whoever asked waits for the last word: when the true one can not be sent (the peer reads
 * nothing), `later` takes its place. False then. */
static bool answer(struct peer *peer, const struct ipc_type *type, const void *message,
                   const void *later)
{
    if (send_answer(peer, type, message))
        return true;
    log_event(LOG_ERROR, "answer-not-sent", LOG_STR("type", type->name));
    if (!send_answer(peer, type, later))
        log_event(LOG_ERROR, "peer-deaf", LOG_STR("type", type->name));
    return false;
}

/* The question comes from a process that faces the network: its parts are believed to be those of
 * an address when the parser says so, too. */
static bool address_of(const struct resolve *question, struct address *address)
{
    struct address asked = {0};
    char text[ADDRESS_TEXT_MAX];

    /* Before the copies: the places in an address are no larger (RFC 5321 §4.5.3.1.1,
     * §4.5.3.1.2). */
    if (question->local.len > ADDRESS_LOCAL_MAX || question->domain.len > ADDRESS_DOMAIN_MAX)
        return false;
    asked.local_len = (uint16_t)question->local.len;
    asked.domain_len = (uint16_t)question->domain.len;
    memcpy(asked.local, question->local.data, question->local.len);
    memcpy(asked.domain, question->domain.data, question->domain.len);
    return address_parse(address_text(&asked, text), address) == ADDRESS_OK;
}

/* One message for each recipient. Only the last has no `more`, and who asked waits for that one;
 * after a failure nothing may follow, because `later` was the end of the answer. */
static void answer_recipients(struct peer *peer, uint32_t query, const struct expansion *expansion)
{
    const struct resolved later = {.query = query, .status = RESOLVE_TEMPORARY};
    bool sent = true;

    for (size_t i = 0; sent && i < expansion->count; i++) {
        const struct final_recipient *recipient = &expansion->recipients[i];
        const struct resolved reply = {
            .query = query,
            .status = RESOLVE_OK,
            .more = i + 1 < expansion->count,
            .address = recipient->address,
            .transport = recipient->transport,
            .nexthop = recipient->nexthop,
        };

        sent = answer(peer, &ipc_resolved, &reply, &later);
    }
}

/* What is no address is nobody's: the client hears that there is no such user. A refusal is one
 * message, and it is its own substitute when it can not be sent at first. */
static void answer_resolve(struct peer *peer, const struct resolve *question)
{
    struct lookup *lookup = peer->lookup;
    struct expansion expansion = {.status = RESOLVE_UNKNOWN_USER};
    struct address address;

    if (address_of(question, &address))
        expansion = expand_address(&lookup->tables, &lookup->arena, &address,
                                   (question->flags & RESOLVE_TRUSTED) != 0);
    if (expansion.status == RESOLVE_OK) {
        answer_recipients(peer, question->query, &expansion);
        return;
    }
    const struct resolved reply = {.query = question->query, .status = (uint8_t)expansion.status};
    (void)answer(peer, &ipc_resolved, &reply, &reply);
}

/* Always one message: a user has one mailbox. The path is valid until the arena is reset. */
static void answer_mailbox(struct peer *peer, const struct mailbox_ask *question)
{
    struct lookup *lookup = peer->lookup;
    struct mailbox_answer reply = {.query = question->query};
    const struct mailbox_answer later = {.query = question->query, .status = RESOLVE_TEMPORARY};

    reply.status =
        (uint8_t)expand_mailbox(&lookup->tables, &lookup->arena, question->user, &reply.path);
    (void)answer(peer, &ipc_mailbox_answer, &reply, &later);
}

/* One message, which is its own substitute: it is small. */
static void answer_access(struct peer *peer, const struct access_ask *question)
{
    struct lookup *lookup = peer->lookup;
    const struct access_answer reply = policy_access(&lookup->policy, &lookup->arena, question);

    (void)answer(peer, &ipc_access_answer, &reply, &reply);
}

static void answer_sender(struct peer *peer, const struct sender_ask *question)
{
    struct lookup *lookup = peer->lookup;
    const struct sender_answer reply = policy_sender(&lookup->policy, &lookup->arena, question);

    (void)answer(peer, &ipc_sender_answer, &reply, &reply);
}

/* A client without an address came through a socket of this host. */
static void answer_greylist(struct peer *peer, const struct greylist_ask *question)
{
    const struct lookup *lookup = peer->lookup;
    const struct conf_limits *limits = &lookup->daemon->conf->limits;
    const struct greylist_rules rules = {.delay = limits->greylist_delay,
                                         .window = limits->greylist_window,
                                         .life = limits->greylist_life,
                                         .passes = limits->greylist_passes};
    struct greylist_answer reply = {.query = question->query};
    union net_address client;

    if (net_parse_address(question->client, &client)) {
        const struct greylist_try attempt = {&client, question->sender, question->recipient,
                                             clock_wall()};
        reply.wait = greylist_judge(&lookup->greylist, &rules, &attempt);
    }
    (void)answer(peer, &ipc_greylist_answer, &reply, &reply);
}

/* ---- peers ---- */

/* Answered before the callback returns: nothing is remembered between two questions. */
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
    else if (type == &ipc_access_ask)
        answer_access(peer, message);
    else if (type == &ipc_sender_ask)
        answer_sender(peer, message);
    else if (type == &ipc_greylist_ask)
        answer_greylist(peer, message);
    else
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
    arena_reset(&peer->lookup->arena);
    page_add(peer->lookup->daemon->page, PAGE_LOOKUPS, 1);
}

/* Nothing is owed to it. */
static void peer_closed(void *arg, struct channel *channel)
{
    struct peer *peer = arg;

    /* Answers that were not sent go with the channel. */
    LIST_REMOVE(peer, link);
    channel_free(channel);
    mem_free(peer);
}

/* All peers are alike: whatever they ask is answered. */
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

/* Whatever is wrong with the file: mail is taken, and the operator is told. */
static void open_greylist(struct lookup *lookup)
{
    const struct conf *conf = lookup->daemon->conf;
    struct arena arena = {0};
    struct span path = arena_printf(&arena, "%s/greylist", conf->spool_directory.data);

    lookup->greylist.fd = -1;
    if (conf->greylist && !greylist_open(&lookup->greylist, path.data))
        log_event(LOG_ERROR, "greylist-not-open", LOG_SPAN("path", path), LOG_ERRNO(errno));
    arena_free(&arena);
}

/* The tables are read from within the sandbox: their directory is all that can be seen. */
static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct lookup *lookup = mem_new(sizeof(*lookup));

    lookup->daemon = daemon;
    lookup->tables.conf = daemon->conf;
    lookup->tables.users = open_table(lookup, "users");
    lookup->tables.aliases = open_table(lookup, "aliases");
    policy_open(&lookup->policy, daemon->conf);
    LIST_INIT(&lookup->peers);
    watch_tables(lookup);
    open_greylist(lookup);
    /* A new process may see other tables than the one before: what others remember is old now. */
    page_add(daemon->page, PAGE_TABLES, 1);
    sandbox->readable[0] = daemon->conf->table_directory.data;
    daemon->state = lookup;
}

/* The peers are there already. */
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

/* What Berkeley DB keeps it hides from whoever counts memory at the end: so it is told to end. */
static void run(struct daemon *daemon)
{
    struct lookup *lookup = daemon->state;

    loop_run(daemon->loop);
    table_close(lookup->tables.users);
    table_close(lookup->tables.aliases);
    policy_close(&lookup->policy);
    greylist_close(&lookup->greylist);
}

const struct daemon_calls lookup_calls = {
    .role = ROLE_LOOKUP,
    .prepare = prepare,
    .start = start,
    .peer = connect_peer,
    .drain = drain,
    .run = run,
};
