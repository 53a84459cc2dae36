/*
 * Why the frames are walked twice: a packet is taken or refused as a whole as far as its outline
 * goes. If descriptors were handed out while frames are still being counted, one missing would give
 * every later message its neighbour's file.
 */
#include "util/ipc/packet.h"

#include <stdalign.h>
#include <stddef.h>

#include "util/base/panic.h"

/* True when the frames fill the packet and ask for exactly `descriptors`. */
static bool outline_holds(struct span packet, size_t descriptors)
{
    struct ipc_cursor cursor = {.rest = packet};
    const struct ipc_type *type;
    struct span body;
    size_t asked = 0;

    while ((type = ipc_next(&cursor, &body)) != NULL)
        asked += type->fds;
    return !cursor.bad && asked == descriptors && packet.len > 0;
}

/* Moves the next `count` descriptors, which outline_holds() has counted. */
static void move_descriptors(struct fd_list *from, size_t count, struct fd_list *to)
{
    to->count = 0;
    for (size_t i = 0; i < count; i++)
        to->fds[i] = fd_list_take(from);
    to->count = count;
}

/* Fields are decoded one frame after the other: what was handed over before a bad one stays
 * handed over, and the socket is closed. */
bool packet_deliver(struct span packet, struct fd_list *fds, packet_message *message, void *arg)
{
    struct ipc_cursor cursor = {.rest = packet};
    const struct ipc_type *type;
    struct span body;
    bool good = outline_holds(packet, fds->count);
    bool more = good;

    while (more && (type = ipc_next(&cursor, &body)) != NULL) {
        alignas(max_align_t) unsigned char decoded[PACKET_STRUCT_MAX];
        struct fd_list own;

        require(type->size <= sizeof(decoded));
        good = ipc_decode(type, body, decoded);
        if (!good)
            break;
        move_descriptors(fds, type->fds, &own);
        more = message(arg, type, decoded, &own);
        /* What the callee did not take is nobody's. */
        fd_list_close(&own);
    }
    fd_list_close(fds);
    return good;
}
