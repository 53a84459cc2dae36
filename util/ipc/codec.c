/*
 * Why a table and one interpreter, not a function for each message: thirty pairs of hand-written
 * encoders and decoders would be thirty places to forget a check. Here the bounds are data, one
 * loop obeys them, and the same table serves the tests, the fuzzer and the trace.
 *
 * On the wire: numbers little-endian in their own width, a span as its length (u32) and its octets.
 * Both ends run on one machine but need not be of one build while a reload drains the old
 * generation, so nothing is sent as it lies in memory.
 */
#include "util/ipc/codec.h"

#include <stdio.h>

#include "util/base/octets.h"
#include "util/base/panic.h"
#include "util/ipc/messages.h"

enum { FRAME_HEADER = 6, SPAN_HEADER = 4, TRACE_OCTETS = 64 };

/* The octets of a kind's number; 0 for those that are none. */
static size_t number_width(enum ipc_kind kind)
{
    switch (kind) {
    case IPC_U8:
        return 1;
    case IPC_U16:
        return 2;
    case IPC_U32:
        return 4;
    case IPC_U64:
        return 8;
    case IPC_SPAN:
    case IPC_SALT:
        break;
    }
    return 0;
}

/* ---- the struct in memory ---- */

/* By memcpy(3): the field's width is data, not a type the compiler knows. */
static uint64_t load_number(const struct ipc_field *field, const void *message)
{
    const char *at = (const char *)message + field->offset;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (number_width(field->kind)) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case 4:
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

/* The number was checked against the field's bound before, so nothing is cut off. */
static void store_number(const struct ipc_field *field, uint64_t number, void *message)
{
    char *at = (char *)message + field->offset;
    uint8_t u8 = (uint8_t)number;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;

    switch (number_width(field->kind)) {
    case 1:
        memcpy(at, &u8, sizeof(u8));
        break;
    case 2:
        memcpy(at, &u16, sizeof(u16));
        break;
    case 4:
        memcpy(at, &u32, sizeof(u32));
        break;
    default:
        memcpy(at, &number, sizeof(number));
        break;
    }
}

/* A span as the sender's struct has it, or as the decoder left it. */
static struct span load_span(const struct ipc_field *field, const void *message)
{
    struct span s;
    memcpy(&s, (const char *)message + field->offset, sizeof(s));
    return s;
}

/* A u64 names or counts something and has no bound of its own. */
static bool within_bounds(const struct ipc_field *field, uint64_t number)
{
    return field->kind == IPC_U64 || number <= field->most;
}

/* ---- encoding ---- */

/* Octets of the field on the wire; 0 when its value exceeds the bound. */
static size_t encoded_size(const struct ipc_field *field, const void *message)
{
    if (field->kind == IPC_SALT)
        return SPOOL_SALT;
    if (field->kind == IPC_SPAN) {
        struct span s = load_span(field, message);
        return s.len <= field->most ? SPAN_HEADER + s.len : 0;
    }
    return within_bounds(field, load_number(field, message)) ? number_width(field->kind) : 0;
}

/* Lowest octet first, whatever the machine. */
static char *put_number(char *out, uint64_t number, size_t width)
{
    octets_put(out, number, (unsigned)width);
    return out + width;
}

/* An empty span may have no address at all. */
static char *put_octets(char *out, const void *octets, size_t size)
{
    if (size > 0)
        memcpy(out, octets, size);
    return out + size;
}

/* Octet for octet what take_field reads. */
static char *put_field(char *out, const struct ipc_field *field, const void *message)
{
    if (field->kind == IPC_SALT)
        return put_octets(out, (const char *)message + field->offset, SPOOL_SALT);
    if (field->kind == IPC_SPAN) {
        struct span s = load_span(field, message);
        return put_octets(put_number(out, s.len, SPAN_HEADER), s.data, s.len);
    }
    return put_number(out, load_number(field, message), number_width(field->kind));
}

bool ipc_is_secret(const struct ipc_type *type)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (type->fields[i].secret)
            return true;
    return false;
}

/* Measured and checked first, then written in one piece: a frame is in the buffer whole or not
 * at all. */
bool ipc_encode(const struct ipc_type *type, const void *message, struct buf *out)
{
    size_t body = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        size_t size = encoded_size(&type->fields[i], message);
        if (size == 0)
            return false;
        body += size;
    }

    char *room = buf_room(out, FRAME_HEADER + body);
    if (room == NULL)
        return false;
    char *at = put_number(put_number(room, type->id, 2), body, 4);
    for (size_t i = 0; i < type->field_count; i++)
        at = put_field(at, &type->fields[i], message);
    require((size_t)(at - room) == FRAME_HEADER + body);
    buf_filled(out, FRAME_HEADER + body);
    return true;
}

/* ---- decoding ---- */

/* The reading side: once something is missing, everything after it is zero and `bad` stays. */
static struct span take_octets(struct ipc_cursor *cursor, size_t size)
{
    if (cursor->bad || cursor->rest.len < size) {
        cursor->bad = true;
        return (struct span){0};
    }
    struct span taken = {cursor->rest.data, size};
    cursor->rest = span_of(cursor->rest.data + size, cursor->rest.len - size);
    return taken;
}

/* Of missing octets comes 0, and the cursor is bad. */
static uint64_t take_number(struct ipc_cursor *cursor, size_t width)
{
    struct span octets = take_octets(cursor, width);
    return octets_get(octets.data, (unsigned)octets.len);
}

/* An unknown type is malformed as well: both ends know the same list. */
const struct ipc_type *ipc_next(struct ipc_cursor *cursor, struct span *body)
{
    if (cursor->bad || cursor->rest.len == 0)
        return NULL;
    uint16_t id = (uint16_t)take_number(cursor, 2);
    size_t size = (size_t)take_number(cursor, 4);
    *body = take_octets(cursor, size);
    const struct ipc_type *type = cursor->bad ? NULL : ipc_type_of(id);
    if (type == NULL)
        cursor->bad = true;
    return type;
}

/* Numbers are bounded before they are stored; a span keeps pointing into the packet. */
static void take_field(struct ipc_cursor *cursor, const struct ipc_field *field, void *message)
{
    char *at = (char *)message + field->offset;

    if (field->kind == IPC_SALT) {
        struct span octets = take_octets(cursor, SPOOL_SALT);
        if (!cursor->bad)
            memcpy(at, octets.data, octets.len);
        return;
    }
    if (field->kind == IPC_SPAN) {
        size_t size = (size_t)take_number(cursor, SPAN_HEADER);
        cursor->bad = cursor->bad || size > field->most;
        struct span octets = take_octets(cursor, size);
        memcpy(at, &octets, sizeof(octets));
        return;
    }
    uint64_t number = take_number(cursor, number_width(field->kind));
    cursor->bad = cursor->bad || !within_bounds(field, number);
    store_number(field, number, message);
}

/* Zeroed first, so no field of the struct depends on the sender. */
bool ipc_decode(const struct ipc_type *type, struct span body, void *message)
{
    struct ipc_cursor cursor = {.rest = body};

    memset(message, 0, type->size);
    for (size_t i = 0; i < type->field_count && !cursor.bad; i++)
        take_field(&cursor, &type->fields[i], message);
    /* Octets left over would be a field that only one side knows. */
    return !cursor.bad && cursor.rest.len == 0;
}

/* ---- the trace ---- */

/* Foreign octets, so that no value can look like another field. */
static void trace_octets(struct span s, struct buf *out)
{
    struct span shown = span_first(s, TRACE_OCTETS);

    for (size_t i = 0; i < shown.len; i++) {
        unsigned char octet = (unsigned char)shown.data[i];
        char escape[SPAN_ESCAPE];
        bool plain = octet > ' ' && octet < 0x7f && octet != '\\';
        span_escape(shown.data[i], escape);
        buf_add(out, plain ? span_of(shown.data + i, 1) : span_of(escape, SPAN_ESCAPE));
    }
    if (shown.len < s.len)
        buf_add(out, SPAN("..."));
}

/* A salt is always secret: whoever knows it can forge records (util/spool). */
static void trace_value(const struct ipc_field *field, const void *message, struct buf *out)
{
    char text[24];

    if (field->secret || field->kind == IPC_SALT) {
        buf_add(out, SPAN("-"));
        return;
    }
    if (field->kind == IPC_SPAN) {
        trace_octets(load_span(field, message), out);
        return;
    }
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)load_number(field, message));
    buf_add(out, span_cstr(text));
}

/* The order of the table, which is that of the wire. */
void ipc_trace(const struct ipc_type *type, const void *message, struct buf *out)
{
    buf_add(out, span_cstr(type->name));
    for (size_t i = 0; i < type->field_count; i++) {
        buf_add(out, SPAN(" "));
        buf_add(out, span_cstr(type->fields[i].name));
        buf_add(out, SPAN("="));
        trace_value(&type->fields[i], message, out);
    }
}
