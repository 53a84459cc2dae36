/*
 * The octets of the spool. The disk is not trusted: whatever lies there decodes to something sound
 * or is refused, and one octet that changed is noticed. Since no fuzzer guesses a checksum, records
 * are also made around the input. The first two octets choose the octet to spoil and how.
 */
#include "tests/fuzz/fuzz.h"
#include "util/base/crc32c.h"
#include "util/spool/record.h"

static const struct spool_salt salt = {{"0123456789abcde"}};

enum { NUMBER = 7, BODY = 100 };

static void check_text(struct span value, struct span octets)
{
    require(fuzz_within(value, octets));
    for (size_t i = 0; i < value.len; i++)
        require(value.data[i] != '\r' && value.data[i] != '\n' && value.data[i] != '\0');
}

static void check_values(const struct envelope *envelope, struct span octets)
{
    check_text(envelope->sender, octets);
    check_text(envelope->client_address, octets);
    check_text(envelope->client_name, octets);
    check_text(envelope->helo, octets);
    check_text(envelope->protocol, octets);
    check_text(envelope->login, octets);
    check_text(envelope->envid, octets);
    require(envelope->recipient_count <= ENVELOPE_RECIPIENTS_MAX);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        check_text(envelope->recipients[i].address, octets);
        check_text(envelope->recipients[i].original, octets);
        check_text(envelope->recipients[i].transport, octets);
        check_text(envelope->recipients[i].nexthop, octets);
    }
}

/* Encoded anew it decodes again, to the same octets when encoded once more. */
static void check_envelope(struct span octets)
{
    struct arena arena = {0};
    struct envelope envelope, again;
    struct buf once = {0}, twice = {0};
    if (envelope_decode(octets, &arena, &envelope)) {
        check_values(&envelope, octets);
        require(envelope_encode(&envelope, &once));
        require(envelope_decode(buf_span(&once), &arena, &again));
        require(again.recipient_count == envelope.recipient_count);
        require(span_equal(again.sender, envelope.sender));
        require(envelope_encode(&again, &twice));
        require(span_equal(buf_span(&once), buf_span(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    arena_free(&arena);
}

static void check_block(struct span octets)
{
    uint8_t in[SPOOL_BLOCK] = {0}, out[SPOOL_BLOCK];
    struct spool_block block, again;
    memcpy(in, octets.data, octets.len < sizeof(in) ? octets.len : sizeof(in));
    if (spool_block_decode(in, &block)) {
        spool_block_encode(&block, out);
        require(spool_block_decode(out, &again));
        require(again.number == block.number && again.kind == block.kind);
        require(memcmp(&again.salt, &block.salt, sizeof(block.salt)) == 0);
    }
    if (spool_state_head_decode(in, &block)) {
        spool_state_head_encode(&block, out);
        require(spool_state_head_decode(out, &again) && again.number == block.number);
    }
}

static void check_state(struct span octets)
{
    uint8_t entry_in[SPOOL_STATE_ENTRY] = {0}, entry_out[SPOOL_STATE_ENTRY];
    uint8_t mark_in[SPOOL_STATE_MARK] = {0};
    struct state_entry entry;
    struct state_mark mark;
    memcpy(entry_in, octets.data, octets.len < sizeof(entry_in) ? octets.len : sizeof(entry_in));
    memcpy(mark_in, octets.data, octets.len < sizeof(mark_in) ? octets.len : sizeof(mark_in));
    if (state_entry_decode(entry_in, &salt, &entry) == STATE_ENTRY_OK) {
        require(entry.state >= LETTER_WAITING && entry.state <= LETTER_HELD);
        state_entry_encode(&entry, &salt, entry_out);
        require(memcmp(entry_in, entry_out, sizeof(entry_in)) == 0);
    }
    if (state_mark_decode(mark_in, &salt, &mark))
        (void)state_mark_place(mark.sequence);
}

/* An entry made of the input comes back; spoiled, it does not. */
static void check_spoiled_entry(struct span octets, size_t place, uint8_t change)
{
    uint8_t out[SPOOL_STATE_ENTRY];
    struct state_entry entry = {0}, back;
    memcpy(&entry.place, octets.data, octets.len < 4 ? octets.len : 4);
    entry.state = (uint8_t)(LETTER_WAITING + octets.len % LETTER_HELD);
    entry.recipient = (uint16_t)octets.len;
    state_entry_encode(&entry, &salt, out);
    require(state_entry_decode(out, &salt, &back) == STATE_ENTRY_OK);
    require(back.place == entry.place && back.state == entry.state);
    out[place % sizeof(out)] ^= change;
    if (change != 0)
        require(state_entry_decode(out, &salt, &back) == STATE_ENTRY_BAD);
}

/* A segment of one record, whose envelope is `octets`, claimed to be for so many. */
static void make_segment(struct span octets, uint32_t recipients, struct buf *segment)
{
    static const char body[BODY] = {0};
    const struct record_header header = {
        .number = NUMBER,
        .salt = salt,
        .offset = SPOOL_BLOCK,
        .batch_start = SPOOL_BLOCK,
        .body_len = BODY,
        .envelope_len = (uint32_t)octets.len,
        .recipients = recipients,
        .crc_body = crc32c(0, body, sizeof(body)),
    };
    uint8_t block[SPOOL_BLOCK], head[SPOOL_RECORD_HEADER];
    spool_block_encode(&(struct spool_block){NUMBER, salt, SPOOL_SHARED}, block);
    record_header_encode(&header, octets, head);
    buf_add(segment, span_of(block, sizeof(block)));
    buf_add(segment, span_of(head, sizeof(head)));
    buf_add(segment, octets);
    buf_add(segment, span_of(body, sizeof(body)));
}

static enum record_result read_segment(struct span octets)
{
    struct arena arena = {0};
    struct record record;
    int fd = fuzz_file(octets, 0);
    const struct segment_view view = {fd, NUMBER, salt};
    enum record_result result = record_read(&view, SPOOL_BLOCK, &arena, &record);
    if (result == RECORD_OK) {
        require(record.header.offset == SPOOL_BLOCK);
        require(record.envelope.recipient_count == record.header.recipients);
        result = record_check_body(&view, &record);
    }
    require(result != RECORD_IO);
    arena_free(&arena);
    (void)close(fd);
    return result;
}

static void check_record(struct span octets, size_t place, uint8_t change)
{
    struct arena arena = {0};
    struct envelope envelope;
    struct buf segment = {0};
    bool sound = envelope_decode(octets, &arena, &envelope) && envelope.recipient_count > 0;
    uint32_t recipients = sound ? (uint32_t)envelope.recipient_count : 1;
    make_segment(octets, recipients, &segment);
    require((read_segment(buf_span(&segment)) == RECORD_OK) == sound);

    size_t record = buf_len(&segment) - SPOOL_BLOCK;
    segment.data[segment.start + SPOOL_BLOCK + place % record] ^= (char)change;
    if (change != 0)
        require(read_segment(buf_span(&segment)) != RECORD_OK);
    buf_free(&segment);
    arena_free(&arena);
}

/* The input itself, where a record should be. */
static void check_foreign(struct span octets)
{
    struct record_header header;
    struct buf segment = {0};
    uint8_t head[SPOOL_RECORD_HEADER] = {0};
    memcpy(head, octets.data, octets.len < sizeof(head) ? octets.len : sizeof(head));
    if (record_header_decode(head, &header)) {
        require(header.envelope_len <= SPOOL_ENVELOPE_MAX);
        require(record_size(&header) % SPOOL_ALIGN == 0);
    }
    for (size_t i = 0; i < SPOOL_BLOCK / SPOOL_ALIGN; i++)
        buf_add(&segment, span_of(salt.octets, SPOOL_SALT)); /* any octets */
    for (size_t i = buf_len(&segment); i < SPOOL_BLOCK; i++)
        buf_add(&segment, SPAN("x"));
    buf_add(&segment, octets);
    (void)read_segment(buf_span(&segment));
    buf_free(&segment);
}

static void check_id(struct span text)
{
    uint64_t id, again;
    char out[SPOOL_ID_MAX];
    if (!spool_id_parse(text, &id))
        return;
    require(spool_id_parse(spool_id_text(id, out), &again) && again == id);
    require(spool_id(spool_id_number(id), spool_id_offset(id)) == id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t place = (size_t)fuzz_octet(&input) * 5;
    uint8_t change = fuzz_octet(&input);
    check_envelope(input);
    check_block(input);
    check_state(input);
    check_spoiled_entry(input, place, change);
    check_record(input, place, change);
    check_foreign(input);
    check_id(span_first(input, SPOOL_ID_MAX));
    return 0;
}
