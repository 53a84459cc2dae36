/*
 * What smtpd says to qmgr and believes of its peers: a segment is spoken for with the salt it was
 * given under, and an answer nobody asked for changes nothing.
 */
#include "smtpd_rig.h"

/* A qmgr that writes down the report. */
struct listener {
    struct channel *channel;
    struct segment_held held[RIG_SEGMENTS];
    size_t count;
    bool complete;
};

static void on_report(void *arg, struct channel *channel, const struct ipc_type *type,
                      const void *message, struct fd_list *fds)
{
    struct listener *listener = arg;
    (void)channel, (void)fds;
    if (type != &ipc_segment_held)
        return;
    const struct segment_held *held = message;
    listener->complete |= held->last != 0;
    if (held->number != 0)
        listener->held[listener->count++] = *held;
}

static void on_end(void *arg, struct channel *channel)
{
    (void)arg, (void)channel;
}

static void settle(struct rig *rig)
{
    for (int i = 0; i < 8; i++)
        loop_turn(rig->loop, 0);
}

/* Each octet of it differs from its neighbours' and from that of another segment. */
static struct spool_salt salt_of(uint64_t number)
{
    struct spool_salt salt;
    uint8_t octets[sizeof(salt)];
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (uint8_t)(number * 31 + i + 1);
    memcpy(&salt, octets, sizeof(salt));
    return salt;
}

static void give_salted(struct rig *rig, enum spool_kind kind)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    assert_true(fd >= 0);
    rig->segments[rig->segment_count++] = fd;
    uint64_t number = rig->segment_count;
    const struct segment_give give = {number, salt_of(number), (uint8_t)kind, RIG_SEGMENT};
    assert_true(channel_send(rig->qmgr, &ipc_segment_give, &give, &fd));
}

static void connect_listener(struct rig *rig, struct listener *listener)
{
    int pair[2];
    const struct channel_calls calls = {on_report, on_end, listener};
    assert_true(seqpacket_pair(pair, RIG_BUFFER));
    listener->channel = channel_new(rig->loop, pair[0], &calls);
    segments_connect(&rig->worker, pair[1]);
    settle(rig);
    assert_true(listener->complete);
}

static const struct segment_held *report_of(const struct listener *listener, uint64_t number)
{
    for (size_t i = 0; i < listener->count; i++)
        if (listener->held[i].number == number)
            return &listener->held[i];
    fail_msg("segment %lu was not reported", (unsigned long)number);
    return NULL;
}

static void report_carries_the_salt_of_each_segment_in_hand(void **state)
{
    struct rig *rig = rig_of(state);
    struct listener listener = {.count = 0};
    size_t unsalted = rig->segment_count;
    give_salted(rig, SPOOL_SHARED);
    give_salted(rig, SPOOL_PRIVATE);
    give_salted(rig, SPOOL_SHARED);
    settle(rig);
    connect_listener(rig, &listener);
    for (uint64_t number = unsalted + 1; number <= rig->segment_count; number++) {
        const struct spool_salt salt = salt_of(number);
        assert_memory_equal(&report_of(&listener, number)->salt, &salt, sizeof(salt));
    }
    channel_free(listener.channel);
}

/* The salt is still there when the segment has letters and its end moves. */
static void report_of_a_segment_with_letters_carries_salt_and_end(void **state)
{
    struct rig *rig = rig_of(state);
    struct listener listener = {.count = 0};
    rig->qmgr_gives = false;
    give_salted(rig, SPOOL_SHARED);
    uint64_t number = rig->segment_count;
    const struct spool_salt salt = salt_of(number);
    /* The open segment is given up, the spares too: the letter goes into the salted one. */
    for (size_t tries = 0; tries <= rig->segment_count; tries++) {
        rig_reach(rig, SESSION_DATA);
        rig_write(rig, SPAN("x\r\n.\r\n"));
        struct rig_letter letter = rig_hear_letter(rig);
        uint64_t place = letter.header.number;
        rig_free_letter(&letter);
        if (place == number)
            break;
        spool_writer_rotate(rig->worker.writer);
        settle(rig);
    }
    connect_listener(rig, &listener);
    assert_memory_equal(&report_of(&listener, number)->salt, &salt, sizeof(salt));
    assert_true(report_of(&listener, number)->durable_end > SPOOL_BLOCK);
    channel_free(listener.channel);
}

static void answers_to_questions_that_nobody_asked_change_nothing(void **state)
{
    struct rig *rig = rig_of(state);
    rig->lookup_silent = true;
    rig_reach(rig, SESSION_MAIL);
    rig_write(rig, SPAN(RIG_RCPT));
    rig_expect_silence(rig);
    assert_int_equal(rig->asked_count, 1);
    uint32_t asked = rig->asked[0].query;
    for (uint32_t away = 1; away < 100; away++) {
        rig_answer(rig, asked + away, RESOLVE_OK, false, SPAN("evil@example.test"));
        rig_answer(rig, asked - away, RESOLVE_OK, true, SPAN("evil@example.test"));
    }
    rig_expect_silence(rig);
    rig_answer(rig, asked, RESOLVE_UNKNOWN_USER, false, SPAN(""));
    assert_int_equal(rig_hear_code(rig), 550);
    rig_answer(rig, asked, RESOLVE_OK, false, SPAN("alice@example.test")); /* once more */
    rig_expect_silence(rig);
    assert_int_equal(rig_ask(rig, "DATA\r\n"), 554);
}

/* Neither peer may say what is another's to say; it is not obeyed and does no harm. */
static void words_of_another_role_are_not_obeyed(void **state)
{
    struct rig *rig = rig_of(state);
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    char nothing[4096] = {0};
    rig_reach(rig, SESSION_DATA);
    for (size_t i = 0; i < count; i++) {
        if (types[i]->fds > 0 || types[i] == &ipc_resolved)
            continue;
        assert_true(types[i]->size <= sizeof(nothing));
        assert_true(channel_send(rig->lookup, types[i], nothing, NULL));
        assert_true(channel_send(rig->qmgr, types[i], nothing, NULL));
        settle(rig);
    }
    rig_write(rig, SPAN("x\r\n.\r\n"));
    struct rig_letter letter = rig_hear_letter(rig);
    assert_true(span_equal(rig_message(&letter), SPAN("x\r\n")));
    rig_free_letter(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(report_carries_the_salt_of_each_segment_in_hand),
        RIG_TEST(report_of_a_segment_with_letters_carries_salt_and_end),
        RIG_TEST(answers_to_questions_that_nobody_asked_change_nothing),
        RIG_TEST(words_of_another_role_are_not_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
