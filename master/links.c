/*
 * Why a draining process is still linked: the sessions of a worker that drains go on for minutes,
 * and each needs lookup, auth or qmgr to its end, the newest ones when the old are gone. The other
 * way round it would be wrong: a new worker must not put its questions to a process that is
 * leaving. So a draining process is linked with those that it asks, and never with those that would
 * ask it.
 */
#include "master/links.h"

#include <unistd.h>

#include "master/master.h"

/* Octets; a burst of questions must fit while the other end is busy. */
enum { LINK_BUFFER = 1 << 19 };

/* How far a role stands from the network; it asks the ones behind it. */
static int depth_of(enum role role)
{
    switch (role) {
    case ROLE_SMTPD:
    case ROLE_SUBMISSION:
    case ROLE_POP3D:
        return 0;
    case ROLE_QMGR:
    case ROLE_MAILBOX:
    case ROLE_DELIVER:
        return 1;
    case ROLE_LOOKUP:
    case ROLE_AUTH:
        return 2;
    case ROLE_MASTER:
    case ROLE_COUNT:
        break;
    }
    return -1;
}

/* True when `other` is on its way out, or will be as soon as `fresh` and its generation serve. qmgr
 * is not: it serves all generations until its one successor takes over. */
static bool is_leaving(const struct child *other, const struct child *fresh)
{
    return other->state == CHILD_DRAINING ||
           (other->generation < fresh->generation && other->role != ROLE_QMGR);
}

/* Whether two roles talk at all is the table of roles' to say; here it is about these two. */
static bool belong_together(const struct child *fresh, const struct child *other)
{
    if (other == fresh || other->channel == NULL ||
        (role_info(fresh->role)->peers & 1U << other->role) == 0)
        return false;
    /* One that leaves is told whom it may ask; nobody is told of one that leaves to ask it. */
    return !is_leaving(other, fresh) || depth_of(other->role) < depth_of(fresh->role);
}

/* The channel takes its own copy of the descriptor; the pair stays the caller's to close. */
static bool hand_over(struct child *to, const struct child *peer, int fd)
{
    const struct control_peer message = {.role = (uint8_t)peer->role,
                                         .index = (uint16_t)peer->index};
    return channel_send(to->channel, &ipc_control_peer, &message, &fd);
}

/* False when the new one could not be told. One that lives and can not be told lost nothing yet:
 * its own end of the pair is closed, which the new one sees. */
static bool link_two(struct child *fresh, struct child *other)
{
    int pair[2];

    if (!seqpacket_pair(pair, LINK_BUFFER))
        return false;
    /* The new one first: if it can not be told it is killed, and the other never hears of it. */
    bool told = hand_over(fresh, other, pair[0]);
    if (told && !hand_over(other, fresh, pair[1]))
        log_event(LOG_WARN, "peer-not-sent", LOG_INT("pid", other->pid));
    /* Master keeps neither end, else no peer would ever see the other hang up. */
    (void)close(pair[0]);
    (void)close(pair[1]);
    return told;
}

bool links_connect(struct child *child)
{
    struct child *other;

    TAILQ_FOREACH (other, &child->master->children, entry)
        if (belong_together(child, other) && !link_two(child, other))
            return false;
    return true;
}

/* The peer died, or is about to: then its successor is linked at its birth. */
void links_renew(struct child *child, enum role role, unsigned index)
{
    struct child *other;

    TAILQ_FOREACH (other, &child->master->children, entry)
        if (other->role == role && other->index == index && belong_together(child, other) &&
            !link_two(child, other))
            log_event(LOG_WARN, "peer-not-sent", LOG_INT("pid", child->pid));
}
