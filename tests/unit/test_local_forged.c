/*
 * A pop3d that an attacker owns talks to the mailbox daemon, in its real sandbox: without a true
 * ticket or a true lock it gets nothing, and the daemon goes on for the others.
 */
#include "daemon_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "local/mailbox_daemon.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/ipc/packet.h"
#include "util/ipc/ticket.h"

enum { SESSION = 4711, NOBODY = 65534, PATH = 200, FALSE_LOCKS = 5 };

#define ALICE SPAN("alice@example.test")
#define BOB   SPAN("bob@example.test")
#define NAME  SPAN("1.V1.h\0")

struct fixture {
    char directory[64];
    struct daemon_rig daemon;
    int lookup, pop3d;
    char packet[SEQPACKET_MAX];
};

/* ---- a mail root of two users, and a secret beside it ---- */

static const char *beneath(const struct fixture *fixture, const char *name)
{
    static char path[PATH];
    (void)snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    return path;
}

static void make_file(const struct fixture *fixture, const char *name)
{
    int fd = open(beneath(fixture, name), O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, "x\n", 2), 2);
    assert_int_equal(close(fd), 0);
}

static void make_tree(const struct fixture *fixture)
{
    char command[4 * PATH];
    (void)snprintf(command, sizeof command,
                   "cd %s && mkdir -p mail/example.test/alice/new mail/example.test/alice/cur "
                   "mail/example.test/alice/tmp && cp -r mail/example.test/alice "
                   "mail/example.test/bob",
                   fixture->directory);
    assert_int_equal(system(command), 0);
    make_file(fixture, "secret");
    make_file(fixture, "mail/example.test/alice/new/1.V1.h");
    make_file(fixture, "mail/example.test/bob/new/1.V1.h");
    /* Started by root, the daemon of the rig is nobody. */
    (void)snprintf(command, sizeof command, "chmod 755 %s && chown -R %d:%d %s", fixture->directory,
                   NOBODY, NOBODY, beneath(fixture, "mail"));
    assert_true(geteuid() != 0 || system(command) == 0);
}

static int set_up(void **state)
{
    char text[4 * PATH];
    struct fixture *fixture = mem_new(sizeof *fixture);
    (void)snprintf(fixture->directory, sizeof fixture->directory, "/tmp/veredus-forged-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    make_tree(fixture);
    (void)snprintf(text, sizeof text,
                   "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n"
                   "mail_root = \"%s\"\n",
                   beneath(fixture, "mail"));
    daemon_rig_begin(&fixture->daemon, &mailbox_daemon_calls, text);
    fixture->lookup = daemon_rig_peer(&fixture->daemon, ROLE_LOOKUP);
    fixture->pop3d = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[PATH];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", fixture->directory);
    (void)close(fixture->lookup);
    (void)close(fixture->pop3d);
    daemon_rig_end(&fixture->daemon);
    int failed = system(command);
    mem_free(fixture);
    return failed;
}

/* ---- talking ---- */

/* The next packet of `peer`, which is one message; gives its type. */
static const struct ipc_type *hear(struct fixture *fixture, int peer, void *message,
                                   struct fd_list *fds)
{
    size_t size = 0;
    struct span body;
    assert_true(seqpacket_wait(peer, DAEMON_RIG_DEADLINE_MS));
    assert_int_equal(seqpacket_receive(peer, fixture->packet, &size, fds), SEQPACKET_OK);
    struct ipc_cursor cursor = {.rest = span_of(fixture->packet, size)};
    const struct ipc_type *type = ipc_next(&cursor, &body);
    assert_non_null(type);
    assert_true(ipc_decode(type, body, message));
    return type;
}

static void say_with(int peer, const struct ipc_type *type, const void *message, const int *fds)
{
    struct buf frame = {0};
    assert_true(ipc_encode(type, message, &frame));
    assert_int_equal(seqpacket_send(peer, buf_span(&frame).data, buf_len(&frame), fds, type->fds),
                     0);
    buf_free(&frame);
}

static bool is_asked(int lookup, int ms)
{
    return seqpacket_wait(lookup, ms);
}

/* lookup's part: the mailbox lies where its answer says. */
static void answer_lookup(struct fixture *fixture, struct span path)
{
    struct mailbox_ask ask;
    struct fd_list fds = {0};
    assert_ptr_equal(hear(fixture, fixture->lookup, &ask, &fds), &ipc_mailbox_ask);
    daemon_rig_send(fixture->lookup, &ipc_mailbox_answer,
                    &(struct mailbox_answer){ask.query, RESOLVE_OK, path});
}

static struct span shown(const uint8_t *ticket, size_t len)
{
    return span_of((const char *)ticket, len);
}

static struct mailbox_open true_open(struct span user, uint8_t ticket[TICKET_SIZE])
{
    ticket_make(DAEMON_RIG_KEY, user, SESSION, clock_wall() + 60, ticket);
    return (struct mailbox_open){9, user, SESSION, shown(ticket, TICKET_SIZE)};
}

/* Logs `user` in as an honest pop3d would; gives the lock. */
static int lock_of(struct fixture *fixture, int pop3d, struct span user, struct span path)
{
    uint8_t ticket[TICKET_SIZE];
    struct mailbox_opened opened;
    struct fd_list fds = {0};
    const struct mailbox_open open = true_open(user, ticket);
    daemon_rig_send(pop3d, &ipc_mailbox_open, &open);
    answer_lookup(fixture, path);
    assert_ptr_equal(hear(fixture, pop3d, &opened, &fds), &ipc_mailbox_opened);
    assert_int_equal(opened.count, 1);
    int lock = fd_list_take(&fds);
    (void)close(fd_list_take(&fds));
    return lock;
}

static int lock_of_alice(struct fixture *fixture)
{
    return lock_of(fixture, fixture->pop3d, ALICE, SPAN("example.test/alice"));
}

/* ---- tickets ---- */

static void assert_denied(struct fixture *fixture, const struct mailbox_open *open)
{
    struct mailbox_refused refused;
    struct fd_list fds = {0};
    daemon_rig_send(fixture->pop3d, &ipc_mailbox_open, open);
    assert_ptr_equal(hear(fixture, fixture->pop3d, &refused, &fds), &ipc_mailbox_refused);
    assert_int_equal(refused.status, MAILBOX_DENIED);
    assert_int_equal(refused.query, open->query);
}

static void ticket_that_differs_in_one_bit_opens_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint8_t ticket[TICKET_SIZE];
    const struct mailbox_open open = true_open(ALICE, ticket);
    for (size_t bit = 0; bit < 8 * sizeof ticket; bit++) {
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_denied(fixture, &open);
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_false(is_asked(fixture->lookup, 0));
    (void)close(lock_of_alice(fixture));
}

static void ticket_of_another_user_session_key_or_time_opens_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint8_t ticket[TICKET_SIZE], other[TICKET_SIZE];
    struct mailbox_open open = true_open(ALICE, ticket);
    open.user = BOB;
    assert_denied(fixture, &open);
    open.user = SPAN("ALICE@example.test");
    assert_denied(fixture, &open);
    open.user = ALICE;
    open.session++;
    assert_denied(fixture, &open);
    open.session = SESSION;
    open.ticket = shown(other, sizeof other);
    ticket_make(SPAN("another key of thirty-two octets"), ALICE, SESSION, clock_wall() + 60, other);
    assert_denied(fixture, &open);
    ticket_make(DAEMON_RIG_KEY, ALICE, SESSION, clock_wall() - 1, other);
    assert_denied(fixture, &open);
    memset(other, 0, sizeof other);
    assert_denied(fixture, &open);
    for (size_t len = 0; len < sizeof ticket; len += 7) {
        open.ticket = shown(ticket, len);
        assert_denied(fixture, &open);
    }
    assert_false(is_asked(fixture->lookup, 0));
    (void)close(lock_of_alice(fixture));
}

/* ---- locks ---- */

/* What may pass for a lock; the caller closes it. */
static int false_lock(const struct fixture *fixture, size_t which)
{
    int pair[2];
    switch (which) {
    case 0:
        return memfd_create("lock", MFD_CLOEXEC);
    case 1:
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    case 2:
        return open(beneath(fixture, "mail/example.test/alice"), O_RDONLY | O_CLOEXEC);
    case 3:
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        (void)close(pair[1]);
        return pair[0];
    default: /* the very file, opened by somebody who does not hold the lock */
        return open(beneath(fixture, "mail/example.test/alice/veredus-pop3.lock"),
                    O_RDONLY | O_CLOEXEC);
    }
}

/* lookup is asked at most once more: a remembered path did not fit the lock. */
static void answer_if_asked(struct fixture *fixture, struct span path)
{
    if (is_asked(fixture->lookup, 100))
        answer_lookup(fixture, path);
}

static void assert_nothing_fetched(struct fixture *fixture, struct span user, int lock)
{
    struct mailbox_missing missing;
    struct fd_list fds = {0};
    say_with(fixture->pop3d, &ipc_mailbox_fetch, &(struct mailbox_fetch){1, user, 0, NAME}, &lock);
    answer_if_asked(fixture, SPAN("example.test/alice"));
    assert_ptr_equal(hear(fixture, fixture->pop3d, &missing, &fds), &ipc_mailbox_missing);
    assert_int_equal(fds.count, 0);
}

static void assert_nothing_deleted(struct fixture *fixture, struct span user, int lock)
{
    struct mailbox_deleted deleted;
    struct fd_list fds = {0};
    say_with(fixture->pop3d, &ipc_mailbox_delete, &(struct mailbox_delete){2, user, NAME}, &lock);
    answer_if_asked(fixture, SPAN("example.test/alice"));
    assert_ptr_equal(hear(fixture, fixture->pop3d, &deleted, &fds), &ipc_mailbox_deleted);
    assert_int_equal(deleted.status, MAILBOX_PARTIAL);
    assert_int_equal(deleted.count, 0);
    assert_int_equal(access(beneath(fixture, "mail/example.test/alice/new/1.V1.h"), F_OK), 0);
}

static void what_is_no_lock_proves_nothing(void **state)
{
    struct fixture *fixture = *state;
    int lock = lock_of_alice(fixture); /* so that the path is remembered and the lock is taken */
    for (size_t which = 0; which < FALSE_LOCKS; which++) {
        int false_one = false_lock(fixture, which);
        assert_true(false_one >= 0);
        assert_nothing_fetched(fixture, ALICE, false_one);
        assert_nothing_deleted(fixture, ALICE, false_one);
        (void)close(false_one);
    }
    (void)close(lock);
}

static void lock_of_one_mailbox_does_not_open_another(void **state)
{
    struct fixture *fixture = *state;
    int lock = lock_of(fixture, fixture->pop3d, BOB, SPAN("example.test/bob"));
    assert_nothing_fetched(fixture, ALICE, lock);
    assert_nothing_deleted(fixture, ALICE, lock);
    (void)close(lock);
}

/* ---- names ---- */

static void names_that_lead_elsewhere_open_and_delete_nothing(void **state)
{
    static const struct span names[] = {
        SPAN_INIT("../../bob/new/1.V1.h\0"),
        SPAN_INIT("/etc/hostname\0"),
        SPAN_INIT("../../../../secret\0"),
        SPAN_INIT("\0"),
        SPAN_INIT(".\0"),
        SPAN_INIT("..\0"),
        SPAN_INIT("../new/1.V1.h\0"),
        SPAN_INIT("x\ny\0"),
    };
    struct fixture *fixture = *state;
    int lock = lock_of_alice(fixture);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mailbox_missing missing;
        struct mailbox_deleted deleted;
        struct fd_list fds = {0};
        say_with(fixture->pop3d, &ipc_mailbox_fetch,
                 &(struct mailbox_fetch){1, ALICE, UINT32_MAX, names[i]}, &lock);
        assert_ptr_equal(hear(fixture, fixture->pop3d, &missing, &fds), &ipc_mailbox_missing);
        say_with(fixture->pop3d, &ipc_mailbox_delete, &(struct mailbox_delete){2, ALICE, names[i]},
                 &lock);
        assert_ptr_equal(hear(fixture, fixture->pop3d, &deleted, &fds), &ipc_mailbox_deleted);
    }
    assert_int_equal(access(beneath(fixture, "secret"), F_OK), 0);
    assert_int_equal(access(beneath(fixture, "mail/example.test/bob/new/1.V1.h"), F_OK), 0);
    assert_int_equal(access(beneath(fixture, "mail/example.test/alice/new/1.V1.h"), F_OK), 0);
    (void)close(lock);
}

/* ---- a lookup that hangs ---- */

static void assert_temporary(struct fixture *fixture)
{
    struct mailbox_refused refused;
    struct fd_list fds = {0};
    assert_ptr_equal(hear(fixture, fixture->pop3d, &refused, &fds), &ipc_mailbox_refused);
    assert_int_equal(refused.status, MAILBOX_TEMPORARY);
}

static void lookup_that_hangs_is_waited_for_once_and_asked_for_anew(void **state)
{
    struct fixture *fixture = *state;
    uint8_t ticket[TICKET_SIZE];
    struct mailbox_ask ask;
    struct control_unlinked unlinked;
    struct fd_list fds = {0};
    const struct mailbox_open open = true_open(ALICE, ticket);
    for (int i = 0; i < 4; i++)
        daemon_rig_send(fixture->pop3d, &ipc_mailbox_open, &open);
    assert_temporary(fixture);

    /* The others wait for nothing and ask for nothing. */
    int64_t before = clock_ms();
    for (int i = 0; i < 3; i++)
        assert_temporary(fixture);
    assert_true(clock_ms() - before < 1000);
    assert_ptr_equal(hear(fixture, fixture->lookup, &ask, &fds), &ipc_mailbox_ask);
    assert_true(daemon_rig_is_hung_up(fixture->lookup));
    assert_ptr_equal(hear(fixture, fixture->daemon.control, &unlinked, &fds),
                     &ipc_control_unlinked);
    assert_int_equal(unlinked.role, ROLE_LOOKUP);

    /* A new socket is good again. */
    (void)close(fixture->lookup);
    fixture->lookup = daemon_rig_peer(&fixture->daemon, ROLE_LOOKUP);
    (void)close(lock_of_alice(fixture));
}

static void lookup_that_goes_on_hanging_is_not_waited_for_as_long(void **state)
{
    struct fixture *fixture = *state;
    uint8_t ticket[TICKET_SIZE];
    const struct mailbox_open open = true_open(ALICE, ticket);
    daemon_rig_send(fixture->pop3d, &ipc_mailbox_open, &open);
    assert_temporary(fixture);
    (void)close(fixture->lookup);
    fixture->lookup = daemon_rig_peer(&fixture->daemon, ROLE_LOOKUP);
    int64_t before = clock_ms();
    daemon_rig_send(fixture->pop3d, &ipc_mailbox_open, &open);
    assert_temporary(fixture);
    assert_true(clock_ms() - before < 2000);
}

/* lookup is bounded, too: what it says is a path beneath the mail root or none. */
static void path_outside_the_mail_root_is_no_mailbox(void **state)
{
    static const struct span paths[] = {
        SPAN_INIT("../secret"), SPAN_INIT("/etc"), SPAN_INIT("../../../../../etc"),
        SPAN_INIT(""),          SPAN_INIT("a//b"), SPAN_INIT("example.test/alice/.."),
        SPAN_INIT("."),
    };
    struct fixture *fixture = *state;
    uint8_t ticket[TICKET_SIZE];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct mailbox_refused refused;
        struct fd_list fds = {0};
        const struct mailbox_open open = true_open(ALICE, ticket);
        daemon_rig_send(fixture->pop3d, &ipc_mailbox_open, &open);
        answer_lookup(fixture, paths[i]);
        assert_ptr_equal(hear(fixture, fixture->pop3d, &refused, &fds), &ipc_mailbox_refused);
    }
    assert_int_not_equal(access(beneath(fixture, "new"), F_OK), 0);
    (void)close(lock_of_alice(fixture));
}

/* ---- packets ---- */

static void garbage_ends_that_peer_and_no_other(void **state)
{
    static const struct span garbage[] = {
        SPAN_INIT("\0"),
        SPAN_INIT("\x42\0\xff\xff\0\0"),
        SPAN_INIT("\xff\xff\4\0\0\0\1\1\1\1"),
        SPAN_INIT("\x45\0\4\0\0\0\1\1\1\1"),
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        int liar = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
        assert_int_equal(send(liar, garbage[i].data, garbage[i].len, 0), garbage[i].len);
        assert_true(daemon_rig_is_hung_up(liar));
        (void)close(liar);
    }
    (void)close(lock_of_alice(fixture));
}

static void request_without_its_descriptor_ends_that_peer(void **state)
{
    struct fixture *fixture = *state;
    struct buf frame = {0};
    int liar = daemon_rig_peer(&fixture->daemon, ROLE_POP3D);
    assert_true(ipc_encode(&ipc_mailbox_fetch, &(struct mailbox_fetch){1, ALICE, 0, NAME}, &frame));
    assert_int_equal(send(liar, buf_span(&frame).data, buf_len(&frame), 0), buf_len(&frame));
    assert_true(daemon_rig_is_hung_up(liar));
    buf_free(&frame);
    (void)close(liar);
    (void)close(lock_of_alice(fixture));
}

static void words_of_another_role_are_not_obeyed(void **state)
{
    struct fixture *fixture = *state;
    char nothing[PACKET_STRUCT_MAX] = {0};
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++)
        if (types[i]->fds == 0 && types[i] != &ipc_mailbox_open)
            say_with(fixture->pop3d, types[i], nothing, NULL);
    (void)close(lock_of_alice(fixture));
}

int main(void)
{
#define FORGED_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FORGED_TEST(ticket_that_differs_in_one_bit_opens_nothing),
        FORGED_TEST(ticket_of_another_user_session_key_or_time_opens_nothing),
        FORGED_TEST(what_is_no_lock_proves_nothing),
        FORGED_TEST(lock_of_one_mailbox_does_not_open_another),
        FORGED_TEST(names_that_lead_elsewhere_open_and_delete_nothing),
        FORGED_TEST(path_outside_the_mail_root_is_no_mailbox),
        FORGED_TEST(lookup_that_hangs_is_waited_for_once_and_asked_for_anew),
        FORGED_TEST(lookup_that_goes_on_hanging_is_not_waited_for_as_long),
        FORGED_TEST(garbage_ends_that_peer_and_no_other),
        FORGED_TEST(request_without_its_descriptor_ends_that_peer),
        FORGED_TEST(words_of_another_role_are_not_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
