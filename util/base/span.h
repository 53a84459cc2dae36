/*
 * span - a pointer and a length that own nothing.
 *
 * A span is valid as long as the bytes that it points to; whoever keeps one longer copies it
 * (arena_copy). It may hold any octets, NUL included, and is not terminated. Sizes are in octets.
 */
#ifndef VEREDUS_BASE_SPAN_H
#define VEREDUS_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t len;
};

/* The span of a string literal; usable in initialisers with SPAN_INIT. */
#define SPAN_INIT(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define SPAN(literal) ((struct span)SPAN_INIT(literal))

/* For printf("%.*s"). */
#define SPAN_ARG(s) (int)(s).len, (s).data

/* The span of `len` octets at `data`, which stays its owner's. */
static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){data, len};
}

/* The span of a C string; NULL gives the empty span. */
struct span span_cstr(const char *text);

/* True when both hold the same octets. */
bool span_equal(struct span a, struct span b);

/* The same, ASCII letters compared without case. */
bool span_equal_nocase(struct span a, struct span b);

/* True when `s` begins (ends) with `part`. */
bool span_has_prefix(struct span s, struct span part);
bool span_has_prefix_nocase(struct span s, struct span part);
bool span_has_suffix(struct span s, struct span part);

/* What remains of `s` after its first `count` octets; empty when there are fewer. */
struct span span_skip(struct span s, size_t count);

/* The first `count` octets of `s`, or all of it. */
struct span span_first(struct span s, size_t count);

/* Offset of the first (last) `octet`, or s.len when it holds none. */
size_t span_find(struct span s, char octet);
size_t span_find_last(struct span s, char octet);

/* Without blanks (SP and HTAB) at both ends. */
struct span span_trim(struct span s);

/*
 * Cuts the first word off `*rest`: the octets before the first `separator`, which is dropped.
 * Returns false when `*rest` is empty.
 */
bool span_next(struct span *rest, char separator, struct span *word);

/* Reads a decimal number of 1 to 20 digits. False for anything else and for what exceeds `max`. */
bool span_to_u64(struct span s, uint64_t max, uint64_t *number) __attribute__((warn_unused_result));

/* Octets of one that was escaped. */
enum { SPAN_ESCAPE = 4 };

/* Shows any octet in printable ASCII, \xNN, without a NUL. Which octets need it is for those to say
 * who know where the text goes. */
void span_escape(char octet, char out[SPAN_ESCAPE]);

/* Copies `s` and a NUL into `out`. False, with out empty, when it does not fit or holds a NUL. */
bool span_to_cstr(struct span s, char *out, size_t size) __attribute__((warn_unused_result));

#endif
