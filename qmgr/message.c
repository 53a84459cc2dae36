/*
 * Ten thousand messages a second pass through here, so a message is one piece of memory: the
 * struct, its recipients, then all texts. The size is known before, because the record was decoded.
 */
#include "qmgr/message.h"

#include "util/base/panic.h"

/* Octets of all texts that message_new copies. */
static size_t texts_size(const struct envelope *envelope)
{
    size_t size = envelope->sender.len + envelope->protocol.len + envelope->envid.len;
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        const struct envelope_recipient *from = &envelope->recipients[i];
        size += from->address.len + from->transport.len + from->nexthop.len + from->orcpt.len;
    }
    return size;
}

/* Copies `text` to `*at` and moves `*at` behind it. */
static struct span put(char **at, struct span text)
{
    struct span copy = span_of(*at, text.len);
    if (text.len > 0)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return copy;
}

/* Counted first, so that one allocation holds it all. */
struct message *message_new(const struct record *record)
{
    const struct envelope *envelope = &record->envelope;
    size_t count = envelope->recipient_count;
    require(count <= ENVELOPE_RECIPIENTS_MAX);
    size_t head = sizeof(struct message) + count * sizeof(struct message_recipient);
    struct message *message = mem_new(head + texts_size(envelope));
    /* Texts need no alignment: they go behind the array. */
    char *at = (char *)message + head;

    message->number = record->header.number;
    message->offset = record->header.offset;
    message->arrival_us = record->header.arrival_us;
    message->flags = record->header.flags;
    message->sender = put(&at, envelope->sender);
    message->protocol = put(&at, envelope->protocol);
    message->envid = put(&at, envelope->envid);
    message->ret = envelope->ret;
    message->recipient_count = (uint16_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct envelope_recipient *from = &envelope->recipients[i];
        struct message_recipient *to = &message->recipients[i];
        to->address = put(&at, from->address);
        to->transport = put(&at, from->transport);
        to->nexthop = put(&at, from->nexthop);
        to->orcpt = put(&at, from->orcpt);
        to->notify = from->notify;
        to->slot = MESSAGE_NO_SLOT;
    }
    return message;
}

/* The texts that came later are in an arena of their own. */
void message_free(struct message *message)
{
    if (message == NULL)
        return;
    arena_free(&message->later);
    mem_free(message);
}

/* The last user is usually the queue entry that was settled last. */
void message_release(struct message *message)
{
    require(message->users > 0);
    if (--message->users == 0)
        message_free(message);
}

/* A route that is as before costs nothing. */
void message_route(struct message *message, uint16_t index, struct span transport,
                   struct span nexthop)
{
    struct message_recipient *recipient = &message->recipients[index];
    if (!span_equal(recipient->transport, transport))
        recipient->transport = arena_copy(&message->later, transport);
    if (!span_equal(recipient->nexthop, nexthop))
        recipient->nexthop = arena_copy(&message->later, nexthop);
}

/* The flag is for bounces of ours; the empty sender for everybody's (RFC 5321 §4.5.5). */
bool message_is_notification(const struct message *message)
{
    return message->sender.len == 0 || (message->flags & RECORD_FLAG_BOUNCE) != 0;
}
