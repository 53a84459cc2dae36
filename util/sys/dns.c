/*
 * One struct is both the question under way and the cache's entry: who asks for what is being asked
 * already waits with the others, and who asks later finds the answer. An entry is in one of four
 * states; it may be freed in the last alone.
 *
 * Answers go out at the end of the turn, whatever they come from: nobody is called back amid his
 * own call, and a hit in the cache takes the same way as an answer from afar.
 */
#include "util/sys/dns.h"

#include "util/base/hash.h"
#include "util/base/panic.h"
#include "util/base/random.h"
#include "util/sys/dns_transport.h"

enum { KEPT_OCTETS = 16384 /* larger answers are handed out and forgotten */ };

enum state {
    ENTRY_SENT,    /* the servers have the question */
    ENTRY_READY,   /* its answer waits for the end of the turn */
    ENTRY_TELLING, /* those who asked are called */
    ENTRY_KEPT     /* in the cache, nobody waits for it */
};

TAILQ_HEAD(entries, dns_entry);

struct dns_entry {
    struct dns_exchange exchange; /* the first member: dns_transport hands it back */
    struct dns *dns;
    UT_hash_handle hh; /* by the question */
    TAILQ_ENTRY(dns_entry) link;
    TAILQ_HEAD(, dns_query) waiting;
    enum state state;
    int64_t expires; /* loop_now() */
    struct dns_answer answer;
    void *records; /* one block with all that the answer points to */
    size_t records_size;
    size_t query_len;
    uint8_t query[DNS_QUERY_MAX];
};

struct dns {
    struct loop *loop;
    struct dns_transport *transport;
    struct turn turn;
    struct arena scratch; /* while a message is read */
    struct dns_entry *by_question;
    struct entries ready, kept;        /* kept: the least recently used first */
    struct dns_entry no_name, refused; /* answers without a question */
    size_t questions_max, entries_max;
    struct dns_counts counts;
};

static void tell_all(void *arg);
static void on_message(struct dns_exchange *exchange, struct span message);

static void entry_init(struct dns_entry *entry, struct dns *dns)
{
    entry->dns = dns;
    entry->exchange.answered = on_message;
    entry->state = ENTRY_KEPT;
    TAILQ_INIT(&entry->waiting);
}

struct dns *dns_new(struct loop *loop, const struct dns_options *options)
{
    struct dns *dns = mem_new(sizeof(*dns));
    dns->loop = loop;
    dns->turn = (struct turn){.run = tell_all, .arg = dns};
    dns->questions_max = options->questions;
    dns->entries_max = options->entries;
    TAILQ_INIT(&dns->ready);
    TAILQ_INIT(&dns->kept);
    entry_init(&dns->no_name, dns);
    dns->no_name.answer.result = DNS_NO_NAME;
    entry_init(&dns->refused, dns);
    dns->refused.answer.result = DNS_TEMPORARY;
    dns->transport = dns_transport_new(loop, options);
    return dns;
}

/* ---- entries ---- */

static bool is_fixed(const struct dns_entry *entry)
{
    return entry == &entry->dns->no_name || entry == &entry->dns->refused;
}

/* Queries that still wait are told nothing, and know that they are not asked any more. */
static void drop_waiting(struct dns_entry *entry)
{
    struct dns_query *query;
    while ((query = TAILQ_FIRST(&entry->waiting)) != NULL)
        dns_cancel(query);
}

static void entry_free(struct dns_entry *entry)
{
    drop_waiting(entry);
    HASH_DEL(entry->dns->by_question, entry);
    mem_free(entry->records);
    mem_free(entry);
}

/* Out of the cache. */
static void forget(struct dns_entry *entry)
{
    TAILQ_REMOVE(&entry->dns->kept, entry, link);
    entry->dns->counts.kept--;
    entry_free(entry);
}

static void make_ready(struct dns_entry *entry)
{
    entry->state = ENTRY_READY;
    TAILQ_INSERT_TAIL(&entry->dns->ready, entry, link);
    loop_later(entry->dns->loop, &entry->dns->turn);
}

/* Into the cache, or away. */
static void keep(struct dns_entry *entry)
{
    struct dns *dns = entry->dns;
    entry->state = ENTRY_KEPT;
    if (is_fixed(entry))
        return;
    if (entry->expires <= loop_now(dns->loop) || entry->records_size > KEPT_OCTETS) {
        entry_free(entry);
        return;
    }
    TAILQ_INSERT_TAIL(&dns->kept, entry, link);
    if (++dns->counts.kept > dns->entries_max)
        forget(TAILQ_FIRST(&dns->kept));
}

/* ---- answers ---- */

/* Moves what was read in the scratch arena into a block of the entry's own. */
static void own_records(struct dns_entry *entry)
{
    struct dns_answer *answer = &entry->answer;
    size_t size = answer->count * sizeof(*answer->records);
    for (size_t i = 0; i < answer->count; i++)
        size += answer->records[i].text.len;
    struct dns_record *records = mem_new(size);
    char *text = (char *)(records + answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        records[i] = answer->records[i];
        if (records[i].text.len == 0)
            continue;
        memcpy(text, records[i].text.data, records[i].text.len);
        records[i].text.data = text;
        text += records[i].text.len;
    }
    entry->records = records;
    entry->records_size = size;
    answer->records = records;
}

/* No message at all reads as nonsense does. */
static void on_message(struct dns_exchange *exchange, struct span message)
{
    struct dns_entry *entry = (struct dns_entry *)(void *)exchange;
    struct dns *dns = entry->dns;
    entry->answer =
        dns_message_read(message, span_of(entry->query, entry->query_len), &dns->scratch);
    own_records(entry);
    arena_reset(&dns->scratch);
    entry->answer.authentic = entry->answer.authentic && dns_transport_is_local(dns->transport);
    entry->expires = loop_now(dns->loop) + (int64_t)entry->answer.ttl * 1000;
    dns->counts.under_way--;
    dns->counts.temporary += entry->answer.result == DNS_TEMPORARY;
    make_ready(entry);
}

/* Who asks for the same again from within is told in this round too. */
static void tell(struct dns_entry *entry)
{
    struct dns_query *query;
    entry->state = ENTRY_TELLING;
    while ((query = TAILQ_FIRST(&entry->waiting)) != NULL) {
        dns_cancel(query);
        query->answered(query->arg, &entry->answer);
    }
    keep(entry);
}

static void tell_all(void *arg)
{
    struct dns *dns = arg;
    struct dns_entry *entry;
    while ((entry = TAILQ_FIRST(&dns->ready)) != NULL) {
        TAILQ_REMOVE(&dns->ready, entry, link);
        tell(entry);
    }
}

/* ---- questions ---- */

/* A new entry whose question goes to the servers. Its id is drawn like every secret: it is what an
 * answer from elsewhere would have to guess (RFC 5452 §9.2). */
static struct dns_entry *new_question(struct dns *dns, const uint8_t *query, size_t len)
{
    struct dns_entry *entry = mem_new(sizeof(*entry));
    entry_init(entry, dns);
    memcpy(entry->query, query, len);
    random_fill(entry->query, 2);
    entry->query_len = len;
    entry->state = ENTRY_SENT;
    struct span question = dns_message_question(span_of(entry->query, len));
    HASH_ADD_KEYPTR(hh, dns->by_question, question.data, question.len, entry);
    dns->counts.sent++;
    dns->counts.under_way++;
    return entry;
}

/* What is kept or under way for the question; not what is too old. */
static struct dns_entry *find_entry(struct dns *dns, struct span question)
{
    struct dns_entry *entry;
    HASH_FIND(hh, dns->by_question, question.data, question.len, entry);
    if (entry == NULL || entry->state != ENTRY_KEPT)
        return entry;
    if (entry->expires <= loop_now(dns->loop)) {
        forget(entry);
        return NULL;
    }
    TAILQ_REMOVE(&dns->kept, entry, link);
    dns->counts.kept--;
    make_ready(entry);
    return entry;
}

static struct dns_entry *fixed_entry(struct dns_entry *entry)
{
    if (entry->state == ENTRY_KEPT)
        make_ready(entry);
    return entry;
}

static void wait_for(struct dns_entry *entry, struct dns_query *query)
{
    query->entry = entry;
    TAILQ_INSERT_TAIL(&entry->waiting, query, link);
}

void dns_ask(struct dns *dns, struct dns_query *query, enum dns_type type, struct span name)
{
    uint8_t octets[DNS_QUERY_MAX];
    size_t len = dns_message_query(0, type, name, octets);
    require(query->answered != NULL && query->entry == NULL);
    dns->counts.asked++;
    if (len == 0) {
        wait_for(fixed_entry(&dns->no_name), query);
        return;
    }
    struct dns_entry *entry = find_entry(dns, dns_message_question(span_of(octets, len)));
    if (entry != NULL) {
        wait_for(entry, query);
    } else if (dns->counts.under_way >= dns->questions_max) {
        wait_for(fixed_entry(&dns->refused), query);
    } else {
        entry = new_question(dns, octets, len);
        wait_for(entry, query);
        dns_transport_send(dns->transport, &entry->exchange, span_of(entry->query, len));
    }
}

void dns_query_init(struct dns_query *query, void (*answered)(void *, const struct dns_answer *),
                    void *arg)
{
    *query = (struct dns_query){.answered = answered, .arg = arg};
}

void dns_cancel(struct dns_query *query)
{
    if (query->entry == NULL)
        return;
    TAILQ_REMOVE(&query->entry->waiting, query, link);
    query->entry = NULL;
}

bool dns_is_asked(const struct dns_query *query)
{
    return query->entry != NULL;
}

struct loop *dns_loop(const struct dns *dns)
{
    return dns->loop;
}

void dns_ports(const struct dns *dns, uint16_t out[DNS_SERVERS_MAX])
{
    dns_transport_ports(dns->transport, out);
}

struct dns_counts dns_counts(const struct dns *dns)
{
    return dns->counts;
}

/* Ending the transport answers what is under way, so every entry is in the hash and none is sent
 * when they are freed. */
void dns_free(struct dns *dns)
{
    if (dns == NULL)
        return;
    struct dns_entry *entry, *following;
    dns_transport_free(dns->transport);
    loop_forget(dns->loop, &dns->turn);
    drop_waiting(&dns->no_name);
    drop_waiting(&dns->refused);
    HASH_ITER (hh, dns->by_question, entry, following)
        entry_free(entry);
    arena_free(&dns->scratch);
    mem_free(dns);
}
