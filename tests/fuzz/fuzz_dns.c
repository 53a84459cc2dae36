/*
 * Answers of the DNS: whoever owns a zone writes them. The first octet chooses what was asked for;
 * the rest is the message behind its id and question, or with the highest bit set the whole of it.
 * Whatever it is, names that come out are valid, texts lie in the arena, counts hold, and the same
 * octets read the same twice.
 */
#include "tests/fuzz/fuzz.h"
#include "util/sys/dns_message.h"

static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_PTR};

enum { TYPES = sizeof(types) / sizeof(types[0]), TTL_MOST = 86400, MESSAGE_MOST = 65535 };

static void check_record(const struct dns_record *record, enum dns_type type)
{
    fuzz_touch(record->text);
    switch (type) {
    case DNS_A:
        require(record->address.any.sa_family == AF_INET);
        break;
    case DNS_AAAA:
        require(record->address.any.sa_family == AF_INET6);
        break;
    case DNS_MX:
    case DNS_PTR:
        require(dns_name_is_valid(record->text));
        break;
    case DNS_TXT:
        require(record->text.len <= MESSAGE_MOST);
        break;
    }
}

static void check_answer(const struct dns_answer *answer, enum dns_type type)
{
    require(answer->result <= DNS_TEMPORARY);
    require(answer->count <= DNS_RECORDS_MAX);
    require(answer->ttl <= TTL_MOST);
    require(answer->result == DNS_FOUND || answer->count == 0);
    require(answer->result != DNS_FOUND || answer->count + answer->unusable > 0);
    require(!answer->null_mx || (type == DNS_MX && answer->count == 0));
    require(answer->result != DNS_TEMPORARY || answer->ttl == 0);
    for (size_t i = 0; i < answer->count; i++)
        check_record(&answer->records[i], type);
}

/* The header's flags and counts come from the input; id and question are those of the query. */
static void put_message(struct span input, struct span query, bool whole, struct buf *message)
{
    struct span question = dns_message_question(query);
    if (!whole) {
        buf_add(message, span_first(query, 2));
        buf_add(message, fuzz_take(&input, 10));
        if (buf_len(message) == 12)
            buf_add(message, question);
    }
    buf_add(message, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    uint8_t octets[DNS_QUERY_MAX];
    struct arena arena = {0};
    struct buf message = {0};
    uint8_t choice = fuzz_octet(&input);
    enum dns_type type = types[(choice & 0x7f) % TYPES];
    size_t len = dns_message_query(0x4142, type, SPAN("a.test"), octets);
    struct span query = span_of(octets, len);
    require(len > 0);
    put_message(input, query, (choice & 0x80) != 0, &message);

    struct dns_answer answer = dns_message_read(buf_span(&message), query, &arena);
    check_answer(&answer, type);
    struct dns_answer again = dns_message_read(buf_span(&message), query, &arena);
    require(again.result == answer.result && again.count == answer.count &&
            again.ttl == answer.ttl && again.unusable == answer.unusable);
    buf_free(&message);
    arena_free(&arena);
    return 0;
}
