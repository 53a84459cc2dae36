/*
 * The octets held lie in one piece, always, so that a parser sees a whole line as one span. The
 * price is a move now and then; it is paid only when at least as much was consumed as is moved, or
 * when the limit forbids to grow, so each octet costs a constant on average.
 *
 * One octet more than asked for is always there, so that room for nothing is an address, too.
 */
#include "util/base/buf.h"

#include "util/base/arena.h"
#include "util/base/panic.h"

#include <sysexits.h>

enum { CAP_FIRST = 256 };

/* explicit_bzero(3), because a compiler may drop a memset(3) of what is not read any more. */
static void wipe(const struct buf *buf, size_t from, size_t to)
{
    if (buf->secret && from < to)
        explicit_bzero(buf->data + from, to - from);
}

/* The one copy that consuming costs; see above for when it is paid. */
static void move_to_front(struct buf *buf)
{
    size_t held = buf_len(buf);
    if (held > 0 && buf->start > 0)
        memmove(buf->data, buf->data + buf->start, held);
    wipe(buf, held, buf->end);
    buf->start = 0;
    buf->end = held;
}

/* The capacity for `needed` octets: doubling, but never past the limit (and its one more). */
static size_t cap_for(const struct buf *buf, size_t needed)
{
    size_t cap = buf->cap > 0 ? buf->cap * 2 : CAP_FIRST;
    if (buf->limit > 0 && cap > buf->limit + 1)
        cap = buf->limit + 1;
    return cap < needed ? needed : cap;
}

/* realloc(3) would leave the old memory as it is, so secrets are copied by hand. */
static void grow(struct buf *buf, size_t cap)
{
    if (buf->secret) {
        char *data = mem_array(cap, 1);
        if (buf->end > 0)
            memcpy(data, buf->data, buf->end);
        wipe(buf, 0, buf->end);
        mem_free(buf->data);
        buf->data = data;
    } else {
        buf->data = mem_resize(buf->data, cap, 1);
    }
    buf->cap = cap;
}

/* Room for `size` octets behind what is held, and one more. Both comparisons subtract
 * instead of adding, so that a size near SIZE_MAX can not pass the limit by wrapping. */
static bool reserve(struct buf *buf, size_t size)
{
    size_t held = buf_len(buf);
    if (buf->limit > 0 && (held > buf->limit || size > buf->limit - held))
        return false;
    if (size > SIZE_MAX / 4 - held)
        fatal(EX_SOFTWARE, "a buffer of %zu octets makes no sense", size);

    size_t needed = held + size + 1;
    if (needed <= buf->cap - buf->start)
        return true;

    /* Moving pays when no more is moved than was consumed, or when the memory can not grow. */
    bool worth_moving = buf->start >= held || (buf->limit > 0 && buf->cap > buf->limit);
    move_to_front(buf);
    if (needed > buf->cap || !worth_moving)
        grow(buf, cap_for(buf, needed));
    return true;
}

bool buf_append(struct buf *buf, struct span s)
{
    if (!reserve(buf, s.len))
        return false;
    if (s.len > 0)
        memcpy(buf->data + buf->end, s.data, s.len);
    buf->end += s.len;
    return true;
}

void buf_add(struct buf *buf, struct span s)
{
    bool added = buf_append(buf, s);
    require(added);
}

char *buf_room(struct buf *buf, size_t size)
{
    return reserve(buf, size) ? buf->data + buf->end : NULL;
}

/* More than was asked for with buf_room would lie about octets that nobody wrote. */
void buf_filled(struct buf *buf, size_t count)
{
    require(count <= buf->cap - buf->end);
    buf->end += count;
}

/* An emptied buffer begins at its front again, so a client that speaks line by line never costs
 * a move. */
void buf_consume(struct buf *buf, size_t count)
{
    size_t held = buf_len(buf);
    if (count < held) {
        wipe(buf, buf->start, buf->start + count);
        buf->start += count;
    } else {
        buf_reset(buf);
    }
}

void buf_cut(struct buf *buf, size_t count)
{
    size_t held = buf_len(buf), cut = count < held ? count : held;
    wipe(buf, buf->end - cut, buf->end);
    buf->end -= cut;
}

void buf_reset(struct buf *buf)
{
    wipe(buf, buf->start, buf->end);
    buf->start = buf->end = 0;
}

/* The limit stays: the buffer is empty and can be used again. */
void buf_free(struct buf *buf)
{
    wipe(buf, buf->start, buf->end);
    mem_free(buf->data);
    *buf = (struct buf){.limit = buf->limit, .secret = buf->secret};
}
