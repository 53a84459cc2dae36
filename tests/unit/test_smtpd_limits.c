/*
 * The limits that are read from other processes' pages, and the times a client has.
 */
#include "smtpd_rig.h"

#include "smtpd/limits.h"

static void share_is_even_with_some_slack(void **state)
{
    static const struct {
        size_t ours;
        uint64_t others[2];
        bool above;
    } rows[] = {
        {0, {0, 0}, false},      {10, {0, 0}, false},       {24, {0, 0}, false},
        {25, {0, 0}, true},      {100, {100, 100}, false},  {116, {100, 100}, false},
        {130, {100, 100}, true}, {10, {1000, 1000}, false},
    };
    struct rig *rig = rig_of(state);
    struct page *siblings[] = {rig_page(), rig_page()}, *stranger = rig_page();
    const struct daemon_page pages[] = {{ROLE_SMTPD, 1, siblings[0]},
                                        {ROLE_SMTPD, 2, siblings[1]},
                                        {ROLE_QMGR, 0, rig->qmgr_page},
                                        {ROLE_SUBMISSION, 1, stranger}};
    size_t page_count = COUNT(pages);
    struct worker worker = {
        .role = ROLE_SMTPD, .page = rig->page, .pages = pages, .page_count = &page_count};
    page_set(stranger, PAGE_SESSIONS, 5000); /* of the other service */
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t k = 0; k < COUNT(siblings); k++)
            page_set(siblings[k], PAGE_SESSIONS, rows[i].others[k]);
        worker.session_count = rows[i].ours;
        assert_int_equal(limits_above_share(&worker), rows[i].above);
    }
    page_unmap(siblings[0]);
    page_unmap(siblings[1]);
    page_unmap(stranger);
}

static void lone_worker_is_never_above_its_share(void **state)
{
    struct rig *rig = rig_of(state);
    rig->worker.session_count = 5000;
    assert_false(limits_above_share(&rig->worker));
    rig->worker.session_count = 0;
}

static void pressure_comes_from_qmgr(void **state)
{
    struct rig *rig = rig_of(state);
    static const enum page_pressure levels[] = {PRESSURE_SLOW, PRESSURE_FULL, PRESSURE_NONE};
    for (size_t i = 0; i < COUNT(levels); i++) {
        page_set(rig->qmgr_page, PAGE_PRESSURE, levels[i]);
        assert_int_equal(limits_pressure(&rig->worker), levels[i]);
    }
    rig->page_count = 0;
    assert_int_equal(limits_pressure(&rig->worker), PRESSURE_NONE);
}

static void waits_follow_the_settings(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.idle = 7;
    rig->conf->limits.command_deadline = 11;
    static const struct {
        enum session_wait wait;
        int64_t ms;
    } rows[] = {
        {WAIT_COMMAND, 7000}, {WAIT_LINE, 11000}, {WAIT_DATA, 7000},   {WAIT_OUTPUT, 7000},
        {WAIT_LOOKUP, 30000}, {WAIT_PAUSE, 1000}, {WAIT_LINGER, 2000},
    };
    rig_reach(rig, SESSION_READY);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(limits_wait_ms(rig->session, rows[i].wait), rows[i].ms);
}

static void near_the_limit_waits_are_short(void **state)
{
    static const struct {
        enum session_wait wait;
        int64_t ms;
    } rows[] = {
        {WAIT_COMMAND, 10000}, {WAIT_LINE, 10000},   {WAIT_DATA, 10000}, {WAIT_OUTPUT, 10000},
        {WAIT_LOGIN, 300000},  {WAIT_LOOKUP, 30000}, {WAIT_PAUSE, 1000},
    };
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig->worker.stressed = true;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(limits_wait_ms(rig->session, rows[i].wait), rows[i].ms);
    /* A setting that is shorter already stays. */
    rig->conf->limits.idle = 7;
    assert_int_equal(limits_wait_ms(rig->session, WAIT_COMMAND), 7000);
}

static void stress_begins_at_nine_tenths_and_ends_below_eight(void **state)
{
    static const struct {
        size_t count;
        bool stressed;
    } rows[] = {{0, false}, {89, false}, {90, true},  {100, true},
                {89, true}, {80, true},  {79, false}, {89, false}};
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_worker = 100;
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig->worker.session_count = rows[i].count;
        limits_weigh(&rig->worker);
        assert_int_equal(rig->worker.stressed, rows[i].stressed);
    }
    rig->worker.session_count = 0;
    limits_weigh(&rig->worker);
}

static void stress_hurries_those_who_wait_already(void **state)
{
    struct rig *rig = rig_of(state);
    rig->conf->limits.connections_per_worker = 2;
    rig->conf->limits.idle_under_stress = 5;
    rig_reach(rig, SESSION_READY);
    struct session *first = rig->session;
    loop_turn(rig->loop, 0);
    assert_true(first->timer.due > loop_now(rig->loop) + 200000);
    int kept = rig->client;
    rig->client = -1;
    rig_connect_from(rig, "192.0.2.2");
    assert_int_equal(rig_hear_code(rig), 220);
    assert_true(rig->worker.stressed);
    assert_true(first->timer.due <= loop_now(rig->loop) + 5000);
    (void)close(kept);
}

static void nobody_gains_time_by_stress(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    loop_turn(rig->loop, 0);
    timer_set(&rig->session->timer, 100);
    int64_t due = rig->session->timer.due;
    rig->worker.stressed = true;
    session_hurry(rig->session);
    assert_int_equal(rig->session->timer.due, due);
}

static void descriptors_are_a_limit_of_their_own(void **state)
{
    struct rig *rig = rig_of(state);
    rig->worker.descriptors = 1;
    rig_reach(rig, SESSION_START);
    int kept = rig->client;
    rig->client = -1;
    rig_connect_from(rig, "192.0.2.2");
    rig_expect(rig, "421 4.3.2 Too many connections, try again later\r\n");
    (void)close(kept);
}

/* The deadline of a reply is for all of it. */
static void client_that_takes_its_replies_slowly_gains_no_time(void **state)
{
    struct rig *rig = rig_of(state);
    const int least = 1;
    char octets[500];
    rig->conf->limits.junk_commands = 10000;
    rig_reach(rig, SESSION_READY);
    assert_int_equal(
        setsockopt(rig->session->stream.io.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    struct buf many = {0};
    for (int i = 0; i < 200; i++)
        buf_add(&many, SPAN("HELP\r\n"));
    rig_write(rig, buf_span(&many));
    buf_free(&many);
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->session->wait, WAIT_OUTPUT);
    int64_t due = rig->session->timer.due;
    size_t before = buf_len(&rig->session->out);
    loop_turn(rig->loop, 20);
    while (buf_len(&rig->session->out) == before) {
        assert_true(recv(rig->client, octets, sizeof(octets), 0) > 0);
        loop_turn(rig->loop, 0);
    }
    assert_int_equal(rig->session->wait, WAIT_OUTPUT);
    assert_int_equal(rig->session->timer.due, due);
}

static void data_rate_is_judged_after_the_deadline(void **state)
{
    static const struct {
        int64_t elapsed_s;
        uint64_t size;
        bool slow;
    } rows[] = {
        {0, 0, false},        {299, 0, false},       {301, 150000, true},
        {301, 151000, false}, {3600, 1799999, true}, {3600, 1800500, false},
    };
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_DATA);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig->session->transaction->started = loop_now(rig->loop) - rows[i].elapsed_s * 1000;
        rig->session->transaction->size = rows[i].size;
        assert_int_equal(limits_is_slow(rig->session, rig->session->transaction->started,
                                        rig->session->transaction->size),
                         rows[i].slow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(share_is_even_with_some_slack),
        RIG_TEST(lone_worker_is_never_above_its_share),
        RIG_TEST(pressure_comes_from_qmgr),
        RIG_TEST(waits_follow_the_settings),
        RIG_TEST(near_the_limit_waits_are_short),
        RIG_TEST(stress_begins_at_nine_tenths_and_ends_below_eight),
        RIG_TEST(stress_hurries_those_who_wait_already),
        RIG_TEST(nobody_gains_time_by_stress),
        RIG_TEST(descriptors_are_a_limit_of_their_own),
        RIG_TEST(client_that_takes_its_replies_slowly_gains_no_time),
        RIG_TEST(data_rate_is_judged_after_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
