/*
 * The forward questions are all asked at once, and the first name that leads back is taken: a
 * client waits for the slowest of two rounds, however many names its address has.
 */
#include "smtpd/client_name.h"

static void finish(struct client_name *client, enum client_name_result result)
{
    client_name_cancel(client);
    client->result = result;
    client->done(client->arg);
}

static bool has_address(const struct dns_answer *answer, const union net_address *address)
{
    struct net_prefix whole = {*address, address->any.sa_family == AF_INET ? 32 : 128};
    for (size_t i = 0; i < answer->count; i++)
        if (net_prefix_holds(&whole, &answer->records[i].address))
            return true;
    return false;
}

static void on_forward(void *arg, const struct dns_answer *answer)
{
    struct client_name_try *attempt = arg;
    struct client_name *client = attempt->client;
    client->under_way--;
    client->trouble = client->trouble || answer->result == DNS_TEMPORARY;
    if (has_address(answer, &client->address)) {
        memcpy(client->name, attempt->name, sizeof(client->name));
        finish(client, CLIENT_NAME_VERIFIED);
    } else if (client->under_way == 0) {
        finish(client, client->trouble ? CLIENT_NAME_TEMPORARY : CLIENT_NAME_UNVERIFIED);
    }
}

/* Addresses of the client's own family alone can match. */
static void try_name(struct client_name *client, struct span name)
{
    bool v4 = client->address.any.sa_family == AF_INET;
    struct client_name_try *attempt = &client->tries[client->under_way];
    if (!span_to_cstr(name, attempt->name, sizeof(attempt->name)))
        return;
    client->under_way++;
    attempt->client = client;
    dns_query_init(&attempt->query, on_forward, attempt);
    dns_ask(client->dns, &attempt->query, v4 ? DNS_A : DNS_AAAA, name);
}

static void on_reverse(void *arg, const struct dns_answer *answer)
{
    struct client_name *client = arg;
    for (size_t i = 0; i < answer->count && client->under_way < CLIENT_NAME_TRIES; i++)
        try_name(client, answer->records[i].text);
    if (client->under_way > 0)
        return;
    finish(client,
           answer->result == DNS_TEMPORARY ? CLIENT_NAME_TEMPORARY : CLIENT_NAME_UNVERIFIED);
}

void client_name_init(struct client_name *client, struct dns *dns, void (*done)(void *), void *arg)
{
    *client = (struct client_name){.dns = dns, .done = done, .arg = arg};
}

void client_name_start(struct client_name *client, const union net_address *address)
{
    char name[DNS_NAME_MAX + 1];
    client->address = *address;
    client->under_way = 0;
    client->trouble = false;
    client->name[0] = '\0';
    dns_query_init(&client->reverse, on_reverse, client);
    dns_ask(client->dns, &client->reverse, DNS_PTR, dns_name_of_address(address, SPAN(""), name));
}

void client_name_cancel(struct client_name *client)
{
    dns_cancel(&client->reverse);
    for (size_t i = 0; i < CLIENT_NAME_TRIES; i++)
        dns_cancel(&client->tries[i].query);
}
