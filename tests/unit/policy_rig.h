/*
 * policy_rig - smtpd's questions to lookup on a loop, with a test in the part of lookup.
 */
#ifndef VEREDUS_TESTS_POLICY_RIG_H
#define VEREDUS_TESTS_POLICY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd/questions.h"
#include "util/base/clock.h"
#include "util/conf/conf.h"

enum { RIG_TURNS = 100 };

struct policy_rig {
    struct loop *loop;
    struct questions questions;
    struct channel *near, *far;
    const struct ipc_type *heard_type; /* of the last question that lookup heard */
    uint32_t heard;                    /* its number */
    unsigned heard_count, done_count, alien_count;
    struct arena arena;
    struct conf conf;
};

static void rig_heard(void *arg, struct channel *channel, const struct ipc_type *type,
                      const void *message, struct fd_list *fds)
{
    struct policy_rig *rig = arg;
    (void)channel;
    (void)fds;
    rig->heard_type = type;
    memcpy(&rig->heard, message, sizeof(rig->heard));
    rig->heard_count++;
}

static void rig_answered(void *arg, struct channel *channel, const struct ipc_type *type,
                         const void *message, struct fd_list *fds)
{
    struct policy_rig *rig = arg;
    (void)channel;
    (void)fds;
    if (!questions_heard(&rig->questions, type, message))
        rig->alien_count++;
}

static void rig_closed(void *arg, struct channel *channel)
{
    (void)arg;
    (void)channel;
    fail_msg("a channel was closed");
}

static inline void rig_connect(struct policy_rig *rig)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    struct channel *old_near = rig->near, *old_far = rig->far;
    rig->near =
        channel_new(rig->loop, pair[0], &(struct channel_calls){rig_answered, rig_closed, rig});
    rig->far = channel_new(rig->loop, pair[1], &(struct channel_calls){rig_heard, rig_closed, rig});
    questions_connect(&rig->questions, rig->near);
    channel_free(old_near);
    channel_free(old_far);
}

static inline int rig_set_up(void **state)
{
    struct policy_rig *rig = mem_new(sizeof(*rig));
    rig->loop = loop_new();
    rig->questions.loop = rig->loop;
    rig->conf.table_directory = SPAN("/etc/veredus");
    rig->conf.file = SPAN("/etc/veredus.conf");
    rig_connect(rig);
    *state = rig;
    return 0;
}

static inline int rig_tear_down(void **state)
{
    struct policy_rig *rig = *state;
    channel_free(rig->near);
    channel_free(rig->far);
    loop_free(rig->loop);
    arena_free(&rig->arena);
    mem_free(rig);
    return 0;
}

/* The callback of whatever is asked. */
static inline void rig_done(void *arg)
{
    struct policy_rig *rig = arg;
    rig->done_count++;
}

/* Until lookup heard `count` questions in all. */
static inline void rig_hear(struct policy_rig *rig, unsigned count)
{
    for (int i = 0; i < RIG_TURNS && rig->heard_count < count; i++)
        loop_turn(rig->loop, 100);
    assert_int_equal(rig->heard_count, count);
}

/* Lookup's word, until `done` was called `count` times in all. */
static inline void rig_say(struct policy_rig *rig, const struct ipc_type *type, const void *message,
                           unsigned count)
{
    assert_true(channel_send(rig->far, type, message, NULL));
    for (int i = 0; i < RIG_TURNS && rig->done_count < count; i++)
        loop_turn(rig->loop, 100);
    assert_int_equal(rig->done_count, count);
}

#endif
