/*
 * One table says which value of the struct goes under which tag; encoding, decoding and the refusal
 * of what is repeated all walk it. A recipient is a field whose value is again such a list. Empty
 * values are left out, so a letter from one local user to another costs a hundred octets or so.
 *
 * Values come from the network: none may hold an octet that could start a new line where it is
 * later written into a header or a log (the reader checks again, the disk is not trusted either).
 */
#include "util/spool/envelope.h"

#include "util/base/octets.h"
#include "util/spool/format.h"

enum { FIELD_HEAD = 3 }; /* tag, 16 bits of length */
enum { TAG_RECIPIENT = 32 };

/* One value of the struct and its place on the disk. */
struct field_rule {
    uint8_t tag;
    bool number; /* one octet, else text */
    size_t offset;
};

/* Tags are on disks: never change one, never use one again. */
static const struct field_rule envelope_rules[] = {
    {1, false, offsetof(struct envelope, sender)},
    {2, false, offsetof(struct envelope, client_address)},
    {3, false, offsetof(struct envelope, client_name)},
    {4, false, offsetof(struct envelope, helo)},
    {5, false, offsetof(struct envelope, protocol)},
    {6, false, offsetof(struct envelope, login)},
    {7, false, offsetof(struct envelope, envid)},
    {8, true, offsetof(struct envelope, ret)},
    {9, false, offsetof(struct envelope, submitter)},
    {0, false, 0},
};

static const struct field_rule recipient_rules[] = {
    {1, false, offsetof(struct envelope_recipient, address)},
    {2, false, offsetof(struct envelope_recipient, original)},
    {3, false, offsetof(struct envelope_recipient, transport)},
    {4, false, offsetof(struct envelope_recipient, nexthop)},
    {5, true, offsetof(struct envelope_recipient, notify)},
    {6, false, offsetof(struct envelope_recipient, orcpt)},
    {0, false, 0},
};

/* CR, LF and NUL are what could begin a line or end a text elsewhere. */
static bool text_is_clean(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return false;
    return true;
}

/* ---- encoding ---- */

/* 16 bits of length bound every value; a longer one is refused, never cut. */
static bool put_field(struct buf *out, uint8_t tag, struct span value)
{
    uint8_t head[FIELD_HEAD] = {tag};
    if (value.len > UINT16_MAX)
        return false;
    octets_put(head + 1, value.len, 2);
    return buf_append(out, span_of(head, sizeof head)) && buf_append(out, value);
}

/* The octets of one value. Empty: it is absent and not written; decoding finds the zero that it
 * was. */
static struct span value_of(const struct field_rule *rule, const void *object)
{
    const char *member = (const char *)object + rule->offset;
    struct span text;
    if (rule->number)
        return span_of(member, *member != 0);
    /* The member's type follows from the rule, so it is copied, not cast. */
    memcpy(&text, member, sizeof text);
    return text;
}

/* The values of one struct, by its rules. */
static bool put_fields(struct buf *out, const struct field_rule *rules, const void *object)
{
    for (const struct field_rule *rule = rules; rule->tag != 0; rule++) {
        struct span value = value_of(rule, object);
        if (value.len == 0)
            continue;
        if (!rule->number && !text_is_clean(value))
            return false;
        if (!put_field(out, rule->tag, value))
            return false;
    }
    return true;
}

/* As put_fields and put_field write it. */
size_t envelope_recipient_size(const struct envelope_recipient *recipient)
{
    size_t size = FIELD_HEAD;
    for (const struct field_rule *rule = recipient_rules; rule->tag != 0; rule++) {
        size_t length = value_of(rule, recipient).len;
        size += length > 0 ? FIELD_HEAD + length : 0;
    }
    return size;
}

/* Each recipient is encoded by itself first, because its length stands before it. */
static bool put_all(const struct envelope *envelope, struct buf *out)
{
    struct buf one = {0};
    bool good = put_fields(out, envelope_rules, envelope);
    for (size_t i = 0; good && i < envelope->recipient_count; i++) {
        buf_reset(&one);
        /* A recipient without an address could not be delivered, nor told of. */
        good = envelope->recipients[i].address.len > 0 &&
               put_fields(&one, recipient_rules, &envelope->recipients[i]) &&
               put_field(out, TAG_RECIPIENT, buf_span(&one));
    }
    buf_free(&one);
    return good;
}

/* Into a buffer of its own: `out` must not hold half an envelope when a value is refused. */
bool envelope_encode(const struct envelope *envelope, struct buf *out)
{
    if (envelope->recipient_count == 0 || envelope->recipient_count > ENVELOPE_RECIPIENTS_MAX)
        return false;
    struct buf encoded = {.limit = SPOOL_ENVELOPE_MAX};
    bool good = put_all(envelope, &encoded) && buf_append(out, buf_span(&encoded));
    buf_free(&encoded);
    return good;
}

/* ---- decoding ---- */

/* Cuts the first field off `*rest`; false when it is not whole. */
static bool next_field(struct span *rest, uint8_t *tag, struct span *value)
{
    const uint8_t *head = (const uint8_t *)rest->data;
    if (rest->len < FIELD_HEAD)
        return false;
    size_t length = (size_t)octets_get(head + 1, 2);
    if (length > rest->len - FIELD_HEAD)
        return false;
    *tag = head[0];
    *value = span_of(rest->data + FIELD_HEAD, length);
    *rest = span_skip(*rest, FIELD_HEAD + length);
    return true;
}

/* Stores one value; false for an unknown tag, a tag seen before, a value that can not be. */
static bool take_field(const struct field_rule *rules, uint8_t tag, struct span value,
                       uint32_t *seen, void *object)
{
    const struct field_rule *rule = rules;
    while (rule->tag != 0 && rule->tag != tag)
        rule++;
    if (rule->tag == 0 || (*seen >> tag & 1) != 0)
        return false;
    *seen |= UINT32_C(1) << tag;

    char *member = (char *)object + rule->offset;
    if (rule->number) {
        if (value.len != 1)
            return false;
        *member = value.data[0];
        return true;
    }
    memcpy(member, &value, sizeof value);
    return value.len > 0 && text_is_clean(value);
}

/* An address is the least a recipient must have. */
static bool decode_recipient(struct span rest, struct envelope_recipient *recipient)
{
    uint32_t seen = 0;
    *recipient = (struct envelope_recipient){0};
    while (rest.len > 0) {
        uint8_t tag;
        struct span value;
        if (!next_field(&rest, &tag, &value) ||
            !take_field(recipient_rules, tag, value, &seen, recipient))
            return false;
    }
    return recipient->address.len > 0;
}

/* The fields of the envelope itself; the recipients are counted. */
static bool decode_fields(struct span rest, struct envelope *envelope)
{
    uint32_t seen = 0;
    while (rest.len > 0) {
        uint8_t tag;
        struct span value;
        if (!next_field(&rest, &tag, &value))
            return false;
        if (tag == TAG_RECIPIENT)
            envelope->recipient_count++;
        else if (!take_field(envelope_rules, tag, value, &seen, envelope))
            return false;
    }
    return envelope->recipient_count > 0 && envelope->recipient_count <= ENVELOPE_RECIPIENTS_MAX;
}

/* Two passes: the first counts, so that the array is allocated once. */
bool envelope_decode(struct span octets, struct arena *arena, struct envelope *envelope)
{
    *envelope = (struct envelope){0};
    /* The bound of the writer holds for the reader too: the disk is not trusted. */
    if (octets.len > SPOOL_ENVELOPE_MAX || !decode_fields(octets, envelope))
        return false;

    struct envelope_recipient *recipients =
        arena_alloc(arena, envelope->recipient_count * sizeof *recipients);
    size_t count = 0;
    uint8_t tag;
    struct span value;
    while (octets.len > 0 && next_field(&octets, &tag, &value))
        if (tag == TAG_RECIPIENT && !decode_recipient(value, &recipients[count++]))
            return false;
    envelope->recipients = recipients;
    return true;
}
