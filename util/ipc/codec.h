/*
 * codec - messages between processes: one table of fields drives encoding, decoding, tracing and
 * fuzzing.
 *
 * A packet holds one or more frames {type u16, length u32, fields}. A message is a plain struct;
 * its table says where each field lies and how much it may hold. Spans of a decoded message point
 * into the packet. A bad packet is an error that closes that socket, never more.
 */
#ifndef VEREDUS_IPC_CODEC_H
#define VEREDUS_IPC_CODEC_H

#include "util/base/buf.h"

enum ipc_kind { IPC_U8, IPC_U16, IPC_U32, IPC_U64, IPC_SPAN, IPC_SALT /* 16 octets */ };

struct ipc_field {
    const char *name;
    enum ipc_kind kind;
    uint16_t offset; /* in the struct */
    uint32_t most;   /* largest number, or octets of a span */
    bool secret;     /* not shown by ipc_trace */
};

struct ipc_type {
    const char *name; /* "job" */
    uint16_t id;
    uint16_t size; /* of the struct */
    uint8_t fds;   /* descriptors that must come with it */
    const struct ipc_field *fields;
    size_t field_count;
};

/* True when a field of it is secret: its frames must not stay in memory. */
bool ipc_is_secret(const struct ipc_type *type);

/* Appends one frame to `out` (a limit there is respected). False when a value exceeds its `most`.
 */
bool ipc_encode(const struct ipc_type *type, const void *message, struct buf *out)
    __attribute__((warn_unused_result));

struct ipc_cursor {
    struct span rest;
    bool bad;
};

/* The next frame's type (from the list of all types, messages.h) and its fields' octets; NULL at
 * the end of the packet or, with cursor->bad, at a malformed frame. */
const struct ipc_type *ipc_next(struct ipc_cursor *cursor, struct span *body);

/* Decodes the fields into `message` (type->size octets). False: too short, too long, over a limit.
 */
bool ipc_decode(const struct ipc_type *type, struct span body, void *message)
    __attribute__((warn_unused_result));

/* Appends "name field=value ..." for the debug log; secrets as "-". */
void ipc_trace(const struct ipc_type *type, const void *message, struct buf *out);

#endif
