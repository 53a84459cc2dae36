/*
 * All lists are waited for, because one that speaks for the client may come last; the wait has an
 * end of its own, shorter than that of the resolver. The words of a list are asked for when they
 * will be said, and no longer waited for than the rest.
 */
#include "smtpd/dns_list.h"

/* One list. */
struct dns_list_query {
    struct dns_list *list;
    const struct conf_dns_list *conf;
    struct dns_query query;
    bool listed;
};

/* RFC 5782 §2.1; 127.255.255.0/24 is what lists agreed on for errors. */
enum { LOOPBACK_NET = 127, ERRORS_NET = 0x7fffff };

static void stop(struct dns_list *list)
{
    dns_cancel(&list->reason);
    timer_cancel(&list->patience);
    for (size_t i = 0; list->queries != NULL && i < list->conf->dns_lists.count; i++)
        dns_cancel(&list->queries[i].query);
}

static void finish(struct dns_list *list)
{
    stop(list);
    list->done(list->arg);
}

/* ---- the reason ---- */

/* A text from a stranger on its way into a reply: bounded, and nothing in it but what can be
 * printed (RFC 5321 §4.2 allows no more either). */
static void put_text(struct dns_list *list, struct span words)
{
    size_t used = 0;
    for (size_t i = 0; i < words.len && used + 1 < sizeof(list->text); i++) {
        char octet = words.data[i];
        list->text[used++] = octet >= ' ' && octet <= '~' ? octet : '?';
    }
    list->text[used] = '\0';
}

static void on_reason(void *arg, const struct dns_answer *answer)
{
    struct dns_list *list = arg;
    if (answer->count > 0)
        put_text(list, answer->records[0].text);
    finish(list);
}

/* RFC 5782 §2.1: the TXT record beside the address. */
static void ask_reason(struct dns_list *list)
{
    char name[DNS_NAME_MAX + 1];
    dns_ask(list->dns, &list->reason, DNS_TXT,
            dns_name_of_address(&list->client, list->zone, name));
}

/* ---- the sum ---- */

static void add_up(struct dns_list *list)
{
    for (size_t i = 0; i < list->conf->dns_lists.count; i++) {
        const struct dns_list_query *query = &list->queries[i];
        if (!query->listed)
            continue;
        list->sum += query->conf->weight;
        if (query->conf->weight > 0 && list->zone.len == 0)
            list->zone = query->conf->zone;
    }
    list->refused = list->sum >= (int64_t)list->conf->dns_list_reject;
    if (!list->refused)
        list->zone = SPAN("");
}

/* The same end whether all answered or patience did. */
static void decide(struct dns_list *list)
{
    add_up(list);
    if (list->refused && timer_is_set(&list->patience))
        ask_reason(list);
    else
        finish(list);
}

static bool counts(const struct conf_answer_ranges *ranges, const union net_address *answer)
{
    uint32_t address = ntohl(answer->v4.sin_addr.s_addr);
    if (address >> 24 != LOOPBACK_NET || address >> 8 == ERRORS_NET)
        return false;
    for (size_t i = 0; i < ranges->count; i++)
        if (address >= ranges->items[i].first && address <= ranges->items[i].last)
            return true;
    return false;
}

static void on_listed(void *arg, const struct dns_answer *answer)
{
    struct dns_list_query *query = arg;
    for (size_t i = 0; i < answer->count; i++)
        query->listed = query->listed || counts(&query->conf->answers, &answer->records[i].address);
    if (--query->list->under_way == 0)
        decide(query->list);
}

/* Those that have not answered are not on any list. Set or not, the timer is not any more: so
 * nobody waits for a reason. */
static void on_patience(void *arg)
{
    struct dns_list *list = arg;
    bool decided = list->under_way == 0;
    stop(list);
    if (decided)
        finish(list);
    else
        decide(list);
}

/* ---- the calls ---- */

void dns_list_init(struct dns_list *list, struct dns *dns, void (*done)(void *), void *arg)
{
    *list = (struct dns_list){.dns = dns, .done = done, .arg = arg};
    dns_query_init(&list->reason, on_reason, list);
    timer_init(&list->patience, dns_loop(dns), on_patience, list);
}

void dns_list_start(struct dns_list *list, const struct conf *conf, const union net_address *client)
{
    char name[DNS_NAME_MAX + 1];
    size_t count = conf->dns_lists.count;
    dns_list_cancel(list);
    list->conf = conf;
    list->client = *client;
    list->sum = 0;
    list->refused = false;
    list->zone = SPAN("");
    list->text[0] = '\0';
    list->under_way = count;
    list->queries = mem_array(count, sizeof(*list->queries));
    timer_set(&list->patience, count > 0 ? DNS_LIST_PATIENCE_MS : 0);
    for (size_t i = 0; i < count; i++) {
        struct dns_list_query *query = &list->queries[i];
        query->list = list;
        query->conf = &conf->dns_lists.items[i];
        dns_query_init(&query->query, on_listed, query);
        dns_ask(list->dns, &query->query, DNS_A,
                dns_name_of_address(client, query->conf->zone, name));
    }
}

void dns_list_cancel(struct dns_list *list)
{
    stop(list);
    mem_free(list->queries);
    list->queries = NULL;
}
