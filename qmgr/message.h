/*
 * message - what qmgr remembers of a record while one of its recipients is ready or active.
 *
 * Made by the helper thread from a record, handed to the loop and owned there: one allocation a
 * message, freed with its last user. A recipient that waits for a retry has none (queue.h): the
 * record is read again when it is due.
 */
#ifndef VEREDUS_QMGR_MESSAGE_H
#define VEREDUS_QMGR_MESSAGE_H

#include "util/spool/record.h"

enum { MESSAGE_NO_SLOT = UINT32_MAX };

/* The protocols by which qmgr itself writes letters; no client can bring such an envelope in. */
#define MESSAGE_BOUNCE        SPAN("BOUNCE")
#define MESSAGE_DOUBLE_BOUNCE SPAN("DOUBLE-BOUNCE")

struct message_recipient {
    struct span address;   /* final */
    struct span transport; /* as accepted, or as lookup says now */
    struct span nexthop;
    struct span orcpt; /* RFC 3461 §4.2; may be empty */
    uint8_t notify;    /* ENVELOPE_NOTIFY_... */
    uint32_t slot;     /* in the state file; MESSAGE_NO_SLOT: nothing is to be done for it */
};

struct message {
    struct message *next; /* in the list that a task brings */
    uint64_t number;      /* of the segment */
    uint64_t offset;
    uint64_t arrival_us;
    struct span sender;
    struct span protocol;
    struct span envid;  /* RFC 3461 §4.4; may be empty */
    uint8_t ret;        /* ENVELOPE_RET_... */
    struct arena later; /* texts that came after the record was read */
    uint32_t users;     /* queue entries that point here */
    uint16_t flags;     /* RECORD_FLAG_... */
    uint16_t recipient_count;
    struct message_recipient recipients[];
};

/* Copies what is needed out of `record`; every slot is MESSAGE_NO_SLOT. */
struct message *message_new(const struct record *record);

/* Frees it at once; NULL is fine. */
void message_free(struct message *message);

/* One user less; the last one frees it. */
void message_release(struct message *message);

/* Notes where recipient `index` goes now; copies what differs from before. */
void message_route(struct message *message, uint16_t index, struct span transport,
                   struct span nexthop);

/* True for a bounce or a message with the null reverse-path (RFC 5321 §4.5.5): it lives shorter and
 * its failure is never told to its sender. */
bool message_is_notification(const struct message *message);

#endif
