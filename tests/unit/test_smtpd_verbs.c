/*
 * The table of commands beside the matrix (test_smtpd_matrix.c): their names, what they say of
 * themselves, and what may not stand behind them.
 */
#include "smtpd_rig.h"

#include "smtpd/verbs.h"

static const enum session_state states[] = {SESSION_START,   SESSION_READY, SESSION_MAIL,
                                            SESSION_REFUSED, SESSION_RCPT,  SESSION_CHUNKS};

static void quit_ends_every_state(void **state)
{
    struct rig *rig = rig_of(state);
    for (size_t column = 0; column < COUNT(states); column++) {
        rig_reach(rig, states[column]);
        rig_say(rig, "QUIT\r\n", "221 2.0.0 Bye\r\n");
        rig_expect_end(rig);
    }
}

static void foreign_protocols_are_dropped_without_a_word(void **state)
{
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\n",
        "connect mx.example.test:25 HTTP/1.0\r\n",
        "\x16\x03\x01\x02",
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(lines); i++) {
        rig_reach(rig, SESSION_START);
        rig_write(rig, span_cstr(lines[i]));
        rig_expect_end(rig);
    }
}

static void refusal_names_the_missing_step(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_START);
    rig_say(rig, RIG_MAIL, "503 5.5.1 Send EHLO or HELO first\r\n");
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "DATA\r\n", "503 5.5.1 Send MAIL first\r\n");
    rig_reach(rig, SESSION_MAIL);
    rig_say(rig, "DATA\r\n", "503 5.5.1 Send RCPT first\r\n");
    rig_reach(rig, SESSION_REFUSED);
    rig_say(rig, "DATA\r\n", "554 5.5.1 No valid recipients\r\n");
    rig_reach(rig, SESSION_RCPT);
    rig_say(rig, RIG_MAIL, "503 5.5.1 A transaction is open already\r\n");
}

static void help_lists_what_the_table_has(void **state)
{
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_READY);
    rig_say(rig, "HELP\r\n",
            "214-2.0.0 Commands: HELO EHLO MAIL RCPT DATA BDAT STARTTLS RSET VRFY EXPN ETRN "
            "HELP NOOP QUIT\r\n"
            "214-2.0.0 Extensions: PIPELINING SIZE ENHANCEDSTATUSCODES 8BITMIME CHUNKING "
            "BINARYMIME SMTPUTF8 DSN LIMITS REQUIRETLS\r\n"
            "214 2.0.0 HELP topic says more\r\n");
    rig_say(rig, "HELP DATA\r\n", "214-2.0.0 DATA\r\n214 2.0.0 RFC 5321 4.1.1.4\r\n");
}

static void help_shows_what_the_service_has(void **state)
{
    static const struct {
        enum conf_service service;
        const char *topic;
        unsigned code;
    } rows[] = {
        {SERVICE_SMTP, "EHLO", 214},       {SERVICE_SMTP, "LHLO", 504},
        {SERVICE_SMTP, "AUTH", 504},       {SERVICE_SUBMISSION, "AUTH", 214},
        {SERVICE_SUBMISSION, "LHLO", 504}, {SERVICE_LMTP, "LHLO", 214},
        {SERVICE_LMTP, "EHLO", 504},       {SERVICE_LMTP, "HELO", 504},
    };
    struct rig *rig = rig_of(state);
    rig_reach(rig, SESSION_START);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char line[100], word[100];
        rig->listener.service = rows[i].service;
        (void)snprintf(line, sizeof(line), "HELP %s\r\n", rows[i].topic);
        (void)snprintf(word, sizeof(word), " %s ", rows[i].topic);
        assert_int_equal(rig_ask(rig, line), rows[i].code);
        bool listed = strstr(rig->worker.help[rows[i].service], word) != NULL;
        assert_int_equal(listed, rows[i].code == 214);
    }
}

/* Whoever reads the answer to EHLO finds a topic for each of its words. */
static void help_has_a_topic_for_every_extension(void **state)
{
    struct rig *rig = rig_of(state);
    char hello[1000], line[100];
    rig_reach(rig, SESSION_READY);
    rig->conf->limits.junk_commands = 1000;
    rig_write(rig, SPAN(RIG_HELLO));
    assert_true(span_to_cstr(rig_hear(rig, 1), hello, sizeof(hello)));
    struct span rest = span_cstr(hello), each;
    assert_true(span_next(&rest, '\n', &each));
    buf_reset(&rig->heard);
    while (span_next(&rest, '\n', &each)) {
        each = span_skip(each, 4);
        each = span_first(each, span_find(each, '\r'));
        (void)snprintf(line, sizeof(line), "HELP %.*s\r\n",
                       SPAN_ARG(span_first(each, span_find(each, ' '))));
        assert_int_equal(rig_ask(rig, line), 214);
    }
}

static void input_behind_a_greeting_or_data_closes(void **state)
{
    static const struct {
        enum session_state from;
        const char *lines;
    } rows[] = {
        {SESSION_START, "EHLO client.test\r\nMAIL FROM:<a@b.test>\r\n"},
        {SESSION_START, "HELO client.test\r\nN"},
        {SESSION_RCPT, "DATA\r\nSubject: x\r\n\r\n.\r\n"},
        {SESSION_REFUSED, "DATA\r\nMAIL FROM:<a@b.test>\r\n"},
    };
    struct rig *rig = rig_of(state);
    for (size_t i = 0; i < COUNT(rows); i++) {
        rig_reach(rig, rows[i].from);
        rig_say(rig, rows[i].lines, "503 5.5.1 Improper pipelining: wait for the answer\r\n");
        rig_expect_end(rig);
    }
}

static void names_are_cut_from_their_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *line, *name, *arguments;
    } rows[] = {
        {"NOOP", "NOOP", ""}, {"NOOP ", "NOOP", ""}, {" \tMAIL \t FROM:<> ", "MAIL", "FROM:<>"},
        {"", "", ""},         {"  ", "", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span arguments;
        assert_true(
            span_equal(verb_name(span_cstr(rows[i].line), &arguments), span_cstr(rows[i].name)));
        assert_true(span_equal(arguments, span_cstr(rows[i].arguments)));
    }
}

static void every_row_is_found_by_its_name(void **state)
{
    (void)state;
    size_t count;
    const struct verb *table = verb_table(&count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(verb_find(span_cstr(table[i].name)), &table[i]);
        assert_true(table[i].states != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(quit_ends_every_state),
        RIG_TEST(foreign_protocols_are_dropped_without_a_word),
        RIG_TEST(refusal_names_the_missing_step),
        RIG_TEST(help_lists_what_the_table_has),
        RIG_TEST(help_shows_what_the_service_has),
        RIG_TEST(help_has_a_topic_for_every_extension),
        RIG_TEST(input_behind_a_greeting_or_data_closes),
        cmocka_unit_test(names_are_cut_from_their_arguments),
        cmocka_unit_test(every_row_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
