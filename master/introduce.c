/*
 * Why every role's share is decided here, in one place, from the role alone: what a process was
 * never handed it can not lose to an attacker, and whoever wants to know what that is reads this
 * file.
 */
#include "master/introduce.h"

#include "master/links.h"
#include "master/master.h"

/* The page is made when it is first sent, and stays: a counter goes on where the last owner of
 * the index left it. Writable goes to the owner alone. */
static bool send_page(struct child *child, enum role role, unsigned index, bool own)
{
    const struct page_slot *slot = pages_slot(&child->master->pages, role, index);
    const struct control_page page = {
        .role = (uint8_t)role, .index = (uint16_t)index, .own = own ? 1 : 0};

    return slot != NULL && channel_send(child->channel, &ipc_control_page, &page,
                                        own ? &slot->writable : &slot->readonly);
}

/* A worker adds up the connections of all its siblings, of those that drain, too. */
static bool send_siblings(struct child *child)
{
    for (unsigned index = 0; index < ROLE_INDEXES; index++)
        if (index != child->index && pages_made(&child->master->pages, child->role, index) &&
            !send_page(child, child->role, index, false))
            return false;
    return true;
}

/* Who receives mail reads the pressure off the page of qmgr, of which there is one at a time, and
 * off those of lookup whether a table changed: there may be two while a reload is under way. */
static bool send_pages_of_receiver(struct child *child)
{
    return send_page(child, ROLE_QMGR, 0, false) && send_page(child, ROLE_LOOKUP, 0, false) &&
           send_page(child, ROLE_LOOKUP, 1, false);
}

/* Its own page first: everything else that a child does may want to count. */
static bool send_pages(struct child *child)
{
    if (!send_page(child, child->role, child->index, true))
        return false;
    if (child_is_front(child) && !send_siblings(child))
        return false;
    return !role_info(child->role)->receives || send_pages_of_receiver(child);
}

/* auth signs the tickets of logins and mailbox believes them. Who stands in the network never
 * sees the key, so a broken pop3d can not write itself a ticket. */
static bool send_key(struct child *child)
{
    const struct control_key key = {.key = span_of(child->master->key, MASTER_KEY)};

    if (child->role != ROLE_AUTH && child->role != ROLE_MAILBOX)
        return true;
    return channel_send(child->channel, &ipc_control_key, &key, NULL);
}

/* All who serve TLS have one ratchet, so that a client's ticket is good at whichever worker it
 * meets next, after a reload too. */
static bool send_tickets(struct child *child)
{
    const struct tls_ratchet *ratchet = &child->master->tickets.ratchet;
    const struct control_tickets tickets = {
        .period = ratchet->period, .secret = span_of(ratchet->secret, sizeof(ratchet->secret))};

    return !child_is_front(child) ||
           channel_send(child->channel, &ipc_control_tickets, &tickets, NULL);
}

/* A client that is too fast is so at every worker of every service. */
static bool send_rates(struct child *child)
{
    const struct control_rates message = {0};

    if (!child_is_front(child))
        return true;
    int fd = master_rates_fd(&child->master->rates);
    return fd >= 0 && channel_send(child->channel, &ipc_control_rates, &message, &fd);
}

/* Sockets of its own service only. The same socket goes to all workers: the kernel deals out
 * what connects, and a worker that dies takes no queue of connections with it. */
static bool send_listeners(struct child *child)
{
    const struct listeners *listeners = &child->master->listeners;

    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->items[i];
        const struct control_listener message = {.service = (uint8_t)listener->service,
                                                 .tls = (uint8_t)listener->tls,
                                                 .proxy = listener->proxy,
                                                 .name = span_cstr(listener->name)};
        if (listeners_belong(child->role, listener->service) &&
            !channel_send(child->channel, &ipc_control_listener, &message, &listener->fd))
            return false;
    }
    return true;
}

/* The configuration comes first, since the rest is read in its light; the start comes last and
 * means that nothing follows which the child has to wait for. */
bool introduce_child(struct child *child)
{
    const struct configuration *configuration = &child->master->configuration;
    const struct control_config config = {.name = span_cstr(child->master->file)};
    const struct control_start start = {.index = (uint16_t)child->index,
                                        .generation = child->generation};

    return channel_send(child->channel, &ipc_control_config, &config, &configuration->text) &&
           send_pages(child) && send_key(child) && send_tickets(child) && send_rates(child) &&
           send_listeners(child) && links_connect(child) &&
           channel_send(child->channel, &ipc_control_start, &start, NULL);
}

void introduce_to_siblings(struct child *child)
{
    struct child *other;

    /* A sibling that can not be told counts a little too low until it ends; that is no reason
     * to kill it. */
    TAILQ_FOREACH (other, &child->master->children, entry)
        if (other != child && other->role == child->role && child_is_front(other) &&
            other->channel != NULL && !send_page(other, child->role, child->index, false))
            log_event(LOG_WARN, "page-not-sent", LOG_INT("pid", other->pid));
}
