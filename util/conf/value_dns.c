/*
 * Values of the sections dns and dns_list. What a list may answer is bounded here already, so that
 * no slip of the pen makes a list refuse everybody.
 */
#include "util/conf/value_dns.h"

#include "util/conf/conf.h"
#include "util/conf/value.h"

enum { DNS_PORT = 53 };

static in_port_t *port_of(union net_address *address)
{
    return address->any.sa_family == AF_INET ? &address->v4.sin_port : &address->v6.sin6_port;
}

/* Port 53 is where resolvers are; another one is for tests and for those behind something. */
bool value_read_servers(const struct setting *row, struct span text, void *field,
                        const struct value_place *place)
{
    struct conf_endpoints *list = field;
    union net_address server;
    (void)row;
    if (net_parse_address(text, &server))
        *port_of(&server) = htons(DNS_PORT);
    else if (!net_parse_endpoint(text, &server) || net_port(&server) == 0)
        return false;
    list->items = value_grown(place->arena, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = server;
    return true;
}

static void print_server(const union net_address *server, FILE *out)
{
    char text[NET_TEXT_MAX];
    struct span host = net_text(server, text);
    bool v6 = server->any.sa_family == AF_INET6;
    fprintf(out, v6 ? "\"[%.*s]:%u\"" : "\"%.*s:%u\"", SPAN_ARG(host), net_port(server));
}

/* With the port always. */
void value_print_servers(const struct setting *row, const void *field, FILE *out)
{
    const struct conf_endpoints *list = field;
    (void)row;
    fputc('{', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_server(&list->items[i], out);
    }
    fputc('}', out);
}

/* ---- lists in the DNS ---- */

/* A minus and digits; a plus would be one more spelling of the same. */
bool value_read_weight(const struct setting *row, struct span text, void *field,
                       const struct value_place *place)
{
    bool negative = span_has_prefix(text, SPAN("-"));
    uint64_t number;
    (void)place;
    if (!span_to_u64(span_skip(text, negative ? 1 : 0), row->most, &number))
        return false;
    *(int64_t *)field = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

void value_print_weight(const struct setting *row, const void *field, FILE *out)
{
    (void)row;
    fprintf(out, "%lld", (long long)*(const int64_t *)field);
}

/* RFC 5782 §2.1: lists answer within 127.0.0.0/8; whatever else comes is a hijacked resolver or a
 * domain that was sold. */
bool value_read_answers(const struct setting *row, struct span text, void *field,
                        const struct value_place *place)
{
    struct conf_answer_ranges *list = field;
    union net_address first;
    size_t dash = span_find(text, '-');
    uint64_t last;
    (void)row;
    if (!net_parse_address(span_first(text, dash), &first) || first.any.sa_family != AF_INET ||
        !net_is_loopback(&first))
        return false;
    uint32_t address = ntohl(first.v4.sin_addr.s_addr);
    last = address & 0xff;
    if (dash < text.len &&
        (!span_to_u64(span_skip(text, dash + 1), 255, &last) || last < (address & 0xff)))
        return false;
    list->items = value_grown(place->arena, list->items, list->count, sizeof *list->items);
    list->items[list->count++] =
        (struct conf_answer_range){address, (address & ~UINT32_C(0xff)) | (uint32_t)last};
    return true;
}

void value_print_answers(const struct setting *row, const void *field, FILE *out)
{
    const struct conf_answer_ranges *list = field;
    (void)row;
    fputc('{', out);
    for (size_t i = 0; i < list->count; i++) {
        uint32_t first = list->items[i].first, last = list->items[i].last;
        fprintf(out, "%s\"127.%u.%u.%u", i > 0 ? ", " : "", first >> 16 & 0xff, first >> 8 & 0xff,
                first & 0xff);
        if (last != first)
            fprintf(out, "-%u", last & 0xff);
        fputc('"', out);
    }
    fputc('}', out);
}
