/*
 * A whole smtpd worker in one process: real sessions over socket pairs, the real spool writer over
 * memory files, and this file in the parts of lookup, qmgr and client. All of it runs on one loop,
 * so a test waits for what it expects and for nothing else.
 */
#ifndef VEREDUS_TESTS_SMTPD_RIG_H
#define VEREDUS_TESTS_SMTPD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd/recipients.h"
#include "smtpd/segments.h"
#include "smtpd/session.h"
#include "util/base/clock.h"
#include "util/ipc/channel.h"
#include "util/mail/senders_table.h"

#define COUNT(rows)    (sizeof(rows) / sizeof((rows)[0]))
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define RIG_HELLO      "EHLO client.test\r\n"
#define RIG_MAIL       "MAIL FROM:<joe@sender.test>\r\n"
#define RIG_RCPT       "RCPT TO:<alice@example.test>\r\n"
#define RIG_DATA_OK    "354 End data with <CR><LF>.<CR><LF>\r\n"
#define RIG_BUFFER     (1 << 20)
#define RIG_SEGMENT    ((uint64_t)8 << 20)

enum { RIG_SEGMENTS = 64, RIG_DEADLINE_MS = 10000 };

struct rig {
    struct loop *loop;
    struct conf *conf;
    struct page *page, *qmgr_page;
    struct daemon_page pages[1];
    size_t page_count;
    struct worker worker;
    struct channel *lookup, *qmgr; /* the other ends */
    bool lookup_silent;
    size_t access_asked, greylist_asked;
    struct resolve asked[64]; /* while it is silent; the spans are gone */
    size_t asked_count;
    bool qmgr_gives;
    size_t runs_asked; /* by ETRN; the last one: */
    uint32_t run_query;
    uint8_t run_subdomains;
    char run_domain[256];
    int segments[RIG_SEGMENTS]; /* number - 1: our own descriptor */
    size_t segment_count;
    size_t held, held_last, sealed;
    uint64_t durable_end;
    struct daemon_listener listener; /* where clients come in */
    int client;                      /* our end of the connection */
    struct session *session;
    struct buf heard;
};

static inline struct rig *rig_of(void **state)
{
    return *state;
}

/* ---- lookup ---- */

static inline void rig_answer(struct rig *rig, uint32_t query, enum resolve_status status,
                              bool more, struct span address)
{
    const struct resolved answer = {
        .query = query,
        .status = (uint8_t)status,
        .more = more,
        .address = address,
        .transport = SPAN("local"),
        .nexthop = address,
    };
    assert_true(channel_send(rig->lookup, &ipc_resolved, &answer, NULL));
}

static inline void rig_resolve(struct rig *rig, const struct resolve *question)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "%.*s@%.*s", SPAN_ARG(question->local),
                   SPAN_ARG(question->domain));
    bool ours = span_equal(question->domain, SPAN("example.test"));
    if (span_equal(question->local, SPAN("nobody")))
        rig_answer(rig, question->query, RESOLVE_UNKNOWN_USER, false, SPAN(""));
    else if (span_equal(question->local, SPAN("broken")))
        rig_answer(rig, question->query, RESOLVE_TEMPORARY, false, SPAN(""));
    else if (span_equal(question->local, SPAN("loop")))
        rig_answer(rig, question->query, RESOLVE_LOOP, false, SPAN(""));
    else if (!ours && (question->flags & RESOLVE_TRUSTED) == 0)
        rig_answer(rig, question->query, RESOLVE_RELAY_DENIED, false, SPAN(""));
    else if (span_equal(question->local, SPAN("team"))) {
        rig_answer(rig, question->query, RESOLVE_OK, true, SPAN("alice@example.test"));
        rig_answer(rig, question->query, RESOLVE_OK, false, SPAN("bob@example.test"));
    } else
        rig_answer(rig, question->query, RESOLVE_OK, false, span_cstr(text));
}

/* The tables say nothing unless a test lets them: REJECT, HOLD, DEFER or OK where a key begins so,
 * and a login may use its own domain "shared.test". */
static inline void rig_access(struct rig *rig, const struct access_ask *ask)
{
    const struct span keys[] = {ask->name, ask->helo, ask->sender, ask->recipient};
    struct access_answer answer = {.query = ask->query};
    rig->access_asked++;
    for (unsigned kind = 0; kind < COUNT(keys); kind++) {
        if (!(ask->kinds & 1U << kind))
            continue;
        bool reject = span_has_prefix(keys[kind], SPAN("reject"));
        bool hold = span_has_prefix(keys[kind], SPAN("hold"));
        bool ok = span_has_prefix(keys[kind], SPAN("ok"));
        answer.held |= (uint8_t)(hold << kind);
        answer.ok |= (uint8_t)(ok << kind);
        if (answer.status == ACCESS_CLEAR && (reject || hold || ok)) {
            answer.kind = (uint8_t)kind;
            answer.line = 7 + kind;
        }
        if (answer.status == ACCESS_CLEAR && reject) {
            answer.status = ACCESS_REFUSED;
            answer.code = 554;
            answer.enhanced = SPAN("5.7.1");
            answer.text = SPAN("Not with us");
        }
    }
    assert_true(channel_send(rig->lookup, &ipc_access_answer, &answer, NULL));
}

static inline void rig_sender(struct rig *rig, const struct sender_ask *ask)
{
    bool shared = span_has_suffix(ask->address, SPAN("@shared.test"));
    const struct sender_answer answer = {ask->query, shared ? SENDERS_LISTED : SENDERS_REFUSED,
                                         shared ? 3 : 0};
    assert_true(channel_send(rig->lookup, &ipc_sender_answer, &answer, NULL));
}

/* Who says "again" was here before. */
static inline void rig_greylist(struct rig *rig, const struct greylist_ask *ask)
{
    bool again = span_has_prefix(ask->sender, SPAN("again"));
    const struct greylist_answer answer = {ask->query, again ? 0 : 300};
    rig->greylist_asked++;
    assert_true(channel_send(rig->lookup, &ipc_greylist_answer, &answer, NULL));
}

static inline void rig_on_lookup(void *arg, struct channel *channel, const struct ipc_type *type,
                                 const void *message, struct fd_list *fds)
{
    struct rig *rig = arg;
    (void)channel, (void)fds;
    if (type == &ipc_access_ask) {
        rig_access(rig, message);
        return;
    }
    if (type == &ipc_sender_ask) {
        rig_sender(rig, message);
        return;
    }
    if (type == &ipc_greylist_ask) {
        rig_greylist(rig, message);
        return;
    }
    assert_ptr_equal(type, &ipc_resolve);
    if (!rig->lookup_silent) {
        rig_resolve(rig, message);
        return;
    }
    assert_true(rig->asked_count < COUNT(rig->asked));
    memcpy(&rig->asked[rig->asked_count++], message, sizeof(struct resolve));
}

/* ---- qmgr ---- */

static inline void rig_give(struct rig *rig, enum spool_kind kind)
{
    assert_true(rig->segment_count < RIG_SEGMENTS);
    int fd = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    rig->segments[rig->segment_count++] = fd;
    const struct segment_give give = {
        .number = rig->segment_count, .kind = (uint8_t)kind, .size = RIG_SEGMENT};
    assert_true(channel_send(rig->qmgr, &ipc_segment_give, &give, &fd));
}

static inline void rig_on_qmgr(void *arg, struct channel *channel, const struct ipc_type *type,
                               const void *message, struct fd_list *fds)
{
    struct rig *rig = arg;
    (void)channel, (void)fds;
    if (type == &ipc_segment_held) {
        const struct segment_held *held = message;
        rig->held += held->number != 0;
        rig->held_last += held->last;
    } else if (type == &ipc_segment_durable) {
        rig->durable_end = ((const struct segment_durable *)message)->end;
    } else if (type == &ipc_segment_sealed) {
        rig->sealed++;
    } else if (type == &ipc_queue_run) {
        const struct queue_run *run = message;
        rig->runs_asked++;
        rig->run_query = run->query;
        rig->run_subdomains = run->subdomains;
        assert_true(span_to_cstr(run->domain, rig->run_domain, sizeof(rig->run_domain)));
    } else if (type == &ipc_segment_want && rig->qmgr_gives) {
        const struct segment_want *want = message;
        for (unsigned i = 0; i < want->shared; i++)
            rig_give(rig, SPOOL_SHARED);
        for (unsigned i = 0; i < want->private; i++)
            rig_give(rig, SPOOL_PRIVATE);
    }
}

static inline void rig_on_closed(void *arg, struct channel *channel)
{
    struct rig *rig = arg;
    channel_free(channel);
    if (rig->lookup == channel)
        rig->lookup = NULL;
    else if (rig->qmgr == channel) /* and not one that has another in its place */
        rig->qmgr = NULL;
}

static inline void rig_connect_lookup(struct rig *rig)
{
    int pair[2];
    const struct channel_calls calls = {rig_on_lookup, rig_on_closed, rig};
    assert_true(seqpacket_pair(pair, RIG_BUFFER));
    rig->lookup = channel_new(rig->loop, pair[0], &calls);
    recipients_connect(&rig->worker, pair[1]);
}

static inline void rig_connect_qmgr(struct rig *rig)
{
    int pair[2];
    const struct channel_calls calls = {rig_on_qmgr, rig_on_closed, rig};
    assert_true(seqpacket_pair(pair, RIG_BUFFER));
    rig->qmgr = channel_new(rig->loop, pair[0], &calls);
    segments_connect(&rig->worker, pair[1]);
}

/* Another qmgr that does not read: gives its end. */
static inline int rig_connect_deaf_qmgr(struct rig *rig)
{
    int pair[2];
    const struct segment_want nothing = {.shared = 0}; /* small: it leaves no room for anything */
    assert_true(seqpacket_pair(pair, 65536));
    segments_connect(&rig->worker, pair[1]);
    while (channel_send(rig->worker.qmgr, &ipc_segment_want, &nothing, NULL))
        ;
    loop_turn(rig->loop, 0);
    while (channel_send(rig->worker.qmgr, &ipc_segment_want, &nothing, NULL))
        ;
    return pair[0];
}

/* It begins to read. */
static inline void rig_hear_qmgr(struct rig *rig, int fd)
{
    const struct channel_calls calls = {rig_on_qmgr, rig_on_closed, rig};
    rig->qmgr = channel_new(rig->loop, fd, &calls);
}

/* ---- the client ---- */

static inline union net_address rig_address(const char *text)
{
    union net_address address;
    assert_true(net_parse_address(span_cstr(text), &address));
    return address;
}

/* Connects from `address`; the greeting is not heard yet. */
static inline void rig_connect_from(struct rig *rig, const char *address)
{
    int pair[2];
    union net_address client = rig_address(address);
    if (rig->client >= 0)
        (void)close(rig->client);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->client = pair[0];
    buf_reset(&rig->heard);
    rig->session = session_new(&rig->worker, pair[1], &client, &rig->listener);
}

static inline void rig_write(struct rig *rig, struct span octets)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (octets.len > 0) {
        ssize_t sent = send(rig->client, octets.data, octets.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* closed: the test sees it in what it hears */
        octets = span_skip(octets, sent > 0 ? (size_t)sent : 0);
        loop_turn(rig->loop, 0);
        assert_true(clock_ms() < deadline);
    }
}

/* Takes what the server said; false at the end of the connection. */
static inline bool rig_listen(struct rig *rig)
{
    for (;;) {
        char *room = buf_room(&rig->heard, 65536);
        ssize_t got = recv(rig->client, room, 65536, 0);
        if (got > 0)
            buf_filled(&rig->heard, (size_t)got);
        else
            return got < 0 && errno == EAGAIN;
    }
}

/* Hears at least `size` octets, or the end. */
static inline struct span rig_hear(struct rig *rig, size_t size)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    loop_turn(rig->loop, 0);
    while (rig_listen(rig) && buf_len(&rig->heard) < size && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    return buf_span(&rig->heard);
}

static inline void rig_expect(struct rig *rig, const char *expected)
{
    struct span text = rig_hear(rig, strlen(expected));
    if (!span_equal(text, span_cstr(expected)))
        print_error("expected: %s\nheard:    %.*s\n", expected, SPAN_ARG(text));
    assert_true(span_equal(text, span_cstr(expected)));
    buf_reset(&rig->heard);
}

/* Hears one whole reply and gives its code; 0 at the end of the connection. */
static inline unsigned rig_hear_code(struct rig *rig)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    for (;;) {
        /* Listens before it waits: most replies are there already. */
        bool open = rig_listen(rig);
        struct span rest = buf_span(&rig->heard), line;
        while (span_find(rest, '\n') < rest.len && span_next(&rest, '\n', &line))
            if (line.len > 3 && line.data[3] == ' ') {
                unsigned code = (unsigned)atoi(line.data);
                buf_consume(&rig->heard, buf_len(&rig->heard) - rest.len);
                return code;
            }
        if (!open || clock_ms() > deadline)
            return 0;
        loop_turn(rig->loop, 20);
    }
}

static inline void rig_say(struct rig *rig, const char *line, const char *expected)
{
    rig_write(rig, span_cstr(line));
    rig_expect(rig, expected);
}

static inline unsigned rig_ask(struct rig *rig, const char *line)
{
    rig_write(rig, span_cstr(line));
    return rig_hear_code(rig);
}

/* The server has closed: nothing more is heard. */
static inline void rig_expect_end(struct rig *rig)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    while (rig_listen(rig) && clock_ms() < deadline)
        loop_turn(rig->loop, 20);
    assert_int_equal(buf_len(&rig->heard), 0);
    assert_false(rig_listen(rig));
}

/* Some turns in which nothing may be heard. */
static inline void rig_expect_silence(struct rig *rig)
{
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    assert_true(rig_listen(rig));
    assert_int_equal(buf_len(&rig->heard), 0);
}

/* As if the time the session waits had passed. */
static inline void rig_time_out(struct rig *rig, enum session_wait wait)
{
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->session->wait, wait);
    assert_true(timer_is_set(&rig->session->timer));
    rig->session->timer.expired(rig->session->timer.arg);
}

/* Connects, greets, and goes as far as `state`. */
static inline void rig_reach(struct rig *rig, enum session_state state)
{
    rig_connect_from(rig, "192.0.2.1");
    assert_int_equal(rig_hear_code(rig), 220);
    if (state >= SESSION_READY)
        assert_int_equal(rig_ask(rig, RIG_HELLO), 250);
    if (state >= SESSION_MAIL)
        assert_int_equal(rig_ask(rig, RIG_MAIL), 250);
    if (state == SESSION_REFUSED)
        assert_int_equal(rig_ask(rig, "RCPT TO:<nobody@example.test>\r\n"), 550);
    if (state >= SESSION_RCPT)
        assert_int_equal(rig_ask(rig, RIG_RCPT), 250);
    if (state == SESSION_CHUNKS)
        assert_int_equal(rig_ask(rig, "BDAT 0\r\n"), 250);
    if (state == SESSION_DATA)
        assert_int_equal(rig_ask(rig, "DATA\r\n"), 354);
    assert_int_equal(rig->session->state, state);
    buf_reset(&rig->heard);
}

/* ---- the letter ---- */

struct rig_letter {
    struct record_header header;
    struct arena arena;
    struct envelope envelope;
    char *body;
};

/* Hears "250 ... queued as ID", and reads that record; freed with rig_free_letter. */
static inline struct rig_letter rig_hear_letter(struct rig *rig)
{
    static const char words[] = "250 2.0.0 Ok: queued as ";
    struct rig_letter letter = {0};
    struct span text = span_first(rig_hear(rig, sizeof(words) + 2), 200);
    if (!span_has_prefix(text, SPAN(words)) || !span_has_suffix(text, SPAN("\r\n")))
        print_error("heard: %.*s\n", SPAN_ARG(text));
    assert_true(span_has_prefix(text, SPAN(words)));
    uint64_t id;
    struct span id_text = span_skip(text, sizeof(words) - 1);
    assert_true(spool_id_parse(span_first(id_text, id_text.len - 2), &id));
    buf_reset(&rig->heard);

    int fd = rig->segments[spool_id_number(id) - 1];
    uint8_t head[SPOOL_RECORD_HEADER];
    off_t at = (off_t)spool_id_offset(id);
    assert_int_equal(pread(fd, head, sizeof(head), at), sizeof(head));
    assert_true(record_header_decode(head, &letter.header));
    size_t envelope_len = letter.header.envelope_len;
    size_t body_len = (size_t)letter.header.body_len;
    char *envelope = arena_alloc(&letter.arena, envelope_len);
    letter.body = arena_alloc(&letter.arena, body_len + 1);
    at += SPOOL_RECORD_HEADER;
    assert_int_equal(pread(fd, envelope, envelope_len, at), envelope_len);
    assert_true(record_header_check(head, span_of(envelope, envelope_len)));
    assert_int_equal(pread(fd, letter.body, body_len, at + (off_t)envelope_len), body_len);
    letter.body[body_len] = '\0';
    assert_true(envelope_decode(span_of(envelope, envelope_len), &letter.arena, &letter.envelope));
    return letter;
}

/* The message as the client sent it: behind our Received. */
static inline struct span rig_message(const struct rig_letter *letter)
{
    struct span body = span_of(letter->body, (size_t)letter->header.body_len);
    assert_true(span_has_prefix(body, SPAN("Received: from ")));
    struct span date = SPAN(" +0000\r\n");
    for (size_t at = 0; at + date.len <= body.len; at++)
        if (span_has_prefix(span_skip(body, at), date))
            return span_skip(body, at + date.len);
    fail_msg("Received has no date");
    return body;
}

static inline void rig_free_letter(struct rig_letter *letter)
{
    arena_free(&letter->arena);
}

/* ---- life ---- */

static inline void rig_complain(void *arg, const char *message)
{
    (void)arg;
    fail_msg("%s", message);
}

#define RIG_CONF "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n"

static inline struct conf *rig_conf(const char *text)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(in);
    struct conf *conf = conf_parse(in, "/nowhere/veredus.conf", rig_complain, NULL);
    assert_non_null(conf);
    (void)fclose(in);
    return conf;
}

static inline struct page *rig_page(void)
{
    int fd = page_create();
    assert_true(fd >= 0);
    struct page *page = page_map(fd, true);
    assert_non_null(page);
    (void)close(fd);
    return page;
}

/* A worker in that loop. */
static inline struct rig *rig_begin(struct loop *loop, const char *conf)
{
    struct rig *rig = mem_new(sizeof(*rig));
    log_setup("test", LOG_LOGFMT, LOG_ERROR);
    rig->loop = loop;
    rig->conf = rig_conf(conf);
    rig->page = rig_page();
    rig->qmgr_page = rig_page();
    rig->pages[0] = (struct daemon_page){ROLE_QMGR, 0, rig->qmgr_page};
    rig->client = -1;
    rig->qmgr_gives = true;
    worker_init(&rig->worker, rig->loop, rig->conf, rig->page);
    rig->worker.role = ROLE_SMTPD;
    rig->worker.pages = rig->pages;
    rig->page_count = COUNT(rig->pages);
    rig->worker.page_count = &rig->page_count;
    rig_connect_lookup(rig);
    rig_connect_qmgr(rig);
    for (int i = 0; i < 4; i++)
        loop_turn(rig->loop, 0);
    return rig;
}

static inline int rig_set_up(void **state)
{
    *state = rig_begin(loop_new(), RIG_CONF);
    return 0;
}

/* All of it but the loop. */
static inline void rig_end(struct rig *rig)
{
    if (rig->client >= 0)
        (void)close(rig->client);
    worker_close(&rig->worker);
    channel_free(rig->lookup);
    channel_free(rig->qmgr);
    for (size_t i = 0; i < rig->segment_count; i++)
        (void)close(rig->segments[i]);
    buf_free(&rig->heard);
    page_unmap(rig->page);
    page_unmap(rig->qmgr_page);
    conf_free(rig->conf);
    mem_free(rig);
}

static inline int rig_tear_down(void **state)
{
    struct loop *loop = rig_of(state)->loop;
    rig_end(*state);
    loop_free(loop);
    return 0;
}

#endif
