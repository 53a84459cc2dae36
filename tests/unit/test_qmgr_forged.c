/*
 * A worker or an agent that an attacker owns talks to qmgr: it can speak for nothing that it was
 * not given, and whatever it says, the mail of the others goes on.
 */
#include "qmgr_rig.h"

#include "qmgr/intake.h"
#include "util/base/clock.h"
#include "util/sys/seqpacket.h"

#include <fcntl.h>
#include <unistd.h>

/* A second worker beside the honest one, which stays world->smtpd. */
static struct channel *connect_liar(struct world *world)
{
    struct channel *honest = world->smtpd;
    connect_smtpd(world);
    struct channel *liar = world->smtpd;
    world->smtpd = honest;
    return liar;
}

static void say(struct channel *channel, const struct ipc_type *type, const void *message)
{
    assert_true(channel_send(channel, type, message, NULL));
}

static struct spool_salt with_a_bit_flipped(struct spool_salt salt, unsigned bit)
{
    uint8_t octets[sizeof salt];
    memcpy(octets, &salt, sizeof salt);
    octets[bit / 8] ^= (uint8_t)(1U << bit % 8);
    memcpy(&salt, octets, sizeof salt);
    return salt;
}

/* ---- hand-over to a new qmgr ---- */

enum lie { OTHER_BIT, NEIGHBOURS_SALT };

static struct spool_salt lie_about(const struct world *world, unsigned index, enum lie lie)
{
    if (lie == NEIGHBOURS_SALT)
        return world->held[(index + 1) % world->gives].salt;
    return with_a_bit_flipped(world->held[index].salt, index * 37 % 128);
}

/* The liar comes first and says where the segments end: before the letter of which nobody has heard
 * yet. Believed, it would be cut off. */
static void letter_survives(struct world *world, enum lie lie)
{
    send_letter_unheard(world, 3);
    stop_qmgr(world);
    prepare_qmgr(world);
    connect_smtpd(world);
    struct channel *liar = world->smtpd;
    connect_smtpd(world);
    for (unsigned i = 0; i < world->gives; i++) {
        const struct segment_held held = {world->held[i].number, SPOOL_BLOCK,
                                          lie_about(world, i, lie), 0};
        say(liar, &ipc_segment_held, &held);
        say(liar, &ipc_segment_sealed,
            &(struct segment_sealed){world->held[i].number, SPOOL_BLOCK});
    }
    say(liar, &ipc_segment_held, &(struct segment_held){.last = 1});
    qmgr_calls.start(&world->daemon);
    turn_for(world, 50);
    report_smtpd(world);
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "discard", 1); /* in the segment still held */
    wait_for(world, delivered_four);
    channel_free(liar);
}

static void segment_under_a_salt_that_differs_in_one_bit_is_refused(void **state)
{
    letter_survives(*state, OTHER_BIT);
}

static void segment_under_the_salt_of_another_segment_is_refused(void **state)
{
    letter_survives(*state, NEIGHBOURS_SALT);
}

/* ---- while it serves ---- */

static void segment_of_another_worker_is_neither_sealed_nor_read_by_a_liar(void **state)
{
    struct world *world = *state;
    send_letter_unheard(world, 3);
    struct channel *liar = connect_liar(world);
    say(liar, &ipc_segment_held, &(struct segment_held){.last = 1});
    for (unsigned i = 0; i < world->gives; i++) {
        uint64_t number = world->held[i].number;
        say(liar, &ipc_segment_durable, &(struct segment_durable){number, UINT64_MAX});
        say(liar, &ipc_segment_sealed, &(struct segment_sealed){number, SPOOL_BLOCK});
    }
    turn_for(world, 3 * STATES_DELAY_MS);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
    send_letter(world, "alice@example.test", "discard", 1); /* the worker says how far it is */
    wait_for(world, delivered_four);
    channel_free(liar);
}

static void numbers_that_name_no_segment_are_ignored(void **state)
{
    static const uint64_t numbers[] = {0, 999, UINT32_MAX, (uint64_t)1 << 44, UINT64_MAX};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct segment_held held = {.number = numbers[i], .durable_end = UINT64_MAX};
        say(world->smtpd, &ipc_segment_durable, &(struct segment_durable){numbers[i], 1 << 20});
        say(world->smtpd, &ipc_segment_sealed, &(struct segment_sealed){numbers[i], 0});
        say(world->smtpd, &ipc_segment_held, &held);
    }
    send_letter(world, "alice@example.test", "discard", 3);
    wait_for(world, delivered_three);
}

/* What is behind the end of its own segment is not there, and does not become a letter. */
static void end_beyond_everything_makes_no_letter(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < world->gives; i++)
        say(world->smtpd, &ipc_segment_durable,
            &(struct segment_durable){world->held[i].number, UINT64_MAX - i});
    turn_for(world, 3 * STATES_DELAY_MS);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
    assert_int_equal(count_of(world, QUEUE_READY), 0);
}

static void worker_that_wants_without_end_gets_what_there_is_room_for(void **state)
{
    struct world *world = *state;
    struct channel *honest = world->smtpd;
    struct channel *liar = connect_liar(world);
    say(liar, &ipc_segment_held, &(struct segment_held){.last = 1});
    world->smtpd = NULL; /* what is given to the liar is counted, and its writer wants no more */
    unsigned before = world->gives;
    for (int i = 0; i < 1000; i++)
        say(liar, &ipc_segment_want, &(struct segment_want){UINT8_MAX, 0});
    say(liar, &ipc_segment_want, &(struct segment_want){1, 0});
    turn_for(world, 100);
    assert_true(world->gives - before <= 1 + INTAKE_STOCK_SHARED + 1);
    world->smtpd = honest;
    channel_free(liar);
}

/* ---- a worker that hoards ---- */

/* Takes whatever it is given and wants more; what it `seals` it keeps open, or does not. */
struct hoarder {
    struct channel *channel;
    unsigned given;
    bool seals, keeps;
    int fds[2 * INTAKE_HELD_MOST];
};

static void hoard(void *arg, struct channel *channel, const struct ipc_type *type,
                  const void *message, struct fd_list *fds)
{
    struct hoarder *hoarder = arg;
    assert_ptr_equal(type, &ipc_segment_give);
    assert_true(hoarder->given < 2 * INTAKE_HELD_MOST);
    int fd = fd_list_take(fds);
    hoarder->fds[hoarder->given++] = hoarder->keeps ? fd : -1;
    if (!hoarder->keeps)
        (void)close(fd);
    const struct segment_sealed sealed = {((const struct segment_give *)message)->number,
                                          SPOOL_BLOCK};
    if (hoarder->seals)
        say(channel, &ipc_segment_sealed, &sealed);
    say(channel, &ipc_segment_want, &(struct segment_want){0, 4});
}

static void ignore(void *arg, struct channel *channel)
{
    (void)arg;
    (void)channel;
}

static void start_hoarding(struct world *world, struct hoarder *hoarder)
{
    const struct channel_calls calls = {hoard, ignore, hoarder};
    int pair[2];
    assert_true(seqpacket_pair(pair, 1 << 20));
    qmgr_calls.peer(&world->daemon, ROLE_SMTPD, 1, pair[1]);
    hoarder->channel = channel_new(world->loop, pair[0], &calls);
    say(hoarder->channel, &ipc_segment_held, &(struct segment_held){.last = 1});
    say(hoarder->channel, &ipc_segment_want, &(struct segment_want){0, 4});
}

static void stop_hoarding(struct hoarder *hoarder)
{
    channel_free(hoarder->channel);
    for (unsigned i = 0; i < hoarder->given; i++)
        if (hoarder->fds[i] >= 0)
            (void)close(hoarder->fds[i]);
}

/* Until no more come; the mail of the others goes on meanwhile. */
static void expect_hoard(struct world *world, struct hoarder *hoarder, unsigned most)
{
    unsigned before;
    start_hoarding(world, hoarder);
    do {
        before = hoarder->given;
        turn_for(world, 500);
    } while (hoarder->given > before && hoarder->given <= most);
    assert_int_equal(hoarder->given, most);
    send_letter(world, "alice@example.test", "discard", 3);
    wait_for(world, delivered_three);
    stop_hoarding(hoarder);
}

static void worker_is_given_no_more_segments_than_one_may_hold(void **state)
{
    struct hoarder hoarder = {.keeps = true};
    expect_hoard(*state, &hoarder, INTAKE_HELD_MOST);
}

static void segments_said_to_be_sealed_and_kept_open_count(void **state)
{
    struct hoarder hoarder = {.keeps = true, .seals = true};
    expect_hoard(*state, &hoarder, INTAKE_HELD_MOST);
}

static void segments_sealed_and_closed_are_forgotten(void **state)
{
    struct world *world = *state;
    struct hoarder hoarder = {.seals = true};
    start_hoarding(world, &hoarder);
    while (hoarder.given <= INTAKE_HELD_MOST)
        turn_for(world, 20);
    stop_hoarding(&hoarder);
}

/* ---- letters ---- */

/* A path that is longer than any, and than a job can carry: nobody is asked to deliver there. */
static void letter_to_a_path_that_is_none_is_deferred_and_holds_up_no_other(void **state)
{
    static char path[5000];
    struct world *world = *state;
    memset(path, 'x', sizeof path);
    connect_agent(world, 4);
    world->letter_nexthop = span_of(path, sizeof path);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, deferred_one);
    world->letter_nexthop = SPAN("");
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, three_jobs);
    for (size_t i = 0; i < 3; i++)
        answer_job(world, i, JOB_DELIVERED);
    wait_for(world, delivered_three);
}

/* ---- agents ---- */

static void agent_with_endless_credit_gets_no_more_than_its_slots(void **state)
{
    struct world *world = *state;
    world->conf.limits.delivery_concurrency = 2;
    connect_agent(world, UINT16_MAX);
    for (int i = 0; i < 300; i++)
        say(world->agent, &ipc_agent_credit, &(struct agent_credit){UINT16_MAX});
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, two_jobs);
    turn_for(world, 50);
    assert_int_equal(world->job_count, 2);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, three_jobs);
    answer_job(world, 1, JOB_DELIVERED);
    answer_job(world, 2, JOB_DELIVERED);
    wait_for(world, delivered_three);
}

static void results_with_forged_numbers_settle_nothing(void **state)
{
    struct world *world = *state;
    connect_agent(world, 3);
    send_letter(world, "alice@example.test", "local", 3);
    wait_for(world, three_jobs);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t job = world->jobs[0].job ^ (uint64_t)1 << bit;
        if (job == world->jobs[1].job || job == world->jobs[2].job)
            continue;
        say(world->agent, &ipc_job_result,
            &(struct job_result){job, JOB_DELIVERED, SPAN("2.0.0"), SPAN("forged")});
    }
    turn_for(world, 3 * STATES_DELAY_MS);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 0);
    for (size_t i = 0; i < 3; i++)
        answer_job(world, i, JOB_DELIVERED);
    for (size_t i = 0; i < 3; i++) /* said twice, counted once */
        answer_job(world, i, JOB_FAILED);
    wait_for(world, delivered_three);
    turn_for(world, 3 * STATES_DELAY_MS);
    assert_int_equal(page_get(world->page, PAGE_DELIVERED), 3);
    assert_int_equal(page_get(world->page, PAGE_BOUNCED), 0);
}

/* ---- everybody ---- */

static bool is_harmless(const struct ipc_type *type)
{
    return type->fds == 0;
}

/* All messages there are, with nothing in them, whoever may say them. */
static void say_everything(struct channel *channel)
{
    char nothing[4096] = {0};
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(types[i]->size <= sizeof nothing);
        if (is_harmless(types[i]))
            say(channel, types[i], nothing);
    }
}

static void words_of_another_role_are_not_obeyed(void **state)
{
    struct world *world = *state;
    connect_agent(world, 3);
    struct channel *liar = connect_liar(world);
    say_everything(liar);
    say_everything(world->smtpd);
    say_everything(world->agent);
    say_everything(world->lookup);
    turn_for(world, 20);
    send_letter(world, "alice@example.test", "discard", 3);
    wait_for(world, delivered_three);
    send_letter(world, "alice@example.test", "local", 1);
    wait_for(world, one_job);
    answer_job(world, 0, JOB_DELIVERED);
    wait_for(world, delivered_four);
    channel_free(liar);
}

static void garbage_ends_that_peer_and_no_other(void **state)
{
    static const struct span garbage[] = {
        SPAN_INIT("\0"),
        SPAN_INIT("\xff\xff\xff\xff\xff\xff\xff\xff"),
        SPAN_INIT("\x10\0\4\0\0\0"),
        SPAN_INIT("\x13\0\x10\0\0\0\1\1\1\1"),
    };
    static const enum role roles[] = {ROLE_SMTPD, ROLE_DELIVER};
    struct world *world = *state;
    char answer[16];
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++) {
            int pair[2];
            assert_true(seqpacket_pair(pair, 1 << 16));
            qmgr_calls.peer(&world->daemon, roles[k], 1, pair[1]);
            assert_int_equal(send(pair[0], garbage[i].data, garbage[i].len, 0), garbage[i].len);
            turn_for(world, 20);
            assert_int_equal(recv(pair[0], answer, sizeof answer, MSG_DONTWAIT), 0);
            (void)close(pair[0]);
        }
    send_letter(world, "alice@example.test", "discard", 3);
    wait_for(world, delivered_three);
}

int main(void)
{
#define FORGED_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        FORGED_TEST(segment_under_a_salt_that_differs_in_one_bit_is_refused),
        FORGED_TEST(segment_under_the_salt_of_another_segment_is_refused),
        FORGED_TEST(segment_of_another_worker_is_neither_sealed_nor_read_by_a_liar),
        FORGED_TEST(numbers_that_name_no_segment_are_ignored),
        FORGED_TEST(end_beyond_everything_makes_no_letter),
        FORGED_TEST(worker_that_wants_without_end_gets_what_there_is_room_for),
        FORGED_TEST(worker_is_given_no_more_segments_than_one_may_hold),
        FORGED_TEST(segments_said_to_be_sealed_and_kept_open_count),
        FORGED_TEST(segments_sealed_and_closed_are_forgotten),
        FORGED_TEST(letter_to_a_path_that_is_none_is_deferred_and_holds_up_no_other),
        FORGED_TEST(agent_with_endless_credit_gets_no_more_than_its_slots),
        FORGED_TEST(results_with_forged_numbers_settle_nothing),
        FORGED_TEST(words_of_another_role_are_not_obeyed),
        FORGED_TEST(garbage_ends_that_peer_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
