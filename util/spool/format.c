/*
 * Everything that must be atomic on the disk lies within one sector of 512 octets: the facts of a
 * segment, each of the two marks, each entry of a state file. A sector is old or new after a power
 * cut, never a mixture; larger things (a record, a batch) are guarded by checksums instead.
 *
 * The checksums of marks and entries begin with the salt: what a former life of the file or another
 * file left behind is not taken for one's own.
 */
#include "util/spool/format.h"

#include "util/base/base64.h"
#include "util/base/crc32c.h"
#include "util/base/octets.h"

/* A reader refuses any other version: guessing at old octets loses mail. */
enum { FORMAT_VERSION = 1, PLACE_BITS = 20, NUMBER_BITS = 44 };

/* ---- segment block and state head ---- */

enum {
    FACTS_VERSION = 8,
    FACTS_KIND = 12,
    FACTS_NUMBER = 16,
    FACTS_SALT = 24,
    FACTS_CRC = 508 /* the last octets of the first sector */
};

/* For people and file(1); what proves a file is its checksum. */
static const char segment_magic[8] = {'V', 'e', 'r', 'e', 'd', 'S', 'e', 'g'};
static const char state_magic[8] = {'V', 'e', 'r', 'e', 'd', 'S', 't', 'a'};

/* The checksum lies at the end of the first sector and covers all that is before it. */
static void facts_encode(const char magic[8], const struct spool_block *block,
                         uint8_t out[SPOOL_BLOCK])
{
    memset(out, 0, SPOOL_BLOCK);
    memcpy(out, magic, 8);
    octets_put(out + FACTS_VERSION, FORMAT_VERSION, 4);
    octets_put(out + FACTS_KIND, block->kind, 4);
    octets_put(out + FACTS_NUMBER, block->number, 8);
    memcpy(out + FACTS_SALT, block->salt.octets, SPOOL_SALT);
    octets_put(out + FACTS_CRC, crc32c(0, out, FACTS_CRC), 4);
}

/* The block is believed as a whole or not at all. */
static bool facts_decode(const char magic[8], const uint8_t in[SPOOL_BLOCK],
                         struct spool_block *block)
{
    uint64_t kind = octets_get(in + FACTS_KIND, 4);
    if (memcmp(in, magic, 8) != 0 || octets_get(in + FACTS_VERSION, 4) != FORMAT_VERSION ||
        octets_get(in + FACTS_CRC, 4) != crc32c(0, in, FACTS_CRC))
        return false;
    if (kind != SPOOL_SHARED && kind != SPOOL_PRIVATE)
        return false;
    block->kind = kind == SPOOL_SHARED ? SPOOL_SHARED : SPOOL_PRIVATE;
    block->number = octets_get(in + FACTS_NUMBER, 8);
    memcpy(block->salt.octets, in + FACTS_SALT, SPOOL_SALT);
    return spool_number_is_possible(block->number);
}

void spool_block_encode(const struct spool_block *block, uint8_t out[SPOOL_BLOCK])
{
    facts_encode(segment_magic, block, out);
}

bool spool_block_decode(const uint8_t in[SPOOL_BLOCK], struct spool_block *block)
{
    return facts_decode(segment_magic, in, block);
}

void spool_state_head_encode(const struct spool_block *block, uint8_t out[SPOOL_BLOCK])
{
    facts_encode(state_magic, block, out);
}

bool spool_state_head_decode(const uint8_t in[SPOOL_BLOCK], struct spool_block *block)
{
    return facts_decode(state_magic, in, block);
}

/* ---- marks ---- */

enum {
    MARK_SEQUENCE = 0,
    MARK_INDEXED_END = 8,
    MARK_SEALED_END = 16,
    MARK_ENTRIES = 24,
    MARK_CRC = SPOOL_STATE_MARK - 4
};

/* The salt comes first, so that two files never agree on a checksum by accident. */
static uint32_t salted_crc(const struct spool_salt *salt, const uint8_t *octets, size_t size)
{
    return crc32c(crc32c(0, salt->octets, SPOOL_SALT), octets, size);
}

/* Two sectors, by turns. */
unsigned state_mark_place(uint64_t sequence)
{
    return sequence % 2 == 0 ? 1024 : 2048;
}

void state_mark_encode(const struct state_mark *mark, const struct spool_salt *salt,
                       uint8_t out[SPOOL_STATE_MARK])
{
    memset(out, 0, SPOOL_STATE_MARK);
    octets_put(out + MARK_SEQUENCE, mark->sequence, 8);
    octets_put(out + MARK_INDEXED_END, mark->indexed_end, 8);
    octets_put(out + MARK_SEALED_END, mark->sealed_end, 8);
    octets_put(out + MARK_ENTRIES, mark->entries, 4);
    octets_put(out + MARK_CRC, salted_crc(salt, out, MARK_CRC), 4);
}

/* A mark of zeros fails here: no index ends before the first block. */
bool state_mark_decode(const uint8_t in[SPOOL_STATE_MARK], const struct spool_salt *salt,
                       struct state_mark *mark)
{
    if (octets_get(in + MARK_CRC, 4) != salted_crc(salt, in, MARK_CRC))
        return false;
    mark->sequence = octets_get(in + MARK_SEQUENCE, 8);
    mark->indexed_end = octets_get(in + MARK_INDEXED_END, 8);
    mark->sealed_end = octets_get(in + MARK_SEALED_END, 8);
    mark->entries = (uint32_t)octets_get(in + MARK_ENTRIES, 4);
    return mark->indexed_end >= SPOOL_BLOCK;
}

/* ---- records ---- */

enum {
    RECORD_VERSION = 4,
    RECORD_FLAGS = 6,
    RECORD_NUMBER = 8,
    RECORD_SALT = 16,
    RECORD_OFFSET = 32,
    RECORD_BATCH_START = 40,
    RECORD_BODY_LEN = 48,
    RECORD_ARRIVAL = 56,
    RECORD_ENVELOPE_LEN = 64,
    RECORD_RECIPIENTS = 68,
    RECORD_CRC_BODY = 72,
    RECORD_CRC_OWN = 120, /* of all octets before it */
    RECORD_CRC_HEAD = 124
};

static const char record_magic[4] = {'V', 'R', 'e', 'c'};

/* The field of this checksum counts as zeros. */
static uint32_t record_crc_head(const uint8_t in[SPOOL_RECORD_HEADER], struct span envelope)
{
    static const uint8_t no_crc[4];
    uint32_t crc = crc32c(0, in, RECORD_CRC_HEAD);
    crc = crc32c(crc, no_crc, sizeof no_crc);
    return crc32c(crc, envelope.data, envelope.len);
}

/* The two checksums last: the header's own, then the one that covers it and the envelope. */
void record_header_encode(const struct record_header *header, struct span envelope,
                          uint8_t out[SPOOL_RECORD_HEADER])
{
    memset(out, 0, SPOOL_RECORD_HEADER);
    memcpy(out, record_magic, sizeof record_magic);
    octets_put(out + RECORD_VERSION, FORMAT_VERSION, 2);
    octets_put(out + RECORD_FLAGS, header->flags, 2);
    octets_put(out + RECORD_NUMBER, header->number, 8);
    memcpy(out + RECORD_SALT, header->salt.octets, SPOOL_SALT);
    octets_put(out + RECORD_OFFSET, header->offset, 8);
    octets_put(out + RECORD_BATCH_START, header->batch_start, 8);
    octets_put(out + RECORD_BODY_LEN, header->body_len, 8);
    octets_put(out + RECORD_ARRIVAL, header->arrival_us, 8);
    octets_put(out + RECORD_ENVELOPE_LEN, header->envelope_len, 4);
    octets_put(out + RECORD_RECIPIENTS, header->recipients, 4);
    octets_put(out + RECORD_CRC_BODY, header->crc_body, 4);
    octets_put(out + RECORD_CRC_OWN, crc32c(0, out, RECORD_CRC_OWN), 4);
    octets_put(out + RECORD_CRC_HEAD, record_crc_head(out, envelope), 4);
}

/* 2^40 octets are far above any setting; the sum below can not wrap. */
static bool lengths_are_possible(const struct record_header *header)
{
    return header->envelope_len <= SPOOL_ENVELOPE_MAX && header->body_len >> 40 == 0 &&
           header->recipients > 0 && header->recipients <= UINT16_MAX;
}

/* A place is a multiple of 64 below 64 MiB: it fits the 20 bits that an id has for it. */
static bool places_are_possible(const struct record_header *header)
{
    return header->offset % SPOOL_ALIGN == 0 && header->offset < SPOOL_SEGMENT_MAX &&
           header->batch_start % SPOOL_BLOCK == 0 && header->batch_start >= SPOOL_BLOCK &&
           header->batch_start <= header->offset;
}

/* Its own checksum is compared before any field is believed. */
bool record_header_decode(const uint8_t in[SPOOL_RECORD_HEADER], struct record_header *header)
{
    if (memcmp(in, record_magic, sizeof record_magic) != 0 ||
        octets_get(in + RECORD_VERSION, 2) != FORMAT_VERSION ||
        octets_get(in + RECORD_CRC_OWN, 4) != crc32c(0, in, RECORD_CRC_OWN))
        return false;
    header->flags = (uint16_t)octets_get(in + RECORD_FLAGS, 2);
    header->number = octets_get(in + RECORD_NUMBER, 8);
    memcpy(header->salt.octets, in + RECORD_SALT, SPOOL_SALT);
    header->offset = octets_get(in + RECORD_OFFSET, 8);
    header->batch_start = octets_get(in + RECORD_BATCH_START, 8);
    header->body_len = octets_get(in + RECORD_BODY_LEN, 8);
    header->arrival_us = octets_get(in + RECORD_ARRIVAL, 8);
    header->envelope_len = (uint32_t)octets_get(in + RECORD_ENVELOPE_LEN, 4);
    header->recipients = (uint32_t)octets_get(in + RECORD_RECIPIENTS, 4);
    header->crc_body = (uint32_t)octets_get(in + RECORD_CRC_BODY, 4);
    return lengths_are_possible(header) && places_are_possible(header);
}

bool record_header_check(const uint8_t in[SPOOL_RECORD_HEADER], struct span envelope)
{
    return octets_get(in + RECORD_CRC_HEAD, 4) == record_crc_head(in, envelope);
}

/* Two comparisons, for a walk that looks at every place of a segment. */
bool record_header_is_of(const uint8_t in[SPOOL_RECORD_HEADER], uint64_t number,
                         const struct spool_salt *salt)
{
    return memcmp(in + RECORD_SALT, salt->octets, SPOOL_SALT) == 0 &&
           octets_get(in + RECORD_NUMBER, 8) == number;
}

/* The unit is a power of two, so a mask does for the division. */
uint64_t spool_align(uint64_t offset, uint64_t unit)
{
    return (offset + unit - 1) & ~(unit - 1);
}

/* With its padding: the next record begins on a multiple of SPOOL_ALIGN. */
uint64_t record_size(const struct record_header *header)
{
    return spool_align(SPOOL_RECORD_HEADER + header->envelope_len + header->body_len, SPOOL_ALIGN);
}

/* ---- state entries ---- */

enum { ENTRY_RECIPIENT = 4, ENTRY_STATE = 6, ENTRY_TRIES = 7, ENTRY_TIME = 8, ENTRY_CRC = 12 };

void state_entry_encode(const struct state_entry *entry, const struct spool_salt *salt,
                        uint8_t out[SPOOL_STATE_ENTRY])
{
    octets_put(out, entry->place, 4);
    octets_put(out + ENTRY_RECIPIENT, entry->recipient, 2);
    out[ENTRY_STATE] = entry->state;
    out[ENTRY_TRIES] = entry->tries;
    octets_put(out + ENTRY_TIME, entry->time, 4);
    octets_put(out + ENTRY_CRC, salted_crc(salt, out, ENTRY_CRC), 4);
}

enum state_entry_result state_entry_decode(const uint8_t in[SPOOL_STATE_ENTRY],
                                           const struct spool_salt *salt, struct state_entry *entry)
{
    static const uint8_t empty[SPOOL_STATE_ENTRY];
    if (memcmp(in, empty, sizeof empty) == 0)
        return STATE_ENTRY_EMPTY;
    if (octets_get(in + ENTRY_CRC, 4) != salted_crc(salt, in, ENTRY_CRC))
        return STATE_ENTRY_BAD;
    entry->place = (uint32_t)octets_get(in, 4);
    entry->recipient = (uint16_t)octets_get(in + ENTRY_RECIPIENT, 2);
    entry->state = in[ENTRY_STATE];
    entry->tries = in[ENTRY_TRIES];
    entry->time = (uint32_t)octets_get(in + ENTRY_TIME, 4);
    bool possible = entry->state >= LETTER_WAITING && entry->state <= LETTER_HELD;
    return possible ? STATE_ENTRY_OK : STATE_ENTRY_BAD;
}

/* What is held is not done: an operator still has a word to say. */
bool letter_is_done(enum letter_state state)
{
    return state == LETTER_DELIVERED || state == LETTER_BOUNCED;
}

/* ---- queue ids ---- */

bool spool_number_is_possible(uint64_t number)
{
    return number > 0 && number >> NUMBER_BITS == 0;
}

/* 44 bits of number, 20 of place: one number names a record for ever. */
uint64_t spool_id(uint64_t number, uint64_t offset)
{
    return number << PLACE_BITS | offset / SPOOL_ALIGN;
}

uint64_t spool_id_number(uint64_t id)
{
    return id >> PLACE_BITS;
}

uint64_t spool_id_offset(uint64_t id)
{
    return (id & ((UINT64_C(1) << PLACE_BITS) - 1)) * SPOOL_ALIGN;
}

struct span spool_id_text(uint64_t id, char out[SPOOL_ID_MAX])
{
    size_t length = base32_u64(id, out);
    out[length] = '\0';
    return span_of(out, length);
}

/* Number 0 and places inside the block belong to no record. */
bool spool_id_parse(struct span text, uint64_t *id)
{
    return base32_to_u64(text, id) && spool_id_number(*id) > 0 &&
           spool_id_offset(*id) >= SPOOL_BLOCK;
}
