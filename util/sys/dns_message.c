/*
 * Why a walker of our own: the parsers of DNS libraries give no TTL of negative answers, no AD bit,
 * and hand on names with any octet in them. A message comes from whoever owns the zone, through a
 * resolver that checks little of it, so every count and length in it is a claim.
 *
 * Reading goes through a cursor with a sticky error: past the end it gives zeros, and whether all
 * went well is asked once, behind each record.
 */
#include "util/sys/dns_message.h"

#include <ctype.h>

enum {
    HEADER_SIZE = 12,
    WIRE_NAME_MAX = 255, /* RFC 1035 §2.3.4, with the lengths and the root */
    POINTER = 0xc0,      /* RFC 1035 §4.1.4 */
    CLASS_IN = 1,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_OPT = 41, /* RFC 6891 §6.1.1 */
    OPT_SIZE = 11,
    POINTERS_MAX = 127,     /* of one name: it has no more labels (RFC 1035 §2.3.4) */
    ALIASES_MAX = 8,        /* aliases that lead to one another */
    ALIAS_RECORDS = 512,    /* records that are searched for them */
    TTL_MAX = 86400,        /* RFC 2181 §8 lets who keeps an answer choose */
    NEGATIVE_MAX = 3 * 3600 /* RFC 2308 §5 */
};

/* The flags of RFC 1035 §4.1.1 and RFC 4035 §3.2 as one number. */
enum {
    FLAG_RESPONSE = 0x8000,
    MASK_OPCODE = 0x7800,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSE = 0x0100,
    FLAG_AUTHENTIC = 0x0020,
    MASK_RCODE = 0x000f,
    RCODE_NAME_ERROR = 3
};

struct cursor {
    const uint8_t *octets; /* the whole message: names point back into it */
    size_t at, end;
    bool bad;
};

/* A name as it is on the wire, uncompressed, in lower case. */
struct wire_name {
    uint8_t octets[WIRE_NAME_MAX];
    size_t len;
};

struct resource {
    struct wire_name owner;
    uint16_t type, class;
    uint32_t ttl;
    struct cursor data; /* ends where the record's data ends */
};

/* ---- the cursor ---- */

static uint8_t octet_at(struct cursor *cursor, size_t at)
{
    if (at >= cursor->end)
        cursor->bad = true;
    return cursor->bad ? 0 : cursor->octets[at];
}

static uint8_t take_octet(struct cursor *cursor)
{
    uint8_t octet = octet_at(cursor, cursor->at);
    cursor->at += !cursor->bad;
    return octet;
}

static uint16_t take_u16(struct cursor *cursor)
{
    unsigned high = take_octet(cursor);
    return (uint16_t)(high << 8 | take_octet(cursor));
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t high = take_u16(cursor);
    return high << 16 | take_u16(cursor);
}

/* The next `count` octets; empty when there are fewer. */
static struct span take(struct cursor *cursor, size_t count)
{
    if (count > cursor->end - cursor->at)
        cursor->bad = true;
    if (cursor->bad)
        return SPAN("");
    struct span taken = span_of(cursor->octets + cursor->at, count);
    cursor->at += count;
    return taken;
}

/* Copies the label at `at`, its length included; the root is one without octets. */
static void copy_label(struct cursor *cursor, size_t at, size_t len, struct wire_name *name)
{
    if (len > DNS_LABEL_MAX || name->len + 1 + len > WIRE_NAME_MAX || len > cursor->end - at - 1) {
        cursor->bad = true;
        return;
    }
    name->octets[name->len++] = (uint8_t)len;
    for (size_t i = 1; i <= len; i++)
        name->octets[name->len++] = (uint8_t)tolower(cursor->octets[at + i]);
}

/* RFC 1035 §4.1.4: a pointer leads to a prior occurrence. Each leads further back than where the
 * labels before it began, so there is an end to them; and it comes soon, for a message may have
 * thousands of names that lead into one long chain of pointers. */
static void take_name(struct cursor *cursor, struct wire_name *name)
{
    size_t at = cursor->at;
    size_t began = at;
    unsigned jumps = 0;
    uint8_t head;
    name->len = 0;
    do {
        head = octet_at(cursor, at);
        size_t behind = at + 1 + (head >= POINTER ? 1 : (size_t)head);
        if (head >= POINTER) {
            at = (size_t)(head - POINTER) << 8 | octet_at(cursor, at + 1);
            cursor->bad = cursor->bad || at >= began || jumps == POINTERS_MAX;
            began = at;
        } else if (!cursor->bad) {
            copy_label(cursor, at, head, name);
            at = behind;
        }
        if (jumps == 0)
            cursor->at = behind;
        jumps += head >= POINTER;
    } while (head != 0 && !cursor->bad);
}

static bool name_equal(const struct wire_name *a, const struct wire_name *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

static void take_resource(struct cursor *cursor, struct resource *resource)
{
    take_name(cursor, &resource->owner);
    resource->type = take_u16(cursor);
    resource->class = take_u16(cursor);
    resource->ttl = take_u32(cursor);
    /* RFC 2181 §8: with the highest bit set it is zero. */
    if (resource->ttl > INT32_MAX)
        resource->ttl = 0;
    size_t len = take_u16(cursor);
    resource->data = *cursor;
    (void)take(cursor, len);
    resource->data.end = cursor->at;
}

/* The data was read as what it should be, and nothing of it is left. */
static bool is_whole(const struct cursor *data)
{
    return !data->bad && data->at == data->end;
}

/* ---- the question ---- */

static uint8_t *put_u16(uint8_t *out, unsigned number)
{
    out[0] = (uint8_t)(number >> 8);
    out[1] = (uint8_t)number;
    return out + 2;
}

static uint8_t *put_name(uint8_t *out, struct span name)
{
    struct span label;
    while (span_next(&name, '.', &label)) {
        *out++ = (uint8_t)label.len;
        for (size_t i = 0; i < label.len; i++)
            *out++ = (uint8_t)tolower((unsigned char)label.data[i]);
    }
    *out++ = 0;
    return out;
}

size_t dns_message_query(uint16_t id, enum dns_type type, struct span name,
                         uint8_t out[DNS_QUERY_MAX])
{
    if (!dns_name_is_valid(name))
        return 0;
    uint8_t *end = put_u16(out, id);
    end = put_u16(end, FLAG_RECURSE | FLAG_AUTHENTIC);
    end = put_u16(end, 1); /* one question */
    end = put_u16(end, 0);
    end = put_u16(end, 0);
    end = put_u16(end, 1); /* and the OPT record */
    end = put_name(end, name);
    end = put_u16(end, type);
    end = put_u16(end, CLASS_IN);
    /* RFC 6891 §6.1.2: the root, OPT, what we take, no extended code or flag, no option */
    *end++ = 0;
    end = put_u16(end, TYPE_OPT);
    end = put_u16(end, DNS_PAYLOAD);
    memset(end, 0, 6);
    return (size_t)(end + 6 - out);
}

struct span dns_message_question(struct span query)
{
    return span_of(query.data + HEADER_SIZE, query.len - HEADER_SIZE - OPT_SIZE);
}

/* ---- the answer ---- */

/* One message under way. */
struct reading {
    struct cursor cursor;
    struct arena *arena;
    struct wire_name name; /* asked for; then where its aliases lead */
    uint16_t type;
    uint16_t answers, authorities; /* as the header says */
    uint32_t ttl;
    size_t seen; /* records of the type, usable or not */
    size_t room;
    struct dns_record *records;
    struct dns_answer answer;
};

static void lower_ttl(struct reading *reading, uint32_t ttl)
{
    if (ttl < reading->ttl)
        reading->ttl = ttl;
}

/* The text of a name that may be handed on. The root has none. */
static bool name_text(struct reading *reading, const struct wire_name *name, struct span *text)
{
    char copy[WIRE_NAME_MAX];
    size_t used = 0;
    for (size_t at = 0; name->octets[at] != 0; at += 1 + (size_t)name->octets[at]) {
        struct span label = span_of(name->octets + at + 1, name->octets[at]);
        /* A dot within a label would become one between two. */
        if (span_find(label, '.') < label.len)
            return false;
        if (used > 0)
            copy[used++] = '.';
        memcpy(copy + used, label.data, label.len);
        used += label.len;
    }
    *text = span_of(copy, used);
    if (!dns_name_is_valid(*text))
        return false;
    *text = arena_copy(reading->arena, *text);
    return true;
}

static bool read_address(struct cursor *data, enum dns_type type, struct dns_record *record)
{
    bool v4 = type == DNS_A;
    size_t size = v4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
    struct span octets = take(data, size);
    if (!is_whole(data))
        return false;
    record->address.any.sa_family = v4 ? AF_INET : AF_INET6;
    if (v4)
        memcpy(&record->address.v4.sin_addr, octets.data, size);
    else
        memcpy(&record->address.v6.sin6_addr, octets.data, size);
    return true;
}

/* The root as a mail exchanger says that there is none (RFC 7505 §3); it is told from "\0", a label
 * of one octet, by its length. */
static bool read_name(struct reading *reading, struct cursor *data, struct dns_record *record)
{
    struct wire_name name;
    if (reading->type == DNS_MX)
        record->preference = take_u16(data);
    take_name(data, &name);
    if (!is_whole(data))
        return false;
    if (reading->type == DNS_MX && name.len == 1)
        reading->answer.null_mx = true;
    return name_text(reading, &name, &record->text);
}

/* RFC 1035 §3.3.14: one or more strings with their lengths, which are one text to most who write
 * them (RFC 7208 §3.3). */
static bool read_text(struct reading *reading, struct cursor *data, struct dns_record *record)
{
    char *text = arena_alloc(reading->arena, data->end - data->at + 1);
    size_t used = 0;
    while (!data->bad && data->at < data->end) {
        size_t len = take_octet(data);
        struct span part = take(data, len);
        memcpy(text + used, part.data, part.len);
        used += part.len;
    }
    record->text = span_of(text, used);
    return is_whole(data);
}

static bool read_data(struct reading *reading, struct cursor *data, struct dns_record *record)
{
    switch (reading->type) {
    case DNS_A:
    case DNS_AAAA:
        return read_address(data, (enum dns_type)reading->type, record);
    case DNS_TXT:
        return read_text(reading, data, record);
    default:
        return read_name(reading, data, record);
    }
}

/* Room doubles: most answers have one to four records. */
static struct dns_record *next_record(struct reading *reading)
{
    size_t count = reading->answer.count;
    if (count == reading->room) {
        reading->room = count > 0 ? 2 * count : 4;
        struct dns_record *larger =
            arena_alloc(reading->arena, reading->room * sizeof(*reading->records));
        if (count > 0)
            memcpy(larger, reading->records, count * sizeof(*larger));
        reading->records = larger;
    }
    reading->records[count] = (struct dns_record){0};
    return &reading->records[count];
}

static void add_record(struct reading *reading, struct resource *resource)
{
    reading->seen++;
    lower_ttl(reading, resource->ttl);
    if (reading->answer.count < DNS_RECORDS_MAX &&
        read_data(reading, &resource->data, next_record(reading)))
        reading->answer.count++;
    else
        reading->answer.unusable++;
}

/* Puts what the name is an alias of in its place; false when it is none. The cursor stays. */
static bool follow_alias(struct reading *reading)
{
    struct cursor cursor = reading->cursor;
    struct resource resource;
    for (unsigned i = 0; i < reading->answers && i < ALIAS_RECORDS && !cursor.bad; i++) {
        take_resource(&cursor, &resource);
        if (cursor.bad || resource.type != TYPE_CNAME || resource.class != CLASS_IN ||
            !name_equal(&resource.owner, &reading->name))
            continue;
        take_name(&resource.data, &reading->name);
        lower_ttl(reading, resource.ttl);
        return is_whole(&resource.data);
    }
    return false;
}

/* The records of the name, wherever they stand among the answers. */
static void take_answers(struct reading *reading)
{
    struct resource resource;
    for (unsigned aliases = 0; aliases < ALIASES_MAX; aliases++)
        if (!follow_alias(reading))
            break;
    for (unsigned i = 0; i < reading->answers && !reading->cursor.bad; i++) {
        take_resource(&reading->cursor, &resource);
        if (!reading->cursor.bad && resource.type == reading->type && resource.class == CLASS_IN &&
            name_equal(&resource.owner, &reading->name))
            add_record(reading, &resource);
    }
}

/* RFC 2308 §5: the SOA says how long it may be believed that something is not there; without one
 * nobody may keep it. */
static void take_negative_ttl(struct reading *reading)
{
    struct resource resource;
    bool found = false;
    for (unsigned i = 0; i < reading->authorities && !reading->cursor.bad; i++) {
        take_resource(&reading->cursor, &resource);
        if (reading->cursor.bad || resource.type != TYPE_SOA || resource.class != CLASS_IN)
            continue;
        struct wire_name name;
        take_name(&resource.data, &name);
        take_name(&resource.data, &name);
        (void)take(&resource.data, 16); /* serial, refresh, retry, expire */
        uint32_t minimum = take_u32(&resource.data);
        found = is_whole(&resource.data);
        lower_ttl(reading, resource.ttl < minimum ? resource.ttl : minimum);
    }
    lower_ttl(reading, found ? NEGATIVE_MAX : 0);
}

/* The header and the question; what is behind them is worth a look when they are those of an answer
 * to our query. */
static bool take_head(struct reading *reading, struct span query, unsigned *flags)
{
    struct cursor *cursor = &reading->cursor;
    struct cursor ours = {
        .octets = (const uint8_t *)query.data, .at = HEADER_SIZE, .end = query.len};
    struct wire_name name;
    bool same_id = span_equal(take(cursor, 2), span_first(query, 2));
    *flags = take_u16(cursor);
    unsigned questions = take_u16(cursor);
    reading->answers = take_u16(cursor);
    reading->authorities = take_u16(cursor);
    (void)take_u16(cursor);
    take_name(cursor, &name);
    take_name(&ours, &reading->name);
    reading->type = take_u16(&ours);
    bool same_question = take_u16(cursor) == reading->type && take_u16(cursor) == CLASS_IN &&
                         name_equal(&name, &reading->name);
    return !cursor->bad && same_id && questions == 1 && same_question;
}

/* A name that is there, without what was asked for, comes with the code of success. */
static enum dns_result result_of(const struct reading *reading, unsigned rcode)
{
    if (rcode == RCODE_NAME_ERROR)
        return DNS_NO_NAME;
    return reading->seen > 0 ? DNS_FOUND : DNS_NO_DATA;
}

struct dns_answer dns_message_read(struct span message, struct span query, struct arena *arena)
{
    static const struct dns_answer nonsense = {.result = DNS_TEMPORARY};
    struct reading reading = {
        .cursor = {.octets = (const uint8_t *)message.data, .end = message.len},
        .arena = arena,
        .ttl = TTL_MAX};
    unsigned flags;
    if (!take_head(&reading, query, &flags) || !(flags & FLAG_RESPONSE) || (flags & MASK_OPCODE) ||
        (flags & FLAG_TRUNCATED))
        return nonsense;
    unsigned rcode = flags & MASK_RCODE;
    if (rcode != 0 && rcode != RCODE_NAME_ERROR)
        return nonsense;
    take_answers(&reading);
    struct dns_answer *answer = &reading.answer;
    answer->result = result_of(&reading, rcode);
    if (answer->result != DNS_FOUND) {
        answer->count = 0;
        take_negative_ttl(&reading);
    }
    if (reading.cursor.bad)
        return nonsense;
    /* RFC 7505 §3: it stands alone; beside others it is a mistake, and they count. */
    answer->null_mx = answer->null_mx && reading.seen == 1 && answer->result == DNS_FOUND;
    answer->authentic = (flags & FLAG_AUTHENTIC) != 0;
    answer->ttl = reading.ttl;
    answer->records = reading.records;
    return *answer;
}
