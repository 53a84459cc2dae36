/*
 * packet - the frames of one packet, each with the descriptors that belong to it.
 *
 * For channel.c, and for the processes that block and read their socket themselves.
 */
#ifndef VEREDUS_IPC_PACKET_H
#define VEREDUS_IPC_PACKET_H

#include "util/ipc/codec.h"
#include "util/sys/seqpacket.h"

enum { PACKET_STRUCT_MAX = 256 }; /* octets of the largest decoded struct */

/* One decoded message; spans point into the packet. What it leaves in `fds` is closed. False stops:
 * the rest of the packet is dropped. */
typedef bool packet_message(void *arg, const struct ipc_type *type, const void *message,
                            struct fd_list *fds);

/* Hands the packet's messages to `message`, in order. A packet whose frames do not add up, or that
 * came with more or fewer descriptors than its types ask for, is refused before anything of it is
 * handed over. Always empties `fds`. False: malformed, the socket is to be closed. */
bool packet_deliver(struct span packet, struct fd_list *fds, packet_message *message, void *arg)
    __attribute__((warn_unused_result));

#endif
