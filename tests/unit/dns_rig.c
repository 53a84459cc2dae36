/*
 * The answers are made from texts, in the plain form: no compression but for owners, which point to
 * the question or to their alias by being written out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dns_rig.h"
#include "tests/unit/local_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/base/clock.h"

enum { HEADER = 12, TYPE_SOA = 6, PATIENCE_MS = 10000 };

/* ---- octets ---- */

static void put_u16(struct buf *out, unsigned number)
{
    const uint8_t octets[] = {(uint8_t)(number >> 8), (uint8_t)number};
    buf_add(out, span_of(octets, sizeof octets));
}

static void put_u32(struct buf *out, uint32_t number)
{
    put_u16(out, number >> 16);
    put_u16(out, number & 0xffff);
}

static void put_name(struct buf *out, struct span name)
{
    struct span label;
    while (span_next(&name, '.', &label)) {
        const uint8_t len = (uint8_t)label.len;
        buf_add(out, span_of(&len, 1));
        buf_add(out, label);
    }
    buf_add(out, span_of("", 1));
}

static void put_data(struct buf *out, const struct rig_row *row)
{
    union net_address address;
    struct span text = span_cstr(row->data);
    if (span_has_prefix(text, SPAN("raw:"))) {
        buf_add(out, span_of(row->data + 4, row->data_len));
    } else if (row->type == DNS_A && net_parse_address(text, &address)) {
        buf_add(out, span_of(&address.v4.sin_addr, 4));
    } else if (row->type == DNS_AAAA && net_parse_address(text, &address)) {
        buf_add(out, span_of(&address.v6.sin6_addr, 16));
    } else if (row->type == DNS_MX) {
        put_u16(out, (unsigned)atoi(row->data));
        put_name(out, span_skip(text, span_find(text, ' ') + 1));
    } else if (row->type == DNS_TXT) {
        do {
            struct span part = span_first(text, 200);
            const uint8_t len = (uint8_t)part.len;
            buf_add(out, span_of(&len, 1));
            buf_add(out, part);
            text = span_skip(text, part.len);
        } while (text.len > 0);
    } else {
        put_name(out, text);
    }
}

static void put_record(struct buf *out, struct span owner, const struct rig_row *row)
{
    struct buf data = {0};
    put_data(&data, row);
    put_name(out, owner);
    put_u16(out, row->type);
    put_u16(out, 1);
    put_u32(out, row->ttl ? row->ttl : RIG_TTL);
    put_u16(out, (unsigned)buf_len(&data));
    buf_add(out, buf_span(&data));
    buf_free(&data);
}

static void put_soa(struct buf *out)
{
    static const char names[] = "\2ns\4test\0\4root\4test";
    put_name(out, SPAN("test"));
    put_u16(out, TYPE_SOA);
    put_u16(out, 1);
    put_u32(out, 2 * RIG_NEGATIVE_TTL);
    put_u16(out, sizeof names + 20);
    buf_add(out, span_of(names, sizeof names));
    for (int i = 0; i < 4; i++)
        put_u32(out, 1);
    put_u32(out, RIG_NEGATIVE_TTL);
}

/* ---- answers ---- */

static struct span name_of(struct span query, char out[256])
{
    size_t used = 0, at = HEADER;
    while (at < query.len && query.data[at] != 0) {
        size_t len = (uint8_t)query.data[at];
        memcpy(out + used, query.data + at + 1, len);
        out[used + len] = '.';
        used += len + 1;
        at += len + 1;
    }
    return span_of(out, used > 0 ? used - 1 : 0);
}

static enum rig_fault fault_of(const struct dns_rig *rig, struct span name)
{
    for (const struct rig_row *row = rig->rows; row->name; row++)
        if (row->fault != RIG_GOOD && span_equal_nocase(span_cstr(row->name), name))
            return row->fault;
    return RIG_GOOD;
}

/* Counts the records, and whether the name is there; an alias is followed. */
static unsigned put_answers(const struct dns_rig *rig, struct span name, unsigned type,
                            struct buf *out, bool *exists)
{
    unsigned count = 0;
    *exists = false;
    for (const struct rig_row *row = rig->rows; row->name; row++) {
        if (!span_equal_nocase(span_cstr(row->name), name))
            continue;
        *exists = true;
        if (row->type != type && row->type != RIG_CNAME)
            continue;
        put_record(out, name, row);
        count++;
        if (row->type == RIG_CNAME && buf_len(out) < 2000)
            return count + put_answers(rig, span_cstr(row->data), type, out, exists);
    }
    return count;
}

static size_t question_size(struct span query)
{
    return query.len - HEADER - 11;
}

static unsigned type_of(struct span query)
{
    size_t at = HEADER + question_size(query) - 4;
    return (unsigned)(uint8_t)query.data[at] << 8 | (uint8_t)query.data[at + 1];
}

static void put_head(struct buf *out, struct span query, unsigned flags, unsigned answers)
{
    buf_add(out, span_first(query, 2));
    put_u16(out, flags);
    put_u16(out, 1);
    put_u16(out, answers);
    put_u16(out, 1);
    put_u16(out, 0);
    buf_add(out, span_of(query.data + HEADER, question_size(query)));
}

void dns_rig_answer(const struct dns_rig *rig, struct span query, struct buf *out)
{
    char text[256];
    bool exists;
    struct buf answers = {0};
    struct span name = name_of(query, text);
    unsigned count = put_answers(rig, name, type_of(query), &answers, &exists);
    put_head(out, query, 0x8180U | (rig->authentic ? 0x20U : 0U) | (exists ? 0U : 3U), count);
    buf_add(out, buf_span(&answers));
    put_soa(out);
    buf_free(&answers);
}

/* ---- sockets ---- */

typedef void send_message(const struct dns_rig *rig, const union net_address *to,
                          struct span octets);

static void send_udp(const struct dns_rig *rig, const union net_address *to, struct span octets)
{
    assert_int_equal(sendto(rig->udp.fd, octets.data, octets.len, 0, &to->any, sizeof to->v4),
                     octets.len);
}

static void send_tcp(const struct dns_rig *rig, const union net_address *to, struct span octets)
{
    const uint8_t len[] = {(uint8_t)(octets.len >> 8), (uint8_t)octets.len};
    (void)to;
    assert_int_equal(send(rig->tcp.fd, len, 2, 0), 2);
    assert_int_equal(send(rig->tcp.fd, octets.data, octets.len, 0), octets.len);
}

/* What comes before the right answer, or in its place. True: the right one follows. */
static bool misbehave(const struct dns_rig *rig, enum rig_fault fault, struct span query,
                      struct buf *out)
{
    static const struct rig_row wrong = {.type = DNS_A, .data = "192.0.2.66"};
    char copy[DNS_QUERY_MAX], text[256];
    (void)rig;
    memcpy(copy, query.data, query.len);
    if (fault == RIG_WRONG_ID)
        copy[0] ^= 0x55;
    else if (fault == RIG_WRONG_NAME)
        copy[HEADER + 1] ^= 1;
    if (fault == RIG_WRONG_ID || fault == RIG_WRONG_NAME) {
        put_head(out, span_of(copy, query.len), 0x8180, 1);
        put_record(out, name_of(query, text), &wrong);
    } else if (fault == RIG_TRUNCATED) {
        put_head(out, query, 0x8380, 0);
    } else if (fault == RIG_GARBAGE) {
        put_head(out, query, 0x8180, 400);
        buf_add(out, SPAN("\xc0\xff\x00\x01garbage\xff\xff\xff"));
    } else {
        put_head(out, query, fault == RIG_SERVFAIL ? 0x8182 : 0x8185, 0);
    }
    return fault == RIG_WRONG_ID || fault == RIG_WRONG_NAME;
}

static void serve(const struct dns_rig *rig, struct span query, const union net_address *to,
                  send_message *send_one)
{
    char text[256];
    struct buf out = {0};
    enum rig_fault fault = fault_of(rig, name_of(query, text));
    if (fault == RIG_SILENT)
        return;
    bool good = fault == RIG_GOOD || (fault == RIG_TRUNCATED && send_one == send_tcp);
    if (fault == RIG_EMPTY) {
        send_one(rig, to, SPAN(""));
        good = true;
    } else if (!good) {
        good = misbehave(rig, fault, query, &out);
        send_one(rig, to, buf_span(&out));
        buf_reset(&out);
    }
    if (good) {
        dns_rig_answer(rig, query, &out);
        send_one(rig, to, buf_span(&out));
    }
    buf_free(&out);
}

static void on_udp(void *arg, unsigned events)
{
    struct dns_rig *rig = arg;
    char query[DNS_QUERY_MAX];
    union net_address from;
    socklen_t size = sizeof from;
    (void)events;
    ssize_t count = recvfrom(rig->udp.fd, query, sizeof query, 0, &from.any, &size);
    assert_in_range(count, HEADER + 5 + 11, sizeof query);
    rig->udp_questions++;
    serve(rig, span_of(query, (size_t)count), &from, send_udp);
}

static void stop_tcp(struct dns_rig *rig)
{
    if (rig->tcp.fd > 0)
        (void)close(rig->tcp.fd);
    rig->tcp.fd = 0;
    buf_reset(&rig->in);
}

static void on_tcp(void *arg, unsigned events)
{
    struct dns_rig *rig = arg;
    char *room = buf_room(&rig->in, 1024);
    (void)events;
    ssize_t count = recv(rig->tcp.fd, room, 1024, 0);
    if (count <= 0) {
        io_stop(&rig->tcp);
        stop_tcp(rig);
        return;
    }
    buf_filled(&rig->in, (size_t)count);
    while (buf_len(&rig->in) > 2) {
        struct span held = buf_span(&rig->in);
        size_t len = (size_t)(uint8_t)held.data[0] << 8 | (uint8_t)held.data[1];
        if (held.len < 2 + len)
            return;
        rig->tcp_questions++;
        serve(rig, span_of(held.data + 2, len), NULL, send_tcp);
        buf_consume(&rig->in, 2 + len);
    }
}

/* One connection at a time is enough. */
static void on_connection(void *arg, unsigned events)
{
    struct dns_rig *rig = arg;
    union net_address peer;
    (void)events;
    io_stop(&rig->tcp);
    stop_tcp(rig);
    int fd = net_accept(rig->listener.fd, &peer);
    assert_true(fd >= 0);
    io_init(&rig->tcp, rig->loop, fd, on_tcp, rig);
    io_want(&rig->tcp, IO_READ);
}

/* ---- the rig ---- */

struct dns_options dns_rig_options(void)
{
    return (struct dns_options){.timeout_ms = 200, .tries = 2, .questions = 1000, .entries = 100};
}

/* A port that is free for both: the system gives one of TCP, and another when UDP has it. */
static int open_sockets(struct dns_rig *rig)
{
    union net_address any;
    assert_true(net_parse_endpoint(SPAN("127.0.0.1:0"), &any));
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (;;) {
        int tcp = net_listen(&any, 4);
        assert_true(tcp >= 0 && local_address(tcp, &rig->address));
        rig->listener.fd = tcp;
        if (bind(udp, &rig->address.any, sizeof rig->address.v4) == 0)
            return udp;
        (void)close(tcp);
    }
}

void dns_rig_init_with(struct dns_rig *rig, const struct rig_row *rows, struct dns_options options)
{
    *rig = (struct dns_rig){.loop = loop_new(), .rows = rows};
    int udp = open_sockets(rig);
    io_init(&rig->udp, rig->loop, udp, on_udp, rig);
    io_want(&rig->udp, IO_READ);
    io_init(&rig->listener, rig->loop, rig->listener.fd, on_connection, rig);
    io_want(&rig->listener, IO_READ);
    options.servers = &rig->address;
    options.server_count = 1;
    rig->dns = dns_new(rig->loop, &options);
}

void dns_rig_init(struct dns_rig *rig, const struct rig_row *rows)
{
    dns_rig_init_with(rig, rows, dns_rig_options());
}

void dns_rig_stop(struct dns_rig *rig)
{
    dns_free(rig->dns);
    io_stop(&rig->udp);
    io_stop(&rig->listener);
    io_stop(&rig->tcp);
    (void)close(rig->udp.fd);
    (void)close(rig->listener.fd);
    stop_tcp(rig);
    buf_free(&rig->in);
    loop_free(rig->loop);
}

void dns_rig_until(struct dns_rig *rig, const bool *done)
{
    int64_t end = clock_ms() + PATIENCE_MS;
    while (!*done) {
        if (clock_ms() > end)
            fail_msg("no answer");
        loop_turn(rig->loop, 1000);
    }
}
