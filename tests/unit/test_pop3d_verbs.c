/*
 * Every verb in every state, and what a command line may look like.
 */
#include "pop3d_rig.h"

#include <stdio.h>

#include "pop3d/verbs.h"

static const char log_in_first[] = "-ERR log in first\r\n";
static const char logged_in[] = "-ERR you are logged in already\r\n";
static const char wrong_arguments[] = "-ERR wrong arguments\r\n";
static const char unknown[] = "-ERR unknown command\r\n";
static const char too_long[] = "-ERR the line is too long\r\n";
static const char no_message[] = "-ERR no such message\r\n";

#define CAPABILITIES                                                                               \
    "+OK capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"       \
    "PIPELINING\r\nEXPIRE NEVER\r\nIMPLEMENTATION Veredus-" VEREDUS_VERSION "\r\n.\r\n"

/* The mailbox: 20, 33 (as the wire has it) and 11 octets. */
static const struct {
    const char *line;
    const char *authorization; /* answer in this state */
    const char *transaction;
} matrix[] = {
    {"USER alice\r\n", "+OK send the password\r\n", logged_in},
    {"PASS right\r\n", "-ERR USER comes first\r\n", logged_in},
    {"APOP alice c4c9334bac560ecc979e58001b3e22fb\r\n", "-ERR APOP is not offered\r\n", logged_in},
    {"STAT\r\n", log_in_first, "+OK 3 64\r\n"},
    {"LIST\r\n", log_in_first, "+OK 3 messages (64 octets)\r\n1 20\r\n2 33\r\n3 11\r\n.\r\n"},
    {"LIST 2\r\n", log_in_first, "+OK 2 33\r\n"},
    {"UIDL\r\n", log_in_first,
     "+OK unique-id listing follows\r\n1 uid-0\r\n2 uid-1\r\n3 uid-2\r\n.\r\n"},
    {"UIDL 3\r\n", log_in_first, "+OK 3 uid-2\r\n"},
    {"RETR 3\r\n", log_in_first, "+OK 11 octets\r\nX: y\r\n\r\nz\r\n.\r\n"},
    {"TOP 3 0\r\n", log_in_first, "+OK top of message follows\r\nX: y\r\n\r\n.\r\n"},
    {"TOP 3\r\n", log_in_first, "+OK top of message follows\r\nX: y\r\n\r\n.\r\n"},
    {"DELE 1\r\n", log_in_first, "+OK message deleted\r\n"},
    {"NOOP\r\n", log_in_first, "+OK\r\n"},
    {"RSET\r\n", log_in_first, "+OK 3 messages (64 octets)\r\n"},
    {"LAST\r\n", log_in_first, "+OK 0\r\n"},
    {"CAPA\r\n", CAPABILITIES, CAPABILITIES},
    {"QUIT\r\n", "+OK POP3 server signing off\r\n",
     "+OK POP3 server signing off (3 messages left)\r\n"},
    {"AUTH PLAIN\r\n", unknown, unknown},
    {"STLS\r\n", unknown, unknown},
};

static void test_each_verb_answers_as_its_state_allows(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++) {
        rig_connect(rig, "127.0.0.1");
        rig_expect(rig, matrix[i].line, matrix[i].authorization);
        rig_connect(rig, "127.0.0.1");
        rig_log_in(rig);
        rig_expect(rig, matrix[i].line, matrix[i].transaction);
    }
}

static void test_each_row_of_the_table_is_in_the_matrix(void **state)
{
    size_t count;
    const struct verb *verbs = verb_table(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof(matrix) / sizeof(matrix[0]); j++)
            found = found || span_has_prefix(span_cstr(matrix[j].line), verbs[i].name);
        assert_true(found);
        assert_non_null(verbs[i].section);
    }
}

static void test_too_few_or_too_many_arguments_are_refused(void **state)
{
    static const char *const lines[] = {
        "STAT 1\r\n", "LIST 1 2\r\n", "RETR\r\n",      "RETR 1 2\r\n",  "DELE\r\n",
        "NOOP x\r\n", "RSET x\r\n",   "TOP\r\n",       "TOP 1 2 3\r\n", "UIDL 1 2\r\n",
        "LAST 1\r\n", "QUIT now\r\n", "CAPA what\r\n",
    };
    struct rig *rig = *state;
    rig_log_in(rig);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        rig_expect(rig, lines[i], wrong_arguments);
}

static void test_a_number_that_names_no_message_is_refused(void **state)
{
    static const char *const numbers[] = {
        "0",          "4",
        "-1",         "+1",
        "1x",         "0x1",
        "4294967297", "18446744073709551617",
        "one",        "99999999999999999999999999",
    };
    static const char *const verbs[] = {"RETR", "DELE", "LIST", "UIDL", "TOP"};
    struct rig *rig = *state;
    char line[64];
    rig_log_in(rig);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        for (size_t j = 0; j < sizeof(verbs) / sizeof(verbs[0]); j++) {
            (void)snprintf(line, sizeof(line), "%s %s\r\n", verbs[j], numbers[i]);
            rig_expect(rig, line, no_message);
        }
}

static void test_a_count_of_lines_that_is_no_number_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_expect(rig, "TOP 1 -1\r\n", "-ERR the number of lines is none\r\n");
    rig_expect(rig, "TOP 1 x\r\n", "-ERR the number of lines is none\r\n");
}

static void test_a_line_may_be_lower_case_end_with_blanks_or_a_lone_lf(void **state)
{
    static const char *const lines[] = {"stat\r\n", "Stat \t \r\n", "STAT\n", "sTaT  \n"};
    struct rig *rig = *state;
    rig_log_in(rig);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        rig_expect(rig, lines[i], "+OK 3 64\r\n");
    rig_expect(rig, "list   2 \r\n", "+OK 2 33\r\n");
}

static void test_a_line_that_is_no_command_is_refused(void **state)
{
    static const char *const lines[] = {"\r\n", "\n", ":\r\n", " STAT\r\n", "STAT:\r\n", "ST\r\n"};
    struct rig *rig = *state;
    rig_log_in(rig);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        rig_expect(rig, lines[i], unknown);
}

static void test_a_nul_in_a_line_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_log_in(rig);
    rig_forget(rig);
    rig_send(rig, SPAN("STAT\0\r\n\0\r\nSTAT\r\n"));
    assert_string_equal(rig_talk(rig, ""), "-ERR a command holds no NUL\r\n"
                                           "-ERR a command holds no NUL\r\n+OK 3 64\r\n");
}

/* A line of `size` octets, its CR LF counted: USER and a name. */
static void fill_line(char *line, size_t size)
{
    memset(line, 'a', size);
    memcpy(line, "USER ", 5);
    memcpy(line + size - 2, "\r\n", 3);
}

static void test_a_line_of_255_octets_is_the_longest(void **state)
{
    struct rig *rig = *state;
    char line[2000];
    fill_line(line, 255);
    rig_expect(rig, line, "+OK send the password\r\n");
    fill_line(line, 256);
    rig_expect(rig, line, too_long);
    fill_line(line, 1900);
    rig_expect(rig, line, too_long);
    rig_expect(rig, "NOPE\r\n", unknown);
}

static void test_a_line_that_never_ends_is_cut_off(void **state)
{
    struct rig *rig = *state;
    char line[10000];
    memset(line, 'a', sizeof(line));
    rig_forget(rig);
    rig_send(rig, span_of(line, sizeof(line)));
    assert_string_equal(rig_talk(rig, ""), "-ERR the line does not end\r\n");
    assert_true(rig->closed);
}

static void test_too_many_bad_commands_close(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.pop3_bad_commands = 3;
    rig_expect(rig, "x\r\ny\r\nz\r\nCAPA\r\n",
               "-ERR unknown command\r\n-ERR unknown command\r\n-ERR too many bad commands\r\n");
    assert_true(rig->closed);
}

static void test_a_message_that_is_not_there_is_no_bad_command(void **state)
{
    struct rig *rig = *state;
    rig->conf.limits.pop3_bad_commands = 2;
    rig_log_in(rig);
    for (int i = 0; i < 5; i++)
        rig_expect(rig, "RETR 9\r\n", no_message);
    assert_false(rig->closed);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(test_each_verb_answers_as_its_state_allows),
        cmocka_unit_test(test_each_row_of_the_table_is_in_the_matrix),
        RIGGED(test_too_few_or_too_many_arguments_are_refused),
        RIGGED(test_a_number_that_names_no_message_is_refused),
        RIGGED(test_a_count_of_lines_that_is_no_number_is_refused),
        RIGGED(test_a_line_may_be_lower_case_end_with_blanks_or_a_lone_lf),
        RIGGED(test_a_line_that_is_no_command_is_refused),
        RIGGED(test_a_nul_in_a_line_is_refused),
        RIGGED(test_a_line_of_255_octets_is_the_longest),
        RIGGED(test_a_line_that_never_ends_is_cut_off),
        RIGGED(test_too_many_bad_commands_close),
        RIGGED(test_a_message_that_is_not_there_is_no_bad_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
