/*
 * Bodies: windows of descriptors, TOP, dots, and clients that do not read.
 */
#include "pop3d_rig.h"
#include "tests/unit/buf_text.h"

#include <dirent.h>
#include <stdio.h>

enum { LARGE = 5 << 20, DESCRIPTORS_A_SESSION = 32 };

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

static void fill(struct rig *rig, size_t count)
{
    rig->count = count;
    for (size_t i = 0; i < count; i++)
        rig->texts[i] = SPAN("S: x\r\n\r\nx\r\n");
}

static const char retrieved[] = "+OK 11 octets\r\nS: x\r\n\r\nx\r\n.\r\n";

static void retrieve(struct rig *rig, size_t number)
{
    char line[32];
    (void)snprintf(line, sizeof(line), "RETR %zu\r\n", number);
    rig_expect(rig, line, retrieved);
}

/* ---- windows ---- */

static void test_messages_are_asked_for_by_the_window(void **state)
{
    struct rig *rig = *state;
    fill(rig, 40);
    rig_log_in(rig);
    for (size_t i = 1; i <= 40; i++)
        retrieve(rig, i);
    assert_int_equal(rig->fetches, 3);
    assert_int_equal(page_get(rig->page, PAGE_RETRIEVED), 40);
}

static void test_a_session_holds_few_descriptors_in_any_order(void **state)
{
    struct rig *rig = *state;
    fill(rig, RIG_MESSAGES);
    rig_log_in(rig);
    int before = open_descriptors();
    for (size_t i = 0; i < RIG_MESSAGES; i++) {
        retrieve(rig, i * 37 % RIG_MESSAGES + 1);
        assert_true(open_descriptors() - before <= DESCRIPTORS_A_SESSION);
    }
    rig_expect(rig, "QUIT\r\n", "+OK POP3 server signing off (64 messages left)\r\n");
    assert_true(open_descriptors() < before);
}

static void test_a_retrieved_message_is_closed_and_can_be_had_again(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_expect(rig, "TOP 3 0\r\n", "+OK top of message follows\r\nX: y\r\n\r\n.\r\n");
    int before = open_descriptors();
    rig_expect(rig, "RETR 3\r\n", "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n");
    assert_int_equal(open_descriptors(), before - 1);
    assert_int_equal(rig->fetches, 1);
    rig_expect(rig, "RETR 3\r\n", "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n");
    assert_int_equal(rig->fetches, 2);
}

static void test_a_missing_message_is_an_error_for_itself_alone(void **state)
{
    struct rig *rig = *state;
    fill(rig, 5);
    rig->missing[1] = rig->missing[4] = true;
    rig_log_in(rig);
    retrieve(rig, 1);
    rig_expect(rig, "RETR 2\r\nTOP 2 0\r\n",
               "-ERR this message can not be read\r\n-ERR this message can not be read\r\n");
    retrieve(rig, 3);
    rig_expect(rig, "RETR 5\r\n", "-ERR this message can not be read\r\n");
    retrieve(rig, 4);
    rig_expect(rig, "LAST\r\nDELE 2\r\nQUIT\r\n",
               "+OK 4\r\n+OK message deleted\r\n+OK POP3 server signing off (4 messages left)\r\n");
}

static void test_pipelined_retrievals_come_in_order(void **state)
{
    struct rig *rig = *state;
    struct buf lines = {0};
    struct buf expected = {0};
    fill(rig, 40);
    rig_log_in(rig);
    for (int i = 40; i >= 1; i--) {
        assert_true(buf_text(&lines, "RETR %d\r\n", i));
        buf_add(&expected, SPAN(retrieved));
    }
    buf_add(&lines, span_of("", 1));
    buf_add(&expected, span_of("", 1));
    rig_expect(rig, buf_span(&lines).data, buf_span(&expected).data);
    buf_free(&lines);
    buf_free(&expected);
}

static void test_last_is_the_highest_number_retrieved(void **state)
{
    struct rig *rig = *state;
    fill(rig, 5);
    rig_log_in(rig);
    retrieve(rig, 4);
    retrieve(rig, 2);
    rig_expect(rig, "TOP 5 0\r\nDELE 4\r\nLAST\r\n",
               "+OK top of message follows\r\nS: x\r\n\r\n.\r\n+OK message deleted\r\n+OK 4\r\n");
    rig_expect(rig, "RSET\r\nLAST\r\n", "+OK 5 messages (55 octets)\r\n+OK 0\r\n");
}

/* ---- what is sent ---- */

static void test_a_listing_is_whole_whatever_came_before(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    (void)rig_talk(rig, "RETR 3\r\nTOP 2 0\r\nUIDL\r\nCAPA\r\n");
    rig_expect(rig, "LIST\r\n", "+OK 3 messages (64 octets)\r\n1 20\r\n2 33\r\n3 11\r\n.\r\n");
    (void)rig_talk(rig, "RETR 3\r\n");
    rig_expect(rig, "UIDL\r\n",
               "+OK unique-id listing follows\r\n1 uid-0\r\n2 uid-1\r\n3 uid-2\r\n.\r\n");
}

static void test_line_ends_and_dots_are_mended(void **state)
{
    static const struct {
        struct span text;
        const char *body;
    } rows[] = {
        {SPAN_INIT(""), ".\r\n"},
        {SPAN_INIT("."), "..\r\n.\r\n"},
        {SPAN_INIT(".\n.\r\n..\n"), "..\r\n..\r\n...\r\n.\r\n"},
        {SPAN_INIT("no end"), "no end\r\n.\r\n"},
        {SPAN_INIT("lf\ncrlf\r\n"), "lf\r\ncrlf\r\n.\r\n"},
        {SPAN_INIT("8-bit \xe4\xff\r\n"), "8-bit \xe4\xff\r\n.\r\n"},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_connect(rig, "127.0.0.1");
        rig->count = 1;
        rig->texts[0] = rows[i].text;
        rig_log_in(rig);
        const char *heard = rig_talk(rig, "RETR 1\r\n");
        assert_string_equal(strstr(heard, "\r\n") + 2, rows[i].body);
        rig_forget(rig);
    }
}

static const struct {
    struct span text;
    uint64_t lines;
    size_t cut;
} tops[] = {
    {SPAN_INIT("A: b\r\n\r\n1\r\n2\r\n"), 0, 8},
    {SPAN_INIT("A: b\r\n\r\n1\r\n2\r\n"), 1, 11},
    {SPAN_INIT("A: b\r\n\r\n1\r\n2\r\n"), 2, 14},
    {SPAN_INIT("A: b\r\n\r\n1\r\n2\r\n"), UINT64_MAX, 14},
    {SPAN_INIT("A: b\n\n1\n2\n"), 0, 6},
    {SPAN_INIT("A: b\n\n1\n2\n"), 1, 8},
    {SPAN_INIT("A: b\n\n\n\n2\n"), 1, 7},
    {SPAN_INIT("A: b\nno text"), 0, 12},
    {SPAN_INIT("A\r: b\n\r\n1\n"), 0, 8},
    {SPAN_INIT("\n1\n2\n"), 0, 1},
    {SPAN_INIT(""), 5, 0},
};

static void test_top_ends_where_it_should_in_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++)
        for (size_t split = 0; split <= tops[i].text.len; split++) {
            struct body_top top = {.lines = tops[i].lines};
            size_t cut = body_top_cut(&top, span_first(tops[i].text, split));
            if (!top.ended)
                cut += body_top_cut(&top, span_skip(tops[i].text, split));
            assert_int_equal(cut, tops[i].cut);
        }
}

static void test_top_counts_lines_of_the_text(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_expect(rig, "TOP 2 1\r\n",
               "+OK top of message follows\r\nSubject: b\r\n\r\n..dot\r\n.\r\n");
    rig_expect(rig, "TOP 2 999999999\r\n",
               "+OK top of message follows\r\nSubject: b\r\n\r\n..dot\r\n...two\r\nlast\r\n.\r\n");
}

/* ---- clients that do not read ---- */

static char *large_message(void)
{
    char *text = mem_array(LARGE, 1);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)(i % 64 == 63 ? '\n' : 'a' + (int)(i / 64 % 26));
    return text;
}

/* What RETR gives for it. */
static void large_body(const char *text, struct buf *out)
{
    for (size_t i = 0; i < LARGE; i += 64) {
        buf_add(out, span_of(text + i, 63));
        buf_add(out, SPAN("\r\n"));
    }
    buf_add(out, SPAN(".\r\n"));
}

static void test_a_large_message_waits_for_the_client_in_little_memory(void **state)
{
    struct rig *rig = *state;
    char *text = large_message();
    struct buf expected = {0};
    rig->count = 1;
    rig->texts[0] = span_of(text, LARGE);
    rig_log_in(rig);

    rig_send(rig, SPAN("RETR 1\r\nNOOP\r\n"));
    rig_serve_unread(rig);
    struct session *session = rig_session(rig);
    assert_int_equal(session->body.kind, BODY_MESSAGE);
    assert_true(session->out.cap < 4 * BODY_CHUNK);
    assert_true(rig->worker.out.cap < 4 * BODY_CHUNK);
    assert_int_equal(session->io.wanted, IO_WRITE);

    large_body(text, &expected);
    buf_add(&expected, SPAN("+OK\r\n"));
    rig_settle(rig);
    struct span heard = buf_span(&rig->heard);
    assert_true(span_has_prefix(heard, SPAN("+OK 5324800 octets\r\n")));
    assert_true(span_equal(span_skip(heard, span_find(heard, '\n') + 1), buf_span(&expected)));
    assert_null(session->out.data);
    assert_int_equal(session->io.wanted, IO_READ);
    buf_free(&expected);
    mem_free(text);
}

static void test_a_client_that_hangs_up_amid_a_message_frees_everything(void **state)
{
    struct rig *rig = *state;
    char *text = large_message();
    int before = open_descriptors();
    rig->count = 2;
    rig->texts[0] = rig->texts[1] = span_of(text, LARGE);
    rig_log_in(rig);
    rig_send(rig, SPAN("RETR 1\r\n"));
    rig_serve_unread(rig);
    rig_hang_up(rig);
    rig_settle(rig);
    assert_null(rig_session(rig));
    /* gone: both ends of the connection; come: the rig's end of the lock */
    assert_int_equal(open_descriptors(), before - 1);
    mem_free(text);
}

static void test_listings_that_are_not_read_are_not_piled_up(void **state)
{
    struct rig *rig = *state;
    struct buf lines = {0};
    fill(rig, RIG_MESSAGES);
    rig_log_in(rig);
    for (int i = 0; i < 2000; i++)
        buf_add(&lines, SPAN("UIDL\r\n"));
    rig_send(rig, buf_span(&lines));
    rig_serve_unread(rig);
    assert_true(rig_session(rig)->out.cap < 4 * BODY_CHUNK);
    rig_settle(rig);
    size_t ends = 0;
    struct span heard = buf_span(&rig->heard);
    for (size_t at = 0; at + 3 <= heard.len; at++)
        ends += memcmp(heard.data + at, "\n.\r", 3) == 0;
    assert_int_equal(ends, 2000);
    buf_free(&lines);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(test_messages_are_asked_for_by_the_window),
        RIGGED(test_a_session_holds_few_descriptors_in_any_order),
        RIGGED(test_a_retrieved_message_is_closed_and_can_be_had_again),
        RIGGED(test_a_missing_message_is_an_error_for_itself_alone),
        RIGGED(test_pipelined_retrievals_come_in_order),
        RIGGED(test_last_is_the_highest_number_retrieved),
        RIGGED(test_a_listing_is_whole_whatever_came_before),
        RIGGED(test_line_ends_and_dots_are_mended),
        cmocka_unit_test(test_top_ends_where_it_should_in_every_split),
        RIGGED(test_top_counts_lines_of_the_text),
        RIGGED(test_a_large_message_waits_for_the_client_in_little_memory),
        RIGGED(test_a_client_that_hangs_up_amid_a_message_frees_everything),
        RIGGED(test_listings_that_are_not_read_are_not_piled_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
