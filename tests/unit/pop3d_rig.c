/*
 * Everything runs on the one loop of the worker, so "settled" is a fact and not a time: no turn had
 * anything to do.
 */
#include "pop3d_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "local/mailbox_list.h"
#include "tests/unit/buf_text.h"
#include "util/sys/file.h"

enum { QUIET_TURNS = 6, PAIR_BUFFER = 1 << 18, SUCCESSOR = 191 /* the highest index */ };

static int memory_file(struct span text)
{
    int fd = memfd_create("message", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < text.len;) {
        ssize_t written = write(fd, text.data + at, text.len - at);
        assert_true(written > 0);
        at += (size_t)written;
    }
    return fd;
}

/* ---- auth ---- */

static void on_verify(struct rig *rig, struct channel *channel, const struct verify *verify)
{
    static const char ticket[TICKET_SIZE] = "ticket";
    struct verdict verdict = {
        .query = verify->query, .status = VERIFY_FAILED, .user = SPAN("alice@example.test")};
    assert_true(span_to_cstr(verify->password, rig->password_text, sizeof(rig->password_text)));
    if (span_equal(verify->password, SPAN("hang"))) {
        rig->hung_query = verify->query;
        return;
    }
    if (span_equal(verify->password, SPAN("later")))
        verdict.status = VERIFY_TEMPORARY;
    if (span_equal(verify->password, SPAN("right"))) {
        verdict.status = VERIFY_OK;
        verdict.ticket = span_of(ticket, sizeof(ticket));
    }
    assert_true(channel_send(channel, &ipc_verdict, &verdict, NULL));
}

static void on_auth_message(void *arg, struct channel *channel, const struct ipc_type *type,
                            const void *message, struct fd_list *fds)
{
    struct rig *rig = arg;
    (void)fds;
    rig->events++;
    assert_ptr_equal(type, &ipc_verify);
    on_verify(rig, channel, message);
}

/* ---- mailbox ---- */

static uint64_t wire_octets(struct span text)
{
    struct dot_encoder encoder = {0};
    uint64_t octets = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool lone = text.data[i] == '\n' && !encoder.after_cr;
        encoder.after_cr = text.data[i] == '\r';
        octets += lone ? 2 : 1;
    }
    return octets;
}

static int list_of(const struct rig *rig)
{
    static char names[RIG_MESSAGES][RIG_NAME_PADDING + 32];
    static char uidls[RIG_MESSAGES][16];
    struct mailbox_entry entries[RIG_MESSAGES];
    int padding = rig->long_names ? RIG_NAME_PADDING : 1;
    for (size_t i = 0; i < rig->count; i++) {
        int len = snprintf(names[i], sizeof(names[i]), "new/%0*zu", padding, i);
        int uidl = snprintf(uidls[i], sizeof(uidls[i]), "uid-%zu", i);
        entries[i] = (struct mailbox_entry){
            .octets = wire_octets(rig->texts[i]),
            .uidl = span_of(uidls[i], (size_t)uidl),
            .name = span_of(names[i], (size_t)len),
        };
    }
    return mailbox_list_seal(entries, rig->count);
}

/* The same file in an open file description of its own, as another session would have it. */
static int open_anew(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(own >= 0);
    return own;
}

static void on_open(struct rig *rig, struct channel *channel, const struct mailbox_open *open)
{
    assert_int_equal(open->ticket.len, TICKET_SIZE);
    if (rig->open_status != MAILBOX_OK) {
        struct mailbox_refused refused = {open->query, (uint8_t)rig->open_status};
        assert_true(channel_send(channel, &ipc_mailbox_refused, &refused, NULL));
        return;
    }
    int lock = memfd_create("lock", MFD_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    file_close(&rig->lock);
    rig->lock = open_anew(lock);
    int fds[2] = {lock, list_of(rig)};
    struct mailbox_opened opened = {open->query, (uint32_t)rig->count};
    assert_true(channel_send(channel, &ipc_mailbox_opened, &opened, fds));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static size_t number_of(struct span name)
{
    uint64_t number;
    assert_true(span_has_prefix(name, SPAN("new/")));
    struct span digits = span_skip(name, 4);
    while (digits.len > 1 && digits.data[0] == '0')
        digits = span_skip(digits, 1);
    assert_true(span_to_u64(digits, RIG_MESSAGES - 1, &number));
    return (size_t)number;
}

static void on_fetch(struct rig *rig, struct channel *channel, const struct mailbox_fetch *fetch)
{
    struct span names = fetch->names;
    struct span name;
    rig->fetches++;
    for (uint32_t index = fetch->first; span_next(&names, '\0', &name); index++) {
        size_t number = number_of(name);
        struct mailbox_message there = {fetch->query, index};
        struct mailbox_missing missing = {fetch->query, index};
        if (rig->missing[number]) {
            assert_true(channel_send(channel, &ipc_mailbox_missing, &missing, NULL));
            continue;
        }
        int fd = memory_file(rig->texts[number]);
        assert_true(channel_send(channel, &ipc_mailbox_message, &there, &fd));
        (void)close(fd);
    }
}

static void on_delete(struct rig *rig, struct channel *channel,
                      const struct mailbox_delete *request)
{
    struct mailbox_deleted deleted = {request->query, (uint8_t)rig->delete_status, 0};
    struct span names = request->names;
    struct span name;
    rig->deletes++;
    for (; span_next(&names, '\0', &name); deleted.count++)
        assert_true(buf_text(&rig->deleted, "%zu ", number_of(name)));
    assert_true(channel_send(channel, &ipc_mailbox_deleted, &deleted, NULL));
}

static void on_mailbox_message(void *arg, struct channel *channel, const struct ipc_type *type,
                               const void *message, struct fd_list *fds)
{
    struct rig *rig = arg;
    (void)fds;
    rig->events++;
    if (rig->mute)
        return;
    if (type == &ipc_mailbox_open)
        on_open(rig, channel, message);
    else if (type == &ipc_mailbox_fetch)
        on_fetch(rig, channel, message);
    else if (type == &ipc_mailbox_delete)
        on_delete(rig, channel, message);
}

/* ---- the peers ---- */

static void on_closed(void *arg, struct channel *channel)
{
    struct rig *rig = arg;
    if (rig->auth == channel)
        rig->auth = NULL;
    if (rig->mailbox == channel)
        rig->mailbox = NULL;
    if (rig->successor == channel)
        rig->successor = NULL;
    channel_free(channel);
}

static struct channel *pretend(struct rig *rig, enum role role, unsigned index,
                               void (*message)(void *, struct channel *, const struct ipc_type *,
                                               const void *, struct fd_list *))
{
    const struct channel_calls calls = {message, on_closed, rig};
    int pair[2];
    assert_true(seqpacket_pair(pair, PAIR_BUFFER));
    peers_connect(&rig->worker, role, index, pair[0]);
    return channel_new(rig->loop, pair[1], &calls);
}

void rig_answer_hung(struct rig *rig, enum verify_status status)
{
    const struct verdict verdict = {
        .query = rig->hung_query, .status = (uint8_t)status, .user = SPAN("alice@example.test")};
    assert_true(channel_send(rig->auth, &ipc_verdict, &verdict, NULL));
    rig_settle(rig);
}

void rig_lose_auth(struct rig *rig)
{
    channel_free(rig->auth);
    rig->auth = NULL;
}

void rig_lose_mailbox(struct rig *rig)
{
    channel_free(rig->mailbox);
    rig->mailbox = NULL;
}

void rig_restore_mailbox(struct rig *rig)
{
    rig_lose_mailbox(rig);
    rig->mute = false;
    rig->mailbox = pretend(rig, ROLE_MAILBOX, 0, on_mailbox_message);
}

void rig_add_successor(struct rig *rig)
{
    rig->mute = false;
    rig->successor = pretend(rig, ROLE_MAILBOX, SUCCESSOR, on_mailbox_message);
}

void rig_lose_successor(struct rig *rig)
{
    channel_free(rig->successor);
    rig->successor = NULL;
}

/* ---- the client ---- */

void rig_connect(struct rig *rig, const char *address)
{
    union net_address client;
    int pair[2];
    rig_hang_up(rig);
    rig_settle(rig);
    assert_true(net_parse_address(span_cstr(address), &client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->client = pair[0];
    rig->closed = false;
    session_new(&rig->worker, pair[1], &client);
    rig_settle(rig);
}

void rig_hang_up(struct rig *rig)
{
    if (rig->client >= 0)
        (void)close(rig->client);
    rig->client = -1;
}

struct session *rig_session(const struct rig *rig)
{
    for (size_t i = 0; i < rig->worker.slot_count; i++)
        if (rig->worker.slots[i] != NULL)
            return rig->worker.slots[i];
    return NULL;
}

/* True when something came. */
static bool hear(struct rig *rig)
{
    char octets[65536];
    if (rig->client < 0 || rig->closed)
        return false;
    ssize_t got = recv(rig->client, octets, sizeof(octets), 0);
    if (got == 0)
        rig->closed = true;
    if (got > 0)
        buf_add(&rig->heard, span_of(octets, (size_t)got));
    return got >= 0;
}

static void serve(struct rig *rig, bool reading)
{
    for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
        unsigned events = rig->events;
        loop_turn(rig->loop, 0);
        if ((reading && hear(rig)) || rig->events != events)
            quiet = 0;
    }
}

void rig_settle(struct rig *rig)
{
    serve(rig, true);
}

void rig_serve_unread(struct rig *rig)
{
    serve(rig, false);
}

void rig_send(struct rig *rig, struct span octets)
{
    assert_int_equal(send(rig->client, octets.data, octets.len, MSG_NOSIGNAL), octets.len);
}

const char *rig_talk(struct rig *rig, const char *lines)
{
    if (lines[0] != '\0')
        rig_send(rig, span_cstr(lines));
    rig_settle(rig);
    buf_add(&rig->heard, span_of("", 1));
    rig->heard.end--;
    return buf_span(&rig->heard).data;
}

void rig_forget(struct rig *rig)
{
    buf_reset(&rig->heard);
}

void rig_expect(struct rig *rig, const char *lines, const char *answer)
{
    rig_settle(rig);
    rig_forget(rig);
    assert_string_equal(rig_talk(rig, lines), answer);
}

void rig_log_in(struct rig *rig)
{
    const char *heard = rig_talk(rig, "USER alice\r\nPASS right\r\n");
    assert_non_null(strstr(heard, "+OK maildrop has"));
    rig_forget(rig);
}

bool rig_lock_is_free(struct rig *rig)
{
    return flock(rig->lock, LOCK_EX | LOCK_NB) == 0 && flock(rig->lock, LOCK_UN) == 0;
}

/* ---- set-up ---- */

static void fill_conf(struct conf *conf)
{
    conf->plaintext_auth = PLAINTEXT_LOOPBACK;
    conf->limits.connections_per_worker = 4;
    conf->limits.connections_per_network = 4;
    conf->limits.pop3_idle = 600;
    conf->limits.pop3_login = 180;
    conf->limits.pop3_bad_commands = 20;
}

int rig_set_up(void **state)
{
    struct rig *rig = mem_new(sizeof(*rig));
    int fd = page_create();
    assert_true(fd >= 0);
    log_setup("pop3d", LOG_LOGFMT, LOG_ERROR);
    rig->loop = loop_new();
    rig->page = page_map(fd, true);
    (void)close(fd);
    rig->client = rig->lock = -1;
    fill_conf(&rig->conf);
    rig->texts[0] = SPAN("Subject: a\r\n\r\none\r\n.");
    rig->texts[1] = SPAN("Subject: b\n\n.dot\n..two\nlast\n");
    rig->texts[2] = SPAN("X: y\n\nz\n");
    rig->count = 3;
    worker_init(&rig->worker, rig->loop, &rig->conf, rig->page);
    rig->auth = pretend(rig, ROLE_AUTH, 0, on_auth_message);
    rig->mailbox = pretend(rig, ROLE_MAILBOX, 0, on_mailbox_message);
    rig_connect(rig, "127.0.0.1");
    rig_forget(rig);
    *state = rig;
    return 0;
}

int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    rig_hang_up(rig);
    worker_close(&rig->worker);
    channel_free(rig->auth);
    channel_free(rig->mailbox);
    channel_free(rig->successor);
    loop_turn(rig->loop, 0);
    loop_free(rig->loop);
    page_unmap(rig->page);
    buf_free(&rig->heard);
    buf_free(&rig->deleted);
    file_close(&rig->lock);
    mem_free(rig);
    return 0;
}
