/*
 * pop3d_rig - a pop3d worker with one client, a pretended auth and a pretended mailbox process, all
 * on one loop; for the tests of pop3d.
 *
 * The password "right" is right, "later" is answered with a temporary failure, "hang" with nothing,
 * all others are wrong. The mailbox holds the rig's texts, under the names new/0, new/1 ...
 */
#ifndef VEREDUS_TESTS_POP3D_RIG_H
#define VEREDUS_TESTS_POP3D_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3d/peers.h"
#include "pop3d/session.h"
#include "pop3d/worker.h"

enum { RIG_MESSAGES = 64, RIG_NAME_PADDING = 1000 };

struct rig {
    struct loop *loop;
    struct conf conf;
    struct page *page;
    struct worker worker;
    int client; /* the other end of the session; -1: hung up */
    struct channel *auth, *mailbox;
    struct channel *successor; /* of mailbox; NULL: none */
    struct buf heard;          /* by the client, since rig_forget */
    bool closed;               /* by the server */

    struct span texts[RIG_MESSAGES];
    bool missing[RIG_MESSAGES];
    size_t count;
    bool long_names; /* each some RIG_NAME_PADDING octets longer */
    bool drained;

    enum mailbox_status open_status;   /* MAILBOX_OK: opened */
    enum mailbox_status delete_status; /* MAILBOX_OK or MAILBOX_PARTIAL */
    bool mute;                         /* no request is answered by mailbox */
    unsigned fetches, deletes, events;
    struct buf deleted;   /* names, a blank behind each */
    uint32_t hung_query;  /* of the last "hang" */
    struct span password; /* of the last verify */
    char password_text[256];
    int lock; /* the file of the lock, as another session would open it */
};

/* For cmocka: a worker, peers, a connected client on loopback, three messages of 20, 30 and 9
 * octets. */
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* Another client in place of this one, from `address`. */
void rig_connect(struct rig *rig, const char *address);
void rig_hang_up(struct rig *rig);

/* The client's one session; NULL when it has ended. */
struct session *rig_session(const struct rig *rig);

/* Serves until nothing happens any more, reading what comes. */
void rig_settle(struct rig *rig);

/* The same without reading at the client's end. */
void rig_serve_unread(struct rig *rig);

/* Sends `octets` in one piece; nothing is served yet. */
void rig_send(struct rig *rig, struct span octets);

/* Sends `lines`, settles, and gives all that was heard since rig_forget, NUL-terminated. */
const char *rig_talk(struct rig *rig, const char *lines);
void rig_forget(struct rig *rig);

/* Sends `lines`; what comes back to them must be exactly this. */
void rig_expect(struct rig *rig, const char *lines, const char *answer);

/* Past the login, with nothing left unread. */
void rig_log_in(struct rig *rig);

/* True when nobody holds the mailbox's lock any more. */
bool rig_lock_is_free(struct rig *rig);

/* auth answers the last "hang" after all: for alice. */
void rig_answer_hung(struct rig *rig, enum verify_status status);

void rig_lose_auth(struct rig *rig);
void rig_lose_mailbox(struct rig *rig);

/* Another mailbox process beside the one before, as a reload brings it; not mute. */
void rig_add_successor(struct rig *rig);
void rig_lose_successor(struct rig *rig);

/* Another mailbox process in place of the one before. */
void rig_restore_mailbox(struct rig *rig);

#endif
