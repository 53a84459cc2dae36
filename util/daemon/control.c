/*
 * Why the socket to master is read with bare packets and not through a channel: the first half of
 * the talk comes before there is a daemon to serve, and some daemons block. One function that reads
 * what is there without waiting does for the start, for the loop and for daemon_poll.
 *
 * Master is trusted, yet what it sends is checked like everything else: a count that grew past a
 * table would be our bug, and it is found here instead of behind the table's end.
 */
#include "util/daemon/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/base/panic.h"
#include "util/ipc/packet.h"

/* Master parsed the same text before, so this is read only when the two are of different
 * builds. */
static void complain(void *arg, const char *message)
{
    (void)arg;
    log_event(LOG_ERROR, "configuration", LOG_STR("reason", message));
}

/* ---- one function a message; descriptors left in `fds` are closed by packet_deliver ---- */

/* A child never opens the configuration: it parses the same octets that master did. All children
 * share one open file, so it is mapped: reading it would move the others' place in it. */
static void take_config(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_config *config = message;
    struct span name = arena_copy(&control->arena, config->name);
    int fd = fd_list_take(fds);
    struct stat status = {0};

    if (fstat(fd, &status) != 0 || status.st_size <= 0)
        fatal(EX_OSERR, "cannot read the configuration that master sent");
    size_t size = (size_t)status.st_size;
    char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    FILE *in = text == MAP_FAILED ? NULL : fmemopen(text, size, "r");
    if (in == NULL)
        fatal(EX_OSERR, "cannot read the configuration that master sent");
    control->daemon.conf = conf_parse(in, name.data, complain, NULL);
    (void)fclose(in);
    (void)munmap(text, size);
    (void)close(fd);
    if (control->daemon.conf == NULL)
        fatal(EX_CONFIG, "cannot use the configuration that master sent");
}

/* A walk: pages come at the start and with a neighbour's death, not in between. */
static bool page_is_known(const struct daemon *daemon, enum role role, unsigned index)
{
    for (size_t i = 0; i < daemon->page_count; i++)
        if (daemon->pages[i].role == role && daemon->pages[i].index == index)
            return true;
    return false;
}

/* A neighbour that was started anew has its old page: it is announced again and known already. */
static void take_page(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_page *came = message;
    struct daemon *daemon = &control->daemon;
    bool own = came->own != 0;

    if (!own && page_is_known(daemon, came->role, came->index))
        return;
    require(own || daemon->page_count < DAEMON_PAGES);
    int fd = fd_list_take(fds);
    struct page *page = page_map(fd, own);
    (void)close(fd);
    if (page == NULL)
        fatal(EX_OSERR, "cannot map a shared page");
    if (own)
        daemon->page = page;
    else
        daemon->pages[daemon->page_count++] =
            (struct daemon_page){.role = came->role, .index = came->index, .page = page};
}

/* Names are copied: the packet is gone with the next one. */
static void take_listener(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_listener *came = message;
    struct daemon *daemon = &control->daemon;

    require(daemon->listener_count < DAEMON_LISTENERS);
    daemon->listeners[daemon->listener_count++] = (struct daemon_listener){
        .fd = fd_list_take(fds),
        .service = came->service,
        .tls = came->tls,
        .proxy = came->proxy != 0,
        .name = arena_copy(&control->arena, came->name),
    };
}

/* A daemon without `peer` talks to nobody: what master sends all the same is closed. */
static void give_peer(struct control *control, const struct control_waiting *peer)
{
    const struct daemon_calls *calls = control->daemon.calls;

    if (calls->peer != NULL)
        calls->peer(&control->daemon, peer->role, peer->index, peer->fd);
    else
        (void)close(peer->fd);
}

/* Nothing has to be asked for any more. */
static void forget_unlinked(struct control *control, enum role role, unsigned index)
{
    for (size_t i = control->unlinked_count; i-- > 0;)
        if (control->unlinked[i].role == role && control->unlinked[i].index == index)
            control->unlinked[i] = control->unlinked[--control->unlinked_count];
}

/* Before the daemon serves, its peers wait: it has no state yet to put them into. */
static void take_peer(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_peer *came = message;
    struct control_waiting peer = {came->role, came->index, fd_list_take(fds)};

    forget_unlinked(control, came->role, came->index);
    if (control->serving) {
        give_peer(control, &peer);
        return;
    }
    require(control->peer_count < CONTROL_PEERS);
    control->peers[control->peer_count++] = peer;
}

/* Kept in memory only, for as long as the process lives. */
static void take_key(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_key *came = message;
    (void)fds;
    control->daemon.key = arena_copy(&control->arena, came->key);
}

/* Its own from here on: no message tells it to step. */
static void take_tickets(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_tickets *came = message;
    struct tls_ratchet *ratchet = &control->tickets.ratchet;
    (void)fds;
    require(came->secret.len == sizeof(ratchet->secret));
    memcpy(ratchet->secret, came->secret.data, sizeof(ratchet->secret));
    ratchet->period = came->period;
    control->daemon.ratchet = ratchet;
}

/* Mapped before the sandbox; the descriptor is of no further use. */
static void take_rates(struct control *control, const void *message, struct fd_list *fds)
{
    (void)message;
    require(control->daemon.rates == NULL);
    int fd = fd_list_take(fds);
    control->daemon.rates = rates_map(fd);
    (void)close(fd);
    if (control->daemon.rates == NULL)
        fatal(EX_OSERR, "cannot map the memory of the rates");
}

/* The last message of the start; index and generation are for the log and for names. */
static void take_start(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_start *came = message;
    (void)fds;
    control->daemon.index = came->index;
    control->daemon.generation = came->generation;
    control->started = true;
}

/* Only noted here: whoever reads the socket acts on it. */
static void take_drain(struct control *control, const void *message, struct fd_list *fds)
{
    const struct control_drain *came = message;
    (void)fds;
    control->drain = true;
    control->patient = came->patient != 0;
}

static const struct {
    const struct ipc_type *type;
    void (*take)(struct control *control, const void *message, struct fd_list *fds);
    /* One row for each message that master sends to a child. */
} takers[] = {
    {&ipc_control_config, take_config},     {&ipc_control_page, take_page},
    {&ipc_control_listener, take_listener}, {&ipc_control_peer, take_peer},
    {&ipc_control_key, take_key},           {&ipc_control_start, take_start},
    {&ipc_control_drain, take_drain},       {&ipc_control_tickets, take_tickets},
    {&ipc_control_rates, take_rates},
};

/* A message that master never sends a child is logged and passed over: the two may differ by a
 * build. */
static bool take(void *arg, const struct ipc_type *type, const void *message, struct fd_list *fds)
{
    for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++) {
        if (takers[i].type == type) {
            takers[i].take(arg, message, fds);
            return true;
        }
    }
    log_event(LOG_WARN, "control-unexpected", LOG_STR("message", type->name));
    return true;
}

/* ---- the socket ---- */

/* Until EAGAIN, so that one wake-up is enough however much came. */
void control_receive(struct control *control)
{
    enum seqpacket_result result = SEQPACKET_OK;

    while (result == SEQPACKET_OK && !control->lost) {
        char packet[SEQPACKET_MAX];
        struct fd_list fds;
        size_t size;
        result = seqpacket_receive(control->fd, packet, &size, &fds);
        if (result == SEQPACKET_OK && !packet_deliver(span_of(packet, size), &fds, take, control))
            result = SEQPACKET_MALFORMED;
    }
    if (result == SEQPACKET_MALFORMED)
        log_event(LOG_ERROR, "control-malformed", LOG_STR("reason", "master talks nonsense"));
    if (result != SEQPACKET_AGAIN)
        control->lost = true;
}

/* Blocks: there is nothing else to do before everything is here. */
bool control_gather(struct control *control)
{
    while (!control->started && !control->drain && !control->lost)
        if (seqpacket_wait(control->fd, -1))
            control_receive(control);
    if (control->drain || control->lost)
        return false;
    if (control->daemon.conf == NULL || control->daemon.page == NULL)
        fatal(EX_PROTOCOL, "master sent no configuration or no page");
    return true;
}

/* `serving` first: a peer that arrives from now on goes straight to the daemon. */
void control_hand_over(struct control *control)
{
    control->serving = true;
    for (size_t i = 0; i < control->peer_count; i++)
        give_peer(control, &control->peers[i]);
    control->peer_count = 0;
}

/* One packet on a socket that is nearly always empty: an error means that master is gone. */
static void say(struct control *control, const struct ipc_type *type, const void *message)
{
    struct buf frame = {0};

    if (!ipc_encode(type, message, &frame))
        panic("%s can not be encoded", type->name);
    if (seqpacket_send(control->fd, buf_span(&frame).data, buf_len(&frame), NULL, 0) != 0)
        control->lost = true;
    buf_free(&frame);
}

void control_say_ready(struct control *control)
{
    say(control, &ipc_control_ready, &(struct control_ready){0});
}

/* Each process once: whoever could not be told of a second loss has the first one still listed. */
void control_unlink(struct control *control, enum role role, unsigned index)
{
    forget_unlinked(control, role, index);
    if (control->unlinked_count == CONTROL_PEERS)
        return;
    control->unlinked[control->unlinked_count++] =
        (struct control_unlinked){.role = (uint8_t)role, .index = (uint16_t)index};
    timer_set(&control->ask, CONTROL_ASK_MS);
}

/* The answer brings a descriptor. Without room for it the packet would be cut, and master lost. */
static bool has_room(const struct control *control)
{
    int fd = fcntl(control->fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* One at a time, so that one free descriptor is enough for the answer. */
void control_ask(void *arg)
{
    struct control *control = arg;
    if (control->unlinked_count == 0 || control->lost)
        return;
    if (has_room(control))
        say(control, &ipc_control_unlinked, &control->unlinked[--control->unlinked_count]);
    timer_set(&control->ask, CONTROL_ASK_MS);
}
