/*
 * Why the path of a mailbox is remembered after it was opened: every request would ask lookup anew.
 * A remembered path is no right: each request must show the lock of the very mailbox that lies
 * there, and a user whose path was changed meanwhile keeps the mailbox that the session has open.
 */
#include "local/mailbox_daemon.h"

#include "local/answers.h"
#include "local/mail_root.h"
#include "local/mailbox.h"
#include "util/base/clock.h"
#include "util/base/hash.h"
#include "util/ipc/packet.h"
#include "util/ipc/ticket.h"
#include "util/mail/mailbox_path.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REMEMBERED = 256, USER_MOST = 512, WAKE_MS = 1000 };

/* lookup answers from files: what takes longer hangs. While it does, logins fail soon: everybody
 * waits for this process. */
enum { LOOKUP_MS = 3000, LOOKUP_HANGING_MS = 100 };

/* Where a user's mailbox was found last; len 0: an empty row. */
struct remembered {
    size_t user_len, path_len;
    char user[USER_MOST];
    char path[MAILBOX_PATH_MOST];
};

/* What a peer's packet is worked on with; `peer` is the pop3d that is served now. */
struct mailbox_state {
    int root;
    struct span key;
    struct daemon *daemon;
    int lookup; /* -1: none */
    unsigned lookup_index;
    bool lookup_hangs; /* the last question was not answered in time */
    uint32_t query;
    int peers[ROLE_INDEXES];
    size_t peer_count;
    struct answers answers;
    struct remembered remembered[REMEMBERED];
    char packet[SEQPACKET_MAX];
    char lookup_packet[SEQPACKET_MAX];
};

/* ---- lookup ---- */

static void drop_lookup(struct mailbox_state *state)
{
    if (state->lookup >= 0)
        (void)close(state->lookup);
    state->lookup = -1;
}

/* Questions fail as temporary, at once, until master brings a new socket. */
static void lose_lookup(struct mailbox_state *state)
{
    drop_lookup(state);
    daemon_peer_lost(state->daemon, ROLE_LOOKUP, state->lookup_index);
}

/* What is waited for; shared with the visitor of the packet. */
struct lookup_wait {
    uint32_t query;
    bool answered;
    struct mailbox_answer answer; /* its path points into the packet */
};

/* An answer to an older question, given up on, is passed over. */
static bool on_lookup(void *arg, const struct ipc_type *type, const void *message,
                      struct fd_list *fds)
{
    (void)fds;
    struct lookup_wait *wait = arg;
    const struct mailbox_answer *answer = message;
    if (type == &ipc_mailbox_answer && answer->query == wait->query) {
        wait->answer = *answer;
        wait->answered = true;
    }
    return !wait->answered;
}

/* Blocks, LOOKUP_MS at most: this process serves one request at a time anyway. False: the socket is
 * of no use any more. */
static bool wait_for_answer(struct mailbox_state *state, struct lookup_wait *wait)
{
    int64_t deadline = clock_ms() + (state->lookup_hangs ? LOOKUP_HANGING_MS : LOOKUP_MS);
    /* Until it is heard. */
    state->lookup_hangs = true;
    while (!wait->answered) {
        struct fd_list fds;
        size_t size;
        /* The deadline holds for all packets together, not for each. */
        int64_t left = deadline - clock_ms();
        if (left <= 0 || !seqpacket_wait(state->lookup, (int)left))
            return false;
        enum seqpacket_result result =
            seqpacket_receive(state->lookup, state->lookup_packet, &size, &fds);
        if (result == SEQPACKET_AGAIN)
            continue;
        state->lookup_hangs = false;
        if (result != SEQPACKET_OK ||
            !packet_deliver(span_of(state->lookup_packet, size), &fds, on_lookup, wait))
            return false;
    }
    return true;
}

/* The path of the user's mailbox; the answer's spans live until the next question. */
static struct mailbox_answer ask_lookup(struct mailbox_state *state, struct span user)
{
    struct mailbox_answer none = {.status = RESOLVE_TEMPORARY};
    struct lookup_wait wait = {.query = ++state->query};
    struct mailbox_ask ask = {wait.query, user};
    /* One packet of its own: answers to pop3d are gathered elsewhere meanwhile. */
    struct answers question = {.fd = state->lookup};
    if (state->lookup < 0)
        return none;
    answers_add(&question, &ipc_mailbox_ask, &ask, NULL);
    bool sent = answers_send(&question);
    answers_free(&question);
    if (sent && wait_for_answer(state, &wait))
        return wait.answer;
    log_event(LOG_WARN, "lookup-lost",
              LOG_STR("reason", state->lookup_hangs ? "no answer" : "socket broken"));
    lose_lookup(state);
    return none;
}

/* ---- remembered paths ---- */

/* One row a hash: a collision costs a question, nothing more. */
static struct remembered *row_of(struct mailbox_state *state, struct span user)
{
    return &state->remembered[hash_bytes(user.data, user.len) % REMEMBERED];
}

/* A name or path too long for its row is asked for each time. */
static void remember(struct mailbox_state *state, struct span user, struct span path)
{
    struct remembered *row = row_of(state, user);
    /* Emptied first: a row is whole or it is none. */
    row->user_len = 0;
    if (user.len > sizeof row->user || path.len > sizeof row->path)
        return;
    memcpy(row->user, user.data, user.len);
    memcpy(row->path, path.data, path.len);
    row->user_len = user.len;
    row->path_len = path.len;
}

/* The whole name is compared, not its hash. */
static bool recall(struct mailbox_state *state, struct span user, struct span *path)
{
    struct remembered *row = row_of(state, user);
    if (user.len == 0 || !span_equal(span_of(row->user, row->user_len), user))
        return false;
    *path = span_of(row->path, row->path_len);
    return true;
}

/* ---- opening ---- */

/* What is somebody else's is denied; what could not be opened may be there the next time. */
static enum mailbox_status open_maildir(const struct mailbox_state *state, struct span path,
                                        struct maildir *maildir)
{
    switch (maildir_open(state->root, path, maildir)) {
    case MAILDIR_OK:
        return MAILBOX_OK;
    case MAILDIR_UNTRUSTED:
        log_event(LOG_ERROR, "mailbox-not-ours", LOG_SPAN("mailbox", path));
        return MAILBOX_DENIED;
    case MAILDIR_FAILED:
        break;
    }
    log_event(LOG_ERROR, "mailbox-not-opened", LOG_SPAN("mailbox", path), LOG_ERRNO(errno));
    return MAILBOX_TEMPORARY;
}

/* The answer's path is copied before the next question overwrites it. */
static enum mailbox_status find_mailbox(struct mailbox_state *state, struct span user,
                                        struct maildir *maildir)
{
    struct mailbox_answer answer = ask_lookup(state, user);
    if (answer.status != RESOLVE_OK)
        return answer.status == RESOLVE_UNKNOWN_USER ? MAILBOX_DENIED : MAILBOX_TEMPORARY;
    enum mailbox_status status = open_maildir(state, answer.path, maildir);
    if (status == MAILBOX_OK)
        remember(state, user, answer.path);
    return status;
}

/* Lock and list of an open mailbox: both or none. */
static enum mailbox_status lock_and_scan(const struct maildir *maildir, int fds[2], uint32_t *count)
{
    enum mailbox_status status = mailbox_lock(maildir, &fds[0]);
    if (status != MAILBOX_OK)
        return status;
    /* The lock first: what is listed then can not be deleted by another session. */
    fds[1] = mailbox_scan(maildir, count);
    if (fds[1] >= 0)
        return MAILBOX_OK;
    log_event(LOG_ERROR, "mailbox-not-listed", LOG_ERRNO(errno));
    (void)close(fds[0]);
    return MAILBOX_TEMPORARY;
}

/* The ticket first: nothing is looked up for whoever has none. */
static void serve_open(struct mailbox_state *state, const struct mailbox_open *open)
{
    struct maildir maildir = MAILDIR_NONE;
    int fds[2];
    uint32_t count = 0;
    enum mailbox_status status = MAILBOX_DENIED;
    if (ticket_check(state->key, open->user, open->session, clock_wall(), open->ticket))
        status = find_mailbox(state, open->user, &maildir);
    else
        log_event(LOG_ERROR, "ticket-refused", LOG_SPAN("user", open->user));
    if (status == MAILBOX_OK)
        status = lock_and_scan(&maildir, fds, &count);
    maildir_close(&maildir);

    /* Both answers are made, one is sent; their descriptors become the packet's. */
    struct mailbox_opened opened = {open->query, count};
    struct mailbox_refused refused = {open->query, (uint8_t)status};
    if (status == MAILBOX_OK)
        answers_add(&state->answers, &ipc_mailbox_opened, &opened, fds);
    else
        answers_add(&state->answers, &ipc_mailbox_refused, &refused, NULL);
}

/* ---- later requests: the lock is the proof ---- */

/* The lock must be that of the very mailbox found at this path. */
static bool open_proven(struct mailbox_state *state, struct span path, int lock,
                        struct maildir *maildir)
{
    if (open_maildir(state, path, maildir) != MAILBOX_OK)
        return false;
    if (mailbox_is_locked_by(maildir, lock))
        return true;
    maildir_close(maildir);
    return false;
}

/* The mailbox whose lock was shown; false when it is not that user's. */
static bool open_again(struct mailbox_state *state, struct span user, int lock,
                       struct maildir *maildir)
{
    struct span path;
    if (recall(state, user, &path) && open_proven(state, path, lock, maildir))
        return true;
    struct mailbox_answer answer = ask_lookup(state, user);
    if (answer.status == RESOLVE_OK && open_proven(state, answer.path, lock, maildir)) {
        remember(state, user, answer.path);
        return true;
    }
    log_event(LOG_ERROR, "lock-refused", LOG_SPAN("user", user));
    return false;
}

/* Every name is answered, in order, also when the lock was refused: pop3d waits for as many
 * answers as it asked for. */
static void serve_fetch(struct mailbox_state *state, const struct mailbox_fetch *fetch, int lock)
{
    struct maildir maildir = MAILDIR_NONE;
    /* The mailbox is opened once, whatever the number of names. */
    bool allowed = open_again(state, fetch->user, lock, &maildir);
    struct mailbox_request request = {.maildir = &maildir, .names = fetch->names};
    struct span names = fetch->names;
    struct span name;
    for (uint32_t index = fetch->first; span_next(&names, '\0', &name); index++) {
        int fd = allowed ? mailbox_open_message(&request, name) : -1;
        struct mailbox_message message = {fetch->query, index};
        struct mailbox_missing missing = {fetch->query, index};
        if (fd >= 0)
            answers_add(&state->answers, &ipc_mailbox_message, &message, &fd);
        else
            answers_add(&state->answers, &ipc_mailbox_missing, &missing, NULL);
    }
    mailbox_request_end(&request);
    maildir_close(&maildir);
}

/* The status says whether all of them are gone for good (RFC 1939 §6). */
static void serve_delete(struct mailbox_state *state, const struct mailbox_delete *message,
                         int lock)
{
    struct maildir maildir = MAILDIR_NONE;
    struct mailbox_request request = {.maildir = &maildir, .names = message->names};
    struct mailbox_deleted deleted = {message->query, MAILBOX_PARTIAL, 0};
    if (open_again(state, message->user, lock, &maildir))
        deleted.status = (uint8_t)mailbox_delete(&request, &deleted.count);
    mailbox_request_end(&request);
    maildir_close(&maildir);
    answers_add(&state->answers, &ipc_mailbox_deleted, &deleted, NULL);
}

/* packet_message. */
static bool on_request(void *arg, const struct ipc_type *type, const void *message,
                       struct fd_list *fds)
{
    struct mailbox_state *state = arg;
    if (type == &ipc_mailbox_open)
        serve_open(state, message);
    else if (type == &ipc_mailbox_fetch)
        serve_fetch(state, message, fds->fds[0]);
    else if (type == &ipc_mailbox_delete)
        serve_delete(state, message, fds->fds[0]);
    else
        log_event(LOG_WARN, "message-unexpected", LOG_STR("type", type->name));
    return true;
}

/* ---- the daemon ---- */

/* One packet of a pop3d. False: it is gone or talks nonsense. */
static bool serve_peer(struct mailbox_state *state, int fd)
{
    struct fd_list fds;
    size_t size;
    enum seqpacket_result result = seqpacket_receive(fd, state->packet, &size, &fds);
    if (result == SEQPACKET_AGAIN)
        return true;
    state->answers.fd = fd;
    state->answers.failed = false;
    bool sound = result == SEQPACKET_OK &&
                 packet_deliver(span_of(state->packet, size), &fds, on_request, state);
    return answers_send(&state->answers) && sound;
}

static void prepare(struct daemon *daemon, struct sandbox *sandbox)
{
    struct mailbox_state *state = mem_new(sizeof *state);
    state->root = mail_root_prepare(daemon, sandbox);
    /* Tickets are made by auth under the same key (util/ipc/ticket.h). */
    state->key = daemon->key;
    state->lookup = -1;
    state->daemon = daemon;
    daemon->state = state;
}

static void start(struct daemon *daemon)
{
    (void)daemon; /* the sockets came through peer */
}

/* lookup is replaced when it was started anew; pop3d workers are added. */
static void take_peer(struct daemon *daemon, enum role role, unsigned index, int fd)
{
    struct mailbox_state *state = daemon->state;
    if (role == ROLE_LOOKUP) {
        drop_lookup(state);
        state->lookup = fd;
        state->lookup_index = index;
    } else if (role == ROLE_POP3D && state->peer_count < ROLE_INDEXES) {
        state->peers[state->peer_count++] = fd;
    } else {
        log_event(LOG_WARN, "peer-unexpected", LOG_STR("role", role_info(role)->name));
        (void)close(fd);
    }
}

/* When all of us end, sessions of a pop3d still have deletions to make: its end is ours. When
 * another generation serves, its sessions may go on for an hour, with that one: what they have sent
 * is served, then each is at its end, and whom that leaves without an answer asks there. */
static void drain(struct daemon *daemon)
{
    const struct mailbox_state *state = daemon->state;
    for (size_t i = 0; daemon->patient && i < state->peer_count; i++)
        (void)shutdown(state->peers[i], SHUT_RD);
    if (state->peer_count == 0)
        daemon_exit(daemon);
}

/* Backwards, because a peer that is gone gives its place to the last one. */
static void serve_ready(struct daemon *daemon, const struct pollfd *watched)
{
    struct mailbox_state *state = daemon->state;
    for (size_t i = state->peer_count; i-- > 0;) {
        /* A round may take as long as its mailboxes are large. */
        page_beat(daemon->page);
        if (watched[i].revents == 0 || serve_peer(state, state->peers[i]))
            continue;
        (void)close(state->peers[i]);
        state->peers[i] = state->peers[--state->peer_count];
    }
    if (daemon->draining && state->peer_count == 0)
        daemon_exit(daemon);
}

/* All pop3d workers take turns: one packet of each a round. */
static void run(struct daemon *daemon)
{
    struct mailbox_state *state = daemon->state;
    while (daemon_poll(daemon)) {
        struct pollfd watched[ROLE_INDEXES + 1];
        /* Rebuilt each round: seldom more than there are processors. */
        nfds_t count = (nfds_t)state->peer_count;
        for (nfds_t i = 0; i < count; i++)
            watched[i] = (struct pollfd){.fd = state->peers[i], .events = POLLIN};
        /* A drained process listens to master no more, who may be gone: poll(2) would never wait.
         */
        int control = daemon->draining ? -1 : daemon_control_fd(daemon);
        watched[count] = (struct pollfd){.fd = control, .events = POLLIN};
        /* Master's word first: with it may come the lookup that the waiting requests need. */
        if (poll(watched, count + 1, WAKE_MS) > 0 && watched[count].revents == 0)
            serve_ready(daemon, watched);
    }
}

const struct daemon_calls mailbox_daemon_calls = {
    .role = ROLE_MAILBOX,
    .prepare = prepare,
    .start = start,
    .peer = take_peer,
    .drain = drain,
    .run = run,
};
