/*
 * Why all or nothing: a reload that binds half of its addresses would leave a server that matches
 * neither the old configuration nor the new one. The new set is made beside the old, and only when
 * it is complete does it take the old one's place.
 */
#include "master/listeners.h"

#include "master/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By text, for two forms of one address must not become two sockets. The port counts apart; of a
 * path the address is empty. */
static bool same_place(const struct listener *a, const struct listener *b)
{
    char text_a[NET_TEXT_MAX], text_b[NET_TEXT_MAX];
    return a->address.any.sa_family == b->address.any.sa_family &&
           net_port(&a->address) == net_port(&b->address) && strcmp(a->path, b->path) == 0 &&
           span_equal(net_text(&a->address, text_a), net_text(&b->address, text_b));
}

static const struct listener *find(const struct listeners *listeners, const struct listener *place)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (same_place(&listeners->items[i], place))
            return &listeners->items[i];
    return NULL;
}

/* Closes those of `listeners` that are not in `kept`. */
static void close_others(const struct listeners *listeners, const struct listeners *kept)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->items[i];
        if (find(kept, listener) != NULL)
            continue;
        if (listener->path[0] != '\0')
            unix_socket_remove(listener->path);
        (void)close(listener->fd);
    }
}

/* The socket of one that is new, or the one that is open already, with what may have changed of
 * it; -1 with errno. */
static int open_socket(const struct listener *known, const struct conf_listen *want)
{
    bool is_local = want->path.len > 0;
    if (known != NULL)
        return !is_local || unix_socket_settle(want) ? known->fd : -1;
    return is_local ? unix_socket_listen(want, LISTENER_BACKLOG)
                    : net_listen(&want->address, LISTENER_BACKLOG);
}

/* What is open already is taken over, never bound again: its queue of connections survives. The
 * descriptor is then in both sets, and close_others tells which one lets it go. */
static bool add(struct listeners *next, const struct listeners *old, const struct conf_listen *want)
{
    struct listener *listener = &next->items[next->count];

    /* Each check sets its errno beforehand: it is what the sentence to the operator is made of. */
    errno = ENOSPC;
    if (next->count == DAEMON_LISTENERS)
        return false;
    errno = ENAMETOOLONG;
    listener->address = want->address;
    if (!span_to_cstr(want->path, listener->path, sizeof(listener->path)) ||
        !span_to_cstr(want->name, listener->name, sizeof(listener->name)))
        return false;
    /* Twice in one configuration: the second could not be told from the first at the next
     * reload. */
    errno = EADDRINUSE;
    if (find(next, listener) != NULL)
        return false;
    listener->service = want->service;
    listener->tls = want->tls;
    listener->proxy = want->proxy;
    listener->fd = open_socket(find(old, listener), want);
    if (listener->fd < 0)
        return false;
    /* Counted only when it is open, so that undoing never closes what is not there. */
    next->count++;
    return true;
}

/* With line, address and port: that a port is in use is only of help with the port. */
static void complain_about(const struct conf_listen *listen, int error, conf_complain *complain,
                           void *arg)
{
    char sentence[512], text[NET_TEXT_MAX], where[CONF_SOCKET_PATH_MOST + 1];
    if (listen->path.len > 0)
        (void)snprintf(where, sizeof(where), "%s", listen->path.data);
    else
        (void)snprintf(where, sizeof(where), "%.*s port %u",
                       SPAN_ARG(net_text(&listen->address, text)), net_port(&listen->address));
    (void)snprintf(sentence, sizeof(sentence), "listen \"%.*s\" (line %u): %s can not be bound: %s",
                   SPAN_ARG(span_first(listen->name, 100)), listen->line, where,
                   log_errno_text(error));
    complain(arg, sentence);
}

bool listeners_update(struct listeners *listeners, const struct conf_listens *wanted,
                      conf_complain *complain, void *arg)
{
    struct listeners next = {0};

    for (size_t i = 0; i < wanted->count; i++) {
        if (add(&next, listeners, &wanted->items[i]))
            continue;
        /* The sentence first, as long as errno is that of the failure; then what was newly
         * bound is undone. */
        complain_about(&wanted->items[i], errno, complain, arg);
        close_others(&next, listeners);
        return false;
    }
    /* Nothing can fail any more. Children of the old generation keep their copies until they
     * drain. */
    close_others(listeners, &next);
    *listeners = next;
    return true;
}

/* Submission is served by processes of its own: whoever breaks into a worker of port 25, which
 * talks to everybody, sees no password there and has no way to auth. */
static const unsigned services_of[ROLE_COUNT] = {
    [ROLE_SMTPD] = 1U << SERVICE_SMTP | 1U << SERVICE_LMTP,
    [ROLE_SUBMISSION] = 1U << SERVICE_SUBMISSION,
    [ROLE_POP3D] = 1U << SERVICE_POP3,
};

bool listeners_belong(enum role role, enum conf_service service)
{
    return (services_of[role] & 1U << service) != 0;
}

bool listeners_are_for(enum role role)
{
    return services_of[role] != 0;
}

bool listeners_serve(const struct listeners *listeners, enum role role)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (listeners_belong(role, listeners->items[i].service))
            return true;
    return false;
}

void listeners_close(struct listeners *listeners)
{
    const struct listeners none = {0};
    close_others(listeners, &none);
    listeners->count = 0;
}
