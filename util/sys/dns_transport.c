/*
 * c-ares chooses servers, repeats questions, matches ids and goes over to TCP; it is not let near
 * names and records, and not near the options of its sockets: they are made here, non-blocking from
 * the start, because behind the sandbox nobody changes the flags of a descriptor.
 *
 * Its own question for the next time-out walks through all queries, so it is not asked: a slow
 * pulse runs while anything is under way.
 */
#include "util/sys/dns_transport.h"

#include "util/base/arena.h"
#include "util/base/panic.h"

#include <ares.h>
#include <bsd/sys/queue.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

enum { PULSE_MS = 100, DNS_PORT = 53 };

/* What is watched for c-ares. Closed ones wait for the end of the turn before they are used again:
 * the loop may be serving them. */
struct watched {
    LIST_ENTRY(watched) entry;
    struct io io;
    struct dns_transport *transport;
    bool closed;
};

struct dns_transport {
    struct loop *loop;
    ares_channel channel;
    struct timer pulse;
    struct turn sweep;
    LIST_HEAD(, watched) watched;
    size_t under_way;
    uint16_t ports[DNS_SERVERS_MAX];
    bool local;
};

/* ---- sockets, as c-ares wants them ---- */

static ares_socket_t make_socket(int family, int type, int protocol, void *arg)
{
    (void)arg;
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    (void)arg;
    return close(fd);
}

/* A connected UDP socket: the kernel drops what others than the server send (RFC 5452 §9.2). */
static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size,
                          void *arg)
{
    (void)arg;
    return connect(fd, address, size);
}

/* Seven parameters are the library's wish. */
static ares_ssize_t receive_from(ares_socket_t fd, void *out, size_t size, int flags,
                                 struct sockaddr *from, ares_socklen_t *from_size, void *arg)
{
    (void)arg;
    return recvfrom(fd, out, size, flags, from, from_size);
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int count, void *arg)
{
    (void)arg;
    return writev(fd, parts, count);
}

static const struct ares_socket_functions socket_functions = {
    .asocket = make_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive_from,
    .asendv = send_parts,
};

/* ---- events ---- */

static void on_ready(void *arg, unsigned events)
{
    struct watched *watched = arg;
    int fd = watched->io.fd;
    ares_process_fd(watched->transport->channel, (events & IO_READ) ? fd : ARES_SOCKET_BAD,
                    (events & IO_WRITE) ? fd : ARES_SOCKET_BAD);
}

static void on_pulse(void *arg)
{
    struct dns_transport *transport = arg;
    ares_process_fd(transport->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (transport->under_way > 0)
        timer_set(&transport->pulse, PULSE_MS);
}

static void on_sweep(void *arg)
{
    struct dns_transport *transport = arg;
    struct watched *watched, *following;
    LIST_FOREACH_SAFE (watched, &transport->watched, entry, following) {
        if (!watched->closed)
            continue;
        LIST_REMOVE(watched, entry);
        mem_free(watched);
    }
}

static struct watched *find_watched(const struct dns_transport *transport, int fd)
{
    struct watched *watched;
    LIST_FOREACH (watched, &transport->watched, entry)
        if (watched->io.fd == fd && !watched->closed)
            return watched;
    return NULL;
}

/* Neither to read nor to write: c-ares is about to close it. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_transport *transport = arg;
    struct watched *watched = find_watched(transport, fd);
    unsigned wanted = (readable ? IO_READ : 0U) | (writable ? IO_WRITE : 0U);
    if (watched == NULL && wanted != 0) {
        watched = mem_new(sizeof(*watched));
        watched->transport = transport;
        io_init(&watched->io, transport->loop, fd, on_ready, watched);
        LIST_INSERT_HEAD(&transport->watched, watched, entry);
    }
    if (watched == NULL)
        return;
    io_want(&watched->io, wanted);
    if (wanted != 0)
        return;
    watched->closed = true;
    loop_later(transport->loop, &transport->sweep);
}

/* ---- the channel ---- */

static void must(int status, const char *what)
{
    if (status != ARES_SUCCESS)
        fatal(EX_OSERR, "cannot start the resolver: %s: %s", what, ares_strerror(status));
}

/* Servers of the configuration take the place of those in /etc/resolv.conf. */
static void set_servers(ares_channel channel, const struct dns_options *options)
{
    struct ares_addr_port_node nodes[DNS_SERVERS_MAX] = {{0}};
    size_t count = options->server_count;
    require(count <= DNS_SERVERS_MAX);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const union net_address *server = &options->servers[i];
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
        nodes[i].family = server->any.sa_family;
        nodes[i].udp_port = nodes[i].tcp_port = net_port(server);
        if (server->any.sa_family == AF_INET)
            memcpy(&nodes[i].addr.addr4, &server->v4.sin_addr, sizeof(server->v4.sin_addr));
        else
            memcpy(&nodes[i].addr.addr6, &server->v6.sin6_addr, sizeof(server->v6.sin6_addr));
    }
    must(ares_set_servers_ports(channel, nodes), "servers");
}

/* Asked of c-ares, because the servers may come from /etc/resolv.conf, where they have no ports. */
static void note_servers(struct dns_transport *transport)
{
    struct ares_addr_port_node *servers = NULL;
    size_t count = 0;
    transport->local = ares_get_servers_ports(transport->channel, &servers) == ARES_SUCCESS;
    for (const struct ares_addr_port_node *node = servers; node != NULL; node = node->next) {
        union net_address address = {.any.sa_family = (sa_family_t)node->family};
        if (node->family == AF_INET)
            memcpy(&address.v4.sin_addr, &node->addr.addr4, sizeof(address.v4.sin_addr));
        else
            memcpy(&address.v6.sin6_addr, &node->addr.addr6, sizeof(address.v6.sin6_addr));
        transport->local = transport->local && net_is_loopback(&address);
        if (count < DNS_SERVERS_MAX)
            transport->ports[count++] = (uint16_t)(node->tcp_port ? node->tcp_port : DNS_PORT);
    }
    ares_free_data(servers);
}

struct dns_transport *dns_transport_new(struct loop *loop, const struct dns_options *options)
{
    struct dns_transport *transport = mem_new(sizeof(*transport));
    transport->loop = loop;
    transport->sweep = (struct turn){.run = on_sweep, .arg = transport};
    LIST_INIT(&transport->watched);
    timer_init(&transport->pulse, loop, on_pulse, transport);

    struct ares_options wanted = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = (int)options->timeout_ms,
        .tries = (int)options->tries,
        .ednspsz = DNS_PAYLOAD,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = transport,
    };
    int which = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
    /* Later versions keep answers, whatever AD and DO said; ours are kept in util/sys/dns. */
    wanted.qcache_max_ttl = 0;
    which |= ARES_OPT_QUERY_CACHE;
#endif
    must(ares_library_init(ARES_LIB_INIT_ALL), "library");
    must(ares_init_options(&transport->channel, &wanted, which), "channel");
    ares_set_socket_functions(transport->channel, &socket_functions, NULL);
    set_servers(transport->channel, options);
    note_servers(transport);
    return transport;
}

void dns_transport_free(struct dns_transport *transport)
{
    if (transport == NULL)
        return;
    ares_destroy(transport->channel);
    ares_library_cleanup();
    timer_cancel(&transport->pulse);
    loop_forget(transport->loop, &transport->sweep);
    on_sweep(transport);
    require(LIST_EMPTY(&transport->watched));
    mem_free(transport);
}

/* SERVFAIL, REFUSED, time-outs, the end of the channel: all come without a message here. */
static void on_answer(void *arg, int status, int timeouts, unsigned char *message, int size)
{
    struct dns_exchange *exchange = arg;
    bool good = status == ARES_SUCCESS && message != NULL && size > 0;
    (void)timeouts;
    exchange->transport->under_way--;
    exchange->answered(exchange, good ? span_of(message, (size_t)size) : SPAN(""));
}

void dns_transport_send(struct dns_transport *transport, struct dns_exchange *exchange,
                        struct span query)
{
    exchange->transport = transport;
    transport->under_way++;
    if (!timer_is_set(&transport->pulse))
        timer_set(&transport->pulse, PULSE_MS);
    ares_send(transport->channel, (const unsigned char *)query.data, (int)query.len, on_answer,
              exchange);
}

bool dns_transport_is_local(const struct dns_transport *transport)
{
    return transport->local;
}

void dns_transport_ports(const struct dns_transport *transport, uint16_t out[DNS_SERVERS_MAX])
{
    memcpy(out, transport->ports, sizeof(transport->ports));
}
