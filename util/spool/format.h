/*
 * format - the octets on disk: segment block, record header, state entry, queue id.
 *
 * Everything is little-endian and encoded by hand: no struct is written as it lies in memory. The
 * table of on-disk states is in README.md beside this file.
 */
#ifndef VEREDUS_SPOOL_FORMAT_H
#define VEREDUS_SPOOL_FORMAT_H

#include "util/base/arena.h"

enum {
    SPOOL_BLOCK = 4096,        /* a segment begins with a block of its own; so does every batch */
    SPOOL_ALIGN = 64,          /* a record begins on a multiple of this */
    SPOOL_RECORD_HEADER = 128, /* octets */
    SPOOL_STATE_HEADER = 4096, /* the head of a state file */
    SPOOL_STATE_ENTRY = 16,
    SPOOL_STATE_MARK = 64,
    SPOOL_SALT = 16,
    SPOOL_ENVELOPE_MAX = 4 << 20,
    SPOOL_ID_MAX = 16 /* a queue id as text, with a NUL */
};

#define SPOOL_SEGMENT_MAX ((uint64_t)64 << 20)

enum spool_kind { SPOOL_SHARED = 1, SPOOL_PRIVATE = 2 }; /* private: one large message, any size */

struct spool_salt {
    uint8_t octets[SPOOL_SALT];
};

/* The first block of a segment; the head of its state file has the same facts. */
struct spool_block {
    uint64_t number;
    struct spool_salt salt;
    enum spool_kind kind;
};

/* Writes the whole block, zeros behind the facts. */
void spool_block_encode(const struct spool_block *block, uint8_t out[SPOOL_BLOCK]);

/* False when magic, version, checksum or a value is wrong; *block is undefined then. */
bool spool_block_decode(const uint8_t in[SPOOL_BLOCK], struct spool_block *block)
    __attribute__((warn_unused_result));

/* What a letter is; on disks: never change one. 8BIT and BINARY are what BODY= declared (RFC 6152,
 * RFC 3030 §3): only a binary one may hold a CR or LF that is no line end. Of a letter to HOLD no
 * recipient is delivered to before an operator has looked at it. UTF8 is SMTPUTF8 (RFC 6531),
 * REQUIRETLS that of RFC 8689: both bind whoever sends the letter on. */
enum {
    RECORD_FLAG_8BIT = 1,
    RECORD_FLAG_BOUNCE = 2,
    RECORD_FLAG_BINARY = 4,
    RECORD_FLAG_HOLD = 8,
    RECORD_FLAG_UTF8 = 16,
    RECORD_FLAG_REQUIRETLS = 32
};

/* The head of a state file: the facts of the block under a magic of its own, written once. */
void spool_state_head_encode(const struct spool_block *block, uint8_t out[SPOOL_BLOCK]);

/* As spool_block_decode; the marks in the same block are read with state_mark_decode. */
bool spool_state_head_decode(const uint8_t in[SPOOL_BLOCK], struct spool_block *block)
    __attribute__((warn_unused_result));

/* The part of that head which changes. It lies there twice, in sectors of their own that are
 * written in turn, so that a torn write leaves the one before. All of it tells of what an earlier
 * sync made durable, save sealed_end, which needs nothing else. */
struct state_mark {
    uint64_t sequence;    /* of the marks of this file; the place follows from it */
    uint64_t indexed_end; /* every record before it has its entries on the disk, or was set aside */
    uint64_t sealed_end;  /* no letter lies behind it, whatever the octets look like; 0: open */
    uint32_t entries;     /* so many slots are filled on the disk */
};

/* Where in the state file the mark of that sequence lies, in octets from its start. */
unsigned state_mark_place(uint64_t sequence);

/* Writes a mark; its checksum begins with `salt`. */
void state_mark_encode(const struct state_mark *mark, const struct spool_salt *salt,
                       uint8_t out[SPOOL_STATE_MARK]);

/* False when the checksum under `salt` or a value is wrong: that mark was torn, or never
 * written. */
bool state_mark_decode(const uint8_t in[SPOOL_STATE_MARK], const struct spool_salt *salt,
                       struct state_mark *mark) __attribute__((warn_unused_result));

/* The header of a record: lengths, places, checksums. crc_head covers this header (with crc_head
 * zero) and the envelope; crc_body the message. A third checksum, which only encode and decode see,
 * covers the header alone: with it the length of a record whose envelope is damaged can be trusted.
 */
struct record_header {
    uint64_t number; /* of the segment */
    struct spool_salt salt;
    uint64_t offset;      /* of this record */
    uint64_t batch_start; /* offset of the first record of the batch it was written in */
    uint64_t body_len;
    uint64_t arrival_us;
    uint32_t envelope_len;
    uint32_t recipients;
    uint32_t crc_body;
    uint16_t flags;
};

/* Encodes header and checksum over it and `envelope`. */
void record_header_encode(const struct record_header *header, struct span envelope,
                          uint8_t out[SPOOL_RECORD_HEADER]);

/* False when magic, version, a length, a place or the header's own checksum is impossible; crc_head
 * is checked with record_header_check, once the envelope is at hand. */
bool record_header_decode(const uint8_t in[SPOOL_RECORD_HEADER], struct record_header *header)
    __attribute__((warn_unused_result));

/* True when crc_head fits the header and `envelope`. */
bool record_header_check(const uint8_t in[SPOOL_RECORD_HEADER], struct span envelope)
    __attribute__((warn_unused_result));

/* True when the header bears number and salt of that segment: the cheap question before decoding.
 */
bool record_header_is_of(const uint8_t in[SPOOL_RECORD_HEADER], uint64_t number,
                         const struct spool_salt *salt);

/* Octets from the start of one record to the start of the next one of its batch. */
uint64_t record_size(const struct record_header *header);

/* `offset`, or the next multiple of `unit` (a power of two) behind it. */
uint64_t spool_align(uint64_t offset, uint64_t unit);

enum letter_state {
    LETTER_NONE = 0, /* an entry never written */
    LETTER_WAITING = 1,
    LETTER_DEFERRED = 2, /* until `time` */
    LETTER_DELIVERED = 3,
    LETTER_BOUNCED = 4,
    LETTER_HELD = 5
};

/* What became of one recipient of one record. */
struct state_entry {
    uint32_t place;     /* record offset / SPOOL_ALIGN */
    uint16_t recipient; /* index in the envelope */
    uint8_t state;      /* enum letter_state */
    uint8_t tries;
    uint32_t time; /* seconds since 1970 */
};

/* Writes an entry; its checksum begins with `salt`. */
void state_entry_encode(const struct state_entry *entry, const struct spool_salt *salt,
                        uint8_t out[SPOOL_STATE_ENTRY]);
enum state_entry_result { STATE_ENTRY_OK, STATE_ENTRY_EMPTY, STATE_ENTRY_BAD };

/* STATE_ENTRY_EMPTY: all zeros, never written. STATE_ENTRY_BAD: a wrong checksum or an unknown
 * state. */
enum state_entry_result state_entry_decode(const uint8_t in[SPOOL_STATE_ENTRY],
                                           const struct spool_salt *salt, struct state_entry *entry)
    __attribute__((warn_unused_result));

/* True when nothing more is to be done for a recipient in this state. */
bool letter_is_done(enum letter_state state);

/* True for a number that a segment may have: a queue id has 44 bits for it, and none is 0. */
bool spool_number_is_possible(uint64_t number);

/* A queue id is a place: segment number and record offset, in one number, in base 32. */
uint64_t spool_id(uint64_t number, uint64_t offset);

/* The segment's number in it. */
uint64_t spool_id_number(uint64_t id);

/* The record's offset in octets. */
uint64_t spool_id_offset(uint64_t id);

/* As text, NUL-terminated; returns its span in `out`. */
struct span spool_id_text(uint64_t id, char out[SPOOL_ID_MAX]);

/* Reads it back, lower case too. False for what can be no place of a record. */
bool spool_id_parse(struct span text, uint64_t *id) __attribute__((warn_unused_result));

#endif
